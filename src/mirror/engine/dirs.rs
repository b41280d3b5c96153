//! Making directories on the remote: on demand of the files in them, and the empty ones when nothing else waits.

use super::{Core, DirJob, Work};
use crate::failure::Class;
use crate::journal::{Activity, DirId, DirRow, EntryId, JournalError, NEVER_MS, TroubleRow};
use crate::mirror::backoff;
use crate::mirror::events::Event;
use crate::mirror::facts::{DirJobId, Effect};
use crate::mirror::gate::Blame;
use crate::mirror::step::Failure;
use crate::relpath::RelPath;
use crate::tree::{local_name, remote_path};

/// Files held in memory while no slot goes to directories without files.
const EMPTY_SHARE: usize = 4;
/// A scan that takes longer keeps no empty directory waiting.
const SCAN_PATIENCE_MS: i64 = 60_000;
/// Directories looked at in one turn.
const DUE_DIRS: usize = 64;
/// Code of the trouble of a file whose directory is blocked.
pub(super) const DIRECTORY_BLOCKED: &str = "DirectoryBlocked";

impl Core {
    /// Starts making `dir`, unless a job that makes a part of its path runs. Whether it is under way.
    pub(super) fn make_directory(
        &mut self,
        work: &mut Work<'_>,
        mirror: usize,
        dir: &DirRow,
    ) -> Result<bool, JournalError> {
        let Some(key) = work.turn.first_missing(dir.id)? else { return Ok(false) };
        if self.dir_keys.contains(&key) {
            return Ok(true);
        }
        let Some(target) = self.target(mirror, &dir.path) else {
            let failure = Failure::new(Class::Permanent, "the service does not take the name");
            self.directory_failed(work, dir, failure, Blame::Entry)?;
            return Ok(false);
        };
        let job = self.number();
        self.dir_keys.insert(key);
        self.dir_jobs.insert(job, DirJob { dir: dir.id, key });
        work.out.effects.push(Effect::Directory { job, target });
        Ok(true)
    }

    /// Directories that are due although no file asked for them: mostly empty ones.
    pub(super) fn begin_directories(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        let slots = self.limits.slots(work.now.mono_ms);
        let waiting = self.small.len() + self.large.len();
        let allowed = if waiting > 0 { (slots / EMPTY_SHARE).max(1) } else { slots };
        let mut room = self.free_slots(work.now).min(allowed.saturating_sub(self.dir_jobs.len()));
        if room == 0 {
            return Ok(());
        }
        for offset in 0..self.mirrors.len() {
            // None of them has to wait until another has no more directories.
            let mirror = (self.first_mirror + offset) % self.mirrors.len();
            let Some(state) = self.mirrors.get(mirror) else { continue };
            if room == 0 {
                break;
            }
            if state.scan.is_held() || state.is_paused() {
                continue;
            }
            // While a scan finds what lies in them, their files ask for them, and one call makes many.
            let due_ms = match state.scan.is_busy() {
                true => work.now.unix_ms.saturating_sub(SCAN_PATIENCE_MS),
                false => work.now.unix_ms,
            };
            for dir in work.turn.due_dirs(state.id, due_ms, DUE_DIRS)? {
                if room == 0 {
                    break;
                }
                if dir.created_at_ms.is_some() || dir.gone_at_ms.is_some() {
                    work.turn.set_dir_next(dir.id, None)?;
                    continue;
                }
                if self.is_in_the_way(mirror, &dir.path).is_some() {
                    continue;
                }
                let jobs = self.dir_jobs.len();
                self.make_directory(work, mirror, &dir)?;
                room -= self.dir_jobs.len().saturating_sub(jobs).min(room);
            }
        }
        self.first_mirror = self.first_mirror.wrapping_add(1);
        Ok(())
    }

    pub(super) fn directory_made(
        &mut self,
        work: &mut Work<'_>,
        job: DirJobId,
        result: Result<(), Failure>,
    ) -> Result<(), JournalError> {
        let Some(DirJob { dir, key }) = self.dir_jobs.remove(&job) else { return Ok(()) };
        self.dir_keys.remove(&key);
        let Some(row) = work.turn.dir(dir)? else { return Ok(()) };
        match result {
            Ok(()) => {
                self.service_answered(work)?;
                let ours = self.not_left_out(work, &row)?;
                for made in work.turn.dir_created(ours, work.now.unix_ms)? {
                    work.turn.unblock_files(made, DIRECTORY_BLOCKED, work.now.unix_ms)?;
                    self.unpark(made);
                    if let Some(made) = work.turn.dir(made)? {
                        work.turn.record(
                            work.now.unix_ms,
                            row.mirror,
                            &made.path,
                            Activity::DirectoryCreated,
                            "",
                        )?;
                    }
                }
                // Those that waited for this job without being part of its path ask again.
                let waiting: Vec<_> = self.parked.keys().copied().collect();
                for dir in waiting {
                    self.unpark(dir);
                }
            }
            Err(failure) => {
                let id = EntryId { dir: row.id, name: Vec::new() };
                let blame = self.service_failed(work, &failure, &id)?;
                if row.gone_at_ms.is_none() {
                    return self.directory_failed(work, &row, failure, blame);
                }
                // Gone, or left out, meanwhile: nobody wants it any more.
                let waiting: Vec<_> = self.parked.keys().copied().collect();
                for dir in waiting {
                    self.unpark(dir);
                }
            }
        }
        Ok(())
    }

