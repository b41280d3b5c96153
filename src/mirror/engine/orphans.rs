//! Uploads that were left of files that are gone, or no longer mirrored: what arrived whole is confirmed and
//! remembered, anything else is cancelled on the service.

use super::{Active, Core, Work};
use crate::journal::JournalError;
use crate::mirror::transfer::Transfer;

/// After one that failed, others wait so long.
const AGAIN_MS: i64 = 60_000;
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
        for upload in work.turn.orphaned_uploads()? {
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
                began_at_ms: work.now.mono_ms,
            };
            self.transfers.insert(number, active);
            self.apply(work, number, decision)?;
        }
        Ok(())
    }

    /// A transfer of a file that is gone ended without ending its upload: another time.
    pub(super) fn orphan_failed(&mut self, work: &Work<'_>) {
        self.may_leave_orphans(work.now.mono_ms.saturating_add(AGAIN_MS));
    }
}
