//! The deciding half of the daemon (deterministic): facts in, one transaction, effects out.
//!
//! Its only lasting state is the journal. What it holds in memory (which transfers run, how far a scan
//! got) is rebuilt by scanning and by asking the journal, so a crash after any turn loses no fact.

mod dirs;
mod finish;
mod observe;
mod scan;
mod transfers;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use fastrand::Rng;

use super::facts::{DirJobId, Effect, Event, Fact, Finished, Settings, TransferId, Turned};
use super::gate::{Closed, Gate};
use super::limiter::Limiter;
use super::plan::Rest;
use super::step::Failure;
use super::transfer::Transfer;
use crate::clock::Now;
use crate::failure::Class;
use crate::journal::{
    ConditionKind, DirId, DueFile, EntryId, Journal, JournalError, MirrorId, Turn,
};
use crate::relpath::RelPath;
use scan::ScanState;

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
    /// Topmost missing directories of the jobs that run: two jobs never share one.
    dir_keys: HashSet<DirId>,
    /// Entries that are held in memory: waiting here, parked, or in a transfer.
    held: HashSet<EntryId>,
    small: Vec<DueFile>,
    large: Vec<DueFile>,
    /// Files that wait for their directory.
    parked: BTreeMap<DirId, Vec<DueFile>>,
    gate: Gate,
    limiter: Limiter,
    next_number: u64,
    stopping: bool,
    last_refusal: String,
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
    /// The journal may say that the space is full.
    may_be_full: bool,
}

/// A transfer that runs.
#[derive(Debug)]
struct Active {
    mirror: usize,
    entry: EntryId,
    path: RelPath,
    transfer: Transfer,
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
            tracing::info!(mirror = forgotten, "no longer configured: forgotten; its copies stay");
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
            mirrors.push(MirrorState {
                id: row.id,
                rest: Rest { settle: mirror.settle, settle_max: mirror.settle_max },
                scan: ScanState::new(row.scanned_at_ms.is_none()),
                hints: BTreeSet::new(),
                looking: HashSet::new(),
                may_be_full: true,
            });
        }
        // Offline, refused: found out anew. The first success would remove them, the first failure tells again.
        for kind in [ConditionKind::Offline, ConditionKind::Auth, ConditionKind::Throttled] {
            turn.remove_condition(None, kind)?;
        }
        // A person who asks for a pass asks for everything to be tried.
        turn.retry_all(now.unix_ms, settings.once)?;
        // What was current may have changed while nobody looked.
        for mirror in &mirrors {
            turn.mark_dirty(mirror.id, false)?;
        }
        take_up_uploads(&turn, now)?;
        turn.commit()?;
        let limiter = Limiter::new(settings.concurrency);
        Ok(Engine {
            journal,
            core: Core {
                settings,
                mirrors,
                transfers: HashMap::new(),
                dir_jobs: HashMap::new(),
                dir_keys: HashSet::new(),
                held: HashSet::new(),
                small: Vec::new(),
                large: Vec::new(),
                parked: BTreeMap::new(),
                gate: Gate::default(),
                limiter,
                next_number: 0,
                stopping: false,
                last_refusal: String::new(),
                rng,
            },
        })
    }

    /// Takes the facts, decides, makes everything true at once, and says what to do.
    ///
    /// # Errors
    /// What the journal says; then nothing of the turn is true and the engine must be dropped.
    pub fn turn(&mut self, facts: Vec<Fact>, now: Now) -> Result<Turned, JournalError> {
        let mut work = Work { turn: self.journal.turn()?, now, out: Turned::default() };
        for fact in facts {
            self.core.take(&mut work, fact)?;
        }
        self.core.advance(&mut work)?;
        let Work { turn, out, .. } = work;
        turn.commit()?;
        Ok(out)
    }

    /// Gives the journal back, at the end.
    #[must_use]
    pub fn into_journal(self) -> Journal {
        self.journal
    }
}

/// Uploads that an earlier run left: those of files that still are there are taken up, others forgotten.
fn take_up_uploads(turn: &Turn<'_>, now: Now) -> Result<(), JournalError> {
    for upload in turn.uploads()? {
        match turn.file(&upload.id)? {
            Some(mut file) if file.gone_at_ms.is_none() => {
                file.next_at_ms = Some(now.unix_ms);
                turn.put_file(&file)?;
            }
            _ => turn.remove_upload(&upload.id)?,
        }
    }
    Ok(())
}

