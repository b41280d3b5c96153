//! `sync`: one pass over every mirror.

use std::sync::Arc;

use super::progress::Progress;
use super::status_view::{self, View};
use super::{Exit, Failure, Global, dry_run, output, runtime, unexpected};
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::{ConditionKind, ConditionRow, MirrorStatus, Reader};
use crate::mirror::{Finished, RunError, run as run_loop};
use crate::service::{
    Assembled, Mode, ServiceError, assemble, init_logging, open_journal, prepare, stop_on_signals,
};

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
    if args.dry_run { dry_run::run(global, &config) } else { pass(global, args, &config) }
}

fn pass(global: &Global, args: &Args, config: &Config) -> Result<Exit, Failure> {
    let clock = Clock::start();
    let prepared = prepare(config, clock)?;
    let mut progress = Progress::new(args.quiet || global.json, global.json);
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let stop = stop_on_signals().map_err(anyhow::Error::from)?;
        let opened = open_journal(config, &prepared, clock)?;
        let left = if progress.is_bar() { left(config, clock)? } else { Vec::new() };
        let Assembled { engine, shell, facts } =
            assemble(config, opened, Mode::Once, clock, Arc::default())?;
        progress.follow(shell.sending(), &left);
        run_loop(engine, shell, facts, clock, stop, &mut progress)
            .await
            .map_err(|error| Failure::from(anyhow::Error::from(error)))
    });
    runtime.shutdown_background();
    progress.finish();
    let (finished, journal) = ended.map_err(|failure| unwritten(failure, config))?;
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

/// A daemon waits until the journal can be written; a pass ends, and says what is to be done.
fn unwritten(failure: Failure, config: &Config) -> Failure {
    let of_journal = match (failure.error.downcast_ref(), failure.error.downcast_ref()) {
        (Some(ServiceError::Journal(error)), _) | (_, Some(RunError::Journal(error))) => error,
        _ => return failure,
    };
    if !of_journal.passes() {
        return failure;
    }
    let said = format!(
        "nothing more is sent, since what was done cannot be written down in {}: make room on its disk, or end what locks the journal, and run this again: nothing is lost",
        config.state_dir.display()
    );
    Failure::new(failure.exit, failure.error.context(said))
}

/// The mirrors with what is left to be done in each, as far as the journal knows and this pass may.
fn left(config: &Config, clock: Clock) -> Result<Vec<MirrorStatus>, Failure> {
    let reader = Reader::open(&config.state_dir).map_err(unexpected)?;
    let mut mirrors = reader.unfinished().map_err(unexpected)?;
    let now_ms = clock.now().unix_ms;
    mirrors.retain(|status| {
        let configured = config.mirrors.iter().any(|mirror| mirror.name == status.known.name);
        let mut conditions = status.conditions.iter();
        let paused = |c: &ConditionRow| c.kind == ConditionKind::Paused && !c.is_over(now_ms);
        configured && !conditions.any(paused)
    });
    Ok(mirrors)
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
    if !args.quiet {
        output::line(&sent.join(", "));
    }
    // Asked to say only what is wrong: nothing is.
    if args.quiet && view.exit() == Exit::Done {
        return Ok(());
    }
    output::print_line(&view.to_text())
}
