//! `retry`: asks the daemon to try again what failed, now.
//!
//! The request is a file in the state folder. It is there for a daemon that runs, that is stopped, or that starts
//! tomorrow.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::daemon::Daemon;
use super::locate::locate;
use super::verdict::Worker;
use super::{Exit, Failure, Global, output};
use crate::mirror::Retry;
use crate::service::requests_dir;

/// A daemon that works takes a request at once; a busy one may take a moment.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files or folders to try again, with everything below them, instead of everything
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_without_secret()?;
    let mut wanted = Vec::new();
    for path in &args.paths {
        let Some((mirror, below)) = locate(&config, path) else {
            return Err(Failure::new(
                Exit::Usage,
                anyhow::anyhow!(
                    "{} belongs to no mirror; `smh-mirror config show` lists them",
                    path.display()
                ),
            ));
        };
        wanted.push(Retry::Below { mirror: mirror.name.clone(), path: below });
    }
    if wanted.is_empty() {
        wanted.push(Retry::All);
    }
    let folder = requests_dir(&config);
    let worker = Daemon::find(&config)?.as_ref().map_or(Worker::Nobody, Daemon::worker);
    if worker == Worker::Nobody && !folder.is_dir() {
        return Err(Failure::new(
            Exit::Unexpected,
            anyhow::anyhow!(
                "no daemon works on {} and none ever did; start it with `smh-mirror run`, or make one pass with `smh-mirror sync`, which tries everything",
                config.state_dir.display()
            ),
        ));
    }
    let mut left = Vec::new();
    for retry in &wanted {
        left.push(retry.leave(&folder).map_err(|error| unwritable(&folder, &error))?);
    }
    let taken = worker == Worker::Daemon && are_taken(&left);
    if global.json {
        output::print_json(&json!({"schema": 1, "requests": left.len(), "taken": taken}))?;
    } else {
        output::print_line(match (taken, worker) {
            (true, _) => "the daemon tries again what failed; see `smh-mirror errors`",
            (false, Worker::Nobody) => {
                "no daemon works now; what failed is tried again as soon as one does"
            }
            (false, Worker::Daemon | Worker::Stuck | Worker::Hangs) => {
                "the daemon has not taken the request yet; it does so as soon as it can go on"
            }
        })?;
    }
    Ok(Exit::Done)
}

/// Waits until the daemon took the requests, for a while.
fn are_taken(left: &[PathBuf]) -> bool {
    let rounds = PATIENCE.as_millis() / LOOK.as_millis();
    for _ in 0..rounds {
        if left.iter().all(|path| !path.exists()) {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    false
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
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
