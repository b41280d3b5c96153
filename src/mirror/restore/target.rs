//! The folder that is restored into (shell): the only place where this program writes what came from the library, and it
//! writes nowhere else.
//!
//! Every step opens one name and follows no link, so that neither a name of the library nor a link that somebody plants
//! meanwhile leads outside. What is not complete lies in a folder of its own; it gets its name by one rename.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags, Timespec, Timestamps,
    UTIME_OMIT,
};
use rustix::io::Errno;

use super::local_error::{LocalError, broken, failed};
use super::partial::Partial;
use super::plan::SCRATCH;
use crate::digest::Crc64;
use crate::relpath::RelPath;

/// In the folder for what is not complete: what is being restored, locked by who does it.
const DESCRIPTION: &str = "restore.json";
/// Descriptions are a few hundred bytes, unless many paths were named.
const LONGEST_DESCRIPTION: u64 = 16 * 1024 * 1024;
/// A handle: enough to go through a directory, not to list it.
const HANDLE: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Bytes read at once.
const READ: usize = 256 * 1024;

/// The target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is, holds, or lies in something that must not be written.
    #[error("{} {relation} {what}; name a folder elsewhere", .target.display())]
    Overlaps {
        /// The target.
        target: PathBuf,
        /// How they lie: `is`, `lies in`, `holds`.
        relation: &'static str,
        /// What it is that must not be written.
        what: String,
    },
    /// There is something in it that no unfinished restore of the same put there.
    #[error(
        "{} is not empty; name a new folder, or add --into: then what is there already and the same is kept, and nothing is replaced",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// Something else than a folder.
    #[error("{} is not a folder; name a folder that is empty, or not there yet", .0.display())]
    NotAFolder(PathBuf),
    /// Another process restores into it.
    #[error("another restore works in {}; wait for it, or name another folder", .0.display())]
    Busy(PathBuf),
    /// The folder for what is not complete belongs to somebody else, or others can write to it.
    #[error(
        "{} is not a folder of this user alone; look at what it is, and remove it or name another target",
        .0.display()
    )]
    NotOurs(PathBuf),
    /// The system says no.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// What is there in the place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum There {
    /// Nothing.
    Nothing,
    /// A file of this very content.
    Same,
    /// A file of another content.
    Other,
}

/// What a restore leaves behind besides what it restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    /// What another run can go on with.
    Unfinished,
    /// Nothing: what was wanted is there, or cannot come.
    Nothing,
    /// Not even the folders that were made for the target, as nothing came into it.
    NoTarget,
}

/// The target, open and locked.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    root: OwnedFd,
    scratch: OwnedFd,
    /// Its lock ends with it.
    description: File,
}

