//! Hints from the kernel (shell): one watch a directory, and a set of paths that may have changed.
//!
//! A hint may be lost, late or wrong. The scan and the journal are the truth. What is known of the watches is in
//! [`table`], apart from the system calls here and in [`reader`].

mod budget;
mod device;
mod hints;
mod limits;
mod mounts;
mod reader;
mod route;
mod table;

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use self::budget::Budget;
use self::table::{Added, Table};
use super::filesystem;
use crate::clock::Clock;
use crate::relpath::RelPath;

pub use hints::{Hints, News};
pub use limits::{inotify_limit, watch_limit, watches_of_others};

/// Everything that may change what is mirrored. Openings and reads change nothing, and ours alone would be many.
const DIRECTORY: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// On the way to a root only names matter. Added to what is asked already, if it is a watched directory too.
const ANCHOR: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::MASK_ADD);
/// A budget that is used up is reckoned anew after this long.
const RECKON_MS: i64 = 60_000;
/// One that is not, after this long.
const RECKON_SELDOM_MS: i64 = 600_000;

/// The system has no set of watches to give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot watch: {0}")]
pub struct WatchError(String);

/// Whether a directory is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watching {
    /// It was, under this path, and still is.
    Kept,
    /// From now on.
    Begun,
    /// It is not.
    No,
}

impl Watching {
    /// What holds when both are needed to hear of everything.
    #[must_use]
    pub fn and(self, other: Watching) -> Watching {
        match (self, other) {
            (Watching::No, _) | (_, Watching::No) => Watching::No,
            (Watching::Begun, _) | (_, Watching::Begun) => Watching::Begun,
            (Watching::Kept, Watching::Kept) => Watching::Kept,
        }
    }
}

/// Which directories are to be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Those of filesystems that tell of changes, within the budget.
    Sensible,
    /// All, as far as the kernel can.
    All,
}

/// Watches directories, in several trees.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    clock: Clock,
    reckoning: Mutex<Reckoning>,
}

/// What the thread that reads events shares with those who list.
#[derive(Debug)]
struct Shared {
    inotify: OwnedFd,
    /// Wakes the reading thread: there is something to give back, or nobody wants it any more.
    wake: OwnedFd,
    table: Mutex<Table>,
    trees: Vec<TreeRoot>,
    hints: Arc<Hints>,
    stop: AtomicBool,
    /// Nobody reads events any more.
    dead: AtomicBool,
}

#[derive(Debug)]
struct TreeRoot {
    path: PathBuf,
    /// The same without symbolic links, while it is anchored.
    real: Mutex<Option<PathBuf>>,
}

#[derive(Debug)]
struct Reckoning {
    budget: Budget,
    at_ms: Option<i64>,
    /// That it is used up was said.
    said: bool,
}

