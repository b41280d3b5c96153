//! What a difference between a page of a listing and the journal's rows means (pure).

use crate::fingerprint::Fingerprint;
use crate::journal::{FileRow, KnownDir};
use crate::tree::{Found, Kind};

/// A difference that the journal does not know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// On disk, and not known.
    Unseen,
    /// Other than it was last seen or confirmed.
    Changed,
    /// Known, and not on disk.
    Gone,
    /// Not to be looked at.
    Unreadable,
}

impl Finding {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Finding::Unseen => "unseen",
            Finding::Changed => "changed",
            Finding::Gone => "gone",
            Finding::Unreadable => "unreadable",
        }
    }
}

/// One range of names of one folder, from both sides, each in order.
pub(super) struct Page<'a> {
    pub(super) entries: &'a [Found],
    pub(super) files: &'a [FileRow],
    pub(super) dirs: &'a [KnownDir],
}

/// Tells each difference. What is left out on purpose is none, whatever the journal remembers of it.
pub(super) fn compare(page: &Page<'_>, mut tell: impl FnMut(Finding, &[u8])) {
    let mut files = page.files.iter().peekable();
    let mut dirs = page.dirs.iter().peekable();
    for found in page.entries {
        let name = found.name.as_slice();
        while let Some(row) = files.next_if(|row| row.id.name.as_slice() < name) {
            absent_file(row, &mut tell);
        }
        while let Some(dir) = dirs.next_if(|dir| dir.name.as_slice() < name) {
            absent_dir(dir, &mut tell);
        }
        let file = files.next_if(|row| row.id.name == name);
        let dir = dirs.next_if(|dir| dir.name == name);
        let finding = match found.kind {
            Kind::File(seen) => file_found(file, seen),
            Kind::Dir(_) => dir.is_none_or(|dir| dir.gone).then_some(Finding::Unseen),
            Kind::Skipped(_) => None,
            Kind::Unknown => Some(Finding::Unreadable),
        };
        if let Some(finding) = finding {
            tell(finding, name);
        }
    }
    files.for_each(|row| absent_file(row, &mut tell));
    dirs.for_each(|dir| absent_dir(dir, &mut tell));
}

fn file_found(row: Option<&FileRow>, seen: Fingerprint) -> Option<Finding> {
    let Some(row) = row.filter(|row| row.gone_at_ms.is_none()) else {
        return Some(Finding::Unseen);
    };
    let confirmed = row.confirmed.is_some_and(|confirmed| confirmed.fingerprint == seen);
    // A change that the journal has seen waits there, and is counted there.
    let waits = row.next_at_ms.is_some();
    if row.seen == seen && (confirmed || waits) { None } else { Some(Finding::Changed) }
}

fn absent_file(row: &FileRow, tell: &mut impl FnMut(Finding, &[u8])) {
    if row.gone_at_ms.is_none() {
        tell(Finding::Gone, &row.id.name);
    }
}

