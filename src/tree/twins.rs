//! Names of the same file (pure): a change that is made under one of them is a change of all.
//!
//! The kernel tells only of the name that was used.

use std::collections::{BTreeSet, HashMap};

use crate::relpath::RelPath;

/// Names that are remembered; what happens to the rest is found by the next full scan.
const MOST: usize = 65_536;

/// A file that has more than one name: device and inode.
pub(super) type File = (u64, u64);

/// The names of files that have more than one.
#[derive(Debug, Default)]
pub(super) struct Twins {
    by_file: HashMap<File, BTreeSet<RelPath>>,
    by_name: HashMap<RelPath, File>,
}

impl Twins {
    /// `name` is one of the names of `file`; `None`: of no file that has others.
    pub(super) fn set(&mut self, name: &RelPath, file: Option<File>) {
        let before = self.by_name.get(name).copied();
        if before == file {
            return;
        }
        if let Some(before) = before {
            self.by_name.remove(name);
            if let Some(names) = self.by_file.get_mut(&before) {
                names.remove(name);
                if names.is_empty() {
                    self.by_file.remove(&before);
                }
            }
        }
        if let Some(file) = file.filter(|_| self.by_name.len() < MOST) {
            self.by_name.insert(name.clone(), file);
            self.by_file.entry(file).or_default().insert(name.clone());
        }
    }

    /// The other names of the same file.
    pub(super) fn names_of(&self, name: &RelPath) -> Vec<RelPath> {
        let names = self.by_name.get(name).and_then(|file| self.by_file.get(file));
        names.into_iter().flatten().filter(|other| *other != name).cloned().collect()
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
            twins.set(&rel(name), Some(file));
        }
        assert_eq!(twins.names_of(&rel("a")), [rel("b")]);
        assert_eq!(twins.names_of(&rel("c")), []);
        twins.set(&rel("c"), Some((1, 7)));
        assert_eq!(twins.names_of(&rel("c")), [rel("a"), rel("b")]);
        for name in ["a", "b", "c", "d", "e"] {
            twins.set(&rel(name), None);
        }
        assert!(twins.by_file.is_empty() && twins.by_name.is_empty());
    }

    #[test]
    fn they_are_bounded() {
        let mut twins = Twins::default();
        for n in 0..MOST as u64 + 10 {
            twins.set(&rel(&format!("{n}")), Some((1, n / 2)));
        }
        assert_eq!(twins.by_name.len(), MOST);
        assert_eq!(twins.names_of(&rel("2")), [rel("3")]);
    }
}
