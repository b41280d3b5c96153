//! What people ask the journal: read only, works with the daemon up, down or stuck (deterministic).

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::JournalError;
use super::files::{COLUMNS, file_row};
use super::notes::{TROUBLE_COLUMNS, skip_reason, trouble_row};
use super::open::{JOURNAL_FILE, Journal, open_reading};
use super::rows::{
    ConditionKind, ConditionRow, FileRow, MirrorId, NEVER_MS, SkipReason, TroubleRow,
};
use crate::relpath::RelPath;

/// A reading connection. One question sees one state: ask through [`Reader::snapshot`].
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

/// How many files of a mirror are in which state. Every file is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// On disk as the service acknowledged them.
    pub synced: u64,
    /// Changed, waiting for rest or for their turn.
    pub pending: u64,
    /// Started on the service and not finished.
    pub uploading: u64,
    /// Failed, will be tried again by itself.
    pub retrying: u64,
    /// Failed, waiting for a change of the file, the configuration or a person. Directories count here too.
    pub blocked: u64,
    /// Left out on purpose.
    pub skipped: u64,
    /// Directories still to be made on the remote.
    pub pending_directories: u64,
    /// Bytes of the synced files.
    pub synced_bytes: u64,
    /// Bytes of the files that are pending, uploading or retrying.
    pub pending_bytes: u64,
}

/// One mirror as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorStatus {
    /// Its number.
    pub id: MirrorId,
    /// Its name.
    pub name: String,
    /// End of the last complete scan.
    pub scanned_at_ms: Option<i64>,
    /// Something was missed and a scan must heal it.
    pub dirty: bool,
    /// Directories watched at the last word of the daemon.
    pub watched: u64,
    /// Directories polled instead.
    pub polled: u64,
    /// How often the kernel lost events.
    pub overflows: u64,
    /// Changes that only a scan found, in watched directories.
    pub missed: u64,
    /// Files by state.
    pub counts: Counts,
    /// Since when the longest waiting entry is not mirrored.
    pub oldest_pending_ms: Option<i64>,
    /// The newest failure.
    pub last_trouble: Option<TroubleRow>,
    /// Path of the newest failure.
    pub last_trouble_path: Option<RelPath>,
    /// What stops the mirror.
    pub conditions: Vec<ConditionRow>,
}

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

/// A file that is not mirrored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingFile {
    /// Where it is.
    pub path: RelPath,
    /// Bytes, as last seen.
    pub size: u64,
    /// Whether the service has an older version.
    pub known: bool,
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

impl Reader {
    /// Opens the journal in `state_dir` for reading.
    ///
    /// # Errors
    /// There is none, it cannot be read, or a newer program wrote it.
    pub fn open(state_dir: &Path) -> Result<Reader, JournalError> {
        Ok(Reader { connection: open_reading(&state_dir.join(JOURNAL_FILE))? })
    }

    /// Reads through the connection of a journal that is not written meanwhile.
    #[must_use]
    pub fn of(journal: Journal) -> Reader {
        Reader { connection: journal.connection }
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

    /// Every mirror, by name.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn mirrors(&self) -> Result<Vec<MirrorStatus>, JournalError> {
        let mut mirrors: Vec<MirrorStatus> = self
            .connection
            .prepare_cached(
                "SELECT id, name, scanned_at_ms, dirty, watched, polled, overflows, missed FROM mirror ORDER BY name",
            )?
            .query_map([], |row| {
                Ok(MirrorStatus {
                    id: MirrorId(row.get(0)?),
                    name: row.get(1)?,
                    scanned_at_ms: row.get(2)?,
                    dirty: row.get(3)?,
                    watched: row.get::<_, i64>(4)?.cast_unsigned(),
                    polled: row.get::<_, i64>(5)?.cast_unsigned(),
                    overflows: row.get::<_, i64>(6)?.cast_unsigned(),
                    missed: row.get::<_, i64>(7)?.cast_unsigned(),
                    counts: Counts::default(),
                    oldest_pending_ms: None,
                    last_trouble: None,
                    last_trouble_path: None,
                    conditions: Vec::new(),
                })
            })?
            .collect::<Result<_, _>>()?;
        for mirror in &mut mirrors {
            self.fill(mirror)?;
        }
        Ok(mirrors)
    }

