//! The daemon: runs until a signal. A journal that cannot be written for a while, or shows damage, ends a run and
//! not the process: the next run begins as after a crash. So does a new configuration, with the journal in hand.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::assemble::{
    Assembled, Mode, Opened, Prepared, ServiceError, assemble, open_journal_telling,
    reopen_journal, replace_journal,
};
use super::hooks::{Hooks, Listener};
use super::metrics::{Metrics, MetricsError};
use super::observers::Observers;
use super::reload::{Reloads, Wish};
use super::reporter::Reporter;
use super::status::Status;
use super::summary::Summary;
use super::systemd;
use crate::clock::{Clock, to_ms};
use crate::config::Config;
use crate::journal::{Journal, JournalError, Progress};
use crate::mirror::{Finished, RunError, run};

/// First and longest pause before the journal is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// While waiting, the watchdog is fed this often.
const TICK: Duration = Duration::from_secs(1);
/// While a journal is opened, more time is asked for so often, and so much: a disk that stops answering is noticed.
const EXTEND: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// Damaged or taken away so often in one process: the disk is not to be trusted, and a person has to look.
const DAMAGED_MAX: u32 = 3;

/// The daemon had to end.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It could not begin.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Its metrics cannot be served.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
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
    /// This file of it was taken away.
    Anew(PathBuf),
}

/// How a run ended in order.
enum Ended {
    /// Somebody wanted the daemon to stop.
    Over(Finished),
    /// Another configuration is to be tried; the journal is whole.
    Reload(Journal),
}

/// Runs until `stop`, then folds the journal up. Questions to reload are answered meanwhile.
///
/// # Errors
/// It cannot begin, or cannot go on. What is committed is safe.
pub async fn daemon(
    config: Config,
    prepared: &Prepared,
    clock: Clock,
    stop: CancellationToken,
    reloads: Reloads,
) -> Result<Finished, DaemonError> {
    let config = Arc::new(config);
    prepared.live.set_config(&config);
    let (current, in_force) = watch::channel(Arc::clone(&config));
    let metrics = Metrics::serve(in_force.clone(), clock)?;
    let status = Arc::new(Status::default());
    let _telling =
        AbortOnDropHandle::new(tokio::spawn(Arc::clone(&status).tell(in_force.clone(), clock)));
    let (sender, wishes) = mpsc::channel(1);
    let _answering = AbortOnDropHandle::new(tokio::spawn(reloads.serve(
        in_force,
        clock,
        sender,
        Arc::clone(&status),
    )));
    let hooks = Hooks::start(clock, current.subscribe());
    let reporter = Reporter::new(clock, Arc::clone(&status));
    let telling = hooks.listener();
    let mut daemon = Daemon {
        config,
        current,
        prepared,
        clock,
        stop,
        wishes,
        reporter,
        telling,
        status,
        metrics,
        begun: false,
        trial: None,
    };
    let ended = daemon.live().await;
    systemd::stopping();
    hooks.finish().await;
    ended
}

/// A daemon at work.
struct Daemon<'a> {
    /// The configuration in force.
    config: Arc<Config>,
    /// The same, for who has to know.
    current: watch::Sender<Arc<Config>>,
    prepared: &'a Prepared,
    clock: Clock,
    stop: CancellationToken,
    wishes: mpsc::Receiver<Wish>,
    reporter: Reporter,
    telling: Listener,
    status: Arc<Status>,
    metrics: Metrics,
    /// A run of this process got as far as working.
    begun: bool,
    /// The configuration in force is new, and no run has begun with it.
    trial: Option<Trial>,
}

/// A new configuration until its first run.
struct Trial {
    before: Arc<Config>,
    wish: Wish,
}

