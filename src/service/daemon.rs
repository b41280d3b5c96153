//! The daemon: runs until a signal. A journal that cannot be written for a while, or shows damage, ends a run and
//! not the process: the next run begins as after a crash.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::assemble::{
    Assembled, Mode, Opened, Prepared, ServiceError, assemble, open_journal, replace_journal,
};
use super::reporter::{Reporter, notify};
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::JournalError;
use crate::mirror::{Finished, RunError, run};

/// First and longest pause before the journal is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// While waiting, the watchdog is fed this often.
const TICK: Duration = Duration::from_secs(1);
/// Damaged so often in one process: the disk is not to be trusted, and a person has to look.
const DAMAGED_MAX: u32 = 3;

/// The daemon had to end.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It could not begin.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// It could not go on.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Why a run ended early, and how the next one begins.
enum Interrupted {
    /// The journal cannot be written now.
    Wait(String),
    /// It makes no sense any more.
    Replace(String),
}

/// Runs until `stop`, then folds the journal up.
///
/// # Errors
/// It cannot begin, or cannot go on. What is committed is safe.
pub async fn daemon(
    config: &Config,
    prepared: &Prepared,
    clock: Clock,
    stop: CancellationToken,
) -> Result<Finished, DaemonError> {
    let mut reporter = Reporter::new(clock);
    let mut pause = PAUSE.0;
    let mut damaged = 0;
    let mut opened = None;
    loop {
        let ended = one_run(config, prepared, clock, &stop, &mut reporter, opened.take()).await;
        let interrupted = match ended {
            Ok(finished) => return Ok(finished),
            Err(error) => interruption(error)?,
        };
        match interrupted {
            Interrupted::Replace(reason) => {
                damaged += 1;
                if damaged > DAMAGED_MAX {
                    return Err(RunError::Journal(JournalError::Damaged(reason)).into());
                }
                opened = Some(replace_journal(config, clock, reason)?);
                pause = PAUSE.0;
            }
            Interrupted::Wait(why) => {
                // Readers must know that what they read is old.
                if let Err(error) = prepared.lock.set_stuck(true) {
                    tracing::warn!(%error, "cannot tell readers that the journal is not written");
                }
                tracing::error!(
                    "{why}; work pauses until {} can be written (is the disk full?)",
                    config.state_dir.display()
                );
                let what = format!("paused: {why}");
                if !wait(&mut reporter, &what, pause, &stop).await {
                    notify(&[NotifyState::Stopping]);
                    return Ok(Finished::Stopped);
                }
                pause = pause.saturating_mul(2).min(PAUSE.1);
            }
        }
        reporter.begin_again();
    }
}

async fn one_run(
    config: &Config,
    prepared: &Prepared,
    clock: Clock,
    stop: &CancellationToken,
    reporter: &mut Reporter,
    opened: Option<Opened>,
) -> Result<Finished, DaemonError> {
    let opened = match opened {
        Some(opened) => opened,
        None => tokio::task::block_in_place(|| open_journal(config, prepared, clock))?,
    };
    let Assembled { engine, shell, facts } =
        tokio::task::block_in_place(|| assemble(config, opened, Mode::Daemon, clock))?;
    if let Err(error) = prepared.lock.set_stuck(false) {
        tracing::warn!(%error, "cannot tell readers that the journal is written again");
    }
    let (finished, journal) = run(engine, shell, facts, clock, stop.clone(), reporter).await?;
    notify(&[NotifyState::Stopping]);
    // Nothing is lost by leaving it: the next start folds it up.
    if let Err(error) = journal.checkpoint() {
        tracing::warn!(%error, "the journal is not folded up; the next start does it");
    }
    Ok(finished)
}

/// What the end of a run asks for; errors that nobody can wait out are passed on.
fn interruption(error: DaemonError) -> Result<Interrupted, DaemonError> {
    match error {
        DaemonError::Run(RunError::Journal(journal))
        | DaemonError::Service(ServiceError::Journal(journal)) => match journal {
            JournalError::Damaged(reason) => Ok(Interrupted::Replace(reason)),
            passing if passing.passes() => Ok(Interrupted::Wait(passing.to_string())),
            other => Err(RunError::Journal(other).into()),
        },
        other => Err(other),
    }
}

/// Waits, feeding the watchdog. `false`: somebody wants us to stop.
async fn wait(
    reporter: &mut Reporter,
    what: &str,
    pause: Duration,
    stop: &CancellationToken,
) -> bool {
    let mut left = pause;
    while !left.is_zero() {
        reporter.waits(what);
        let step = left.min(TICK);
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(step) => left -= step,
        }
    }
    true
}