    fn fill(&self, mirror: &mut MirrorStatus) -> Result<(), JournalError> {
        let id = mirror.id.0;
        let counts = &mut mirror.counts;
        (counts.synced, counts.synced_bytes) = self
            .connection
            .prepare_cached(
                "SELECT count(*), coalesce(sum(f.size), 0) FROM dir d JOIN file f ON f.dir_id = d.id
                  WHERE d.mirror_id = ?1 AND f.next_at_ms IS NULL AND f.gone_at_ms IS NULL",
            )?
            .query_row([id], |row| {
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
            })?;
        let mut statement = self.connection.prepare_cached(
            "SELECT f.next_at_ms, u.confirm_key IS NOT NULL, coalesce(t.attempts, 0) > 0, count(*), sum(f.size),
                    min(f.changed_at_ms)
               FROM file f INDEXED BY file_due
               JOIN dir d ON d.id = f.dir_id
               LEFT JOIN upload u ON u.dir_id = f.dir_id AND u.name = f.name
               LEFT JOIN trouble t ON t.dir_id = f.dir_id AND t.name = f.name
              WHERE f.next_at_ms IS NOT NULL AND d.mirror_id = ?1
              GROUP BY f.next_at_ms = ?2, 2, 3",
        )?;
        let mut rows = statement.query([id, NEVER_MS])?;
        while let Some(row) = rows.next()? {
            let blocked = row.get::<_, i64>(0)? == NEVER_MS;
            let (uploading, failed): (bool, bool) = (row.get(1)?, row.get(2)?);
            let count = row.get::<_, i64>(3)?.cast_unsigned();
            let bytes = row.get::<_, i64>(4)?.cast_unsigned();
            let since: Option<i64> = row.get(5)?;
            let slot = match (blocked, uploading, failed) {
                (true, ..) => &mut counts.blocked,
                (_, true, _) => &mut counts.uploading,
                (_, _, true) => &mut counts.retrying,
                _ => &mut counts.pending,
            };
            *slot += count;
            if !blocked {
                counts.pending_bytes += bytes;
            }
            mirror.oldest_pending_ms = earliest(mirror.oldest_pending_ms, since);
        }
        let (waiting, blocked): (i64, i64) = self
            .connection
            .prepare_cached(
                "SELECT count(*) FILTER (WHERE next_at_ms < ?2), count(*) FILTER (WHERE next_at_ms = ?2)
                   FROM dir WHERE next_at_ms IS NOT NULL AND mirror_id = ?1",
            )?
            .query_row([id, NEVER_MS], |row| Ok((row.get(0)?, row.get(1)?)))?;
        counts.pending_directories = waiting.cast_unsigned();
        counts.blocked += blocked.cast_unsigned();
        // A directory that cannot be read here is trouble, whether or not it exists on the remote.
        let unreadable: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM trouble t JOIN dir d ON d.id = t.dir_id
                  WHERE d.mirror_id = ?1 AND t.name = x'' AND t.blocked = 1 AND d.next_at_ms IS NOT ?2",
            )?
            .query_row([id, NEVER_MS], |row| row.get(0))?;
        counts.blocked += unreadable.cast_unsigned();
        let skipped: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM skipped s JOIN dir d ON d.id = s.dir_id WHERE d.mirror_id = ?1",
            )?
            .query_row([id], |row| row.get(0))?;
        counts.skipped = skipped.cast_unsigned();
        if let Some((trouble, path)) = self.newest_trouble(mirror.id)? {
            mirror.last_trouble = Some(trouble);
            mirror.last_trouble_path = Some(path);
        }
        mirror.conditions = self.conditions(mirror.id)?;
        Ok(())
    }

    fn newest_trouble(&self, id: MirrorId) -> Result<Option<(TroubleRow, RelPath)>, JournalError> {
        Ok(self
            .connection
            .prepare_cached(&format!(
                "SELECT {TROUBLE_COLUMNS}, d.path FROM trouble t JOIN dir d ON d.id = t.dir_id
                  WHERE d.mirror_id = ?1 ORDER BY t.last_at_ms DESC LIMIT 1"
            ))?
            .query_row([id.0], |row| {
                let trouble = trouble_row(row)?;
                let path = entry_path(row, 10, &trouble.id.name)?;
                Ok((trouble, path))
            })
            .optional()?)
    }

    /// What stops a mirror, the whole daemon's conditions included.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn conditions(&self, id: MirrorId) -> Result<Vec<ConditionRow>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT mirror_id, kind, since_ms, message FROM condition WHERE mirror_id IN (0, ?1) ORDER BY since_ms",
        )?;
        let rows = statement.query_map([id.0], |row| {
            let mirror: i64 = row.get(0)?;
            let kind: String = row.get(1)?;
            Ok((mirror, kind, row.get(2)?, row.get(3)?))
        })?;
        let mut conditions = Vec::new();
        for row in rows {
            let (mirror, kind, since_ms, message) = row?;
            // A kind of another version stops nothing that this one knows.
            let Ok(kind) = kind.parse::<ConditionKind>() else { continue };
            conditions.push(ConditionRow {
                mirror: (mirror != 0).then_some(MirrorId(mirror)),
                kind,
                since_ms,
                message,
            });
        }
        Ok(conditions)
    }

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
        let (from, upto) = super::dirs::subtree(path);
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
            "SELECT d.path, f.name, f.size, f.confirmed_at_ms IS NOT NULL FROM file f JOIN dir d ON d.id = f.dir_id
              WHERE d.mirror_id = ?1 AND f.next_at_ms < ?2 ORDER BY d.path, f.name LIMIT ?3",
        )?;
        let rows = statement.query_map(
            params![mirror.0, NEVER_MS, super::dirs::to_sql_limit(limit)],
            |row| {
                let name: Vec<u8> = row.get(1)?;
                Ok(PendingFile {
                    path: entry_path(row, 0, &name)?,
                    size: row.get::<_, i64>(2)?.cast_unsigned(),
                    known: row.get(3)?,
                })
            },
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Everything that is wrong with a mirror, the newest first; at most `limit`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn troubles(
        &self,
        mirror: MirrorId,
        limit: usize,
    ) -> Result<Vec<TroublePath>, JournalError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {TROUBLE_COLUMNS}, d.path, coalesce(f.next_at_ms, d.next_at_ms) FROM trouble t
               JOIN dir d ON d.id = t.dir_id
               LEFT JOIN file f ON f.dir_id = t.dir_id AND f.name = t.name
              WHERE d.mirror_id = ?1 ORDER BY t.last_at_ms DESC, d.path, t.name LIMIT ?2"
        ))?;
        let rows =
            statement.query_map(params![mirror.0, super::dirs::to_sql_limit(limit)], |row| {
                let trouble = trouble_row(row)?;
                let path = entry_path(row, 10, &trouble.id.name)?;
                let next_at_ms: Option<i64> = row.get(11)?;
                Ok(TroublePath {
                    path,
                    trouble,
                    next_at_ms: next_at_ms.filter(|next| *next != NEVER_MS),
                })
            })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

fn entry_path(row: &Row<'_>, column: usize, name: &[u8]) -> rusqlite::Result<RelPath> {
    let dir = RelPath::from_bytes(row.get(column)?);
    Ok(if name.is_empty() { dir } else { dir.join(name) })
}
