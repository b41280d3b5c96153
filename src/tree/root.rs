//! The root of a mirror (shell): which directory it is, and opening what lies below it, never outside.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::entry::{Absent, DirMark, Kind, Meaning, kind};
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
    id: RootId,
    stable: bool,
}

/// Filesystems whose inodes and ctimes are not the same from one look to the next: NFS, SMB, CIFS,
/// SMB2, FUSE, 9p, Ceph, AFS (the numbers are those of `statfs(2)`).
pub(super) const UNSTABLE: &[u64] =
    &[0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997, 0x00c3_6400, 0x5346_414f];

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
                let text = std::io::Error::from(other).to_string();
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
        let stable = !UNSTABLE.contains(&u64::from(kind));
        Ok(Root { fd, id: RootId { inode: stat.st_ino, fsid: filesystem.f_fsid }, stable })
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
        DirMark { inode: if self.stable { self.id.inode } else { 0 }, mounted: false }
    }

    /// Opens a directory below, following no link.
    pub(super) fn open_dir(&self, path: &RelPath) -> Result<OwnedFd, Errno> {
        self.open_below(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        )
    }

    /// Opens a file below, following no link and never waiting (a FIFO would).
    pub(super) fn open_file(&self, path: &RelPath) -> Result<File, Errno> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        self.open_below(path, flags).map(File::from)
    }

    fn open_below(&self, path: &RelPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let name = if path.is_root() { Path::new(".") } else { path.as_path() };
        let inside =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.fd, name, flags, Mode::empty(), inside) {
                // A rename anywhere while the kernel resolved the path.
                Err(Errno::AGAIN | Errno::INTR) => {}
                // A kernel or sandbox without it: the last name at least is not followed.
                Err(Errno::NOSYS | Errno::PERM) => {
                    return rustix::fs::openat(&self.fd, name, flags, Mode::empty());
                }
                other => return other,
            }
        }
    }

    /// Looks at one entry by its directory.
    pub(super) fn stat_in(dir: &OwnedFd, name: &[u8]) -> Result<Stat, Errno> {
        rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// What is at `path` on disk, rules aside.
    ///
    /// # Errors
    /// It is gone, or cannot be looked at.
    pub(super) fn look(&self, path: &RelPath) -> Result<Kind, Absent> {
        let Some((dir, name)) = path.split() else { return Ok(Kind::Dir(self.mark())) };
        let dir = self.open_dir(&dir).map_err(Absent::of)?;
        let holder = rustix::fs::fstat(&dir).map_err(Absent::of)?.st_dev;
        Ok(kind(&Root::stat_in(&dir, name).map_err(Absent::of)?, self.stable, holder))
    }
}
