//! How many uploads at the same time (pure): one more while it goes well, half as many when the service asks.

/// Where a run begins: enough to hide the round trips, not enough to hurt.
const BEGIN: f64 = 16.0;
/// The limit is halved at most once in so many milliseconds: answers to one burst are one word.
const CALM_MS: i64 = 1_000;

/// Additive increase, multiplicative decrease.
#[derive(Debug, Clone)]
pub(super) struct Limiter {
    limit: f64,
    upper: f64,
    halved_at_ms: Option<i64>,
    paused_until_ms: i64,
}

impl Limiter {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
    pub(super) fn new(upper: usize) -> Limiter {
        let upper = upper.max(1) as f64;
        Limiter { limit: BEGIN.min(upper), upper, halved_at_ms: None, paused_until_ms: 0 }
    }

    /// Slots in all at `now_ms` (monotonic).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "1 to a few hundred"
    )]
    pub(super) fn slots(&self, now_ms: i64) -> usize {
        if now_ms < self.paused_until_ms { 0 } else { self.limit as usize }
    }

    /// When a pause ends, if there is one.
    pub(super) fn resumes_at_ms(&self, now_ms: i64) -> Option<i64> {
        (now_ms < self.paused_until_ms).then_some(self.paused_until_ms)
    }

    pub(super) fn success(&mut self) {
        self.limit = (self.limit + 1.0 / self.limit).min(self.upper);
    }

    /// Whether the service asked for less not long ago.
    pub(super) fn is_throttled(&self) -> bool {
        self.halved_at_ms.is_some() && self.limit < self.upper
    }

    pub(super) fn throttled(&mut self, now_ms: i64, wait_ms: i64) {
        self.paused_until_ms = self.paused_until_ms.max(now_ms.saturating_add(wait_ms));
        if self.halved_at_ms.is_none_or(|at| now_ms - at >= CALM_MS) {
            self.limit = (self.limit / 2.0).max(1.0);
            self.halved_at_ms = Some(now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_once_a_burst_and_recovers() {
        let mut limiter = Limiter::new(32);
        assert_eq!(limiter.slots(0), 16);
        for _ in 0..5 {
            limiter.throttled(10, 100);
        }
        assert_eq!((limiter.slots(50), limiter.slots(110)), (0, 8));
        for _ in 0..2000 {
            limiter.success();
        }
        assert_eq!(limiter.slots(110), 32);
    }
}
