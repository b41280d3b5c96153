//! The engine driven by hand: facts in, effects out, no disk, no network, no clock.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::config::{BandwidthLimit, Names, WatchMode};
use crate::digest::{Digest, Hash};
use crate::fingerprint::Fingerprint;
use crate::journal::{EntryState, Reader};
use crate::mirror::events::Event;
use crate::mirror::facts::RemoteListing;
use crate::mirror::requests::Repair;
use crate::mirror::settings::MirrorSettings;
use crate::mirror::step::{Failure, Outcome, Reply, Step};
use crate::tree::{Absent, DirMark, Found, Kind, RootId, Watching};

/// Some directory.
const DIR: Kind = Kind::Dir(DirMark { inode: 0, mounted: false, bound: false, fsid: 0 });

mod fairness;
mod limiting;
mod names;
mod pausing;
mod seeing;

const SETTLE: Duration = Duration::from_secs(2);

struct Hand {
    engine: Engine,
    now: Now,
}

fn print(size: u64, inode: u64) -> Fingerprint {
    Fingerprint { size, mtime_ns: 1_000_000_000, ctime_ns: 1_000_000_000, inode }
}

fn rel(text: &str) -> RelPath {
    RelPath::from_bytes(text.as_bytes().to_vec())
}

fn file(name: &str, print: Fingerprint) -> Found {
    Found { name: name.as_bytes().to_vec(), kind: Kind::File(print) }
}

impl Hand {
    fn new() -> Hand {
        Hand::with_mirrors(1)
    }

    fn with_mirrors(count: usize) -> Hand {
        let mirror = |n: usize| MirrorSettings {
            delete: crate::config::Delete::Keep,
            delete_grace: Duration::from_secs(300),
            max_delete: crate::config::MaxDelete { files: None, percent: None },
            name: if n == 0 { "m".into() } else { format!("m{n}") },
            local: PathBuf::from(format!("/m{n}")),
            remote: if n == 0 { Vec::new() } else { vec![format!("r{n}")] },
            target: format!("lib/-/{n}"),
            names: Names::Skip,
            settle: SETTLE,
            settle_max: Duration::from_secs(300),
            rescan: Duration::from_secs(3600),
            poll_interval: Duration::from_secs(60),
            watch: WatchMode::Auto,
        };
        let settings = Settings {
            mirrors: (0..count).map(mirror).collect(),
            concurrency: 4,
            bandwidth_limit: BandwidthLimit::Always(None),
            zone: TimeZone::UTC,
            multipart_from: u64::MAX,
            once: false,
            dry_run: false,
            lost_journal: None,
        };
        let now = Now { unix_ms: 1_000_000_000, mono_ms: 1_000 };
        let journal = Journal::in_memory().expect("a journal");
        Hand::begin(journal, settings, now)
    }

    /// The process ends, and another one begins.
    fn restarted(self) -> Hand {
        let settings = self.engine.core.settings.clone();
        Hand::begin(self.engine.into_journal(), settings, self.now)
    }

    fn begin(journal: Journal, settings: Settings, now: Now) -> Hand {
        let engine = Engine::new(journal, settings, now, Rng::with_seed(1)).expect("an engine");
        Hand { engine, now }
    }

    fn turn(&mut self, facts: Vec<Fact>) -> Turned {
        self.engine.turn(facts, self.now).expect("a turn")
    }

    fn wait(&mut self, ms: i64) {
        self.now.unix_ms += ms;
        self.now.mono_ms += ms;
    }

    /// A complete scan of a root that holds these entries and no directory.
    fn scan(&mut self, entries: Vec<Found>) -> Turned {
        let first = self.turn(Vec::new());
        assert_eq!(first.effects, [Effect::Root(0)]);
        let seen = Ok((RootId { inode: 2, fsid: 3 }, false));
        let second = self.turn(vec![Fact::Root { mirror: 0, seen }]);
        assert_eq!(second.effects, [Effect::List { mirror: 0, dir: RelPath::root() }]);
        let turned = self.turn(vec![Fact::Page {
            mirror: 0,
            dir: RelPath::root(),
            entries,
            last: true,
            watched: Watching::Kept,
        }]);
        self.adopt(turned)
    }

    /// The remote holds nothing yet, if it is asked.
    fn adopt(&mut self, turned: Turned) -> Turned {
        let asked = turned.effects.iter().find_map(|effect| match effect {
            Effect::ListRemote { job, .. } => Some(*job),
            _ => None,
        });
        let Some(job) = asked else { return turned };
        let result = Ok(RemoteListing::Page { entries: Vec::new(), last: true });
        self.turn(vec![Fact::RemoteListed { job, result }])
    }

