//! The loop of a restore (shell): what to do next, how many at once, and what follows from what came of it.
//!
//! Memory is bounded: a page is listed only while few files wait, and directories are gone through depth first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::facts::{Ended, Event, Observer, Order, Sums};
use super::fetch::{Failed, Fetched, Shared, Wanted, fetch};
use super::list::{Folder, Page, look, page};
use super::local_error::LocalError;
use super::plan::outermost;
use super::retry::{self, CONTENT_TRIES, Next};
use super::target::{Leaves, Target, TargetError};
use super::times::Times;
use crate::clock::Clock;
use crate::config::Names;
use crate::failure::Class;
use crate::mirror::limiter::{GIVE_UP_AFTER, Limiter};
use crate::relpath::RelPath;
use crate::smh::{Client, Info, Kind, RemotePath};
use crate::tree::remote_path;

/// A page is listed while no more files than this wait: a page more than keeps all slots busy.
const FEW: usize = 512;
/// How often the observer hears that the restore is alive.
const ALIVE: Duration = Duration::from_millis(250);
/// Time for giving back the token.
const LEAVE: Duration = Duration::from_secs(5);
/// A file that is on its way already, since a listing showed it twice, is looked at again after this long.
const TWICE_MS: i64 = 500;

/// Something to do, and how it went so far.
#[derive(Debug, Clone)]
struct Task {
    work: Work,
    /// Failures in a row.
    failures: u32,
    /// Contents that were whole and wrong.
    wrong: u32,
    /// Most bytes that ever lay ready.
    ready: u64,
}

#[derive(Debug, Clone)]
enum Work {
    /// Find out what is at a path that somebody named.
    Look { remote: RemotePath, local: RelPath },
    /// List the next page of a directory.
    List(Box<Folder>),
    /// Bring a file.
    Fetch(Box<Wanted>),
}

impl Work {
    fn local(&self) -> &RelPath {
        match self {
            Work::Look { local, .. } => local,
            Work::List(folder) => &folder.local,
            Work::Fetch(wanted) => &wanted.local,
        }
    }
}

/// What came of a try, with what it was about.
#[derive(Debug)]
enum Outcome {
    Looked(RemotePath, RelPath, Info),
    Listed(RemotePath, RelPath, Page),
    Fetched(Box<Wanted>, Fetched),
}

type Done = (Task, Result<Outcome, Failed>);

/// Restores what `order` says into the target, and gives back how that ended.
///
/// # Errors
/// What was written may not be on the disk.
pub async fn run(
    order: Order,
    client: Client,
    target: Target,
    times: Times,
    clock: Clock,
    stop: CancellationToken,
    observer: &mut dyn Observer,
) -> Result<(Ended, Sums), TargetError> {
    let shared = Arc::new(Shared {
        client,
        target,
        times,
        replace: order.replace,
        fetched: Default::default(),
    });
    let mut course = Course {
        shared: Arc::clone(&shared),
        names: order.names,
        clock,
        limiter: Limiter::new(order.concurrency),
        files: VecDeque::new(),
        folders: Vec::new(),
        later: BTreeMap::new(),
        sequence: 0,
        under_way: BTreeSet::new(),
        dice: Rng::new(),
        sums: Sums::default(),
        answered: false,
        waiting: false,
        observer,
    };
    course.begin(&order);
    let ended = course.work(&stop).await;
    let mut sums = course.sums;
    // It holds the target, which is to be closed.
    drop(course);
    sums.fetched_bytes = shared.fetched.load(Ordering::Relaxed);
    // The token ends by itself if nobody answers now.
    let _ = tokio::time::timeout(LEAVE, shared.client.leave()).await;
    // What can be gone on with is kept.
    let nothing_came = sums.restored + sums.kept + sums.folders + sums.fetched_bytes == 0;
    let leaves = match ended == Ended::Through && sums.failed == sums.hopeless {
        true if nothing_came && sums.failed > 0 => Leaves::NoTarget,
        true => Leaves::Nothing,
        // There is nothing to go on with.
        false if nothing_came && shared.target.is_new() => Leaves::NoTarget,
        false => Leaves::Unfinished,
    };
    let closed = tokio::task::spawn_blocking(move || match Arc::try_unwrap(shared) {
        Ok(shared) => shared.target.close(leaves),
        // Work on the disk that nobody waits for any more holds it: what it does is redone by the next run.
        Err(_) => Ok(()),
    });
    match closed.await {
        Ok(closed) => closed?,
        Err(error) => tracing::error!(%error, "the end of the restore failed"),
    }
    Ok((ended, sums))
}