impl Target {
    /// Makes the folder if need be, and takes it. `description` says what is restored: what an unfinished restore of
    /// the same left is gone on with; anything else in the folder is refused unless `into`.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn open(path: &Path, description: &str, into: bool) -> Result<Target, TargetError> {
        let io = |action: &'static str| {
            let path = path.to_path_buf();
            move |source: std::io::Error| TargetError::Io { action, path, source }
        };
        let made = missing(path);
        match std::fs::create_dir_all(path) {
            Err(error)
                if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotADirectory) =>
            {
                return Err(TargetError::NotAFolder(path.to_path_buf()));
            }
            made => made.map_err(io("create the folder"))?,
        }
        let root = rustix::fs::openat(
            CWD,
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| io("open the folder")(errno.into()))?;
        let mut others = false;
        for entry in std::fs::read_dir(path).map_err(io("list the folder"))? {
            others |= entry.map_err(io("list the folder"))?.file_name() != SCRATCH;
        }
        let known = scratch(&root, false)
            .map_err(|source| TargetError::Io { action: "open", path: path.join(SCRATCH), source })?
            .map(|scratch| said(&scratch))
            .transpose()
            .map_err(|source| TargetError::Io { action: "read", path: path.join(SCRATCH), source })?
            .flatten();
        if others && !into && known.as_deref() != Some(description) {
            return Err(TargetError::NotEmpty(path.to_path_buf()));
        }
        let in_scratch = |action: &'static str| {
            let path = path.join(SCRATCH);
            move |source: std::io::Error| TargetError::Io { action, path, source }
        };
        let scratch = scratch(&root, true)
            .map_err(in_scratch("create"))?
            .ok_or_else(|| TargetError::NotOurs(path.join(SCRATCH)))?;
        // Whoever else may write to it could have us write elsewhere, by hard links.
        let stat = rustix::fs::fstat(&scratch).map_err(|errno| in_scratch("open")(errno.into()))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
            return Err(TargetError::NotOurs(path.join(SCRATCH)));
        }
        let mut file = File::from(
            rustix::fs::openat(
                &scratch,
                DESCRIPTION,
                OFlags::RDWR
                    | OFlags::CREATE
                    | OFlags::NOFOLLOW
                    | OFlags::NONBLOCK
                    | OFlags::CLOEXEC,
                Mode::RUSR | Mode::WUSR,
            )
            .map_err(|errno| in_scratch("write to")(errno.into()))?,
        );
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(TargetError::Busy(path.to_path_buf())),
            Err(errno) => return Err(in_scratch("lock")(errno.into())),
        }
        if known.as_deref() != Some(description) {
            file.set_len(0)
                .and_then(|()| file.write_all(description.as_bytes()))
                .and_then(|()| file.sync_all())
                .map_err(in_scratch("write to"))?;
        }
        Ok(Target { path: path.to_path_buf(), made, root, scratch, description: file })
    }

    /// Whether it was made by this process.
    pub(super) fn is_new(&self) -> bool {
        !self.made.is_empty()
    }

    /// Where an entry is, for messages.
    fn shown(&self, path: &RelPath) -> String {
        format!("{}/{path}", self.path.display())
    }

    /// Makes a directory with its parents, where they are not there.
    pub(super) fn make_dir(&self, dir: &RelPath) -> Result<(), LocalError> {
        self.walk(dir).map(|_| ())
    }

    /// Whether the file that belongs at `path` is there.
    pub(super) fn look(&self, path: &RelPath, size: u64, crc64: u64) -> Result<There, LocalError> {
        let Some((dir, name)) = path.split() else { return Ok(There::Nothing) };
        let failed = |errno| self.failed(errno, "look at", path);
        let dir = self.walk(&dir)?;
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(There::Nothing),
            Err(errno) => return Err(failed(errno)),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
                return Err(LocalError::InTheWay(format!(
                    "{} is there and no file; move it away and run again",
                    self.shown(path)
                )));
            }
            Ok(stat) if u64::try_from(stat.st_size) != Ok(size) => return Ok(There::Other),
            Ok(_) => {}
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&dir, name, flags, Mode::empty()).map_err(failed)?;
        let (len, crc) =
            sum(&mut File::from(fd)).map_err(|error| self.broken(&error, "read", path))?;
        Ok(if len == size && crc.finish() == crc64 { There::Same } else { There::Other })
    }

    /// What there is already of the content that is for `path`; `key` names it.
    pub(super) fn partial(&self, key: &str, path: &RelPath) -> Result<Partial, LocalError> {
        let shown = || format!("{}/{SCRATCH}/{key}", self.path.display());
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // The mode is what the umask leaves of the usual one: the folder around it keeps others out meanwhile.
        let fd = rustix::fs::openat(&self.scratch, key, flags, Mode::from_raw_mode(0o666))
            .map_err(|errno| failed(errno, "write", &shown()))?;
        let mut file = File::from(fd);
        let facts = file.metadata().map_err(|error| broken(&error, "look at", &shown()))?;
        if !facts.is_file() || facts.nlink() != 1 {
            return Err(LocalError::InTheWay(format!(
                "{} is no file of a restore; remove it",
                shown()
            )));
        }
        let (len, crc) = sum(&mut file).map_err(|error| broken(&error, "read", &shown()))?;
        Ok(Partial::new(file, key.to_owned(), self.shown(path), len, crc))
    }

    /// Gives a complete content its name. It is on the disk before that, and the name is taken only if nothing has it,
    /// unless `replace`.
    pub(super) fn install(
        &self,
        partial: &Partial,
        path: &RelPath,
        mtime_ns: Option<i64>,
        replace: bool,
    ) -> Result<(), LocalError> {
        let Some((dir, name)) = path.split() else {
            return Err(LocalError::InTheWay(format!(
                "{} is the target itself",
                self.path.display()
            )));
        };
        let failed = |errno| self.failed(errno, "create", path);
        let dir = self.walk(&dir)?;
        if let Some(mtime_ns) = mtime_ns {
            let times = Timestamps {
                last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
                last_modification: Timespec {
                    tv_sec: mtime_ns.div_euclid(1_000_000_000),
                    tv_nsec: mtime_ns.rem_euclid(1_000_000_000),
                },
            };
            rustix::fs::futimens(partial.file(), &times).map_err(failed)?;
        }
        partial.file().sync_all().map_err(|error| self.broken(&error, "write", path))?;
        let key = partial.key();
        if replace {
            return rustix::fs::renameat(&self.scratch, key, &dir, name).map_err(failed);
        }
        match rustix::fs::renameat_with(&self.scratch, key, &dir, name, RenameFlags::NOREPLACE) {
            // Not known to this filesystem: a second name takes no place that is taken, either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match rustix::fs::linkat(&self.scratch, key, &dir, name, AtFlags::empty()) {
                    Ok(()) => {
                        return rustix::fs::unlinkat(&self.scratch, key, AtFlags::empty())
                            .map_err(failed);
                    }
                    Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP | Errno::MLINK) => {}
                    Err(errno) => return Err(failed(errno)),
                }
                // Neither is that: looked for, then renamed.
                match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => {
                        rustix::fs::renameat(&self.scratch, key, &dir, name).map_err(failed)
                    }
                    Ok(_) => Err(failed(Errno::EXIST)),
                    Err(errno) => Err(failed(errno)),
                }
            }
            done => done.map_err(failed),
        }
    }

    /// Removes what there is of a content, which proved to be of no use.
    pub(super) fn drop_partial(&self, key: &str) -> Result<(), LocalError> {
        match rustix::fs::unlinkat(&self.scratch, key, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => {
                Err(failed(errno, "remove", &format!("{}/{SCRATCH}/{key}", self.path.display())))
            }
        }
    }

    /// Everything that was written is on the disk when this comes back.
    ///
    /// # Errors
    /// The disk fails, or what was kept for going on cannot be removed.
    pub(super) fn close(self, leaves: Leaves) -> Result<(), TargetError> {
        let scratch = self.path.join(SCRATCH);
        if leaves != Leaves::Unfinished {
            clear(&self.root, &self.scratch).map_err(|errno| TargetError::Io {
                action: "remove",
                path: scratch,
                source: errno.into(),
            })?;
        }
        drop(self.description);
        rustix::fs::syncfs(&self.root).map_err(|errno| TargetError::Io {
            action: "write to the disk what lies in",
            path: self.path,
            source: errno.into(),
        })?;
        if leaves == Leaves::NoTarget {
            for folder in self.made {
                // Somebody else put something into it: then it stays, with all above it.
                if std::fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Goes to a directory, name by name and through no link; what is not there is made.
    fn walk(&self, dir: &RelPath) -> Result<OwnedFd, LocalError> {
        let mut at = rustix::fs::openat(&self.root, ".", HANDLE, Mode::empty())
            .map_err(|errno| self.failed(errno, "open", &RelPath::root()))?;
        let mut way = RelPath::root();
        for name in dir.segments() {
            way = way.join(name);
            let mut next = rustix::fs::openat(&at, name, HANDLE, Mode::empty());
            if matches!(next, Err(Errno::NOENT)) {
                match rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o777)) {
                    // Several make the same one at once.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(self.failed(errno, "create the folder", &way)),
                }
                next = rustix::fs::openat(&at, name, HANDLE, Mode::empty());
            }
            at = next.map_err(|errno| match errno {
                Errno::NOTDIR | Errno::LOOP => LocalError::InTheWay(format!(
                    "{} is there and no folder; move it away and run again",
                    self.shown(&way)
                )),
                errno => self.failed(errno, "open the folder", &way),
            })?;
        }
        Ok(at)
    }

    fn failed(&self, errno: Errno, action: &str, path: &RelPath) -> LocalError {
        failed(errno, action, &self.shown(path))
    }

    fn broken(&self, error: &std::io::Error, action: &str, path: &RelPath) -> LocalError {
        broken(error, action, &self.shown(path))
    }
}

