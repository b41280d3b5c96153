//! One folder as the journal knows it, a range of names at a time: what an audit compares with the disk.

use rusqlite::{OptionalExtension, params};

use super::Reader;
use crate::journal::JournalError;
use crate::journal::files::{COLUMNS, file_row};
use crate::journal::rows::{DirId, FileRow, MirrorId};
use crate::relpath::RelPath;

/// A directory that the journal knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDir {
    /// Its number.
    pub id: DirId,
    /// Its name in the directory above; empty for the root.
    pub name: Vec<u8>,
    /// It was absent when it was last looked for.
    pub gone: bool,
    /// The service acknowledged it.
    pub created: bool,
}

impl Reader {
    /// The directory at `path`, if the journal knows it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn known_dir(
        &self,
        mirror: MirrorId,
        path: &RelPath,
    ) -> Result<Option<KnownDir>, JournalError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT id, path, gone_at_ms IS NOT NULL, created_at_ms IS NOT NULL FROM dir
                  WHERE mirror_id = ?1 AND path = ?2",
            )?
            .query_row(params![mirror.0, path.as_bytes()], known_dir)
            .optional()?)
    }

    /// Files of `dir` whose names lie after `after` and up to `upto`, in order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn files_between(
        &self,
        dir: DirId,
        after: Option<&[u8]>,
        upto: Option<&[u8]>,
    ) -> Result<Vec<FileRow>, JournalError> {
        // Two statements: with `upto` optional in one, its bound would not narrow the search.
        let after = after.unwrap_or_default();
        let rows = match upto {
            Some(upto) => self
                .connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM file f WHERE f.dir_id = ?1 AND f.name > ?2 AND f.name <= ?3 ORDER BY f.name"
                ))?
                .query_map(params![dir.0, after, upto], file_row)?
                .collect::<Result<_, _>>()?,
            None => self
                .connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM file f WHERE f.dir_id = ?1 AND f.name > ?2 ORDER BY f.name"
                ))?
                .query_map(params![dir.0, after], file_row)?
                .collect::<Result<_, _>>()?,
        };
        Ok(rows)
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
    ) -> Result<Vec<KnownDir>, JournalError> {
        let after = after.map(RelPath::as_bytes).unwrap_or_default();
        let rows = match upto {
            Some(upto) => self
                .connection
                .prepare_cached(
                    "SELECT id, path, gone_at_ms IS NOT NULL, created_at_ms IS NOT NULL FROM dir
                      WHERE parent_id = ?1 AND path > ?2 AND path <= ?3 ORDER BY path",
                )?
                .query_map(params![parent.0, after, upto.as_bytes()], known_dir)?
                .collect::<Result<_, _>>()?,
            None => self
                .connection
                .prepare_cached(
                    "SELECT id, path, gone_at_ms IS NOT NULL, created_at_ms IS NOT NULL FROM dir
                      WHERE parent_id = ?1 AND path > ?2 ORDER BY path",
                )?
                .query_map(params![parent.0, after], known_dir)?
                .collect::<Result<_, _>>()?,
        };
        Ok(rows)
    }
}

fn known_dir(row: &rusqlite::Row<'_>) -> rusqlite::Result<KnownDir> {
    let path = RelPath::from_bytes(row.get(1)?);
    Ok(KnownDir {
        id: DirId(row.get(0)?),
        name: path.split().map(|(_, name)| name.to_vec()).unwrap_or_default(),
        gone: row.get(2)?,
        created: row.get(3)?,
    })
}
