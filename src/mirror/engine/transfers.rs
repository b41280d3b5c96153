//! Uploads: which are next, what came of their steps, and what that means for the journal.

use super::dirs::DIRECTORY_BLOCKED;
use super::{Active, Core, Work};
use crate::failure::Class;
use crate::journal::{
    Activity, ConditionKind, ConfirmedRow, DueFile, JournalError, NEVER_MS, TroubleRow, UploadRow,
    UploadStage,
};
use crate::mirror::backoff;
use crate::mirror::facts::{Effect, Event, Sent, TransferId};
use crate::mirror::step::{Failure, Outcome};
use crate::mirror::transfer::{Decision, End, How, Next, Note, Transfer};

/// Files taken from the journal at a time; more are taken when a quarter of them is left.
const WINDOW: usize = 1024;
/// Files of this size and more keep a quarter of the slots busy, so that neither kind waits for the other.
const LARGE: u64 = 8 * 1024 * 1024;
const LARGE_SHARE: usize = 4;

impl Core {
    /// Takes due files from the journal while few are left in memory.
    pub(super) fn refill(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        let waiting = self.small.len() + self.large.len();
        if waiting >= WINDOW / 4 || self.held.len() >= 4 * WINDOW {
            return Ok(());
        }
        for due in work.turn.due_files(work.now.unix_ms, self.held.len() + WINDOW)? {
            if self.held.contains(&due.file.id) {
                continue;
            }
            let Some(mirror) = self.mirrors.iter().find(|m| m.id == due.mirror) else { continue };
            if mirror.scan.is_held() {
                continue;
            }
            if due.dir_blocked && !due.dir_created {
                self.block_with_directory(work, due)?;
                continue;
            }
            self.held.insert(due.file.id.clone());
            if due.file.seen.size >= LARGE { self.large.push(due) } else { self.small.push(due) }
        }
        // The smallest is taken first, from the end.
        self.small.sort_unstable_by_key(|due| std::cmp::Reverse(due.file.seen.size));
        self.large.sort_unstable_by_key(|due| std::cmp::Reverse(due.file.seen.size));
        Ok(())
    }

    fn block_with_directory(
        &mut self,
        work: &mut Work<'_>,
        due: DueFile,
    ) -> Result<(), JournalError> {
        work.turn.set_file_next(&due.file.id, NEVER_MS)?;
        work.turn.put_trouble(&TroubleRow {
            id: due.file.id,
            class: Class::Permanent,
            code: Some(DIRECTORY_BLOCKED.to_owned()),
            message: format!("its directory {} cannot be created on the remote", due.dir_path),
            request_id: None,
            attempts: 1,
            blocked: true,
            first_at_ms: work.now.unix_ms,
            last_at_ms: work.now.unix_ms,
        })
    }

    fn next_due(&mut self, now_ms: i64) -> Option<DueFile> {
        let slots = self.limiter.slots(now_ms);
        let large_running =
            self.transfers.values().filter(|a| a.transfer.fingerprint.size >= LARGE).count();
        if !self.large.is_empty() && large_running < (slots / LARGE_SHARE).max(1) {
            return self.large.pop();
        }
        self.small.pop().or_else(|| self.large.pop())
    }

    pub(super) fn begin_transfers(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        while self.free_slots(work.now) > 0 {
            let Some(due) = self.next_due(work.now.mono_ms) else { break };
            let Some(mirror) = self.mirrors.iter().position(|m| m.id == due.mirror) else {
                self.held.remove(&due.file.id);
                continue;
            };
            // It may have changed, or gone, since it was taken.
            let row = work.turn.file(&due.file.id)?.filter(|row| {
                row.gone_at_ms.is_none() && row.next_at_ms.is_some_and(|at| at <= work.now.unix_ms)
            });
            let (Some(row), Some(dir)) = (row, work.turn.dir(due.file.id.dir)?) else {
                self.held.remove(&due.file.id);
                continue;
            };
            let path = due.dir_path.join(&row.id.name);
            let Some(target) = self.target(mirror, &path) else {
                self.held.remove(&row.id);
                let failure = Failure::new(Class::Permanent, "the name is not UTF-8");
                self.file_failed(work, mirror, &row.id, &path, failure)?;
                continue;
            };
            if dir.created_at_ms.is_none() {
                self.wait_for_directory(work, mirror, &dir, due)?;
                continue;
            }
            let upload = work.turn.upload(&row.id)?;
            let (transfer, decision) =
                Transfer::begin(target, row.seen, row.confirmed, upload.as_ref());
            let number = self.number();
            self.transfers.insert(number, Active { mirror, entry: row.id, path, transfer });
            self.apply(work, number, decision)?;
        }
        Ok(())
    }

