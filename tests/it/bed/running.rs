//! Processes of a test, and waiting for what they do.

use std::process::Child;
use std::time::{Duration, Instant};

/// Nothing that is waited for takes longer, even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A child that does not outlive its test.
pub(crate) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks to stop, and gives the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for an end that comes by itself, and gives the exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.wait()
    }

    /// Waits for the end, and gives the exit code.
    fn wait(&mut self) -> Option<i32> {
        let began = now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "deadlines of tests are real time")]
fn now() -> Instant {
    Instant::now()
}

/// Looks until `look` gives something.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_or(|| what.to_owned(), look)
}

/// The same; what was waited for is told as it is in the end.
pub(crate) fn until_or<T>(what: impl FnOnce() -> String, look: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look)
}

/// The same, for as long as that.
pub(crate) fn until_within<T>(
    patience: Duration,
    what: impl FnOnce() -> String,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let began = now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        if began.elapsed() > patience {
            panic!("waited in vain for: {}", what());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
