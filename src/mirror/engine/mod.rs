//! The deciding half of the daemon (deterministic): facts in, one transaction, effects out.
//!
//! Its only lasting state is the journal. What it holds in memory (which transfers run, how far a scan
//! got) is rebuilt by scanning and by asking the journal, so a crash after any turn loses no fact.

mod adopt;
mod bandwidth;
mod closing;
mod dirs;
mod due;
mod endings;
mod finish;
mod holds;
mod looks;
mod observe;
mod orphans;
mod pause;
mod polls;
mod relocations;
mod removals;
mod repair;
mod scan;
mod service;
mod shortage;
mod slots;
mod stack;
mod transfers;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use fastrand::Rng;

use super::facts::{DirJobId, Effect, Fact, Finished, JobId, TransferId, Turned};
use super::gate::Gate;
use super::limiter::Limits;
use super::plan::Rest;
use super::queue::Queue;
use super::quota::Quota;
use super::requests::Retry;
use super::settings::Settings;
use super::transfer::Transfer;
use crate::clock::{Now, to_ms};
use crate::config::{BandwidthLimit, Delete};
use crate::failure::Class;
use crate::journal::{
    ConditionKind, DirId, DueFile, EntryId, HoldKind, Journal, JournalError, MirrorId, Pause,
    RootIdentity, Turn,
};
use crate::relpath::RelPath;
use relocations::{Candidate, Relocation};
use removals::{Bin, Removal};
use scan::ScanState;

/// The clock that people set went back by more than this: it was set, it did not drift.
const CLOCK_JUMP_MS: i64 = 10_000;
/// Failures in a row after which one pass gives an entry up.
const PASS_TRIES: u32 = 5;
/// Probes that fail before one pass gives up.
const PASS_PROBES: u32 = 4;

/// Decides what to do.
#[derive(Debug)]
pub struct Engine {
    journal: Journal,
    core: Core,
}

/// Everything but the journal, so that a turn can borrow both.
#[derive(Debug)]
struct Core {
    settings: Settings,
    mirrors: Vec<MirrorState>,
    transfers: HashMap<TransferId, Active>,
    dir_jobs: HashMap<DirJobId, DirJob>,
    /// The mirror that is first to have directories made.
    first_mirror: usize,
    /// Topmost missing directories of the jobs that run: two jobs never share one.
    dir_keys: HashSet<DirId>,
    /// Entries that are held in memory: waiting here, parked, or in a transfer.
    held: HashSet<EntryId>,
    small: Queue,
    large: Queue,
    /// Files that wait for their directory.
    parked: BTreeMap<DirId, Vec<DueFile>>,
    /// Remote directories that are being listed, and the files that wait for that.
    listings: HashMap<DirJobId, DirId>,
    unlisted: BTreeMap<DirId, Vec<DueFile>>,
    listing_tries: HashMap<DirId, u32>,
    /// New files that wait for the end of the scan that found them.
    unscanned: Vec<DueFile>,
    /// Directories that may have been moved, and those whose copies are being moved.
    candidates: Vec<Candidate>,
    relocations: BTreeMap<JobId, Relocation>,
    /// Moves that an earlier run began, to be taken up.
    moves_left: Vec<(DirId, DirId)>,
    moves_wait_until_ms: i64,
    /// Copies that are being deleted.
    removals: BTreeMap<JobId, Removal>,
    removals_wait_until_ms: i64,
    bin: Bin,
    gate: Gate,
    limits: Limits,
    /// What all uploads together may send.
    bandwidth_limit: BandwidthLimit,
    quota: Quota,
    /// Uploads that belong to no mirror and are being cancelled.
    cancels: usize,
    /// When to look for uploads that were left of files that are gone, monotonic milliseconds.
    orphans_at_ms: Option<i64>,
    /// When to look whether mirrors are adopted, monotonic milliseconds.
    adopt_check_at_ms: i64,
    next_number: u64,
    /// While much is in memory: when the journal is asked for more, monotonic milliseconds.
    reread_at_ms: i64,
    /// When the newest of what is due may be looked at again, monotonic milliseconds.
    newest_at_ms: i64,
    /// Files that were not still for one read although their patience was over: no cap before this time, in
    /// milliseconds since the Unix epoch.
    restless: HashMap<EntryId, i64>,
    /// Files whose copy was replaced by that of another one while they were being sent.
    overtaken: BTreeSet<EntryId>,
    /// Files that were closed while they were transferred.
    closed_meanwhile: BTreeSet<EntryId>,
    /// Files that took long to send and were read soon after their times moved.
    read_soon: BTreeSet<EntryId>,
    /// How often an entry ended a burst of throttling.
    throttled: BTreeMap<EntryId, u32>,
    stopping: bool,
    last_refusal: String,
    /// When the service is taken not to ask for less any more, monotonic milliseconds.
    calm_at_ms: Option<i64>,
    /// Something was mirrored in this run.
    succeeded: bool,
    /// Both clocks at the last turn: the one that people set may jump back.
    last: Now,
    rng: Rng,
}

