//! Files that wait in memory to be sent (pure). Mirrors take turns; of one mirror the smallest file is next, and now and
//! then the one that waits longest.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::journal::{DueFile, MirrorId};

/// Every so many picks of a mirror its file that waits longest is next, so that a large one among the small never starves.
const OLDEST_EVERY: u64 = 4;

/// A line for each mirror, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// None of them is empty.
    lines: BTreeMap<MirrorId, Line>,
    /// The mirror that was served last.
    served: Option<MirrorId>,
}

#[derive(Debug, Default)]
struct Line {
    /// Boxed, since one is often taken from the middle, and a row is some hundred bytes.
    #[expect(clippy::vec_box, reason = "they are moved more often than they are read")]
    files: Vec<Box<DueFile>>,
    /// The smallest is the last.
    in_order: bool,
    picks: u64,
}

impl Queue {
    /// Another file waits.
    pub(super) fn push(&mut self, due: DueFile) {
        let line = self.lines.entry(due.mirror).or_default();
        line.in_order = false;
        line.files.push(Box::new(due));
    }

    /// How many files wait.
    pub(super) fn len(&self) -> usize {
        self.lines.values().map(|line| line.files.len()).sum()
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether one of this mirror waits.
    pub(super) fn has(&self, mirror: MirrorId) -> bool {
        self.lines.contains_key(&mirror)
    }

    /// The next file, of the mirror whose turn it is.
    pub(super) fn take(&mut self) -> Option<DueFile> {
        let after = self.served.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.lines.range((after, Bound::Unbounded)).next();
        let mirror = *next.or_else(|| self.lines.iter().next())?.0;
        self.served = Some(mirror);
        let line = self.lines.get_mut(&mirror)?;
        let file = line.take();
        if line.files.is_empty() {
            self.lines.remove(&mirror);
        }
        file
    }

    /// What waited of this mirror, which does not wait any more.
    pub(super) fn remove(&mut self, mirror: MirrorId) -> Vec<DueFile> {
        let line = self.lines.remove(&mirror);
        line.into_iter().flat_map(|line| line.files).map(|due| *due).collect()
    }
}

impl Line {
    fn take(&mut self) -> Option<DueFile> {
        self.picks = self.picks.wrapping_add(1);
        if !self.in_order {
            self.files.sort_unstable_by_key(|due| std::cmp::Reverse(due.file.seen.size));
            self.in_order = true;
        }
        if !self.picks.is_multiple_of(OLDEST_EVERY) {
            return self.files.pop().map(|due| *due);
        }
        let waits = self.files.iter().enumerate().min_by_key(|(_, due)| due.file.next_at_ms);
        let at = waits.map(|(at, _)| at)?;
        // The order by size matters to the other picks.
        Some(*self.files.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Fingerprint;
    use crate::journal::{DirId, EntryId, FileRow};
    use crate::relpath::RelPath;

    /// A file of this mirror, of `size` bytes, that is due since `at_ms`.
    fn due(mirror: i64, size: u64, at_ms: i64) -> DueFile {
        let name = format!("{size}-{at_ms}").into_bytes();
        DueFile {
            file: FileRow {
                id: EntryId { dir: DirId(mirror), name },
                seen: Fingerprint { size, mtime_ns: 1, ctime_ns: 1, inode: 1 },
                confirmed: None,
                changed_at_ms: Some(at_ms),
                next_at_ms: Some(at_ms),
                gone_at_ms: None,
                unsure: false,
            },
            mirror: MirrorId(mirror),
            dir_path: RelPath::root(),
            dir_created: true,
            dir_blocked: false,
        }
    }

    fn queue(files: impl IntoIterator<Item = (i64, u64, i64)>) -> Queue {
        let mut queue = Queue::default();
        files.into_iter().for_each(|(mirror, size, at_ms)| queue.push(due(mirror, size, at_ms)));
        queue
    }

    /// Mirror and size of all that is taken, in order.
    fn taken(queue: &mut Queue) -> Vec<(i64, u64)> {
        std::iter::from_fn(|| queue.take()).map(|due| (due.mirror.0, due.file.seen.size)).collect()
    }

    #[test]
    fn mirrors_take_turns_whatever_each_has() {
        let mut queue =
            queue([(1, 1, 1), (1, 2, 1), (1, 3, 1), (3, 900, 9), (7, 50, 9), (7, 60, 9)]);
        assert_eq!(queue.len(), 6);
        assert_eq!(taken(&mut queue), [(1, 1), (3, 900), (7, 50), (1, 2), (7, 60), (1, 3)]);
        assert!(queue.is_empty());
        // Whoever was served last is last, although nothing was left then.
        for (mirror, size) in [(1, 1), (7, 1)] {
            queue.push(due(mirror, size, 1));
        }
        assert_eq!(taken(&mut queue), [(7, 1), (1, 1)]);
    }

    #[test]
    fn the_smallest_is_next_and_the_oldest_never_starves() {
        let small = (0..9).map(|n| (1, n, 10 + i64::try_from(n).expect("few")));
        let mut queue = queue(small.chain([(1, 5_000, 1)]));
        let order: Vec<u64> = taken(&mut queue).into_iter().map(|(_, size)| size).collect();
        assert_eq!(order, [0, 1, 2, 5_000, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn with_as_many_mirrors_as_picks_the_oldest_of_each_has_its_turn() {
        let of = |mirror| (0..9).map(move |n| (mirror, n, 10)).chain([(mirror, 5_000, 1)]);
        let mut queue = queue((1..=4).flat_map(of));
        let order = taken(&mut queue);
        for mirror in 1..=4 {
            let at = order.iter().position(|taken| *taken == (mirror, 5_000));
            assert!(at.is_some_and(|at| at < 16), "{mirror}: {at:?}");
        }
    }

    #[test]
    fn what_waits_of_one_mirror_can_be_given_back() {
        let mut queue = queue([(1, 1, 1), (2, 2, 1), (2, 3, 1)]);
        assert!(queue.has(MirrorId(2)));
        assert_eq!(queue.remove(MirrorId(2)).len(), 2);
        assert_eq!((queue.len(), queue.has(MirrorId(2))), (1, false));
        assert_eq!(queue.remove(MirrorId(9)), []);
    }
}
