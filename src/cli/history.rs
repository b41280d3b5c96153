//! `history`: what happened, newest last.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::locate::need;
use super::status_view::put_path;
use super::{Exit, Failure, Global, output, unexpected};
use crate::journal::Happened;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file, or a folder with everything below it
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// Show the newest N
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_to_ask()?;
    let place = args.path.as_ref().map(|path| need(&config, path)).transpose()?;
    let mut happened = Vec::new();
    if let Some(reader) = super::reader(&config)? {
        // One more than is shown tells whether there are older ones.
        let limit = args.limit.saturating_add(1);
        let about = match &place {
            None => Some(None),
            Some((mirror, path)) => reader
                .known_mirrors()
                .map_err(unexpected)?
                .into_iter()
                .find(|known| known.name == mirror.name)
                .map(|known| Some((known.id, path))),
        };
        if let Some(about) = about {
            happened = reader.history(about, limit).map_err(unexpected)?;
        }
    }
    let more = happened.len() > args.limit;
    if more {
        happened.remove(0);
    }
    if global.json {
        let rows: Vec<Value> = happened.iter().map(to_json).collect();
        output::print_json(&json!({"schema": 1, "history": rows, "more": more}))?;
        return Ok(Exit::Done);
    }
    if more {
        output::line("older ones are left out: show them with --limit");
    }
    if happened.is_empty() {
        output::line("nothing is remembered; the history keeps the newest 20000 events");
    }
    for row in &happened {
        if !output::line(&sentence(row)) {
            break;
        }
    }
    Ok(Exit::Done)
}

fn sentence(row: &Happened) -> String {
    let detail = if row.detail.is_empty() { String::new() } else { format!(", {}", row.detail) };
    format!(
        "{}  {}: {}{detail}",
        output::time(row.at_ms),
        row.path.in_mirror(&row.mirror),
        words(&row.what)
    )
}

/// An activity for people, by its word; that of a newer program is shown as it is.
fn words(what: &str) -> &str {
    match what {
        "instant" => "the library had its content already",
        "unchanged" => "touched, its content is the confirmed one",
        "recovered" => "an earlier upload was completed",
        "gone" => "gone from the disk",
        "doubted" => "doubted, its copy is proven anew",
        "held" => "deletes wait for a person",
        "approved" => "deletes were approved",
        "rejected" => "deletes were rejected",
        "released" => "deletes wait no more",
        "directory-created" => "its folder was made in the library",
        other => other,
    }
}

fn to_json(row: &Happened) -> Value {
    let mut value = json!({
        "at": output::time(row.at_ms),
        "mirror": row.mirror,
        "what": row.what,
        "detail": row.detail,
    });
    put_path(&mut value, &row.path);
    value
}
