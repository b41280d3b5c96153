//! Uploads: which are next, what came of their steps, and what that means for the journal.

use super::dirs::DIRECTORY_BLOCKED;
use super::{Active, Core, Work};
use crate::failure::Class;
use crate::journal::{DueFile, JournalError, NEVER_MS, TroubleRow, UploadRow, UploadStage};
use crate::mirror::facts::{Effect, TransferId};
use crate::mirror::gate::Blame;
use crate::mirror::quota::Room;
use crate::mirror::step::{Failure, Outcome, Step};
use crate::mirror::transfer::{Decision, Next, Note, Transfer};

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
                self.file_failed(work, mirror, &row.id, &path, failure, Blame::Entry)?;
                continue;
            };
            if self.wait_for_listing(work, mirror, &dir, &row, &due)? {
                continue;
            }
            if dir.created_at_ms.is_none() {
                self.wait_for_directory(work, mirror, &dir, due)?;
                continue;
            }
            if let Room::Wait(at_ms) = self.quota.admit(row.seen.size, work.now.unix_ms) {
                self.held.remove(&row.id);
                work.turn.set_file_next(&row.id, at_ms)?;
                self.space_is_full(work, mirror)?;
                continue;
            }
            let upload = work.turn.upload(&row.id)?;
            let remote = match row.confirmed {
                None => work.turn.remote(&row.id)?,
                Some(_) => None,
            };
            let (transfer, decision) =
                Transfer::begin(target, row.seen, row.confirmed, remote, upload.as_ref());
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
    pub(super) fn apply(
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
            Next::Step(Step::DeleteCopy { path, .. })
                if self.is_mirrored(work, number, &path)? =>
            {
                let why = "a file of that name is mirrored there, so it was left alone";
                let outcome = Outcome::Failed(Failure::new(Class::Defect, why));
                self.stepped(work, number, outcome)
            }
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

    /// Whether the journal knows a file of the name that the service gave a copy: then it may not be a copy.
    fn is_mirrored(
        &self,
        work: &Work<'_>,
        number: TransferId,
        path: &[String],
    ) -> Result<bool, JournalError> {
        let (Some(active), Some(name)) = (self.transfers.get(&number), path.last()) else {
            return Ok(false);
        };
        let id = crate::journal::EntryId { dir: active.entry.dir, name: name.clone().into_bytes() };
        Ok(work.turn.file(&id)?.is_some())
    }
}
