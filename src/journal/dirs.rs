//! Rows of `dir`: the directories of a mirror, and which of them exist on the remote.

use rusqlite::{OptionalExtension, Row, ToSql, params};

use super::rows::{DirId, DirRow, MirrorId, NEVER_MS};
use super::{JournalError, Turn};
use crate::relpath::RelPath;

/// The columns of [`dir_row`], in its order.
pub(super) const DIR_COLUMNS: &str = "id, mirror_id, parent_id, path, created_at_ms, next_at_ms, gone_at_ms, \
     listed_at_ms, inode, mounted, fsid";

impl Turn<'_> {
    /// A directory by its number.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dir(&self, id: DirId) -> Result<Option<DirRow>, JournalError> {
        Ok(self
            .tx
            .prepare_cached(&format!("SELECT {DIR_COLUMNS} FROM dir WHERE id = ?1"))?
            .query_row([id.0], dir_row)
            .optional()?)
    }

    /// A directory by its path.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dir_at(&self, mirror: MirrorId, path: &RelPath) -> Result<Option<DirRow>, JournalError> {
        Ok(self
            .tx
            .prepare_cached(&format!(
                "SELECT {DIR_COLUMNS} FROM dir WHERE mirror_id = ?1 AND path = ?2"
            ))?
            .query_row(params![mirror.0, path.as_bytes()], dir_row)
            .optional()?)
    }

    /// Adds a directory that appeared on disk.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn insert_dir(
        &self,
        mirror: MirrorId,
        parent: Option<DirId>,
        path: &RelPath,
        next_at_ms: Option<i64>,
    ) -> Result<DirId, JournalError> {
        self.tx
            .prepare_cached(
                "INSERT INTO dir (mirror_id, parent_id, path, next_at_ms) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![mirror.0, parent.map(|id| id.0), path.as_bytes(), next_at_ms])?;
        Ok(DirId(self.tx.last_insert_rowid()))
    }

    /// The topmost directory on the way to `id` that the remote was not asked about, `id` itself included.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn first_unlisted(&self, id: DirId) -> Result<Option<DirRow>, JournalError> {
        let mut first = None;
        let mut step = Some(id);
        while let Some(current) = step {
            let Some(row) = self.dir(current)? else { break };
            step = row.parent;
            if row.listed_at_ms.is_none() {
                first = Some(row);
            }
        }
        Ok(first)
    }

    /// Directories directly in `parent` whose paths lie after `after` and up to `upto`, in order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dirs_between(
        &self,
        parent: DirId,
        after: Option<&RelPath>,
        upto: Option<&RelPath>,
    ) -> Result<Vec<DirRow>, JournalError> {
        // No path but that of the root is empty, and the root is in nothing.
        let after = after.map(RelPath::as_bytes).unwrap_or_default();
        // Two statements: with `upto` optional in one, its bound would not narrow the search.
        let rows = match upto {
            Some(upto) => self
                .tx
                .prepare_cached(&format!(
                    "SELECT {DIR_COLUMNS} FROM dir WHERE parent_id = ?1 AND path > ?2 AND path <= ?3 ORDER BY path"
                ))?
                .query_map(params![parent.0, after, upto.as_bytes()], dir_row)?
                .collect::<Result<_, _>>()?,
            None => self
                .tx
                .prepare_cached(&format!(
                    "SELECT {DIR_COLUMNS} FROM dir WHERE parent_id = ?1 AND path > ?2 ORDER BY path"
                ))?
                .query_map(params![parent.0, after], dir_row)?
                .collect::<Result<_, _>>()?,
        };
        Ok(rows)
    }

    /// When to create a directory on the remote; [`NEVER_MS`] for a blocked one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_dir_next(&self, id: DirId, next_at_ms: Option<i64>) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("UPDATE dir SET next_at_ms = ?2 WHERE id = ?1")?
            .execute(params![id.0, next_at_ms])?;
        Ok(())
    }

    /// The directory is on disk again.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dir_is_back(&self, id: DirId, next_at_ms: Option<i64>) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE dir SET gone_at_ms = NULL, delete_at_ms = NULL, next_at_ms = ?2 WHERE id = ?1",
            )?
            .execute(params![id.0, next_at_ms])?;
        Ok(())
    }

    /// The service acknowledged a directory, and with it every directory above.
    /// Gives the directories that were not known to exist until now.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dir_created(&self, id: DirId, at_ms: i64) -> Result<Vec<DirId>, JournalError> {
        let mut news = Vec::new();
        let mut step = Some(id);
        while let Some(current) = step {
            let Some(row) = self.dir(current)? else { break };
            if row.created_at_ms.is_none() || row.next_at_ms.is_some() {
                self.tx
                    .prepare_cached(
                        "UPDATE dir SET created_at_ms = coalesce(created_at_ms, ?2), next_at_ms = NULL WHERE id = ?1",
                    )?
                    .execute(params![current.0, at_ms])?;
                self.tx
                    .prepare_cached("DELETE FROM trouble WHERE dir_id = ?1 AND name = x''")?
                    .execute([current.0])?;
                news.push(current);
            }
            step = row.parent;
        }
        Ok(news)
    }

    /// The service does not know a directory that was created before: it and everything below it must
    /// be made again. Nothing is known of the copies of the files in it: they are compared with what is there, or sent.
    /// Gives the number of files.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dir_lost(&self, id: DirId, next_at_ms: i64) -> Result<u64, JournalError> {
        let Some(row) = self.dir(id)? else { return Ok(0) };
        let (from, upto) = subtree(&row.path);
        let all = at_and_below(upto.is_some());
        self.tx
            .prepare_cached(&format!(
                "UPDATE dir SET created_at_ms = NULL, next_at_ms = coalesce(next_at_ms, ?5)
                  WHERE created_at_ms IS NOT NULL AND gone_at_ms IS NULL AND id IN ({all})"
            ))?
            .execute(params![row.mirror.0, id.0, from, upto, next_at_ms])?;
        self.tx
            .prepare_cached(&format!("UPDATE dir SET listed_at_ms = NULL WHERE id IN ({all})"))?
            .execute(params![row.mirror.0, id.0, from, upto])?;
        self.tx
            .prepare_cached(&format!(
                "UPDATE file SET unsure = 1 WHERE gone_at_ms IS NOT NULL AND dir_id IN ({all})"
            ))?
            .execute(params![row.mirror.0, id.0, from, upto])?;
        let files = self
            .tx
            .prepare_cached(&format!(
                "UPDATE file SET confirmed_size = NULL, confirmed_mtime_ns = NULL, confirmed_ctime_ns = NULL,
                        confirmed_inode = NULL, full_hash = NULL, crc64 = NULL, confirmed_at_ms = NULL, unsure = 0,
                        changed_at_ms = coalesce(changed_at_ms, ?5), next_at_ms = coalesce(next_at_ms, ?5)
                  WHERE confirmed_at_ms IS NOT NULL AND gone_at_ms IS NULL AND dir_id IN ({all})"
            ))?
            .execute(params![row.mirror.0, id.0, from, upto, next_at_ms])?;
        Ok(u64::try_from(files).unwrap_or(u64::MAX))
    }

    /// The topmost directory on the way to `id` that is not known to exist, `id` itself included.
    /// Two creations that share it would race: it is the key of a single flight.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn first_missing(&self, id: DirId) -> Result<Option<DirId>, JournalError> {
        let mut first = None;
        let mut step = Some(id);
        while let Some(current) = step {
            let Some(row) = self.dir(current)? else { break };
            if row.created_at_ms.is_some() {
                break;
            }
            first = Some(current);
            step = row.parent;
        }
        Ok(first)
    }

    /// Directories of a mirror that are due to be created, the deepest of a branch first: one call makes those
    /// above.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn due_dirs(
        &self,
        mirror: MirrorId,
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<DirRow>, JournalError> {
        // The second bound is that of the index, word for word: without it the index does not serve.
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT {DIR_COLUMNS} FROM dir INDEXED BY dir_wanted
              WHERE mirror_id = ?1 AND next_at_ms IS NOT NULL AND next_at_ms < {NEVER_MS} AND next_at_ms <= ?2
              ORDER BY path DESC LIMIT ?3"
        ))?;
        let rows = statement.query_map(params![mirror.0, now_ms, to_sql_limit(limit)], dir_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next directory is due after `now_ms`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn next_dir_due(&self, now_ms: i64) -> Result<Option<i64>, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT min(next_at_ms) FROM dir WHERE next_at_ms > ?1 AND next_at_ms < ?2",
            )?
            .query_row([now_ms, NEVER_MS], |row| row.get(0))?)
    }

    /// The numbers of a directory and of all below it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dirs_at_and_below(&self, row: &DirRow) -> Result<Vec<DirId>, JournalError> {
        let (from, upto) = subtree(&row.path);
        let mut statement = self.tx.prepare_cached(at_and_below(upto.is_some()))?;
        let ids = statement
            .query_map(params![row.mirror.0, row.id.0, from, upto], |row| row.get(0).map(DirId))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// Which directory it is on disk, and whether something is mounted there, from the filesystem `fsid`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_dir_mark(
        &self,
        id: DirId,
        inode: u64,
        mounted: bool,
        fsid: u64,
    ) -> Result<(), JournalError> {
        let inode = (inode != 0).then(|| inode.cast_signed());
        self.tx
            .prepare_cached("UPDATE dir SET inode = ?2, mounted = ?3, fsid = ?4 WHERE id = ?1")?
            .execute(params![id.0, inode, mounted, fsid.cast_signed()])?;
        Ok(())
    }

    /// A directory is absent on disk with everything in it. What was confirmed stays known, and its copy is deleted
    /// at `delete_at_ms`, or kept; what never was is forgotten. Gives the number of files that are gone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn tree_gone(
        &self,
        id: DirId,
        at_ms: i64,
        delete_at_ms: Option<i64>,
    ) -> Result<u64, JournalError> {
        let Some(row) = self.dir(id)? else { return Ok(0) };
        let (from, upto) = subtree(&row.path);
        let all = at_and_below(upto.is_some());
        let within: [&dyn ToSql; 4] = [&row.mirror.0, &id.0, &from, &upto];
        for table in ["skipped", "trouble", "unreadable"] {
            self.tx
                .execute(&format!("DELETE FROM {table} WHERE dir_id IN ({all})"), &within[..])?;
        }
        self.tx.execute(
            &format!("DELETE FROM file WHERE dir_id IN ({all}) AND confirmed_at_ms IS NULL"),
            &within[..],
        )?;
        let gone = self.tx.execute(
            &format!(
                "UPDATE file SET gone_at_ms = ?5, delete_at_ms = ?6, next_at_ms = NULL, changed_at_ms = NULL
                  WHERE gone_at_ms IS NULL AND dir_id IN ({all})"
            ),
            params![row.mirror.0, id.0, from, upto, at_ms, delete_at_ms],
        )?;
        self.tx.execute(
            &format!(
                "UPDATE dir SET gone_at_ms = ?5, delete_at_ms = ?6, next_at_ms = NULL
                  WHERE gone_at_ms IS NULL AND id IN ({all})"
            ),
            params![row.mirror.0, id.0, from, upto, at_ms, delete_at_ms],
        )?;
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    /// A directory is left out from now on, with everything in it: its copies stay, and are no longer ours to speak
    /// of, or to delete. Its rows remain for the uploads that are still open below it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn tree_left_out(&self, id: DirId, at_ms: i64) -> Result<(), JournalError> {
        let Some(row) = self.dir(id)? else { return Ok(()) };
        let (from, upto) = subtree(&row.path);
        let all = at_and_below(upto.is_some());
        for table in ["skipped", "trouble", "unreadable", "file"] {
            self.tx.execute(
                &format!("DELETE FROM {table} WHERE dir_id IN ({all})"),
                params![row.mirror.0, id.0, from, upto],
            )?;
        }
        self.tx.execute(
            &format!(
                "UPDATE dir SET gone_at_ms = coalesce(gone_at_ms, ?5), delete_at_ms = NULL, next_at_ms = NULL,
                        created_at_ms = NULL
                  WHERE id IN ({all})"
            ),
            params![row.mirror.0, id.0, from, upto, at_ms],
        )?;
        Ok(())
    }
}

