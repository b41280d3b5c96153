//! Signals: the first asks to stop, the second does.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGTERM or SIGINT. A second one ends the process at once.
///
/// # Errors
/// The system refuses to hand signals over.
pub fn stop_on_signals() -> std::io::Result<CancellationToken> {
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
                    tracing::warn!("a running daemon does not read its configuration again; restart it");
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
