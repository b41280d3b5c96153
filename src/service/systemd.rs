//! What the service manager is told (shell): the words of `sd_notify(3)`. Outside systemd nobody listens.

use std::time::Duration;

use sd_notify::NotifyState;

/// The daemon works; at the start, and again after each reload.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The configuration is being read again. [`ready`] must follow, whatever comes of it.
pub(super) fn reloading() {
    // systemd 253 and newer compare the time with that of their own request.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => {
            tracing::debug!(%error, "cannot read the monotonic clock");
            notify(&[NotifyState::Reloading]);
        }
    }
}

/// The daemon stops.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The work loop turned.
pub(super) fn watchdog() {
    notify(&[NotifyState::Watchdog]);
}

/// Something that takes its time gets on: the start, or the work loop, may be silent for `span` more.
pub(super) fn extend(span: Duration) {
    let micros = u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::ExtendTimeoutUsec(micros), NotifyState::Watchdog]);
}

/// One line for `systemctl status`.
pub(super) fn status(line: &str) {
    notify(&[NotifyState::Status(line)]);
}

/// How long the work loop may be silent before it is taken for stuck; `None`: nobody watches.
pub(super) fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn notify(states: &[NotifyState<'_>]) {
    // A manager that does not listen is no reason to stop working, and it has its own log.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}
