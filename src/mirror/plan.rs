//! What an observation of the disk means for the journal (pure).

use std::time::Duration;

use crate::fingerprint::Fingerprint;
use crate::journal::{ConfirmedRow, EntryId, FileRow, NEVER_MS};
use crate::tree::settle_due;

/// How long the files of a mirror rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) settle: Duration,
    pub(super) settle_max: Duration,
}

/// What to write after a file was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing changed.
    Nothing,
    /// Write the row; what was wrong with the file before is history.
    Put(FileRow),
    /// Write the row; what is wrong with the file stays, the next try tells.
    Retry(FileRow),
}

/// What to write after a file was found absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Vanished {
    /// It was known to be gone.
    Nothing,
    /// It was never mirrored: forget it.
    Remove,
    /// Remember that it is gone; the copy is kept.
    Put(Box<FileRow>),
}

/// What is known to be wrong with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Nothing,
    /// It could not be read here, or the answers made no sense: each scan tries again.
    AtScan,
    Other,
}

/// A regular file was seen as `seen`. `patience_since_ms`: a read was in vain then, so its patience begins anew.
pub(super) fn file_seen(
    id: &EntryId,
    row: Option<&FileRow>,
    wrong: Wrong,
    seen: Fingerprint,
    rest: Rest,
    patience_since_ms: Option<i64>,
    now_ms: i64,
) -> Seen {
    let due = |since_ms| settle_due(&seen, since_ms, rest.settle, rest.settle_max, now_ms);
    let Some(row) = row else {
        return Seen::Put(FileRow {
            id: id.clone(),
            seen,
            confirmed: None,
            changed_at_ms: Some(now_ms),
            next_at_ms: Some(due(now_ms)),
            gone_at_ms: None,
            unsure: false,
        });
    };
    if row.gone_at_ms.is_none() && row.seen == seen {
        if wrong == Wrong::AtScan && row.next_at_ms == Some(NEVER_MS) {
            return Seen::Retry(FileRow { next_at_ms: Some(now_ms), ..row.clone() });
        }
        if row.next_at_ms.is_some() || row.is_synced() {
            return Seen::Nothing;
        }
        // Nothing is planned, and nothing proves that it is mirrored: no row of ours says that, so a bit of the
        // journal was flipped. It is compared, or sent, again.
        return Seen::Put(FileRow {
            changed_at_ms: Some(now_ms),
            next_at_ms: Some(now_ms),
            ..row.clone()
        });
    }
    let back = FileRow { seen, gone_at_ms: None, ..row.clone() };
    if back.is_synced() {
        return Seen::Put(FileRow { changed_at_ms: None, next_at_ms: None, ..back });
    }
    let changed_at_ms = row.changed_at_ms.unwrap_or(now_ms);
    // What was tried before had rested before: a new change begins a new rest.
    let since_ms = match wrong {
        Wrong::Nothing => patience_since_ms.map_or(changed_at_ms, |since| since.max(changed_at_ms)),
        Wrong::AtScan | Wrong::Other => now_ms,
    };
    Seen::Put(FileRow {
        changed_at_ms: Some(changed_at_ms),
        next_at_ms: Some(due(since_ms)),
        ..back
    })
}

/// A file that the journal knows is not on disk, under a root that is.
pub(super) fn file_vanished(row: &FileRow, now_ms: i64) -> Vanished {
    if row.gone_at_ms.is_some() {
        return Vanished::Nothing;
    }
    if row.confirmed.is_none() {
        return Vanished::Remove;
    }
    Vanished::Put(Box::new(FileRow {
        changed_at_ms: None,
        next_at_ms: None,
        gone_at_ms: Some(now_ms),
        ..row.clone()
    }))
}