/// The range of paths strictly below a directory: from `path/` up to, not including, `path0` (the byte after `/`).
pub(super) fn subtree(path: &RelPath) -> (Vec<u8>, Option<Vec<u8>>) {
    if path.is_root() {
        return (Vec::new(), None);
    }
    let mut from = path.as_bytes().to_vec();
    let mut upto = from.clone();
    from.push(b'/');
    upto.push(b'/' + 1);
    (from, Some(upto))
}

/// The numbers of directory ?2 of mirror ?1 and of those between ?3 and ?4, the ends of its [`subtree`]. With an
/// optional end in one statement, all that comes after it would be read: a tree that is removed from its leaves up
/// would cost the square of its directories.
pub(super) fn at_and_below(ends: bool) -> &'static str {
    if ends {
        "SELECT ?2 UNION ALL SELECT id FROM dir WHERE mirror_id = ?1 AND path >= ?3 AND path < ?4"
    } else {
        "SELECT ?2 UNION ALL SELECT id FROM dir WHERE mirror_id = ?1 AND path >= ?3 AND ?4 IS NULL"
    }
}

pub(super) fn to_sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Reads a row of [`DIR_COLUMNS`].
pub(super) fn dir_row(row: &Row<'_>) -> rusqlite::Result<DirRow> {
    Ok(DirRow {
        id: DirId(row.get(0)?),
        mirror: MirrorId(row.get(1)?),
        parent: row.get::<_, Option<i64>>(2)?.map(DirId),
        path: RelPath::from_bytes(row.get(3)?),
        created_at_ms: row.get(4)?,
        next_at_ms: row.get(5)?,
        gone_at_ms: row.get(6)?,
        listed_at_ms: row.get(7)?,
        inode: row.get::<_, Option<i64>>(8)?.map_or(0, i64::cast_unsigned),
        mounted: row.get(9)?,
        fsid: row.get::<_, i64>(10)?.cast_unsigned(),
    })
}
