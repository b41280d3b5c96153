//! Rows of `remote`: what listings showed while a mirror is adopted, and how far that got.

use rusqlite::{OptionalExtension, params};

use super::rows::{DirId, EntryId, MirrorId, NEVER_MS, RemoteRow};
use super::{JournalError, Turn};

impl Turn<'_> {
    /// What the remote holds is compared again before anything of a mirror is sent.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn adopt_again(&self, mirror: MirrorId) -> Result<(), JournalError> {
        self.tx.execute("UPDATE mirror SET adopting = 1 WHERE id = ?1", [mirror.0])?;
        Ok(())
    }

    /// What a listing showed of an entry.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remote(&self, id: &EntryId) -> Result<Option<RemoteRow>, JournalError> {
        Ok(self
            .tx
            .prepare_cached("SELECT size, crc64 FROM remote WHERE dir_id = ?1 AND name = ?2")?
            .query_row(params![id.dir.0, id.name], |row| {
                Ok(RemoteRow {
                    size: row.get::<_, Option<i64>>(0)?.map(i64::cast_unsigned),
                    crc64: row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned),
                })
            })
            .optional()?)
    }

    /// Writes down what a listing showed of an entry.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put_remote(&self, id: &EntryId, row: RemoteRow) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO remote (dir_id, name, size, crc64) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                id.dir.0,
                id.name,
                // No honest size is beyond the range of the journal; such a row matches nothing.
                row.size.and_then(|size| i64::try_from(size).ok()),
                row.crc64.map(u64::cast_signed)
            ])?;
        Ok(())
    }

    /// What a listing showed of an entry is used up.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove_remote(&self, id: &EntryId) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("DELETE FROM remote WHERE dir_id = ?1 AND name = ?2")?
            .execute(params![id.dir.0, id.name])?;
        Ok(())
    }

    /// The remote was asked what it holds in a directory.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dir_listed(&self, id: DirId, at_ms: i64) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("UPDATE dir SET listed_at_ms = ?2 WHERE id = ?1")?
            .execute(params![id.0, at_ms])?;
        Ok(())
    }

    /// Nothing is in a directory on the remote, so nothing is below it either: none of it needs a listing.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn tree_listed(&self, id: DirId, at_ms: i64) -> Result<(), JournalError> {
        let Some(row) = self.dir(id)? else { return Ok(()) };
        let (from, upto) = super::dirs::subtree(&row.path);
        let all = super::dirs::at_and_below(upto.is_some());
        self.tx
            .prepare_cached(&format!("UPDATE dir SET listed_at_ms = ?5 WHERE id IN ({all})"))?
            .execute(params![row.mirror.0, id.0, from, upto, at_ms])?;
        Ok(())
    }

    /// Whether files of a mirror still wait for a listing of their directory.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn needs_listings(&self, mirror: MirrorId) -> Result<bool, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT EXISTS (
                    SELECT 1 FROM file f INDEXED BY file_due JOIN dir d ON d.id = f.dir_id
                     WHERE f.next_at_ms IS NOT NULL AND f.next_at_ms < ?2 AND f.confirmed_at_ms IS NULL
                       AND d.listed_at_ms IS NULL AND d.mirror_id = ?1)",
            )?
            .query_row([mirror.0, NEVER_MS], |row| row.get(0))?)
    }

    /// Everything below the root of a mirror was compared with the remote. What listings showed of
    /// entries that nobody waits for is forgotten.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn adopted(&self, mirror: MirrorId) -> Result<(), JournalError> {
        self.tx.execute("UPDATE mirror SET adopting = 0 WHERE id = ?1", [mirror.0])?;
        self.tx.execute(
            "DELETE FROM remote WHERE dir_id IN (SELECT id FROM dir WHERE mirror_id = ?1)
                AND NOT EXISTS (SELECT 1 FROM file f WHERE f.dir_id = remote.dir_id AND f.name = remote.name
                                   AND f.next_at_ms IS NOT NULL)",
            [mirror.0],
        )?;
        Ok(())
    }
}
