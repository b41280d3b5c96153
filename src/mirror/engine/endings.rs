//! How transfers end, and what the journal says of it: synced, or trouble with the time of the next try.

use super::dirs::left_out;
use super::{Active, Core, Work};
use crate::failure::Class;
use crate::journal::{
    Activity, ConditionKind, ConfirmedRow, EntryId, JournalError, NEVER_MS, TroubleRow,
};
use crate::mirror::backoff;
use crate::mirror::events::{Event, Sent};
use crate::mirror::gate::Blame;
use crate::mirror::plan;
use crate::mirror::step::Failure;
use crate::mirror::transfer::{End, How};
use crate::relpath::RelPath;
use crate::wording::counted;

/// An entry that is not to blame is looked at again this soon; the gate decides whether it goes through.
const BLAMELESS_MS: i64 = 500;
/// A file that is looked at again is not read before that can have come back.
const LOOK_FIRST_MS: i64 = 500;
/// Code of the trouble of a file that is never still.
const RESTLESS: &str = "Restless";
/// Restless files that are remembered.
const RESTLESS_MAX: usize = 4096;
/// Throttled so often without ever getting through: it is about this entry.
const THROTTLED_ALONE: u32 = 4;
/// Entries that are remembered for that.
const THROTTLED_MAX: usize = 64;

/// How a file came to be synced.
#[derive(Debug, Clone, Copy)]
struct Way {
    how: How,
    /// How long the transfer took, in milliseconds.
    took_ms: i64,
    /// Bytes that an earlier run had sent.
    resumed: u64,
}

impl Core {
    pub(super) fn ended(
        &mut self,
        work: &mut Work<'_>,
        active: Active,
        end: End,
    ) -> Result<(), JournalError> {
        let Active { mirror, entry, path, transfer, rested, gone, began_at_ms, .. } = active;
        let now_ms = work.now.unix_ms;
        let sent = transfer.fingerprint;
        if !matches!(end, End::Synced { .. }) {
            self.quota.probe_over();
            // Nobody will take up again what was started for a file that is gone.
            let gone = work.turn.file(&entry)?.is_none_or(|row| row.gone_at_ms.is_some());
            if gone && work.turn.upload(&entry)?.is_some() {
                self.orphan_failed(work);
            }
        }
        match end {
            End::Synced { full_hash, crc64, how } => {
                let confirmed = ConfirmedRow { fingerprint: sent, full_hash, crc64, at_ms: now_ms };
                if let (How::Moved, Some(gone)) = (how, gone) {
                    self.copy_is_gone(work, &gone)?;
                    if let Some(dir) = work.turn.dir(gone.dir)? {
                        let old = dir.path.join(&gone.name);
                        self.name_is_free(work, mirror, &old)?;
                        let detail = format!("to {path}");
                        work.turn.record(now_ms, dir.mirror, &old, Activity::Moved, &detail)?;
                    }
                }
                let took_ms = work.now.mono_ms.saturating_sub(began_at_ms);
                let way = Way { how, took_ms, resumed: transfer.resumed() };
                self.synced(work, mirror, &entry, path, confirmed, way)?;
                self.was_read(work, mirror, &entry, sent.ctime_ns, now_ms.saturating_sub(took_ms))
            }
            End::Dropped | End::Parked => Ok(()),
            End::RootGone => {
                let Some(state) = self.mirrors.get_mut(mirror) else { return Ok(()) };
                state.scan.hurry(work.now.mono_ms);
                work.turn.set_file_next(&entry, now_ms.saturating_add(LOOK_FIRST_MS))
            }
            End::Vanished => self.look_again(work, mirror, &entry, path),
            End::Changed => {
                if !rested {
                    return self.restless(work, mirror, &entry, &path);
                }
                self.look_again(work, mirror, &entry, path)
            }
            End::DirectoryLost => {
                let dir = work.turn.dir(entry.dir)?;
                let is_space_root = dir.as_ref().is_some_and(|dir| dir.path.is_root())
                    && self.settings.mirrors.get(mirror).is_some_and(|m| m.remote.is_empty());
                if !is_space_root {
                    let files = work.turn.dir_lost(entry.dir, now_ms)?;
                    if files > 0 {
                        // The next listing tells which of their copies went with it.
                        self.compare_again(work, mirror)?;
                    }
                }
                let failure = Failure::new(
                    Class::Stale,
                    "its directory vanished from the remote; it is made again",
                );
                self.file_failed(work, mirror, &entry, &path, failure, Blame::Entry)
            }
            End::Failed(failure) => {
                if transfer.progressed() {
                    // It gets on: what failed before does not count against it.
                    work.turn.remove_trouble(&entry)?;
                }
                let blame = self.service_failed(work, &failure, &entry)?;
                // What failed was an older state: the newer one has its own rest and its own try. Unless what was
                // started for the older one still has to be settled first: then its failure is in the way.
                let newer = work.turn.file(&entry)?.is_some_and(|row| {
                    row.seen != sent && row.next_at_ms.is_some_and(|at| at != NEVER_MS)
                });
                if newer && work.turn.upload(&entry)?.is_none() {
                    return Ok(());
                }
                self.file_failed(work, mirror, &entry, &path, failure, blame)
            }
        }
    }

