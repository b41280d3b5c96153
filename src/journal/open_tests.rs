//! Damage: whatever happens to the file, it is used as it is, or set aside whole. It never ends the program.

use fastrand::Rng;

use super::*;
use crate::digest::Hash;
use crate::fingerprint::Fingerprint;
use crate::journal::{ConfirmedRow, EntryId, FileRow};
use crate::relpath::RelPath;

/// A journal with some hundred files, closed and folded up.
fn made(dir: &Path) -> Vec<u8> {
    let (mut journal, _) = Journal::open(dir, "now").expect("a journal");
    let turn = journal.turn().expect("a turn");
    let mirror = turn.adopt_mirror("m", b"/m", "t").expect("a mirror");
    let root = turn.dir_at(mirror.id, &RelPath::root()).expect("a row").expect("a root");
    for n in 0..400_u64 {
        let print = Fingerprint { size: n, mtime_ns: 1, ctime_ns: 2, inode: n };
        let confirmed = ConfirmedRow {
            fingerprint: print,
            full_hash: Hash::from_bytes([7; 32]),
            crc64: n,
            at_ms: 3,
        };
        turn.put_file(&FileRow {
            id: EntryId { dir: root.id, name: format!("file-{n}").into_bytes() },
            seen: print,
            confirmed: (n % 3 > 0).then_some(confirmed),
            changed_at_ms: None,
            next_at_ms: (n % 3 == 0).then_some(5),
            gone_at_ms: None,
            unsure: false,
        })
        .expect("a file");
    }
    turn.commit().expect("committed");
    journal.checkpoint().expect("folded up");
    drop(journal);
    fs::read(dir.join(JOURNAL_FILE)).expect("the file")
}

/// Opens what is there, reads all of it, and says whether it was set aside.
fn survives(bytes: &[u8]) -> bool {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join(JOURNAL_FILE), bytes).expect("a copy");
    let (mut journal, aside) = Journal::open(dir.path(), "then").expect("opened, or set aside");
    if let Some(aside) = &aside {
        assert!(aside.path.display().to_string().contains("then"));
        assert_eq!(fs::read(&aside.path).expect("kept"), bytes, "kept as it was");
    }
    // What was let in can be read to the end, or says that it is damaged.
    let read = journal.all_files().and_then(|_| journal.all_uploads());
    assert!(matches!(read, Ok(_) | Err(JournalError::Damaged(_))), "{read:?}");
    aside.is_some()
}

#[test]
fn an_opening_tells_that_it_gets_on_and_can_be_given_up() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let dir = tempfile::tempdir().expect("a folder");
    let before = made(dir.path());
    let told = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&told);
    let telling: Progress = Arc::new(move || {
        counting.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    });
    drop(Journal::open_telling(dir.path(), "now", Some(&telling)).expect("opened"));
    assert!(told.load(Ordering::Relaxed) > 2, "{told:?}");
    // Given up at any moment, it is neither damaged nor changed.
    for last in [0, 1, 2] {
        let left = AtomicU32::new(last);
        let giving_up: Progress = Arc::new(move || match left.load(Ordering::Relaxed) {
            0 => ControlFlow::Break(()),
            n => {
                left.store(n - 1, Ordering::Relaxed);
                ControlFlow::Continue(())
            }
        });
        let given_up = Journal::open_telling(dir.path(), "now", Some(&giving_up));
        assert!(matches!(given_up, Err(JournalError::GivenUp)), "{given_up:?}");
    }
    assert!(fs::read(dir.path().join(JOURNAL_FILE)).expect("the file") == before);
}

#[test]
fn a_truncated_journal_is_set_aside() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = made(dir.path());
    assert!(!survives(&whole));
    let mut aside = 0;
    for len in (1..whole.len()).step_by(1021) {
        aside += usize::from(survives(&whole[..len]));
    }
    assert!(aside > 10);
    // Nothing at all is a new journal, not a damaged one.
    assert!(!survives(&[]));
}

#[test]
fn flipped_bytes_are_noticed_or_harmless() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = made(dir.path());
    let mut rng = Rng::with_seed(1);
    let mut aside = 0;
    for _ in 0..150 {
        let mut bytes = whole.clone();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..bytes.len());
            bytes[at] ^= 1 << rng.u8(0..8);
        }
        aside += usize::from(survives(&bytes));
    }
    assert!(aside > 10, "{aside}");
}

#[test]
fn a_page_of_noise_is_noticed() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = made(dir.path());
    let mut rng = Rng::with_seed(2);
    for page in 0..whole.len() / 4096 {
        let mut bytes = whole.clone();
        rng.fill(&mut bytes[page * 4096..(page + 1) * 4096]);
        survives(&bytes);
    }
}

#[test]
fn an_earlier_one_that_was_set_aside_is_never_overwritten() {
    let dir = tempfile::tempdir().expect("a folder");
    for _ in 0..3 {
        fs::write(dir.path().join(JOURNAL_FILE), vec![b'x'; 9000]).expect("damage");
        let (_, aside) = Journal::open(dir.path(), "now").expect("opened");
        assert!(aside.is_some());
    }
    let kept = fs::read_dir(dir.path())
        .expect("a folder")
        .filter(|entry| {
            entry.as_ref().expect("an entry").file_name().to_string_lossy().contains("damaged-now")
        })
        .count();
    assert_eq!(kept, 3);
}

#[test]
fn no_byte_of_the_header_ends_the_program() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = made(dir.path());
    for at in 0..100 {
        for bits in [0x01, 0x04, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= bits;
            survives(&bytes);
        }
    }
}

#[test]
fn a_journal_that_is_opened_again_and_again_costs_one_descriptor() {
    let dir = tempfile::tempdir().expect("a folder");
    for _ in 0..20 {
        Journal::open(dir.path(), "now").expect("opened");
    }
    let path = dir.path().join(JOURNAL_FILE);
    let held = fs::read_dir("/proc/self/fd")
        .expect("descriptors")
        // Those of other tests come and go.
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| *target == path)
        .count();
    assert_eq!(held, 1);
}
