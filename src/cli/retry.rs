//! `retry`: asks the daemon to try again what failed, now.
//!
//! The request is a file in the state folder. It is there for a daemon that runs, that is stopped, or that starts
//! tomorrow.

use std::path::PathBuf;

use serde_json::json;

use super::daemon::Daemon;
use super::locate::locate;
use super::request::{self, Taken};
use super::verdict::Worker;
use super::{Exit, Failure, Global, output};
use crate::mirror::Retry;
use crate::service::requests_dir;

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
        left.push(retry.leave(&folder).map_err(|error| request::unwritable(&folder, &error))?);
    }
    let taken = request::wait(worker, &left);
    if global.json {
        output::print_json(
            &json!({"schema": 1, "requests": left.len(), "taken": taken == Taken::Now}),
        )?;
    } else {
        output::print_line(match taken {
            Taken::Now => "the daemon tries again what failed; see `smh-mirror errors`",
            Taken::ByNobody => {
                "no daemon works now; what failed is tried again as soon as one does"
            }
            Taken::Later => {
                "the daemon has not taken the request yet; it does so as soon as it can go on"
            }
        })?;
    }
    Ok(Exit::Done)
}
