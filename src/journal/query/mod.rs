//! What people ask the journal: read only, works with the daemon up, down or stuck (deterministic).

mod entries;
mod folder;
mod history;
mod lists;
mod mirrors;
mod wrong;

use std::path::Path;

use rusqlite::{Connection, Row};

use super::open::{JOURNAL_FILE, Journal, open_reading};
use super::{JournalError, Kept, meta, migrate};
use crate::relpath::RelPath;

pub use entries::{EntryState, FileStatus, FolderStatus, OpenUpload, PartsDone};
pub use folder::KnownDir;
pub use history::Happened;
pub use lists::{Doomed, PendingFile, SkippedPath, TroublePath, Troubles};
pub use mirrors::{Counts, KnownMirror, MirrorStatus};
pub use wrong::{Failing, MirrorWrong};

/// A reading connection. One question sees one state: ask through [`Reader::snapshot`].
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    /// It reads the journal itself, and sees what is written to it from now on.
    follows: bool,
}

impl Reader {
    /// Opens the journal in `state_dir` for reading.
    ///
    /// # Errors
    /// There is none, it cannot be read, or a newer program wrote it.
    pub fn open(state_dir: &Path) -> Result<Reader, JournalError> {
        let connection = open_reading(&state_dir.join(JOURNAL_FILE))?;
        if migrate::version(&connection)? < migrate::newest() {
            // A daemon of an older program still runs on it, or none since: asked in a copy that is brought up to date.
            return Ok(Reader { follows: false, ..Reader::of(Journal::scratch_copy(state_dir)?) });
        }
        Ok(Reader { connection, follows: true })
    }

    /// Reads through the connection of a journal that is not written meanwhile.
    #[must_use]
    pub fn of(journal: Journal) -> Reader {
        Reader { connection: journal.connection, follows: true }
    }

    /// What a person set while the daemon ran; `None`: nothing.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn kept(&self, what: Kept) -> Result<Option<String>, JournalError> {
        meta::read(&self.connection, what)
    }

    /// Whether it sees what is written later; a journal of an older program is read in a copy.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.follows
    }

    /// A number that changes when another connection has written.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn data_version(&self) -> Result<i64, JournalError> {
        Ok(self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
    }

    /// Reads all of the journal and looks whether its parts fit together: a third of a second for a million files.
    ///
    /// # Errors
    /// It is damaged, or what SQLite says.
    pub fn check(&self) -> Result<(), JournalError> {
        let found: String =
            self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(JournalError::Damaged(found)) }
    }

    /// Answers several questions from one state of the journal.
    ///
    /// # Errors
    /// What SQLite says, or what the questions say.
    pub fn snapshot<T>(
        &self,
        ask: impl FnOnce(&Reader) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        self.connection.execute_batch("BEGIN")?;
        let answer = ask(self);
        self.connection.execute_batch("COMMIT")?;
        answer
    }
}

fn entry_path(row: &Row<'_>, column: usize, name: &[u8]) -> rusqlite::Result<RelPath> {
    let dir = RelPath::from_bytes(row.get(column)?);
    Ok(if name.is_empty() { dir } else { dir.join(name) })
}
