//! What is found on disk (pure), and what a failing look at it means.

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::fingerprint::Fingerprint;

/// Why an entry is not mirrored, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// A rule of the configuration or of an ignore file.
    Excluded,
    /// The name of a file that another program is still writing.
    Temporary,
    /// A symbolic link.
    Symlink,
    /// A socket, FIFO or device.
    Special,
    /// A name that the service cannot take.
    Name,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File(Fingerprint),
    /// A directory.
    Dir,
    /// Left out.
    Skipped(Skip),
    /// It is there, and cannot be looked at: nothing is known of it.
    Unknown,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
}

/// A look that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// There is no such thing (any more), under a root that is there.
    #[error("it is not there")]
    Gone,
    /// The root itself is not there: nothing below it is known.
    #[error("{0}")]
    Root(String),
    /// It cannot be read: nothing is known of it.
    #[error("{0}")]
    Unreadable(String),
}

impl Absent {
    /// What a system error on a path below a live root means.
    pub(super) fn of(error: Errno) -> Absent {
        match error {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Absent::Gone,
            other => Absent::Unreadable(std::io::Error::from(other).to_string()),
        }
    }
}

/// The fingerprint of a regular file. `stable`: inode and ctime mean something on this filesystem.
pub(super) fn fingerprint(stat: &Stat, stable: bool) -> Fingerprint {
    let ns = |seconds: i64, nanos: u64| {
        seconds.saturating_mul(1_000_000_000).saturating_add(i64::try_from(nanos).unwrap_or(0))
    };
    let mtime_ns = ns(stat.st_mtime, stat.st_mtime_nsec);
    Fingerprint {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime_ns,
        ctime_ns: if stable { ns(stat.st_ctime, stat.st_ctime_nsec) } else { mtime_ns },
        inode: if stable { stat.st_ino } else { 0 },
    }
}

/// What `stat` (not following links) says an entry is.
pub(super) fn kind(stat: &Stat, stable: bool) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File(fingerprint(stat, stable)),
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Skipped(Skip::Symlink),
        _ => Kind::Skipped(Skip::Special),
    }
}