    fn looked(&mut self, path: &str, what: Result<Kind, Absent>) -> Turned {
        self.turn(vec![Fact::Looked { mirror: 0, path: rel(path), what, watched: false }])
    }

    fn state(self, path: &str) -> (EntryState, Option<i64>) {
        let id = self.engine.core.mirrors[0].id;
        let status = Reader::of(self.engine.into_journal()).file(id, &rel(path)).expect("a state");
        (status.state, status.row.and_then(|row| row.next_at_ms))
    }
}

fn steps(turned: &Turned) -> Vec<(TransferId, Step)> {
    turned
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Step { transfer, step, .. } => Some((*transfer, step.clone())),
            _ => None,
        })
        .collect()
}

fn digest(size: u64) -> Digest {
    let hash = Hash::from_bytes([1; 32]);
    Digest { size, beginning: hash, full: hash, crc64: 9 }
}

fn confirmed(name: &str, size: u64) -> Outcome {
    Outcome::Confirmed(Reply { path: Some(vec![name.into()]), size: Some(size), crc64: Some(9) })
}

/// Brings the only transfer from its start to the end.
fn finish(hand: &mut Hand, transfer: TransferId, size: u64) -> Turned {
    let outcomes = [
        Outcome::Started { confirm_key: "k".into(), expires_at_ms: None },
        Outcome::Posted { digest: digest(size), crc64: Some(9) },
        confirmed("f", size),
    ];
    outcomes
        .into_iter()
        .fold(Turned::default(), |_, outcome| hand.turn(vec![Fact::Step { transfer, outcome }]))
}

#[test]
fn a_file_that_rested_is_sent_and_synced() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    let started = steps(&turned);
    assert_eq!(started.len(), 1);
    let last = finish(&mut hand, started[0].0, 5);
    assert!(matches!(last.events.as_slice(), [Event::Synced { bytes: 5, .. }]));
    assert_eq!(hand.state("f"), (EntryState::Synced, None));
}

#[test]
fn the_upload_of_a_file_that_is_blocked_for_a_day_is_cancelled() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    let transfer = steps(&turned)[0].0;
    for outcome in [
        Outcome::Started { confirm_key: "k".into(), expires_at_ms: None },
        Outcome::Posted { digest: digest(5), crc64: Some(9) },
    ] {
        hand.turn(vec![Fact::Step { transfer, outcome }]);
    }
    let failure = Failure::new(Class::Local, "permission denied");
    hand.turn(vec![Fact::Step { transfer, outcome: Outcome::Failed(failure) }]);
    for (hours, expected) in [(19, 0), (2, 1)] {
        hand.wait(hours * 3_600_000);
        hand.engine.core.may_leave_orphans(0);
        assert_eq!(steps(&hand.turn(Vec::new())).len(), expected, "after {hours} more hours");
    }
}

fn repair(path: &str) -> Fact {
    Fact::Repair(Repair { mirror: "m".into(), paths: vec![rel(path)] })
}

#[test]
fn a_copy_that_is_doubted_is_sent_again() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    finish(&mut hand, steps(&turned)[0].0, 5);
    let turned = hand.turn(vec![repair("f"), repair("none")]);
    let looked_at = Effect::Look { mirror: 0, paths: vec![rel("f"), rel("none")] };
    assert!(turned.effects.contains(&looked_at), "{turned:?}");
    // Without reading: what was confirmed proves nothing now.
    let started = steps(&turned);
    assert!(matches!(started.as_slice(), [(_, Step::Start(_))]), "{started:?}");
    finish(&mut hand, started[0].0, 5);
    assert_eq!(hand.state("f"), (EntryState::Synced, None));
}

#[test]
fn a_doubt_that_comes_while_a_file_is_sent_is_not_answered_by_that() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    let transfer = steps(&turned)[0].0;
    hand.turn(vec![repair("f")]);
    let turned = finish(&mut hand, transfer, 5);
    let again = steps(&turned);
    assert_eq!(again.len(), 1, "it is sent once more");
    finish(&mut hand, again[0].0, 5);
    assert_eq!(hand.state("f"), (EntryState::Synced, None));
}

