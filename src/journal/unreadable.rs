//! Rows of `unreadable`: directories of which nothing, or not everything, could be read here.

use rusqlite::{OptionalExtension, params};

use super::rows::{DirId, MirrorId, UnreadableRow};
use super::{JournalError, Turn};

impl Turn<'_> {
    /// Why what lies in a directory is not known.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unreadable(&self, dir: DirId) -> Result<Option<UnreadableRow>, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT message, attempts, first_at_ms, last_at_ms FROM unreadable WHERE dir_id = ?1",
            )?
            .query_row([dir.0], |row| {
                Ok(UnreadableRow {
                    dir,
                    message: row.get(0)?,
                    attempts: row.get(1)?,
                    first_at_ms: row.get(2)?,
                    last_at_ms: row.get(3)?,
                })
            })
            .optional()?)
    }

    /// Whether a file or directory of a mirror could not be read here.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn cannot_read_all(&self, mirror: MirrorId) -> Result<bool, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM unreadable u JOIN dir d ON d.id = u.dir_id WHERE d.mirror_id = ?1)
                     OR EXISTS (SELECT 1 FROM trouble t INDEXED BY trouble_local JOIN dir d ON d.id = t.dir_id
                                 WHERE t.class = 'local' AND d.mirror_id = ?1)",
            )?
            .query_row([mirror.0], |row| row.get(0))?)
    }

    /// What lies in a directory is not known.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put_unreadable(&self, row: &UnreadableRow) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO unreadable (dir_id, message, attempts, first_at_ms, last_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                row.dir.0,
                row.message,
                row.attempts,
                row.first_at_ms,
                row.last_at_ms
            ])?;
        Ok(())
    }

    /// All of a directory was read.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove_unreadable(&self, dir: DirId) -> Result<(), JournalError> {
        self.tx.prepare_cached("DELETE FROM unreadable WHERE dir_id = ?1")?.execute([dir.0])?;
        Ok(())
    }
}
