//! Deleting the copies of what is gone: last in order, one proven copy at a time, and never while something looks
//! wrong (`holds.rs`).

use super::{Core, Work};
use crate::clock::to_ms;
use crate::config::Delete;
use crate::failure::Class;
use crate::journal::{
    Activity, Approval, DirId, DirRow, EntryId, FileRow, HoldKind, JournalError, NEVER_MS,
    RootIdentity, TroubleRow,
};
use crate::mirror::backoff;
use crate::mirror::events::Event;
use crate::mirror::facts::{Anchor, Doomed, Effect, JobId, Removed};
use crate::mirror::gate::Blame;
use crate::mirror::step::Failure;
use crate::relpath::RelPath;

/// Copies of one mirror that are taken up in one turn.
const AT_ONCE: usize = 32;
/// What cannot be deleted yet is looked at again after this.
const BUSY_MS: i64 = 2_000;
/// In a folder that is never at rest, deletes wait for uploads so long at most.
const UPLOADS_FIRST_MS: i64 = 600_000;
/// After a refusal for want of rights nothing is deleted for so long.
const REFUSED_MS: i64 = 600_000;
/// Where the local side is not what it was, a scan has to find out what it is first.
const DOUBT_MS: i64 = 600_000;

/// A copy that is being deleted.
#[derive(Debug)]
pub(super) struct Removal {
    mirror: usize,
    /// An empty name: the directory itself.
    entry: EntryId,
    pub(super) path: RelPath,
    pub(super) is_dir: bool,
}

impl Removal {
    pub(super) fn is_of(&self, mirror: usize) -> bool {
        self.mirror == mirror
    }

    /// The directory, or that of the file.
    pub(super) fn dir(&self) -> DirId {
        self.entry.dir
    }
}

/// Whether the library has a recycle bin, as far as it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Bin {
    #[default]
    Unknown,
    Asking,
    There,
    Missing,
}

impl Core {
    /// When the copy of what is found to be gone now is to be deleted; `None`: it is kept.
    pub(super) fn delete_at(&self, work: &Work<'_>, index: usize) -> Option<i64> {
        let settings = self.settings.mirrors.get(index)?;
        match settings.delete {
            Delete::Keep => None,
            Delete::Recycle | Delete::Permanent => {
                Some(work.now.unix_ms.saturating_add(to_ms(settings.delete_grace)))
            }
        }
    }

    /// Deletes what is due, when nothing else is left to do for its mirror.
    pub(super) fn begin_removals(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        if work.now.mono_ms < self.removals_wait_until_ms {
            return Ok(());
        }
        for index in 0..self.mirrors.len() {
            let room = self.free_slots(work.now).min(AT_ONCE);
            if room == 0 || !self.may_delete(index) {
                continue;
            }
            let Some(state) = self.mirrors.get(index) else { continue };
            let id = state.id;
            // Without a recycle bin only what may go for good.
            let recycle =
                self.settings.mirrors.get(index).is_some_and(|m| m.delete == Delete::Recycle);
            let needs = (recycle && self.bin == Bin::Missing).then_some(Approval::ForGood);
            let mut files = work.turn.due_file_deletes(id, work.now.unix_ms, None, room)?;
            let dirs = match files.is_empty() {
                true => work.turn.due_dir_deletes(id, work.now.unix_ms, room)?,
                false => Vec::new(),
            };
            if files.is_empty() && dirs.is_empty() {
                continue;
            }
            if self.wait_for_uploads(work, index)? {
                continue;
            }
            if !self.brakes_are_off(work, index)? {
                continue;
            }
            if !files.is_empty() && !self.bin_is_there(work, index)? {
                continue;
            }
            if needs.is_some() {
                files = work.turn.due_file_deletes(id, work.now.unix_ms, needs, room)?;
            }
            for gone in files {
                let path = gone.dir_path.join(&gone.file.id.name);
                self.begin_file_removal(work, index, gone.file, path)?;
            }
            for dir in dirs {
                self.begin_dir_removal(work, index, &dir)?;
            }
        }
        Ok(())
    }