    /// The nearest directory on the way up that is mirrored: what is left out is not ours to know of, or to delete.
    fn not_left_out(&self, work: &Work<'_>, row: &DirRow) -> Result<DirId, JournalError> {
        let mut ours = row.clone();
        while let Some((parent, name)) = row_above(work, &ours)? {
            let entry = EntryId { dir: parent.id, name };
            if !left_out(work, &entry)? {
                break;
            }
            ours = parent;
        }
        Ok(ours.id)
    }

    /// The files that waited for a directory wait for a slot again.
    pub(super) fn unpark(&mut self, dir: crate::journal::DirId) {
        for file in self.parked.remove(&dir).unwrap_or_default() {
            self.held.remove(&file.file.id);
        }
    }

    fn directory_failed(
        &mut self,
        work: &mut Work<'_>,
        row: &DirRow,
        failure: Failure,
        blame: Blame,
    ) -> Result<(), JournalError> {
        let now_ms = work.now.unix_ms;
        let id = EntryId { dir: row.id, name: Vec::new() };
        let before = work.turn.trouble(&id)?;
        let attempts = before.as_ref().map_or(0, |t| t.attempts) + 1;
        let blocked = match failure.class {
            Class::Permanent => true,
            Class::Defect => attempts >= backoff::DEFECT_TRIES,
            _ => false,
        };
        // It went while it was to be made: nothing is wrong with what is not there.
        let gone = row.gone_at_ms.is_some();
        let counted = blame == Blame::Entry && !gone;
        let next_at_ms = if blocked {
            NEVER_MS
        } else if counted {
            now_ms + backoff::delay_ms(failure.class, attempts, failure.retry_after, self.rng.f64())
        } else {
            now_ms + 500
        };
        work.turn.set_dir_next(row.id, (!gone).then_some(next_at_ms))?;
        for file in self.parked.remove(&row.id).unwrap_or_default() {
            self.held.remove(&file.file.id);
            if !blocked {
                work.turn.set_file_next(&file.file.id, next_at_ms.saturating_add(1))?;
            }
        }
        // Those below it that waited for this job ask again.
        let below: Vec<_> = self.parked.keys().copied().collect();
        for dir in below {
            self.unpark(dir);
        }
        if counted {
            work.out.events.push(Event::Trouble {
                mirror: self.mirror_name(row.mirror),
                path: row.path.clone(),
                class: failure.class,
                code: failure.code.clone(),
                request_id: failure.request_id.clone(),
                message: failure.message.clone(),
                blocked,
            });
            work.turn.put_trouble(&TroubleRow {
                id,
                class: failure.class,
                code: failure.code,
                message: failure.message,
                request_id: failure.request_id,
                attempts,
                blocked,
                first_at_ms: before.map_or(now_ms, |t| t.first_at_ms),
                last_at_ms: now_ms,
            })?;
        }
        Ok(())
    }

    pub(super) fn mirror_name(&self, id: crate::journal::MirrorId) -> String {
        self.mirrors
            .iter()
            .position(|mirror| mirror.id == id)
            .and_then(|index| self.settings.mirrors.get(index))
            .map(|mirror| mirror.name.clone())
            .unwrap_or_default()
    }

    /// Where an entry has to be on the remote; `None`: a name on the way is left out.
    pub(super) fn target(&self, mirror: usize, path: &RelPath) -> Option<Vec<String>> {
        let settings = self.settings.mirrors.get(mirror)?;
        remote_path(settings.names, &settings.remote, path)
    }

    /// The entry of a directory whose copy has this name; `None`: that of none has.
    pub(super) fn entry_of(&self, mirror: usize, dir: DirId, remote: &str) -> Option<EntryId> {
        let name = local_name(self.settings.mirrors.get(mirror)?.names, remote)?;
        Some(EntryId { dir, name })
    }
}

/// The directory that holds another, and the name of that there.
fn row_above(work: &Work<'_>, row: &DirRow) -> Result<Option<(DirRow, Vec<u8>)>, JournalError> {
    let (Some(parent), Some((_, name))) = (row.parent, row.path.split()) else { return Ok(None) };
    Ok(work.turn.dir(parent)?.map(|parent| (parent, name.to_vec())))
}

/// Whether an entry, or a directory that holds it, is left out on purpose: then it did not go.
pub(super) fn left_out(work: &Work<'_>, entry: &EntryId) -> Result<bool, JournalError> {
    let mut entry = entry.clone();
    loop {
        if work.turn.skipped(&entry)?.is_some() {
            return Ok(true);
        }
        let Some(row) = work.turn.dir(entry.dir)?.filter(|row| row.gone_at_ms.is_some()) else {
            return Ok(false);
        };
        let Some((parent, name)) = row_above(work, &row)? else { return Ok(false) };
        entry = EntryId { dir: parent.id, name };
    }
}
