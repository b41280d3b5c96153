//! The only reader of the system's time (shell). Everything else is told what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment on both clocks: the one that people read and the one that never jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds since the Unix epoch. Jumps when somebody sets the clock.
    pub unix_ms: i64,
    /// Milliseconds since this process began to count. Never goes back.
    pub mono_ms: i64,
}

impl Now {
    /// Nanoseconds since the Unix epoch, to compare with file times.
    #[must_use]
    pub fn unix_ns(self) -> i64 {
        self.unix_ms.saturating_mul(1_000_000)
    }
}

/// Reads both clocks of the system.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts counting monotonic time now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    /// The present moment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now(self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { unix_ms: to_ms(unix), mono_ms: to_ms(self.origin.elapsed()) }
    }
}

/// A duration as whole milliseconds, saturating: three hundred million years are enough.
#[must_use]
pub fn to_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
