//! What a comparison found (pure): counts of everything, and a list of what has to be said.

use std::collections::BTreeMap;

use super::compare::{Difference, Extra, Waiting};
use crate::failure::Class;
use crate::relpath::RelPath;

/// Differences that are kept to be listed and repaired. More are counted, so that memory stays flat.
const DIFFERENCES: usize = 50_000;
/// The same of what is only told: what waits, what is in the library only, what is not known.
const TOLD: usize = 1_000;

/// One path, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<T> {
    /// Which.
    pub path: RelPath,
    /// What.
    pub what: T,
    /// More about it, for people.
    pub note: Option<String>,
}

/// A list that does not grow for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// How many there are.
    pub total: u64,
    /// The first of them; by path in the end.
    pub listed: Vec<Told<T>>,
    limit: usize,
}

impl<T> Listed<T> {
    fn with_limit(limit: usize) -> Listed<T> {
        Listed { total: 0, listed: Vec::new(), limit }
    }

    /// Whether another one would be listed.
    pub(super) fn has_room(&self) -> bool {
        self.listed.len() < self.limit
    }

    pub(super) fn add(&mut self, path: RelPath, what: T, note: Option<String>) {
        self.total += 1;
        if self.has_room() {
            self.listed.push(Told { path, what, note });
        }
    }

    fn merge(&mut self, other: Listed<T>) {
        self.total += other.total;
        let room = self.limit.saturating_sub(self.listed.len());
        self.listed.extend(other.listed.into_iter().take(room));
    }

    fn sort(&mut self) {
        self.listed.sort_by(|one, other| one.path.cmp(&other.path));
    }

    /// How many are not listed.
    #[must_use]
    pub fn more(&self) -> u64 {
        self.total.saturating_sub(self.listed.len() as u64)
    }
}

/// Why nothing is known of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The service did not answer as it should.
    Service(Class),
    /// This machine does not let us at it.
    Local,
    /// The service does not say size and crc64.
    Untold,
}

/// What a comparison of one mirror found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The root is not there, or not the one that was mirrored: nothing was compared.
    pub root: Option<String>,
    /// Files on disk that were looked at, those that are left out aside.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Files that the library has as they are here.
    pub equal: u64,
    /// Their bytes.
    pub equal_bytes: u64,
    /// Bytes that were read here.
    pub read_bytes: u64,
    /// Entries on disk that are left out on purpose.
    pub left_out: u64,
    /// What differs.
    pub differs: Listed<Difference>,
    /// What is not mirrored yet.
    pub waits: Listed<Waiting>,
    /// How many of them wait for a change.
    pub blocked: u64,
    /// What is in the library only.
    pub extra: Listed<Extra>,
    /// What could not be compared.
    pub unknown: Listed<Why>,
    /// What ended the comparison early: nothing is known of the rest.
    pub stopped: Option<(Class, String)>,
    /// The topmost directories that the library lost: files that are called mirrored at and below each, and their
    /// bytes.
    pub(super) lost: BTreeMap<RelPath, (u64, u64)>,
}

impl Default for Report {
    fn default() -> Report {
        Report {
            root: None,
            files: 0,
            directories: 0,
            equal: 0,
            equal_bytes: 0,
            read_bytes: 0,
            left_out: 0,
            differs: Listed::with_limit(DIFFERENCES),
            waits: Listed::with_limit(TOLD),
            blocked: 0,
            extra: Listed::with_limit(TOLD),
            unknown: Listed::with_limit(TOLD),
            stopped: None,
            lost: BTreeMap::new(),
        }
    }
}

impl Report {
    /// Whether every entry here was found in the library as it is.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.root.is_none()
            && self.stopped.is_none()
            && self.differs.total + self.waits.total + self.unknown.total == 0
    }

    /// The paths that a repair is asked for. Of more than could be listed, the rest is left for another time: to ask
    /// for everything would take in what is damaged here.
    #[must_use]
    pub fn to_repair(&self) -> Vec<RelPath> {
        let wanted = self.differs.listed.iter().filter(|told| told.what.is_repairable());
        wanted.map(|told| told.path.clone()).collect()
    }

    pub(super) fn waits(&mut self, path: RelPath, waiting: Waiting, note: Option<String>) {
        self.blocked += u64::from(waiting == Waiting::Blocked);
        self.waits.add(path, waiting, note);
    }

    /// A file that is called mirrored, below a directory that the library lost.
    pub(super) fn lost_with(&mut self, top: &RelPath, bytes: u64) {
        let lost = self.lost.entry(top.clone()).or_default();
        lost.0 += 1;
        lost.1 += bytes;
    }

    /// Adds what was found in another directory.
    pub(super) fn merge(&mut self, other: Report) {
        self.root = self.root.take().or(other.root);
        self.files += other.files;
        self.directories += other.directories;
        self.equal += other.equal;
        self.equal_bytes += other.equal_bytes;
        self.read_bytes += other.read_bytes;
        self.left_out += other.left_out;
        self.differs.merge(other.differs);
        self.waits.merge(other.waits);
        self.blocked += other.blocked;
        self.extra.merge(other.extra);
        self.unknown.merge(other.unknown);
        self.stopped = self.stopped.take().or(other.stopped);
        for (top, (files, bytes)) in other.lost {
            let lost = self.lost.entry(top).or_default();
            lost.0 += files;
            lost.1 += bytes;
        }
    }

    /// Everything was looked at: what was lost is told, and all lists are put in order.
    pub(super) fn finish(&mut self) {
        for (path, (files, bytes)) in std::mem::take(&mut self.lost) {
            self.differs.add(path, Difference::DirectoryMissing { files, bytes }, None);
        }
        self.differs.sort();
        self.waits.sort();
        self.extra.sort();
        self.unknown.sort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn what_was_lost_is_one_difference_with_all_that_lay_in_it() {
        let mut all = Report::default();
        for n in 0..3 {
            let mut part = Report::default();
            part.lost_with(&rel("d"), n);
            all.merge(part);
        }
        all.differs.add(rel("a"), Difference::Changed, None);
        all.finish();
        let told: Vec<_> = all.differs.listed.iter().map(|told| told.what).collect();
        let lost = Difference::DirectoryMissing { files: 3, bytes: 3 };
        assert_eq!(told, [Difference::Changed, lost]);
        assert_eq!(all.to_repair(), [rel("a"), rel("d")]);
    }

    #[test]
    fn what_is_damaged_here_is_not_repaired_and_what_is_not_listed_neither() {
        let mut report = Report::default();
        report.differs.add(rel("r"), Difference::Rotten { copy_is_good: true }, None);
        assert!(!report.is_equal());
        assert_eq!(report.to_repair(), []);
        for n in 0..DIFFERENCES {
            report.differs.add(rel(&n.to_string()), Difference::Unseen, None);
        }
        assert_eq!((report.differs.total, report.differs.more()), (DIFFERENCES as u64 + 1, 1));
        assert_eq!(report.to_repair().len(), DIFFERENCES - 1);
    }
}
