//! Rows of `upload`: what was started on the service and is not finished.

use rusqlite::{OptionalExtension, Row, params};

use super::files::hash;
use super::rows::{DirId, EntryId, NEVER_MS, PartRow, UploadRow, UploadStage};
use super::{JournalError, Turn};
use crate::digest::Hash;
use crate::fingerprint::Fingerprint;

const COLUMNS: &str = "dir_id, name, confirm_key, stage, started_at_ms, expires_at_ms, size, mtime_ns, ctime_ns, \
     inode, full_hash, crc64, part_size";

impl Turn<'_> {
    /// The started upload of a file.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn upload(&self, id: &EntryId) -> Result<Option<UploadRow>, JournalError> {
        let found = self
            .tx
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM upload WHERE dir_id = ?1 AND name = ?2"
            ))?
            .query_row(params![id.dir.0, id.name], upload_row)
            .optional()?;
        let Some(mut upload) = found else { return Ok(None) };
        if upload.part_size.is_some() {
            upload.parts = self.parts(&upload.confirm_key)?;
        }
        Ok(Some(upload))
    }

    fn parts(&self, confirm_key: &str) -> Result<Vec<PartRow>, JournalError> {
        let mut statement = self.tx.prepare_cached(
            "SELECT number, crc64, full_hash FROM part WHERE confirm_key = ?1 ORDER BY number",
        )?;
        let rows = statement.query_map([confirm_key], |row| {
            Ok(PartRow {
                number: row.get(0)?,
                crc64: row.get::<_, i64>(1)?.cast_unsigned(),
                full_hash: hash(row, 2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A part of an upload was read.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn part_read(
        &self,
        id: &EntryId,
        number: u32,
        crc64: u64,
        full_hash: Hash,
    ) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO part (confirm_key, number, crc64, full_hash)
                 SELECT confirm_key, ?3, ?4, ?5 FROM upload WHERE dir_id = ?1 AND name = ?2",
            )?
            .execute(params![
                id.dir.0,
                id.name,
                number,
                crc64.cast_signed(),
                full_hash.as_bytes().to_vec()
            ])?;
        Ok(())
    }

    /// A part of an upload arrived.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn part_sent(&self, id: &EntryId, number: u32) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE part SET sent = 1 WHERE number = ?3 AND confirm_key =
                     (SELECT confirm_key FROM upload WHERE dir_id = ?1 AND name = ?2)",
            )?
            .execute(params![id.dir.0, id.name, number])?;
        Ok(())
    }

    /// Every started upload, in order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn uploads(&self) -> Result<Vec<UploadRow>, JournalError> {
        let mut statement = self
            .tx
            .prepare_cached(&format!("SELECT {COLUMNS} FROM upload ORDER BY dir_id, name"))?;
        let rows = statement.query_map([], upload_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Started uploads of files that are no longer there, or no longer mirrored; also those from before `long_ago_ms` of
    /// files that are blocked: nobody knows when they go on.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn orphaned_uploads(&self, long_ago_ms: i64) -> Result<Vec<UploadRow>, JournalError> {
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM upload u
              WHERE NOT EXISTS (SELECT 1 FROM file f
                                 WHERE f.dir_id = u.dir_id AND f.name = u.name AND f.gone_at_ms IS NULL
                                   AND (f.next_at_ms IS NOT ?1 OR u.started_at_ms > ?2))
              ORDER BY dir_id, name"
        ))?;
        let rows = statement.query_map(params![NEVER_MS, long_ago_ms], upload_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keys of uploads that belong to no mirror any more; at most `limit`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn abandoned(&self, limit: usize) -> Result<Vec<String>, JournalError> {
        let mut statement = self
            .tx
            .prepare_cached("SELECT confirm_key FROM abandoned ORDER BY confirm_key LIMIT ?1")?;
        let rows =
            statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The upload of a file is of no use, and could not be cancelled: that is tried again, apart from the file.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn abandon_upload(&self, id: &EntryId) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "INSERT OR IGNORE INTO abandoned
                 SELECT confirm_key FROM upload WHERE dir_id = ?1 AND name = ?2",
            )?
            .execute(params![id.dir.0, id.name])?;
        self.remove_upload(id)
    }

    /// An abandoned upload is cancelled, or cannot be.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove_abandoned(&self, confirm_key: &str) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("DELETE FROM abandoned WHERE confirm_key = ?1")?
            .execute([confirm_key])?;
        Ok(())
    }

    /// Writes down a started upload, before its first byte leaves.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put_upload(&self, upload: &UploadRow) -> Result<(), JournalError> {
        self.remove_upload(&upload.id)?;
        let (stage, full_hash, crc64) = match upload.stage {
            UploadStage::Started => ("started", None, None),
            UploadStage::Posted { full_hash, crc64 } => {
                ("posted", Some(full_hash), Some(crc64.cast_signed()))
            }
        };
        self.tx
            .prepare_cached(
                "INSERT INTO upload (dir_id, name, confirm_key, stage, started_at_ms, expires_at_ms, size,
                     mtime_ns, ctime_ns, inode, full_hash, crc64, part_size)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute(params![
                upload.id.dir.0,
                upload.id.name,
                upload.confirm_key,
                stage,
                upload.started_at_ms,
                upload.expires_at_ms,
                upload.fingerprint.size.cast_signed(),
                upload.fingerprint.mtime_ns,
                upload.fingerprint.ctime_ns,
                upload.fingerprint.inode.cast_signed(),
                full_hash.map(|h: Hash| h.as_bytes().to_vec()),
                crc64,
                upload.part_size.map(u64::cast_signed),
            ])?;
        Ok(())
    }

    /// Every byte of one whole state of the file arrived.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn upload_posted(
        &self,
        id: &EntryId,
        full_hash: Hash,
        crc64: u64,
    ) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE upload SET stage = 'posted', full_hash = ?3, crc64 = ?4 WHERE dir_id = ?1 AND name = ?2",
            )?
            .execute(params![id.dir.0, id.name, full_hash.as_bytes().to_vec(), crc64.cast_signed()])?;
        Ok(())
    }

    /// The upload is confirmed, cancelled or unknown to the service.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove_upload(&self, id: &EntryId) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("DELETE FROM upload WHERE dir_id = ?1 AND name = ?2")?
            .execute(params![id.dir.0, id.name])?;
        Ok(())
    }
}

fn upload_row(row: &Row<'_>) -> rusqlite::Result<UploadRow> {
    let stage: String = row.get(3)?;
    Ok(UploadRow {
        id: EntryId { dir: DirId(row.get(0)?), name: row.get(1)? },
        confirm_key: row.get(2)?,
        stage: if stage == "posted" {
            UploadStage::Posted {
                full_hash: hash(row, 10)?,
                crc64: row.get::<_, i64>(11)?.cast_unsigned(),
            }
        } else {
            UploadStage::Started
        },
        started_at_ms: row.get(4)?,
        expires_at_ms: row.get(5)?,
        fingerprint: Fingerprint {
            size: row.get::<_, i64>(6)?.cast_unsigned(),
            mtime_ns: row.get(7)?,
            ctime_ns: row.get(8)?,
            inode: row.get::<_, i64>(9)?.cast_unsigned(),
        },
        part_size: row.get::<_, Option<i64>>(12)?.map(i64::cast_unsigned),
        parts: Vec::new(),
    })
}
