//! Names of the same file (pure): a change that is made under one of them is a change of all.
//!
//! The kernel tells only of the name that was used.

use std::collections::{BTreeSet, HashMap};

use crate::relpath::RelPath;

/// Names that are remembered; what happens to the rest is found by the next full scan.
const MOST: usize = 65_536;

/// A file that has more than one name: device and inode.
pub(super) type File = (u64, u64);

/// Scans that look for names which nobody knows of: the one that is under way when they are missed, and one from its
/// beginning. What is not found then lies outside of the folder.
const PATIENCE: u64 = 2;

/// The names of files that have more than one.
#[derive(Debug, Default)]
pub(super) struct Twins {
    by_file: HashMap<File, Names>,
    by_name: HashMap<RelPath, File>,
    /// Scans that began.
    scans: u64,
}

#[derive(Debug, Default)]
struct Names {
    known: BTreeSet<RelPath>,
    /// How many the file has, as it was seen last.
    links: u64,
    /// Scans that had begun when it was first seen with so many.
    since: u64,
}

impl Twins {
    /// `name` is one of the names of a file that has so many; `None`: of no file that has others.
    pub(super) fn set(&mut self, name: &RelPath, file: Option<(File, u64)>) {
        let before = self.by_name.get(name).copied();
        if let Some(before) = before.filter(|before| file.is_none_or(|(file, _)| file != *before)) {
            self.by_name.remove(name);
            if let Some(names) = self.by_file.get_mut(&before) {
                names.known.remove(name);
                if names.known.is_empty() {
                    self.by_file.remove(&before);
                }
            }
        }
        let Some((file, links)) = file else { return };
        if before != Some(file) {
            if self.by_name.len() >= MOST {
                return;
            }
            self.by_name.insert(name.clone(), file);
        }
        let names = self.by_file.entry(file).or_default();
        names.known.insert(name.clone());
        if names.links != links {
            names.links = links;
            names.since = self.scans;
        }
    }

    /// No file has more than one name.
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// All names are looked at from now on.
    pub(super) fn scan_begins(&mut self) {
        self.scans = self.scans.saturating_add(1);
    }

    /// Whether the file of this name has others that nobody knows of, and that may lie in the folder: the kernel tells
    /// only of the name that is made, so one that was there before, alone then, is not known to belong to it.
    pub(super) fn lacks_some(&self, name: &RelPath) -> bool {
        let names = self.by_name.get(name).and_then(|file| self.by_file.get(file));
        names.is_some_and(|names| {
            (names.known.len() as u64) < names.links && self.scans - names.since < PATIENCE
        })
    }

    /// The other names of the same file.
    pub(super) fn names_of(&self, name: &RelPath) -> Vec<RelPath> {
        let names = self.by_name.get(name).and_then(|file| self.by_file.get(file));
        names
            .into_iter()
            .flat_map(|names| &names.known)
            .filter(|other| *other != name)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn names_of_one_file_know_each_other() {
        let mut twins = Twins::default();
        for (name, file) in [("a", (1, 7)), ("b", (1, 7)), ("c", (1, 8)), ("d", (2, 7))] {
            twins.set(&rel(name), Some((file, 2)));
        }
        assert_eq!(twins.names_of(&rel("a")), [rel("b")]);
        assert_eq!(twins.names_of(&rel("c")), []);
        twins.set(&rel("c"), Some(((1, 7), 3)));
        assert_eq!(twins.names_of(&rel("c")), [rel("a"), rel("b")]);
        for name in ["a", "b", "c", "d", "e"] {
            twins.set(&rel(name), None);
        }
        assert!(twins.by_file.is_empty() && twins.by_name.is_empty());
    }

    #[test]
    fn names_that_nobody_knows_of_are_missed_until_two_scans_did_not_find_them() {
        let mut twins = Twins::default();
        let (file, other) = ((1, 7), (1, 8));
        twins.scan_begins();
        twins.set(&rel("b"), Some((file, 2)));
        assert!(twins.lacks_some(&rel("b")) && !twins.lacks_some(&rel("a")));
        twins.set(&rel("a"), Some((file, 2)));
        assert!(!twins.lacks_some(&rel("b")) && !twins.lacks_some(&rel("a")));
        // One of them lies outside.
        twins.set(&rel("c"), Some((other, 2)));
        twins.scan_begins();
        twins.set(&rel("c"), Some((other, 2)));
        assert!(
            twins.lacks_some(&rel("c")),
            "the first scan may have passed it before it was there"
        );
        twins.scan_begins();
        assert!(!twins.lacks_some(&rel("c")));
        // It gets one more.
        twins.set(&rel("c"), Some((other, 3)));
        assert!(twins.lacks_some(&rel("c")));
        // The other name went, and so it has one alone.
        twins.set(&rel("c"), None);
        assert!(!twins.lacks_some(&rel("c")));
    }

    #[test]
    fn they_are_bounded() {
        let mut twins = Twins::default();
        for n in 0..MOST as u64 + 10 {
            twins.set(&rel(&format!("{n}")), Some(((1, n / 2), 2)));
        }
        assert_eq!(twins.by_name.len(), MOST);
        assert_eq!(twins.names_of(&rel("2")), [rel("3")]);
    }
}
