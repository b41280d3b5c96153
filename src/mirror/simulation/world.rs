//! One history: a folder, a service, an engine, a clock moved by hand, and dice. Everything that happens is drawn
//! from one seed, so the same seed is the same history.

mod perform;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use fastrand::Rng;
use jiff::tz::TimeZone;

use super::disk::{Content, Disk, Node};
use super::service::{Service, refusal};
use crate::clock::Now;
use crate::config::{BandwidthLimit, Delete, MaxDelete, Names, WatchMode};
use crate::failure::Class;
use crate::journal::Journal;
use crate::mirror::engine::Engine;
use crate::mirror::facts::{
    DirJobId, Doomed, Effect, Fact, Relocated, Removed, TransferId, Turned,
};
use crate::mirror::requests::{Answer, Pause, Repair, Rescan, Resume, Retry};
use crate::mirror::settings::{MirrorSettings, Settings};
use crate::mirror::step::{Failure, Outcome, Step};
use crate::relpath::RelPath;
use crate::tree::{RootError, RootId, Watching, local_name, remote_path};

/// Entries of one page of a listing: few, so that directories change between pages.
const PAGE: usize = 3;
pub(super) const CONCURRENCY: usize = 4;
/// Some of the files that are made are sent in parts.
const MULTIPART_FROM: u64 = 2 * crate::digest::BEGINNING_LEN;

/// What goes wrong in a history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mood {
    /// Probability that a call fails.
    pub(super) faults: f64,
    /// Probability that a hint is lost.
    pub(super) lost_hints: f64,
    /// The last commits may be lost in a crash.
    pub(super) power_cuts: bool,
    /// What happens to the copies of what is gone.
    pub(super) delete: Delete,
    /// How long it is gone before.
    pub(super) grace_ms: u64,
    /// More deletes at once wait for a person.
    pub(super) max_delete: MaxDelete,
    /// So many directories can be watched.
    pub(super) watches: usize,
}

impl Mood {
    /// Nothing goes wrong, and nothing is deleted.
    pub(super) fn calm() -> Mood {
        Mood {
            faults: 0.0,
            lost_hints: 0.0,
            power_cuts: false,
            delete: Delete::Keep,
            grace_ms: 300_000,
            max_delete: MaxDelete { files: None, percent: None },
            watches: usize::MAX,
        }
    }
}

/// An effect that was handed out and is not over.
#[derive(Debug)]
enum Flight {
    Ready(Effect),
    /// Names that were read; the rest of the pages is still to come.
    Listing {
        dir: RelPath,
        names: Vec<Vec<u8>>,
        at: usize,
    },
    /// The bytes are being read and sent.
    Posting {
        transfer: TransferId,
        path: RelPath,
        expected: Content,
        step: Effect,
        key: String,
    },
}

/// The whole.
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) disk: Disk,
    pub(super) service: Service,
    pub(super) engine: Option<Engine>,
    pub(super) now: Now,
    pub(super) mood: Mood,
    flights: Vec<Flight>,
    facts: VecDeque<Fact>,
    forms: HashMap<TransferId, String>,
    /// Confirms that were on their way when the process died: they may still take effect.
    ghosts: Vec<(String, u64)>,
    /// The journal as it was after earlier turns; the newest last.
    commits: VecDeque<Journal>,
    wake_at_ms: Option<i64>,
    /// Everything fails with this class for a while.
    pub(super) outage: Option<Class>,
    pub(super) trace: Vec<String>,
    pub(super) tracing: bool,
    /// The trace is also shown as it comes.
    pub(super) loud: bool,
    /// Empty directories were removed on the remote behind our back.
    pub(super) dirs_lost: bool,
    /// Directories that this process watches: which one it was when it was listed.
    watches: BTreeMap<RelPath, u64>,
    /// Where watches were dropped, and nobody looked since.
    broken: BTreeSet<RelPath>,
    /// Directories that are listed and not watched: nobody tells of them.
    polled: BTreeSet<RelPath>,
    /// The kernel could not tell of everything: only a scan finds it.
    pub(super) hints_lost: bool,
    /// Files whose content was read to be hashed.
    pub(super) hashed: u64,
    /// A key was handed out, or its cancelling failed, and nobody is left who knows it.
    pub(super) keys_leaked: bool,
    remote_root: Vec<String>,
    /// Since when what is not on disk is not, monotonic milliseconds.
    pub(super) absent: BTreeMap<RelPath, i64>,
    /// The clock that people set was set, or nobody looked for a while: what came and went meanwhile was not seen.
    pub(super) time_is_unsure: bool,
    /// How names are written in the library.
    pub(super) names: Names,
    /// A person changes that at times, while no process runs.
    pub(super) changes_names: bool,
    /// Copies under names of the other kind are there too.
    pub(super) both_names: bool,
    /// Transfers that were begun: a paused mirror begins no other.
    begun: BTreeSet<TransferId>,
}