/// The service acknowledged a state of the file.
pub(super) fn file_confirmed(
    id: &EntryId,
    row: Option<FileRow>,
    confirmed: ConfirmedRow,
    now_ms: i64,
) -> FileRow {
    let sent = confirmed.fingerprint;
    let Some(mut row) = row else {
        // It vanished while it was sent: the library has it, and the journal must know that.
        return FileRow {
            id: id.clone(),
            seen: sent,
            confirmed: Some(confirmed),
            changed_at_ms: None,
            next_at_ms: None,
            gone_at_ms: Some(now_ms),
            unsure: false,
        };
    };
    row.confirmed = Some(confirmed);
    row.unsure = false;
    if row.gone_at_ms.is_none() {
        if row.seen == sent {
            row.changed_at_ms = None;
            row.next_at_ms = None;
        } else {
            // It changed meanwhile: the newer state has its own rest.
            let due = row.next_at_ms.filter(|at| *at != NEVER_MS).unwrap_or(now_ms);
            row.next_at_ms = Some(due.max(now_ms));
            // It was back in the confirmed state when it was seen, and that is not what lies there any more.
            row.changed_at_ms = row.changed_at_ms.or(Some(now_ms));
        }
    }
    row
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Hash;
    use crate::journal::DirId;

    const REST: Rest =
        Rest { settle: Duration::from_secs(2), settle_max: Duration::from_secs(300) };
    const NOW: i64 = 1_000_000;

    fn print(size: u64, ctime_ms: i64) -> Fingerprint {
        Fingerprint { size, mtime_ns: 1, ctime_ns: ctime_ms * 1_000_000, inode: 7 }
    }

    fn id() -> EntryId {
        EntryId { dir: DirId(1), name: b"f".to_vec() }
    }

    fn synced(seen: Fingerprint) -> FileRow {
        FileRow {
            id: id(),
            seen,
            confirmed: Some(ConfirmedRow {
                fingerprint: seen,
                full_hash: Hash::from_bytes([0; 32]),
                crc64: 1,
                at_ms: 5,
            }),
            changed_at_ms: None,
            next_at_ms: None,
            gone_at_ms: None,
            unsure: false,
        }
    }

    fn see(row: Option<&FileRow>, wrong: Wrong, seen: Fingerprint) -> Seen {
        file_seen(&id(), row, wrong, seen, REST, None, NOW)
    }

    #[test]
    fn a_new_file_waits_for_rest() {
        let Seen::Put(row) = see(None, Wrong::Nothing, print(1, NOW)) else { panic!("a new row") };
        assert_eq!((row.changed_at_ms, row.next_at_ms), (Some(NOW), Some(NOW + 2000)));
        assert!(!row.is_synced());
    }

    #[test]
    fn an_unchanged_file_costs_nothing() {
        let row = synced(print(1, 10));
        assert_eq!(see(Some(&row), Wrong::Nothing, print(1, 10)), Seen::Nothing);
    }

    #[test]
    fn a_change_is_pending_and_changing_back_is_synced() {
        let row = synced(print(1, 10));
        let Seen::Put(changed) = see(Some(&row), Wrong::Nothing, print(2, NOW)) else {
            panic!("a change")
        };
        assert!(!changed.is_synced() && changed.next_at_ms.is_some());
        let Seen::Put(back) = see(Some(&changed), Wrong::Nothing, print(1, 10)) else {
            panic!("a change")
        };
        assert!(back.is_synced() && back.next_at_ms.is_none());
    }

    #[test]
    fn a_blocked_file_waits_for_a_change_unless_it_could_not_be_read() {
        let blocked =
            FileRow { confirmed: None, next_at_ms: Some(NEVER_MS), ..synced(print(1, 10)) };
        assert_eq!(see(Some(&blocked), Wrong::Other, print(1, 10)), Seen::Nothing);
        assert!(
            matches!(see(Some(&blocked), Wrong::AtScan, print(1, 10)), Seen::Retry(row) if row.next_at_ms == Some(NOW))
        );
        assert!(
            matches!(see(Some(&blocked), Wrong::Other, print(1, 20)), Seen::Put(row) if row.next_at_ms < Some(NEVER_MS))
        );
    }

    #[test]
    fn going_back_to_the_confirmed_state_proves_nothing_while_another_may_be_visible() {
        let row = FileRow { unsure: true, ..synced(print(1, 10)) };
        let changed = FileRow { seen: print(2, 20), next_at_ms: Some(NOW), ..row };
        let Seen::Put(back) = see(Some(&changed), Wrong::Nothing, print(1, 10)) else {
            panic!("a change")
        };
        assert!(!back.is_synced() && back.next_at_ms.is_some());
    }

    #[test]
    fn a_row_that_claims_without_proof_is_planned_again() {
        let flipped = synced(print(1, 10));
        for row in [
            FileRow { confirmed: None, ..flipped.clone() },
            FileRow { seen: print(1, 11), ..flipped.clone() },
        ] {
            let seen = row.seen;
            assert!(
                matches!(see(Some(&row), Wrong::Nothing, seen), Seen::Put(row) if row.next_at_ms == Some(NOW))
            );
        }
        assert_eq!(see(Some(&flipped), Wrong::Nothing, flipped.seen), Seen::Nothing);
    }

    #[test]
    fn what_was_mirrored_is_remembered_when_it_goes() {
        let row = synced(print(1, 10));
        let Vanished::Put(gone) = file_vanished(&row, NOW) else { panic!("remembered") };
        assert_eq!(gone.gone_at_ms, Some(NOW));
        assert_eq!(file_vanished(&gone, NOW + 1), Vanished::Nothing);
        // The same file back again, from the bin or an archive that keeps inode and times.
        let Seen::Put(back) = see(Some(&gone), Wrong::Nothing, print(1, 10)) else {
            panic!("back")
        };
        assert!(back.is_synced());
        assert_eq!(file_vanished(&FileRow { confirmed: None, ..row }, NOW), Vanished::Remove);
    }
}
