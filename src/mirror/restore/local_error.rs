//! What the disk says when something cannot be written, and what that means for the rest of a restore (pure).

use rustix::io::Errno;

/// Something in the target could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LocalError {
    /// There is something else, and it stays.
    InTheWay(String),
    /// The filesystem does not take this entry.
    NotTaken(String),
    /// No room: nothing else can be written either.
    Full(String),
    /// No right to write.
    Denied(String),
    /// The disk fails.
    Broken(String),
}

/// What the system said, as what it means for the rest of the work.
pub(super) fn broken(error: &std::io::Error, action: &str, shown: &str) -> LocalError {
    match error.raw_os_error() {
        Some(errno) => failed(Errno::from_raw_os_error(errno), action, shown),
        None => LocalError::Broken(format!("cannot {action} {shown}: {error}")),
    }
}

/// The same of a call that gives its number.
pub(super) fn failed(errno: Errno, action: &str, shown: &str) -> LocalError {
    let text = format!("cannot {action} {shown}: {}", std::io::Error::from(errno));
    match errno {
        Errno::NOSPC | Errno::DQUOT => LocalError::Full(text),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => LocalError::Denied(text),
        Errno::EXIST | Errno::ISDIR | Errno::NOTDIR | Errno::LOOP | Errno::NOTEMPTY => {
            LocalError::InTheWay(text)
        }
        // Too long, forbidden characters, too large for the filesystem, another filesystem mounted below the target.
        Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ | Errno::FBIG | Errno::XDEV => {
            LocalError::NotTaken(text)
        }
        _ => LocalError::Broken(text),
    }
}
