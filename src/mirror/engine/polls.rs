//! Directories that nobody tells of (pure): which they are, and listing each of them again and again.

use std::collections::BTreeSet;

use crate::journal::DirId;

/// The directories of one mirror that are not watched. Eight bytes each: there may be a million.
#[derive(Debug, Default)]
pub(super) struct Polls {
    dirs: BTreeSet<DirId>,
    /// When the next round begins, monotonic milliseconds.
    next_at_ms: Option<i64>,
    round: Option<Round>,
}

/// A round that is under way.
#[derive(Debug, Clone, Copy)]
struct Round {
    after: Option<DirId>,
    /// What is found later has a greater number, and was listed when it was found.
    last: DirId,
}

impl Polls {
    pub(super) fn len(&self) -> u64 {
        self.dirs.len() as u64
    }

    /// A directory was listed.
    pub(super) fn put(&mut self, dir: DirId, watched: bool) {
        if watched {
            self.dirs.remove(&dir);
        } else {
            self.dirs.insert(dir);
        }
    }

    pub(super) fn contains(&self, dir: DirId) -> bool {
        self.dirs.contains(&dir)
    }

    /// A directory is not there any more.
    pub(super) fn remove(&mut self, dir: DirId) {
        self.dirs.remove(&dir);
    }

    /// Listing these one by one is not worth it: they are most of all there are.
    pub(super) fn are_most(&self, watched: u64) -> bool {
        self.len() > watched
    }

    pub(super) fn next_at_ms(&self) -> Option<i64> {
        self.next_at_ms
    }

    pub(super) fn is_due(&self, now_ms: i64) -> bool {
        self.next_at_ms.is_some_and(|at| at <= now_ms)
    }

    pub(super) fn begin(&mut self) {
        self.next_at_ms = None;
        self.round = self.dirs.last().map(|last| Round { after: None, last: *last });
    }

    /// The next directory of the round; `None`: there is none, or no round is under way.
    pub(super) fn next(&mut self) -> Option<DirId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let Round { after, last } = self.round?;
        let from = after.map_or(Unbounded, Excluded);
        let next = self.dirs.range((from, Unbounded)).next().copied().filter(|dir| *dir <= last);
        self.round = next.map(|next| Round { after: Some(next), last });
        next
    }

    /// When the next round begins, unless one is to begin already.
    pub(super) fn plan(&mut self, at_ms: i64) {
        if !self.dirs.is_empty() {
            self.next_at_ms.get_or_insert(at_ms);
        }
    }

    /// A full scan comes to them too.
    pub(super) fn give_up(&mut self) {
        self.next_at_ms = None;
        self.round = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_comes_to_each_once() {
        let mut polls = Polls::default();
        polls.plan(5);
        assert_eq!(polls.next_at_ms(), None, "there is nothing to poll");
        for dir in [3, 1, 7, 5] {
            polls.put(DirId(dir), false);
        }
        polls.put(DirId(7), true);
        polls.plan(5);
        polls.plan(9);
        assert!(!polls.is_due(4));
        assert!(polls.is_due(5));
        assert_eq!(polls.next(), None, "not yet");
        polls.begin();
        assert_eq!(polls.next(), Some(DirId(1)));
        // What changes meanwhile does not disturb it.
        polls.put(DirId(1), true);
        polls.put(DirId(2), false);
        polls.put(DirId(9), false);
        assert_eq!(polls.next(), Some(DirId(2)));
        assert_eq!(polls.next(), Some(DirId(3)));
        assert_eq!(polls.next(), Some(DirId(5)));
        assert_eq!(polls.next(), None);
        assert_eq!(polls.next(), None, "the round is over");
        assert_eq!(polls.len(), 4);
        assert!(polls.are_most(3));
        assert!(!polls.are_most(4));
    }
}