/// One mirror in memory.
#[derive(Debug)]
struct MirrorState {
    id: MirrorId,
    rest: Rest,
    scan: ScanState,
    /// Paths to look at, and those that are being looked at.
    hints: BTreeSet<RelPath>,
    looking: HashSet<RelPath>,
    /// Files that were closed and not looked at since.
    closed: BTreeSet<RelPath>,
    /// When a file of rules was touched last, in milliseconds since the Unix epoch.
    rules_at_ms: i64,
    /// The journal may say that the space is full.
    may_be_full: bool,
    /// What the remote holds is compared before anything is sent.
    adopting: bool,
    /// Which directory the root is, as the last scan saw it; `None`: not known, or it is not there.
    root: Option<RootIdentity>,
    /// Directories at which a filesystem was mounted that is not mounted now.
    unmounted: BTreeSet<RelPath>,
    /// Directories that came back, or took the name of another one, and were not listed since.
    returned: BTreeSet<RelPath>,
    /// What is to be deleted was counted, and is not too much.
    brakes_are_off: bool,
    /// A person wants nothing new to be sent.
    pause: Option<Pause>,
    /// Since when deletes that are due wait for uploads that are not, monotonic milliseconds.
    removals_waiting_since_ms: Option<i64>,
}

/// A transfer that runs.
#[derive(Debug)]
struct Active {
    mirror: usize,
    entry: EntryId,
    path: RelPath,
    transfer: Transfer,
    /// A file that is gone and may be this one: nothing else is done about it meanwhile.
    gone: Option<EntryId>,
    /// The file had rested when the transfer began; if not, its patience was over.
    rested: bool,
    /// The journal knows that it may be visible.
    told_visible: bool,
    /// When it began, monotonic milliseconds.
    began_at_ms: i64,
    /// When its last step was handed out, monotonic milliseconds.
    asked_at_ms: i64,
}

/// A directory that is being made.
#[derive(Debug)]
struct DirJob {
    dir: DirId,
    key: DirId,
}

/// What one turn works on.
struct Work<'a> {
    turn: Turn<'a>,
    now: Now,
    out: Turned,
}

