//! Reading the configuration again while the daemon runs: who asks, what a new one changes (pure), and a look at it
//! before anything is touched (shell). A new one that is wrong is refused as a whole, and the old one stays.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::assemble::check;
use super::logging::LogLevel;
use super::status::Status;
use super::systemd;
use crate::clock::Clock;
use crate::config::{Config, Environment};

/// Questions that wait while one is answered; who asks more waits.
const ASKS: usize = 8;

type Answer = oneshot::Sender<Result<Applied, Refused>>;

/// Asks the daemon of this process to read its configuration again.
#[derive(Debug, Clone)]
pub struct ReloadHandle {
    asks: mpsc::Sender<Answer>,
}

/// The questions, for the daemon.
#[derive(Debug)]
pub struct Reloads {
    asks: mpsc::Receiver<Answer>,
    log: LogLevel,
}

/// The configuration in the file is the one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Whether it differs from the one before.
    pub changed: bool,
    /// Keys whose new value counts only after a restart.
    pub at_restart: Vec<&'static str>,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.changed, self.at_restart.as_slice()) {
            (false, []) => f.write_str("the configuration did not change"),
            (true, []) => f.write_str("the new configuration is in force"),
            (true, keys) => write!(
                f,
                "the new configuration is in force, but for {}: restart the daemon for that",
                keys.join(" and ")
            ),
            (false, keys) => {
                write!(f, "restart the daemon for the new {}", keys.join(" and "))
            }
        }
    }
}

/// The old configuration stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The new one is wrong, or cannot be used on this machine, or not without a restart.
    #[error("the new configuration is refused, the old one stays in force: {0}")]
    Invalid(String),
    /// There is no daemon any more that could use it.
    #[error("the daemon is stopping; the next start reads the configuration")]
    Stopping,
}

/// A handle to ask with, and what the daemon hears; `log` is changed too.
#[must_use]
pub fn reloads(log: LogLevel) -> (ReloadHandle, Reloads) {
    let (sender, asks) = mpsc::channel(ASKS);
    (ReloadHandle { asks: sender }, Reloads { asks, log })
}

impl ReloadHandle {
    /// Asks, and waits until the new configuration is in force or refused: as long as uploads get to end, at most.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn ask(&self) -> Result<Applied, Refused> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(answer).await.map_err(|_| Refused::Stopping)?;
        answered.await.unwrap_or(Err(Refused::Stopping))
    }
}

/// A new configuration that may be used.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) config: Arc<Config>,
    at_restart: Vec<&'static str>,
    log: LogLevel,
    answer: Answer,
}

impl Wish {
    /// Whether the work has to begin anew for it.
    pub(super) fn needs_a_run(&self, old: &Config) -> bool {
        needs_a_run(old, &self.config)
    }

    /// It is in force, in the place of `old`.
    pub(super) fn applied(self, old: &Config) {
        let level = old.log.level != self.config.log.level;
        if level {
            self.log.set(&self.config.log);
        }
        let changed = level || self.needs_a_run(old);
        let applied = Applied { changed, at_restart: self.at_restart };
        tracing::info!("read {} again: {applied}", self.config.file.display());
        // Who asked may be gone.
        let _ = self.answer.send(Ok(applied));
    }

    /// It could not be used after all.
    pub(super) fn refused(self, why: String, status: &Status) {
        refuse(self.answer, why, status);
    }
}

fn refuse(answer: Answer, why: String, status: &Status) {
    let refused = Refused::Invalid(why);
    tracing::error!("{refused}");
    status.note(Some("a new configuration was refused, see the log".to_owned()));
    // Who asked may be gone.
    let _ = answer.send(Err(refused));
}

impl Reloads {
    /// Answers each question: reads the file, refuses what is wrong, and hands on what may be used. Ends when nobody
    /// can ask, or nobody takes what is handed on.
    pub(super) async fn serve(
        mut self,
        current: watch::Receiver<Arc<Config>>,
        clock: Clock,
        wishes: mpsc::Sender<Wish>,
        status: Arc<Status>,
    ) {
        while let Some(answer) = self.asks.recv().await {
            systemd::reloading();
            let old = Arc::clone(&current.borrow());
            // On the blocking pool: a folder may lie on a filesystem that does not answer.
            let looked = tokio::task::spawn_blocking(move || look(&old, clock)).await;
            let why = match looked {
                Ok(Ok((config, at_restart))) => {
                    let log = self.log.clone();
                    let wish = Wish { config: Arc::new(config), at_restart, log, answer };
                    if wishes.send(wish).await.is_err() {
                        return;
                    }
                    continue;
                }
                Ok(Err(why)) => why,
                Err(error) => format!("it could not be looked at: {error}; please report this"),
            };
            refuse(answer, why, &status);
            systemd::ready();
        }
    }
}

/// Reads the file of `old` again, and looks whether a run could begin with it. Gives the keys too that count only after
/// a restart.
fn look(old: &Config, clock: Clock) -> Result<(Config, Vec<&'static str>), String> {
    let new =
        Config::load(&old.file, &Environment::from_process()).map_err(|error| error.to_string())?;
    stays_in_place(old, &new)?;
    check(&new, clock).map_err(|error| error.to_string())?;
    let at_restart = at_restart(old, &new);
    Ok((new, at_restart))
}

/// The journal cannot move under a daemon.
fn stays_in_place(old: &Config, new: &Config) -> Result<(), String> {
    if old.state_dir == new.state_dir {
        return Ok(());
    }
    Err(format!(
        "{}: state_dir is now {} and was {}, and the journal cannot move while the daemon runs; stop the daemon, move the folder, and start it again",
        new.file.display(),
        new.state_dir.display(),
        old.state_dir.display()
    ))
}

/// Keys that a process reads once, and that changed.
fn at_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("log.format", old.log.format != new.log.format),
        ("metrics.listen", old.metrics != new.metrics),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect()
}

/// Whether the work has to begin anew. What is not named here asks for that: right for every key, if not always needed.
fn needs_a_run(old: &Config, new: &Config) -> bool {
    let rest = Config {
        file: new.file.clone(),
        lines: new.lines.clone(),
        text: new.text.clone(),
        hooks: new.hooks.clone(),
        log: new.log.clone(),
        metrics: new.metrics,
        ..old.clone()
    };
    rest != *new
}
