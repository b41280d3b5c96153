//! What the local side is asked (shell): roots, listings, single paths, and reading files.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::{Inner, guard};
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::mirror::facts::{Fact, MirrorIndex};
use crate::mirror::step::{Failure, Outcome};
use crate::relpath::RelPath;
use crate::tree::{Absent, ReadError, Reading, Root, RootError, Watching, open};

impl Inner {
    pub(super) fn look_at_root(&self, mirror: MirrorIndex) {
        let Some(local) = self.mirrors.get(mirror) else { return };
        let look = || {
            if let Some((watcher, wish)) = self.watching(mirror) {
                watcher.begin_scan(mirror, wish);
            }
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
            let watched = Cell::new(Watching::No);
            let opened = |fd: BorrowedFd<'_>| {
                if let Some((watcher, wish)) = self.watching(mirror) {
                    watched.set(watcher.watch(mirror, dir, fd, wish));
                }
            };
            local.lister.list_opened(dir, opened, |entries, last| {
                self.report_blocking(Fact::Page {
                    mirror,
                    dir: dir.clone(),
                    entries,
                    last,
                    watched: watched.get(),
                })
            })
        };
        let listed = guard::blocking(list, || Err(Absent::Unreadable(guard::UNEXPECTED.into())));
        if let Err(why) = listed {
            self.report_blocking(Fact::ListFailed { mirror, dir: dir.clone(), why });
        }
    }

    pub(super) fn look(&self, mirror: MirrorIndex, paths: Vec<RelPath>) {
        let Some(local) = self.mirrors.get(mirror) else { return };
        for path in paths {
            let failed = || Err(Absent::Unreadable(guard::UNEXPECTED.into()));
            let what = guard::blocking(|| local.lister.look(&path), failed);
            if !self.report_blocking(Fact::Looked { mirror, path, what }) {
                return;
            }
        }
    }
}

/// A local file in the state that is to be sent.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) root: PathBuf,
    pub(super) path: RelPath,
    pub(super) fingerprint: Fingerprint,
}

impl File {
    pub(super) fn open(&self) -> Result<Reading, ReadError> {
        open(&self.root, &self.path, self.fingerprint)
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