    fn wait_for_directory(
        &mut self,
        work: &mut Work<'_>,
        mirror: usize,
        dir: &crate::journal::DirRow,
        due: DueFile,
    ) -> Result<(), JournalError> {
        match dir.next_at_ms {
            Some(NEVER_MS) => {
                self.held.remove(&due.file.id);
                self.block_with_directory(work, due)
            }
            // It failed and waits: so does everything in it.
            Some(next)
                if next > work.now.unix_ms
                    && work
                        .turn
                        .trouble(&crate::journal::EntryId { dir: dir.id, name: Vec::new() })?
                        .is_some() =>
            {
                self.held.remove(&due.file.id);
                work.turn.set_file_next(&due.file.id, next.saturating_add(1))
            }
            _ => {
                if self.make_directory(work, mirror, dir)? {
                    self.parked.entry(dir.id).or_default().push(due);
                } else {
                    self.held.remove(&due.file.id);
                }
                Ok(())
            }
        }
    }

    pub(super) fn stepped(
        &mut self,
        work: &mut Work<'_>,
        number: TransferId,
        outcome: Outcome,
    ) -> Result<(), JournalError> {
        let Some(active) = self.transfers.get_mut(&number) else { return Ok(()) };
        let decision = active.transfer.on(outcome);
        self.apply(work, number, decision)
    }

    /// Writes down what must be known, then hands out the step or ends the transfer.
    fn apply(
        &mut self,
        work: &mut Work<'_>,
        number: TransferId,
        decision: Decision,
    ) -> Result<(), JournalError> {
        let Some(active) = self.transfers.get(&number) else { return Ok(()) };
        match decision.note {
            None => {}
            Some(Note::Started { confirm_key, expires_at_ms }) => {
                work.turn.put_upload(&UploadRow {
                    id: active.entry.clone(),
                    confirm_key,
                    stage: UploadStage::Started,
                    started_at_ms: work.now.unix_ms,
                    expires_at_ms,
                    fingerprint: active.transfer.fingerprint,
                })?;
            }
            Some(Note::Posted { full_hash, crc64 }) => {
                work.turn.upload_posted(&active.entry, full_hash, crc64)?;
            }
            Some(Note::Forgotten) => work.turn.remove_upload(&active.entry)?,
        }
        match decision.next {
            Next::Step(step) => {
                work.out.effects.push(Effect::Step {
                    transfer: number,
                    mirror: active.mirror,
                    path: active.path.clone(),
                    target: active.transfer.target.clone(),
                    fingerprint: active.transfer.fingerprint,
                    step,
                });
                Ok(())
            }
            Next::End(end) => {
                let Some(active) = self.transfers.remove(&number) else { return Ok(()) };
                self.held.remove(&active.entry);
                work.out.effects.push(Effect::Forget(number));
                self.ended(work, active, end)
            }
        }
    }

