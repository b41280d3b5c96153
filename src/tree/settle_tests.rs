//! Whatever a writer does, its file is read when it rests, and at the cap when it never does.

use std::time::Duration;

use proptest::prelude::*;

use super::settle::{CLOCK_GRAIN_MS, settle_due};
use crate::fingerprint::Fingerprint;

fn seen(ctime_ms: i64) -> Fingerprint {
    Fingerprint { size: 1, mtime_ns: 0, ctime_ns: ctime_ms * 1_000_000 + 1, inode: 1 }
}

fn ms(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

proptest! {
    #[test]
    fn it_is_due_after_a_rest_or_at_the_cap_and_never_in_the_tick_of_a_write(
        ctime in 0i64..10_000_000,
        changed_at in 0i64..10_000_000,
        now in 0i64..10_000_000,
        settle in 0i64..600_000,
        more in 0i64..600_000,
        stable: bool,
    ) {
        let max = settle + more;
        let print = Fingerprint { inode: u64::from(stable), ..seen(ctime) };
        let due = settle_due(&print, changed_at, ms(settle), ms(max), now);
        // When it was touched last: by a clock that was ahead, now.
        let touched = if stable { ctime.min(now) } else { now };
        let rest = touched + settle.max(CLOCK_GRAIN_MS);
        let cap = changed_at + max;
        prop_assert!(due >= touched + CLOCK_GRAIN_MS);
        prop_assert!(due <= rest);
        prop_assert!(due <= cap.max(touched + CLOCK_GRAIN_MS));
        prop_assert!(due >= rest.min(cap));
    }

    #[test]
    fn times_at_the_ends_of_the_world_are_survived(ctime: i64, changed_at: i64, now: i64) {
        let print = Fingerprint { size: 1, mtime_ns: 0, ctime_ns: ctime, inode: 1 };
        let due = settle_due(&print, changed_at, Duration::MAX, Duration::MAX, now);
        prop_assert!(due >= (ctime / 1_000_000).min(now));
    }

    /// A writer that pauses now and then; each write is heard of, late or early.
    #[test]
    fn a_writer_is_read_once_it_rests_and_within_the_cap(
        pauses in prop::collection::vec(1i64..3_000, 1..60),
        settle in 20i64..2_000,
        caps in 1i64..10,
    ) {
        let max = settle * caps;
        let mut now = 1_000_000;
        let mut waits_since = now;
        let mut due = settle_due(&seen(now), waits_since, ms(settle), ms(max), now);
        let mut reads = Vec::new();
        let mut last_write = now;
        for pause in pauses {
            let next = now + pause;
            if due < next {
                // Read at once when it is due; nothing was written since.
                prop_assert!(due >= last_write + CLOCK_GRAIN_MS);
                prop_assert!(due - last_write >= settle || due - waits_since >= max);
                reads.push(due);
                waits_since = next;
            }
            now = next;
            last_write = now;
            due = settle_due(&seen(now), waits_since, ms(settle), ms(max), now);
            // The patience for one that never rests is bounded.
            prop_assert!(due - waits_since <= max.max(now - waits_since + CLOCK_GRAIN_MS));
        }
        // After the last write it is read, no later than a rest.
        prop_assert!(due <= last_write + settle.max(CLOCK_GRAIN_MS));
        prop_assert!(reads.windows(2).all(|two| two[1] - two[0] >= settle.min(max)));
    }
}