/// The folders on the way to `path` that are not there, the innermost first.
fn missing(path: &Path) -> Vec<PathBuf> {
    let not_there = |folder: &&Path| {
        folder.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    path.ancestors().take_while(not_there).map(Path::to_path_buf).collect()
}

/// The folder for what is not complete. `None`: there is none, or with `make` something else has its name.
fn scratch(root: &OwnedFd, make: bool) -> std::io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if make {
        match rustix::fs::mkdirat(root, SCRATCH, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    match rustix::fs::openat(root, SCRATCH, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes the folder for what is not complete; only files are in it.
fn clear(root: &OwnedFd, scratch: &OwnedFd) -> Result<(), Errno> {
    for entry in rustix::fs::Dir::read_from(scratch)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            rustix::fs::unlinkat(scratch, name, AtFlags::empty())?;
        }
    }
    rustix::fs::unlinkat(root, SCRATCH, AtFlags::REMOVEDIR)
}

/// What an unfinished restore said that it restores.
fn said(scratch: &OwnedFd) -> std::io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(scratch, DESCRIPTION, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let mut text = Vec::new();
    file.take(LONGEST_DESCRIPTION).read_to_end(&mut text)?;
    Ok(String::from_utf8(text).ok())
}

/// Length and crc64 of all that is in a file, from where it stands.
fn sum(file: &mut File) -> std::io::Result<(u64, Crc64)> {
    let mut crc = Crc64::default();
    let mut len = 0_u64;
    let mut buffer = vec![0; READ];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((len, crc)),
            Ok(read) => {
                let bytes = buffer.get(..read).unwrap_or_default();
                crc.update(bytes);
                len += bytes.len() as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
