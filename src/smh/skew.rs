//! How far the clock of the service is ahead of ours (pure).

use crate::clock::Now;

/// An answer that took longer says too little about when it was written.
const SLOWEST_MS: i64 = 10_000;
/// `Date` is cut to whole seconds: half of one is the best guess for what was cut off.
const HALF_A_SECOND_MS: i64 = 500;
/// More than this between what the two clocks of this machine say of the same wait: ours was set meanwhile.
const JUMP_MS: i64 = 1_000;

/// Milliseconds that the clock of the service is ahead, by one answer that carried `date_ms`. The
/// moment it stands for is taken to be the middle between sending and receiving. `None`: the answer
/// was too slow, or our own clock jumped while it was waited for.
pub(super) fn skew_ms(sent: Now, received: Now, date_ms: i64) -> Option<i64> {
    let waited_ms = received.mono_ms.saturating_sub(sent.mono_ms);
    let by_our_clock_ms = received.unix_ms.saturating_sub(sent.unix_ms);
    let is_usable = (0..=SLOWEST_MS).contains(&waited_ms)
        && by_our_clock_ms.abs_diff(waited_ms) <= JUMP_MS.unsigned_abs();
    let middle_ms = sent.unix_ms.saturating_add(waited_ms / 2);
    is_usable.then(|| date_ms.saturating_add(HALF_A_SECOND_MS).saturating_sub(middle_ms))
}

/// A moment of the service's clock by ours.
pub(super) fn by_our_clock(theirs_ms: i64, skew_ms: i64) -> i64 {
    theirs_ms.saturating_sub(skew_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_ms: i64, mono_ms: i64) -> Now {
        Now { unix_ms, mono_ms }
    }

    #[test]
    fn is_measured_against_the_middle_of_the_request() {
        for (sent, received, date_ms, skew) in [
            // The same clock: the answer was written at 100.5 s and says 100 s.
            (at(100_400, 0), at(100_600, 200), 100_000, Some(0)),
            // Slow in one direction only: half of the wait is the error.
            (at(100_000, 0), at(104_000, 4_000), 100_000, Some(-1_500)),
            (at(100_500, 0), at(100_500, 0), 400_000, Some(300_000)),
            (at(400_500, 0), at(400_500, 0), 100_000, Some(-300_000)),
            // The limit, and beyond.
            (at(100_000, 0), at(110_000, 10_000), 105_000, Some(500)),
            (at(100_000, 0), at(110_001, 10_001), 105_000, None),
            // Somebody set our clock while we waited.
            (at(100_000, 0), at(700_000, 200), 100_000, None),
            (at(700_000, 0), at(100_000, 200), 100_000, None),
        ] {
            assert_eq!(skew_ms(sent, received, date_ms), skew, "{sent:?} {received:?}");
        }
    }

    #[test]
    fn a_time_of_the_service_is_told_by_our_clock() {
        assert_eq!(by_our_clock(1_000_000, 300_000), 700_000);
        assert_eq!(by_our_clock(1_000_000, -300_000), 1_300_000);
        assert_eq!(by_our_clock(i64::MAX, -1), i64::MAX);
    }
}
