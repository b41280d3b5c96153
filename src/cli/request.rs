//! Requests that are left for the daemon, and whether it took them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::verdict::Worker;
use super::{Exit, Failure};

/// A daemon that works takes a request at once; a busy one may take a moment.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

/// What became of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Now,
    /// A daemon is there, and did not take them yet.
    Later,
    ByNobody,
}

/// Waits until the daemon took the requests, for a while.
pub(super) fn wait(worker: Worker, left: &[PathBuf]) -> Taken {
    match worker {
        Worker::Nobody => return Taken::ByNobody,
        Worker::Stuck | Worker::Hangs => return Taken::Later,
        Worker::Daemon => {}
    }
    let rounds = PATIENCE.as_millis() / LOOK.as_millis();
    for _ in 0..rounds {
        if left.iter().all(|path| !path.exists()) {
            return Taken::Now;
        }
        std::thread::sleep(LOOK);
    }
    Taken::Later
}

pub(super) fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::Permission,
        _ => Exit::Unexpected,
    };
    Failure::new(
        exit,
        anyhow::anyhow!(
            "cannot leave a request in {}: {error}; run this as the user of the daemon, or as root",
            folder.display()
        ),
    )
}
