//! When a changed file may be read (pure). Times in milliseconds unless the name says otherwise.

use std::time::Duration;

use crate::clock::to_ms;
use crate::fingerprint::Fingerprint;

/// Timestamps of files move in steps of the kernel's tick: two writes closer than this may look like one.
pub const CLOCK_GRAIN_MS: i64 = 20;

/// Filesystems with whole seconds (ext4 with small inodes, many servers) or every second one (FAT) say so by what is not
/// there: a state that looks like that is not read before a later write would look like another one.
const COARSE_GRAIN_MS: i64 = 2_000;

/// How long two writes to a file may look like one.
fn grain_ms(seen: &Fingerprint) -> i64 {
    match seen.ctime_ns % 1_000_000_000 {
        0 => COARSE_GRAIN_MS,
        _ => CLOCK_GRAIN_MS,
    }
}

/// When a file that was seen as `seen` and waits since `changed_at_ms` is due to be read.
///
/// It rests when nothing changed for `settle`; ctime says when something last did, and nobody can set
/// it back. A file that never rests is due at `settle_max` all the same. A ctime in the future (a
/// clock that was set back) counts as now.
#[must_use]
pub fn settle_due(
    seen: &Fingerprint,
    changed_at_ms: i64,
    settle: Duration,
    settle_max: Duration,
    now_ms: i64,
) -> i64 {
    // Without an inode the filesystem has no ctime to rely on either: it rests from now on.
    let touched = if seen.inode == 0 { now_ms } else { (seen.ctime_ns / 1_000_000).min(now_ms) };
    let grain_ms = grain_ms(seen);
    let rest = touched.saturating_add(to_ms(settle).max(grain_ms));
    let cap = changed_at_ms.saturating_add(to_ms(settle_max));
    rest.min(cap).max(touched.saturating_add(grain_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(ctime_ms: i64, changed_at_ms: i64, now_ms: i64) -> i64 {
        due_at(ctime_ms * 1_000_000 + 1, changed_at_ms, now_ms)
    }

    fn due_at(ctime_ns: i64, changed_at_ms: i64, now_ms: i64) -> i64 {
        let seen = Fingerprint { size: 1, mtime_ns: 0, ctime_ns, inode: 1 };
        settle_due(&seen, changed_at_ms, Duration::from_secs(2), Duration::from_secs(60), now_ms)
    }

    #[test]
    fn a_file_rests_before_it_is_read() {
        // Just written: after the rest.
        assert_eq!(due(100_000, 100_000, 100_000), 102_000);
        // Old when it was found: has rested already.
        assert!(due(50_000, 100_000, 100_000) <= 100_000);
        // Written again and again: at the cap, but never in the very tick of a write.
        assert_eq!(due(159_500, 100_000, 159_500), 160_000);
        assert_eq!(due(200_000, 100_000, 200_000), 200_020);
        // From the future: as if written now.
        assert_eq!(due(900_000, 100_000, 100_000), 102_000);
    }

    #[test]
    fn where_times_are_whole_seconds_a_state_is_not_read_in_the_second_of_a_write() {
        assert_eq!(due_at(200_000_000_000, 100_000, 200_900), 202_000);
        assert_eq!(due_at(200_000_000_001, 100_000, 200_900), 200_020);
        let seen = Fingerprint { size: 1, mtime_ns: 0, ctime_ns: 200_000_000_000, inode: 1 };
        let soon = Duration::from_millis(200);
        assert_eq!(settle_due(&seen, 200_000, soon, soon, 200_000), 202_000);
    }
}
