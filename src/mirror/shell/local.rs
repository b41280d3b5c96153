//! What the local side is asked (shell): roots, listings, single paths, and reading files.

use std::cell::Cell;
use std::sync::Arc;

use super::{Inner, Local, guard};
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::mirror::facts::{Fact, MirrorIndex};
use crate::mirror::step::{Failure, Outcome};
use crate::relpath::RelPath;
use crate::tree::{Absent, Lister, ReadError, Reading, Root, RootError, WatchError};

impl Inner {
    pub(super) fn look_at_root(&self, mirror: MirrorIndex) {
        let Some(local) = self.mirrors.get(mirror) else { return };
        let look = || {
            let root = Root::open(&local.root)?;
            let empty = root.is_empty(&local.root)?;
            Ok((root.id(), empty))
        };
        let failed = || Err(RootError::Unreadable(local.root.clone(), guard::UNEXPECTED.into()));
        let seen = guard::blocking(look, failed);
        self.report_blocking(Fact::Root { mirror, seen });
    }

    /// Watches first, then lists: what appears in between is seen by one or the other.
    pub(super) fn list(&self, mirror: MirrorIndex, dir: &RelPath) {
        let Some(local) = self.mirrors.get(mirror) else { return };
        let list = || {
            // Where a link leads is watched too; what cannot be is polled.
            let watched = Cell::new(self.watch(local, &local.lister.real(dir)));
            let heed = |place: &RelPath| watched.set(self.watch(local, place) && watched.get());
            local.lister.list(dir, heed, |entries, last| {
                self.report_blocking(Fact::Page {
                    mirror,
                    dir: dir.clone(),
                    entries,
                    last,
                    watched: watched.get() && !local.lister.forgets_links(),
                })
            })
        };
        let listed = guard::blocking(list, || Err(Absent::Unreadable(guard::UNEXPECTED.into())));
        if let Err(why) = listed {
            self.report_blocking(Fact::ListFailed { mirror, dir: dir.clone(), why });
        }
    }

    /// Watches a directory; `false`: nobody tells what happens there.
    fn watch(&self, local: &Local, dir: &RelPath) -> bool {
        let (Some(watcher), true) = (&self.watcher, local.watch) else { return false };
        match watcher.watch(&dir.below(&local.root)) {
            Ok(()) => true,
            Err(WatchError::Gone) => false,
            Err(error) => {
                tracing::debug!(directory = %dir, %error, "not watched");
                false
            }
        }
    }

    pub(super) fn look(&self, mirror: MirrorIndex, paths: Vec<RelPath>) {
        let Some(local) = self.mirrors.get(mirror) else { return };
        for path in paths {
            let failed = || Err(Absent::Unreadable(guard::UNEXPECTED.into()));
            let heed = |place: &RelPath| _ = self.watch(local, place);
            let what = guard::blocking(|| local.lister.look(&path, heed), failed);
            if !self.report_blocking(Fact::Looked { mirror, path, what }) {
                return;
            }
        }
    }
}

/// A local file in the state that is to be sent.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) lister: Arc<Lister>,
    pub(super) path: RelPath,
    pub(super) fingerprint: Fingerprint,
}

impl File {
    pub(super) fn open(&self) -> Result<Reading, ReadError> {
        self.lister.open(&self.path, self.fingerprint)
    }

    /// Opens the file and does something with it, on the blocking pool.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Reading) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Outcome> {
        let file = self.clone();
        match tokio::task::spawn_blocking(move || file.open().and_then(work)).await {
            Ok(done) => done.map_err(unreadable),
            Err(_) => Err(Outcome::Failed(Failure::new(
                Class::Defect,
                "reading the file failed unexpectedly",
            ))),
        }
    }
}

/// What a failed reading means for the transfer.
pub(super) fn unreadable(error: ReadError) -> Outcome {
    match error {
        ReadError::Vanished => Outcome::Vanished,
        ReadError::Changed => Outcome::Changed,
        ReadError::Root(_) => Outcome::RootGone,
        ReadError::Stopped => Outcome::Failed(Failure::new(
            Class::Transient,
            "the service took less of the file than it was sent",
        )),
        ReadError::Local(_) => Outcome::Failed(Failure::new(Class::Local, error.to_string())),
        ReadError::Transient(_) => {
            Outcome::Failed(Failure::new(Class::Transient, error.to_string()))
        }
    }
}
