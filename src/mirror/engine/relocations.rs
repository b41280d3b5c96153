//! Directories that were renamed or moved on disk: one call moves the copy with everything in it.
//!
//! A directory that appears with the inode of one that the journal knows may be that one. What lies in it waits until
//! that is known: both must have been looked at, and at least one file must be there in the very state that was
//! confirmed. An inode alone proves nothing, it is used again. Single files are moved by their transfers.

use super::{Core, Work};
use crate::failure::Class;
use crate::journal::{Activity, DirId, DirRow, DueFile, EntryId, FileRow, JournalError};
use crate::mirror::backoff;
use crate::mirror::events::Event;
use crate::mirror::facts::{Effect, JobId, Relocated};
use crate::mirror::gate::Blame;
use crate::mirror::step::Failure;
use crate::mirror::transfer::Source;
use crate::relpath::RelPath;
use crate::wording::counted;

/// A directory that may have been moved keeps what lies in it waiting for so long at most.
const PATIENCE_MS: i64 = 600_000;
/// New files found by a scan wait for its end for so long at most: it may show where they come from.
pub(super) const SCAN_PATIENCE_MS: i64 = 60_000;
/// After a refusal for want of rights nothing is moved for so long.
const REFUSED_MS: i64 = 600_000;
/// An answer that makes no sense is asked for again so often.
const DEFECTS: u32 = 3;
/// A move that fails for other reasons is tried so often.
const TRIES: u32 = 5;

/// A directory that may be one that was somewhere else.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) mirror: usize,
    new: DirId,
    new_path: RelPath,
    old: DirId,
    old_path: RelPath,
    pub(super) since_ms: i64,
}

/// A directory whose copy is being moved.
#[derive(Debug)]
pub(super) struct Relocation {
    pub(super) mirror: usize,
    new: DirId,
    new_path: RelPath,
    old: DirId,
    old_path: RelPath,
    attempts: u32,
    /// Not under way now: asked again then, monotonic milliseconds.
    again_at_ms: Option<i64>,
}

impl Relocation {
    pub(super) fn is_under_way(&self) -> bool {
        self.again_at_ms.is_none()
    }
}

/// What the state of a candidate means.
enum Verdict {
    Wait,
    /// Not a move.
    Drop,
    Move(Box<(DirRow, DirRow)>),
}

impl Core {
    /// A directory appeared that is not on the remote: is it one that the journal knows under another path?
    pub(super) fn may_be_moved(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        new: &DirRow,
        inode: u64,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        if self.settings.dry_run
            || work.now.mono_ms < self.moves_wait_until_ms
            || self.candidates.iter().any(|candidate| candidate.new == new.id)
        {
            return Ok(());
        }
        let Some(old) = work.turn.dir_of_inode(state.id, inode, new.id)? else { return Ok(()) };
        // It went with a directory above it, which is asked about.
        let comes_along = |c: &Candidate| {
            c.mirror == index && new.path.is_within(&c.new_path) && old.path.is_within(&c.old_path)
        };
        if self.candidates.iter().any(comes_along) {
            return Ok(());
        }
        // A directory cannot go into itself.
        if new.path.is_within(&old.path) || old.path.is_within(&new.path) {
            return Ok(());
        }
        if old.gone_at_ms.is_none() {
            state.hints.insert(old.path.clone());
        }
        self.candidates.push(Candidate {
            mirror: index,
            new: new.id,
            new_path: new.path.clone(),
            old: old.id,
            old_path: old.path,
            since_ms: work.now.mono_ms,
        });
        Ok(())
    }

    /// A directory is where it was: whatever has its inode is not it.
    pub(super) fn is_in_its_place(&mut self, index: usize, path: &RelPath) {
        let dropped: Vec<DirId> = self
            .candidates
            .extract_if(.., |c| c.mirror == index && c.old_path == *path)
            .map(|candidate| candidate.new)
            .collect();
        for new in dropped {
            self.unpark(new);
        }
    }

    /// What lies at `path` has to wait: its directory is moved, may have been, or is being deleted. Gives the key that
    /// it waits under.
    pub(super) fn is_in_the_way(&self, index: usize, path: &RelPath) -> Option<DirId> {
        let candidates = self
            .candidates
            .iter()
            .find(|c| c.mirror == index && path.is_within(&c.new_path))
            .map(|candidate| candidate.new);
        let relocations = || {
            self.relocations
                .values()
                .find(|job| {
                    job.mirror == index
                        && (path.is_within(&job.new_path) || path.is_within(&job.old_path))
                })
                .map(|job| job.new)
        };
        let removals = || {
            self.removals
                .values()
                .find(|removal| {
                    removal.is_dir && removal.is_of(index) && path.is_within(&removal.path)
                })
                .map(super::removals::Removal::dir)
        };
        candidates.or_else(relocations).or_else(removals)
    }