impl Engine {
    /// Takes over the journal: mirrors that are configured are adopted, others forgotten.
    ///
    /// # Errors
    /// What the journal says.
    pub fn new(
        mut journal: Journal,
        settings: Settings,
        now: Now,
        rng: Rng,
    ) -> Result<Engine, JournalError> {
        let mut mirrors = Vec::with_capacity(settings.mirrors.len());
        let turn = journal.turn()?;
        let names: Vec<&str> = settings.mirrors.iter().map(|m| m.name.as_str()).collect();
        for forgotten in turn.retain_mirrors(&names)? {
            tracing::info!(
                mirror = forgotten,
                "{forgotten}: no longer configured: forgotten; its copies stay"
            );
        }
        for mirror in &settings.mirrors {
            use std::os::unix::ffi::OsStrExt;
            let row = turn.adopt_mirror(
                &mirror.name,
                mirror.local.as_os_str().as_bytes(),
                &mirror.target,
            )?;
            let root = turn.dir_at(row.id, &RelPath::root())?.ok_or_else(|| {
                JournalError::Damaged(format!("mirror {} has no root directory", mirror.name))
            })?;
            // The root of the space needs no call to exist.
            if mirror.remote.is_empty() && root.created_at_ms.is_none() {
                turn.dir_created(root.id, now.unix_ms)?;
            }
            let delete_at = (mirror.delete != Delete::Keep)
                .then(|| now.unix_ms.saturating_add(to_ms(mirror.delete_grace)));
            turn.set_deletes(row.id, delete_at)?;
            let holds = turn.holds(row.id)?.into_iter();
            mirrors.push(MirrorState {
                root: None,
                removals_waiting_since_ms: None,
                pause: turn.paused(row.id)?,
                brakes_are_off: false,
                returned: BTreeSet::new(),
                unmounted: holds
                    .filter(|hold| hold.kind == Some(HoldKind::Unmounted))
                    .map(|hold| hold.path)
                    .collect(),
                id: row.id,
                rest: Rest { settle: mirror.settle, settle_max: mirror.settle_max },
                scan: ScanState::new(row.scanned_at_ms.is_none()),
                hints: BTreeSet::new(),
                looking: HashSet::new(),
                closed: BTreeSet::new(),
                rules_at_ms: i64::MIN,
                may_be_full: true,
                adopting: row.adopting,
            });
            if let (true, Some(message)) = (row.adopting, &settings.lost_journal) {
                let kind = ConditionKind::Rebuilding;
                turn.put_condition(Some(row.id), kind, message, now.unix_ms)?;
            }
        }
        // Offline, refused: found out anew. The first success would remove them, the first failure tells again.
        for kind in [
            ConditionKind::Offline,
            ConditionKind::Auth,
            ConditionKind::Throttled,
            ConditionKind::Clock,
        ] {
            turn.remove_condition(None, kind)?;
        }
        // A person who asks for a pass asks for everything to be tried.
        turn.retry_all(now.unix_ms, settings.once)?;
        turn.clamp_due(now.unix_ms, horizon_ms(&settings))?;
        let grace = settings.mirrors.iter().map(|mirror| to_ms(mirror.delete_grace)).max();
        turn.clamp_deletes(
            now.unix_ms
                .saturating_add(super::backoff::LONGEST_MS)
                .saturating_add(grace.unwrap_or(0)),
        )?;
        // What was current may have changed while nobody looked.
        for mirror in &mirrors {
            turn.mark_dirty(mirror.id, false)?;
        }
        take_up_uploads(&turn, now)?;
        let moves_left = turn.moving()?;
        let bandwidth_limit = bandwidth::in_force(&turn, &settings.bandwidth_limit)?;
        turn.commit()?;
        let limits = Limits::new(settings.concurrency);
        Ok(Engine {
            journal,
            core: Core {
                settings,
                mirrors,
                transfers: HashMap::new(),
                dir_jobs: HashMap::new(),
                first_mirror: 0,
                dir_keys: HashSet::new(),
                held: HashSet::new(),
                small: Queue::default(),
                large: Queue::default(),
                parked: BTreeMap::new(),
                listings: HashMap::new(),
                unlisted: BTreeMap::new(),
                listing_tries: HashMap::new(),
                unscanned: Vec::new(),
                candidates: Vec::new(),
                relocations: BTreeMap::new(),
                moves_left,
                moves_wait_until_ms: 0,
                removals: BTreeMap::new(),
                removals_wait_until_ms: 0,
                bin: Bin::default(),
                gate: Gate::default(),
                limits,
                bandwidth_limit,
                quota: Quota::default(),
                cancels: 0,
                orphans_at_ms: Some(0),
                adopt_check_at_ms: 0,
                next_number: 0,
                reread_at_ms: i64::MIN,
                newest_at_ms: 0,
                restless: HashMap::new(),
                overtaken: BTreeSet::new(),
                closed_meanwhile: BTreeSet::new(),
                read_soon: BTreeSet::new(),
                throttled: BTreeMap::new(),
                stopping: false,
                last_refusal: String::new(),
                calm_at_ms: None,
                succeeded: false,
                last: now,
                rng,
            },
        })
    }

