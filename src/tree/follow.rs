//! Where a symbolic link leads (shell reads the links; where a text leads to is pure).
//!
//! A link is followed only to what lies below the root itself. Who may write into a mirrored folder could otherwise
//! have the daemon publish whatever *it* may read: its secret, `/etc`, the folders of other people.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::entry::Skip;
use super::root::Root;
use crate::relpath::RelPath;

/// Links on the way of one link; the same limit as in the kernel.
const LINKS: usize = 40;

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lead {
    /// Places below the root whose change can change where it leads: links that it passes, and its end, or the name
    /// that is missing there.
    pub(super) passed: Vec<RelPath>,
    /// The real path of what it points to, or why it is not followed.
    pub(super) end: Result<RelPath, Skip>,
}

/// Where a resolution has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    /// Below the root, at a path without links.
    Inside(RelPath),
    /// Elsewhere; that is not looked at.
    Outside(PathBuf),
}

/// The names of the root: the one of the configuration, and the real one.
struct Names {
    given: PathBuf,
    real: PathBuf,
}

impl Names {
    fn of(root: &Root) -> Names {
        let given = root.path().to_path_buf();
        Names { real: given.canonicalize().unwrap_or_else(|_| given.clone()), given }
    }

    fn place(&self, path: PathBuf) -> At {
        if path == self.real || path == self.given {
            At::Inside(RelPath::root())
        } else {
            At::Outside(path)
        }
    }

    fn up(&self, at: At) -> At {
        match at {
            At::Inside(path) => match path.parent() {
                Some(parent) => At::Inside(parent),
                None => self.place(parent_of(&self.real)),
            },
            At::Outside(path) => self.place(parent_of(&path)),
        }
    }

    fn down(&self, at: At, name: &[u8]) -> At {
        match at {
            At::Inside(path) => At::Inside(path.join(name)),
            At::Outside(path) => self.place(path.join(OsStr::from_bytes(name))),
        }
    }
}

fn parent_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_path_buf()
}

/// Where the link `name` with this text leads. It lies in the directory with the real path `holder`.
pub(super) fn lead(root: &Root, holder: &RelPath, name: &[u8], text: &[u8]) -> Result<Lead, Errno> {
    let read = |dir: &RelPath, name: &[u8]| {
        let fd = root.open_dir(dir)?;
        match rustix::fs::readlinkat(&fd, name, Vec::new()) {
            Ok(text) => Ok(Some(text.into_bytes())),
            Err(Errno::INVAL) => Ok(None),
            Err(errno) => Err(errno),
        }
    };
    resolve(&Names::of(root), holder, name, text, read)
}

