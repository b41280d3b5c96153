//! Random lives of one file: whatever is seen, sent and lost in whatever order, its row never says too much and never
//! plans too little. The seed is printed; it is the whole life.

use fastrand::Rng;

use super::*;
use crate::digest::Hash;
use crate::journal::DirId;

const REST: Rest = Rest { settle: Duration::from_secs(2), settle_max: Duration::from_secs(300) };
const LIVES: u64 = 20_000;
const EVENTS: usize = 60;

/// A state of the file. Equal fingerprints are equal states.
type State = Fingerprint;

/// One file, its copy, and what the journal says.
struct Life {
    dice: Rng,
    now_ms: i64,
    /// States that the file ever had.
    ever: Vec<State>,
    disk: Option<State>,
    /// What the disk was when it was last looked at.
    looked: Option<State>,
    /// What the library holds.
    held: Option<State>,
    row: Option<FileRow>,
    wrong: Wrong,
    /// What is being sent, and whether it may be visible already.
    sending: Option<(State, bool)>,
    trace: Vec<String>,
}

fn id() -> EntryId {
    EntryId { dir: DirId(1), name: b"f".to_vec() }
}

impl Life {
    fn new(seed: u64) -> Life {
        Life {
            dice: Rng::with_seed(seed),
            now_ms: 1_000_000_000,
            ever: Vec::new(),
            disk: None,
            looked: None,
            held: None,
            row: None,
            wrong: Wrong::Nothing,
            sending: None,
            trace: Vec::new(),
        }
    }

    fn event(&mut self) {
        self.now_ms += self.dice.i64(0..5_000);
        let what = match self.dice.u8(0..14) {
            0 => self.write(),
            1 => self.take_back(),
            2 => self.remove(),
            3..7 => self.look(),
            7..10 => self.begin(),
            10..12 => self.become_visible(),
            _ => self.end(),
        };
        self.trace.push(format!("{what}: {:?}", self.row));
    }