    /// Looks which candidates are moves, and begins them.
    pub(super) fn advance_relocations(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        let mut at = 0;
        while let Some(candidate) = self.candidates.get(at) {
            if self.is_paused(candidate.mirror) {
                at += 1;
                continue;
            }
            match self.judge(work, candidate)? {
                Verdict::Wait => at += 1,
                Verdict::Drop => {
                    let new = self.candidates.remove(at).new;
                    self.unpark(new);
                }
                Verdict::Move(pair) => {
                    let (old, new) = *pair;
                    if self.free_slots(work.now) == 0 {
                        at += 1;
                        continue;
                    }
                    let candidate = self.candidates.remove(at);
                    work.turn.move_begins(&old, &new)?;
                    let relocation = Relocation {
                        mirror: candidate.mirror,
                        new: candidate.new,
                        new_path: candidate.new_path,
                        old: candidate.old,
                        old_path: candidate.old_path,
                        attempts: 0,
                        again_at_ms: None,
                    };
                    self.relocate(work, relocation)?;
                }
            }
        }
        let due: Vec<JobId> = self
            .relocations
            .iter()
            .filter(|(_, job)| job.again_at_ms.is_some_and(|at| at <= work.now.mono_ms))
            // What an earlier run began is asked for again when it is known what is there now.
            .filter(|(_, job)| {
                self.mirrors
                    .get(job.mirror)
                    .is_some_and(|state| state.root.is_some() && state.scan.had_a_pass())
                    && !self.is_paused(job.mirror)
            })
            .map(|(job, _)| *job)
            .collect();
        for job in due {
            if self.free_slots(work.now) > 0
                && let Some(relocation) = self.relocations.remove(&job)
            {
                self.relocate(work, Relocation { again_at_ms: None, ..relocation })?;
            }
        }
        Ok(())
    }

    fn judge(&self, work: &Work<'_>, candidate: &Candidate) -> Result<Verdict, JournalError> {
        let Candidate { mirror, new, old, new_path, old_path, since_ms } = candidate;
        let Some(state) = self.mirrors.get(*mirror) else { return Ok(Verdict::Drop) };
        let patient = work.now.mono_ms.saturating_sub(*since_ms) <= PATIENCE_MS;
        if patient && !state.scan.is_held() && state.scan.is_looking_into(new_path) {
            return Ok(Verdict::Wait);
        }
        let (Some(new), Some(old)) = (work.turn.dir(*new)?, work.turn.dir(*old)?) else {
            return Ok(Verdict::Drop);
        };
        if new.gone_at_ms.is_some() || new.created_at_ms.is_some() || old.created_at_ms.is_none() {
            return Ok(Verdict::Drop);
        }
        if !patient || state.scan.is_held() {
            return Ok(Verdict::Drop);
        }
        let waits = |path: &RelPath| {
            state.hints.range(path.clone()..).next().is_some_and(|hint| hint.is_within(path))
                || state.looking.iter().any(|hint| hint.is_within(path))
        };
        if waits(new_path) || waits(old_path) {
            return Ok(Verdict::Wait);
        }
        if old.gone_at_ms.is_none() {
            // It was looked at, and nobody said that it is gone.
            return Ok(Verdict::Drop);
        }
        // What runs there ends first; what was left there is settled first.
        if self.transfers.values().any(|active| {
            active.mirror == *mirror
                && (active.path.is_within(old_path) || active.path.is_within(new_path))
        }) {
            return Ok(Verdict::Wait);
        }
        let nested = |c: &Candidate| {
            c.mirror == *mirror && *new_path != c.new_path && new_path.is_within(&c.new_path)
        };
        if self.candidates.iter().any(nested)
            || self.relocations.values().any(|job| {
                job.mirror == *mirror
                    && [&job.new_path, &job.old_path].into_iter().any(|path| {
                        new_path.is_within(path)
                            || path.is_within(new_path)
                            || old_path.is_within(path)
                            || path.is_within(old_path)
                    })
            })
        {
            return Ok(Verdict::Wait);
        }
        if work.turn.is_unsettled(&old)? {
            return Ok(match work.turn.has_uploads_below(&old)? {
                true => Verdict::Wait,
                false => Verdict::Drop,
            });
        }
        Ok(match work.turn.is_moved(&old, &new)? {
            true => Verdict::Move(Box::new((old, new))),
            false => Verdict::Drop,
        })
    }

