//! From a configuration to an engine and a shell that are ready to run.

use std::path::PathBuf;
use std::sync::Arc;

use fastrand::Rng;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::live::Live;
use crate::clock::Clock;
use crate::config::{Config, Mirror, Problem, ProblemKind, WatchMode, several};
use crate::journal::{
    Holder, Journal, JournalError, LockError, Progress, Reader, SetAside, StateLock, make_folder,
};
use crate::mirror::{Engine, Fact, MirrorSettings, Settings, Shell};
use crate::smh::{Client, Grant, Meter, Rights};
use crate::tree::{Lister, Watcher};

/// Facts that wait for the engine; tasks that have more to say wait.
const FACTS: usize = 1024;

/// The process cannot begin its work.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The machine is not as the configuration says.
    #[error("{}", several(.0))]
    Machine(Vec<Problem>),
    /// Another instance has the state, or the lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The client cannot be built.
    #[error("cannot prepare the connection to the service: {0}")]
    Client(String),
}

/// How the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For ever, watching.
    Daemon,
    /// One pass.
    Once,
    /// One pass that sends nothing.
    DryRun,
}

/// The state folder, taken.
#[derive(Debug)]
pub struct Prepared {
    /// Held until the end of the process.
    pub lock: StateLock,
    /// What is noted about this process.
    pub(super) holder: Holder,
    /// What it can tell of itself while it runs.
    pub(super) live: Arc<Live>,
    /// Roots that are not there or cannot be read. That is an error only while they were never seen: later it may be a
    /// filesystem that is not mounted yet.
    missing: Vec<Problem>,
}

/// The journal, open.
#[derive(Debug)]
pub struct Opened {
    /// The one writer.
    pub journal: Journal,
    /// What happened to the one before, if it was damaged.
    pub lost: Option<String>,
}

/// An engine with its shell.
#[derive(Debug)]
pub struct Assembled {
    /// Decides.
    pub engine: Engine,
    /// Performs.
    pub shell: Shell,
    /// What the shell reports.
    pub facts: mpsc::Receiver<Fact>,
}

/// Looks at the machine and takes the state folder.
///
/// # Errors
/// See [`ServiceError`].
pub fn prepare(config: &Config, clock: Clock) -> Result<Prepared, ServiceError> {
    let missing = missing_roots(config)?;
    config.make_state_dir().map_err(|problem| ServiceError::Machine(vec![problem]))?;
    let now = clock.now();
    let holder = Holder {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        since_ms: now.unix_ms,
        socket: None,
    };
    let lock = StateLock::take(&config.state_dir, &holder)?;
    Ok(Prepared { lock, holder, live: Arc::default(), missing })
}

/// Roots that are not there, or cannot be read: both may pass, and must not keep the other mirrors from their work.
///
/// # Errors
/// Anything else is wrong with the folders.
fn missing_roots(config: &Config) -> Result<Vec<Problem>, ServiceError> {
    let may_pass = |problem: &Problem| match problem.kind {
        ProblemKind::Absent => true,
        // Of the other folders that a mirror needs, none is about a root.
        ProblemKind::Permission => mirror_of(config, problem).is_some(),
        ProblemKind::Config => false,
    };
    let (missing, hard): (Vec<_>, Vec<_>) = config.check_roots().into_iter().partition(may_pass);
    if hard.is_empty() {
        Ok(missing)
    } else {
        Err(ServiceError::Machine(hard.into_iter().chain(missing).collect()))
    }
}

/// The mirror that a problem with a root is about.
fn mirror_of<'c>(config: &'c Config, problem: &Problem) -> Option<&'c Mirror> {
    config.mirrors.iter().find(|mirror| problem.key == format!("mirror.{}.local", mirror.name))
}

/// Looks whether a run could begin with `config` beside a daemon that has its state folder. Changes nothing.
///
/// # Errors
/// See [`ServiceError`]; also that a root is missing which was never seen.
pub(super) fn check(config: &Config, clock: Clock) -> Result<(), ServiceError> {
    use std::os::unix::ffi::OsStrExt;
    let missing = missing_roots(config)?;
    if !missing.is_empty() {
        let known = Reader::open(&config.state_dir)?.known_mirrors()?;
        let was_seen = |mirror: &Mirror| {
            let local = mirror.local.as_os_str().as_bytes();
            known.iter().any(|k| k.name == mirror.name && k.local == local && k.root.is_some())
        };
        if !missing.iter().all(|problem| mirror_of(config, problem).is_some_and(was_seen)) {
            return Err(ServiceError::Machine(missing));
        }
    }
    client(config, clock, Arc::default()).map(|_| ())
}

fn client(config: &Config, clock: Clock, meter: Arc<Meter>) -> Result<Client, ServiceError> {
    Client::metered(&config.remote, Grant::Mirror(Rights::of(config)), clock, meter)
        .map_err(ServiceError::Client)
}

/// Opens the journal. A damaged one is set aside and an empty one takes its place.
///
/// # Errors
/// See [`ServiceError`]; also that a root is missing which was never seen.
pub fn open_journal(
    config: &Config,
    prepared: &Prepared,
    clock: Clock,
) -> Result<Opened, ServiceError> {
    open_journal_telling(config, prepared, clock, None)
}

/// As [`open_journal`]; `progress` is told as long as it gets on.
///
/// # Errors
/// As [`open_journal`]; also that it was given up.
pub(super) fn open_journal_telling(
    config: &Config,
    prepared: &Prepared,
    clock: Clock,
    progress: Option<&Progress>,
) -> Result<Opened, ServiceError> {
    let opened = reopen_journal(config, clock, progress)?;
    for problem in &prepared.missing {
        let known = match mirror_of(config, problem) {
            Some(mirror) => opened.journal.knows_root(&mirror.name)?,
            None => false,
        };
        if !known {
            return Err(ServiceError::Machine(prepared.missing.clone()));
        }
    }
    Ok(opened)
}

