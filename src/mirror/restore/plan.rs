//! Where what the library holds goes on disk (pure).
//!
//! Names from the service are data from outside: whatever they are, each becomes one name in the directory that it is
//! listed in, or none at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Names;
use crate::relpath::RelPath;
use crate::smh::{Entry, Info};
use crate::tree::local_name;

/// The folder in the target that holds what is not complete yet.
pub(super) const SCRATCH: &str = ".smh-mirror-restore";

/// Longest name that the filesystems of Linux take, in bytes.
const NAME_MAX: usize = 255;

/// An entry of the library, and the name that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    /// Its name in the library.
    pub(super) remote: String,
    /// Its name in the target.
    pub(super) local: Vec<u8>,
    /// What the listing says of it.
    pub(super) info: Info,
    /// No entry of the mirror has a copy of this name: somebody else put it there.
    pub(super) stranger: bool,
}

/// An entry that no folder can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nowhere {
    /// Its name in the library.
    pub(super) remote: String,
    /// Why not, for people.
    pub(super) why: &'static str,
}

/// Gives the entries of one directory their names, page by page. Memory grows with the strangers only.
#[derive(Debug, Clone)]
pub(super) struct Placing {
    names: Names,
    /// Whether the directory is the target itself, where one name is taken.
    top: bool,
    /// Names given to ours that a stranger could want too.
    taken: BTreeSet<Vec<u8>>,
    /// Those who have to wait until all of ours are known.
    strangers: BTreeMap<String, Info>,
}

impl Placing {
    pub(super) fn new(names: Names, dir: &RelPath) -> Placing {
        Placing { names, top: dir.is_root(), taken: BTreeSet::new(), strangers: BTreeMap::new() }
    }

    /// Takes a page: those whose names are known now, and those that get none.
    pub(super) fn page(&mut self, entries: Vec<Entry>) -> (Vec<Placed>, Vec<Nowhere>) {
        let mut placed = Vec::new();
        let mut nowhere = Vec::new();
        for Entry { name: remote, info } in entries {
            let local = local_name(self.names, &remote);
            let stranger = local.is_none();
            let local = local.unwrap_or_else(|| remote.clone().into_bytes());
            if let Some(why) = impossible(&local, self.top) {
                nowhere.push(Nowhere { remote, why });
            } else if stranger {
                self.strangers.insert(remote, info);
            } else {
                if self.could_be_a_strangers(&local) {
                    self.taken.insert(local.clone());
                }
                placed.push(Placed { remote, local, info, stranger });
            }
        }
        (placed, nowhere)
    }

    /// After the last page: the strangers. Each keeps the name that it has in the library, unless an entry of the mirror
    /// has it here; then `%7E2` is appended, or `%7E3`, and so on. No copy has a needlessly escaped `~` in its name, so
    /// whatever entry is called like that here was remembered as one whose name a stranger could want.
    pub(super) fn end(mut self) -> (Vec<Placed>, Vec<Nowhere>) {
        let mut placed = Vec::new();
        let mut nowhere = Vec::new();
        for (remote, info) in std::mem::take(&mut self.strangers) {
            let mut local = remote.clone().into_bytes();
            let mut number = 2;
            while !self.taken.insert(local.clone()) {
                local = format!("{remote}%7E{number}").into_bytes();
                number += 1;
            }
            match impossible(&local, self.top) {
                Some(why) => nowhere.push(Nowhere { remote, why }),
                None => placed.push(Placed { remote, local, info, stranger: true }),
            }
        }
        (placed, nowhere)
    }

    /// A stranger keeps its name, which is the copy's name of no entry.
    fn could_be_a_strangers(&self, local: &[u8]) -> bool {
        std::str::from_utf8(local).is_ok_and(|name| local_name(self.names, name).is_none())
    }
}

/// Why a name can be that of nothing in a directory.
fn impossible(name: &[u8], top: bool) -> Option<&'static str> {
    match name {
        b"" => Some("its name is empty"),
        b"." | b".." => Some("its name means a folder on the way"),
        _ if name.contains(&b'/') => Some("its name holds a slash"),
        _ if name.contains(&0) => Some("its name holds a zero byte"),
        _ if name.len() > NAME_MAX => Some("its name is longer than 255 bytes"),
        _ if top && name == SCRATCH.as_bytes() => {
            Some("a restore keeps there what is not complete; restore the folders below it by name")
        }
        _ => None,
    }
}

