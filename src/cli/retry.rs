//! `retry`: asks the daemon to try again what failed, now.
//!
//! The request is a file in the state folder. It is there for a daemon that runs, that is stopped, or that starts
//! tomorrow.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::locate::need;
use super::request::{self, Taken};
use super::status_view::put_path;
use super::{Exit, Failure, Global, output};
use crate::config::Mirror;
use crate::mirror::Retry;
use crate::relpath::RelPath;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files or folders to try again, with everything below them, instead of everything
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_to_ask()?;
    let mut below = Vec::new();
    for path in &args.paths {
        below.push(need(&config, path)?);
    }
    let wanted: Vec<Retry> = match below.is_empty() {
        true => vec![Retry::All],
        false => below
            .iter()
            .map(|(mirror, path)| Retry::Below { mirror: mirror.name.clone(), path: path.clone() })
            .collect(),
    };
    let taken = request::leave(&config, |folder| wanted.iter().map(|w| w.leave(folder)).collect())?;
    if global.json {
        let paths: Vec<Value> = below
            .iter()
            .map(|(mirror, path)| {
                let mut value = json!({"mirror": mirror.name});
                put_path(&mut value, path);
                value
            })
            .collect();
        output::print_json(&json!({
            "schema": 1,
            "requests": wanted.len(),
            "paths": paths,
            "taken": taken == Taken::Now,
        }))?;
        return Ok(Exit::Done);
    }
    let there = |(mirror, path): &(&Mirror, RelPath)| {
        format!("{}: what failed there", path.in_mirror(&mirror.name))
    };
    let everything = below.is_empty().then(|| "everything that failed".to_owned());
    for what in below.iter().map(there).chain(everything) {
        output::print_line(&match taken {
            Taken::Now => {
                format!("{what} is tried again now; see `smh-mirror errors`")
            }
            Taken::ByNobody => {
                format!(
                    "{what} is tried again by the next daemon or `smh-mirror sync`: none works now"
                )
            }
            Taken::Later => format!(
                "{what} is tried again as soon as the daemon can go on: it has not taken the request yet"
            ),
        })?;
    }
    Ok(Exit::Done)
}