fn absent_dir(dir: &KnownDir, tell: &mut impl FnMut(Finding, &[u8])) {
    if !dir.gone {
        tell(Finding::Gone, &dir.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Hash;
    use crate::journal::{ConfirmedRow, DirId, EntryId, NEVER_MS};
    use crate::tree::{DirMark, Skip};

    const DIR: Kind = Kind::Dir(DirMark { inode: 1, mounted: false, bound: false, fsid: 0 });

    fn print(size: u64) -> Fingerprint {
        Fingerprint { size, mtime_ns: 1, ctime_ns: 1, inode: 7 }
    }

    fn found(name: &str, kind: Kind) -> Found {
        Found { name: name.into(), kind }
    }

    fn file(name: &str, size: u64) -> Found {
        found(name, Kind::File(print(size)))
    }

    fn row(name: &str, seen: u64, confirmed: Option<u64>, next_at_ms: Option<i64>) -> FileRow {
        FileRow {
            id: EntryId { dir: DirId(1), name: name.into() },
            seen: print(seen),
            confirmed: confirmed.map(|size| ConfirmedRow {
                fingerprint: print(size),
                full_hash: Hash::from_bytes([0; 32]),
                crc64: 1,
                at_ms: 5,
            }),
            changed_at_ms: next_at_ms,
            next_at_ms,
            gone_at_ms: None,
            unsure: false,
        }
    }

    fn dir(name: &str, gone: bool) -> KnownDir {
        KnownDir { id: DirId(2), name: name.into(), gone, created: true }
    }

    fn check(entries: &[Found], files: &[FileRow], dirs: &[KnownDir]) -> Vec<(Finding, String)> {
        let mut told = Vec::new();
        compare(&Page { entries, files, dirs }, |finding, name| {
            told.push((finding, String::from_utf8_lossy(name).into_owned()));
        });
        told
    }

    #[test]
    fn what_is_confirmed_or_waits_in_the_journal_is_no_finding() {
        let entries = [file("a", 1), file("b", 2), file("c", 3), found("d", DIR)];
        let rows = [
            row("a", 1, Some(1), None),
            row("b", 2, Some(1), Some(9)),
            row("c", 3, None, Some(NEVER_MS)),
        ];
        assert_eq!(check(&entries, &rows, &[dir("d", false)]), []);
    }

    #[test]
    fn what_the_journal_does_not_know_is_told() {
        let one = |entry: Found, row: Option<FileRow>| check(&[entry], row.as_slice(), &[]);
        let told = |finding, name: &str| vec![(finding, name.to_owned())];
        assert_eq!(one(file("a", 1), None), told(Finding::Unseen, "a"));
        let gone = FileRow { gone_at_ms: Some(1), ..row("a", 1, Some(1), None) };
        assert_eq!(one(file("a", 1), Some(gone)), told(Finding::Unseen, "a"));
        // Changed once, and changed again while it waited.
        assert_eq!(
            one(file("a", 2), Some(row("a", 1, Some(1), None))),
            told(Finding::Changed, "a")
        );
        assert_eq!(
            one(file("a", 3), Some(row("a", 2, Some(1), Some(9)))),
            told(Finding::Changed, "a")
        );
        // A row that claims to be done without proof is not believed.
        assert_eq!(
            one(file("a", 2), Some(row("a", 2, Some(1), None))),
            told(Finding::Changed, "a")
        );
        assert_eq!(one(found("a", Kind::Unknown), None), told(Finding::Unreadable, "a"));
        assert_eq!(check(&[found("d", DIR)], &[], &[]), told(Finding::Unseen, "d"));
        assert_eq!(check(&[found("d", DIR)], &[], &[dir("d", true)]), told(Finding::Unseen, "d"));
    }

    #[test]
    fn what_is_gone_is_told_wherever_it_stood() {
        let rows = [row("a", 1, Some(1), None), row("c", 1, Some(1), None)];
        let dirs = [dir("aa", false), dir("bb", true), dir("z", false)];
        let told = check(&[file("b", 1)], &rows, &dirs);
        let expected = [
            (Finding::Gone, "a"),
            (Finding::Gone, "aa"),
            (Finding::Unseen, "b"),
            (Finding::Gone, "c"),
            (Finding::Gone, "z"),
        ];
        assert_eq!(told, expected.map(|(finding, name)| (finding, name.to_owned())));
        let gone = FileRow { gone_at_ms: Some(1), ..row("a", 1, Some(1), None) };
        assert_eq!(check(&[], &[gone], &[]), []);
    }

    #[test]
    fn what_is_left_out_is_no_finding() {
        let skipped = found("a", Kind::Skipped(Skip::Excluded));
        assert_eq!(check(std::slice::from_ref(&skipped), &[], &[]), []);
        assert_eq!(check(&[skipped], &[row("a", 1, Some(1), None)], &[dir("a", false)]), []);
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_is_unseen_and_the_other_way_round() {
        let told = check(&[file("a", 1)], &[], &[dir("a", false)]);
        assert_eq!(told, [(Finding::Unseen, "a".to_owned())]);
        let told = check(&[found("a", DIR)], &[row("a", 1, Some(1), None)], &[]);
        assert_eq!(told, [(Finding::Unseen, "a".to_owned())]);
    }
}