/// What is asked for, without what lies in something else that is asked for; nothing means everything.
pub(super) fn outermost(mut paths: Vec<RelPath>) -> Vec<RelPath> {
    if paths.is_empty() {
        return vec![RelPath::root()];
    }
    paths.sort();
    paths.dedup();
    // `a/b` need not follow `a` directly: `a.txt` stands between them.
    let all = paths.clone();
    paths.retain(|path| !all.iter().any(|other| other != path && path.is_within(other)));
    paths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::smh::Kind;
    use crate::tree::remote_name;

    fn entry(name: &str) -> Entry {
        Entry { name: name.to_owned(), info: Info { kind: Kind::File, size: None, crc64: None } }
    }

    fn below() -> RelPath {
        RelPath::root().join(b"sub")
    }

    /// Remote name and local name of each, and the remote names of those that get none.
    fn place(
        rule: Names,
        dir: &RelPath,
        remote: &[&str],
    ) -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
        let mut placing = Placing::new(rule, dir);
        let mut placed = Vec::new();
        let mut nowhere = Vec::new();
        // Strangers and ours may come on different pages.
        for page in remote.chunks(2) {
            let (some, none) = placing.page(page.iter().map(|name| entry(name)).collect());
            placed.extend(some);
            nowhere.extend(none);
        }
        let (some, none) = placing.end();
        placed.extend(some);
        nowhere.extend(none);
        (
            placed.into_iter().map(|p| (p.remote, p.local)).collect(),
            nowhere.into_iter().map(|n| n.remote).collect(),
        )
    }

    #[test]
    fn ours_are_mapped_back_and_strangers_keep_their_names() {
        let (placed, nowhere) =
            place(Names::Escape, &below(), &["%41", "a%3Ab", "%2541", "plain", "a:b", "%41%7E2"]);
        let name = |remote: &str| String::from_utf8(placed[remote].clone()).unwrap();
        assert_eq!(name("a%3Ab"), "a:b");
        assert_eq!(name("%2541"), "%41");
        assert_eq!(name("plain"), "plain");
        // Both names are taken by entries of the mirror; the next one is taken by another stranger.
        assert_eq!(name("a:b"), "a:b%7E2");
        assert_eq!(name("%41"), "%41%7E2");
        assert_eq!(name("%41%7E2"), "%41%7E2%7E2");
        assert!(nowhere.is_empty());
        let (placed, _) = place(Names::Skip, &below(), &["%41", "a%3Ab", "a:b", "%2541", "a\nb"]);
        assert!(placed.iter().all(|(remote, local)| remote.as_bytes() == local));
    }

    #[test]
    fn what_is_no_name_goes_nowhere() {
        let long = "x".repeat(256);
        for rule in [Names::Skip, Names::Escape] {
            for name in ["", ".", "..", "/", "a/b", "../a", "/etc/passwd", "a\0b", &long] {
                let (placed, nowhere) = place(rule, &below(), &[name]);
                assert!(placed.is_empty(), "{rule:?} {name:?}: {placed:?}");
                assert_eq!(nowhere, [name]);
            }
        }
        assert_eq!(place(Names::Skip, &RelPath::root(), &[SCRATCH]).1, [SCRATCH]);
        assert_eq!(place(Names::Skip, &below(), &[SCRATCH]).1, Vec::<String>::new());
        // What would read as such a name is a stranger under its own name.
        let (placed, _) = place(Names::Escape, &below(), &["..%2Fetc", "%2E%2E", ".%2E", "%2F"]);
        assert!(placed.iter().all(|(remote, local)| remote.as_bytes() == local), "{placed:?}");
    }

    #[test]
    fn nothing_is_asked_for_twice() {
        let paths = |texts: &[&str]| -> Vec<RelPath> {
            texts.iter().map(|text| RelPath::from_bytes(text.as_bytes().to_vec())).collect()
        };
        assert_eq!(outermost(paths(&["a/b", "a.txt", "a", "a"])), paths(&["a", "a.txt"]));
        assert_eq!(outermost(Vec::new()), [RelPath::root()]);
        assert_eq!(outermost(paths(&["a", ""])), [RelPath::root()]);
    }

    fn remote_names() -> impl Strategy<Value = Vec<String>> {
        let piece = prop_oneof![
            proptest::sample::select(vec![
                "%41", "%2541", "%7E2", "%7E", "a", "b", ".", "..", "/", "%2F", " ", ":", "%3A",
                "%", "\0", "é",
            ])
            .prop_map(str::to_owned),
            any::<char>().prop_map(String::from),
        ];
        let name = proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat());
        proptest::collection::vec(name, 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn every_entry_is_one_name_of_its_directory_or_none(remote in remote_names()) {
            let texts: Vec<&str> = remote.iter().map(String::as_str).collect();
            let distinct: BTreeSet<&str> = texts.iter().copied().collect();
            for rule in [Names::Skip, Names::Escape] {
                let (placed, nowhere) = place(rule, &below(), &texts);
                let nowhere: BTreeSet<&str> = nowhere.iter().map(String::as_str).collect();
                prop_assert_eq!(placed.len() + nowhere.len(), distinct.len());
                let names: BTreeSet<&Vec<u8>> = placed.values().collect();
                prop_assert_eq!(names.len(), placed.len(), "two have one name: {:?}", placed);
                for (remote, local) in &placed {
                    let path = std::path::Path::new(std::str::from_utf8(local).unwrap_or("x"));
                    let parts: Vec<_> = path.components().collect();
                    prop_assert!(
                        matches!(parts.as_slice(), [std::path::Component::Normal(_)]),
                        "{:?}", path
                    );
                    prop_assert!(!local.contains(&0) && local.len() <= NAME_MAX);
                    // What the mirror put there comes back under the name that it had.
                    if let Some(ours) = local_name(rule, remote) {
                        prop_assert_eq!(local, &ours);
                        prop_assert_eq!(remote_name(rule, &ours), Some(remote.clone()));
                    }
                }
            }
        }
    }
}
