//! How much is under way, and how much may be.

use super::Core;
use super::relocations::Relocation;
use super::removals::Bin;
use crate::clock::Now;
use crate::mirror::facts::Load;

impl Core {
    /// Connections that uploads use.
    pub(super) fn streams(&self) -> usize {
        self.transfers.values().map(|active| active.transfer.streams()).sum()
    }

    /// Slots in all, and those that are in use.
    pub(super) fn slots(&self, now: Now) -> (usize, usize) {
        let under_way = self.relocations.values().filter(|job| job.is_under_way()).count();
        let busy = self.streams()
            + self.dir_jobs.len()
            + self.listings.len()
            + self.removals.len()
            + under_way;
        let slots = self.limits.slots(now.mono_ms);
        (self.gate.slots().map_or(slots, |most| most.min(slots)), busy)
    }

    /// Slots that are free now.
    pub(super) fn free_slots(&self, now: Now) -> usize {
        let (slots, busy) = self.slots(now);
        slots.saturating_sub(busy)
    }

    /// More is under way than should be.
    pub(super) fn is_crowded(&self, now: Now) -> bool {
        let (slots, busy) = self.slots(now);
        busy > slots
    }

    /// How busy it is.
    pub(super) fn load(&self, now: Now) -> Load {
        let slots = self.upload_slots(now);
        let limit = match self.gate.closed() {
            Some(_) => 0,
            None => self.gate.slots().map_or(slots, |most| most.min(slots)),
        };
        Load { transfers: self.transfers.len(), limit }
    }

    /// Whether the shell is doing something that the service takes part in.
    pub(super) fn is_busy(&self) -> bool {
        !self.transfers.is_empty()
            || !self.dir_jobs.is_empty()
            || !self.listings.is_empty()
            || !self.removals.is_empty()
            || self.relocations.values().any(Relocation::is_under_way)
            || self.cancels > 0
            || self.bin == Bin::Asking
    }
}
