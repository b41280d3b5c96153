//! The daemon: runs until a signal, tells systemd how it is, logs what happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::assemble::Assembled;
use crate::clock::Clock;
use crate::mirror::{Event, Finished, Observer, RunError, Sent, run};

/// What is said to systemd changes at most this often.
const STATUS_EVERY_MS: i64 = 2_000;

/// Runs until `stop`, then folds the journal up.
///
/// # Errors
/// The journal failed.
pub async fn daemon(
    assembled: Assembled,
    clock: Clock,
    stop: CancellationToken,
) -> Result<Finished, RunError> {
    let Assembled { engine, shell, facts } = assembled;
    let mut observer = Reporter {
        clock,
        ready: false,
        waiting: 0,
        mirrored: 0,
        failed: 0,
        told_at_ms: i64::MIN / 2,
        told: String::new(),
        watchdog: sd_notify::watchdog_enabled().map(|limit| limit / 3),
    };
    let (finished, journal) = run(engine, shell, facts, clock, stop, &mut observer).await?;
    notify(&[NotifyState::Stopping]);
    journal.checkpoint()?;
    Ok(finished)
}

/// Outside systemd nobody listens.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

struct Reporter {
    clock: Clock,
    ready: bool,
    waiting: u64,
    mirrored: u64,
    failed: u64,
    told_at_ms: i64,
    told: String,
    watchdog: Option<Duration>,
}

impl Observer for Reporter {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Pending { .. } => self.waiting += 1,
            Event::Synced { mirror, path, bytes, how } => {
                self.waiting = self.waiting.saturating_sub(1);
                self.mirrored += 1;
                let how = match how {
                    Sent::Uploaded => "uploaded",
                    Sent::Instant => "instant upload",
                    Sent::Recovered => "completed an earlier upload",
                    Sent::Unchanged => "content unchanged",
                };
                tracing::debug!(mirror, %path, bytes, "{how}");
            }
            Event::Trouble { mirror, path, class, message, blocked } => {
                self.failed += 1;
                if *blocked {
                    tracing::error!(mirror, %path, %class, "blocked: {message}");
                } else {
                    tracing::warn!(mirror, %path, %class, "will be tried again: {message}");
                }
            }
            Event::Scanned { mirror } => tracing::info!(mirror, "scan complete"),
            Event::Stopped { mirror: Some(mirror), message } => {
                tracing::error!(mirror, "{message}")
            }
            Event::Stopped { mirror: None, message } => {
                tracing::error!("everything waits: {message}")
            }
            Event::Resumed { .. } => tracing::info!("going on"),
        }
    }

    fn alive(&mut self) {
        if !self.ready {
            self.ready = true;
            notify(&[NotifyState::Ready]);
            tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
        }
        if self.watchdog.is_some() {
            notify(&[NotifyState::Watchdog]);
        }
        let now_ms = self.clock.now().mono_ms;
        if now_ms - self.told_at_ms < STATUS_EVERY_MS {
            return;
        }
        let status = match self.waiting {
            0 => format!("nothing waits; {} mirrored since the start", self.mirrored),
            n => format!("{n} waiting; {} mirrored since the start", self.mirrored),
        };
        if status != self.told {
            notify(&[NotifyState::Status(&status)]);
            self.told = status;
            self.told_at_ms = now_ms;
        }
    }

    fn beat(&self) -> Option<Duration> {
        self.watchdog
    }
}
