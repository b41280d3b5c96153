//! What is passed on while a file is read (pure).

use super::Mirror;

/// Whether the secret has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    Needed,
    NotNeeded,
}

/// A mirror as far as it could be read. What is missing or wrong was reported.
pub(super) struct Draft {
    /// What messages call it.
    pub(super) key: String,
    pub(super) line: Option<usize>,
    pub(super) mirror: Mirror,
    pub(super) has_local: bool,
    pub(super) has_remote: bool,
}
