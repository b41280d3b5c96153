//! When a pass is over, and when to turn again.

use super::relocations::Candidate;
use super::{Core, MirrorState, PASS_PROBES, PASS_TRIES, Work};
use crate::failure::Class;
use crate::journal::{ConditionKind, JournalError};
use crate::mirror::facts::Finished;
use crate::mirror::gate::Closed;
use crate::mirror::limiter;

/// What waits for a scan, or for an answer from the disk, is looked at again at least this often.
const LOOK_AGAIN_MS: i64 = 1_000;

impl Core {
    /// Why one pass is over, if it is. A daemon is never finished.
    pub(super) fn is_finished(&self, work: &Work<'_>) -> Result<Option<Finished>, JournalError> {
        if !self.settings.once {
            return Ok(None);
        }
        let busy = self.is_busy();
        match self.gate.closed() {
            Some(Closed::Auth) if !busy => {
                return Ok(Some(Finished::Refused(self.last_refusal.clone())));
            }
            Some(Closed::Offline) if !busy && self.gate.cycles() >= PASS_PROBES => {
                return Ok(Some(Finished::Unreachable(self.last_refusal.clone())));
            }
            _ if !busy && self.limits.in_a_row() >= limiter::GIVE_UP_AFTER => {
                return Ok(Some(Finished::Unreachable(self.last_refusal.clone())));
            }
            _ => {}
        }
        let scanning = self.mirrors.iter().any(|m| {
            m.scan.is_busy() || !m.hints.is_empty() || !m.looking.is_empty() || !m.scan.had_a_pass()
        });
        // What a person paused is not waited for.
        let moving = self.relocations.values().any(|job| !self.is_paused(job.mirror))
            || self.candidates.iter().any(|candidate| !self.is_paused(candidate.mirror));
        if busy || scanning || moving {
            return Ok(None);
        }
        if !self.settings.dry_run {
            // What lies below a root that is not there cannot be sent; the condition says so.
            let goes_on = |mirror: &&MirrorState| !mirror.scan.is_held() && !mirror.is_paused();
            for mirror in self.mirrors.iter().filter(goes_on) {
                if work.turn.has_hopeful_work(mirror.id, PASS_TRIES, self.quota.full_from())? {
                    return Ok(None);
                }
                let deletes = work.now.mono_ms >= self.removals_wait_until_ms
                    && work.turn.holds(mirror.id)?.is_empty()
                    && work.turn.has_hopeful_deletes(mirror.id, work.now.unix_ms, PASS_TRIES)?;
                if deletes {
                    return Ok(None);
                }
            }
        }
        if !self.succeeded && !self.settings.dry_run {
            // Everything that was tried was refused: that is not about single files.
            for mirror in &self.mirrors {
                if work.turn.has_trouble(mirror.id, Class::Auth)? {
                    return Ok(Some(Finished::Refused(self.last_refusal.clone())));
                }
            }
        }
        if self.limits.in_a_row() == 0 {
            work.turn.remove_condition(None, ConditionKind::Throttled)?;
        }
        Ok(Some(Finished::Drained))
    }

    /// When there is something to do without news, monotonic milliseconds.
    pub(super) fn wake_at(&self, work: &Work<'_>) -> Result<Option<i64>, JournalError> {
        let now = work.now;
        let mut wakes: Vec<i64> =
            self.mirrors.iter().filter_map(|mirror| mirror.scan.next_at_ms()).collect();
        wakes.extend(self.next_resume_ms(work));
        if self.settings.dry_run {
            return Ok(wakes.into_iter().min());
        }
        wakes.extend(self.calm_at_ms);
        if self.gate.closed().is_some() {
            wakes.extend(self.gate.next_probe_ms());
        } else {
            wakes.extend(self.limits.resumes_at_ms(now.mono_ms));
            wakes.extend(self.next_reread_ms(now));
            wakes.extend(self.orphans_at_ms);
            // One that is overdue waits for a slot, and whatever frees that wakes.
            wakes.extend(self.next_relocation_ms().filter(|at| *at > now.mono_ms));
            wakes.extend(self.next_removal_ms(work)?);
            let judged = |candidate: &Candidate| !self.is_paused(candidate.mirror);
            if !self.unscanned.is_empty() || self.candidates.iter().any(judged) {
                wakes.push(now.mono_ms.saturating_add(LOOK_AGAIN_MS));
            }
            wakes.extend(
                self.quota
                    .next_at_ms()
                    .filter(|at| *at > now.unix_ms)
                    .map(|at| now.mono_ms.saturating_add(at.saturating_sub(now.unix_ms))),
            );
            let due = [work.turn.next_file_due(now.unix_ms)?, work.turn.next_dir_due(now.unix_ms)?];
            wakes.extend(
                due.into_iter()
                    .flatten()
                    .map(|at| now.mono_ms.saturating_add(at.saturating_sub(now.unix_ms))),
            );
        }
        Ok(wakes.into_iter().min())
    }
}