    /// When there may be something to delete, monotonic milliseconds.
    pub(super) fn next_removal_ms(&self, work: &Work<'_>) -> Result<Option<i64>, JournalError> {
        if self.settings.mirrors.iter().all(|settings| settings.delete == Delete::Keep) {
            return Ok(None);
        }
        let now = work.now;
        let due = work.turn.next_delete_due(now.unix_ms)?;
        let due = due.map(|at| now.mono_ms.saturating_add(at.saturating_sub(now.unix_ms)));
        let waits = self.removals_wait_until_ms > now.mono_ms;
        Ok([due, waits.then_some(self.removals_wait_until_ms)].into_iter().flatten().min())
    }

    /// Uploads and moves go first, and nothing is concluded while a mirror is looked at.
    fn may_delete(&self, index: usize) -> bool {
        let (Some(state), Some(settings)) =
            (self.mirrors.get(index), self.settings.mirrors.get(index))
        else {
            return false;
        };
        let id = state.id;
        settings.delete != Delete::Keep
            && !state.is_paused()
            && !state.adopting
            && !state.scan.is_held()
            && !state.scan.is_busy()
            && state.scan.had_a_pass()
            && state.hints.is_empty()
            && state.looking.is_empty()
            && state.root.is_some()
            && !self.relocations.values().any(|job| job.mirror == index)
            && self.candidates.iter().all(|candidate| candidate.mirror != index)
            && !self.transfers.values().any(|active| active.mirror == index)
            && !self.small.has(id)
            && !self.large.has(id)
            && !self.unscanned.iter().any(|due| due.mirror == id)
    }

    /// What is gone may be on its way under another name: what only waits to rest goes first, unless that never ends.
    fn wait_for_uploads(&mut self, work: &Work<'_>, index: usize) -> Result<bool, JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(false) };
        if !work.turn.has_fresh_work(state.id)? {
            state.removals_waiting_since_ms = None;
            return Ok(false);
        }
        let now_ms = work.now.mono_ms;
        let since_ms = *state.removals_waiting_since_ms.get_or_insert(now_ms);
        Ok(now_ms.saturating_sub(since_ms) < UPLOADS_FIRST_MS)
    }

    fn begin_file_removal(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        file: FileRow,
        path: RelPath,
    ) -> Result<(), JournalError> {
        let later = Some(work.now.unix_ms.saturating_add(BUSY_MS));
        let Some(confirmed) = file.confirmed else {
            // Nothing of ours is there.
            return work.turn.remove_file(&file.id);
        };
        // What was started is settled first: it may replace the copy.
        if work.turn.upload(&file.id)?.is_some() {
            self.may_leave_orphans(work.now.mono_ms);
            return work.turn.set_file_delete(&file.id, later);
        }
        if self.held.contains(&file.id) {
            return work.turn.set_file_delete(&file.id, later);
        }
        let what = Doomed::File { size: confirmed.fingerprint.size, crc64: confirmed.crc64 };
        let entry = file.id.clone();
        if self.hand_out(work, index, entry, path, what)? {
            // Should it come back meanwhile, what was confirmed proves nothing.
            work.turn.set_unsure(&file.id, work.now.unix_ms)?;
            self.held.insert(file.id);
        }
        Ok(())
    }

    fn begin_dir_removal(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &DirRow,
    ) -> Result<(), JournalError> {
        if self.removals.values().any(|removal| removal.is_dir && removal.entry.dir == dir.id) {
            return Ok(());
        }
        let entry = EntryId { dir: dir.id, name: Vec::new() };
        if self.hand_out(work, index, entry, dir.path.clone(), Doomed::Directory)? {
            work.turn.dir_uncertain(dir.id)?;
        }
        Ok(())
    }