    fn ended(&mut self, work: &mut Work<'_>, active: Active, end: End) -> Result<(), JournalError> {
        let Active { mirror, entry, path, transfer } = active;
        let now_ms = work.now.unix_ms;
        match end {
            End::Synced { full_hash, crc64, how } => {
                if how != How::Unchanged {
                    self.service_answered(work)?;
                }
                let Some(mut row) = work.turn.file(&entry)? else { return Ok(()) };
                let sent = transfer.fingerprint;
                row.confirmed =
                    Some(ConfirmedRow { fingerprint: sent, full_hash, crc64, at_ms: now_ms });
                if row.gone_at_ms.is_none() {
                    if row.seen == sent {
                        row.changed_at_ms = None;
                        row.next_at_ms = None;
                    } else {
                        // It changed meanwhile: the newer state has its own rest.
                        row.next_at_ms = Some(
                            row.next_at_ms
                                .filter(|at| *at != NEVER_MS)
                                .unwrap_or(now_ms)
                                .max(now_ms),
                        );
                    }
                }
                work.turn.put_file(&row)?;
                work.turn.remove_trouble(&entry)?;
                self.quota_is_fine(work, mirror)?;
                let (what, sent_how) = match how {
                    How::Sent => (Activity::Uploaded, Sent::Uploaded),
                    How::Instant => (Activity::Instant, Sent::Instant),
                    How::Recovered => (Activity::Recovered, Sent::Recovered),
                    How::Unchanged => (Activity::Unchanged, Sent::Unchanged),
                };
                if let Some(state) = self.mirrors.get(mirror) {
                    work.turn.record(
                        now_ms,
                        state.id,
                        &path,
                        what,
                        &format!("{} bytes", sent.size),
                    )?;
                }
                let mirror =
                    self.settings.mirrors.get(mirror).map(|m| m.name.clone()).unwrap_or_default();
                work.out.events.push(Event::Synced {
                    mirror,
                    path,
                    bytes: sent.size,
                    how: sent_how,
                });
                Ok(())
            }
            End::Changed | End::Vanished | End::RootGone => {
                let Some(state) = self.mirrors.get_mut(mirror) else { return Ok(()) };
                if end == End::RootGone {
                    state.scan.hurry(work.now.mono_ms);
                } else {
                    state.hints.insert(path);
                }
                // Not before the look came back.
                let rest = crate::clock::to_ms(state.rest.settle).max(500);
                work.turn.set_file_next(&entry, now_ms + rest)
            }
            End::DirectoryLost => {
                let dir = work.turn.dir(entry.dir)?;
                let is_space_root = dir.as_ref().is_some_and(|dir| dir.path.is_root())
                    && self.settings.mirrors.get(mirror).is_some_and(|m| m.remote.is_empty());
                if !is_space_root {
                    work.turn.dir_lost(entry.dir, now_ms)?;
                }
                let failure = Failure::new(
                    Class::Stale,
                    "its directory vanished from the remote; it is made again",
                );
                self.file_failed(work, mirror, &entry, &path, failure)
            }
            End::Failed(failure) => {
                self.service_failed(work, &failure, false)?;
                // What failed was an older state: the newer one has its own rest and its own try.
                let newer = work.turn.file(&entry)?.is_some_and(|row| {
                    row.seen != transfer.fingerprint
                        && row.next_at_ms.is_some_and(|at| at != NEVER_MS)
                });
                if newer { Ok(()) } else { self.file_failed(work, mirror, &entry, &path, failure) }
            }
        }
    }

    /// Writes down that a file failed, and when to try again.
    fn file_failed(
        &mut self,
        work: &mut Work<'_>,
        mirror: usize,
        entry: &crate::journal::EntryId,
        path: &crate::relpath::RelPath,
        failure: Failure,
    ) -> Result<(), JournalError> {
        let now_ms = work.now.unix_ms;
        let Some(mut row) = work.turn.file(entry)? else { return Ok(()) };
        if row.gone_at_ms.is_some() {
            return Ok(());
        }
        match failure.class {
            // Not the file's doing: it stays due, the gate decides.
            Class::Offline | Class::Auth => return work.turn.set_file_next(entry, now_ms + 500),
            Class::Throttled => return work.turn.set_file_next(entry, now_ms),
            _ => {}
        }
        let before = work.turn.trouble(entry)?;
        let attempts = before.as_ref().map_or(0, |t| t.attempts).saturating_add(1);
        let blocked = match failure.class {
            Class::Permanent | Class::Local => true,
            Class::Defect => attempts >= backoff::DEFECT_TRIES,
            _ => false,
        };
        let wait_ms =
            backoff::delay_ms(failure.class, attempts, failure.retry_after, self.rng.f64());
        row.next_at_ms = Some(match failure.class {
            _ if blocked => NEVER_MS,
            // Repaired by what was just written down; the second time something else is wrong.
            Class::Stale if attempts == 1 => now_ms,
            _ => now_ms + wait_ms,
        });
        row.changed_at_ms = row.changed_at_ms.or(Some(now_ms));
        work.turn.put_file(&row)?;
        let name = self.settings.mirrors.get(mirror).map(|m| m.name.clone()).unwrap_or_default();
        if let Some(state) = self.mirrors.get_mut(mirror) {
            if blocked {
                work.turn.record(now_ms, state.id, path, Activity::Blocked, &failure.message)?;
            }
            if failure.class == Class::Quota {
                let message = "the space is full; files wait until there is room";
                work.turn.put_condition(Some(state.id), ConditionKind::Quota, message, now_ms)?;
                state.may_be_full = true;
            }
        }
        work.out.events.push(Event::Trouble {
            mirror: name,
            path: path.clone(),
            class: failure.class,
            message: failure.message.clone(),
            blocked,
        });
        work.turn.put_trouble(&TroubleRow {
            id: entry.clone(),
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

    /// A file got through: the space is not full for everybody any more, unless another still waits.
    fn quota_is_fine(&mut self, work: &mut Work<'_>, mirror: usize) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(mirror).filter(|state| state.may_be_full) else {
            return Ok(());
        };
        if !work.turn.has_trouble(state.id, Class::Quota)? {
            work.turn.remove_condition(Some(state.id), ConditionKind::Quota)?;
            state.may_be_full = false;
        }
        Ok(())
    }
}