    /// The file is not what was expected: what is it now?
    fn look_again(
        &mut self,
        work: &mut Work<'_>,
        mirror: usize,
        entry: &EntryId,
        path: RelPath,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(mirror) else { return Ok(()) };
        state.hints.insert(path);
        // Not before the look came back.
        let rest = crate::clock::to_ms(state.rest.settle).max(LOOK_FIRST_MS);
        work.turn.set_file_next(entry, work.now.unix_ms.saturating_add(rest))
    }

    /// One read did not find the file still, although its patience was over. It is read again when it rests, or
    /// after as much patience; not at once, for ever.
    fn restless(
        &mut self,
        work: &mut Work<'_>,
        mirror: usize,
        entry: &EntryId,
        path: &RelPath,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(mirror) else { return Ok(()) };
        let wait_ms = crate::clock::to_ms(state.rest.settle_max);
        if !self.settings.once {
            state.hints.insert(path.clone());
        }
        let now_ms = work.now.unix_ms;
        if self.restless.len() >= RESTLESS_MAX {
            // Each of them is read once more too early; none is forgotten.
            self.restless.clear();
        }
        self.restless.insert(entry.clone(), now_ms);
        work.turn.set_file_next(entry, now_ms.saturating_add(wait_ms.max(LOOK_FIRST_MS)))?;
        let before = work.turn.trouble(entry)?;
        let tried = before.as_ref().map_or(0, |t| t.attempts).saturating_add(1);
        work.turn.put_trouble(&TroubleRow {
            id: entry.clone(),
            class: Class::Transient,
            code: Some(RESTLESS.to_owned()),
            message: "the file changes all the time: no read found it still; it is read again when it rests".to_owned(),
            request_id: None,
            // A pass does not wait for it.
            attempts: if self.settings.once { super::PASS_TRIES } else { tried },
            blocked: false,
            first_at_ms: before.map_or(now_ms, |t| t.first_at_ms),
            last_at_ms: now_ms,
        })
    }

    fn synced(
        &mut self,
        work: &mut Work<'_>,
        mirror: usize,
        entry: &EntryId,
        path: RelPath,
        confirmed: ConfirmedRow,
        way: Way,
    ) -> Result<(), JournalError> {
        let Way { how, took_ms, resumed } = way;
        let now_ms = work.now.unix_ms;
        let sent = confirmed.fingerprint;
        self.succeeded = true;
        self.restless.remove(entry);
        self.throttled.remove(entry);
        if !matches!(how, How::Unchanged | How::Adopted) {
            self.service_answered(work)?;
            self.found_room(work, sent.size)?;
        }
        let row = match work.turn.file(entry)? {
            // Left out while it was sent: the copy stays, and is not ours to speak of.
            None if left_out(work, entry)? => return work.turn.remove_remote(entry),
            row => plan::file_confirmed(entry, row, confirmed, now_ms),
        };
        work.turn.put_file(&row)?;
        if row.gone_at_ms.is_some() {
            work.turn.set_file_delete(entry, self.delete_at(work, mirror))?;
        }
        work.turn.remove_trouble(entry)?;
        work.turn.remove_remote(entry)?;
        self.quota_is_fine(work, mirror)?;
        let (what, sent_how) = match how {
            How::Sent => (Activity::Uploaded, Sent::Uploaded),
            How::Instant => (Activity::Instant, Sent::Instant),
            How::Recovered => (Activity::Recovered, Sent::Recovered),
            How::Adopted => (Activity::Adopted, Sent::Adopted),
            How::Unchanged => (Activity::Unchanged, Sent::Unchanged),
            How::Moved => (Activity::Moved, Sent::Moved),
        };
        if let Some(state) = self.mirrors.get(mirror) {
            let detail = match resumed {
                0 => counted(sent.size, "byte"),
                resumed => {
                    format!("{}, {resumed} of them by an earlier run", counted(sent.size, "byte"))
                }
            };
            work.turn.record(now_ms, state.id, &path, what, &detail)?;
        }
        let mirror = self.settings.mirrors.get(mirror).map(|m| m.name.clone()).unwrap_or_default();
        let bytes = sent.size;
        let how = sent_how;
        work.out.events.push(Event::Synced { mirror, path, bytes, how, took_ms, resumed });
        Ok(())
    }

