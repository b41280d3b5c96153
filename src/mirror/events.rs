//! What people may hear of a run.

use crate::failure::Class;
use crate::relpath::RelPath;

/// How content came to the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was sent.
    Uploaded,
    /// The library had it.
    Instant,
    /// An upload of an earlier run was completed.
    Recovered,
    /// Its copy was moved: it was renamed.
    Moved,
    /// The library held it already, under its path.
    Adopted,
    /// Nothing was sent: the content is the known one.
    Unchanged,
}

/// News for people: logs and progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A file waits to be sent.
    Pending {
        /// Bytes.
        bytes: u64,
    },
    /// A file is mirrored.
    Synced {
        /// Name of the mirror.
        mirror: String,
        /// The file.
        path: RelPath,
        /// Bytes.
        bytes: u64,
        /// How.
        how: Sent,
        /// Time from its beginning to the acknowledgement, in milliseconds.
        took_ms: i64,
        /// Bytes that had arrived before that beginning, and were not sent again.
        resumed: u64,
    },
    /// A directory was renamed, and its copy moved.
    Moved {
        /// Name of the mirror.
        mirror: String,
        /// Where it was.
        from: RelPath,
        /// Where it is.
        to: RelPath,
        /// Files in it that are mirrored by that.
        files: u64,
    },
    /// A copy was deleted.
    Deleted {
        /// Name of the mirror.
        mirror: String,
        /// What is gone.
        path: RelPath,
        /// Where the copy went.
        how: String,
    },
    /// The deletes of a mirror wait for a person.
    Held {
        /// Name of the mirror.
        mirror: String,
        /// What happened.
        message: String,
    },
    /// They do not wait any more.
    Released {
        /// Name of the mirror.
        mirror: String,
    },
    /// An entry failed.
    Trouble {
        /// Name of the mirror.
        mirror: String,
        /// The entry.
        path: RelPath,
        /// What it means.
        class: Class,
        /// The code of the service.
        code: Option<String>,
        /// The request at the service, to ask its support.
        request_id: Option<String>,
        /// What happened.
        message: String,
        /// Whether it waits for a change.
        blocked: bool,
    },
    /// Everything below a root was seen.
    Scanned {
        /// Name of the mirror.
        mirror: String,
        /// Entries that were seen, those that are left out too.
        entries: u64,
        /// How long it took, in milliseconds.
        took_ms: i64,
    },
    /// A journal that was lost is complete again.
    Rebuilt {
        /// Name of the mirror.
        mirror: String,
    },
    /// The clocks of this machine and of the service differ by this much, in milliseconds; small: not any more.
    ClockSkew(i64),
    /// Something stops a mirror, or all of them.
    Stopped {
        /// Name of the mirror; `None`: all.
        mirror: Option<String>,
        /// What happened.
        message: String,
    },
    /// What stopped is over.
    Resumed {
        /// Name of the mirror; `None`: all.
        mirror: Option<String>,
    },
}