    /// Takes the facts, decides, makes everything true at once, and says what to do.
    ///
    /// # Errors
    /// What the journal says; then nothing of the turn is true and the engine must be dropped.
    pub fn turn(&mut self, facts: Vec<Fact>, now: Now) -> Result<Turned, JournalError> {
        let out = self.decide(facts, now)?;
        if out.effects.iter().any(Effect::must_be_remembered) {
            self.journal.make_durable()?;
        }
        Ok(out)
    }

    fn decide(&mut self, facts: Vec<Fact>, now: Now) -> Result<Turned, JournalError> {
        let mut work = Work { turn: self.journal.turn()?, now, out: Turned::default() };
        self.core.mind_the_clock(&mut work)?;
        for fact in facts {
            self.core.take(&mut work, fact)?;
        }
        self.core.advance(&mut work)?;
        work.out.load = self.core.load(now);
        let Work { turn, out, .. } = work;
        turn.commit()?;
        Ok(out)
    }

    /// What all uploads together may send: what a person set, or what is configured.
    #[must_use]
    pub fn bandwidth_limit(&self) -> &BandwidthLimit {
        &self.core.bandwidth_limit
    }

    /// Whether the first mirror is paused, for tests.
    #[cfg(test)]
    pub(super) fn pauses(&self) -> bool {
        self.core.is_paused(0)
    }

    /// The journal, for tests that look at it between turns.
    #[cfg(test)]
    pub(super) fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Gives the journal back, at the end.
    #[must_use]
    pub fn into_journal(self) -> Journal {
        self.journal
    }
}

/// Uploads that an earlier run left are taken up at once. Those of files that are gone are settled later.
fn take_up_uploads(turn: &Turn<'_>, now: Now) -> Result<(), JournalError> {
    for upload in turn.uploads()? {
        if let Some(mut file) = turn.file(&upload.id)?
            && file.gone_at_ms.is_none()
        {
            file.next_at_ms = Some(now.unix_ms);
            turn.put_file(&file)?;
        }
    }
    Ok(())
}

/// Nothing waits longer than the longest back-off and the longest rest.
fn horizon_ms(settings: &Settings) -> i64 {
    let rest = settings.mirrors.iter().map(|mirror| to_ms(mirror.settle_max)).max();
    super::backoff::LONGEST_MS.saturating_add(rest.unwrap_or(0))
}

impl Core {
    fn take(&mut self, work: &mut Work<'_>, fact: Fact) -> Result<(), JournalError> {
        match fact {
            Fact::Root { mirror, seen } => self.root_seen(work, mirror, seen),
            Fact::Page { mirror, dir, entries, last, watched } => {
                self.page(work, mirror, &dir, &entries, last, watched)
            }
            Fact::ListFailed { mirror, dir, why } => self.list_failed(work, mirror, &dir, why),
            Fact::Closed { mirror, paths } => {
                self.were_closed(mirror, paths);
                Ok(())
            }
            Fact::NamesUnknown { mirror, listed } => self.names_unknown(work, mirror, listed),
            Fact::Looked { mirror, path, what, watched } => {
                self.looked(work, mirror, &path, what, watched)
            }
            Fact::RootLooked { mirror, seen, watched } => {
                self.root_looked(work, mirror, seen, watched)
            }
            Fact::Hints { mirror, paths } => self.hinted(work, mirror, paths),
            Fact::Overflow => self.overflow(work),
            Fact::Watched { mirror, directories } => {
                self.watched(mirror, directories);
                Ok(())
            }
            Fact::Step { transfer, outcome } => self.stepped(work, transfer, outcome),
            Fact::Directory { job, result } => self.directory_made(work, job, result),
            Fact::RemoteListed { job, result } => self.remote_listed(work, job, result),
            Fact::Removed { job, result } => self.removed(work, job, result),
            Fact::Relocated { job, result } => self.relocated(work, job, result),
            Fact::Cancelled { confirm_key, result } => self.cancelled(work, &confirm_key, result),
            Fact::Bin(result) => self.bin_answered(work, result),
            Fact::Answer(answer) => self.answered(work, answer),
            Fact::Probe(result) => self.probed(work, result),
            Fact::ClockSkew(skew_ms) => self.clock_skewed(work, skew_ms),
            Fact::Retry(retry) => self.retry(work, &retry),
            Fact::Limit(limit) => self.limited(work, limit.as_ref()),
            Fact::Repair(repair) => self.repair(work, &repair),
            Fact::Pause(pause) => self.pause(work, &pause),
            Fact::Resume(resume) => self.resume(work, &resume),
            Fact::Rescan(rescan) => self.rescan(work, &rescan),
            Fact::Stop => {
                self.stopping = true;
                Ok(())
            }
        }
    }

