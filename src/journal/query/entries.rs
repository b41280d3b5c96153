//! Single entries: in which state they are, and what is in a folder.

use rusqlite::{OptionalExtension, params};

use super::Reader;
use crate::journal::files::{COLUMNS, file_row};
use crate::journal::notes::{TROUBLE_COLUMNS, skip_reason, trouble_row};
use crate::journal::rows::{FileRow, MirrorId, NEVER_MS, SkipReason, TroubleRow};
use crate::journal::{JournalError, dirs};
use crate::relpath::RelPath;

/// In which state one entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryState {
    /// The service acknowledged what is on disk.
    Synced,
    /// Changed, waiting for rest or for its turn.
    Pending,
    /// Started on the service and not finished.
    Uploading,
    /// Failed, will be tried again by itself.
    Retrying,
    /// Failed, waiting for a change.
    Blocked,
    /// Left out on purpose.
    Skipped(SkipReason),
    /// Absent on disk; the copy is kept on the remote.
    Gone,
    /// Never seen by a scan.
    Unknown,
}

impl EntryState {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EntryState::Synced => "synced",
            EntryState::Pending => "pending",
            EntryState::Uploading => "uploading",
            EntryState::Retrying => "retrying",
            EntryState::Blocked => "blocked",
            EntryState::Skipped(_) => "skipped",
            EntryState::Gone => "gone",
            EntryState::Unknown => "unknown",
        }
    }
}

/// One file as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStatus {
    /// The state.
    pub state: EntryState,
    /// Its row; `None` when it is skipped or unknown.
    pub row: Option<FileRow>,
    /// What is wrong with it.
    pub trouble: Option<TroubleRow>,
}

impl Reader {
    /// One entry of a mirror.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn file(&self, mirror: MirrorId, path: &RelPath) -> Result<FileStatus, JournalError> {
        let unknown = FileStatus { state: EntryState::Unknown, row: None, trouble: None };
        let Some((dir_path, name)) = path.split() else { return Ok(unknown) };
        let dir: Option<i64> = self.dir_id(mirror, &dir_path)?;
        let Some(dir) = dir else { return self.skipped_above(mirror, path, unknown) };
        let trouble = self
            .connection
            .prepare_cached(&format!(
                "SELECT {TROUBLE_COLUMNS} FROM trouble t WHERE t.dir_id = ?1 AND t.name = ?2"
            ))?
            .query_row(params![dir, name], trouble_row)
            .optional()?;
        let row = self
            .connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM file f WHERE f.dir_id = ?1 AND f.name = ?2"
            ))?
            .query_row(params![dir, name], file_row)
            .optional()?;
        let Some(row) = row else { return self.skipped_above(mirror, path, unknown) };
        let uploading: bool = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM upload WHERE dir_id = ?1 AND name = ?2)")?
            .query_row(params![dir, name], |found| found.get(0))?;
        let state = match row.next_at_ms {
            _ if row.gone_at_ms.is_some() => EntryState::Gone,
            None => EntryState::Synced,
            Some(NEVER_MS) => EntryState::Blocked,
            Some(_) if uploading => EntryState::Uploading,
            Some(_) if trouble.as_ref().is_some_and(|t| t.attempts > 0) => EntryState::Retrying,
            Some(_) => EntryState::Pending,
        };
        Ok(FileStatus { state, row: Some(row), trouble })
    }

    /// The path itself, or a directory on the way to it, may be left out.
    fn skipped_above(
        &self,
        mirror: MirrorId,
        path: &RelPath,
        unknown: FileStatus,
    ) -> Result<FileStatus, JournalError> {
        let mut step = path.clone();
        while let Some((dir_path, name)) = step.split() {
            if let Some(dir) = self.dir_id(mirror, &dir_path)? {
                let reason = self
                    .connection
                    .prepare_cached("SELECT reason FROM skipped WHERE dir_id = ?1 AND name = ?2")?
                    .query_row(params![dir, name], |row| skip_reason(row, 0))
                    .optional()?;
                if let Some(reason) = reason {
                    return Ok(FileStatus { state: EntryState::Skipped(reason), ..unknown });
                }
            }
            step = dir_path;
        }
        Ok(unknown)
    }

    fn dir_id(&self, mirror: MirrorId, path: &RelPath) -> Result<Option<i64>, JournalError> {
        Ok(self
            .connection
            .prepare_cached("SELECT id FROM dir WHERE mirror_id = ?1 AND path = ?2")?
            .query_row(params![mirror.0, path.as_bytes()], |row| row.get(0))
            .optional()?)
    }

    /// Files in a directory and below it: all of them, those that are not mirrored, and the directories
    /// that could not be read or made. `None`: the
    /// journal does not know the directory.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn below(
        &self,
        mirror: MirrorId,
        path: &RelPath,
    ) -> Result<Option<(u64, u64, u64)>, JournalError> {
        let known: Option<bool> = self
            .connection
            .prepare_cached(
                "SELECT gone_at_ms IS NULL FROM dir WHERE mirror_id = ?1 AND path = ?2",
            )?
            .query_row(params![mirror.0, path.as_bytes()], |row| row.get(0))
            .optional()?;
        if known != Some(true) {
            return Ok(None);
        }
        let (from, upto) = dirs::subtree(path);
        // What lies in a directory that cannot be read is not known, let alone mirrored.
        let unreadable: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM dir d JOIN trouble t ON t.dir_id = d.id AND t.name = x''
                  WHERE d.mirror_id = ?1 AND d.gone_at_ms IS NULL
                    AND (d.path = ?2 OR (d.path >= ?3 AND (?4 IS NULL OR d.path < ?4)))",
            )?
            .query_row(params![mirror.0, path.as_bytes(), from, upto], |row| row.get(0))?;
        let (files, waiting) = self
            .connection
            .prepare_cached(
                "SELECT count(*), count(f.next_at_ms) FROM dir d JOIN file f ON f.dir_id = d.id
                      WHERE d.mirror_id = ?1 AND f.gone_at_ms IS NULL
                        AND (d.path = ?2 OR (d.path >= ?3 AND (?4 IS NULL OR d.path < ?4)))",
            )?
            .query_row(params![mirror.0, path.as_bytes(), from, upto], |row| {
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
            })?;
        Ok(Some((files, waiting, unreadable.cast_unsigned())))
    }
}