impl Daemon<'_> {
    async fn live(&mut self) -> Result<Finished, DaemonError> {
        let mut pause = PAUSE.0;
        let mut damaged = 0;
        let mut opened = None;
        let mut lost = None;
        loop {
            let error = match self.one_run(opened.take(), &mut lost).await {
                Ok(Ended::Over(finished)) => return Ok(finished),
                Ok(Ended::Reload(journal)) => {
                    opened = Some(Opened { journal, lost: None });
                    continue;
                }
                Err(error) => error,
            };
            if let DaemonError::Service(ServiceError::Journal(JournalError::GivenUp)) = error {
                return Ok(Finished::Stopped);
            }
            let Some(error) = self.fall_back(error) else { continue };
            match interruption(error)? {
                Interrupted::Replace(reason) => {
                    damaged += 1;
                    if damaged > DAMAGED_MAX {
                        return Err(RunError::Journal(JournalError::Damaged(reason)).into());
                    }
                    opened = Some(replace_journal(&self.config, self.clock, reason)?);
                    pause = PAUSE.0;
                }
                Interrupted::Anew(path) => {
                    // Who took the lock away, too, may have given the folder to another daemon.
                    self.prepared.lock.is_in_place().map_err(ServiceError::Lock)?;
                    damaged += 1;
                    // What SQLite shares between the connections of a process fits no other log of the same file.
                    let is_log = path.extension().is_some_and(|suffix| suffix != "db");
                    if is_log || damaged > DAMAGED_MAX {
                        return Err(RunError::Journal(JournalError::TakenAway(path)).into());
                    }
                    let why = format!(
                        "the journal {} was taken away while it was in use; what is there now is used, and filled from a scan and a listing of the library",
                        path.display()
                    );
                    tracing::error!("{why}");
                    lost = Some(why);
                    pause = PAUSE.0;
                }
                Interrupted::Wait(why) => {
                    // Readers must know that what they read is old.
                    if let Err(error) = self.prepared.lock.set_stuck(true) {
                        tracing::warn!(%error, "cannot tell readers that the journal is not written");
                    }
                    let said = format!(
                        "{why}; work pauses until {} can be written (is the disk full?)",
                        self.config.state_dir.display()
                    );
                    tracing::error!("{said}");
                    self.telling.stuck(&said, self.clock.now().unix_ms);
                    self.status.instead(format!("behind: {why}; work pauses until it can"));
                    if !self.wait(pause).await {
                        return Ok(Finished::Stopped);
                    }
                    pause = pause.saturating_mul(2).min(PAUSE.1);
                }
            }
        }
    }

    /// `lost`: what happened to the journal before.
    async fn one_run(
        &mut self,
        opened: Option<Opened>,
        lost: &mut Option<String>,
    ) -> Result<Ended, DaemonError> {
        let (config, clock) = (Arc::clone(&self.config), self.clock);
        let mut opened = match opened {
            Some(opened) => opened,
            None => {
                let progress = Some(gets_on(clock, self.stop.clone()));
                tokio::task::block_in_place(|| match self.begun {
                    true => reopen_journal(&config, clock, progress.as_ref()),
                    false => open_journal_telling(&config, self.prepared, clock, progress.as_ref()),
                })?
            }
        };
        opened.lost = opened.lost.or(lost.take());
        let Assembled { engine, shell, facts } = tokio::task::block_in_place(|| {
            assemble(&config, opened, Mode::Daemon, clock, self.metrics.meter())
        })?;
        self.begun = true;
        self.telling.goes_on();
        self.prepared.live.set_sending(shell.sending());
        self.prepared.live.set_config(&config);
        self.status.begin();
        if let Err(error) = self.prepared.lock.set_stuck(false) {
            tracing::warn!(%error, "cannot tell readers that the journal is written again");
        }
        if let Some(Trial { wish, before }) = self.trial.take() {
            self.status.note(None);
            wish.applied(&before);
            // Said by the first turn.
            self.reporter.ready_again();
        }
        let run_stop = self.stop.child_token();
        let mut wanted = None;
        let mut counting = self.metrics.observer();
        let mut summary = Summary::new(clock);
        let ended = {
            let mut observers =
                Observers(vec![&mut self.reporter, &mut counting, &mut summary, &mut self.telling]);
            let work = run(engine, shell, facts, clock, run_stop.clone(), &mut observers);
            tokio::pin!(work);
            let mut stopping = false;
            loop {
                tokio::select! {
                    biased;
                    ended = &mut work => break ended,
                    () = self.stop.cancelled(), if !stopping => {
                        stopping = true;
                        systemd::stopping();
                        self.status.instead("stopping".to_owned());
                    }
                    Some(wish) = self.wishes.recv(), if wanted.is_none() && !stopping => {
                        if wish.needs_a_run(&self.config) {
                            run_stop.cancel();
                            wanted = Some(wish);
                        } else {
                            let old = std::mem::replace(&mut self.config, Arc::clone(&wish.config));
                            self.current.send_replace(Arc::clone(&self.config));
                            self.prepared.live.set_config(&self.config);
                            self.status.note(None);
                            wish.applied(&old);
                            systemd::ready();
                        }
                    }
                }
            }
        };
        summary.finish();
        if let Some(wish) = wanted {
            self.put_on_trial(wish);
        }
        let (finished, journal) = ended?;
        if self.trial.is_some() && !self.stop.is_cancelled() {
            return Ok(Ended::Reload(journal));
        }
        // Nothing is lost by leaving it: the next start folds it up.
        if let Err(error) = journal.checkpoint() {
            tracing::warn!(%error, "the journal is not folded up; the next start does it");
        }
        Ok(Ended::Over(finished))
    }

    /// The next run begins with another configuration.
    fn put_on_trial(&mut self, wish: Wish) {
        let before = std::mem::replace(&mut self.config, Arc::clone(&wish.config));
        self.current.send_replace(Arc::clone(&self.config));
        self.trial = Some(Trial { before, wish });
    }

    /// When no run can begin with a new configuration, although it looked well a moment ago: back to the old one.
    /// Any other error is given back.
    fn fall_back(&mut self, error: DaemonError) -> Option<DaemonError> {
        let its_fault = matches!(
            &error,
            DaemonError::Service(ServiceError::Machine(_) | ServiceError::Client(_))
        );
        match self.trial.take() {
            Some(Trial { before, wish }) if its_fault => {
                self.config = before;
                self.current.send_replace(Arc::clone(&self.config));
                wish.refused(error.to_string(), &self.status);
                self.reporter.ready_again();
                None
            }
            trial => {
                self.trial = trial;
                Some(error)
            }
        }
    }

    /// Waits, feeding the watchdog; a new configuration ends the waiting. `false`: somebody wants us to stop.
    async fn wait(&mut self, pause: Duration) -> bool {
        let mut left = pause;
        while !left.is_zero() {
            self.reporter.waits();
            let step = left.min(TICK);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                Some(wish) = self.wishes.recv(), if self.trial.is_none() => {
                    self.put_on_trial(wish);
                    return true;
                }
                () = tokio::time::sleep(step) => left -= step,
            }
        }
        true
    }
}

