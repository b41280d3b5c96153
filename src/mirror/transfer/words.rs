//! What a transfer decides, and how it ends (pure): the words between it and the engine.

use super::super::step::{Failure, Step};
use crate::digest::Hash;

/// How an entry came to be synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mirror) enum How {
    Sent,
    Instant,
    Recovered,
    /// The library held it already.
    Adopted,
    /// Nothing was sent: the content is the confirmed one.
    Unchanged,
    /// Its copy was moved.
    Moved,
}

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mirror) enum End {
    Synced {
        full_hash: Hash,
        crc64: u64,
        how: How,
    },
    /// Look at the file again.
    Changed,
    /// Look whether it is gone.
    Vanished,
    RootGone,
    /// The directory is not on the remote.
    DirectoryLost,
    /// What an earlier run left of a file that is gone is given up.
    Dropped,
    /// Parts are left to be sent, and the time for it is not now: the next transfer goes on.
    Parked,
    Failed(Failure),
}

/// What the journal must know before the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mirror) enum Note {
    Started {
        confirm_key: String,
        expires_at_ms: Option<i64>,
        /// Bytes of each part but the last; `None`: one form takes all.
        part_size: Option<u64>,
    },
    /// A part was read.
    PartRead {
        number: u32,
        crc64: u64,
        full_hash: Hash,
    },
    /// A part arrived.
    PartSent {
        number: u32,
    },
    Posted {
        full_hash: Hash,
        crc64: u64,
    },
    /// The upload is over, one way or the other.
    Forgotten,
    /// It is of no use, and could not be cancelled: that is tried again, apart from the file.
    Abandoned,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mirror) enum Next {
    Step(Step),
    /// Any number of steps beside those that are under way; none: their outcomes are waited for.
    Steps(Vec<Step>),
    End(End),
}

/// What to write down, and what to do then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mirror) struct Decision {
    pub(in crate::mirror) note: Option<Note>,
    pub(in crate::mirror) next: Next,
}

impl Decision {
    pub(super) fn step(step: Step) -> Decision {
        Decision { note: None, next: Next::Step(step) }
    }

    pub(super) fn end(end: End) -> Decision {
        Decision { note: None, next: Next::End(end) }
    }

    /// The upload is over, and so is the transfer.
    pub(super) fn over(end: End) -> Decision {
        Decision { note: Some(Note::Forgotten), next: Next::End(end) }
    }
}