    /// Writes down that a file failed, and when to try again.
    pub(super) fn file_failed(
        &mut self,
        work: &mut Work<'_>,
        mirror: usize,
        entry: &EntryId,
        path: &RelPath,
        failure: Failure,
        blame: Blame,
    ) -> Result<(), JournalError> {
        let now_ms = work.now.unix_ms;
        let Some(mut row) = work.turn.file(entry)? else { return Ok(()) };
        if row.gone_at_ms.is_some() {
            return Ok(());
        }
        if blame == Blame::Service && !self.is_throttled_alone(&failure, entry) {
            return work.turn.set_file_next(entry, now_ms.saturating_add(BLAMELESS_MS));
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
            Class::Quota => self.quota.refused(row.seen.size, now_ms),
            _ => now_ms.saturating_add(wait_ms),
        });
        row.changed_at_ms = row.changed_at_ms.or(Some(now_ms));
        work.turn.put_file(&row)?;
        let name = self.settings.mirrors.get(mirror).map(|m| m.name.clone()).unwrap_or_default();
        if let Some(state) = self.mirrors.get(mirror) {
            if blocked {
                work.turn.record(now_ms, state.id, path, Activity::Blocked, &failure.message)?;
            }
            if failure.class == Class::Quota {
                self.space_is_full(work, mirror)?;
            }
        }
        work.out.events.push(Event::Trouble {
            mirror: name,
            path: path.clone(),
            class: failure.class,
            code: failure.code.clone(),
            request_id: failure.request_id.clone(),
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

    /// Whether the service asks for less again and again because of this one entry: then that is the entry's fault,
    /// and the others must not wait for it.
    fn is_throttled_alone(&mut self, failure: &Failure, entry: &EntryId) -> bool {
        if failure.class != Class::Throttled {
            return false;
        }
        if self.throttled.len() >= THROTTLED_MAX {
            // Many: it is not about one entry.
            self.throttled.clear();
        }
        let times = self.throttled.entry(entry.clone()).or_default();
        *times += 1;
        *times >= THROTTLED_ALONE
    }

    pub(super) fn space_is_full(
        &mut self,
        work: &mut Work<'_>,
        mirror: usize,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(mirror) else { return Ok(()) };
        state.may_be_full = true;
        let message =
            "the space is full; files wait until there is room, and one is tried now and then";
        work.turn.put_condition(Some(state.id), ConditionKind::Quota, message, work.now.unix_ms)
    }

    /// A file got through: if it was as large as those that wait, they go on.
    fn found_room(&mut self, work: &mut Work<'_>, size: u64) -> Result<(), JournalError> {
        match self.quota.found_room(size) {
            Some(waited_for_ms) => work.turn.due_now(waited_for_ms, work.now.unix_ms),
            None => Ok(()),
        }
    }

    /// The space is not full any more for a mirror, unless something of it still waits for room.
    fn quota_is_fine(&mut self, work: &mut Work<'_>, mirror: usize) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(mirror).filter(|state| state.may_be_full) else {
            return Ok(());
        };
        if self.quota.full_from().is_none() && !work.turn.has_trouble(state.id, Class::Quota)? {
            work.turn.remove_condition(Some(state.id), ConditionKind::Quota)?;
            state.may_be_full = false;
        }
        Ok(())
    }

    /// What waited for room may be gone: then nothing waits for it.
    pub(super) fn mind_the_quota(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        let (Some(from), Some(at_ms)) = (self.quota.full_from(), self.quota.next_at_ms()) else {
            return Ok(());
        };
        if at_ms > work.now.unix_ms || work.turn.waits_from(from)? {
            return Ok(());
        }
        self.quota.forget();
        for index in 0..self.mirrors.len() {
            self.quota_is_fine(work, index)?;
        }
        Ok(())
    }
}
