use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::digest::Hash;
use crate::journal::{ConfirmedRow, DirId, EntryId};
use crate::tree::{DirMark, Skip};

const DIR: Kind = Kind::Dir(DirMark { inode: 1, mounted: false, bound: false, fsid: 0 });

fn print(size: u64) -> Fingerprint {
    Fingerprint { size, mtime_ns: 1, ctime_ns: 1, inode: 7 }
}

fn confirmed(size: u64, crc64: u64) -> ConfirmedRow {
    let full_hash = Hash::from_bytes([0; 32]);
    ConfirmedRow { fingerprint: print(size), full_hash, crc64, at_ms: 5 }
}

fn row(seen: u64, confirmed: Option<ConfirmedRow>) -> FileRow {
    FileRow {
        id: EntryId { dir: DirId(1), name: b"f".to_vec() },
        seen: print(seen),
        next_at_ms: confirmed.is_none_or(|c| c.fingerprint.size != seen).then_some(9),
        confirmed,
        changed_at_ms: None,
        gone_at_ms: None,
        unsure: false,
    }
}

fn synced() -> FileRow {
    row(3, Some(confirmed(3, 77)))
}

fn dir(gone: bool, created: bool) -> KnownDir {
    KnownDir { id: DirId(2), name: b"f".to_vec(), gone, created }
}

fn copy(size: u64, crc64: u64) -> Held {
    Held::File { size: Some(size), crc64: Some(crc64) }
}

const MISSING: Judged = Judged::Differs(Difference::Missing { size: 3, confirmed_at_ms: 5 });

#[test]
fn a_file_is_judged_by_what_was_confirmed() {
    let differs = Judged::Differs;
    let waits = Judged::Waits;
    let blocked = FileRow { next_at_ms: Some(NEVER_MS), ..row(3, None) };
    let unsure = FileRow { unsure: true, ..synced() };
    let gone = FileRow { gone_at_ms: Some(1), ..synced() };
    for (row, held, expected) in [
        (Some(synced()), copy(3, 77), Judged::Equal),
        (Some(synced()), copy(3, 78), differs(Difference::Content { here: 77, there: 78 })),
        (Some(synced()), copy(4, 77), differs(Difference::Size { here: 3, there: 4 })),
        (Some(synced()), Held::Nothing, MISSING),
        (Some(synced()), Held::Directory, differs(Difference::DirectoryInTheWay)),
        (Some(synced()), Held::File { size: None, crc64: Some(77) }, Judged::Untold),
        (Some(synced()), Held::File { size: Some(3), crc64: None }, Judged::Untold),
        // What is said is enough to tell that it is another one.
        (
            Some(synced()),
            Held::File { size: Some(4), crc64: None },
            differs(Difference::Size { here: 3, there: 4 }),
        ),
        // Nothing is claimed of these, so nothing can be wrong.
        (None, copy(3, 77), waits(Waiting::Unseen)),
        (Some(gone), copy(3, 77), waits(Waiting::Unseen)),
        (Some(row(4, Some(confirmed(3, 77)))), copy(3, 77), waits(Waiting::Changed)),
        (Some(row(3, Some(confirmed(2, 77)))), copy(2, 77), waits(Waiting::Pending)),
        (Some(row(3, None)), Held::Nothing, waits(Waiting::Pending)),
        (Some(unsure), Held::Nothing, waits(Waiting::Pending)),
        (Some(blocked), Held::Nothing, waits(Waiting::Blocked)),
    ] {
        let rows = RowRefs { file: row.as_ref(), dir: None };
        let disk = Some(Kind::File(print(3)));
        assert_eq!(judge(disk, rows, held), Some(expected), "{row:?} {held:?}");
    }
}

#[test]
fn a_directory_is_judged_by_whether_it_was_made() {
    let missing = Judged::Differs(Difference::DirectoryMissing { files: 0, bytes: 0 });
    for (known, held, expected) in [
        (Some(dir(false, true)), Held::Directory, Judged::Equal),
        (Some(dir(false, true)), Held::Nothing, missing),
        (Some(dir(false, true)), copy(1, 1), Judged::Differs(Difference::FileInTheWay)),
        (Some(dir(false, false)), Held::Nothing, Judged::Waits(Waiting::Pending)),
        (Some(dir(false, false)), copy(1, 1), Judged::Waits(Waiting::Pending)),
        (Some(dir(true, true)), Held::Directory, Judged::Waits(Waiting::Unseen)),
        (None, Held::Directory, Judged::Waits(Waiting::Unseen)),
    ] {
        let rows = RowRefs { file: None, dir: known.as_ref() };
        assert_eq!(judge(Some(DIR), rows, held), Some(expected), "{known:?} {held:?}");
    }
}

