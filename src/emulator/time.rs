//! The clock of the emulator: the system's, shifted by a control route.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch by the system's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the emulator has its own clock and shares no code with the daemon"
)]
pub(super) fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// ISO 8601 in UTC with milliseconds (sheet section 1).
pub(super) fn iso(ms: i64) -> String {
    stamp(ms).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// As in the `Date` header.
pub(super) fn http_date(ms: i64) -> String {
    stamp(ms).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn stamp(ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
