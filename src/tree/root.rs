//! The root of a mirror (shell): which directory it is.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::entry::{DirMark, Meaning, refusal};
use super::filesystem;
use crate::relpath::RelPath;

/// Tells one root from another that was mounted or moved into its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootId {
    /// Inode of the directory.
    pub inode: u64,
    /// Identifier of its filesystem, the same after a reboot where the filesystem has one.
    pub fsid: u64,
}

/// The root cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// There is no such directory.
    #[error("{} does not exist; is its filesystem mounted?", .0.display())]
    Missing(PathBuf),
    /// It is something else.
    #[error("{} is not a directory", .0.display())]
    NotDirectory(PathBuf),
    /// It cannot be opened.
    #[error("cannot open {}: {}", .0.display(), .1)]
    Unreadable(PathBuf, String),
    /// This machine is short of something for the moment, like descriptors; nothing is wrong with it.
    #[error("cannot open {} now: {}", .0.display(), .1)]
    Shortage(PathBuf, String),
}

/// An open root.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
    id: RootId,
    device: u64,
    stable: bool,
}

/// A handle on a directory: nothing is read through it.
pub(super) const HANDLE: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Whether a name stays in its directory.
pub(super) fn is_plain(name: &[u8]) -> bool {
    name != b"." && name != b".." && !name.contains(&b'/')
}

/// Opens one name in a directory. It must not lead anywhere else, and is not followed if it is a link.
pub(super) fn open_name(dir: &OwnedFd, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    if !is_plain(name) {
        return Err(Errno::NOENT);
    }
    loop {
        match rustix::fs::openat(dir, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

impl Root {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// It is missing, not a directory, or cannot be opened.
    pub fn open(path: &Path) -> Result<Root, RootError> {
        let error = |errno: Errno| match errno {
            Errno::NOENT => RootError::Missing(path.to_path_buf()),
            Errno::NOTDIR => RootError::NotDirectory(path.to_path_buf()),
            other => {
                let text =
                    refusal(other, "read and to enter it, and to enter every folder above it");
                match Meaning::of(other) {
                    Meaning::Shortage => RootError::Shortage(path.to_path_buf(), text),
                    _ => RootError::Unreadable(path.to_path_buf(), text),
                }
            }
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(error)?;
        let stat = rustix::fs::fstat(&fd).map_err(error)?;
        let filesystem = rustix::fs::fstatvfs(&fd).map_err(error)?;
        let kind = filesystem::magic(&fd).map_err(error)?;
        let stable = !filesystem::UNSTABLE.contains(&u64::from(kind));
        let id = RootId { inode: stat.st_ino, fsid: filesystem.f_fsid };
        Ok(Root { fd, path: path.to_path_buf(), id, device: stat.st_dev, stable })
    }

    /// Whether nothing is in it.
    ///
    /// # Errors
    /// It cannot be read, or not now.
    pub fn is_empty(&self, path: &Path) -> Result<bool, RootError> {
        let entries = std::fs::read_dir(path).map_err(|error| {
            let meaning = error.raw_os_error().map(Errno::from_raw_os_error).map(Meaning::of);
            match meaning {
                Some(Meaning::Shortage) => {
                    RootError::Shortage(path.to_path_buf(), error.to_string())
                }
                _ => RootError::Unreadable(path.to_path_buf(), error.to_string()),
            }
        })?;
        Ok(entries.take(1).count() == 0)
    }

    /// Where it lies, while it is there.
    pub(super) fn device(&self) -> u64 {
        self.device
    }

    /// The directory itself.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// A handle on the directory at `path`, name by name and through no link.
    pub(super) fn open_dir(&self, path: &RelPath) -> Result<OwnedFd, Errno> {
        let mut fd = rustix::fs::openat(&self.fd, ".", HANDLE, Mode::empty())?;
        for name in path.segments() {
            fd = open_name(&fd, name, HANDLE)?;
        }
        Ok(fd)
    }

    /// Where it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Which directory it is.
    #[must_use]
    pub fn id(&self) -> RootId {
        self.id
    }

    /// Whether inode and ctime can be relied on.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.stable
    }

    /// Whether the kernel tells of changes in it; not what is mounted below it.
    #[must_use]
    pub fn gives_hints(&self) -> bool {
        filesystem::magic(&self.fd).is_ok_and(filesystem::gives_hints)
    }

    /// The root as an entry. Whether something is mounted there is told by its identity.
    pub(super) fn mark(&self) -> DirMark {
        DirMark {
            inode: if self.stable { self.id.inode } else { 0 },
            mounted: false,
            bound: false,
            fsid: 0,
        }
    }
}