/// Opens the journal once more in a process that worked already: a root that is missing now is held, not refused.
///
/// # Errors
/// The journal cannot be used.
pub(super) fn reopen_journal(
    config: &Config,
    clock: Clock,
    progress: Option<&Progress>,
) -> Result<Opened, ServiceError> {
    let (journal, aside) = Journal::open_telling(&config.state_dir, &stamp(clock), progress)?;
    Ok(Opened { journal, lost: aside.map(said) })
}

/// Sets a journal aside that showed its damage only while it was used, and opens an empty one.
///
/// # Errors
/// The state folder cannot be written.
pub fn replace_journal(
    config: &Config,
    clock: Clock,
    reason: String,
) -> Result<Opened, ServiceError> {
    let (journal, aside) = Journal::replace(&config.state_dir, &stamp(clock), reason)?;
    Ok(Opened { journal, lost: Some(said(aside)) })
}

fn said(aside: SetAside) -> String {
    tracing::error!(
        path = %aside.path.display(),
        reason = aside.reason,
        "the journal was damaged ({}) and is set aside as {}; a new one is filled from a scan and a listing of the library",
        aside.reason,
        aside.path.display()
    );
    format!(
        "the journal was damaged ({}) and is set aside as {}; a new one is being filled from a scan and a listing of the library",
        aside.reason,
        aside.path.display()
    )
}

/// The date for the name of a journal that is set aside.
fn stamp(clock: Clock) -> String {
    let now = clock.now();
    jiff::Timestamp::from_millisecond(now.unix_ms)
        .map(|at| at.strftime("%Y%m%dT%H%M%SZ").to_string())
        .unwrap_or_else(|_| now.unix_ms.to_string())
}

/// Where commands leave requests for the daemon.
#[must_use]
pub fn requests_dir(config: &Config) -> PathBuf {
    config.state_dir.join("requests")
}

/// A journal to try things on; nothing is taken or written.
///
/// # Errors
/// The roots are not there, or the journal cannot be read.
pub fn scratch(config: &Config) -> Result<Opened, ServiceError> {
    let problems: Vec<Problem> =
        config.check_roots().into_iter().filter(|p| p.key != "state_dir").collect();
    if !problems.is_empty() {
        return Err(ServiceError::Machine(problems));
    }
    Ok(Opened { journal: Journal::scratch_copy(&config.state_dir)?, lost: None })
}

/// Puts engine and shell together; `meter` counts their requests.
///
/// # Errors
/// The journal or the client cannot be used.
pub fn assemble(
    config: &Config,
    opened: Opened,
    mode: Mode,
    clock: Clock,
    meter: Arc<Meter>,
) -> Result<Assembled, ServiceError> {
    let client = match mode {
        Mode::DryRun => None,
        _ => Some(client(config, clock, meter)?),
    };
    let mut mirrors = Vec::new();
    let mut locals: Vec<(String, PathBuf, Lister, WatchMode)> = Vec::new();
    for mirror in &config.mirrors {
        locals.push((mirror.name.clone(), mirror.local.clone(), Lister::of(mirror), mirror.watch));
        mirrors.push(MirrorSettings {
            name: mirror.name.clone(),
            local: mirror.local.clone(),
            remote: mirror.remote.clone(),
            target: config.target(mirror),
            names: mirror.names,
            settle: mirror.settle,
            settle_max: mirror.settle_max,
            rescan: mirror.rescan,
            poll_interval: mirror.poll_interval,
            watch: mirror.watch,
            delete: mirror.delete,
            delete_grace: mirror.delete_grace,
            max_delete: mirror.max_delete,
        });
    }
    let settings = Settings {
        mirrors,
        concurrency: config.transfer.concurrency,
        bandwidth_limit: config.transfer.bandwidth_limit.clone(),
        zone: TimeZone::system(),
        multipart_from: config.transfer.multipart_from,
        once: mode != Mode::Daemon,
        dry_run: mode == Mode::DryRun,
        lost_journal: opened.lost,
    };
    let (sender, facts) = mpsc::channel(FACTS);
    let engine = Engine::new(opened.journal, settings, clock.now(), Rng::new())?;
    let requests = match mode {
        Mode::DryRun => None,
        _ => Some(requests_dir(config)).filter(|folder| make_requests_dir(folder)),
    };
    let watcher = match mode {
        Mode::Daemon => {
            let mirrors = config.mirrors.iter().map(|mirror| mirror.local.clone());
            watcher(clock, &mirrors.chain([requests_dir(config)]).collect::<Vec<_>>())
        }
        _ => None,
    };
    let shell = Shell::new(client, watcher, locals, requests, sender);
    shell.limit(engine.bandwidth_limit().clone());
    Ok(Assembled { engine, shell, facts })
}

/// Without the folder the daemon works all the same; only `retry` has to wait for a restart.
fn make_requests_dir(folder: &std::path::Path) -> bool {
    let made = make_folder(folder);
    if let Err(error) = &made {
        tracing::warn!(
            path = %folder.display(),
            %error,
            "cannot make {}, where commands leave requests, so that only a restart hears of them: {error}",
            folder.display()
        );
    }
    made.is_ok()
}

fn watcher(clock: Clock, trees: &[PathBuf]) -> Option<Arc<Watcher>> {
    match Watcher::new(clock, trees) {
        Ok(watcher) => Some(Arc::new(watcher)),
        Err(error) => {
            tracing::warn!("{error} (fs.inotify.max_user_instances?); folders are polled");
            None
        }
    }
}
