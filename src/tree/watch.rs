//! Hints from the kernel (shell): one watch a directory, and a set of paths that may have changed.
//!
//! A hint may be lost, late or wrong. The scan and the journal are the truth.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{EventKind, Flag, ModifyKind};
use notify::{Config, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// Hints held for a busy engine; beyond it they are dropped for one rescan.
const HINTS_MAX: usize = 65_536;

/// A directory cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The kernel allows no more watches.
    #[error("the limit of watches is reached (fs.inotify.max_user_watches)")]
    Limit,
    /// It is not there (any more).
    #[error("it is not there")]
    Gone,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Paths that may have changed, each once.
#[derive(Debug, Default)]
pub struct Hints {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    paths: BTreeSet<PathBuf>,
    overflow: bool,
}

impl Hints {
    fn add(&self, paths: Vec<PathBuf>, overflow: bool) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.overflow |= overflow;
            for path in paths {
                state.paths.insert(path);
            }
            if state.paths.len() > HINTS_MAX {
                state.paths.clear();
                state.overflow = true;
            }
        }
        self.news.notify_one();
    }

    /// Waits for hints and takes them all; `true`: some were lost.
    pub async fn take(&self) -> (Vec<PathBuf>, bool) {
        loop {
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.overflow || !state.paths.is_empty() {
                    let paths = std::mem::take(&mut state.paths);
                    return (paths.into_iter().collect(), std::mem::take(&mut state.overflow));
                }
            }
            self.news.notified().await;
        }
    }
}

/// Watches directories.
#[derive(Debug)]
pub struct Watcher {
    inner: Mutex<RecommendedWatcher>,
    hints: Arc<Hints>,
}

impl Watcher {
    /// A watcher that watches nothing yet.
    ///
    /// # Errors
    /// The system has no watcher to give (`fs.inotify.max_user_instances`).
    pub fn new() -> Result<Watcher, WatchError> {
        let hints = Arc::new(Hints::default());
        let heard = Arc::clone(&hints);
        let inner = RecommendedWatcher::new(
            move |event: notify::Result<notify::Event>| match event {
                Ok(event) => {
                    let overflow = event.attrs.flag() == Some(Flag::Rescan);
                    if overflow || concerns_us(event.kind) {
                        heard.add(event.paths, overflow);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the watcher failed; a scan will look for what it missed");
                    heard.add(Vec::new(), true);
                }
            },
            Config::default().with_follow_symlinks(false),
        )
        .map_err(error)?;
        Ok(Watcher { inner: Mutex::new(inner), hints })
    }

    /// Where the hints go.
    #[must_use]
    pub fn hints(&self) -> Arc<Hints> {
        Arc::clone(&self.hints)
    }

    /// Watches one directory, not what lies below it. A second time is harmless. Nobody here takes a watch back: the
    /// kernel does when the directory goes, and `notify` when it hears that it was renamed, with those below it. A
    /// directory under a new name must be watched anew.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn watch(&self, dir: &Path) -> Result<(), WatchError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.watch(dir, RecursiveMode::NonRecursive).map_err(error)
    }
}

/// Reads and openings change nothing.
fn concerns_us(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(notify::event::AccessKind::Close(notify::event::AccessMode::Write)) => {
            true
        }
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Metadata(notify::event::MetadataKind::AccessTime)) => false,
        _ => true,
    }
}

fn error(error: notify::Error) -> WatchError {
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => WatchError::Limit,
        notify::ErrorKind::PathNotFound => WatchError::Gone,
        notify::ErrorKind::Io(ref io) if io.kind() == std::io::ErrorKind::NotFound => {
            WatchError::Gone
        }
        notify::ErrorKind::Io(ref io) if io.kind() == std::io::ErrorKind::NotADirectory => {
            WatchError::Gone
        }
        // ENOSPC
        notify::ErrorKind::Io(ref io) if io.raw_os_error() == Some(28) => WatchError::Limit,
        _ => WatchError::Other(error.to_string()),
    }
}
