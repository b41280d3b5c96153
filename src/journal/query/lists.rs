//! Lists of a mirror: what waits, what is left out, what is wrong.

use rusqlite::{OptionalExtension, Row, params};

use super::{Reader, entry_path};
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::journal::JournalError;
use crate::journal::dirs::{subtree, to_sql_limit};
use crate::journal::notes::{ALL_TROUBLE, TROUBLE_COLUMNS, skip_reason, trouble_row};
use crate::journal::rows::{MirrorId, NEVER_MS, SkipReason, TroubleRow};
use crate::relpath::RelPath;

/// A file that is not mirrored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingFile {
    /// Where it is.
    pub path: RelPath,
    /// What it was when it was last seen.
    pub seen: Fingerprint,
    /// Whether the service has an older version.
    pub known: bool,
}

/// A file that is gone and whose copy is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// Where it was.
    pub path: RelPath,
    /// Bytes of the copy.
    pub size: u64,
    /// When the copy is to be deleted.
    pub delete_at_ms: i64,
}

/// An entry that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedPath {
    /// Where it is.
    pub path: RelPath,
    /// Why.
    pub reason: SkipReason,
}

/// An entry with what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TroublePath {
    /// Where it is.
    pub path: RelPath,
    /// What is wrong.
    pub trouble: TroubleRow,
    /// When it is tried again; `None`: not by itself.
    pub next_at_ms: Option<i64>,
}

/// What is wrong below a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Troubles {
    /// How many entries have trouble.
    pub total: u64,
    /// The newest of them.
    pub newest: Vec<TroublePath>,
}

/// Trouble with its path and its next try.
pub(super) fn troubles_sql() -> String {
    format!(
        "SELECT {TROUBLE_COLUMNS}, d.path,
                CASE WHEN t.reading THEN NULL WHEN t.name = x'' THEN coalesce(d.next_at_ms, d.delete_at_ms)
                     ELSE coalesce(f.next_at_ms, f.delete_at_ms) END
           FROM {ALL_TROUBLE} t JOIN dir d ON d.id = t.dir_id
           LEFT JOIN file f ON f.dir_id = t.dir_id AND f.name = t.name"
    )
}