#[test]
fn what_is_doubted_as_a_whole_is_listed_before_anything_is_sent() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    finish(&mut hand, steps(&turned)[0].0, 5);
    let turned = hand.turn(vec![repair("")]);
    assert_eq!(steps(&turned), []);
    let asked = turned.effects.iter().any(|effect| matches!(effect, Effect::ListRemote { .. }));
    assert!(asked, "{turned:?}");
    // The library lost everything.
    let turned = hand.adopt(turned);
    assert!(matches!(steps(&turned).as_slice(), [(_, Step::Start(_))]), "{turned:?}");
}

#[test]
fn nothing_waits_for_a_file_that_went_while_it_was_sent() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    finish(&mut hand, steps(&turned)[0].0, 5);
    // It changes, is started, vanishes, and then the post says that it changed.
    hand.wait(10_000);
    let turned = hand.looked("f", Ok(Kind::File(print(6, 10))));
    let transfer = steps(&turned)[0].0;
    hand.looked("f", Err(Absent::Gone));
    hand.turn(vec![Fact::Step { transfer, outcome: Outcome::Changed }]);
    assert_eq!(hand.state("f"), (EntryState::Gone, None));
}

#[test]
fn a_newer_state_is_not_blocked_by_the_failure_of_an_older_one() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    let transfer = steps(&turned)[0].0;
    hand.looked("f", Ok(Kind::File(print(6, 10))));
    let failure = Failure::new(Class::Permanent, "no");
    let turned = hand.turn(vec![Fact::Step { transfer, outcome: Outcome::Failed(failure) }]);
    assert_eq!(steps(&turned).len(), 1, "the newer state is tried");
    assert_eq!(hand.state("f").0, EntryState::Pending);
}

#[test]
fn a_change_while_it_is_sent_is_sent_afterwards() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    let transfer = steps(&turned)[0].0;
    let turned = hand.looked("f", Ok(Kind::File(print(6, 10))));
    assert_eq!(steps(&turned), [], "one upload a path at a time");
    let last = finish(&mut hand, transfer, 5);
    let next = steps(&last);
    assert_eq!(next.len(), 1);
    finish(&mut hand, next[0].0, 6);
    assert_eq!(hand.state("f"), (EntryState::Synced, None));
}

#[test]
fn an_unchanged_scan_asks_for_nothing() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    finish(&mut hand, steps(&turned)[0].0, 5);
    hand.wait(2 * 3_600_000);
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    assert_eq!(turned.effects, [Effect::Sweep(0)]);
    assert!(matches!(turned.events.as_slice(), [Event::Scanned { .. }]));
}

#[test]
fn a_listing_that_fails_forgets_nothing() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    finish(&mut hand, steps(&turned)[0].0, 5);
    hand.wait(2 * 3_600_000);
    hand.turn(Vec::new());
    hand.turn(vec![Fact::Root { mirror: 0, seen: Ok((RootId { inode: 2, fsid: 3 }, false)) }]);
    let why = Absent::Unreadable("input/output error".into());
    hand.turn(vec![Fact::ListFailed { mirror: 0, dir: RelPath::root(), why }]);
    assert_eq!(hand.state("f"), (EntryState::Synced, None));
}

#[test]
fn offline_is_one_state_with_one_prober() {
    let mut hand = Hand::new();
    let files = (0..4).map(|n| file(&format!("f{n}"), print(5, 10 + n))).collect();
    let turned = hand.scan(files);
    let facts = steps(&turned)
        .into_iter()
        .map(|(transfer, _)| Fact::Step {
            transfer,
            outcome: Outcome::Failed(Failure::new(Class::Offline, "refused")),
        })
        .collect();
    let turned = hand.turn(facts);
    assert_eq!(steps(&turned), []);
    hand.wait(1_000);
    let turned = hand.turn(Vec::new());
    assert_eq!(turned.effects, [Effect::Probe]);
    assert_eq!(hand.turn(Vec::new()).effects, []);
    let turned = hand.turn(vec![Fact::Probe(Ok(()))]);
    assert_eq!(steps(&turned).len(), 4, "everything goes on at once");
}

fn many(count: u64) -> Vec<Found> {
    (0..count).map(|n| file(&format!("f{n:05}"), print(5, 100 + n))).collect()
}

fn page(mirror: usize, dir: RelPath, entries: Vec<Found>) -> Fact {
    Fact::Page { mirror, dir, entries, last: true, watched: Watching::Kept }
}

fn root(mirror: usize) -> Fact {
    Fact::Root { mirror, seen: Ok((RootId { inode: 2, fsid: 3 }, false)) }
}

