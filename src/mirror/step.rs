//! The steps of an upload, and what can come of them (pure): the words between engine and shell.

use crate::digest::{Digest, Hash};
use crate::failure::Class;

/// Which hashes a start sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashes {
    /// None: the file is too small for an instant upload.
    None,
    /// That of the beginning.
    Beginning,
    /// Both.
    Full,
}

/// A piece of a large file (sheet section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From 1, without gaps.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// What the service has of an upload in parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Parts.
    pub parts: u32,
    /// Bytes in them.
    pub bytes: u64,
}

/// Something the shell does. Every reading step fails unless the file has the expected fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read the file and compute its digests.
    Digest,
    /// Ask for a form, with the hashes that the service may want.
    Start(Hashes),
    /// Send the content with the form of the last start.
    Post,
    /// Ask for an upload in parts, with the hashes that the service may want.
    StartParts {
        /// Which hashes.
        hashes: Hashes,
        /// How many parts there will be.
        parts: u32,
    },
    /// Read a part and compute its digests.
    ReadPart {
        /// The part.
        part: Part,
        /// Chained hash of the file before it; `None` for the first.
        after: Option<Hash>,
    },
    /// Send a part; what is sent must have the crc64 of what was read.
    SendPart {
        /// Names the upload.
        confirm_key: String,
        /// The part.
        part: Part,
        /// CRC-64 of it.
        crc64: u64,
        /// What had arrived before: for people.
        arrived: Arrived,
    },
    /// Make the file visible.
    Confirm {
        /// Names the upload.
        confirm_key: String,
        /// What was sent.
        crc64: u64,
        /// Wait so long first, in milliseconds.
        pause_ms: i64,
    },
    /// Look at the remote file.
    Look,
    /// Ask what became of an upload.
    Query {
        /// Names the upload.
        confirm_key: String,
    },
    /// Give an upload up.
    Cancel {
        /// Names the upload.
        confirm_key: String,
    },
    /// Move a copy here, if it is the content of the file.
    Move {
        /// Where the copy is.
        from: Vec<String>,
        /// Bytes of it.
        size: u64,
        /// CRC-64 of it.
        crc64: u64,
    },
    /// Remove a copy that was made under a wrong name, if it is what was sent.
    DeleteCopy {
        /// Where it is.
        path: Vec<String>,
        /// Bytes that were sent.
        size: u64,
        /// CRC-64 of what was sent.
        crc64: u64,
    },
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The digests of the file.
    Digested(Digest),
    /// A form was handed out.
    Started {
        /// Names the upload.
        confirm_key: String,
        /// When the form expires, milliseconds since the Unix epoch, if the service says.
        expires_at_ms: Option<i64>,
    },
    /// The digests of a part.
    PartRead {
        /// Which.
        number: u32,
        /// CRC-64 of it.
        crc64: u64,
        /// Chained hash of the file up to its end.
        full_hash: Hash,
    },
    /// A part arrived.
    PartSent {
        /// Which.
        number: u32,
    },
    /// The service wants the full hash too.
    NeedFullHash,
    /// The library had the content; the file is there.
    Instant {
        /// What was hashed.
        digest: Digest,
        /// What the service says of the file.
        reply: Reply,
    },
    /// All of one state of the file arrived.
    Posted {
        /// What was sent.
        digest: Digest,
        /// What COS says of it.
        crc64: Option<u64>,
    },
    /// All of one state of the file left, and no answer came, or one that does not tell what became of it.
    PostUnanswered {
        /// What was sent.
        digest: Digest,
        /// What came instead of an answer.
        failure: Failure,
    },
    /// The file is visible.
    Confirmed(Reply),
    /// Whether the upload was confirmed before.
    Queried {
        /// It was.
        confirmed: bool,
        /// Number and bytes of the parts that arrived, of an upload in parts.
        parts: Vec<(u32, u64)>,
    },
    /// What is on the remote; `None`: nothing.
    Looked(Option<Remote>),
    /// It is done (cancel, delete).
    Done,
    /// The file is not what it was.
    Changed,
    /// The file is not there.
    Vanished,
    /// The root is not there.
    RootGone,
    /// It failed.
    Failed(Failure),
}

/// What the service says of a file that is visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Where it is; `None`: nowhere, its directory was deleted meanwhile.
    pub path: Option<Vec<String>>,
    /// Bytes.
    pub size: Option<u64>,
    /// CRC-64.
    pub crc64: Option<u64>,
}

/// A remote entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Whether it is a file.
    pub is_file: bool,
    /// Bytes.
    pub size: Option<u64>,
    /// CRC-64.
    pub crc64: Option<u64>,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub class: Class,
    /// Code of the service.
    pub code: Option<String>,
    /// For people.
    pub message: String,
    /// The request at the service.
    pub request_id: Option<String>,
    /// How long the service asks to wait.
    pub retry_after: Option<std::time::Duration>,
    /// COS said it, or did not, while content was sent to it.
    pub of_content: bool,
}

impl Failure {
    /// A failure that no answer of the service carries.
    #[must_use]
    pub fn new(class: Class, message: impl Into<String>) -> Failure {
        Failure {
            class,
            code: None,
            message: message.into(),
            request_id: None,
            retry_after: None,
            of_content: false,
        }
    }

    pub(super) fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }
}

impl Outcome {
    /// Where the service says that the file is visible.
    pub(super) fn place(&self) -> Option<&[String]> {
        match self {
            Outcome::Instant { reply, .. } | Outcome::Confirmed(reply) => reply.path.as_deref(),
            _ => None,
        }
    }

    /// The word for a message.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Outcome::Digested(_) => "digested",
            Outcome::Started { .. } => "started",
            Outcome::PartRead { .. } => "part-read",
            Outcome::PartSent { .. } => "part-sent",
            Outcome::NeedFullHash => "need-full-hash",
            Outcome::Instant { .. } => "instant",
            Outcome::Posted { .. } => "posted",
            Outcome::PostUnanswered { .. } => "post-unanswered",
            Outcome::Confirmed(_) => "confirmed",
            Outcome::Queried { .. } => "queried",
            Outcome::Looked(_) => "looked",
            Outcome::Done => "done",
            Outcome::Changed => "changed",
            Outcome::Vanished => "vanished",
            Outcome::RootGone => "root-gone",
            Outcome::Failed(_) => "failed",
        }
    }
}