impl Reader {
    /// Everything that is left out of a mirror, in order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn skipped(&self, mirror: MirrorId) -> Result<Vec<SkippedPath>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT d.path, s.name, s.reason FROM skipped s JOIN dir d ON d.id = s.dir_id
              WHERE d.mirror_id = ?1 ORDER BY d.path, s.name",
        )?;
        let rows = statement.query_map([mirror.0], |row| {
            let name: Vec<u8> = row.get(1)?;
            Ok(SkippedPath { path: entry_path(row, 0, &name)?, reason: skip_reason(row, 2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Files of a mirror that are not mirrored yet and not blocked, in order; at most `limit`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn pending(
        &self,
        mirror: MirrorId,
        limit: usize,
    ) -> Result<Vec<PendingFile>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT d.path, f.name, f.size, f.mtime_ns, f.ctime_ns, f.inode, f.confirmed_at_ms IS NOT NULL
               FROM file f JOIN dir d ON d.id = f.dir_id
              WHERE d.mirror_id = ?1 AND f.next_at_ms < ?2 ORDER BY d.path, f.name LIMIT ?3",
        )?;
        let rows =
            statement.query_map(params![mirror.0, NEVER_MS, to_sql_limit(limit)], |row| {
                let name: Vec<u8> = row.get(1)?;
                Ok(PendingFile {
                    path: entry_path(row, 0, &name)?,
                    seen: Fingerprint {
                        size: row.get::<_, i64>(2)?.cast_unsigned(),
                        mtime_ns: row.get(3)?,
                        ctime_ns: row.get(4)?,
                        inode: row.get::<_, i64>(5)?.cast_unsigned(),
                    },
                    known: row.get(6)?,
                })
            })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Directories of a mirror of which nothing, or not everything, could be read, and why, in order; at most `limit`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unreadable(
        &self,
        mirror: MirrorId,
        limit: usize,
    ) -> Result<Vec<(RelPath, String)>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT d.path, u.message FROM unreadable u JOIN dir d ON d.id = u.dir_id
              WHERE d.mirror_id = ?1 ORDER BY d.path LIMIT ?2",
        )?;
        let rows = statement.query_map(params![mirror.0, to_sql_limit(limit)], |row| {
            Ok((RelPath::from_bytes(row.get(0)?), row.get(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Files that are gone and whose copies are to be deleted, in order; at most `limit`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn doomed(&self, mirror: MirrorId, limit: usize) -> Result<Vec<Doomed>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT d.path, f.name, f.size, f.delete_at_ms FROM file f JOIN dir d ON d.id = f.dir_id
              WHERE d.mirror_id = ?1 AND f.delete_at_ms < ?2 ORDER BY d.path, f.name LIMIT ?3",
        )?;
        let rows =
            statement.query_map(params![mirror.0, NEVER_MS, to_sql_limit(limit)], |row| {
                let name: Vec<u8> = row.get(1)?;
                Ok(Doomed {
                    path: entry_path(row, 0, &name)?,
                    size: row.get::<_, i64>(2)?.cast_unsigned(),
                    delete_at_ms: row.get(3)?,
                })
            })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What is wrong with one file or directory.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn trouble(
        &self,
        mirror: MirrorId,
        path: &RelPath,
    ) -> Result<Option<TroublePath>, JournalError> {
        let (parent, name) = match path.split() {
            Some((parent, name)) => (Some(parent), name),
            None => (None, [].as_slice()),
        };
        let parent = parent.as_ref().map(RelPath::as_bytes);
        Ok(self
            .connection
            .prepare_cached(&format!(
                "{} WHERE d.mirror_id = ?1
                    AND ((d.path = ?2 AND t.name = x'') OR (d.path = ?3 AND t.name = ?4))
                  ORDER BY t.reading DESC LIMIT 1",
                troubles_sql()
            ))?
            .query_row(params![mirror.0, path.as_bytes(), parent, name], trouble_path)
            .optional()?)
    }

    /// What is wrong with the entries of a mirror, at `path` and below it, the newest first: at most
    /// `limit` of them, and how many there are.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn troubles(
        &self,
        mirror: MirrorId,
        path: &RelPath,
        limit: usize,
    ) -> Result<Troubles, JournalError> {
        let (from, upto) = subtree(path);
        // A file is named by its directory and its name: the path itself is one, or a directory.
        let (parent, name) = match path.split() {
            Some((parent, name)) => (Some(parent), name),
            None => (None, [].as_slice()),
        };
        let within =
            "d.mirror_id = ?1 AND (d.path = ?2 OR (d.path >= ?3 AND (?4 IS NULL OR d.path < ?4))
                        OR (d.path = ?5 AND t.name = ?6))";
        let parent = parent.as_ref().map(RelPath::as_bytes);
        let total: i64 = self
            .connection
            .prepare_cached(&format!(
                "SELECT count(*) FROM {ALL_TROUBLE} t JOIN dir d ON d.id = t.dir_id WHERE {within}"
            ))?
            .query_row(params![mirror.0, path.as_bytes(), from, upto, parent, name], |row| {
                row.get(0)
            })?;
        let mut statement = self.connection.prepare_cached(&format!(
            "{} WHERE {within} ORDER BY t.last_at_ms DESC, d.path, t.name LIMIT ?7",
            troubles_sql()
        ))?;
        let rows = statement.query_map(
            params![mirror.0, path.as_bytes(), from, upto, parent, name, to_sql_limit(limit)],
            trouble_path,
        )?;
        Ok(Troubles { total: total.cast_unsigned(), newest: rows.collect::<Result<_, _>>()? })
    }
}

impl Reader {
    /// How many entries of a mirror something is wrong with, by class.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn troubles_by_class(&self, mirror: MirrorId) -> Result<Vec<(Class, u64)>, JournalError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT t.class, count(*) FROM {ALL_TROUBLE} t JOIN dir d ON d.id = t.dir_id
              WHERE d.mirror_id = ?1 GROUP BY t.class"
        ))?;
        let mut found = std::collections::BTreeMap::<Class, u64>::new();
        let mut rows = statement.query([mirror.0])?;
        while let Some(row) = rows.next()? {
            // A class of another version reads as a defect.
            let class = row.get::<_, String>(0)?.parse().unwrap_or(Class::Defect);
            *found.entry(class).or_default() += row.get::<_, i64>(1)?.cast_unsigned();
        }
        Ok(found.into_iter().collect())
    }
}

/// Reads a row of [`troubles_sql`].
pub(super) fn trouble_path(row: &Row<'_>) -> rusqlite::Result<TroublePath> {
    let trouble = trouble_row(row)?;
    let path = entry_path(row, 10, &trouble.id.name)?;
    let next_at_ms: Option<i64> = row.get(11)?;
    Ok(TroublePath { path, trouble, next_at_ms: next_at_ms.filter(|next| *next != NEVER_MS) })
}
