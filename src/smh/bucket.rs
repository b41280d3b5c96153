//! How long bytes have to wait so that no more than a limit is sent (pure).

use std::num::NonZeroU64;

/// So much of the time in which nothing was sent, or a sleep took too long, may be made up for, in nanoseconds. Less
/// would lose a little with each sleep, more would send bursts.
const LAG_NS: i64 = 100_000_000;
/// Pieces of a second: so often something moves.
const PIECES_A_SECOND: u64 = 20;
/// A piece has at least so many bytes, or its own head would be more than it.
const PIECE_MIN: u64 = 1024;
/// And at most so many: uploads that share a limit go in turns, a piece each.
const PIECE_MAX: u64 = 256 * 1024;
const NS: u128 = 1_000_000_000;

/// Hands out the time of a line that takes so many bytes a second, one piece after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Bucket {
    /// When all that was let through so far will have been sent, monotonic nanoseconds.
    free_at_ns: i64,
}

/// Bytes that are let through at a time under a limit.
pub(super) fn piece(rate: NonZeroU64) -> u64 {
    (rate.get() / PIECES_A_SECOND).clamp(PIECE_MIN, PIECE_MAX)
}

impl Bucket {
    /// Nothing was sent yet.
    pub(super) fn new(now_ns: i64) -> Bucket {
        Bucket { free_at_ns: now_ns }
    }

    /// Takes a place for `bytes` behind all others, and gives the nanoseconds until they may be sent.
    pub(super) fn take(&mut self, bytes: u64, rate: NonZeroU64, now_ns: i64) -> u64 {
        let begins = self.free_at_ns.max(now_ns.saturating_sub(LAG_NS));
        let lasts = u128::from(bytes) * NS / u128::from(rate.get());
        self.free_at_ns = begins.saturating_add(i64::try_from(lasts).unwrap_or(i64::MAX));
        u64::try_from(begins.saturating_sub(now_ns)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 1_000_000;

    fn rate(bytes: u64) -> NonZeroU64 {
        NonZeroU64::new(bytes).unwrap()
    }

    #[test]
    fn pieces_are_small_enough_to_be_smooth() {
        for (bytes, expected) in
            [(1 << 10, 1 << 10), (64 << 10, 3276), (1 << 20, 52_428), (1 << 30, 256 << 10)]
        {
            assert_eq!(piece(rate(bytes)), expected, "{bytes}");
        }
    }

    #[test]
    fn who_comes_first_goes_first() {
        let mut bucket = Bucket::new(0);
        let waits: Vec<u64> = (0..3).map(|_| bucket.take(500, rate(1000), 0)).collect();
        assert_eq!(waits, [0, 500_000_000, 1_000_000_000]);
    }

    #[test]
    fn a_long_rest_is_no_reason_for_a_burst() {
        let mut bucket = Bucket::new(0);
        let now = 3_600_000 * MS;
        let at_once = (0..100).filter(|_| bucket.take(50, rate(1000), now) == 0).count();
        // A tenth of a second made up for, and the piece that begins now.
        assert_eq!(at_once, 3);
    }

    #[test]
    fn the_slowest_and_the_largest_do_not_overflow() {
        let mut bucket = Bucket::new(i64::MAX - 1);
        bucket.take(u64::MAX, rate(1), i64::MAX - 1);
        assert!(bucket.take(1, rate(1), 0) > 0);
    }

    proptest! {
        /// In any span of time no more goes through than the limit allows, but for what is made up for and one piece.
        #[test]
        fn no_more_than_the_limit(
            bytes_a_second in 1024_u64..10_000_000,
            steps in proptest::collection::vec((1_u64..262_144, 0_i64..400), 1..60),
        ) {
            let limit = rate(bytes_a_second);
            let mut bucket = Bucket::new(0);
            let mut now = 0;
            let mut sent: Vec<(i64, u64)> = Vec::new();
            for (bytes, pause_ms) in steps {
                now += pause_ms * MS;
                let bytes = bytes.min(piece(limit));
                let wait = bucket.take(bytes, limit, now);
                sent.push((now + i64::try_from(wait).unwrap(), bytes));
            }
            for (first, (begin, _)) in sent.iter().enumerate() {
                let mut sum = 0;
                for (at, bytes) in &sent[first..] {
                    sum += u128::from(*bytes);
                    let span = u128::try_from(at - begin + LAG_NS).unwrap();
                    let allowed = span * u128::from(bytes_a_second) / NS + u128::from(piece(limit)) + 60;
                    prop_assert!(sum <= allowed, "{sum} of {allowed}");
                }
            }
        }

        /// Who always has something to send, and sleeps a little too long each time, gets all of it.
        #[test]
        fn all_of_the_limit(bytes_a_second in 20_480_u64..10_000_000, late_ms in 0_i64..30) {
            let limit = rate(bytes_a_second);
            let mut bucket = Bucket::new(0);
            let (mut now, mut sum) = (0, 0_u128);
            while now < 60_000 * MS {
                let wait = i64::try_from(bucket.take(piece(limit), limit, now)).unwrap();
                now += if wait > 0 { wait + late_ms * MS } else { 0 };
                sum += u128::from(piece(limit));
            }
            prop_assert!(sum * 100 >= u128::from(bytes_a_second) * 60 * 99);
        }
    }
}
