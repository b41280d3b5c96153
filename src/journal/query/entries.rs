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
    /// Absent on disk; the copy is kept, or waits to be deleted.
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
    /// The upload that was started and not finished.
    pub upload: Option<OpenUpload>,
    /// When its copy is to be deleted, since it is gone; [`NEVER_MS`]: not by itself.
    pub delete_at_ms: Option<i64>,
}

/// A started upload, as far as people need to know it: the confirm key stays in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenUpload {
    /// Every byte arrived; only the confirmation is missing.
    pub posted: bool,
    /// When it was started.
    pub started_at_ms: i64,
    /// Bytes of the state that is sent.
    pub size: u64,
    /// Of an upload in parts: what arrived, as far as we were told.
    pub parts: Option<PartsDone>,
}

/// How far an upload in parts got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartsDone {
    /// Parts that arrived.
    pub arrived: u64,
    /// How many there are.
    pub of: u64,
    /// Bytes that arrived.
    pub bytes: u64,
}

/// A folder, with everything below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderStatus {
    /// Files that are on disk, as last seen.
    pub files: u64,
    /// Those that are not mirrored.
    pub waiting: u64,
    /// Those of them that are blocked.
    pub blocked: u64,
    /// Directories that are not made on the remote yet.
    pub pending_directories: u64,
    /// Directories that could not be read here or made there.
    pub failed_directories: u64,
    /// Entries that are left out.
    pub skipped: u64,
}

impl Reader {
    /// One entry of a mirror.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn file(&self, mirror: MirrorId, path: &RelPath) -> Result<FileStatus, JournalError> {
        let unknown = FileStatus {
            state: EntryState::Unknown,
            row: None,
            trouble: None,
            upload: None,
            delete_at_ms: None,
        };
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
        let upload = self
            .connection
            .prepare_cached(
                "SELECT stage = 'posted', started_at_ms, size, part_size,
                        (SELECT count(*) FROM part p WHERE p.confirm_key = u.confirm_key AND p.sent)
                   FROM upload u WHERE dir_id = ?1 AND name = ?2",
            )?
            .query_row(params![dir, name], |row| {
                let size = row.get::<_, i64>(2)?.cast_unsigned();
                let part_size = row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned);
                let arrived = row.get::<_, i64>(4)?.cast_unsigned();
                Ok(OpenUpload {
                    posted: row.get(0)?,
                    started_at_ms: row.get(1)?,
                    size,
                    parts: part_size.filter(|bytes| *bytes > 0).map(|part_size| PartsDone {
                        arrived,
                        of: size.div_ceil(part_size),
                        bytes: arrived.saturating_mul(part_size).min(size),
                    }),
                })
            })
            .optional()?;
        let state = match row.next_at_ms {
            _ if row.gone_at_ms.is_some() => EntryState::Gone,
            // Nothing to do is not enough: the row itself must be the proof.
            None if row.is_synced() => EntryState::Synced,
            None => EntryState::Pending,
            Some(NEVER_MS) => EntryState::Blocked,
            Some(_) if upload.is_some() => EntryState::Uploading,
            Some(_) if trouble.as_ref().is_some_and(|t| t.attempts > 0) => EntryState::Retrying,
            Some(_) => EntryState::Pending,
        };
        let delete_at_ms = self
            .connection
            .prepare_cached("SELECT delete_at_ms FROM file WHERE dir_id = ?1 AND name = ?2")?
            .query_row(params![dir, name], |row| row.get(0))?;
        Ok(FileStatus { state, row: Some(row), trouble, upload, delete_at_ms })
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

    /// What a folder holds, with everything below it. `None`: the journal does not know it, or knows
    /// that it is gone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn below(
        &self,
        mirror: MirrorId,
        path: &RelPath,
    ) -> Result<Option<FolderStatus>, JournalError> {
        if self.known_dir(mirror, path)?.is_none_or(|dir| dir.gone) {
            return Ok(None);
        }
        let (from, upto) = dirs::subtree(path);
        let within = "d.mirror_id = ?1 AND d.gone_at_ms IS NULL
                        AND (d.path = ?2 OR (d.path >= ?3 AND (?4 IS NULL OR d.path < ?4)))";
        // What lies in a directory that cannot be read is not known, let alone mirrored.
        let (failed, pending): (i64, i64) = self
            .connection
            .prepare_cached(&format!(
                "SELECT count(coalesce(u.dir_id, t.dir_id)), count(d.next_at_ms) FROM dir d
                   LEFT JOIN unreadable u ON u.dir_id = d.id
                   LEFT JOIN trouble t ON t.dir_id = d.id AND t.name = x'' WHERE {within}"
            ))?
            .query_row(params![mirror.0, path.as_bytes(), from, upto], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let (files, waiting, blocked): (i64, i64, i64) = self
            .connection
            .prepare_cached(&format!(
                "SELECT count(*), count(f.next_at_ms), count(*) FILTER (WHERE f.next_at_ms = ?5)
                   FROM dir d JOIN file f ON f.dir_id = d.id WHERE f.gone_at_ms IS NULL AND {within}"
            ))?
            .query_row(params![mirror.0, path.as_bytes(), from, upto, NEVER_MS], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let skipped: i64 = self
            .connection
            .prepare_cached(&format!(
                "SELECT count(*) FROM dir d JOIN skipped s ON s.dir_id = d.id WHERE {within}"
            ))?
            .query_row(params![mirror.0, path.as_bytes(), from, upto], |row| row.get(0))?;
        Ok(Some(FolderStatus {
            skipped: skipped.cast_unsigned(),
            files: files.cast_unsigned(),
            waiting: waiting.cast_unsigned(),
            blocked: blocked.cast_unsigned(),
            pending_directories: pending.cast_unsigned(),
            failed_directories: failed.cast_unsigned(),
        }))
    }
}
