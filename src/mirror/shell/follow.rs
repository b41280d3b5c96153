//! Copies follow what happened on disk (shell): deletes and moves of directories. Each looks at the disk once more,
//! this very moment, before it asks the service for anything.

use std::sync::Arc;

use super::answers::{failure, no_client};
use super::{Inner, Local, guard};
use crate::failure::Class;
use crate::journal::RootIdentity;
use crate::mirror::facts::{Anchor, Doomed, MirrorIndex, Relocated, Removed};
use crate::mirror::step::Failure;
use crate::relpath::RelPath;
use crate::smh::{Deleted, DirectoryMoved, RemotePath, is_foreign};
use crate::tree::{Absent, DirMark, Kind, Root};

/// What the disk says of something that was gone.
enum Gone {
    Still,
    Back,
    Doubtful(String),
}

impl Inner {
    pub(super) async fn remove(
        self: &Arc<Self>,
        mirror: MirrorIndex,
        path: RelPath,
        anchor: Anchor,
        target: Vec<String>,
        what: Doomed,
        permanent: bool,
    ) -> Result<Removed, Failure> {
        let client = self.client.as_ref().ok_or_else(no_client)?;
        let inner = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || match inner.mirrors.get(mirror) {
            Some(local) => {
                let failed = || Gone::Doubtful(guard::UNEXPECTED.to_owned());
                guard::blocking(|| look(local, &path, &anchor, what), failed)
            }
            None => Gone::Doubtful(guard::UNEXPECTED.to_owned()),
        })
        .await;
        match looked {
            Ok(Gone::Still) => {}
            Ok(Gone::Back) => return Ok(Removed::Present),
            Ok(Gone::Doubtful(why)) => return Ok(Removed::Doubtful(why)),
            Err(_) => return Err(Failure::new(Class::Defect, guard::UNEXPECTED)),
        }
        let remote = RemotePath::from_segments(target);
        let deleted = match what {
            Doomed::File { size, crc64 } => {
                client.delete_file(&remote, size, crc64, permanent).await
            }
            Doomed::Directory => client.delete_directory(&remote, permanent).await,
        };
        match deleted {
            Ok(Deleted::Recycled) => Ok(Removed::Recycled),
            Ok(Deleted::ForGood) => Ok(Removed::ForGood),
            Ok(Deleted::Nothing) => Ok(Removed::Nothing),
            Err(error) if is_foreign(error.code.as_deref()) => Ok(Removed::Foreign(error.message)),
            Err(error) => Err(failure(error)),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "both ends, on both sides")]
    pub(super) async fn relocate(
        self: &Arc<Self>,
        mirror: MirrorIndex,
        from: RelPath,
        to: RelPath,
        root: RootIdentity,
        inode: u64,
        source: Vec<String>,
        target: Vec<String>,
    ) -> Result<Relocated, Failure> {
        let client = self.client.as_ref().ok_or_else(no_client)?;
        let inner = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || {
            inner.mirrors.get(mirror).is_some_and(|local| {
                guard::blocking(|| is_moved(local, &from, &to, root, inode), || false)
            })
        })
        .await;
        if !looked.map_err(|_| Failure::new(Class::Defect, guard::UNEXPECTED))? {
            return Ok(Relocated::Elsewhere);
        }
        let (source, target) =
            (RemotePath::from_segments(source), RemotePath::from_segments(target));
        match client.move_directory(&source, &target).await {
            Ok(DirectoryMoved::Moved) => Ok(Relocated::Moved),
            Ok(DirectoryMoved::Perhaps) => Ok(Relocated::Perhaps),
            Ok(DirectoryMoved::Nothing) => Ok(Relocated::Nothing),
            Ok(DirectoryMoved::Taken) => Ok(Relocated::Taken),
            Err(error) => Err(failure(error)),
        }
    }

    pub(super) async fn ask_for_bin(&self) -> Result<bool, Failure> {
        let client = self.client.as_ref().ok_or_else(no_client)?;
        client.has_recycle_bin().await.map_err(failure)
    }
}

/// Whether what was at `path` is still absent, below a root and a directory that are what they were.
fn look(local: &Local, path: &RelPath, anchor: &Anchor, what: Doomed) -> Gone {
    let root = match Root::open(&local.root) {
        Ok(root) => root,
        Err(error) => return Gone::Doubtful(error.to_string()),
    };
    if !is(&root, anchor.root) {
        return Gone::Doubtful("the root is another directory than the last scan saw".to_owned());
    }
    if !anchor.path.is_root() {
        match local.lister.look(&anchor.path, |_| {}) {
            Ok(Kind::Dir(DirMark { inode, mounted, fsid, .. })) => {
                let same = anchor.inode == 0 || inode == 0 || inode == anchor.inode;
                let same_disk = anchor.fsid == 0 || fsid == 0 || fsid == anchor.fsid;
                if !same || mounted != anchor.mounted || !same_disk {
                    let why =
                        format!("{} is another directory than the last scan saw", anchor.path);
                    return Gone::Doubtful(why);
                }
            }
            Ok(_) | Err(_) => {
                return Gone::Doubtful(format!("{} is not there as it was", anchor.path));
            }
        }
    }
    match local.lister.look(path, |_| {}) {
        Err(Absent::Gone) => Gone::Still,
        // Something of another kind has the name: what had it is gone, and its copy is in the way.
        Ok(kind) if kind.is_dir() != (what == Doomed::Directory) => Gone::Still,
        Ok(_) => Gone::Back,
        Err(other) => Gone::Doubtful(other.to_string()),
    }
}

fn is(root: &Root, known: RootIdentity) -> bool {
    root.id().inode == known.inode && root.id().fsid == known.fsid
}

/// Whether a directory is still at its new place, and not at its old one.
fn is_moved(local: &Local, from: &RelPath, to: &RelPath, known: RootIdentity, inode: u64) -> bool {
    let Ok(root) = Root::open(&local.root) else { return false };
    is(&root, known)
        && local.lister.look(from, |_| {}) == Err(Absent::Gone)
        && matches!(local.lister.look(to, |_| {}), Ok(Kind::Dir(mark)) if mark.inode == inode)
}