    fn hand_out(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        entry: EntryId,
        path: RelPath,
        what: Doomed,
    ) -> Result<bool, JournalError> {
        let (Some(target), Some(root), Some(settings)) = (
            self.target(index, &path),
            self.mirrors.get(index).and_then(|state| state.root),
            self.settings.mirrors.get(index),
        ) else {
            // Never mirrored under such a name: nothing of ours is there.
            self.put_off(work, &entry, Some(NEVER_MS))?;
            return Ok(false);
        };
        let anchor = self.anchor(work, index, &path, root)?;
        let is_dir = what == Doomed::Directory;
        // A directory that looked empty may not be: what is in it could be had back from a recycle bin.
        let permanent = settings.delete == Delete::Permanent && !is_dir;
        let job = self.number();
        self.removals.insert(job, Removal { mirror: index, entry, path: path.clone(), is_dir });
        work.out.effects.push(Effect::Remove {
            job,
            mirror: index,
            path,
            anchor,
            target,
            what,
            permanent,
        });
        Ok(true)
    }

    /// The nearest directory above `path` that is there: what it is has to be what it was.
    pub(super) fn anchor(
        &self,
        work: &Work<'_>,
        index: usize,
        path: &RelPath,
        root: RootIdentity,
    ) -> Result<Anchor, JournalError> {
        let mut step = path.parent();
        while let (Some(above), Some(state)) = (step, self.mirrors.get(index)) {
            if !above.is_root()
                && let Some(row) = work.turn.dir_at(state.id, &above)?
                && row.gone_at_ms.is_none()
            {
                return Ok(Anchor {
                    root,
                    path: above,
                    inode: row.inode,
                    mounted: row.mounted,
                    fsid: row.fsid,
                });
            }
            step = above.parent();
        }
        Ok(Anchor { root, path: RelPath::root(), inode: 0, mounted: false, fsid: 0 })
    }

    fn put_off(
        &self,
        work: &Work<'_>,
        entry: &EntryId,
        at_ms: Option<i64>,
    ) -> Result<(), JournalError> {
        if entry.name.is_empty() {
            work.turn.set_dir_delete(entry.dir, at_ms)
        } else {
            work.turn.set_file_delete(entry, at_ms)
        }
    }

    pub(super) fn removed(
        &mut self,
        work: &mut Work<'_>,
        job: JobId,
        result: Result<Removed, Failure>,
    ) -> Result<(), JournalError> {
        let Some(removal) = self.removals.remove(&job) else { return Ok(()) };
        self.held.remove(&removal.entry);
        if removal.is_dir {
            self.unpark(removal.entry.dir);
        }
        let now_ms = work.now.unix_ms;
        let (what, detail) = match result {
            Ok(Removed::Present) => {
                if let Some(state) = self.mirrors.get_mut(removal.mirror) {
                    state.hints.insert(removal.path);
                }
                let at_ms = Some(now_ms.saturating_add(BUSY_MS));
                return self.put_off(work, &removal.entry, at_ms);
            }
            Ok(Removed::Doubtful(why)) => {
                let path = &removal.path;
                // There may be thousands, and the scan says what is wrong with all of them.
                tracing::debug!(%path, why, "{path}: its copy is not deleted, a scan looks first: {why}");
                if let Some(state) = self.mirrors.get_mut(removal.mirror) {
                    state.scan.hurry_unless_recent(work.now.mono_ms, DOUBT_MS);
                }
                let at_ms = Some(now_ms.saturating_add(DOUBT_MS));
                return self.put_off(work, &removal.entry, at_ms);
            }
            Err(failure) => return self.removal_failed(work, &removal, failure),
            Ok(Removed::Recycled) => (Activity::Deleted, "into the recycle bin".to_owned()),
            Ok(Removed::ForGood) => {
                self.deleted_for_good(work, &removal)?;
                (Activity::Deleted, "for good".to_owned())
            }
            Ok(Removed::Nothing) => (Activity::Deleted, "it was not there any more".to_owned()),
            Ok(Removed::Foreign(why)) => (Activity::LeftAlone, why),
        };
        self.service_answered(work)?;
        self.copy_is_gone(work, &removal.entry)?;
        self.name_is_free(work, removal.mirror, &removal.path)?;
        if let Some(state) = self.mirrors.get(removal.mirror) {
            work.turn.record(now_ms, state.id, &removal.path, what, &detail)?;
        }
        if what == Activity::Deleted {
            let mirror = self.name_of(removal.mirror);
            work.out.events.push(Event::Deleted { mirror, path: removal.path, how: detail });
        }
        Ok(())
    }

