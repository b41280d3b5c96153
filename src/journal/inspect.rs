//! What tests want to know of a whole journal (tests only).

use rusqlite::Connection;

use super::files::{COLUMNS, file_row};
use super::rows::{FileRow, UploadRow};
use super::{Journal, JournalError, Turn};
use crate::relpath::RelPath;

impl Journal {
    /// A copy in memory, as it is now: what a power cut goes back to.
    pub(crate) fn copy(&self) -> Result<Journal, JournalError> {
        let mut connection = Connection::open_in_memory()?;
        {
            let backup = rusqlite::backup::Backup::new(&self.connection, &mut connection)?;
            backup.run_to_completion(1024, std::time::Duration::ZERO, None)?;
        }
        super::open::settings(&connection)?;
        Ok(Journal::without_place(connection))
    }

    /// Every file with its path.
    pub(crate) fn all_files(&self) -> Result<Vec<(RelPath, FileRow)>, JournalError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS}, d.path FROM file f JOIN dir d ON d.id = f.dir_id ORDER BY d.path, f.name"
        ))?;
        let rows = statement.query_map([], |row| {
            let file = file_row(row)?;
            let dir = RelPath::from_bytes(row.get(17)?);
            Ok((dir.join(&file.id.name), file))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether every mirror had a complete scan, missed nothing since, and has no directory that cannot be read.
    pub(crate) fn says_all_was_seen(&self) -> Result<bool, JournalError> {
        Ok(self.connection.query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM mirror WHERE dirty = 1 OR scanned_at_ms IS NULL)
                AND NOT EXISTS (SELECT 1 FROM unreadable)",
            [],
            |row| row.get(0),
        )?)
    }

    /// Holds that wait for a person.
    pub(crate) fn all_holds(&self) -> Result<Vec<i64>, JournalError> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM hold ORDER BY id")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What is gone and whose copy is still to be deleted: without directories in which something is kept.
    pub(crate) fn waiting_deletes(&self) -> Result<Vec<RelPath>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT d.path, f.name FROM file f JOIN dir d ON d.id = f.dir_id WHERE f.delete_at_ms IS NOT NULL
             UNION ALL SELECT path, x'' FROM dir WHERE delete_at_ms IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM file f JOIN dir b ON b.id = f.dir_id
                                 WHERE b.path >= dir.path AND substr(b.path, 1, length(dir.path)) = dir.path)",
        )?;
        let rows = statement.query_map([], |row| {
            let name: Vec<u8> = row.get(1)?;
            let dir = RelPath::from_bytes(row.get(0)?);
            Ok(if name.is_empty() { dir } else { dir.join(&name) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every started upload.
    pub(crate) fn all_uploads(&mut self) -> Result<Vec<UploadRow>, JournalError> {
        let turn: Turn<'_> = self.turn()?;
        turn.uploads()
    }
}
