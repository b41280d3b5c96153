//! How much at the same time (pure): more while it goes well, half as much when the service asks for less, fails, or is
//! slow. Calls of SMH and content that goes to COS are judged apart, under one bound.

use std::time::Duration;

use super::backoff;
use crate::failure::Class;

/// Where a run begins: enough to hide the round trips, not enough to hurt.
const BEGIN: f64 = 16.0;
/// The limit is halved at most once in so many milliseconds: answers to one burst are one word.
const CALM_MS: i64 = 1_000;

/// Throttled so often in a row, with nothing in between, a pass gives up.
pub(super) const GIVE_UP_AFTER: u32 = 8;

/// A call that takes longer than this, in milliseconds, waited in a queue that fewer calls would make shorter.
const SLOW_CALL_MS: i64 = 5_000;
/// Bytes a second below which the content of a file is slow: fewer at a time get through sooner.
const SLOW_CONTENT: u64 = 32 * 1024;

/// What is judged apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Calls of SMH.
    Call,
    /// Content on its way to COS.
    Content,
}

/// Both limiters. An upload needs calls and content, everything else only calls.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    calls: Limiter,
    content: Limiter,
}

impl Limits {
    pub(super) fn new(upper: usize) -> Limits {
        Limits { calls: Limiter::new(upper), content: Limiter::new(upper) }
    }

    pub(super) fn of(&mut self, kind: Kind) -> &mut Limiter {
        match kind {
            Kind::Call => &mut self.calls,
            Kind::Content => &mut self.content,
        }
    }

    /// Slots in all at `now_ms` (monotonic), whatever they are used for.
    pub(super) fn slots(&self, now_ms: i64) -> usize {
        self.calls.slots(now_ms)
    }

    /// Those of them that may be used for uploads.
    pub(super) fn upload_slots(&self, now_ms: i64) -> usize {
        self.calls.slots(now_ms).min(self.content.slots(now_ms))
    }

    /// When the next pause ends, if there is one.
    pub(super) fn resumes_at_ms(&self, now_ms: i64) -> Option<i64> {
        let pauses = [self.calls.resumes_at_ms(now_ms), self.content.resumes_at_ms(now_ms)];
        pauses.into_iter().flatten().min()
    }

    /// Bursts of throttling since the last success, of whichever had more.
    pub(super) fn in_a_row(&self) -> u32 {
        self.calls.in_a_row().max(self.content.in_a_row())
    }

    /// A call was answered after so long.
    pub(super) fn called(&mut self, now_ms: i64, took_ms: i64) {
        if took_ms > SLOW_CALL_MS {
            self.calls.strained(now_ms);
        }
    }

    /// Content arrived after so long.
    pub(super) fn sent(&mut self, now_ms: i64, bytes: u64, took_ms: i64) {
        let patience_ms = (bytes / SLOW_CONTENT).saturating_mul(1000);
        if took_ms.saturating_sub(SLOW_CALL_MS) > i64::try_from(patience_ms).unwrap_or(i64::MAX) {
            self.content.strained(now_ms);
        } else {
            self.content.success();
        }
    }
}

/// Additive increase, multiplicative decrease; before the first decrease, each success makes room for one more, so
/// that the bound is reached in a round or two however long a round takes.
#[derive(Debug, Clone)]
pub(super) struct Limiter {
    limit: f64,
    upper: f64,
    /// The service never asked for less yet: nothing is known against the bound.
    untried: bool,
    halved_at_ms: Option<i64>,
    paused_until_ms: i64,
    /// Bursts of throttling since the last success.
    in_a_row: u32,
}

impl Limiter {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
    pub(super) fn new(upper: usize) -> Limiter {
        let upper = upper.max(1) as f64;
        Limiter {
            limit: BEGIN.min(upper),
            upper,
            untried: true,
            halved_at_ms: None,
            paused_until_ms: 0,
            in_a_row: 0,
        }
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
        self.in_a_row = 0;
        let more = if self.untried { 1.0 } else { 1.0 / self.limit };
        self.limit = (self.limit + more).min(self.upper);
    }

