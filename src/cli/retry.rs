//! `retry`: asks the daemon to try again what failed, now.
//!
//! The request is a file in the state folder. It is there for a daemon that runs, that is stopped, or that starts
//! tomorrow.

use std::path::PathBuf;

use serde_json::json;

use super::locate::locate;
use super::request::{self, Taken};
use super::{Exit, Failure, Global, output};
use crate::mirror::Retry;

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
    let count = wanted.len();
    let taken = request::leave(&config, |folder| wanted.iter().map(|w| w.leave(folder)).collect())?;
    if global.json {
        output::print_json(&json!({"schema": 1, "requests": count, "taken": taken == Taken::Now}))?;
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
