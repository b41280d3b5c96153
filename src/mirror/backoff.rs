//! How long to wait before the next try (pure). Time and dice are arguments.

use std::time::Duration;

use crate::clock::to_ms;
use crate::failure::Class;

/// Tries of a defect before it is given up: then one of the two sides is wrong.
pub(super) const DEFECT_TRIES: u32 = 4;

/// The longest wait of any class, in milliseconds.
pub(super) const LONGEST_MS: i64 = 3_600_000;

/// First wait and longest wait of a class, in milliseconds.
fn range(class: Class) -> (i64, i64) {
    match class {
        Class::Quota => (60_000, LONGEST_MS),
        Class::Throttled => (1_000, 60_000),
        // Rights change by hand: there is no hurry.
        Class::Auth => (30_000, LONGEST_MS),
        _ => (1_000, 600_000),
    }
}

/// Milliseconds to wait after the `attempts`-th failure in a row (counted from 1): exponential with
/// full jitter, `dice` in `0.0..1.0`, never shorter than what the service asked for.
#[must_use]
pub(super) fn delay_ms(
    class: Class,
    attempts: u32,
    retry_after: Option<Duration>,
    dice: f64,
) -> i64 {
    let (first, longest) = range(class);
    let ceiling = first.saturating_mul(1 << attempts.clamp(1, 20)).min(longest);
    // Half a first wait at least: a loop without a pause is never right.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "milliseconds of an hour at most"
    )]
    let jittered = (ceiling as f64 * dice) as i64;
    jittered.max(first / 2).max(retry_after.map_or(0, to_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_never_vanish() {
        assert_eq!(delay_ms(Class::Transient, 1, None, 0.0), 500);
        assert_eq!(delay_ms(Class::Transient, 1, None, 0.999), 1998);
        assert_eq!(delay_ms(Class::Transient, 100, None, 1.0), 600_000);
        assert_eq!(delay_ms(Class::Throttled, 1, Some(Duration::from_secs(90)), 0.5), 90_000);
    }
}