#[test]
fn what_is_in_the_library_only_is_told_by_whose_it_is() {
    let gone = FileRow { gone_at_ms: Some(1), next_at_ms: None, ..synced() };
    let (file, folder) = (Some(&gone), dir(true, true));
    let never = row(3, None);
    let skipped = Some(Kind::Skipped(Skip::Excluded));
    let of = |file, dir| RowRefs { file, dir };
    for (disk, rows, held, expected) in [
        (None, of(file, None), copy(3, 77), Some(Judged::Extra(Extra::Gone))),
        (None, of(None, Some(&folder)), Held::Directory, Some(Judged::Extra(Extra::Gone))),
        (None, of(Some(&never), None), copy(3, 77), Some(Judged::Extra(Extra::Stranger))),
        (None, of(file, None), Held::Directory, Some(Judged::Extra(Extra::Stranger))),
        (None, of(None, None), copy(3, 77), Some(Judged::Extra(Extra::Stranger))),
        (None, of(file, None), Held::Nothing, None),
        (skipped, of(None, None), copy(3, 77), Some(Judged::Extra(Extra::LeftOut))),
        (skipped, of(None, None), Held::Nothing, Some(Judged::LeftOut)),
        (Some(Kind::Unknown), of(file, None), copy(3, 77), Some(Judged::Unseeable)),
    ] {
        assert_eq!(judge(disk, rows, held), expected, "{disk:?} {held:?}");
    }
}

#[test]
fn a_file_that_is_on_its_way_is_never_called_different() {
    let disk = Some(Kind::File(print(3)));
    let rows = |row: FileRow| Rows { file: Some(row), dir: None };
    let again = |before: &Rows, held, after: &Rows| judge_again(disk, before, held, after);
    let before = rows(synced());
    assert_eq!(again(&before, Held::Nothing, &before), Some(MISSING));
    // Confirmed once more, marked because it is being sent, or gone, between the two looks at the journal.
    let later = ConfirmedRow { at_ms: 6, ..confirmed(3, 77) };
    for after in [
        rows(FileRow { confirmed: Some(later), ..synced() }),
        rows(FileRow { unsure: true, next_at_ms: Some(1), ..synced() }),
        Rows::default(),
    ] {
        for (one, other) in [(&before, &after), (&after, &before)] {
            for held in [Held::Nothing, copy(3, 78)] {
                assert_eq!(again(one, held, other), Some(Judged::Waits(Waiting::UnderWay)));
            }
        }
    }
}

/// Anything that may stand at one name.
#[derive(Debug, Clone)]
struct Anything {
    disk: Option<Kind>,
    file: Option<FileRow>,
    dir: Option<KnownDir>,
    held: Option<Held>,
}

fn disk() -> impl Strategy<Value = Option<Kind>> {
    prop_oneof![
        Just(None),
        (1..4_u64).prop_map(|size| Some(Kind::File(print(size)))),
        Just(Some(DIR)),
        Just(Some(Kind::Skipped(Skip::Special))),
        Just(Some(Kind::Unknown)),
    ]
}

fn file() -> impl Strategy<Value = Option<FileRow>> {
    let confirmed = (any::<bool>(), 1..4_u64, 7..9_u64)
        .prop_map(|(is, size, crc64)| is.then(|| confirmed(size, crc64)));
    let parts = (1..4_u64, confirmed, any::<bool>(), any::<bool>());
    let rows = parts.prop_map(|(seen, confirmed, gone, unsure)| FileRow {
        gone_at_ms: gone.then_some(1),
        unsure,
        ..row(seen, confirmed)
    });
    prop::option::of(rows)
}

fn held() -> impl Strategy<Value = Option<Held>> {
    let number = |range: std::ops::Range<u64>| prop::option::of(range);
    let file = (number(1..4), number(7..9)).prop_map(|(size, crc64)| Held::File { size, crc64 });
    prop::option::of(prop_oneof![Just(Held::Directory), file])
}

