//! `status`: asks the journal; works with the daemon up, down or stuck.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::known::Known;
use super::status_view::{self, put_path};
use super::uploads::{Before, Uploads};
use super::watch::{Shot, watch};
use super::{Exit, Failure, Global, output, unexpected};
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::{Reader, SkipReason, SkippedPath};
use crate::tree::forbidden;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files or folders to ask about, instead of whole mirrors
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Look again every two seconds, until Ctrl-C; what is no terminal gets a line for each change
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
    let config = global.load_to_ask()?;
    let clock = Clock::start();
    let mut before = Before::default();
    if args.watch {
        return watch(global, clock, || {
            look(args, &config, clock, &mut before).map(|(shot, _)| shot)
        });
    }
    let (shot, exit) = look(args, &config, clock, &mut before)?;
    if global.json {
        output::print_json(&shot.json)?;
    } else if !shot.text.is_empty() {
        output::line(&shot.text);
    }
    Ok(exit)
}

fn look(
    args: &Args,
    config: &Config,
    clock: Clock,
    before: &mut Before,
) -> Result<(Shot, Exit), Failure> {
    let daemon = Daemon::find(config)?;
    let now_ms = clock.now().unix_ms;
    let reader = super::reader(config)?;
    if !args.paths.is_empty() {
        return files(args, config, reader.as_ref());
    }
    if args.skipped {
        return Ok((skipped(config, reader.as_ref())?, Exit::Done));
    }
    let uploads = Uploads::ask(daemon.as_ref(), before);
    // A program that asks for a code acts on it: the disk is looked at. People see how old the answer is.
    let view = if args.exit_code {
        status_view::collect_audited(config, reader.as_ref(), daemon, now_ms)?
    } else {
        status_view::collect(config, reader.as_ref(), daemon, now_ms)?
    };
    let exit = if args.exit_code && !view.is_current() { Exit::NotCurrent } else { Exit::Done };
    let running = uploads.as_ref().map(Uploads::lines).unwrap_or_default();
    let text: Vec<String> =
        [view.to_text()].into_iter().chain(running.clone()).chain(view.note()).collect();
    let lines = view.lines().into_iter().chain(running).collect();
    let mut json = view.to_json();
    if let Some(object) = json.as_object_mut() {
        // Null: nobody could be asked.
        object.insert("uploads".to_owned(), uploads.map_or(Value::Null, |u| u.to_json()));
    }
    Ok((Shot { text: text.join("\n"), lines, json }, exit))
}

fn skipped(config: &Config, reader: Option<&Reader>) -> Result<Shot, Failure> {
    let mut all = Vec::new();
    let mut lines = Vec::new();
    if let Some(reader) = reader {
        for status in reader.known_mirrors().map_err(unexpected)? {
            let Some(mirror) = config.mirrors.iter().find(|m| m.name == status.name) else {
                continue;
            };
            for entry in reader.skipped(status.id).map_err(unexpected)? {
                let why = why(&entry);
                let mut value = json!({
                    "mirror": mirror.name,
                    "reason": entry.reason.as_str(),
                    "detail": why,
                });
                put_path(&mut value, &entry.path);
                all.push(value);
                lines.push(format!(
                    "{}: {}{}",
                    entry.path.in_mirror(&mirror.name),
                    entry.reason.describe(),
                    why.map(|why| format!(": {why}")).unwrap_or_default()
                ));
            }
        }
    }
    Ok(Shot { text: lines.join("\n"), lines, json: json!({"schema": 1, "skipped": all}) })
}

/// What is wrong with a name, when that is the reason.
fn why(entry: &SkippedPath) -> Option<String> {
    match entry.reason {
        SkipReason::Name => entry.path.split().and_then(|(_, name)| forbidden(name)),
        _ => None,
    }
}

fn files(args: &Args, config: &Config, reader: Option<&Reader>) -> Result<(Shot, Exit), Failure> {
    let mut values = Vec::new();
    let mut lines = Vec::new();
    let mut all_synced = true;
    for path in &args.paths {
        let known = Known::of(config, reader, path)?;
        all_synced &= known.state == "synced";
        values.push(known.to_json());
        lines.push(known.sentence());
    }
    let exit = if args.exit_code && !all_synced { Exit::NotCurrent } else { Exit::Done };
    let json = json!({"schema": 1, "files": values});
    Ok((Shot { text: lines.join("\n"), lines, json }, exit))
}