/// Answers every listing of the remote with nothing, until none is asked for. With much in memory, the journal is not
/// asked at once again, but soon. Gives all effects.
fn adopted(hand: &mut Hand, mut turned: Turned) -> Turned {
    let mut all = Turned::default();
    let mut pauses = 0;
    loop {
        let asked: Vec<DirJobId> = turned
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::ListRemote { job, .. } => Some(*job),
                _ => None,
            })
            .collect();
        all.effects.append(&mut turned.effects);
        all.wake_at_ms = turned.wake_at_ms;
        if asked.is_empty() {
            let wait_ms = all.wake_at_ms.map(|at| at - hand.now.mono_ms);
            match wait_ms.filter(|ms| (1..200).contains(ms) && pauses < 3) {
                Some(ms) => hand.wait(ms),
                None => return all,
            }
            pauses += 1;
            turned = hand.turn(Vec::new());
            continue;
        }
        let facts = asked
            .into_iter()
            .map(|job| Fact::RemoteListed { job, result: Ok(RemoteListing::Nothing) })
            .collect();
        turned = hand.turn(facts);
    }
}

#[test]
fn a_directory_that_is_refused_with_thousands_of_files_keeps_nobody_waiting() {
    let mut hand = Hand::new();
    hand.turn(Vec::new());
    hand.turn(vec![root(0)]);
    let dir = Found { name: b"d".to_vec(), kind: DIR };
    let last = file("z", print(900, 7));
    let mut first = hand.turn(vec![page(0, RelPath::root(), vec![dir, last])]);
    let second = hand.turn(vec![page(0, rel("d"), many(5_000))]);
    first.effects.extend(second.effects);
    let turned = adopted(&mut hand, first);
    let mut started = steps(&turned).len();
    let job = turned
        .effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Directory { job, .. } => Some(*job),
            _ => None,
        })
        .expect("the directory is to be made");
    let refused = Failure::new(Class::Permanent, "a file is in the way");
    let mut turned = hand.turn(vec![Fact::Directory { job, result: Err(refused) }]);
    // Without any news: as long as there is something to go through, the engine asks for the next turn at once.
    started += steps(&turned).len();
    for _ in 0..20 {
        if turned.wake_at_ms.is_none_or(|at| at > hand.now.mono_ms) {
            break;
        }
        turned = hand.turn(Vec::new());
        started += steps(&turned).len();
    }
    assert_eq!(started, 1, "the file behind them is sent");
    assert_eq!(hand.state("d/f04999").0, EntryState::Blocked);
}

#[test]
fn a_held_mirror_with_much_to_do_keeps_no_other_waiting() {
    let mut hand = Hand::with_mirrors(2);
    hand.turn(Vec::new());
    hand.turn(vec![root(0)]);
    hand.turn(vec![page(0, RelPath::root(), many(5_000))]);
    // Its filesystem goes away before anything of it is sent.
    let gone = Absent::Root("not mounted".into());
    hand.turn(vec![Fact::Looked {
        mirror: 0,
        path: rel("f00001"),
        what: Err(gone),
        watched: false,
    }]);
    hand.turn(vec![root(1)]);
    let turned = hand.turn(vec![page(1, RelPath::root(), vec![file("f", print(5, 10))])]);
    let turned = adopted(&mut hand, turned);
    let of_b = turned.effects.iter().any(|effect| {
        matches!(effect, Effect::Step { mirror: 1, .. })
            || matches!(effect, Effect::Directory { .. })
    });
    assert!(of_b, "{:?}", turned.effects.len());
}

#[test]
fn a_key_that_cannot_be_confirmed_is_tried_with_pauses_and_not_for_ever() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    let transfer = steps(&turned)[0].0;
    hand.turn(vec![Fact::Step {
        transfer,
        outcome: Outcome::Started { confirm_key: "k".into(), expires_at_ms: None },
    }]);
    hand.turn(vec![Fact::Step {
        transfer,
        outcome: Outcome::Posted { digest: digest(5), crc64: Some(9) },
    }]);
    // A newer state appears, and the older one cannot be confirmed.
    hand.looked("f", Ok(Kind::File(print(6, 10))));
    hand.wait(5_000);
    let mut transfer = transfer;
    let mut confirms = 0;
    loop {
        let failure = Failure::new(Class::Transient, "500");
        let turned = hand.turn(vec![Fact::Step { transfer, outcome: Outcome::Failed(failure) }]);
        assert_eq!(steps(&turned), [], "not at once");
        hand.wait(700_000);
        let step = hand
            .turn(vec![Fact::Root { mirror: 0, seen: Ok((RootId { inode: 2, fsid: 3 }, false)) }]);
        let Some((next, step)) = steps(&step).into_iter().next() else { panic!("tried again") };
        transfer = next;
        match step {
            Step::Confirm { .. } => confirms += 1,
            Step::Cancel { .. } => break,
            other => panic!("{other:?}"),
        }
        assert!(confirms < 10, "the newer state waits for ever");
    }
    let turned = hand.turn(vec![Fact::Step { transfer, outcome: Outcome::Done }]);
    assert!(matches!(steps(&turned)[..], [(_, Step::Start(_))]), "the newer state is sent");
}

