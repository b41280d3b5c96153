//! `sync`: one pass over every mirror.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::status_view::put_path;
use super::status_view::{self, View};
use super::{Exit, Failure, Global, output, runtime};
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::{Journal, Reader};
use crate::mirror::{Event, Finished, Observer, run as run_loop};
use crate::service::{
    Assembled, Mode, assemble, init_logging, open_journal, prepare, scratch, stop_on_signals,
};

/// Pending files that a dry run lists.
const LISTED: usize = 100_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Say what would be sent, and send nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Only say what went wrong, and the sum
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let mut config = global.load()?;
    // Events are shown as they come; of the log only what is worse.
    if config.log.level == "info" {
        "warn".clone_into(&mut config.log.level);
    }
    init_logging(&config.log);
    if args.dry_run { dry_run(global, &config) } else { pass(global, args, &config) }
}

fn pass(global: &Global, args: &Args, config: &Config) -> Result<Exit, Failure> {
    let clock = Clock::start();
    let prepared = prepare(config, clock)?;
    let mut progress = Progress::new(args.quiet || global.json, global.json);
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let stop = stop_on_signals().map_err(anyhow::Error::from)?;
        let Assembled { engine, shell, facts } = assemble(
            config,
            open_journal(config, &prepared, clock)?,
            Mode::Once,
            clock,
            Arc::default(),
        )?;
        run_loop(engine, shell, facts, clock, stop, &mut progress)
            .await
            .map_err(|error| Failure::from(anyhow::Error::from(error)))
    });
    runtime.shutdown_background();
    progress.finish();
    let (finished, journal) = ended?;
    if let Err(error) = journal.checkpoint() {
        tracing::warn!(%error, "the journal is not folded up; the next start does it");
    }
    let reader = Reader::of(journal);
    let view = status_view::collect(config, Some(&reader), None, clock.now().unix_ms)?;
    drop(prepared.lock);
    summary(global, args, &view, &progress)?;
    match finished {
        Finished::Unreachable(message) => Err(Failure::new(
            Exit::Unreachable,
            anyhow::anyhow!(
                "the service cannot be reached: {message}; check remote.endpoint and the network, then run again: nothing is lost"
            ),
        )),
        Finished::Refused(message) => Err(Failure::new(
            Exit::Refused,
            anyhow::anyhow!(
                "the service refuses the credentials: {message}; check library_id, space_id and [remote.auth] in {}",
                config.file.display()
            ),
        )),
        Finished::Stopped => Err(Failure::new(
            Exit::Unexpected,
            anyhow::anyhow!("interrupted; what was sent is safe, run again to go on"),
        )),
        Finished::Drained => Ok(view.exit()),
    }
}

fn summary(global: &Global, args: &Args, view: &View, progress: &Progress) -> Result<(), Failure> {
    if global.json {
        return output::print_json(&view.to_json());
    }
    let done = progress.done;
    let mut sent = vec![format!("{} uploaded ({})", done.uploaded, output::bytes(done.bytes))];
    for (count, word) in [
        (done.instant, "instant"),
        (done.recovered, "recovered"),
        (done.adopted, "already there"),
        (done.unchanged, "touched, content unchanged"),
        (done.moved, "moved"),
        (done.deleted, "deleted"),
    ] {
        if count > 0 {
            sent.push(format!("{count} {word}"));
        }
    }
    if !args.quiet || done.uploaded > 0 {
        output::line(&sent.join(", "));
    }
    output::print_line(&view.to_text())
}

/// Nothing is sent and nothing is written: the journal is a copy in memory.
fn dry_run(global: &Global, config: &Config) -> Result<Exit, Failure> {
    struct Silent(Vec<String>);
    impl Observer for Silent {
        fn event(&mut self, event: &Event) {
            if let Event::Stopped { mirror, message } = event {
                self.0.push(format!("held {}: {message}", mirror.clone().unwrap_or_default()));
            }
        }
        fn alive(&mut self) {}
    }
    let clock = Clock::start();
    let journal = scratch(config)?;
    let mut silent = Silent(Vec::new());
    let runtime = runtime()?;
    let journal: Journal = runtime.block_on(async {
        let Assembled { engine, shell, facts } =
            assemble(config, journal, Mode::DryRun, clock, Arc::default())?;
        let stop = CancellationToken::new();
        let (_, journal) = run_loop(engine, shell, facts, clock, stop, &mut silent)
            .await
            .map_err(|error| Failure::from(anyhow::Error::from(error)))?;
        Ok::<_, Failure>(journal)
    })?;
    let reader = Reader::of(journal);
    let mut all = Vec::new();
    let mut files = 0_u64;
    let mut bytes = 0_u64;
    let unexpected = |error| Failure::from(anyhow::Error::from(error));
    for mirror in reader.mirrors().map_err(unexpected)? {
        for pending in reader.pending(mirror.known.id, LISTED).map_err(unexpected)? {
            files += 1;
            bytes += pending.size;
            let what = if pending.known { "changed" } else { "new" };
            if global.json {
                let mut value = serde_json::json!({
                    "mirror": mirror.known.name,
                    "size": pending.size,
                    "change": what,
                });
                put_path(&mut value, &pending.path);
                all.push(value);
            } else {
                let shown = output::bytes(pending.size);
                if !output::line(&format!(
                    "would send {}/{} ({shown}, {what})",
                    mirror.known.name, pending.path
                )) {
                    return Ok(Exit::Done);
                }
            }
        }
    }
    if global.json {
        output::print_json(&serde_json::json!({"schema": 1, "would_send": all}))?;
    } else {
        for held in silent.0 {
            output::line(&held);
        }
        output::line(&format!(
            "would send at most {files} files, {}; nothing was sent",
            output::bytes(bytes)
        ));
    }
    Ok(Exit::Done)
}
