//! Performing effects (shell): tasks that read, ask the service, and report what came of it.
//!
//! Nothing is decided here. Every task can be abandoned at any moment: what it leaves behind is what a crash
//! would leave, and the journal knows how to go on.

mod answers;
mod follow;
mod guard;
mod hashing;
mod local;
mod parts;
mod remote;
mod requests;
mod sending;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use remote::Whole;
pub use requests::untaken;
pub use sending::{PartsSent, Progress, Sending};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::facts::{Effect, Fact, MirrorIndex, TransferId};
use super::step::{Failure, Outcome};
use crate::clock::Clock;
use crate::config::{BandwidthLimit, WatchMode};
use crate::failure::Class;
use crate::relpath::RelPath;
use crate::smh::{Client, Form};
use crate::tree::{Lister, Watcher, Wish};

/// The local side of one mirror.
#[derive(Debug)]
struct Local {
    name: String,
    root: PathBuf,
    lister: Arc<Lister>,
    watch: WatchMode,
}

/// Performs effects.
#[derive(Debug, Clone)]
pub struct Shell {
    inner: Arc<Inner>,
    tasks: TaskTracker,
    abandoned: CancellationToken,
}

#[derive(Debug)]
struct Inner {
    client: Option<Client>,
    watcher: Option<Arc<Watcher>>,
    mirrors: Vec<Local>,
    /// Where commands leave requests for the daemon; `None`: nobody may.
    requests: Option<PathBuf>,
    /// Those that were taken, and are removed once what they ask for is written down.
    taken: Mutex<Vec<PathBuf>>,
    /// Forms are secrets: they live here, by transfer, and nowhere else. With that of a small file lies its content.
    forms: Mutex<HashMap<TransferId, (Form, Option<Whole>)>>,
    /// The same for uploads in parts.
    signings: parts::Signings,
    facts: mpsc::Sender<Fact>,
    /// The difference of the clocks that was last reported, in milliseconds.
    skew_ms: AtomicI64,
    sending: Arc<Sending>,
}

impl Shell {
    /// A shell that reports to `facts`. Without a client (a dry run) nothing is sent; without a
    /// watcher nothing is watched. `mirrors`: name, root, what lists it, and what to watch. `requests`: the
    /// folder in which commands leave requests. The trees of the watcher are the mirrors, and then that folder.
    #[must_use]
    pub fn new(
        client: Option<Client>,
        watcher: Option<Arc<Watcher>>,
        mirrors: Vec<(String, PathBuf, Lister, WatchMode)>,
        requests: Option<PathBuf>,
        facts: mpsc::Sender<Fact>,
    ) -> Shell {
        let mirrors = mirrors
            .into_iter()
            .map(|(name, root, lister, watch)| Local {
                name,
                root,
                lister: Arc::new(lister),
                watch,
            })
            .collect();
        Shell {
            inner: Arc::new(Inner {
                client,
                watcher,
                mirrors,
                requests,
                taken: Mutex::new(Vec::new()),
                forms: Mutex::new(HashMap::new()),
                signings: parts::Signings::default(),
                facts,
                skew_ms: AtomicI64::new(0),
                sending: Sending::new(Clock::start()),
            }),
            tasks: TaskTracker::new(),
            abandoned: CancellationToken::new(),
        }
    }

    /// No more than this is sent from now on.
    pub fn limit(&self, limit: BandwidthLimit) {
        if let Some(client) = &self.inner.client {
            tracing::debug!(%limit, "limit of the bandwidth");
            client.throttle().set(move |unix_ms| limit.at(unix_ms, &TimeZone::system()).rate);
        }
    }

    /// What is being sent, at any moment.
    #[must_use]
    pub fn sending(&self) -> Arc<Sending> {
        Arc::clone(&self.inner.sending)
    }

    /// The watcher, whose hints the loop takes.
    pub(super) fn watcher(&self) -> Option<Arc<Watcher>> {
        self.inner.watcher.clone()
    }

    /// Directories that are watched, by mirror.
    pub(super) fn watched(&self) -> Vec<u64> {
        let Some(watcher) = &self.inner.watcher else { return Vec::new() };
        (0..self.inner.mirrors.len()).map(|mirror| watcher.count(mirror)).collect()
    }

    /// The other names that a path has through links that are followed.
    pub(super) fn names_of(&self, mirror: MirrorIndex, path: &RelPath) -> Vec<RelPath> {
        self.inner.mirrors.get(mirror).map(|local| local.lister.names_of(path)).unwrap_or_default()
    }

