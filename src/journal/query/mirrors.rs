//! Whole mirrors: how far they are, and what stops them.

use rusqlite::{OptionalExtension, Row};

use super::{Reader, entry_path};
use crate::journal::JournalError;
use crate::journal::holds::{HOLD_COLUMNS, HoldRow, hold_row};
use crate::journal::notes::{ALL_TROUBLE, TROUBLE_COLUMNS, trouble_row};
use crate::journal::rows::{
    ConditionKind, ConditionRow, MirrorId, NEVER_MS, RootIdentity, TroubleRow,
};
use crate::relpath::RelPath;

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
    /// Directories still to be made on the remote, and not blocked.
    pub pending_directories: u64,
    /// Those of them that failed before.
    pub retrying_directories: u64,
    /// Bytes of the synced files.
    pub synced_bytes: u64,
    /// Bytes of the files that are pending, uploading or retrying.
    pub pending_bytes: u64,
    /// Files that are gone and whose copies are to be deleted.
    pub planned_deletes: u64,
    /// Copies, of directories too, that could not be deleted.
    pub failed_deletes: u64,
}

/// Which pair the rows of a mirror speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMirror {
    /// Its number.
    pub id: MirrorId,
    /// Its name.
    pub name: String,
    /// The local root that the rows speak of.
    pub local: Vec<u8>,
    /// Where the copies are that the rows speak of.
    pub target: String,
    /// Which directory the root was at the last scan.
    pub root: Option<RootIdentity>,
}

/// One mirror as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorStatus {
    /// Which one.
    pub known: KnownMirror,
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
    /// Why its deletes wait for a person.
    pub holds: Vec<HoldRow>,
}