impl World {
    pub(super) fn new(seed: u64, mood: Mood, remote_root: &[&str], names: Names) -> World {
        let mut world = World {
            rng: Rng::with_seed(seed),
            disk: Disk::new(),
            service: Service::default(),
            engine: None,
            now: Now { unix_ms: 1_800_000_000_000, mono_ms: 1_000 },
            mood,
            flights: Vec::new(),
            facts: VecDeque::new(),
            forms: HashMap::new(),
            ghosts: Vec::new(),
            commits: VecDeque::new(),
            wake_at_ms: Some(0),
            outage: None,
            trace: Vec::new(),
            tracing: false,
            loud: false,
            dirs_lost: false,
            watches: BTreeMap::new(),
            broken: BTreeSet::new(),
            polled: BTreeSet::new(),
            hints_lost: false,
            hashed: 0,
            keys_leaked: false,
            remote_root: remote_root.iter().map(|name| (*name).to_owned()).collect(),
            absent: BTreeMap::new(),
            time_is_unsure: false,
            names,
            changes_names: false,
            both_names: false,
            begun: BTreeSet::new(),
        };
        world.service.has_bin = world.rng.u8(0..4) > 0;
        let journal = Journal::in_memory().expect("a journal");
        world.begin(journal);
        world
    }

    fn settings(&self) -> Settings {
        Settings {
            mirrors: vec![MirrorSettings {
                name: "m".into(),
                local: PathBuf::from("/m"),
                remote: self.remote_root.clone(),
                target: format!("lib/-/x {:?}", self.names),
                names: self.names,
                settle: Duration::from_secs(2),
                settle_max: Duration::from_secs(60),
                rescan: Duration::from_secs(3600),
                poll_interval: Duration::from_secs(60),
                watch: WatchMode::Auto,
                delete: self.mood.delete,
                delete_grace: Duration::from_millis(self.mood.grace_ms),
                max_delete: self.mood.max_delete,
            }],
            concurrency: CONCURRENCY,
            bandwidth_limit: BandwidthLimit::Always(None),
            zone: TimeZone::UTC,
            multipart_from: MULTIPART_FROM,
            once: false,
            dry_run: false,
            lost_journal: None,
        }
    }

    /// A process starts with this journal.
    pub(super) fn begin(&mut self, journal: Journal) {
        let dice = Rng::with_seed(self.rng.u64(..));
        let engine =
            Engine::new(journal, self.settings(), self.now, dice).expect("an engine starts");
        self.engine = Some(engine);
        self.wake_at_ms = Some(self.now.mono_ms);
    }