fn anything() -> impl Strategy<Value = Anything> {
    let known = prop::option::of((any::<bool>(), any::<bool>()).prop_map(|(g, c)| dir(g, c)));
    (disk(), file(), known, held()).prop_map(|(disk, file, dir, held)| Anything {
        disk,
        file,
        dir,
        held,
    })
}

type Told = BTreeMap<Vec<u8>, Judged>;

/// Compares everything in pages of so many entries, as the shell does.
fn paged(all: &BTreeMap<String, Anything>, size: usize) -> Told {
    let named = |(name, one): (&String, &Anything)| (name.clone().into_bytes(), one.clone());
    let all: Vec<(Vec<u8>, Anything)> = all.iter().map(named).collect();
    let entries: Vec<Found> = all
        .iter()
        .filter_map(|(name, one)| one.disk.map(|kind| Found { name: name.clone(), kind }))
        .collect();
    let held: Vec<HeldEntry> = all
        .iter()
        .filter_map(|(name, one)| one.held.map(|held| HeldEntry { name: name.clone(), held }))
        .collect();
    let mut told = Told::new();
    let mut after: Option<Vec<u8>> = None;
    let pages: Vec<&[Found]> = match entries.is_empty() {
        true => vec![&[]],
        false => entries.chunks(size).collect(),
    };
    for (n, entries) in pages.iter().enumerate() {
        let last = n + 1 == pages.len();
        let upto = if last { None } else { entries.last().map(|found| found.name.clone()) };
        let within = |name: &Vec<u8>| {
            after.as_ref().is_none_or(|after| name > after)
                && upto.as_ref().is_none_or(|upto| name <= upto)
        };
        let of_page = || all.iter().filter(|(name, _)| within(name));
        let files: Vec<FileRow> = of_page()
            .filter_map(|(name, one)| {
                let id = EntryId { dir: DirId(1), name: name.clone() };
                one.file.clone().map(|row| FileRow { id, ..row })
            })
            .collect();
        let dirs: Vec<KnownDir> = of_page()
            .filter_map(|(name, one)| {
                one.dir.clone().map(|dir| KnownDir { name: name.clone(), ..dir })
            })
            .collect();
        let held = range(&held, after.as_deref(), upto.as_deref());
        let page = Page { entries, files: &files, dirs: &dirs, held };
        compare(&page, |name, _, _, _, judged| {
            assert!(told.insert(name.to_vec(), judged).is_none(), "{name:?} is told once");
        });
        after = upto;
    }
    told
}

proptest! {
    #[test]
    fn equal_needs_all_three_and_different_needs_a_claim(one in anything()) {
        let rows = Rows { file: one.file.clone(), dir: one.dir.clone() };
        let held = one.held.unwrap_or(Held::Nothing);
        let judged = judge(one.disk, rows.refs(), held);
        match &judged {
            Some(Judged::Equal) => match one.disk {
                Some(Kind::File(seen)) => {
                    let row = one.file.expect("nothing is equal that the journal does not know");
                    let confirmed = row.confirmed.expect("nor what was never confirmed");
                    prop_assert!(row.is_synced() && row.seen == seen);
                    prop_assert_eq!(held, copy(seen.size, confirmed.crc64));
                }
                disk => prop_assert!(disk.is_some_and(Kind::is_dir) && held == Held::Directory),
            },
            Some(Judged::Differs(_)) => prop_assert!(rows.claims()),
            Some(Judged::Extra(_)) => prop_assert!(held != Held::Nothing),
            None => prop_assert!(one.disk.is_none() && held == Held::Nothing),
            Some(Judged::LeftOut | Judged::Waits(_) | Judged::Untold | Judged::Unseeable) => {
                prop_assert!(one.disk.is_some());
            }
        }
        // With steady rows, the second look is as good as the first.
        prop_assert_eq!(judge_again(one.disk, &rows, held, &rows), judged);
    }

    #[test]
    fn pages_of_any_size_tell_the_same(
        all in prop::collection::btree_map("[a-d]{1,2}", anything(), 0..12),
        size in 1..5_usize,
    ) {
        let expected: Told = all
            .iter()
            .filter_map(|(name, one)| {
                let rows = Rows { file: one.file.clone(), dir: one.dir.clone() };
                let judged = judge(one.disk, rows.refs(), one.held.unwrap_or(Held::Nothing))?;
                Some((name.clone().into_bytes(), judged))
            })
            .collect();
        prop_assert_eq!(paged(&all, size), expected);
    }
}