/// The state of the loop.
struct Course<'o> {
    shared: Arc<Shared>,
    names: Names,
    clock: Clock,
    limiter: Limiter,
    /// Files to bring, in the order listed.
    files: VecDeque<Task>,
    /// Directories to list; the last one first.
    folders: Vec<Task>,
    /// What waits for a moment, by that moment.
    later: BTreeMap<(i64, u64), Task>,
    sequence: u64,
    /// Files on their way: no two tries write the same one.
    under_way: BTreeSet<RelPath>,
    dice: Rng,
    sums: Sums,
    /// The service was reached before.
    answered: bool,
    /// The observer knows that nothing goes on.
    waiting: bool,
    observer: &'o mut dyn Observer,
}

impl Course<'_> {
    /// What was asked for becomes the first work.
    fn begin(&mut self, order: &Order) {
        for path in outermost(order.paths.clone()) {
            match remote_path(order.names, &order.base, &path) {
                Some(names) => {
                    let remote = RemotePath::from_segments(names);
                    let work = if path.is_root() {
                        self.list(remote, path)
                    } else {
                        Work::Look { remote, local: path }
                    };
                    self.folders.push(new(work));
                }
                None => self.failed(
                    path,
                    "names like this are left out of the mirror: it has no copy",
                    true,
                ),
            }
        }
        self.folders.reverse();
    }

    async fn work(&mut self, stop: &CancellationToken) -> Ended {
        let mut running: JoinSet<Done> = JoinSet::new();
        let mut alive = tokio::time::interval(ALIVE);
        loop {
            let now_ms = self.clock.now().mono_ms;
            while running.len() < self.limiter.slots(now_ms)
                && let Some(task) = self.take(now_ms)
            {
                running.spawn(perform(Arc::clone(&self.shared), task));
            }
            let wakes =
                [self.later.keys().next().map(|(at, _)| *at), self.limiter.resumes_at_ms(now_ms)];
            let wakes_ms = wakes.into_iter().flatten().filter(|at| *at > now_ms).min();
            if running.is_empty()
                && self.files.is_empty()
                && self.folders.is_empty()
                && self.later.is_empty()
            {
                return Ended::Through;
            }
            let sleep_ms = wakes_ms.map_or(i64::MAX, |at| at - now_ms).clamp(1, 3_600_000);
            let sleep = Duration::from_millis(sleep_ms.unsigned_abs());
            let done = tokio::select! {
                Some(done) = running.join_next() => done,
                () = tokio::time::sleep(sleep) => continue,
                _ = alive.tick() => {
                    self.observer.alive(self.shared.fetched.load(Ordering::Relaxed));
                    continue;
                }
                () = stop.cancelled() => {
                    running.shutdown().await;
                    return Ended::Stopped;
                }
            };
            let ended = match done {
                Ok((task, result)) => self.done(task, result),
                // A defect of ours: nothing is known of what it did, so nothing is claimed.
                Err(error) => {
                    Some(Ended::Disk(format!("the restore failed unexpectedly: {error}")))
                }
            };
            if let Some(ended) = ended {
                running.shutdown().await;
                return ended;
            }
        }
    }

    /// The next thing to do: what waited long enough, then files, and pages while few files wait.
    fn take(&mut self, now_ms: i64) -> Option<Task> {
        if let Some(entry) = self.later.first_entry()
            && entry.key().0 <= now_ms
        {
            let task = entry.remove();
            return self.admit(task, now_ms);
        }
        if self.files.len() <= FEW
            && let Some(task) = self.folders.pop()
        {
            return Some(task);
        }
        let task = self.files.pop_front()?;
        self.admit(task, now_ms)
    }

    /// Lets a file begin unless it is on its way already.
    fn admit(&mut self, task: Task, now_ms: i64) -> Option<Task> {
        if let Work::Fetch(wanted) = &task.work
            && !self.under_way.insert(wanted.local.clone())
        {
            self.postpone(task, now_ms.saturating_add(TWICE_MS));
            return None;
        }
        Some(task)
    }

    fn postpone(&mut self, task: Task, at_ms: i64) {
        self.sequence += 1;
        self.later.insert((at_ms, self.sequence), task);
    }

    fn list(&self, remote: RemotePath, local: RelPath) -> Work {
        Work::List(Box::new(Folder::new(self.names, remote, local)))
    }

    /// Takes what came of a try. Something: the restore ends.
    fn done(&mut self, task: Task, result: Result<Outcome, Failed>) -> Option<Ended> {
        if let Work::Fetch(wanted) = &task.work {
            self.under_way.remove(&wanted.local);
        }
        match result {
            Ok(outcome) => {
                self.limiter.success();
                self.waiting = false;
                self.answered = true;
                self.succeeded(outcome);
                None
            }
            Err(Failed::Vanished) => {
                self.failed(
                    task.work.local().clone(),
                    "it is not in the library, or not any more",
                    true,
                );
                None
            }
            Err(Failed::Content { why, resumed }) => self.wrong(task, why, resumed),
            Err(Failed::Remote { error, ready }) => {
                let mut task = task;
                // Bytes were gained, so it goes on, if slowly.
                let gained = ready > task.ready;
                task.failures = if gained { 1 } else { task.failures + 1 };
                task.ready = task.ready.max(ready);
                let now_ms = self.clock.now().mono_ms;
                match retry::next(&error, task.failures, self.answered, self.dice.f64()) {
                    Next::Again(after_ms) => {
                        tracing::debug!(path = %task.work.local(), %error, after_ms, "tried again later");
                        if error.class == Class::Offline {
                            self.waits(error.to_string());
                        }
                        // A marker may have ended: the directory is listed from its beginning.
                        if let Work::List(folder) = &mut task.work
                            && error.class == Class::Stale
                        {
                            task.work = self.list(folder.remote.clone(), folder.local.clone());
                        }
                        self.postpone(task, now_ms.saturating_add(after_ms));
                        None
                    }
                    Next::WhenCalm => {
                        self.limiter.throttled(now_ms, error.retry_after, self.dice.f64());
                        if self.limiter.in_a_row() >= GIVE_UP_AFTER {
                            return Some(Ended::Unreachable(error.to_string()));
                        }
                        self.waits(format!("the service asks for less: {error}"));
                        // It is not to blame.
                        task.failures = task.failures.saturating_sub(1);
                        self.postpone(task, now_ms);
                        None
                    }
                    Next::GiveUp => {
                        self.failed(task.work.local().clone(), &error.to_string(), false);
                        None
                    }
                    Next::Unreachable => Some(Ended::Unreachable(error.to_string())),
                    Next::Refused => Some(Ended::Refused(error.to_string())),
                }
            }
            Err(Failed::Local(error)) => match error {
                LocalError::InTheWay(why) => {
                    self.in_the_way(task.work.local().clone(), why);
                    None
                }
                LocalError::NotTaken(why) => {
                    self.failed(task.work.local().clone(), &why, true);
                    None
                }
                LocalError::Full(why) | LocalError::Broken(why) => Some(Ended::Disk(why)),
                LocalError::Denied(why) => Some(Ended::Denied(why)),
            },
        }
    }

    fn wrong(&mut self, mut task: Task, why: String, resumed: bool) -> Option<Ended> {
        task.ready = 0;
        // What lay there from an earlier run may have been wrong; now it is gone.
        if !resumed {
            task.wrong += 1;
        }
        if task.wrong < CONTENT_TRIES && matches!(task.work, Work::Fetch(_)) {
            let now_ms = self.clock.now().mono_ms;
            self.postpone(task, now_ms);
        } else {
            self.failed(task.work.local().clone(), &format!("{why}; nothing of it is kept"), false);
        }
        None
    }

    fn succeeded(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Looked(remote, local, info) => match info.kind {
                Kind::Directory => {
                    let work = self.list(remote, local);
                    self.folders.push(new(work));
                }
                Kind::File => {
                    self.wanted(Wanted { remote, local, listed: info, stranger: false });
                }
            },
            Outcome::Listed(remote, local, page) => self.listed(&remote, &local, page),
            Outcome::Fetched(wanted, fetched) => self.fetched(*wanted, fetched),
        }
    }

    fn listed(&mut self, dir_remote: &RemotePath, dir: &RelPath, page: Page) {
        match page.rest {
            Some(rest) => self.folders.push(new(Work::List(Box::new(rest)))),
            None => self.sums.folders += u64::from(!dir.is_root()),
        }
        for nowhere in page.nowhere {
            let path = dir.join(nowhere.remote.as_bytes());
            let why = format!("{}: no folder can hold it, fetch it by hand", nowhere.why);
            self.failed(path, &why, true);
        }
        for placed in page.placed {
            let remote = dir_remote.join(&placed.remote);
            let local = dir.join(&placed.local);
            match placed.info.kind {
                Kind::Directory => {
                    let work = self.list(remote, local);
                    self.folders.push(new(work));
                }
                Kind::File => self.wanted(Wanted {
                    remote,
                    local,
                    listed: placed.info,
                    stranger: placed.stranger,
                }),
            }
        }
    }

    fn wanted(&mut self, wanted: Wanted) {
        self.observer.event(&Event::Listed { bytes: wanted.listed.size.unwrap_or_default() });
        self.files.push_back(new(Work::Fetch(Box::new(wanted))));
    }

    fn fetched(&mut self, wanted: Wanted, fetched: Fetched) {
        let Wanted { local: path, stranger, .. } = wanted;
        match fetched {
            Fetched::Restored { bytes } => {
                self.sums.restored += 1;
                self.sums.strangers += u64::from(stranger);
                self.observer.event(&Event::Restored { path, bytes, stranger });
            }
            Fetched::Unproven { bytes } => {
                let why = format!(
                    "its {bytes} bytes are there, but the library has no crc64 of it, so nothing proves them"
                );
                self.failed(path, &why, true);
            }
            Fetched::Kept { bytes } => {
                self.sums.kept += 1;
                self.sums.strangers += u64::from(stranger);
                self.observer.event(&Event::Kept { path, bytes });
            }
            Fetched::InTheWay(why) => self.in_the_way(path, why),
        }
    }

    /// Says that nothing goes on, once until something does.
    fn waits(&mut self, why: String) {
        if !std::mem::replace(&mut self.waiting, true) {
            self.observer.event(&Event::Waiting { why });
        }
    }

    fn in_the_way(&mut self, path: RelPath, why: String) {
        self.sums.in_the_way += 1;
        self.observer.event(&Event::InTheWay { path, why });
    }

    fn failed(&mut self, path: RelPath, why: &str, hopeless: bool) {
        self.sums.failed += 1;
        self.sums.hopeless += u64::from(hopeless);
        self.observer.event(&Event::Failed { path, why: why.to_owned() });
    }
}

fn new(work: Work) -> Task {
    Task { work, failures: 0, wrong: 0, ready: 0 }
}

async fn perform(shared: Arc<Shared>, task: Task) -> Done {
    let result = match &task.work {
        Work::Look { remote, local } => look(&shared, remote)
            .await
            .map(|info| Outcome::Looked(remote.clone(), local.clone(), info)),
        Work::List(folder) => page(&shared, (**folder).clone())
            .await
            .map(|page| Outcome::Listed(folder.remote.clone(), folder.local.clone(), page)),
        Work::Fetch(wanted) => {
            fetch(&shared, wanted).await.map(|fetched| Outcome::Fetched(wanted.clone(), fetched))
        }
    };
    (task, result)
}