    /// Nothing of ours is at the path of an entry any more.
    pub(super) fn copy_is_gone(
        &mut self,
        work: &mut Work<'_>,
        entry: &EntryId,
    ) -> Result<(), JournalError> {
        if entry.name.is_empty() {
            // One that is back is made again.
            let Some(dir) = work.turn.dir(entry.dir)? else { return Ok(()) };
            if dir.gone_at_ms.is_some() {
                return work.turn.forget_tree(&dir);
            }
            work.turn.remove_trouble(entry)?;
            return work.turn.set_dir_next(dir.id, Some(work.now.unix_ms));
        }
        match work.turn.file(entry)? {
            Some(row) if row.gone_at_ms.is_some() => {
                work.turn.remove_file(entry)?;
                work.turn.remove_trouble(entry)
            }
            Some(mut row) => {
                row.confirmed = None;
                row.unsure = false;
                row.changed_at_ms = row.changed_at_ms.or(Some(work.now.unix_ms));
                row.next_at_ms = row.next_at_ms.or(Some(work.now.unix_ms));
                work.turn.put_file(&row)
            }
            None => Ok(()),
        }
    }

    /// Something of another kind may have waited for the name.
    pub(super) fn name_is_free(
        &self,
        work: &mut Work<'_>,
        index: usize,
        path: &RelPath,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get(index) else { return Ok(()) };
        let now_ms = work.now.unix_ms;
        if let Some(dir) = work.turn.dir_at(state.id, path)? {
            work.turn.unblock_dirs(&dir, now_ms)?;
        }
        if let Some((above, name)) = path.split()
            && let Some(dir) = work.turn.dir_at(state.id, &above)?
        {
            let id = EntryId { dir: dir.id, name: name.to_vec() };
            if work.turn.file(&id)?.is_some_and(|row| row.next_at_ms == Some(NEVER_MS)) {
                work.turn.set_file_next(&id, now_ms)?;
            }
        }
        Ok(())
    }

    /// A library that was to have a recycle bin has none, as only the delete told.
    fn deleted_for_good(
        &mut self,
        work: &mut Work<'_>,
        removal: &Removal,
    ) -> Result<(), JournalError> {
        let recycle = self
            .settings
            .mirrors
            .get(removal.mirror)
            .is_some_and(|settings| settings.delete == Delete::Recycle);
        // What a person approved is no surprise.
        if !recycle || removal.is_dir || self.bin != Bin::There {
            return Ok(());
        }
        self.bin = Bin::Missing;
        let message = format!(
            "the library has no recycle bin any more: {} was deleted for good",
            removal.path
        );
        self.put_hold(work, removal.mirror, HoldKind::NoRecycleBin, &RelPath::root(), &message)
    }