/// `read`: the text of the link at a name in a real directory; `None`: it is no link.
fn resolve(
    names: &Names,
    holder: &RelPath,
    name: &[u8],
    text: &[u8],
    read: impl Fn(&RelPath, &[u8]) -> Result<Option<Vec<u8>>, Errno>,
) -> Result<Lead, Errno> {
    let mut passed = Vec::new();
    let mut at = At::Inside(holder.clone());
    // What is still to be gone, the next name last.
    let mut left: Vec<Vec<u8>> = Vec::new();
    let begin = |at: &mut At, left: &mut Vec<Vec<u8>>, text: &[u8]| {
        if text.first() == Some(&b'/') {
            *at = names.place(PathBuf::from("/"));
        }
        left.extend(text.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
    };
    begin(&mut at, &mut left, text);
    let own = holder.join(name);
    let mut links = 1;
    while let Some(name) = left.pop() {
        at = match (name.as_slice(), at) {
            (b"" | b".", at) => at,
            (b"..", at) => names.up(at),
            (name, At::Inside(dir)) => match read(&dir, name) {
                Ok(None) => At::Inside(dir.join(name)),
                Ok(Some(text)) => {
                    let link = dir.join(name);
                    links += 1;
                    if links > LINKS || link == own {
                        return Ok(Lead { passed, end: Err(Skip::SymlinkLoop) });
                    }
                    passed.push(link);
                    let mut on = At::Inside(dir);
                    begin(&mut on, &mut left, &text);
                    on
                }
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    passed.push(dir.join(name));
                    return Ok(Lead { passed, end: Err(Skip::SymlinkDangling) });
                }
                Err(errno) => return Err(errno),
            },
            (name, outside @ At::Outside(_)) => names.down(outside, name),
        };
    }
    Ok(match at {
        At::Inside(path) => {
            passed.push(path.clone());
            Lead { passed, end: Ok(path) }
        }
        At::Outside(_) => Lead { passed, end: Err(Skip::SymlinkOutside) },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn rel(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes().to_vec())
    }

    /// Entries below the root `/srv/docs`, which the configuration calls `/docs`: links with their text.
    fn lead_of(link: &str, tree: &[(&str, Option<&str>)]) -> Lead {
        let names = Names { given: "/docs".into(), real: "/srv/docs".into() };
        let tree: BTreeMap<RelPath, Option<&str>> =
            tree.iter().map(|(path, text)| (rel(path), *text)).collect();
        let read = |dir: &RelPath, name: &[u8]| {
            if !dir.is_root() && tree.get(dir) != Some(&None) {
                return Err(Errno::NOTDIR);
            }
            let text = tree.get(&dir.join(name)).ok_or(Errno::NOENT)?;
            Ok(text.map(|text| text.as_bytes().to_vec()))
        };
        let link = rel(link);
        let (dir, name) = link.split().expect("not the root");
        let text = tree[&link].expect("a link").as_bytes();
        resolve(&names, &dir, name, text, read).expect("no error")
    }

    #[test]
    fn a_link_leads_to_what_lies_below_the_root() {
        let tree = |text: &'static str| {
            [("d", None), ("d/e", None), ("d/e/f", None), ("d/l", Some(text)), ("m", Some("d/e"))]
        };
        for (text, end) in [
            ("e/f", Ok("d/e/f")),
            ("./e//f", Ok("d/e/f")),
            ("e", Ok("d/e")),
            ("e/", Ok("d/e")),
            ("..", Ok("")),
            ("../d", Ok("d")),
            ("../m/f", Ok("d/e/f")),
            ("../m/../e", Ok("d/e")),
            ("/docs/d/e", Ok("d/e")),
            ("/srv/docs/d/e", Ok("d/e")),
            ("/srv/docs/m", Ok("d/e")),
            ("../../docs/d/e", Ok("d/e")),
            ("/srv/../srv/docs/d", Ok("d")),
            ("../..", Err(Skip::SymlinkOutside)),
            ("../../other", Err(Skip::SymlinkOutside)),
            ("/", Err(Skip::SymlinkOutside)),
            ("/etc/shadow", Err(Skip::SymlinkOutside)),
            ("/srv/docs2/d", Err(Skip::SymlinkOutside)),
            ("/srv/docs/../x", Err(Skip::SymlinkOutside)),
            ("none", Err(Skip::SymlinkDangling)),
            ("e/f/deeper", Err(Skip::SymlinkDangling)),
            ("l", Err(Skip::SymlinkLoop)),
            ("../d/l", Err(Skip::SymlinkLoop)),
        ] {
            assert_eq!(lead_of("d/l", &tree(text)).end, end.map(rel), "{text}");
        }
    }

    #[test]
    fn links_that_lead_to_each_other_end() {
        let tree = [("a", Some("b")), ("b", Some("c")), ("c", Some("b"))];
        assert_eq!(lead_of("a", &tree).end, Err(Skip::SymlinkLoop));
        let text: Vec<String> = (0..60).map(|n| format!("l{n}")).collect();
        let chain: Vec<(&str, Option<&str>)> =
            text.windows(2).map(|two| (two[0].as_str(), Some(two[1].as_str()))).collect();
        assert_eq!(lead_of("l0", &chain).end, Err(Skip::SymlinkLoop));
    }

    #[test]
    fn whatever_can_change_the_end_is_named() {
        let tree =
            [("d", None), ("d/f", None), ("a", Some("b")), ("b", Some("c/f")), ("c", Some("d"))];
        let lead = lead_of("a", &tree);
        assert_eq!(lead.end, Ok(rel("d/f")));
        assert_eq!(lead.passed, [rel("b"), rel("c"), rel("d/f")]);
        let lead = lead_of("a", &[("a", Some("d/none/x")), ("d", None)]);
        assert_eq!(lead.passed, [rel("d/none")]);
    }
}