    fn relocate(
        &mut self,
        work: &mut Work<'_>,
        relocation: Relocation,
    ) -> Result<(), JournalError> {
        let index = relocation.mirror;
        let (Some(source), Some(target), Some(root), Some(new)) = (
            self.target(index, &relocation.old_path),
            self.target(index, &relocation.new_path),
            self.mirrors.get(index).and_then(|state| state.root),
            work.turn.dir(relocation.new)?,
        ) else {
            return self.relocation_over(work, &relocation);
        };
        let old = work.turn.dir(relocation.old)?;
        let is_moved = new.gone_at_ms.is_none()
            && new.created_at_ms.is_none()
            && old.is_some_and(|old| old.gone_at_ms.is_some());
        if !is_moved {
            return self.relocation_over(work, &relocation);
        }
        let job = self.number();
        work.out.effects.push(Effect::Relocate {
            job,
            mirror: index,
            from: relocation.old_path.clone(),
            to: relocation.new_path.clone(),
            root,
            inode: new.inode,
            source,
            target,
        });
        self.relocations.insert(job, relocation);
        Ok(())
    }

    /// Nothing more is asked. What is not known stays marked so, and is sent anew.
    fn relocation_over(
        &mut self,
        work: &mut Work<'_>,
        relocation: &Relocation,
    ) -> Result<(), JournalError> {
        work.turn.move_ends(relocation.new)?;
        self.unpark(relocation.new);
        // Those that are not moved with it ask again.
        let waiting: Vec<_> = self.parked.keys().copied().collect();
        for dir in waiting {
            self.unpark(dir);
        }
        Ok(())
    }

    pub(super) fn relocated(
        &mut self,
        work: &mut Work<'_>,
        job: JobId,
        result: Result<Relocated, Failure>,
    ) -> Result<(), JournalError> {
        let Some(mut relocation) = self.relocations.remove(&job) else { return Ok(()) };
        let (Some(old), Some(new)) =
            (work.turn.dir(relocation.old)?, work.turn.dir(relocation.new)?)
        else {
            return self.relocation_over(work, &relocation);
        };
        let index = relocation.mirror;
        let now_ms = work.now.unix_ms;
        let first = relocation.attempts == 0;
        match result {
            Ok(Relocated::Moved) => {
                self.service_answered(work)?;
                self.succeeded = true;
                let delete_at_ms = self.delete_at(work, index);
                let files = work.turn.moved(&old, &new, now_ms, delete_at_ms)?;
                self.set_brakes(index, false);
                self.name_is_free(work, index, &old.path)?;
                let with = format!("a directory with {}", counted(files, "file"));
                let detail = format!("{with}, from {}", old.path);
                if let Some(state) = self.mirrors.get(index) {
                    work.turn.record(now_ms, state.id, &new.path, Activity::Moved, &detail)?;
                    let detail = format!("{with}, to {}", new.path);
                    work.turn.record(now_ms, state.id, &old.path, Activity::Moved, &detail)?;
                }
                let mirror = self.name_of(index);
                work.out.events.push(Event::Moved { mirror, from: old.path, to: new.path, files });
            }
            // An earlier call that nobody heard the end of, or somebody else: what is there is compared.
            Ok(Relocated::Perhaps) => {
                self.service_answered(work)?;
                work.turn.forget_tree(&old)?;
                self.compare_again(work, index)?;
            }
            Ok(Relocated::Nothing) => {
                self.service_answered(work)?;
                work.turn.forget_tree(&old)?;
            }
            Ok(Relocated::Taken) => {
                self.service_answered(work)?;
                // An earlier call may still be under way.
                if first {
                    work.turn.not_moved(&old)?;
                }
                self.compare_again(work, index)?;
            }
            Ok(Relocated::Elsewhere) => {
                if first {
                    work.turn.not_moved(&old)?;
                }
                if let Some(state) = self.mirrors.get_mut(index) {
                    state.hints.insert(old.path);
                    state.hints.insert(new.path);
                }
            }
            Err(failure) if failure.is(&["NoPermission", "WriteForbidden"]) => {
                if first {
                    work.turn.not_moved(&old)?;
                }
                tracing::debug!(why = failure.message, "a move was refused");
                self.moves_refused(work);
            }
            Err(failure) => {
                let entry = EntryId { dir: new.id, name: Vec::new() };
                let blame = self.service_failed(work, &failure, &entry)?;
                let again = match failure.class {
                    Class::Permanent | Class::Stale | Class::Local => false,
                    Class::Defect => relocation.attempts < DEFECTS,
                    // Then its files are sent one by one, and what was moved after all is found by comparing.
                    _ => relocation.attempts < TRIES,
                };
                if again {
                    if blame == Blame::Entry {
                        relocation.attempts = relocation.attempts.saturating_add(1);
                    }
                    let wait_ms = backoff::delay_ms(
                        failure.class,
                        relocation.attempts.max(1),
                        failure.retry_after,
                        self.rng.f64(),
                    );
                    relocation.attempts = relocation.attempts.max(1);
                    relocation.again_at_ms = Some(work.now.mono_ms.saturating_add(wait_ms));
                    self.relocations.insert(job, relocation);
                    return Ok(());
                }
                if first && failure.class == Class::Permanent {
                    work.turn.not_moved(&old)?;
                }
                self.compare_again(work, index)?;
            }
        }
        self.relocation_over(work, &relocation)
    }

