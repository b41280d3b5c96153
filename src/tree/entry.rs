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
    /// A symbolic link to what lies outside of the root.
    SymlinkOutside,
    /// A symbolic link to nothing.
    SymlinkDangling,
    /// A symbolic link that leads back to where it came from, or behind too many others.
    SymlinkLoop,
    /// A directory that is mounted below itself.
    Loop,
    /// A socket, FIFO or device.
    Special,
    /// A name that the service cannot take.
    Name,
}

/// What tells one directory from another under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirMark {
    /// Number of its inode; 0 where inodes mean nothing.
    pub inode: u64,
    /// Something is mounted there.
    pub mounted: bool,
    /// And that is of the same filesystem as the directory that holds it, as by `mount --bind`.
    pub bound: bool,
    /// The filesystem of what is mounted there, as the system numbers it; 0: nothing is, or nobody knows.
    pub fsid: u64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File(Fingerprint),
    /// A directory.
    Dir(DirMark),
    /// Left out.
    Skipped(Skip),
    /// It is there, and cannot be looked at: nothing is known of it.
    Unknown,
}

impl Kind {
    /// Whether it is a directory that is mirrored.
    #[must_use]
    pub fn is_dir(self) -> bool {
        matches!(self, Kind::Dir(_))
    }
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
    /// This machine is short of something for the moment, like descriptors: nothing is known of it, and nothing is
    /// wrong with it.
    #[error("{0}")]
    Short(String),
}

/// What a system error on a path below a root that could be opened means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// There is no such entry (any more).
    Vanished,
    /// What the root stands on is gone: nothing below it is known.
    RootGone,
    /// The system does not let us at it. Trying again changes nothing until something else does.
    Refused,
    /// This machine is short of something for the moment; the entry is not to blame.
    Shortage,
}

impl Meaning {
    /// Everything that is not in this table is a refusal: that is said, and deletes nothing.
    pub(super) fn of(error: Errno) -> Meaning {
        match error {
            // LOOP: what was a file became a symbolic link.
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Meaning::Vanished,
            // The server of a network filesystem forgot the root, or the program behind FUSE ended.
            Errno::STALE | Errno::NOTCONN | Errno::SHUTDOWN | Errno::NODEV => Meaning::RootGone,
            Errno::MFILE
            | Errno::NFILE
            | Errno::NOMEM
            | Errno::AGAIN
            | Errno::INTR
            | Errno::TIMEDOUT => Meaning::Shortage,
            _ => Meaning::Refused,
        }
    }
}

/// What the system says, for people. Where a right is missing, whose it is and to do what: `right` is a verb with its object.
pub(super) fn refusal(error: Errno, right: &str) -> String {
    let said = std::io::Error::from(error);
    match error {
        Errno::ACCESS => {
            let uid = rustix::process::geteuid().as_raw();
            format!("{said}; uid {uid} needs the right to {right}")
        }
        _ => said.to_string(),
    }
}

impl Absent {
    /// What a failing look at a path below a live root means.
    pub(super) fn of(error: Errno) -> Absent {
        let text = || refusal(error, "read and to enter the directory");
        match Meaning::of(error) {
            Meaning::Vanished => Absent::Gone,
            Meaning::RootGone => Absent::Root(text()),
            Meaning::Refused => Absent::Unreadable(text()),
            Meaning::Shortage => Absent::Short(text()),
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

/// What `stat` (not following links) says an entry is. `holder`: the device of the directory that holds it. `is_bound`
/// tells of a directory on the same device whether it is a mount point all the same.
pub(super) fn kind(
    stat: &Stat,
    stable: bool,
    holder: u64,
    is_bound: impl FnOnce() -> bool,
) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File(fingerprint(stat, stable)),
        FileType::Directory => {
            let inode = if stable { stat.st_ino } else { 0 };
            let bound = stat.st_dev == holder && is_bound();
            Kind::Dir(DirMark { inode, mounted: bound || stat.st_dev != holder, bound, fsid: 0 })
        }
        FileType::Symlink => Kind::Skipped(Skip::Symlink),
        _ => Kind::Skipped(Skip::Special),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_entry_that_is_not_there_is_gone() {
        for (errno, meaning) in [
            (Errno::NOENT, Meaning::Vanished),
            (Errno::NOTDIR, Meaning::Vanished),
            (Errno::LOOP, Meaning::Vanished),
            (Errno::STALE, Meaning::RootGone),
            (Errno::NOTCONN, Meaning::RootGone),
            (Errno::SHUTDOWN, Meaning::RootGone),
            (Errno::NODEV, Meaning::RootGone),
            (Errno::ACCESS, Meaning::Refused),
            (Errno::PERM, Meaning::Refused),
            (Errno::IO, Meaning::Refused),
            (Errno::NAMETOOLONG, Meaning::Refused),
            (Errno::NXIO, Meaning::Refused),
            (Errno::TXTBSY, Meaning::Refused),
            (Errno::OVERFLOW, Meaning::Refused),
            (Errno::MFILE, Meaning::Shortage),
            (Errno::NFILE, Meaning::Shortage),
            (Errno::NOMEM, Meaning::Shortage),
            (Errno::AGAIN, Meaning::Shortage),
            (Errno::INTR, Meaning::Shortage),
            (Errno::TIMEDOUT, Meaning::Shortage),
        ] {
            assert_eq!(Meaning::of(errno), meaning, "{errno:?}");
            // A delete may follow from nothing else.
            let gone = Absent::of(errno) == Absent::Gone;
            assert_eq!(gone, meaning == Meaning::Vanished, "{errno:?}");
        }
    }
}