    /// Ends every task that talks to the service, wherever it is, and waits until none is left. What was sent
    /// is settled by the next run, as after a crash.
    pub async fn abandon(&self) {
        self.abandoned.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Runs a task until it is over or abandoned.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let abandoned = self.abandoned.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = abandoned.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Starts an effect. Its fact comes when it is over.
    pub(super) fn perform(&self, effect: Effect) {
        let inner = Arc::clone(&self.inner);
        match effect {
            Effect::Forget(transfer) => {
                inner.forms.lock().unwrap_or_else(PoisonError::into_inner).remove(&transfer);
                inner.signings.forget(transfer);
                inner.sending.forget(transfer);
            }
            Effect::Root(mirror) => {
                tokio::task::spawn_blocking(move || inner.look_at_root(mirror));
            }
            Effect::Sweep(mirror) => {
                if let Some(watcher) = &inner.watcher {
                    watcher.end_scan(mirror);
                }
            }
            // At once: what is listed after this is watched again.
            Effect::Unwatch { mirror, dir } => {
                if let Some(watcher) = &inner.watcher {
                    watcher.unwatch(mirror, &dir);
                }
            }
            Effect::Missed { mirror, dir } => {
                if let Some(watcher) = &inner.watcher
                    && inner.wish(mirror) == Some(Wish::Sensible)
                {
                    watcher.missed(mirror, &dir);
                }
            }
            Effect::List { mirror, dir } => {
                tokio::task::spawn_blocking(move || inner.list(mirror, &dir));
            }
            Effect::Look { mirror, paths } => {
                tokio::task::spawn_blocking(move || inner.look(mirror, paths));
            }
            Effect::Step { transfer, mirror, path, target, fingerprint, step } => {
                self.spawn(async move {
                    let work = inner.step(transfer, mirror, path, &target, fingerprint, step);
                    let outcome = guard::task(work, || Outcome::Failed(unexpected())).await;
                    inner.mind_the_clock().await;
                    inner.report(Fact::Step { transfer, outcome }).await;
                });
            }
            Effect::Directory { job, target } => {
                self.spawn(async move {
                    let work = inner.make_directory(target);
                    let result = guard::task(work, || Err(unexpected())).await;
                    inner.mind_the_clock().await;
                    inner.report(Fact::Directory { job, result }).await;
                });
            }
            Effect::ListRemote { job, target } => {
                self.spawn(async move {
                    let ended = guard::task(inner.list_remote(job, target), || Err(())).await;
                    if ended.is_err() {
                        inner.report(Fact::RemoteListed { job, result: Err(unexpected()) }).await;
                    }
                });
            }
            Effect::Remove { job, mirror, path, anchor, target, what, permanent } => {
                self.spawn(async move {
                    let work = inner.remove(mirror, path, anchor, target, what, permanent);
                    let result = guard::task(work, || Err(unexpected())).await;
                    inner.mind_the_clock().await;
                    inner.report(Fact::Removed { job, result }).await;
                });
            }
            Effect::Relocate { job, mirror, from, to, root, inode, source, target } => {
                self.spawn(async move {
                    let work = inner.relocate(mirror, from, to, root, inode, source, target);
                    let result = guard::task(work, || Err(unexpected())).await;
                    inner.mind_the_clock().await;
                    inner.report(Fact::Relocated { job, result }).await;
                });
            }
            Effect::Limit(limit) => self.limit(limit),
            Effect::Cancel { confirm_key } => {
                self.spawn(async move {
                    let work = inner.cancel(&confirm_key);
                    let result = guard::task(work, || Err(unexpected())).await;
                    inner.report(Fact::Cancelled { confirm_key, result }).await;
                });
            }
            Effect::AskForBin => {
                self.spawn(async move {
                    let result = guard::task(inner.ask_for_bin(), || Err(unexpected())).await;
                    inner.report(Fact::Bin(result)).await;
                });
            }
            Effect::Probe => {
                self.spawn(async move {
                    let result = guard::task(inner.probe(), || Err(unexpected())).await;
                    inner.mind_the_clock().await;
                    inner.report(Fact::Probe(result)).await;
                });
            }
        }
    }
}

/// What the engine is told of a task that panicked.
fn unexpected() -> Failure {
    Failure::new(Class::Defect, guard::UNEXPECTED)
}

impl Inner {
    /// What of a mirror is to be watched, if anything.
    fn wish(&self, mirror: MirrorIndex) -> Option<Wish> {
        match self.mirrors.get(mirror)?.watch {
            WatchMode::Auto => Some(Wish::Sensible),
            WatchMode::Inotify => Some(Wish::All),
            WatchMode::Poll => None,
        }
    }

    /// The watcher, if it is to watch anything of a mirror.
    fn watching(&self, mirror: MirrorIndex) -> Option<(&Watcher, Wish)> {
        Some((self.watcher.as_deref()?, self.wish(mirror)?))
    }

    /// At the end of a run nobody listens any more; the journal knows what there is to do.
    async fn report(&self, fact: Fact) {
        let _ = self.facts.send(fact).await;
    }

    fn report_blocking(&self, fact: Fact) -> bool {
        self.facts.blocking_send(fact).is_ok()
    }
}