    /// Hands out what there is to do now.
    fn advance(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        if self.stopping {
            if !self.is_busy() {
                work.out.finished = Some(Finished::Stopped);
            }
            return Ok(());
        }
        self.end_pauses(work)?;
        self.advance_scans(work)?;
        self.mind_the_throttle(work)?;
        self.release_unscanned(work);
        let mut more = false;
        if !self.settings.dry_run {
            if self.gate.closed().is_none() {
                self.begin_orphans(work)?;
                self.take_up_relocations(work)?;
                self.advance_relocations(work)?;
                more = self.start_files(work)?;
                self.begin_directories(work)?;
                self.begin_removals(work)?;
                self.mind_the_quota(work)?;
                self.end_adoptions(work)?;
                self.mind_the_gate(work)?;
            } else if self.gate.take_probe(work.now.mono_ms) {
                work.out.effects.push(Effect::Probe);
            }
        }
        work.out.finished = self.is_finished(work)?;
        if self.settings.dry_run && work.out.finished.is_some() {
            self.foresee_holds(work)?;
        }
        work.out.wake_at_ms = if more { Some(work.now.mono_ms) } else { self.wake_at(work)? };
        Ok(())
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// When the clock that people set jumps back, what waits must not wait for the time between.
    fn mind_the_clock(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        let (now, last) = (work.now, std::mem::replace(&mut self.last, work.now));
        let unix = now.unix_ms.saturating_sub(last.unix_ms);
        let mono = now.mono_ms.saturating_sub(last.mono_ms);
        let jump = unix.saturating_sub(mono);
        if jump.abs() > CLOCK_JUMP_MS {
            work.turn.shift_deletes(jump)?;
        }
        if unix < mono.saturating_sub(CLOCK_JUMP_MS) {
            self.quota.forget();
            work.turn.shift_due(now.unix_ms, mono.saturating_sub(unix))?;
        }
        Ok(())
    }

    /// A person wants things to be tried again, and does not want to wait for a probe.
    fn retry(&mut self, work: &mut Work<'_>, retry: &Retry) -> Result<(), JournalError> {
        self.gate.hurry(work.now.mono_ms);
        self.quota.forget();
        for index in 0..self.mirrors.len() {
            let (Some(state), Some(settings)) =
                (self.mirrors.get_mut(index), self.settings.mirrors.get(index))
            else {
                continue;
            };
            let path = match retry {
                Retry::All => RelPath::root(),
                Retry::Below { mirror, path } if *mirror == settings.name => path.clone(),
                Retry::Below { .. } => continue,
            };
            work.turn.retry_below(state.id, &path, work.now.unix_ms)?;
            // Whether something can be read is only found out by looking.
            if work.turn.has_trouble(state.id, Class::Local)? || state.scan.is_held() {
                state.scan.hurry(work.now.mono_ms);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