    fn removal_failed(
        &mut self,
        work: &mut Work<'_>,
        removal: &Removal,
        failure: Failure,
    ) -> Result<(), JournalError> {
        let now_ms = work.now.unix_ms;
        // It may still take effect: should the file be back, its upload comes after that.
        work.turn.delay_file(&removal.entry, now_ms.saturating_add(BUSY_MS))?;
        // Rights to delete are rights of their own: uploads go on without them.
        let refused = failure.is(&["NoPermission", "WriteForbidden"]);
        let blame = match refused {
            true => Blame::Entry,
            false => self.service_failed(work, &failure, &removal.entry)?,
        };
        if refused {
            self.removals_wait_until_ms = work.now.mono_ms.saturating_add(REFUSED_MS);
        }
        if blame == Blame::Service {
            return self.put_off(work, &removal.entry, Some(now_ms.saturating_add(BUSY_MS)));
        }
        let before = work.turn.trouble(&removal.entry)?;
        let attempts = before.as_ref().map_or(0, |t| t.attempts).saturating_add(1);
        let blocked = match failure.class {
            Class::Permanent => true,
            Class::Defect => attempts >= backoff::DEFECT_TRIES,
            _ => false,
        };
        let wait_ms = match refused {
            true => REFUSED_MS,
            false => {
                backoff::delay_ms(failure.class, attempts, failure.retry_after, self.rng.f64())
            }
        };
        let at_ms = if blocked { NEVER_MS } else { now_ms.saturating_add(wait_ms) };
        self.put_off(work, &removal.entry, Some(at_ms))?;
        work.out.events.push(Event::Trouble {
            mirror: self.name_of(removal.mirror),
            path: removal.path.clone(),
            class: failure.class,
            code: failure.code.clone(),
            request_id: failure.request_id.clone(),
            message: failure.message.clone(),
            blocked,
        });
        work.turn.put_trouble(&TroubleRow {
            id: removal.entry.clone(),
            class: failure.class,
            code: failure.code,
            message: failure.message,
            request_id: failure.request_id,
            attempts,
            blocked,
            first_at_ms: before.map_or(now_ms, |t| t.first_at_ms),
            last_at_ms: now_ms,
        })
    }

    /// With `recycle`, whether there is a recycle bin is asked before the first delete (sheet section 10).
    fn bin_is_there(&mut self, work: &mut Work<'_>, index: usize) -> Result<bool, JournalError> {
        let recycle = self
            .settings
            .mirrors
            .get(index)
            .is_some_and(|settings| settings.delete == Delete::Recycle);
        if !recycle {
            return Ok(true);
        }
        let Some(state) = self.mirrors.get(index) else { return Ok(false) };
        match self.bin {
            Bin::There => Ok(true),
            Bin::Asking => Ok(false),
            // What a person approved goes, for good.
            Bin::Missing if work.turn.planned_deletes(state.id, Approval::ForGood)? == 0 => {
                Ok(true)
            }
            Bin::Missing => {
                let message =
                    "the library has no recycle bin: what is deleted would be gone for good";
                self.put_hold(work, index, HoldKind::NoRecycleBin, &RelPath::root(), message)?;
                Ok(false)
            }
            Bin::Unknown => {
                self.bin = Bin::Asking;
                work.out.effects.push(Effect::AskForBin);
                Ok(false)
            }
        }
    }

    pub(super) fn bin_answered(
        &mut self,
        work: &mut Work<'_>,
        result: Result<bool, Failure>,
    ) -> Result<(), JournalError> {
        match result {
            Ok(there) => {
                self.bin = if there { Bin::There } else { Bin::Missing };
                Ok(())
            }
            Err(failure) => {
                self.bin = Bin::Unknown;
                // Nothing is deleted on a guess.
                let wait_ms = match failure.class {
                    Class::Transient | Class::Throttled | Class::Offline => BUSY_MS,
                    _ => REFUSED_MS,
                };
                self.removals_wait_until_ms = work.now.mono_ms.saturating_add(wait_ms);
                if wait_ms == REFUSED_MS {
                    tracing::warn!(
                        why = failure.message,
                        "nothing is deleted: the library does not say whether it has a recycle bin: {}",
                        failure.message
                    );
                    return Ok(());
                }
                let root = EntryId { dir: DirId(0), name: Vec::new() };
                self.service_failed(work, &failure, &root).map(|_| ())
            }
        }
    }
}
