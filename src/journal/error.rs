//! What can go wrong with the journal (pure). Busy, full and damaged are three answers, not one.

use std::path::PathBuf;

/// A failure of the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Written by a newer program.
    #[error(
        "the journal has schema version {found} and this program knows versions up to {known}; \
         install the newer smh-mirror again"
    )]
    Newer {
        /// The version of the file.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// There is none yet.
    #[error("there is no journal at {}; has `smh-mirror run` or `sync` been started yet?", .0.display())]
    Missing(PathBuf),
    /// The state folder cannot be used.
    #[error("cannot use the state folder {}: {source}", path.display())]
    State {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The content makes no sense: bits flipped, or not a database.
    #[error(
        "the journal is damaged: {0}; a start of the daemon, or `smh-mirror sync`, sets it aside and fills a new one: restart a daemon that runs"
    )]
    Damaged(String),
    /// Its file was deleted or moved while it was open here: what is written to it would be lost.
    #[error(
        "the journal {} was taken away while it was in use; the next start of the daemon, or `smh-mirror sync`, fills a new one from a scan and a listing of the library",
        .0.display()
    )]
    TakenAway(PathBuf),
    /// Whoever wanted it opened gave up; nothing is wrong with it.
    #[error("the opening of the journal was given up")]
    GivenUp,
    /// Another process holds it for too long.
    #[error("the journal is locked by another process")]
    Busy,
    /// No space, or the disk refuses to write.
    #[error("the journal cannot be written: {0}")]
    Disk(String),
    /// Anything else that SQLite says.
    #[error("the journal failed: {0}")]
    Sqlite(rusqlite::Error),
}

impl JournalError {
    /// Whether it goes away when the disk has room again or another process lets go: nothing is lost meanwhile.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, JournalError::Busy | JournalError::Disk(_))
            || matches!(self, JournalError::State { source, .. } if matches!(
                source.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            ))
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> JournalError {
        use rusqlite::ErrorCode as Code;
        // The schema does not let such values in, and knows every name that a statement of ours says: bits were flipped.
        if matches!(
            error,
            rusqlite::Error::SqlInputError { .. }
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..)
        ) {
            return JournalError::Damaged(error.to_string());
        }
        match error.sqlite_error_code() {
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => {
                JournalError::Damaged(error.to_string())
            }
            // Only who opens a journal can interrupt.
            Some(Code::OperationInterrupted) => JournalError::GivenUp,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => JournalError::Busy,
            Some(Code::DiskFull | Code::SystemIoFailure | Code::ReadOnly | Code::CannotOpen) => {
                JournalError::Disk(error.to_string())
            }
            _ => JournalError::Sqlite(error),
        }
    }
}