    /// Rights to move are rights of their own: without them, what was renamed is sent again.
    pub(super) fn moves_refused(&mut self, work: &Work<'_>) {
        if work.now.mono_ms >= self.moves_wait_until_ms {
            tracing::warn!(
                "the token does not allow to move copies: what was renamed is sent again"
            );
        }
        self.moves_wait_until_ms = work.now.mono_ms.saturating_add(REFUSED_MS);
    }

    /// What the remote holds is compared before anything is sent there.
    pub(super) fn compare_again(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        state.adopting = true;
        work.turn.adopt_again(state.id)
    }

    /// Moves that an earlier run began: the call is made again, and its answer tells. Until then what lies at both
    /// places waits.
    pub(super) fn take_up_relocations(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        for (new, old) in std::mem::take(&mut self.moves_left) {
            let (Some(new_dir), Some(old_dir)) = (work.turn.dir(new)?, work.turn.dir(old)?) else {
                work.turn.move_ends(new)?;
                continue;
            };
            let Some(mirror) = self.mirrors.iter().position(|state| state.id == new_dir.mirror)
            else {
                continue;
            };
            let job = self.number();
            self.relocations.insert(
                job,
                Relocation {
                    mirror,
                    new,
                    new_path: new_dir.path,
                    old,
                    old_path: old_dir.path,
                    // The first call may have had its effect.
                    attempts: 1,
                    again_at_ms: Some(work.now.mono_ms),
                },
            );
        }
        Ok(())
    }

    /// When a move is asked for again, monotonic milliseconds.
    pub(super) fn next_relocation_ms(&self) -> Option<i64> {
        let is_ready = |job: &&Relocation| {
            let state = self.mirrors.get(job.mirror);
            state.is_some_and(|state| {
                state.root.is_some() && state.scan.had_a_pass() && !state.is_paused()
            })
        };
        self.relocations.values().filter(is_ready).filter_map(|job| job.again_at_ms).min()
    }

    /// Whether `due` waits for the end of the scan that found it. Takes it over if so.
    pub(super) fn wait_for_scan(
        &mut self,
        work: &Work<'_>,
        index: usize,
        row: &FileRow,
        due: &DueFile,
    ) -> bool {
        let Some(state) = self.mirrors.get(index) else { return false };
        let waits = row.confirmed.is_none()
            && row.seen.inode != 0
            && state.scan.may_show_what_is_gone(work.now.mono_ms, SCAN_PATIENCE_MS);
        if waits {
            self.unscanned.push(due.clone());
        }
        waits
    }

    /// A scan ended, or took too long: what waited for it goes on.
    pub(super) fn release_unscanned(&mut self, work: &Work<'_>) {
        let Core { unscanned, mirrors, held, .. } = self;
        unscanned.retain(|due| {
            let waits = mirrors.iter().any(|state| {
                state.id == due.mirror
                    && state.scan.may_show_what_is_gone(work.now.mono_ms, SCAN_PATIENCE_MS)
            });
            if !waits {
                held.remove(&due.file.id);
            }
            waits
        });
    }

    /// A file that is gone and that `row` may be, under its new name. The transfer finds out by the content.
    pub(super) fn source_of(
        &self,
        work: &Work<'_>,
        index: usize,
        row: &FileRow,
    ) -> Result<Option<(EntryId, Source)>, JournalError> {
        let Some(state) = self.mirrors.get(index) else { return Ok(None) };
        if row.confirmed.is_some()
            || row.seen.inode == 0
            || work.now.mono_ms < self.moves_wait_until_ms
        {
            return Ok(None);
        }
        for gone in work.turn.gone_alike(state.id, &row.seen)? {
            let path = gone.dir_path.join(&gone.file.id.name);
            if self.held.contains(&gone.file.id)
                || self.is_in_the_way(index, &path).is_some()
                || work.turn.upload(&gone.file.id)?.is_some()
            {
                continue;
            }
            if let (Some(confirmed), Some(path)) = (gone.file.confirmed, self.target(index, &path))
            {
                return Ok(Some((gone.file.id, Source { path, confirmed })));
            }
        }
        Ok(None)
    }
}