impl Reader {
    /// Which mirrors there are, by name, without counting anything.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn known_mirrors(&self) -> Result<Vec<KnownMirror>, JournalError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT id, name, local, target, root_inode, root_fsid FROM mirror ORDER BY name",
            )?
            .query_map([], known_mirror)?
            .collect::<Result<_, _>>()?)
    }

    /// Every mirror, by name.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn mirrors(&self) -> Result<Vec<MirrorStatus>, JournalError> {
        let mut mirrors = self.unfinished()?;
        for mirror in &mut mirrors {
            self.fill_finished(mirror)?;
        }
        Ok(mirrors)
    }

    /// The same, without counting what is synced or skipped: quick however many files there are.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unfinished(&self) -> Result<Vec<MirrorStatus>, JournalError> {
        let mut mirrors: Vec<MirrorStatus> = self
            .connection
            .prepare_cached(
                "SELECT id, name, local, target, root_inode, root_fsid, scanned_at_ms, dirty, watched, polled,
                        overflows, missed FROM mirror ORDER BY name",
            )?
            .query_map([], |row| {
                Ok(MirrorStatus {
                    known: known_mirror(row)?,
                    scanned_at_ms: row.get(6)?,
                    dirty: row.get(7)?,
                    watched: row.get::<_, i64>(8)?.cast_unsigned(),
                    polled: row.get::<_, i64>(9)?.cast_unsigned(),
                    overflows: row.get::<_, i64>(10)?.cast_unsigned(),
                    missed: row.get::<_, i64>(11)?.cast_unsigned(),
                    counts: Counts::default(),
                    oldest_pending_ms: None,
                    last_trouble: None,
                    last_trouble_path: None,
                    conditions: Vec::new(),
                    holds: Vec::new(),
                })
            })?
            .collect::<Result<_, _>>()?;
        for mirror in &mut mirrors {
            self.fill(mirror)?;
        }
        Ok(mirrors)
    }

    fn fill_finished(&self, mirror: &mut MirrorStatus) -> Result<(), JournalError> {
        let id = mirror.known.id.0;
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
        let skipped: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM skipped s JOIN dir d ON d.id = s.dir_id WHERE d.mirror_id = ?1",
            )?
            .query_row([id], |row| row.get(0))?;
        counts.skipped = skipped.cast_unsigned();
        Ok(())
    }

    fn fill(&self, mirror: &mut MirrorStatus) -> Result<(), JournalError> {
        let id = mirror.known.id.0;
        let counts = &mut mirror.counts;
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
        let (waiting, blocked, failed): (i64, i64, i64) = self
            .connection
            .prepare_cached(
                "SELECT count(*) FILTER (WHERE d.next_at_ms < ?2), count(*) FILTER (WHERE d.next_at_ms = ?2),
                        count(*) FILTER (WHERE d.next_at_ms < ?2 AND t.attempts > 0)
                   FROM dir d LEFT JOIN trouble t ON t.dir_id = d.id AND t.name = x''
                  WHERE d.next_at_ms IS NOT NULL AND d.mirror_id = ?1",
            )?
            .query_row([id, NEVER_MS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        counts.pending_directories = waiting.cast_unsigned();
        counts.retrying_directories = failed.cast_unsigned();
        counts.blocked += blocked.cast_unsigned();
        // A directory that cannot be read here is trouble, whether or not it exists on the remote. One that cannot
        // be made either is counted above.
        let unreadable: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM unreadable u JOIN dir d ON d.id = u.dir_id
                  WHERE d.mirror_id = ?1 AND d.next_at_ms IS NOT ?2",
            )?
            .query_row([id, NEVER_MS], |row| row.get(0))?;
        counts.blocked += unreadable.cast_unsigned();
        let (planned, failed): (i64, i64) = self
            .connection
            .prepare_cached(
                "SELECT count(*), count(*) FILTER (WHERE t.attempts > 0)
                   FROM file f INDEXED BY file_delete JOIN dir d ON d.id = f.dir_id
                   LEFT JOIN trouble t ON t.dir_id = f.dir_id AND t.name = f.name
                  WHERE f.delete_at_ms IS NOT NULL AND d.mirror_id = ?1",
            )?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let failed_dirs: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM dir d INDEXED BY dir_delete
                   JOIN trouble t ON t.dir_id = d.id AND t.name = x''
                  WHERE d.delete_at_ms IS NOT NULL AND d.mirror_id = ?1 AND t.attempts > 0",
            )?
            .query_row([id], |row| row.get(0))?;
        counts.planned_deletes = planned.cast_unsigned();
        counts.failed_deletes = failed.saturating_add(failed_dirs).cast_unsigned();
        if let Some((trouble, path)) = self.newest_trouble(mirror.known.id)? {
            mirror.last_trouble = Some(trouble);
            mirror.last_trouble_path = Some(path);
        }
        mirror.conditions = self.conditions(mirror.known.id)?;
        mirror.holds = self.holds(mirror.known.id)?;
        Ok(())
    }

    /// What waits for a person, in order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn holds(&self, id: MirrorId) -> Result<Vec<HoldRow>, JournalError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {HOLD_COLUMNS} FROM hold WHERE mirror_id = ?1 ORDER BY id"
        ))?;
        let rows = statement.query_map([id.0], hold_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One hold.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn hold(&self, id: i64) -> Result<Option<HoldRow>, JournalError> {
        Ok(self
            .connection
            .prepare_cached(&format!("SELECT {HOLD_COLUMNS} FROM hold WHERE id = ?1"))?
            .query_row([id], hold_row)
            .optional()?)
    }

    fn newest_trouble(&self, id: MirrorId) -> Result<Option<(TroubleRow, RelPath)>, JournalError> {
        Ok(self
            .connection
            .prepare_cached(&format!(
                "SELECT {TROUBLE_COLUMNS}, d.path FROM {ALL_TROUBLE} t JOIN dir d ON d.id = t.dir_id
                  WHERE d.mirror_id = ?1 ORDER BY t.last_at_ms DESC LIMIT 1"
            ))?
            .query_row([id.0], |row| {
                let trouble = trouble_row(row)?;
                let path = entry_path(row, 10, &trouble.id.name)?;
                Ok((trouble, path))
            })
            .optional()?)
    }

    /// What stops a mirror, the whole daemon's conditions included. One that ended while no daemon worked is among
    /// them: see [`ConditionRow::is_over`].
    ///
    /// # Errors
    /// What SQLite says.
    pub fn conditions(&self, id: MirrorId) -> Result<Vec<ConditionRow>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT c.mirror_id, c.kind, c.since_ms, c.message, m.value
               FROM condition c
               LEFT JOIN meta m ON c.kind = 'paused' AND m.key = 'paused-until:' || c.mirror_id
              WHERE c.mirror_id IN (0, ?1) ORDER BY c.since_ms",
        )?;
        let rows = statement.query_map([id.0], |row| {
            let mirror: i64 = row.get(0)?;
            let kind: String = row.get(1)?;
            let until: Option<String> = row.get(4)?;
            Ok((mirror, kind, row.get(2)?, row.get(3)?, until.and_then(|text| text.parse().ok())))
        })?;
        let mut conditions = Vec::new();
        for row in rows {
            let (mirror, kind, since_ms, message, until_ms) = row?;
            // A kind of another version stops nothing that this one knows.
            let Ok(kind) = kind.parse::<ConditionKind>() else { continue };
            conditions.push(ConditionRow {
                mirror: (mirror != 0).then_some(MirrorId(mirror)),
                kind,
                since_ms,
                message,
                until_ms,
            });
        }
        Ok(conditions)
    }
}

pub(super) fn known_mirror(row: &Row<'_>) -> rusqlite::Result<KnownMirror> {
    let inode: Option<i64> = row.get(4)?;
    let fsid: Option<i64> = row.get(5)?;
    Ok(KnownMirror {
        id: MirrorId(row.get(0)?),
        name: row.get(1)?,
        local: row.get(2)?,
        target: row.get(3)?,
        root: inode.zip(fsid).map(|(inode, fsid)| RootIdentity {
            inode: inode.cast_unsigned(),
            fsid: fsid.cast_unsigned(),
        }),
    })
}

fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
