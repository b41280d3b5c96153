//! What the local side is asked (shell): roots, listings, single paths, and reading files.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::{Inner, Local, guard};
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::mirror::facts::{Fact, MirrorIndex};
use crate::mirror::step::{Failure, Outcome};
use crate::relpath::RelPath;
use crate::tree::{Absent, Lister, ReadError, Reading, Root, RootError, Watching};

impl Inner {
    pub(super) fn look_at_root(&self, mirror: MirrorIndex) {
        let Some(local) = self.mirrors.get(mirror) else { return };
        let look = || {
            if let Some((watcher, wish)) = self.watching(mirror) {
                watcher.begin_scan(mirror, wish);
            }
            let root = Root::open(&local.root)?;
            let empty = root.is_empty(&local.root)?;
            local.lister.scan_begins();
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
            let watched = Cell::new(Watching::No);
            let opened = |real: &RelPath, fd: BorrowedFd<'_>| {
                watched.set(self.watch(mirror, real, fd));
            };
            let heed = |place: &RelPath| {
                watched.set(watched.get().and(self.watch_place(mirror, local, place)));
            };
            local.lister.list_opened(dir, opened, heed, |entries, last| {
                if local.lister.lacks_names_in(dir, &entries) {
                    self.report_blocking(Fact::NamesUnknown { mirror, listed: true });
                }
                let forgets = local.lister.forgets_links();
                self.report_blocking(Fact::Page {
                    mirror,
                    dir: dir.clone(),
                    entries,
                    last,
                    watched: if forgets { Watching::No } else { watched.get() },
                })
            })
        };
        let listed = guard::blocking(list, || Err(Absent::Unreadable(guard::UNEXPECTED.into())));
        if let Err(why) = listed {
            self.report_blocking(Fact::ListFailed { mirror, dir: dir.clone(), why });
        }
    }

    /// Watches an open directory, where it really lies.
    fn watch(&self, mirror: MirrorIndex, real: &RelPath, dir: BorrowedFd<'_>) -> Watching {
        match self.watching(mirror) {
            Some((watcher, wish)) => watcher.watch(mirror, real, dir, wish),
            None => Watching::No,
        }
    }

    /// Watches a directory that a link leads to.
    fn watch_place(&self, mirror: MirrorIndex, local: &Local, place: &RelPath) -> Watching {
        match local.lister.handle(place) {
            Some(dir) => self.watch(mirror, place, dir.as_fd()),
            None => Watching::No,
        }
    }

    pub(super) fn look(&self, mirror: MirrorIndex, paths: Vec<RelPath>) {
        let Some(local) = self.mirrors.get(mirror) else { return };
        for path in paths {
            if path.is_root() {
                let failed =
                    || Err(RootError::Unreadable(local.root.clone(), guard::UNEXPECTED.into()));
                let seen =
                    guard::blocking(|| Root::open(&local.root).map(|root| root.id()), failed);
                let watched = self.is_watched_whole(mirror, &path);
                if !self.report_blocking(Fact::RootLooked { mirror, seen, watched }) {
                    return;
                }
                continue;
            }
            let failed = || Err(Absent::Unreadable(guard::UNEXPECTED.into()));
            let heed = |place: &RelPath| _ = self.watch_place(mirror, local, place);
            let what = guard::blocking(|| local.lister.look(&path, heed), failed);
            if local.lister.lacks_names(&path) {
                self.report_blocking(Fact::NamesUnknown { mirror, listed: false });
            }
            let watched = self.is_watched_whole(mirror, &path);
            if !self.report_blocking(Fact::Looked { mirror, path, what, watched }) {
                return;
            }
        }
    }

    fn is_watched_whole(&self, mirror: MirrorIndex, path: &RelPath) -> bool {
        self.watching(mirror).is_some_and(|(watcher, _)| watcher.is_watched_whole(mirror, path))
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
