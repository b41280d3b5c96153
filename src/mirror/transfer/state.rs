//! Where a transfer is (pure).

use super::parts::Parts;
use super::words::{End, How};
use crate::digest::{Digest, Hash};
use crate::mirror::step::{Failure, Hashes};

/// What was sent, and what the service must show of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) full_hash: Hash,
    pub(super) crc64: u64,
    pub(super) size: u64,
}

impl From<Digest> for Sent {
    fn from(digest: Digest) -> Sent {
        Sent { full_hash: digest.full, crc64: digest.crc64, size: digest.size }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Is the content the confirmed one, or the one that a listing showed, or that of a file that is gone?
    Comparing,
    /// It is that of a file that is gone: its copy is moved.
    Moving {
        sent: Sent,
    },
    Starting(Hashes),
    Posting {
        confirm_key: String,
    },
    /// Parts are read and sent, several at a time.
    Sending(Parts),
    Confirming {
        confirm_key: String,
        sent: Sent,
        tries: usize,
        how: How,
        /// The post had no answer: if nothing arrived, this is why.
        unanswered: Option<Failure>,
    },
    /// The key is used up or unknown: the remote file tells.
    Proving {
        sent: Sent,
        how: How,
    },
    /// An upload of an earlier run, not known to be complete: what does the service say?
    Querying {
        confirm_key: String,
    },
    /// The same; the file's digest is needed, to confirm with (`Some`) or to compare the remote file with.
    Recovering {
        confirm_key: Option<String>,
    },
    /// Cleaning up, then ending so.
    Ending(End),
    /// Removing a copy under a wrong name, then ending with this.
    Removing(Failure),
    /// Cancelling what is of no use, then beginning.
    Dropping,
}

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self {
            State::Comparing => "comparing",
            State::Moving { .. } => "moving",
            State::Starting(_) => "starting",
            State::Posting { .. } => "posting",
            State::Sending(_) => "sending",
            State::Confirming { .. } => "confirming",
            State::Proving { .. } => "proving",
            State::Querying { .. } => "querying",
            State::Recovering { .. } => "recovering",
            State::Ending(_) => "ending",
            State::Removing(_) => "removing",
            State::Dropping => "dropping",
        }
    }
}
