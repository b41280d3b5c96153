//! What is gone on disk, and when its copy is deleted.

use rusqlite::params;

use super::dirs::{DIR_COLUMNS, at_and_below, dir_row, subtree, to_sql_limit};
use super::files::{COLUMN_COUNT, COLUMNS, file_row};
use super::rows::{DirId, DirRow, EntryId, FileRow, MirrorId, NEVER_MS};
use super::{JournalError, Turn};
use crate::relpath::RelPath;

/// What a person has to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// The delete, although it looks wrong.
    Delete,
    /// The delete for good, although a recycle bin was wanted.
    ForGood,
}

impl Approval {
    /// Its bit in the column `approved`.
    fn bit(self) -> i64 {
        match self {
            Approval::Delete => 1,
            Approval::ForGood => 2,
        }
    }
}

/// A file that is gone and whose copy is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneFile {
    /// The file; it is confirmed.
    pub file: FileRow,
    /// The path of its directory.
    pub dir_path: RelPath,
}

impl Turn<'_> {
    /// When to delete the copy of a file that is gone; `None`: it is kept.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_file_delete(&self, id: &EntryId, at_ms: Option<i64>) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE file SET delete_at_ms = ?3
                  WHERE dir_id = ?1 AND name = ?2 AND gone_at_ms IS NOT NULL",
            )?
            .execute(params![id.dir.0, id.name, at_ms])?;
        Ok(())
    }

    /// What is to be deleted below a directory is deleted at `at_ms` at the earliest.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn delete_later(&self, dir: &DirRow, at_ms: Option<i64>) -> Result<(), JournalError> {
        let (from, upto) = subtree(&dir.path);
        let all = at_and_below(upto.is_some());
        self.tx
            .prepare_cached(&format!(
                "UPDATE file SET delete_at_ms = ?5 WHERE delete_at_ms < ?5 AND dir_id IN ({all})"
            ))?
            .execute(params![dir.mirror.0, dir.id.0, from, upto, at_ms])?;
        self.tx
            .prepare_cached(&format!(
                "UPDATE dir SET delete_at_ms = ?5 WHERE delete_at_ms < ?5 AND id IN ({all})"
            ))?
            .execute(params![dir.mirror.0, dir.id.0, from, upto, at_ms])?;
        Ok(())
    }

    /// The same for a directory.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_dir_delete(&self, id: DirId, at_ms: Option<i64>) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE dir SET delete_at_ms = ?2 WHERE id = ?1 AND gone_at_ms IS NOT NULL",
            )?
            .execute(params![id.0, at_ms])?;
        Ok(())
    }

    /// What the configuration wants of a mirror: copies of what is gone are deleted (`delete_at_ms`: those that were
    /// kept so far, then), or kept. Nothing changes while that does not: what a person wanted to be kept is kept.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_deletes(
        &self,
        mirror: MirrorId,
        delete_at_ms: Option<i64>,
    ) -> Result<(), JournalError> {
        let deletes = delete_at_ms.is_some();
        let changed = self.tx.execute(
            "UPDATE mirror SET deletes = ?2 WHERE id = ?1 AND deletes <> ?2",
            params![mirror.0, deletes],
        )?;
        match delete_at_ms {
            _ if changed == 0 => Ok(()),
            Some(at_ms) => self.delete_what_is_gone(mirror, at_ms),
            None => {
                self.tx.execute(
                    "DELETE FROM hold WHERE mirror_id = ?1 AND kind <> 'unmounted'",
                    [mirror.0],
                )?;
                self.keep_what_is_gone(mirror).map(|_| ())
            }
        }
    }

    fn delete_what_is_gone(&self, mirror: MirrorId, at_ms: i64) -> Result<(), JournalError> {
        self.tx.execute(
            "UPDATE file SET delete_at_ms = ?2
              WHERE gone_at_ms IS NOT NULL AND delete_at_ms IS NULL
                AND dir_id IN (SELECT id FROM dir WHERE mirror_id = ?1)",
            params![mirror.0, at_ms],
        )?;
        self.tx.execute(
            // Without `created_at_ms` it was left out, or never made.
            "UPDATE dir SET delete_at_ms = ?2
              WHERE gone_at_ms IS NOT NULL AND delete_at_ms IS NULL AND mirror_id = ?1
                AND created_at_ms IS NOT NULL",
            params![mirror.0, at_ms],
        )?;
        Ok(())
    }

    /// Nothing of a mirror that is gone is to be deleted: its copies are kept. Gives the number of files.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn keep_what_is_gone(&self, mirror: MirrorId) -> Result<u64, JournalError> {
        let files = self.tx.execute(
            "UPDATE file SET delete_at_ms = NULL
              WHERE delete_at_ms IS NOT NULL
                AND dir_id IN (SELECT id FROM dir WHERE mirror_id = ?1)",
            [mirror.0],
        )?;
        self.tx.execute(
            "UPDATE dir SET delete_at_ms = NULL
              WHERE delete_at_ms IS NOT NULL AND mirror_id = ?1",
            [mirror.0],
        )?;
        self.tx.execute(
            "DELETE FROM trouble WHERE (dir_id, name) IN (
                 SELECT f.dir_id, f.name FROM file f JOIN dir d ON d.id = f.dir_id
                  WHERE f.gone_at_ms IS NOT NULL AND d.mirror_id = ?1)",
            [mirror.0],
        )?;
        Ok(u64::try_from(files).unwrap_or(u64::MAX))
    }

    /// Files of a mirror whose copies are to be deleted by now, and may be, those that wait longest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn due_file_deletes(
        &self,
        mirror: MirrorId,
        now_ms: i64,
        needs: Option<Approval>,
        limit: usize,
    ) -> Result<Vec<GoneFile>, JournalError> {
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT {COLUMNS}, d.path FROM file f INDEXED BY file_delete JOIN dir d ON d.id = f.dir_id
              WHERE f.delete_at_ms IS NOT NULL AND f.delete_at_ms <= ?2 AND d.mirror_id = ?1
                AND (f.approved & ?4) = ?4
              ORDER BY f.delete_at_ms LIMIT ?3"
        ))?;
        let needs = needs.map_or(0, Approval::bit);
        let rows =
            statement.query_map(params![mirror.0, now_ms, to_sql_limit(limit), needs], |row| {
                Ok(GoneFile {
                    file: file_row(row)?,
                    dir_path: RelPath::from_bytes(row.get(COLUMN_COUNT)?),
                })
            })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Directories of a mirror whose copies are to be deleted by now and of which nothing is left in the journal but
    /// directories that were never made or are left out, the deepest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn due_dir_deletes(
        &self,
        mirror: MirrorId,
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<DirRow>, JournalError> {
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT {DIR_COLUMNS} FROM dir INDEXED BY dir_delete
              WHERE mirror_id = ?1 AND delete_at_ms IS NOT NULL AND delete_at_ms <= ?2
                AND NOT EXISTS (SELECT 1 FROM file f WHERE f.dir_id = dir.id)
                AND NOT EXISTS (SELECT 1 FROM dir c WHERE c.parent_id = dir.id
                                   AND (c.gone_at_ms IS NULL OR c.created_at_ms IS NOT NULL
                                        OR c.delete_at_ms IS NOT NULL))
                AND NOT EXISTS (SELECT 1 FROM upload u WHERE u.dir_id = dir.id)
              ORDER BY path DESC LIMIT ?3"
        ))?;
        let rows = statement.query_map(params![mirror.0, now_ms, to_sql_limit(limit)], dir_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next copy of a mirror is to be deleted after `now_ms`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn next_delete_due(&self, now_ms: i64) -> Result<Option<i64>, JournalError> {
        let file: Option<i64> = self
            .tx
            .prepare_cached(
                "SELECT min(delete_at_ms) FROM file WHERE delete_at_ms > ?1 AND delete_at_ms < ?2",
            )?
            .query_row([now_ms, NEVER_MS], |row| row.get(0))?;
        let dir: Option<i64> = self
            .tx
            .prepare_cached(
                "SELECT min(delete_at_ms) FROM dir INDEXED BY dir_delete
                  WHERE delete_at_ms IS NOT NULL AND delete_at_ms > ?1 AND delete_at_ms < ?2",
            )?
            .query_row([now_ms, NEVER_MS], |row| row.get(0))?;
        Ok([file, dir].into_iter().flatten().min())
    }

    /// Deletes that were answered with something that makes no sense, or that nobody knows what was wrong with, are
    /// tried again: a scan was made since.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn retry_defect_deletes(&self, mirror: MirrorId, now_ms: i64) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE file SET delete_at_ms = ?2
                  WHERE delete_at_ms = ?3 AND dir_id IN (SELECT id FROM dir WHERE mirror_id = ?1)
                    AND NOT EXISTS (SELECT 1 FROM trouble t WHERE t.dir_id = file.dir_id
                                       AND t.name = file.name AND t.class <> 'defect')",
            )?
            .execute(params![mirror.0, now_ms, NEVER_MS])?;
        self.tx
            .prepare_cached(
                "UPDATE dir SET delete_at_ms = ?2
                  WHERE delete_at_ms IS NOT NULL AND delete_at_ms = ?3 AND mirror_id = ?1
                    AND NOT EXISTS (SELECT 1 FROM trouble t WHERE t.dir_id = dir.id AND t.name = x''
                                       AND t.class <> 'defect')",
            )?
            .execute(params![mirror.0, now_ms, NEVER_MS])?;
        Ok(())
    }

    /// The clock that people set jumped by so much: what is to be deleted waits as long as it would have.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn shift_deletes(&self, by_ms: i64) -> Result<(), JournalError> {
        for table in ["file", "dir"] {
            self.tx.execute(
                &format!(
                    "UPDATE {table} SET delete_at_ms = delete_at_ms + ?1
                      WHERE delete_at_ms IS NOT NULL AND delete_at_ms < ?2"
                ),
                [by_ms, NEVER_MS],
            )?;
        }
        Ok(())
    }

    /// Nothing waits longer than until `latest_ms` to be deleted: the clock was wrong when that was written.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn clamp_deletes(&self, latest_ms: i64) -> Result<(), JournalError> {
        for table in ["file", "dir"] {
            self.tx.execute(
                &format!(
                    "UPDATE {table} SET delete_at_ms = ?1 WHERE delete_at_ms > ?1 AND delete_at_ms < ?2"
                ),
                [latest_ms, NEVER_MS],
            )?;
        }
        Ok(())
    }

    /// Deletes of a mirror that a pass still waits for: due, and not tried `attempts` times in a row.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has_hopeful_deletes(
        &self,
        mirror: MirrorId,
        now_ms: i64,
        attempts: u32,
    ) -> Result<bool, JournalError> {
        let files: bool = self
            .tx
            .prepare_cached(
                "SELECT EXISTS (
                    SELECT 1 FROM file f INDEXED BY file_delete JOIN dir d ON d.id = f.dir_id
                      LEFT JOIN trouble t ON t.dir_id = f.dir_id AND t.name = f.name
                     WHERE f.delete_at_ms IS NOT NULL AND f.delete_at_ms <= ?2 AND d.mirror_id = ?1
                       AND coalesce(t.attempts, 0) < ?3)",
            )?
            .query_row(params![mirror.0, now_ms, attempts], |row| row.get(0))?;
        if files {
            return Ok(true);
        }
        Ok(!self.due_dir_deletes(mirror, now_ms, 1)?.is_empty())
    }

    /// How many files of a mirror are gone, are to be deleted, and were not approved.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn planned_deletes(
        &self,
        mirror: MirrorId,
        approval: Approval,
    ) -> Result<u64, JournalError> {
        let count: i64 = self
            .tx
            .prepare_cached(
                "SELECT count(*) FROM file f INDEXED BY file_delete JOIN dir d ON d.id = f.dir_id
                  WHERE f.delete_at_ms IS NOT NULL AND d.mirror_id = ?1 AND (f.approved & ?2) = 0",
            )?
            .query_row(params![mirror.0, approval.bit()], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    }

    /// How many files of a mirror are confirmed, those that are to be deleted included. Reads all of them.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn confirmed_files(&self, mirror: MirrorId) -> Result<u64, JournalError> {
        let count: i64 = self
            .tx
            .prepare_cached(
                "SELECT count(*) FROM dir d JOIN file f ON f.dir_id = d.id
                  WHERE d.mirror_id = ?1 AND f.confirmed_at_ms IS NOT NULL
                    AND (f.gone_at_ms IS NULL OR f.delete_at_ms IS NOT NULL)",
            )?
            .query_row([mirror.0], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    }

    /// Everything in a directory, which itself may be there, is gone: its copies are deleted at `delete_at_ms`, which is
    /// approved, or kept, those too that were to be deleted before.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn children_gone(
        &self,
        dir: &DirRow,
        at_ms: i64,
        delete_at_ms: Option<i64>,
    ) -> Result<(), JournalError> {
        for child in self.dirs_between(dir.id, None, None)? {
            if child.gone_at_ms.is_none() {
                self.tree_gone(child.id, at_ms, delete_at_ms)?;
            }
        }
        for table in ["skipped", "trouble"] {
            self.tx.execute(
                &format!("DELETE FROM {table} WHERE dir_id = ?1 AND name <> x''"),
                [dir.id.0],
            )?;
        }
        self.tx.execute(
            "DELETE FROM file WHERE dir_id = ?1 AND confirmed_at_ms IS NULL",
            [dir.id.0],
        )?;
        self.tx.execute(
            "UPDATE file SET gone_at_ms = ?2, delete_at_ms = ?3, next_at_ms = NULL, changed_at_ms = NULL
              WHERE gone_at_ms IS NULL AND dir_id = ?1",
            params![dir.id.0, at_ms, delete_at_ms],
        )?;
        let (from, upto) = subtree(&dir.path);
        let all = at_and_below(upto.is_some());
        let within: [&dyn rusqlite::ToSql; 4] = [&dir.mirror.0, &dir.id.0, &from, &upto];
        if delete_at_ms.is_some() {
            self.tx.execute(
                &format!(
                    "UPDATE file SET approved = approved | 1
                      WHERE delete_at_ms IS NOT NULL AND dir_id IN ({all})"
                ),
                &within[..],
            )?;
        } else {
            for (table, key) in [("file", "dir_id"), ("dir", "id")] {
                self.tx.execute(
                    &format!("UPDATE {table} SET delete_at_ms = NULL WHERE {key} IN ({all})"),
                    &within[..],
                )?;
            }
        }
        Ok(())
    }

    /// Directories at and below one that are not gone and on which a filesystem was mounted.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn mounted_below(&self, dir: &DirRow) -> Result<Vec<DirRow>, JournalError> {
        let (from, upto) = subtree(&dir.path);
        let all = at_and_below(upto.is_some());
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT {DIR_COLUMNS} FROM dir WHERE mounted = 1 AND gone_at_ms IS NULL AND id IN ({all})"
        ))?;
        let rows = statement.query_map(params![dir.mirror.0, dir.id.0, from, upto], dir_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether any file at or below a directory is known and not gone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has_files_below(&self, dir: &DirRow) -> Result<bool, JournalError> {
        let (from, upto) = subtree(&dir.path);
        let all = at_and_below(upto.is_some());
        Ok(self
            .tx
            .prepare_cached(&format!(
                "SELECT EXISTS (SELECT 1 FROM file WHERE gone_at_ms IS NULL AND dir_id IN ({all}))"
            ))?
            .query_row(params![dir.mirror.0, dir.id.0, from, upto], |row| row.get(0))?)
    }

    /// A person allowed this for what was gone by `asked_ms` and is to be deleted.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn approve_deletes(
        &self,
        mirror: MirrorId,
        asked_ms: i64,
        approval: Approval,
    ) -> Result<(), JournalError> {
        self.tx.execute(
            "UPDATE file SET approved = approved | ?3
              WHERE delete_at_ms IS NOT NULL AND gone_at_ms <= ?2
                AND dir_id IN (SELECT id FROM dir WHERE mirror_id = ?1)",
            params![mirror.0, asked_ms, approval.bit()],
        )?;
        Ok(())
    }

    /// Forgets a directory that is gone and in which nothing is left.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn forget_dir(&self, id: DirId) -> Result<(), JournalError> {
        for table in ["skipped", "trouble", "unreadable", "remote"] {
            self.tx
                .prepare_cached(&format!("DELETE FROM {table} WHERE dir_id = ?1"))?
                .execute([id.0])?;
        }
        self.tx
            .prepare_cached("UPDATE dir SET move_from = NULL WHERE move_from = ?1")?
            .execute([id.0])?;
        self.tx.prepare_cached("DELETE FROM dir WHERE id = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// The copy of a directory may go, or may be somewhere else: it is not known to exist any more.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dir_uncertain(&self, id: DirId) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("UPDATE dir SET created_at_ms = NULL WHERE id = ?1")?
            .execute([id.0])?;
        Ok(())
    }
}