    /// Bursts of throttling since the last success.
    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Something failed or was slow for a reason that less at a time may take away. Nothing pauses for that.
    pub(super) fn strained(&mut self, now_ms: i64) {
        self.untried = false;
        self.halve(now_ms);
    }

    /// Gives whether it was not halved this moment.
    fn halve(&mut self, now_ms: i64) -> bool {
        let first = self.halved_at_ms.is_none_or(|at| now_ms - at >= CALM_MS);
        if first {
            self.limit = (self.limit / 2.0).max(1.0);
            self.halved_at_ms = Some(now_ms);
        }
        first
    }

    /// The service asks for less. Everything pauses, the longer the more often in a row, and at least as long
    /// as it asks for.
    pub(super) fn throttled(&mut self, now_ms: i64, retry_after: Option<Duration>, dice: f64) {
        self.untried = false;
        if now_ms >= self.paused_until_ms && self.halve(now_ms) {
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        let wait_ms = backoff::delay_ms(Class::Throttled, self.in_a_row.max(1), retry_after, dice);
        self.paused_until_ms = self.paused_until_ms.max(now_ms.saturating_add(wait_ms));
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
            limiter.throttled(10, Some(Duration::from_secs(1)), 0.0);
        }
        assert_eq!((limiter.slots(50), limiter.slots(1_010)), (0, 8));
        for _ in 0..2000 {
            limiter.success();
        }
        assert_eq!(limiter.slots(1_010), 32);
    }

    #[test]
    fn reaches_the_bound_in_one_round_and_carefully_after_throttling() {
        let mut limiter = Limiter::new(32);
        for _ in 0..16 {
            limiter.success();
        }
        assert_eq!(limiter.slots(0), 32);
        limiter.throttled(0, Some(Duration::ZERO), 0.0);
        for _ in 0..16 {
            limiter.success();
        }
        assert_eq!(limiter.slots(100_000), 16, "less than one more in a round");
        limiter.success();
        assert_eq!(limiter.slots(100_000), 17);
    }

    #[test]
    fn pauses_grow_while_nothing_succeeds() {
        let mut limiter = Limiter::new(32);
        let mut now_ms = 0;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            limiter.throttled(now_ms, None, 1.0);
            let resumes = limiter.resumes_at_ms(now_ms).unwrap_or(now_ms);
            pauses.push(resumes - now_ms);
            now_ms = resumes;
        }
        assert_eq!(pauses[..3], [2_000, 4_000, 8_000]);
        assert_eq!((pauses[9], limiter.in_a_row()), (60_000, 10));
        limiter.success();
        assert_eq!(limiter.in_a_row(), 0);
    }

    #[test]
    fn calls_and_content_are_judged_apart() {
        let mut limits = Limits::new(32);
        limits.of(Kind::Content).throttled(0, Some(Duration::from_secs(1)), 0.0);
        assert_eq!((limits.slots(500), limits.upload_slots(500)), (16, 0));
        assert_eq!(limits.resumes_at_ms(500), Some(1_000));
        assert_eq!((limits.upload_slots(1_000), limits.in_a_row()), (8, 1));
        limits.of(Kind::Call).success();
        assert_eq!((limits.slots(1_000), limits.upload_slots(1_000)), (17, 8));
    }

    #[test]
    fn what_fails_or_is_slow_is_halved_without_a_pause() {
        let mut limits = Limits::new(32);
        limits.of(Kind::Call).strained(0);
        limits.of(Kind::Call).strained(999);
        assert_eq!((limits.slots(0), limits.resumes_at_ms(0), limits.in_a_row()), (8, None, 0));
        limits.called(5_000, SLOW_CALL_MS);
        assert_eq!(limits.slots(5_000), 8);
        limits.called(5_000, SLOW_CALL_MS + 1);
        assert_eq!(limits.slots(5_000), 4);
        // Ten seconds for a MiB are slow on no line; forty are.
        limits.sent(0, 1 << 20, 10_000);
        assert_eq!(limits.of(Kind::Content).slots(0), 17);
        limits.sent(0, 1 << 20, 40_000);
        assert_eq!(limits.of(Kind::Content).slots(0), 8);
    }
}
