//! Uploads that were left of files that are gone, no longer mirrored, or blocked for long: what arrived whole is
//! confirmed and remembered, anything else is cancelled on the service. Those of mirrors that are no longer configured
//! are cancelled.

use super::{Active, Core, Work};
use crate::failure::Class;
use crate::journal::JournalError;
use crate::mirror::facts::Effect;
use crate::mirror::step::Failure;
use crate::mirror::transfer::Transfer;

/// After one that failed, others wait so long.
const AGAIN_MS: i64 = 60_000;
/// Uploads of blocked files are kept so long: the file may go on, and what arrived need not be sent again.
const KEPT_MS: i64 = 20 * 3_600_000;
/// Abandoned uploads that are cancelled at a time.
const AT_A_TIME: usize = 4;
/// What cannot be settled yet is looked at again after this.
const BUSY_MS: i64 = 2_000;

impl Core {
    /// Something vanished that may have been under way.
    pub(super) fn may_leave_orphans(&mut self, at_ms: i64) {
        self.orphans_at_ms = Some(self.orphans_at_ms.map_or(at_ms, |at| at.min(at_ms)));
    }

    pub(super) fn begin_orphans(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        if self.orphans_at_ms.is_none_or(|at| at > work.now.mono_ms) {
            return Ok(());
        }
        self.orphans_at_ms = None;
        if self.cancels == 0 {
            let abandoned = work.turn.abandoned(AT_A_TIME)?;
            self.cancels = abandoned.len();
            let cancel = |confirm_key| Effect::Cancel { confirm_key };
            work.out.effects.extend(abandoned.into_iter().map(cancel));
        }
        let long_ago_ms = work.now.unix_ms.saturating_sub(KEPT_MS);
        for upload in work.turn.orphaned_uploads(long_ago_ms)? {
            // A transfer runs, or waits and will find out that the file is gone.
            if self.held.contains(&upload.id) || self.free_slots(work.now) == 0 {
                self.may_leave_orphans(work.now.mono_ms.saturating_add(BUSY_MS));
                continue;
            }
            let Some(dir) = work.turn.dir(upload.id.dir)? else { continue };
            let Some(mirror) = self.mirrors.iter().position(|m| m.id == dir.mirror) else {
                continue;
            };
            // Taken up when it goes on.
            if self.is_paused(mirror) {
                continue;
            }
            let path = dir.path.join(&upload.id.name);
            let Some(target) = self.target(mirror, &path) else { continue };
            let (transfer, decision) = Transfer::settle(target, &upload);
            let number = self.number();
            self.held.insert(upload.id.clone());
            let active = Active {
                mirror,
                entry: upload.id,
                path,
                transfer,
                gone: None,
                rested: true,
                told_visible: false,
                asked_at_ms: work.now.mono_ms,
                began_at_ms: work.now.mono_ms,
            };
            self.transfers.insert(number, active);
            self.apply(work, number, decision)?;
        }
        Ok(())
    }

    /// An abandoned upload is cancelled, or was not.
    pub(super) fn cancelled(
        &mut self,
        work: &mut Work<'_>,
        confirm_key: &str,
        result: Result<(), Failure>,
    ) -> Result<(), JournalError> {
        self.cancels = self.cancels.saturating_sub(1);
        let passes = |class| {
            matches!(class, Class::Transient | Class::Throttled | Class::Offline | Class::Auth)
        };
        match result {
            Err(failure) if passes(failure.class) => {
                self.may_leave_orphans(work.now.mono_ms.saturating_add(AGAIN_MS));
            }
            _ => {
                work.turn.remove_abandoned(confirm_key)?;
                if !work.turn.abandoned(1)?.is_empty() {
                    self.may_leave_orphans(work.now.mono_ms.saturating_add(BUSY_MS));
                }
            }
        }
        Ok(())
    }

    /// A transfer of a file that is gone ended without ending its upload: another time.
    pub(super) fn orphan_failed(&mut self, work: &Work<'_>) {
        self.may_leave_orphans(work.now.mono_ms.saturating_add(AGAIN_MS));
    }
}
