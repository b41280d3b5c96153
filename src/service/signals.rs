//! Signals: the first asks to stop, the second does; SIGHUP has a daemon read its configuration again.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::reload::ReloadHandle;

/// A token that is cancelled by SIGTERM or SIGINT. A second one ends the process at once. SIGHUP is ignored: one pass
/// goes on when its terminal is closed.
///
/// # Errors
/// The system refuses to hand signals over.
pub fn stop_on_signals() -> std::io::Result<CancellationToken> {
    listen(None)
}

/// As [`stop_on_signals`], for a daemon that can be asked to reload.
///
/// # Errors
/// The system refuses to hand signals over.
pub fn stop_and_reload_on_signals(reload: ReloadHandle) -> std::io::Result<CancellationToken> {
    listen(Some(reload))
}

fn listen(reload: Option<ReloadHandle>) -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {
                    if let Some(reload) = reload.clone() {
                        // What comes of it is in the log.
                        tokio::spawn(async move { reload.ask().await });
                    }
                    continue;
                }
            }
            if cancelled.is_cancelled() {
                // What is journalled is safe; the next start goes on.
                std::process::exit(1);
            }
            cancelled.cancel();
        }
    });
    Ok(stop)
}
