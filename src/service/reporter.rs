//! What a daemon says of its work: log lines, and signs of life for the service manager.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::status::Status;
use super::systemd;
use crate::clock::Clock;
use crate::mirror::{Event, Observer, Sent};
use crate::wording::counted;

/// Lines about single entries in one minute: more would bury everything else, and `errors` has them all.
const LINES_A_MINUTE: u32 = 30;
/// An idle daemon looks so often whether its state is still there.
const BEAT: Duration = Duration::from_secs(30);
const MINUTE_MS: i64 = 60_000;

/// Logs the events of a run and keeps the service manager informed.
pub(super) struct Reporter {
    clock: Clock,
    status: Arc<Status>,
    /// The service manager knows that the daemon works.
    ready: bool,
    started: bool,
    allowance: Allowance,
    watchdog: Option<Duration>,
    /// Mirrors that were scanned completely in this run.
    scanned: BTreeSet<String>,
}

impl Reporter {
    pub(super) fn new(clock: Clock, status: Arc<Status>) -> Reporter {
        Reporter {
            clock,
            status,
            ready: false,
            started: false,
            allowance: Allowance::default(),
            watchdog: systemd::watchdog_limit().map(|limit| limit / 3),
            scanned: BTreeSet::new(),
        }
    }

    /// The next turn says that the daemon works, after a reload.
    pub(super) fn ready_again(&mut self) {
        self.ready = false;
        self.scanned.clear();
    }

    /// The daemon waits, outside a run.
    pub(super) fn waits(&mut self) {
        self.feed();
    }

    fn feed(&mut self) {
        if self.watchdog.is_some() {
            systemd::watchdog();
        }
    }
}

impl Observer for Reporter {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Pending { .. } => {}
            Event::Synced { mirror, path, bytes, how, took_ms, resumed } => {
                let how = match how {
                    Sent::Uploaded => "uploaded",
                    Sent::Instant => "instant upload",
                    Sent::Recovered => "completed an earlier upload",
                    Sent::Adopted => "the library has it already",
                    Sent::Unchanged => "content unchanged",
                    Sent::Moved => "moved",
                };
                tracing::debug!(mirror, %path, bytes, resumed, took_ms, "{}: {how}", path.in_mirror(mirror));
            }
            Event::Trouble { mirror, path, class, code, request_id, message, blocked } => {
                match self.allowance.take(self.clock.now().mono_ms) {
                    Say::Nothing => return,
                    Say::Line { left_out: 0 } => {}
                    Say::Line { left_out } => {
                        tracing::warn!(
                            left_out,
                            "{} failed; see `smh-mirror errors`",
                            counted(left_out, "more entry")
                        );
                    }
                }
                if *blocked {
                    tracing::error!(mirror, %path, %class, code, request_id, "{}: blocked: {message}", path.in_mirror(mirror));
                } else {
                    tracing::warn!(mirror, %path, %class, code, request_id, "{}: will be tried again: {message}", path.in_mirror(mirror));
                }
            }
            Event::Moved { mirror, from, to, files } => {
                tracing::info!(mirror, %from, %to, files, "{}: moved to {to} in the library too", from.in_mirror(mirror));
            }
            Event::Deleted { mirror, path, how } => {
                tracing::debug!(mirror, %path, "{}: deleted the copy: {how}", path.in_mirror(mirror));
            }
            Event::Held { mirror, message } => {
                tracing::error!(
                    mirror,
                    "{mirror}: held: {message}; nothing is deleted until a person decides, see `smh-mirror holds`"
                );
            }
            Event::Released { mirror } => tracing::info!(mirror, "{mirror}: no longer held"),
            // The first says that all was seen; those that follow find nothing new, as a rule.
            Event::Scanned { mirror, entries, took_ms } if self.scanned.insert(mirror.clone()) => {
                tracing::info!(
                    mirror,
                    entries,
                    took_ms,
                    "{mirror}: scan complete: {}",
                    counted(*entries, "entry")
                );
            }
            Event::Scanned { mirror, entries, took_ms } => {
                tracing::debug!(
                    mirror,
                    entries,
                    took_ms,
                    "{mirror}: scan complete: {}",
                    counted(*entries, "entry")
                );
            }
            Event::Rebuilt { mirror } => {
                tracing::info!(mirror, "{mirror}: the journal is complete again")
            }
            Event::ClockSkew(skew_ms) => {
                let seconds = skew_ms / 1000;
                if seconds.abs() >= 60 {
                    tracing::warn!(
                        seconds,
                        "the clock of the service is {seconds} s ahead of ours; set ours"
                    );
                } else {
                    tracing::info!("the clocks agree again");
                }
            }
            Event::Stopped { mirror: Some(mirror), message } => {
                tracing::error!(
                    mirror,
                    "{mirror}: held: {message} (nothing is concluded from that; it goes on by itself)"
                )
            }
            Event::Stopped { mirror: None, message } => {
                tracing::error!(
                    "everything waits: {message}; it is tried again by itself, and `smh-mirror doctor` looks for the cause"
                )
            }
            Event::Resumed { mirror: Some(mirror) } => {
                tracing::info!(mirror, "{mirror}: no longer held, it goes on")
            }
            Event::Resumed { mirror: None } => tracing::info!("going on"),
        }
    }

    fn alive(&mut self) {
        if !self.ready {
            self.ready = true;
            systemd::ready();
        }
        if !self.started {
            self.started = true;
            tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
        }
        self.status.turned();
        self.feed();
    }

    fn beat(&self) -> Option<Duration> {
        Some(self.watchdog.map_or(BEAT, |watchdog| watchdog.min(BEAT)))
    }
}

/// How many lines may still be said in this minute (pure).
#[derive(Debug, Default)]
struct Allowance {
    minute: i64,
    said: u32,
    left_out: u64,
}

/// Whether to say a line.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    Nothing,
    /// Say it; so many were left out before it.
    Line {
        left_out: u64,
    },
}

impl Allowance {
    fn take(&mut self, now_ms: i64) -> Say {
        let minute = now_ms.div_euclid(MINUTE_MS);
        if minute != self.minute {
            self.minute = minute;
            self.said = 0;
        }
        if self.said >= LINES_A_MINUTE {
            self.left_out += 1;
            return Say::Nothing;
        }
        self.said += 1;
        Say::Line { left_out: std::mem::take(&mut self.left_out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_failures_are_a_few_lines_a_minute() {
        let mut allowance = Allowance::default();
        let said = |allowance: &mut Allowance, now_ms| {
            (0..100_000).filter(|_| allowance.take(now_ms) != Say::Nothing).count()
        };
        assert_eq!(said(&mut allowance, 1_000), 30);
        assert_eq!(said(&mut allowance, 59_000), 0);
        assert_eq!(allowance.take(60_000), Say::Line { left_out: 199_970 });
    }
}
