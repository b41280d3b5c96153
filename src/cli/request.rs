//! Requests that are left for the daemon, and whether it took them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::daemon::Daemon;
use super::verdict::Worker;
use super::{Exit, Failure};
use crate::config::Config;
use crate::mirror::{self, Untaken};
use crate::service::requests_dir;

/// A daemon that works takes a request at once; a busy one may take a moment.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// What became of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Now,
    /// A daemon is there, and did not take them yet.
    Later,
    ByNobody,
}

/// Leaves requests for the daemon, one that works now or the next one, and waits for a while until it took them.
///
/// # Errors
/// The folder of the requests cannot be written, or no daemon ever made it.
pub(super) fn leave(
    config: &Config,
    leave: impl FnOnce(&Path) -> std::io::Result<Vec<PathBuf>>,
) -> Result<Taken, Failure> {
    let folder = requests_dir(config);
    let worker = worker(config)?;
    if worker == Worker::Nobody && !folder.is_dir() {
        return Err(Failure::new(
            Exit::Unexpected,
            anyhow::anyhow!(
                "no daemon works on {} and none ever did, so there is nothing to ask; start it with `smh-mirror run`, or make one pass with `smh-mirror sync`",
                config.state_dir.display()
            ),
        ));
    }
    let left = leave(&folder).map_err(|error| unwritable(&folder, &error))?;
    Ok(wait(worker, &left))
}

/// Who takes a request.
///
/// # Errors
/// The state folder cannot be looked at.
pub(super) fn worker(config: &Config) -> Result<Worker, Failure> {
    Ok(match Daemon::find(config)?.as_ref().map(Daemon::worker) {
        // It is stopped by a signal, and takes it when it goes on.
        Some(Worker::Nobody) => Worker::Stuck,
        Some(worker) => worker,
        None => Worker::Nobody,
    })
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

/// What was left for the daemon, and no daemon took yet.
///
/// # Errors
/// The folder of the requests cannot be read.
pub(super) fn untaken(config: &Config) -> Result<Untaken, Failure> {
    let folder = requests_dir(config);
    mirror::untaken(&folder).map_err(|error| refused("see what was asked for in", &folder, &error))
}

/// A request cannot be left in `folder`.
pub(super) fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
    refused("leave a request in", folder, error)
}

fn refused(what: &str, folder: &Path, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, StorageFull};
    let (exit, hint) = match error.kind() {
        PermissionDenied => {
            (Exit::Permission, "; run this as the user of the daemon, or as root (`sudo`)")
        }
        StorageFull | QuotaExceeded => (Exit::Unexpected, "; make room there, and ask again"),
        _ => (Exit::Unexpected, ""),
    };
    Failure::new(exit, anyhow::anyhow!("cannot {what} {}: {error}{hint}", folder.display()))
}
