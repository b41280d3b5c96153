//! The way to a root (shell): every directory in which a name, renamed or replaced, would lead elsewhere.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Symbolic links that are followed, as the kernel does.
const LINKS_MAX: u32 = 40;

/// The directories on the way to `root`, links followed, each with the name in it that leads on. As far as there are any.
pub(super) fn to(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut route = Vec::new();
    let mut links = 0;
    let mut at = PathBuf::from("/");
    let mut open: Vec<OsString> = parts(root);
    while let Some(part) = open.pop() {
        if part == OsStr::new("..") {
            at.pop();
            continue;
        }
        route.push((at.clone(), part.as_bytes().to_vec()));
        match std::fs::read_link(at.join(&part)) {
            Ok(target) => {
                links += 1;
                if links > LINKS_MAX {
                    break;
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                open.extend(parts(&target));
            }
            Err(_) => at.push(part),
        }
    }
    route
}

/// The names of a path, the last first.
fn parts(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(root: &Path, top: &Path) -> Vec<String> {
        to(root)
            .into_iter()
            .filter_map(|(dir, name)| {
                let dir = dir.strip_prefix(top).ok()?;
                Some(format!("{}|{}", dir.display(), String::from_utf8(name).unwrap()))
            })
            .collect()
    }

    #[test]
    fn links_are_part_of_the_way() {
        let tmp = tempfile::tempdir().unwrap();
        let top = tmp.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("releases/42/docs")).unwrap();
        std::os::unix::fs::symlink("releases/42", top.join("current")).unwrap();
        std::os::unix::fs::symlink("../current/docs", top.join("releases/docs")).unwrap();
        let root = top.join("releases/docs");
        let way = [
            "|releases",
            "releases|docs",
            "|current",
            "|releases",
            "releases|42",
            "releases/42|docs",
        ];
        assert_eq!(shown(&root, &top), way);
        // What is not there may come.
        assert_eq!(shown(&top.join("none/x"), &top), ["|none", "none|x"]);
    }

    #[test]
    fn a_link_that_leads_to_itself_ends() {
        let tmp = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("a", tmp.path().join("a")).unwrap();
        assert!(to(&tmp.path().join("a/b")).len() < 100);
    }
}