/// Has the service manager wait while the journal is opened, as long as that gets on, and gives it up on a stop.
fn gets_on(clock: Clock, stop: CancellationToken) -> Progress {
    let next_ms = AtomicI64::new(i64::MIN);
    Arc::new(move || {
        if stop.is_cancelled() {
            return ControlFlow::Break(());
        }
        let now_ms = clock.now().mono_ms;
        if now_ms >= next_ms.load(Ordering::Relaxed) {
            next_ms.store(now_ms.saturating_add(to_ms(EXTEND.0)), Ordering::Relaxed);
            systemd::extend(EXTEND.1);
        }
        ControlFlow::Continue(())
    })
}

/// What the end of a run asks for; errors that nobody can wait out are passed on.
fn interruption(error: DaemonError) -> Result<Interrupted, DaemonError> {
    match error {
        DaemonError::Run(RunError::Journal(journal))
        | DaemonError::Service(ServiceError::Journal(journal)) => match journal {
            JournalError::Damaged(reason) => Ok(Interrupted::Replace(reason)),
            JournalError::TakenAway(path) => Ok(Interrupted::Anew(path)),
            passing if passing.passes() => Ok(Interrupted::Wait(passing.to_string())),
            other => Err(RunError::Journal(other).into()),
        },
        other => Err(other),
    }
}