#[test]
fn going_back_while_another_state_becomes_visible_is_not_called_synced() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    finish(&mut hand, steps(&turned)[0].0, 5);
    // Another state is posted and its confirm is on its way, when the first comes back with inode and times.
    hand.wait(10_000);
    let turned = hand.looked("f", Ok(Kind::File(print(6, 11))));
    let transfer = steps(&turned)[0].0;
    hand.turn(vec![Fact::Step {
        transfer,
        outcome: Outcome::Started { confirm_key: "k".into(), expires_at_ms: None },
    }]);
    hand.looked("f", Ok(Kind::File(print(5, 10))));
    hand.turn(vec![Fact::Step {
        transfer,
        outcome: Outcome::Posted { digest: digest(6), crc64: Some(9) },
    }]);
    // Its answer is lost, and then nothing is known of the key any more.
    let failure = Failure::new(Class::Transient, "no answer");
    hand.turn(vec![Fact::Step { transfer, outcome: Outcome::Failed(failure) }]);
    assert_ne!(hand.state("f").0, EntryState::Synced);
}

#[test]
fn a_file_that_is_never_still_is_not_sent_again_and_again() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    let mut transfer = steps(&turned)[0].0;
    let mut reads = 1;
    // Written all the time, for an hour.
    for second in 0..3_600_u64 {
        hand.wait(970);
        let print = Fingerprint { size: 5 + second, ctime_ns: hand.now.unix_ns(), ..print(5, 10) };
        let mut facts = vec![Fact::Looked {
            mirror: 0,
            path: rel("f"),
            what: Ok(Kind::File(print)),
            watched: false,
        }];
        facts.push(Fact::Step { transfer, outcome: Outcome::Changed });
        hand.turn(facts);
        // The next write is a moment away.
        hand.wait(30);
        let turned = hand.turn(Vec::new());
        if let Some((next, _)) = steps(&turned).first() {
            transfer = *next;
            reads += 1;
        }
    }
    assert!(reads < 30, "{reads} reads in an hour");
    assert!(reads > 8, "{reads}: it is read at the end of its patience");
}

#[test]
fn the_pages_of_a_listing_that_was_given_up_never_mix_with_those_of_the_next() {
    let mut hand = Hand::new();
    hand.turn(Vec::new());
    let first = hand.turn(vec![root(0)]);
    assert_eq!(first.effects, [Effect::List { mirror: 0, dir: RelPath::root() }]);
    // The root goes, and is there again, while that listing is still under way.
    let gone = Absent::Root("not mounted".into());
    hand.turn(vec![Fact::Looked { mirror: 0, path: rel("x"), what: Err(gone), watched: false }]);
    hand.wait(20_000);
    hand.turn(Vec::new());
    let second = hand.turn(vec![root(0)]);
    assert_eq!(second.effects, [], "it waits for the end of the first");
    let dir = |name: &str| Found { name: name.as_bytes().to_vec(), kind: DIR };
    let stale = page(0, RelPath::root(), vec![dir("old")]);
    let third = hand.turn(vec![stale]);
    assert_eq!(third.effects, [Effect::List { mirror: 0, dir: RelPath::root() }]);
    hand.turn(vec![page(0, RelPath::root(), vec![dir("new")])]);
    assert_eq!(hand.state("old").0, EntryState::Unknown);
}

#[test]
fn an_empty_page_says_nothing_about_what_comes_after_it() {
    let mut hand = Hand::new();
    let turned = hand.scan(vec![file("f", print(5, 10))]);
    finish(&mut hand, steps(&turned)[0].0, 5);
    hand.wait(2 * 3_600_000);
    hand.turn(Vec::new());
    hand.turn(vec![root(0)]);
    hand.turn(vec![Fact::Page {
        mirror: 0,
        dir: RelPath::root(),
        entries: Vec::new(),
        last: false,
        watched: Watching::Kept,
    }]);
    assert_eq!(hand.state("f").0, EntryState::Synced);
}