    fn write(&mut self) -> &'static str {
        // Times are those of other files now and then, as after `cp -p`; ctime is that of the write.
        let mtime_ns = if self.dice.bool() { 7 } else { self.now_ms * 1_000_000 };
        let state = Fingerprint {
            size: self.dice.u64(0..2),
            mtime_ns,
            ctime_ns: self.now_ms * 1_000_000 + self.dice.i64(0..1_000_000),
            inode: self.dice.u64(1..3),
        };
        self.ever.push(state);
        self.disk = Some(state);
        "write"
    }

    /// Where fingerprints hold no ctime, a file can be again what it was.
    fn take_back(&mut self) -> &'static str {
        self.disk = self.dice.choice(&self.ever).copied();
        "take back"
    }

    fn remove(&mut self) -> &'static str {
        self.disk = None;
        "remove"
    }

    fn look(&mut self) -> &'static str {
        self.looked = self.disk;
        match (self.disk, &self.row) {
            (None, None) => {}
            (None, Some(row)) => {
                match file_vanished(row, self.now_ms) {
                    Vanished::Nothing => {}
                    Vanished::Remove => self.row = None,
                    Vanished::Put(row) => self.row = Some(*row),
                }
                self.wrong = Wrong::Nothing;
            }
            (Some(seen), row) => self.saw(row.clone().as_ref(), seen),
        }
        "look"
    }

    fn saw(&mut self, before: Option<&FileRow>, seen: State) {
        let since = self.dice.bool().then_some(self.now_ms - 1);
        let changed = before.is_none_or(|row| row.seen != seen || row.gone_at_ms.is_some());
        match file_seen(&id(), before, self.wrong, seen, REST, since, self.now_ms) {
            Seen::Nothing => assert!(!changed, "a change that nobody writes down"),
            Seen::Retry(row) => self.row = Some(row),
            Seen::Put(row) => {
                // What changed is not kept waiting, whatever was wrong with it before.
                let latest = self.now_ms + 300_000 + 2_000;
                assert!(row.next_at_ms.is_none_or(|at| at <= latest), "planned for too late");
                self.row = Some(row);
                self.wrong = Wrong::Nothing;
            }
        }
    }

    /// A transfer begins with the state that was seen, when that is due.
    fn begin(&mut self) -> &'static str {
        let due =
            self.row.as_ref().filter(|row| row.next_at_ms.is_some_and(|at| at <= self.now_ms));
        if let (None, Some(row)) = (self.sending, due) {
            self.sending = Some((row.seen, false));
        }
        "begin"
    }

    /// The journal says so before the service is asked; when it takes effect is the business of the service.
    fn become_visible(&mut self) -> &'static str {
        let Some((state, visible)) = self.sending.as_mut() else { return "nothing" };
        if !*visible && let Some(row) = self.row.as_mut() {
            // As `Turn::set_unsure` does.
            row.unsure = true;
            if row.gone_at_ms.is_none() {
                row.next_at_ms = row.next_at_ms.or(Some(self.now_ms));
            }
        }
        *visible = true;
        if self.dice.bool() {
            self.held = Some(*state);
        }
        "may be visible"
    }

    /// The transfer succeeds, fails, or is lost in a crash.
    fn end(&mut self) -> &'static str {
        let Some((sent, visible)) = self.sending.take() else { return "nothing" };
        if visible && self.dice.bool() {
            self.held = Some(sent);
            let confirmed = ConfirmedRow {
                fingerprint: sent,
                full_hash: Hash::from_bytes([0; 32]),
                crc64: 1,
                at_ms: self.now_ms,
            };
            self.row = Some(file_confirmed(&id(), self.row.take(), confirmed, self.now_ms));
            self.wrong = Wrong::Nothing;
            return "confirmed";
        }
        if visible && self.dice.bool() {
            self.held = Some(sent);
        }
        if let Some(row) = self.row.as_mut().filter(|row| row.next_at_ms.is_some()) {
            let (wrong, next) = match self.dice.u8(0..3) {
                0 => (Wrong::AtScan, NEVER_MS),
                1 => (Wrong::Other, NEVER_MS),
                _ => (Wrong::Other, self.now_ms + self.dice.i64(0..60_000)),
            };
            (self.wrong, row.next_at_ms) = (wrong, Some(next));
        }
        "failed"
    }

    fn check(&self) {
        let Some(row) = &self.row else { return };
        assert_eq!(row.id, id());
        if row.gone_at_ms.is_some() {
            assert_eq!(row.next_at_ms, None, "something is planned for a file that is gone");
            assert!(row.confirmed.is_some(), "gone, and never was in the library");
            assert!(!row.is_synced());
            return;
        }
        assert_eq!(Some(row.seen), self.looked, "the row is not what was seen last");
        if row.is_synced() {
            assert!(!row.unsure);
            assert_eq!(row.confirmed.map(|confirmed| confirmed.fingerprint), Some(row.seen));
            assert_eq!(
                self.held, self.looked,
                "called synced, and the library holds something else"
            );
        } else {
            assert!(row.next_at_ms.is_some(), "not mirrored, and nothing is planned");
            assert!(
                row.changed_at_ms.is_some() || row.unsure,
                "waits, and since when is not known"
            );
        }
    }
}

#[test]
fn a_row_never_says_too_much_and_never_plans_too_little() {
    let mut synced = 0;
    for seed in 0..LIVES {
        let mut life = Life::new(seed);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..EVENTS {
                life.event();
                life.check();
                synced += u64::from(life.row.as_ref().is_some_and(FileRow::is_synced));
            }
        }));
        assert!(ended.is_ok(), "the life of seed {seed} failed:\n{}", life.trace.join("\n"));
    }
    assert!(synced > LIVES, "most lives know a moment of rest: {synced}");
}
