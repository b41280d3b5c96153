//! Directories that wait to be listed (pure): each once, the last that was asked for first.

use std::collections::HashMap;

use crate::relpath::RelPath;

/// How far the listing of a directory reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// It, and below it only what is new to the journal.
    News,
    /// Everything below it.
    All,
}

/// What is wanted of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) reach: Reach,
}

/// The directories.
#[derive(Debug, Default)]
pub(super) struct Stack {
    order: Vec<RelPath>,
    wanted: HashMap<RelPath, Wanted>,
}

impl Stack {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.wanted.clear();
    }

    /// On top, unless it waits already. Then it keeps its place and the wider reach holds.
    pub(super) fn push(&mut self, path: RelPath, wanted: Wanted) {
        match self.wanted.get_mut(&path) {
            Some(known) => {
                known.reach = known.reach.max(wanted.reach);
            }
            None => {
                self.wanted.insert(path.clone(), wanted);
                self.order.push(path);
            }
        }
    }

    /// Whether the path is listed anyway, with a directory above it that waits. A change of the attributes of a
    /// whole tree gives a hint for each directory in it; without this each of them would list all that is below.
    pub(super) fn covers(&self, path: &RelPath) -> bool {
        let mut step = path.parent();
        while let Some(above) = step {
            if self.wanted.get(&above).is_some_and(|wanted| wanted.reach == Reach::All) {
                return true;
            }
            step = above.parent();
        }
        false
    }

    /// Whether anything at or below a path waits.
    pub(super) fn has_within(&self, path: &RelPath) -> bool {
        self.order.iter().any(|waiting| waiting.is_within(path))
    }

    pub(super) fn pop(&mut self) -> Option<(RelPath, Wanted)> {
        let path = self.order.pop()?;
        let wanted = self.wanted.remove(&path)?;
        Some((path, wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn each_directory_waits_once_and_the_wider_reach_holds() {
        let mut stack = Stack::default();
        stack.push(rel("a"), Wanted { reach: Reach::News });
        stack.push(rel("b"), Wanted { reach: Reach::News });
        stack.push(rel("a"), Wanted { reach: Reach::All });
        assert!(stack.covers(&rel("a/b/c")));
        assert!(!stack.covers(&rel("a")), "it waits itself");
        assert!(!stack.covers(&rel("b/c")), "only what is new in it is listed");
        assert_eq!(stack.pop(), Some((rel("b"), Wanted { reach: Reach::News })));
        assert_eq!(stack.pop(), Some((rel("a"), Wanted { reach: Reach::All })));
        assert_eq!(stack.pop(), None);
        assert!(stack.is_empty());
    }
}
