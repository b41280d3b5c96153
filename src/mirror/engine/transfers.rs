//! Uploads: how they begin, what came of their steps, and what that means for the journal.

use super::{Active, Core, Work};
use crate::failure::Class;
use crate::journal::{DueFile, EntryId, JournalError, NEVER_MS, UploadRow, UploadStage};
use crate::mirror::facts::{Effect, TransferId};
use crate::mirror::gate::Blame;
use crate::mirror::limiter::Kind;
use crate::mirror::quota::Room;
use crate::mirror::step::{Failure, Outcome, Step};
use crate::mirror::transfer::{Decision, Known, Next, Note, Transfer};
use crate::relpath::RelPath;
use crate::tree::local_path;

/// A request without an answer has its effect, if it ever has one, within this time.
const LATE_MS: i64 = 2_000;
/// A cancel that failed is tried again after this.
const CANCEL_AGAIN_MS: i64 = 30_000;

impl Core {
    /// Begins transfers of what is in memory, as long as there are slots.
    pub(super) fn begin_transfers(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        let most = self.upload_slots(work.now);
        while self.free_slots(work.now) > 0 && self.transfers.len() < most {
            let Some(due) = self.next_due(work.now) else { break };
            let Some(mirror) = self.mirrors.iter().position(|m| m.id == due.mirror) else {
                self.held.remove(&due.file.id);
                continue;
            };
            if self.is_paused(mirror) {
                self.held.remove(&due.file.id);
                continue;
            }
            // It may have changed, or gone, since it was taken.
            let row = work.turn.file(&due.file.id)?.filter(|row| {
                row.gone_at_ms.is_none() && row.next_at_ms.is_some_and(|at| at <= work.now.unix_ms)
            });
            let (Some(row), Some(dir)) = (row, work.turn.dir(due.file.id.dir)?) else {
                self.held.remove(&due.file.id);
                continue;
            };
            let path = due.dir_path.join(&row.id.name);
            if let Some(key) = self.is_in_the_way(mirror, &path) {
                self.parked.entry(key).or_default().push(due);
                continue;
            }
            if self.wait_for_scan(work, mirror, &row, &due) {
                continue;
            }
            let Some(target) = self.target(mirror, &path) else {
                self.held.remove(&row.id);
                let failure = Failure::new(Class::Permanent, "the service does not take the name");
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
            let tries = match &upload {
                Some(_) => self.tries(work, &row.id)?,
                None => 0,
            };
            let known = Known {
                seen: row.seen,
                confirmed: row.confirmed,
                remote,
                unsure: row.unsure,
                multipart_from: self.settings.multipart_from,
            };
            let source = match &upload {
                Some(_) => None,
                None => self.source_of(work, mirror, &row)?,
            };
            let (gone, source) = source.unzip();
            self.held.extend(gone.clone());
            let (transfer, decision) =
                Transfer::begin(target, known, upload.as_ref(), tries, source);
            let number = self.number();
            let settle_ms =
                self.mirrors.get(mirror).map_or(0, |state| crate::clock::to_ms(state.rest.settle));
            let touched_ms = row.seen.ctime_ns / 1_000_000;
            let rested = touched_ms.saturating_add(settle_ms) <= work.now.unix_ms;
            let active = Active {
                mirror,
                entry: row.id,
                path,
                transfer,
                gone,
                rested,
                told_visible: false,
                asked_at_ms: work.now.mono_ms,
                began_at_ms: work.now.mono_ms,
            };
            self.transfers.insert(number, active);
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
                    && work.turn.trouble(&EntryId { dir: dir.id, name: Vec::new() })?.is_some() =>
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
        if active.gone.is_some()
            && matches!(&outcome, Outcome::Failed(f) if f.is(&["NoPermission", "WriteForbidden"]))
        {
            self.moves_refused(work);
        }
        let Some(active) = self.transfers.get_mut(&number) else { return Ok(()) };
        let mirror = active.mirror;
        let streams = self.streams_for(work, number);
        let limited = self.rate(work.now).is_some();
        let Some(active) = self.transfers.get_mut(&number) else { return Ok(()) };
        active.transfer.allow(streams);
        let elsewhere =
            outcome.place().filter(|path| *path != active.transfer.target).map(<[_]>::to_vec);
        let took_ms = work.now.mono_ms.saturating_sub(active.asked_at_ms);
        let size = active.transfer.fingerprint.size;
        match &outcome {
            // What a person allows says nothing about COS.
            Outcome::Posted { .. } if limited => self.limits.of(Kind::Content).success(),
            Outcome::Posted { .. } => self.limits.sent(work.now.mono_ms, size, took_ms),
            // Parts are joined by then, which takes its time.
            Outcome::Confirmed(_) if size < self.settings.multipart_from => {
                self.limits.called(work.now.mono_ms, took_ms);
            }
            _ => {}
        }
        let decision = active.transfer.on(outcome);
        // A service that does not tell two names apart stored the one over the other.
        if let Some(path) = elsewhere
            && let Some(id) = self.mirrored_at(work, mirror, &path)?
        {
            work.turn.set_unsure(&id, work.now.unix_ms)?;
            if self.transfers.values().any(|active| active.entry == id) {
                // Whether its own answer is older or newer than that nobody knows.
                self.overtaken.insert(id);
            }
        }
        self.apply(work, number, decision)
    }

    /// Writes down what must be known, then hands out the step or ends the transfer.
    pub(super) fn apply(
        &mut self,
        work: &mut Work<'_>,
        number: TransferId,
        decision: Decision,
    ) -> Result<(), JournalError> {
        let Some(active) = self.transfers.get_mut(&number) else { return Ok(()) };
        if active.transfer.may_be_visible() && !active.told_visible {
            active.told_visible = true;
            work.turn.set_unsure(&active.entry, work.now.unix_ms)?;
        }
        let Some(active) = self.transfers.get(&number) else { return Ok(()) };
        match decision.note {
            None => {}
            Some(Note::Started { confirm_key, expires_at_ms, part_size }) => {
                work.turn.put_upload(&UploadRow {
                    id: active.entry.clone(),
                    confirm_key,
                    stage: UploadStage::Started,
                    started_at_ms: work.now.unix_ms,
                    expires_at_ms,
                    fingerprint: active.transfer.fingerprint,
                    part_size,
                    parts: Vec::new(),
                })?;
            }
            Some(Note::PartRead { number, crc64, full_hash }) => {
                work.turn.part_read(&active.entry, number, crc64, full_hash)?;
            }
            Some(Note::PartSent { number }) => {
                work.turn.part_sent(&active.entry, number)?;
                self.part_arrived();
            }
            Some(Note::Posted { full_hash, crc64 }) => {
                work.turn.upload_posted(&active.entry, full_hash, crc64)?;
            }
            Some(Note::Forgotten) => work.turn.remove_upload(&active.entry)?,
            Some(Note::Abandoned) => {
                work.turn.abandon_upload(&active.entry)?;
                self.may_leave_orphans(work.now.mono_ms.saturating_add(CANCEL_AGAIN_MS));
            }
        }
        let Some(active) = self.transfers.get(&number) else { return Ok(()) };
        match decision.next {
            Next::Steps(steps) => {
                work.out.effects.extend(steps.into_iter().map(|step| active.effect(number, step)));
                Ok(())
            }
            Next::Step(Step::DeleteCopy { path, .. })
                // The journal knows a file that has its copy there: then it may not be a copy of this one.
                if self.mirrored_at(work, active.mirror, &path)?.is_some() =>
            {
                let why = "a file of that name is mirrored there, so it was left alone";
                let outcome = Outcome::Failed(Failure::new(Class::Defect, why));
                self.stepped(work, number, outcome)
            }
            Next::Step(step) => {
                if let (Step::Move { .. }, Some(gone)) = (&step, &active.gone) {
                    // Should it come back meanwhile, what was confirmed there proves nothing.
                    work.turn.set_unsure(gone, work.now.unix_ms)?;
                }
                let pause_ms = match &step {
                    Step::Confirm { pause_ms, .. } => *pause_ms,
                    _ => 0,
                };
                work.out.effects.push(active.effect(number, step));
                if let Some(active) = self.transfers.get_mut(&number) {
                    active.asked_at_ms = work.now.mono_ms.saturating_add(pause_ms);
                }
                Ok(())
            }
            Next::End(end) => {
                let Some(active) = self.transfers.remove(&number) else { return Ok(()) };
                self.held.remove(&active.entry);
                if let Some(gone) = &active.gone {
                    self.held.remove(gone);
                    // A move that nobody heard the end of may still take effect: should the file be back under its
                    // old name, its upload comes after that.
                    work.turn.delay_file(gone, work.now.unix_ms.saturating_add(LATE_MS))?;
                }
                work.out.effects.push(Effect::Forget(number));
                let entry = active.entry.clone();
                self.ended(work, active, end)?;
                if self.overtaken.remove(&entry) {
                    work.turn.set_unsure(&entry, work.now.unix_ms)?;
                }
                Ok(())
            }
        }
    }

    /// Connections that a transfer may use: those it has, and what nobody else wants; fewer when there are too many by
    /// now. None when the work is to end.
    fn streams_for(&self, work: &Work<'_>, number: TransferId) -> usize {
        let Some(active) = self.transfers.get(&number) else { return 1 };
        if self.stopping || self.is_paused(active.mirror) {
            return 0;
        }
        let own = active.transfer.streams();
        let all = self.streams();
        let uploads = self.upload_slots(work.now);
        if self.is_crowded(work.now) || all > uploads {
            return own.saturating_sub(1).max(1);
        }
        match self.small.is_empty() && self.large.is_empty() {
            true => own + self.free_slots(work.now).min(uploads - all),
            // What waits for a slot gets the next one.
            false => 1,
        }
    }

    /// A part of a large file arrived. That is the word of COS, and says nothing of the service that hands out forms.
    fn part_arrived(&mut self) {
        self.succeeded = true;
        self.limits.of(Kind::Content).success();
    }

    /// The file that has its copy at a place in the library, as far as the journal knows.
    fn mirrored_at(
        &self,
        work: &Work<'_>,
        mirror: usize,
        remote: &[String],
    ) -> Result<Option<EntryId>, JournalError> {
        let (Some(state), Some(settings)) =
            (self.mirrors.get(mirror), self.settings.mirrors.get(mirror))
        else {
            return Ok(None);
        };
        let path = local_path(settings.names, &settings.remote, remote);
        let Some((dir, name)) = path.as_ref().and_then(RelPath::split) else { return Ok(None) };
        let Some(dir) = work.turn.dir_at(state.id, &dir)? else { return Ok(None) };
        let id = EntryId { dir: dir.id, name: name.to_vec() };
        Ok(work.turn.file(&id)?.map(|row| row.id))
    }

    /// How often in a row a file failed. That the space is full is not held against what was sent.
    fn tries(&self, work: &Work<'_>, id: &EntryId) -> Result<u32, JournalError> {
        let trouble = work.turn.trouble(id)?;
        Ok(trouble.filter(|t| t.class != Class::Quota).map_or(0, |t| t.attempts))
    }
}

impl Active {
    fn effect(&self, number: TransferId, step: Step) -> Effect {
        Effect::Step {
            transfer: number,
            mirror: self.mirror,
            path: self.path.clone(),
            target: self.transfer.target.clone(),
            fingerprint: self.transfer.fingerprint,
            step,
        }
    }
}
