//! What is asked of a restore, and what it tells (pure).

use crate::config::Names;
use crate::relpath::RelPath;

/// What is to be restored.
#[derive(Debug, Clone)]
pub struct Order {
    /// How the names of the mirror are written in the library.
    pub names: Names,
    /// The folder of the mirror in the library.
    pub base: Vec<String>,
    /// What of it, by local names; nothing means everything.
    pub paths: Vec<RelPath>,
    /// Most files at the same time.
    pub concurrency: usize,
    /// Replace files of another content that are in the target.
    pub replace: bool,
}

/// What happened to one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A listing showed a file of so many bytes that has to be there.
    Listed {
        /// Bytes.
        bytes: u64,
    },
    /// It is in the target, whole and proven.
    Restored {
        /// Where.
        path: RelPath,
        /// Bytes.
        bytes: u64,
        /// It is under the name that it has in the library, since no entry of the mirror has a copy of that name.
        stranger: bool,
    },
    /// It was in the target before, with the same content.
    Kept {
        /// Where.
        path: RelPath,
        /// Bytes.
        bytes: u64,
    },
    /// It is not in the target, because something else is.
    InTheWay {
        /// Where.
        path: RelPath,
        /// What, and what to do.
        why: String,
    },
    /// It is not in the target, or not proven.
    Failed {
        /// Where it belongs; of a name that no folder can hold, that name.
        path: RelPath,
        /// Why.
        why: String,
    },
    /// Nothing goes on for a while.
    Waiting {
        /// Why.
        why: String,
    },
}

/// What came of a restore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Files that are in the target now.
    pub restored: u64,
    /// Files that were there before.
    pub kept: u64,
    /// Entries that are not, because something else is in their place.
    pub in_the_way: u64,
    /// Entries that are not, or are not proven.
    pub failed: u64,
    /// Of the failed ones, those that another run cannot bring either.
    pub hopeless: u64,
    /// Files under a name that no copy of an entry has.
    pub strangers: u64,
    /// Folders that are there now, the target itself not counted.
    pub folders: u64,
    /// Bytes that came from the library.
    pub fetched_bytes: u64,
}

/// How a restore ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Everything was tried.
    Through,
    /// Nobody answers.
    Unreachable(String),
    /// The service does not let us in.
    Refused(String),
    /// No room in the target, or the disk fails.
    Disk(String),
    /// No right to write in the target.
    Denied(String),
    /// It was asked to stop.
    Stopped,
}

/// Hears what happens.
pub trait Observer {
    /// Something happened to an entry.
    fn event(&mut self, event: &Event);
    /// A moment passed; so many bytes came so far.
    fn alive(&mut self, fetched_bytes: u64);
}
