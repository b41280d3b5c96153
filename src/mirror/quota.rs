//! A full space (pure): what is too large waits together, what is smaller goes on, and one file at a time finds
//! out whether there is room again.

/// First and longest wait between two tries, in milliseconds. All times are those of the journal, since files
/// wait there.
const WAIT: (i64, i64) = (60_000, 3_600_000);

/// How much room there is, as far as refusals tell.
#[derive(Debug, Default)]
pub(super) struct Quota {
    full: Option<Full>,
}

#[derive(Debug)]
struct Full {
    /// The smallest size that was refused.
    from: u64,
    wait_ms: i64,
    next_at_ms: i64,
    probing: bool,
}

/// Whether a file may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Try,
    /// Not before this time.
    Wait(i64),
}

impl Quota {
    /// Files of this size and more wait.
    pub(super) fn full_from(&self) -> Option<u64> {
        self.full.as_ref().map(|full| full.from)
    }

    /// Whether a file of `size` bytes may be tried now; if it is one that waits, it is the probe.
    pub(super) fn admit(&mut self, size: u64, now_ms: i64) -> Room {
        match &mut self.full {
            Some(full) if size >= full.from => {
                if full.probing || now_ms < full.next_at_ms {
                    return Room::Wait(full.next_at_ms.max(now_ms.saturating_add(WAIT.0 / 12)));
                }
                full.probing = true;
                Room::Try
            }
            _ => Room::Try,
        }
    }

    /// A file of `size` bytes was refused for want of room. Gives when to try again.
    pub(super) fn refused(&mut self, size: u64, now_ms: i64) -> i64 {
        match &mut self.full {
            None => {
                let next_at_ms = now_ms.saturating_add(WAIT.0);
                self.full = Some(Full { from: size, wait_ms: WAIT.0, next_at_ms, probing: false });
                next_at_ms
            }
            Some(full) => {
                // Several that were under way count once.
                if full.probing || now_ms >= full.next_at_ms {
                    full.wait_ms = full.wait_ms.saturating_mul(2).min(WAIT.1);
                    full.next_at_ms = now_ms.saturating_add(full.wait_ms);
                }
                full.from = full.from.min(size);
                full.probing = false;
                full.next_at_ms
            }
        }
    }

    /// A file of `size` bytes found room. If that ended a shortage: the time until which others wait.
    pub(super) fn found_room(&mut self, size: u64) -> Option<i64> {
        self.full.take_if(|full| size >= full.from).map(|full| full.next_at_ms)
    }

    /// The probe failed for another reason, or nothing that waited is left.
    pub(super) fn probe_over(&mut self) {
        if let Some(full) = &mut self.full {
            full.probing = false;
        }
    }

    /// Nothing waits for room any more, or a person says that there is some.
    pub(super) fn forget(&mut self) {
        self.full = None;
    }

    /// When a file that waits may be tried.
    pub(super) fn next_at_ms(&self) -> Option<i64> {
        self.full.as_ref().map(|full| full.next_at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_probe_at_a_time_and_smaller_files_go_on() {
        let mut quota = Quota::default();
        assert_eq!(quota.admit(1 << 40, 0), Room::Try);
        assert_eq!(quota.refused(1000, 0), 60_000);
        assert_eq!(quota.admit(999, 1), Room::Try);
        assert_eq!(quota.admit(1000, 1), Room::Wait(60_000));
        // Others that were under way change nothing but the size.
        assert_eq!(quota.refused(500, 2), 60_000);
        assert_eq!(quota.full_from(), Some(500));
        assert_eq!(quota.admit(800, 60_000), Room::Try, "the probe");
        assert!(matches!(quota.admit(900, 60_001), Room::Wait(_)), "one at a time");
        assert_eq!(quota.refused(800, 60_002), 180_002, "the wait grows");
        assert_eq!(quota.admit(800, 180_002), Room::Try);
        assert_eq!((quota.found_room(10), quota.found_room(800)), (None, Some(180_002)));
        assert_eq!(quota.admit(900, 180_003), Room::Try);
    }

    #[test]
    fn a_probe_that_fails_otherwise_lets_another_try() {
        let mut quota = Quota::default();
        quota.refused(1000, 0);
        assert_eq!(quota.admit(1000, 60_000), Room::Try);
        quota.probe_over();
        assert_eq!(quota.admit(2000, 60_001), Room::Try);
    }
}