impl Watcher {
    /// A watcher that watches nothing yet. Trees are named by the position of their root.
    ///
    /// # Errors
    /// The system has none to give (`fs.inotify.max_user_instances`).
    pub fn new(clock: Clock, roots: &[PathBuf]) -> Result<Watcher, WatchError> {
        let failed = |errno: Errno| WatchError(std::io::Error::from(errno).to_string());
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).map_err(failed)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
        let shared = Arc::new(Shared {
            inotify,
            wake,
            table: Mutex::new(Table::new(roots.len())),
            trees: roots
                .iter()
                .map(|path| TreeRoot { path: path.clone(), real: Mutex::new(None) })
                .collect(),
            hints: Arc::new(Hints::default()),
            stop: AtomicBool::new(false),
            dead: AtomicBool::new(false),
        });
        reader::start(Arc::clone(&shared)).map_err(|error| WatchError(error.to_string()))?;
        let reckoning = Reckoning { budget: Budget::new(None, None), at_ms: None, said: false };
        Ok(Watcher { shared, clock, reckoning: Mutex::new(reckoning) })
    }

    /// Where the hints go.
    #[must_use]
    pub fn hints(&self) -> Arc<Hints> {
        Arc::clone(&self.shared.hints)
    }

    /// Directories of a tree that are watched now.
    #[must_use]
    pub fn count(&self, tree: usize) -> u64 {
        self.shared.table().count(tree)
    }

    /// Watches the open directory `dir`, which is `path` in its tree; not what lies below it. Why it is not, if it is
    /// not, is said in the log.
    #[must_use]
    pub fn watch(&self, tree: usize, path: &RelPath, dir: BorrowedFd<'_>, wish: Wish) -> Watching {
        if self.shared.dead.load(Ordering::Acquire) {
            return Watching::No;
        }
        match self.try_watch(tree, path, dir, wish) {
            Ok(watching) => watching,
            Err(errno) => {
                let error = std::io::Error::from(errno);
                tracing::debug!(directory = %path, %error, "not watched");
                Watching::No
            }
        }
    }

    fn try_watch(
        &self,
        tree: usize,
        path: &RelPath,
        dir: BorrowedFd<'_>,
        wish: Wish,
    ) -> Result<Watching, Errno> {
        let device = rustix::fs::fstat(dir)?.st_dev;
        if wish == Wish::Sensible {
            if !filesystem::gives_hints(filesystem::magic(dir)?) {
                return Ok(Watching::No);
            }
            let (known, silent, held) = {
                let table = self.shared.table();
                (table.is_watched(tree, path), table.is_silent(device), table.held())
            };
            if silent || !known && !self.may_take(held) {
                return Ok(Watching::No);
            }
        }
        // The directory that is listed, whatever its name leads to by now.
        let open = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        let mut table = self.shared.table();
        let watched = match inotify::add_watch(&self.shared.inotify, &open, DIRECTORY) {
            // No /proc here.
            Err(Errno::NOENT | Errno::NOTDIR) => {
                let root = self.shared.trees.get(tree).ok_or(Errno::NOENT)?;
                let flags =
                    if path.is_root() { DIRECTORY } else { DIRECTORY | WatchFlags::DONT_FOLLOW };
                inotify::add_watch(&self.shared.inotify, path.below(&root.path), flags)
            }
            other => other,
        };
        let added = match watched {
            Ok(wd) => table.added(tree, path, wd, device),
            Err(errno) => {
                let held = table.held();
                drop(table);
                if errno == Errno::NOSPC {
                    self.refused(held, wish);
                }
                return Err(errno);
            }
        };
        drop(table);
        match added {
            Added::Kept => Ok(Watching::Kept),
            Added::Begun => Ok(Watching::Begun),
            Added::Replaced => {
                // What lies below it is another tree than the one that was watched. Where inodes come and go by
                // themselves, that would never end.
                if wish == Wish::Sensible {
                    self.shared.hints.add([(tree, path.clone())], false);
                }
                self.shared.wake();
                Ok(Watching::Begun)
            }
        }
    }

    /// Whether a directory is watched, and nothing happened to it, since this was asked last, that ended watches below
    /// it.
    #[must_use]
    pub fn is_watched_whole(&self, tree: usize, path: &RelPath) -> bool {
        self.shared.table().is_whole(tree, path)
    }

    /// A directory is left out from now on, with all below it.
    pub fn unwatch(&self, tree: usize, path: &RelPath) {
        self.shared.table().drop_below(tree, path);
        self.shared.wake();
    }

    /// A full scan of a tree begins: the way to its root is watched too, so that another root in its place is seen.
    pub fn begin_scan(&self, tree: usize, wish: Wish) {
        self.reckon_now_and_then();
        self.shared.table().begin_scan(tree);
        let Some(root) = self.shared.trees.get(tree) else { return };
        // Watched first, then looked at.
        let anchors = route::to(&root.path);
        {
            let mut table = self.shared.table();
            let watched = anchors
                .into_iter()
                .filter_map(|(dir, name)| {
                    let wd = inotify::add_watch(&self.shared.inotify, &dir, ANCHOR).ok()?;
                    Some((wd, name))
                })
                .collect();
            table.set_anchors(tree, watched);
        }
        let open = std::fs::File::open(&root.path);
        let polled = wish == Wish::Sensible
            && open.is_ok_and(|root| {
                filesystem::magic(root).is_ok_and(|magic| !filesystem::gives_hints(magic))
            });
        if polled {
            self.shared.table().set_anchors(tree, Vec::new());
        }
        let real = if polled { None } else { std::fs::canonicalize(&root.path).ok() };
        *root.real.lock().unwrap_or_else(PoisonError::into_inner) = real;
        self.shared.wake();
    }

    /// The full scan that was begun last is complete.
    pub fn end_scan(&self, tree: usize) {
        self.shared.table().end_scan(tree);
        self.shared.wake();
    }

    /// A full scan found a change in a watched directory that nobody told of.
    pub fn missed(&self, tree: usize, path: &RelPath) {
        let tops = self.shared.table().missed(tree, path);
        if !tops.is_empty() {
            tracing::warn!(
                directory = %path,
                "{path}: nothing is ever heard from the filesystem of this directory although it changes; it is polled from now on"
            );
            self.shared.hints.add(tops, false);
            self.shared.wake();
        }
    }

    fn may_take(&self, held: u64) -> bool {
        let mut reckoning = self.reckoning.lock().unwrap_or_else(PoisonError::into_inner);
        if !reckoning.budget.allows(held) || reckoning.at_ms.is_none() {
            reckoning.renew(self.clock.now().mono_ms, RECKON_MS);
        }
        let allowed = reckoning.budget.allows(held);
        if !allowed && !reckoning.said {
            reckoning.said = true;
            tracing::warn!(
                held,
                budget = reckoning.budget.most(),
                "half of the watches that are free is used up; further directories are polled (fs.inotify.max_user_watches)"
            );
        }
        allowed
    }

    /// The kernel gave no more.
    fn refused(&self, held: u64, wish: Wish) {
        let mut reckoning = self.reckoning.lock().unwrap_or_else(PoisonError::into_inner);
        reckoning.budget.refused(held);
        if !reckoning.said {
            reckoning.said = true;
            match wish {
                Wish::Sensible => tracing::warn!(held, "{REFUSED}"),
                Wish::All => tracing::error!(held, "{REFUSED}, although all were to be watched"),
            }
        }
    }

    fn reckon_now_and_then(&self) {
        let mut reckoning = self.reckoning.lock().unwrap_or_else(PoisonError::into_inner);
        reckoning.renew(self.clock.now().mono_ms, RECKON_SELDOM_MS);
    }
}

const REFUSED: &str =
    "the limit of watches is reached (fs.inotify.max_user_watches); further directories are polled";

impl Reckoning {
    fn renew(&mut self, now_ms: i64, after_ms: i64) {
        if self.at_ms.is_some_and(|at| now_ms.saturating_sub(at) < after_ms) {
            return;
        }
        self.at_ms = Some(now_ms);
        let budget = Budget::new(watch_limit(), watches_of_others(None));
        if budget.most() > self.budget.most() {
            self.said = false;
        }
        self.budget = budget;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // It fails only when it is woken already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

/// How many watches are taken at most where the kernel allows `limit` to this user and its other programs hold
/// `others`; `None`: nobody knows.
#[must_use]
pub fn watch_budget(limit: Option<u64>, others: Option<u64>) -> u64 {
    Budget::new(limit, others).most()
}

/// Where `path` lies below `root`, or `root` below it: what of the tree is touched by what happens at `path`.
fn touched(path: &Path, root: &Path) -> Option<RelPath> {
    match path.strip_prefix(root) {
        Ok(below) => RelPath::from_path(below),
        Err(_) => root.starts_with(path).then(RelPath::root),
    }
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
