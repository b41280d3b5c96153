//! `status`: asks the journal; works with the daemon up, down or stuck.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::daemon::Daemon;
use super::known::Known;
use super::status_view::{self, put_path};
use super::{Exit, Failure, Global, output, unexpected};
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::{Reader, SkipReason, SkippedPath};
use crate::tree::forbidden;

/// Time between two looks of `--watch`.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files or folders to ask about, instead of whole mirrors
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Say it again every two seconds
    #[arg(short, long)]
    watch: bool,
    /// List what is left out, and why
    #[arg(long, conflicts_with = "paths")]
    skipped: bool,
    /// End with 4 when something is not mirrored; looks at every file on disk
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_without_secret()?;
    let clock = Clock::start();
    loop {
        if args.watch && output::colour(&std::io::stdout()) && !global.json {
            // Home, and clear what is below.
            output::line("\x1b[H\x1b[2J");
        }
        let exit = once(global, args, &config, clock)?;
        if !args.watch {
            return Ok(exit);
        }
        std::thread::sleep(AGAIN);
        if !output::colour(&std::io::stdout()) && !global.json && !output::line("") {
            return Ok(exit);
        }
    }
}

fn once(global: &Global, args: &Args, config: &Config, clock: Clock) -> Result<Exit, Failure> {
    let daemon = Daemon::find(config)?;
    let now_ms = clock.now().unix_ms;
    let reader = super::reader(config)?;
    if !args.paths.is_empty() {
        return files(global, args, config, reader.as_ref());
    }
    if args.skipped {
        return skipped(global, config, reader.as_ref());
    }
    // A program that asks for a code acts on it: the disk is looked at. People see how old the answer is.
    let view = if args.exit_code {
        status_view::collect_audited(config, reader.as_ref(), daemon, now_ms)?
    } else {
        status_view::collect(config, reader.as_ref(), daemon, now_ms)?
    };
    if global.json {
        output::print_json(&view.to_json())?;
    } else {
        output::line(&view.to_text());
        if let Some(note) = view.note() {
            output::line(&note);
        }
    }
    Ok(if args.exit_code && !view.is_current() { Exit::NotCurrent } else { Exit::Done })
}

fn skipped(global: &Global, config: &Config, reader: Option<&Reader>) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    if let Some(reader) = reader {
        for status in reader.known_mirrors().map_err(unexpected)? {
            let Some(mirror) = config.mirrors.iter().find(|m| m.name == status.name) else {
                continue;
            };
            for entry in reader.skipped(status.id).map_err(unexpected)? {
                let why = why(&entry);
                if global.json {
                    let mut value = json!({
                        "mirror": mirror.name,
                        "reason": entry.reason.as_str(),
                        "detail": why,
                    });
                    put_path(&mut value, &entry.path);
                    all.push(value);
                } else if !output::line(&format!(
                    "{}/{}: {}{}",
                    mirror.name,
                    entry.path,
                    entry.reason.describe(),
                    why.map(|why| format!(": {why}")).unwrap_or_default()
                )) {
                    return Ok(Exit::Done);
                }
            }
        }
    }
    if global.json {
        output::print_json(&json!({"schema": 1, "skipped": all}))?;
    }
    Ok(Exit::Done)
}

/// What is wrong with a name, when that is the reason.
fn why(entry: &SkippedPath) -> Option<String> {
    match entry.reason {
        SkipReason::Name => entry.path.split().and_then(|(_, name)| forbidden(name)),
        _ => None,
    }
}

fn files(
    global: &Global,
    args: &Args,
    config: &Config,
    reader: Option<&Reader>,
) -> Result<Exit, Failure> {
    let mut values = Vec::new();
    let mut all_synced = true;
    for path in &args.paths {
        let known = Known::of(config, reader, path)?;
        all_synced &= known.state == "synced";
        if global.json {
            values.push(known.to_json());
        } else if !output::line(&known.sentence()) {
            return Ok(Exit::Done);
        }
    }
    if global.json {
        output::print_json(&json!({"schema": 1, "files": values}))?;
    }
    Ok(if args.exit_code && !all_synced { Exit::NotCurrent } else { Exit::Done })
}