impl Core {
    fn take(&mut self, work: &mut Work<'_>, fact: Fact) -> Result<(), JournalError> {
        match fact {
            Fact::Root { mirror, seen } => self.root_seen(work, mirror, seen),
            Fact::Page { mirror, dir, entries, last, watched } => {
                self.page(work, mirror, &dir, &entries, last, watched)
            }
            Fact::ListFailed { mirror, dir, why } => self.list_failed(work, mirror, &dir, why),
            Fact::Looked { mirror, path, what } => self.looked(work, mirror, &path, what),
            Fact::Hints { mirror, paths } => {
                if let Some(state) = self.mirrors.get_mut(mirror) {
                    state.hints.extend(paths);
                }
                Ok(())
            }
            Fact::Overflow => self.overflow(work),
            Fact::Step { transfer, outcome } => self.stepped(work, transfer, outcome),
            Fact::Directory { job, result } => self.directory_made(work, job, result),
            Fact::Probe(result) => self.probed(work, result),
            Fact::Stop => {
                self.stopping = true;
                Ok(())
            }
        }
    }

    /// Hands out what there is to do now.
    fn advance(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        if self.stopping {
            if self.transfers.is_empty() && self.dir_jobs.is_empty() {
                work.out.finished = Some(Finished::Stopped);
            }
            return Ok(());
        }
        self.advance_scans(work)?;
        if !self.settings.dry_run {
            if self.gate.closed().is_none() {
                self.refill(work)?;
                self.begin_transfers(work)?;
                self.begin_directories(work)?;
            } else if self.gate.take_probe(work.now.mono_ms) {
                work.out.effects.push(Effect::Probe);
            }
        }
        work.out.finished = self.is_finished(work)?;
        work.out.wake_at_ms = self.wake_at(work)?;
        Ok(())
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Slots that are free now.
    fn free_slots(&self, now: Now) -> usize {
        let busy = self.transfers.len() + self.dir_jobs.len();
        self.limiter.slots(now.mono_ms).saturating_sub(busy)
    }

    /// The service answered as it should.
    fn service_answered(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        self.limiter.success();
        if self.gate.success() {
            for kind in [ConditionKind::Offline, ConditionKind::Auth] {
                work.turn.remove_condition(None, kind)?;
            }
            work.out.events.push(Event::Resumed { mirror: None });
        }
        if !self.limiter.is_throttled() {
            work.turn.remove_condition(None, ConditionKind::Throttled)?;
        }
        Ok(())
    }

    /// A call failed: what that means for everybody.
    fn service_failed(
        &mut self,
        work: &mut Work<'_>,
        failure: &Failure,
        probe: bool,
    ) -> Result<(), JournalError> {
        if matches!(failure.class, Class::Auth | Class::Offline) {
            self.last_refusal.clone_from(&failure.message);
        }
        let closed = if probe {
            self.gate.probe_failed(failure.class, work.now.mono_ms)
        } else {
            self.gate.failure(failure.class, work.now.mono_ms)
        };
        if closed {
            let kind = match self.gate.closed() {
                Some(Closed::Auth) => ConditionKind::Auth,
                _ => ConditionKind::Offline,
            };
            work.turn.put_condition(None, kind, &failure.message, work.now.unix_ms)?;
            work.out.events.push(Event::Stopped { mirror: None, message: failure.message.clone() });
        }
        if failure.class == Class::Throttled {
            let wait_ms =
                super::backoff::delay_ms(Class::Throttled, 1, failure.retry_after, self.rng.f64());
            self.limiter.throttled(work.now.mono_ms, wait_ms);
            work.turn.put_condition(
                None,
                ConditionKind::Throttled,
                "the service asks for less; the daemon slows down",
                work.now.unix_ms,
            )?;
        }
        Ok(())
    }

    fn probed(
        &mut self,
        work: &mut Work<'_>,
        result: Result<(), Failure>,
    ) -> Result<(), JournalError> {
        match result {
            Ok(()) => self.service_answered(work),
            Err(failure) => self.service_failed(work, &failure, true),
        }
    }
}

#[cfg(test)]
mod tests;