    pub(super) fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("a process runs")
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if self.tracing {
            let line = format!("{} {}", self.now.mono_ms, what());
            if self.loud {
                eprintln!("{line}");
            }
            self.trace.push(line);
        }
    }

    pub(super) fn target(&self, path: &RelPath) -> Vec<String> {
        remote_path(self.names, &self.remote_root, path).expect("names that are taken")
    }

    /// The paths whose copy may lie there: one for each way of writing names.
    pub(super) fn paths_of(&self, target: &[String]) -> Vec<RelPath> {
        let below = target.get(self.remote_root.len()..).unwrap_or_default();
        let other = if self.names == Names::Skip { Names::Escape } else { Names::Skip };
        let rules = if self.both_names { vec![self.names, other] } else { vec![self.names] };
        // A directory may have been moved since with copies of the other kind in it.
        below.iter().fold(vec![RelPath::root()], |paths, name| {
            let names: Vec<Vec<u8>> =
                rules.iter().filter_map(|rule| local_name(*rule, name)).collect();
            paths.iter().flat_map(|path| names.iter().map(|name| path.join(name))).collect()
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.facts.is_empty()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Path and transfer of each step that uses a connection: to read a part takes none.
    pub(super) fn transfers_in_flight(&self) -> Vec<(RelPath, TransferId)> {
        self.flights
            .iter()
            .filter_map(|flight| match flight {
                Flight::Ready(Effect::Step { step: Step::ReadPart { .. }, .. }) => None,
                Flight::Ready(Effect::Step { path, transfer, .. })
                | Flight::Posting { path, transfer, .. } => Some((path.clone(), *transfer)),
                Flight::Ready(_) | Flight::Listing { .. } => None,
            })
            .collect()
    }

    pub(super) fn wait(&mut self, ms: i64) {
        self.now.unix_ms += ms;
        self.now.mono_ms += ms;
    }

    /// Goes on to the next time that the engine asked for.
    pub(super) fn wait_for_wake(&mut self) -> bool {
        let Some(at) = self.wake_at_ms else { return false };
        let ms = (at - self.now.mono_ms).max(1);
        self.wait(ms);
        true
    }

    /// A turn with what waits, or a part of it.
    pub(super) fn turn(&mut self) {
        let most = if self.mood.faults > 0.0 { self.rng.usize(1..8) } else { 64 };
        let taken = most.min(self.facts.len());
        let facts: Vec<Fact> = self.facts.drain(..taken).collect();
        self.note(|| format!("facts {facts:?}"));
        let now = self.now;
        let Turned { effects, wake_at_ms, .. } =
            self.engine().turn(facts, now).expect("a turn never fails");
        self.wake_at_ms = wake_at_ms;
        if effects.iter().any(Effect::must_be_remembered) {
            // What was committed is on the disk before these are handed out.
            self.commits.clear();
        }
        if self.mood.power_cuts {
            let copy = self.engine().journal().copy().expect("a copy");
            self.commits.push_back(copy);
            if self.commits.len() > 6 {
                self.commits.pop_front();
            }
        }
        let paused = self.engine().pauses();
        for effect in effects {
            self.note(|| format!("effect {effect:?}"));
            self.mind_the_pause(&effect, paused);
            match effect {
                Effect::Forget(transfer) => {
                    self.forms.remove(&transfer);
                }
                other => self.flights.push(Flight::Ready(other)),
            }
        }
    }

    /// While a mirror is paused, nothing begins; what is under way goes on.
    fn mind_the_pause(&mut self, effect: &Effect, paused: bool) {
        let begins = match effect {
            Effect::Step { transfer, .. } => self.begun.insert(*transfer),
            Effect::Directory { .. }
            | Effect::ListRemote { .. }
            | Effect::Remove { .. }
            | Effect::Relocate { .. }
            | Effect::AskForBin => true,
            _ => false,
        };
        assert!(!paused || !begins, "it is paused, and this begins: {effect:?}");
    }

    /// A person wants nothing to be sent for a while, or for ever, or changes their mind, or wants a look.
    pub(super) fn whim(&mut self, whims: &mut Rng) {
        let mirror = "m".to_owned();
        let until_ms = whims.bool().then(|| self.now.unix_ms + whims.i64(-1_000..60_000));
        self.facts.push_back(match whims.u8(0..4) {
            0 | 1 => Fact::Pause(Pause { mirror, until_ms }),
            2 => Fact::Resume(Resume { mirror }),
            _ => {
                let dirs = self.disk.paths(|node| matches!(node, Node::Dir { .. }));
                let path = whims.choice(&dirs).cloned().unwrap_or_else(RelPath::root);
                Fact::Rescan(Rescan { mirror, path })
            }
        });
    }

    /// Whatever a person paused goes on.
    pub(super) fn go_on(&mut self) {
        self.facts.push_back(Fact::Resume(Resume { mirror: "m".to_owned() }));
    }

    /// SIGKILL, or with power cuts a loss of the last commits too. A new process starts.
    pub(super) fn crash(&mut self) {
        let mut journal = self.engine.take().expect("a process runs").into_journal();
        let lost = if self.mood.power_cuts { self.rng.usize(0..4) } else { 0 };
        for _ in 0..lost {
            if let Some(earlier) = self.commits.pop_back() {
                journal = earlier;
            }
        }
        self.commits.clear();
        self.keys_leaked |= lost > 0
            || self
                .facts
                .iter()
                .any(|fact| matches!(fact, Fact::Step { outcome: Outcome::Started { .. }, .. }));
        self.time_is_unsure = true;
        self.note(|| format!("crash, {lost} commits lost"));
        for flight in std::mem::take(&mut self.flights) {
            self.die(flight, lost > 0);
        }
        self.facts.clear();
        self.forms.clear();
        self.begun.clear();
        self.watches.clear();
        self.polled.clear();
        let ms = self.rng.i64(1..5_000);
        self.wait(ms);
        if self.changes_names && self.rng.bool() {
            // Nothing is so late that it comes after that.
            while self.ghosts_left() {
                self.ghost();
            }
            self.names = if self.names == Names::Skip { Names::Escape } else { Names::Skip };
            // What is known of the other copies is forgotten, and so are their keys.
            self.keys_leaked = true;
        }
        self.begin(journal);
    }

    /// What becomes of an effect whose process died: nothing, or it had its effect and nobody heard of it. A confirm
    /// may even arrive later: its key is in the journal. (After a power cut there is no later: it was the machine.)
    fn die(&mut self, flight: Flight, power_cut: bool) {
        if self.rng.bool() {
            return;
        }
        match flight {
            Flight::Posting { key, expected, .. } => {
                let _ = self.service.post(&key, expected);
            }
            Flight::Ready(Effect::Step {
                step: Step::Confirm { confirm_key, crc64, .. }, ..
            }) => {
                if power_cut || self.rng.bool() {
                    let _ = self.service.confirm(&confirm_key, crc64, false);
                } else {
                    self.ghosts.push((confirm_key, crc64));
                }
            }
            Flight::Ready(Effect::Step {
                step: Step::Move { from, size, crc64 }, target, ..
            }) => {
                let _ = self.service.move_file(&from, &target, size, crc64);
            }
            Flight::Ready(Effect::Remove { path, target, what, permanent, .. }) => {
                let _ = self.delete(&path, &target, what, permanent);
            }
            Flight::Ready(Effect::Relocate { from, to, inode, source, target, .. }) => {
                if self.is_moved(&from, &to, inode) {
                    let _ = self.service.move_directory(&source, &target);
                }
            }
            Flight::Ready(Effect::Step { step, path, target, .. }) => {
                let Some((content, ..)) = self.disk.file(&path) else { return };
                match step {
                    Step::Start(hashes) => {
                        let _ = self.service.start(&target, content, hashes, None);
                    }
                    Step::StartParts { hashes, parts } => {
                        let _ = self.service.start(&target, content, hashes, Some(parts));
                    }
                    Step::SendPart { confirm_key, part, crc64, .. }
                        if content.part(part).1 == crc64 =>
                    {
                        let _ = self.service.take_part(&confirm_key, part, content);
                    }
                    _ => {}
                }
            }
            Flight::Ready(Effect::Directory { target, .. }) => {
                let _ = self.service.create_directory(&target);
            }
            Flight::Ready(_) | Flight::Listing { .. } => {}
        }
    }

    /// A confirm of a dead process arrives.
    pub(super) fn ghost(&mut self) {
        if let Some((key, crc64)) = self.ghosts.pop() {
            self.note(|| format!("ghost {key}"));
            let _ = self.service.confirm(&key, crc64, false);
        }
    }

    /// Something changed at `path`, as the watch of its directory tells: if there is one, and if it is still that
    /// directory that was listed.
    pub(super) fn hint(&mut self, path: &RelPath) {
        if self.rng.f64() < self.mood.lost_hints {
            self.hints_lost = true;
            return;
        }
        let Some(dir) = path.parent() else { return };
        if self.polled.contains(&dir) {
            self.hints_lost = true;
            return;
        }
        let watched = self.watches.get(&dir).copied();
        if watched.is_none() || watched != self.disk.dir_inode(&dir) {
            return;
        }
        self.facts.push_back(Fact::Hints { mirror: 0, paths: vec![path.clone()] });
    }

    /// What was renamed, and what was overwritten, is not watched any more, with everything in it: so does the watcher
    /// when it hears of it.
    pub(super) fn moved(&mut self, from: &RelPath, to: &RelPath) {
        self.watches.retain(|dir, _| !dir.is_within(from) && !dir.is_within(to));
        self.broken.extend([from.clone(), to.clone()]);
        // What was absent in a directory is absent in it since then, whatever it is called.
        let below: Vec<(RelPath, i64)> = self
            .absent
            .iter()
            .filter_map(|(path, since)| {
                let rest = path.as_bytes().strip_prefix(from.as_bytes())?.strip_prefix(b"/")?;
                Some((to.join(rest), *since))
            })
            .collect();
        self.absent.extend(below);
    }

    pub(super) fn overflow(&mut self) {
        self.facts.push_back(Fact::Overflow);
    }

    /// A person decides about what is held.
    pub(super) fn answer(&mut self) {
        for hold in self.engine().journal().all_holds().expect("the journal can be read") {
            let approve = self.rng.bool();
            self.facts.push_back(Fact::Answer(Answer {
                hold,
                approve,
                asked_ms: self.now.unix_ms,
            }));
        }
    }

    /// Files that the disk does not show, and since when it does not.
    pub(super) fn mind_what_is_absent(&mut self) {
        let World { disk, absent, now, .. } = self;
        // A directory under its name is not the file.
        let is_there =
            |path: &RelPath| matches!(disk.nodes.get(path), Some(Node::File { .. } | Node::Link));
        absent.retain(|path, _| !is_there(path));
        for (path, _) in &disk.ever {
            if !is_there(path) {
                absent.entry(path.clone()).or_insert(now.mono_ms);
            }
        }
    }

    pub(super) fn retry(&mut self) {
        self.facts.push_back(Fact::Retry(Retry::All));
    }

    /// A person has copies proven anew: of an entry, or of everything.
    pub(super) fn repair(&mut self) {
        let all = self.disk.paths(|_| true);
        let one = self.rng.choice(&all).filter(|_| self.rng.u8(0..4) > 0);
        let paths = vec![one.cloned().unwrap_or_default()];
        self.facts.push_back(Fact::Repair(Repair { mirror: "m".into(), paths }));
    }

    /// Lets the n-th effect that is under way go on.
    pub(super) fn progress(&mut self, nth: usize) {
        if self.flights.is_empty() {
            return;
        }
        let flight = self.flights.swap_remove(nth % self.flights.len());
        self.note(|| format!("progress {flight:?}"));
        match flight {
            Flight::Listing { dir, names, at } => self.list_page(dir, names, at),
            Flight::Posting { transfer, path, expected, step, key } => {
                self.posted(transfer, &path, expected, &step, &key);
            }
            Flight::Ready(effect) => self.perform(effect),
        }
    }

    pub(super) fn ghosts_left(&self) -> bool {
        !self.ghosts.is_empty()
    }

    /// The root is there, and is what it was.
    pub(super) fn root_is_back(&mut self) {
        self.disk.root = Some(2);
    }

    /// The filesystem of the root is not mounted any more.
    pub(super) fn lose_root(&mut self) {
        self.disk.root = None;
        // Unmounting takes the watches, and nobody says so.
        self.watches.clear();
        self.hints_lost = true;
    }
}
