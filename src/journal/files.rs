//! Rows of `file`: what was seen, what was confirmed, and when to act.

use rusqlite::types::{Type, ValueRef};
use rusqlite::{OptionalExtension, Row, params};

use super::dirs::to_sql_limit;
use super::rows::{ConfirmedRow, DirId, DueFile, EntryId, FileRow, MirrorId, NEVER_MS};
use super::{JournalError, Turn};
use crate::digest::Hash;
use crate::fingerprint::Fingerprint;
use crate::relpath::RelPath;

/// The columns of [`file_row`], in its order.
pub(super) const COLUMNS: &str = "f.dir_id, f.name, f.size, f.mtime_ns, f.ctime_ns, f.inode, \
     f.confirmed_size, f.confirmed_mtime_ns, f.confirmed_ctime_ns, f.confirmed_inode, f.full_hash, f.crc64, \
     f.confirmed_at_ms, f.changed_at_ms, f.next_at_ms, f.gone_at_ms, f.unsure";
pub(super) const COLUMN_COUNT: usize = 17;

/// Bytes from which a file is large. The index `file_due_large` says the same number.
pub const LARGE: u64 = 8 * 1024 * 1024;

/// Large files and the others wait in lines of their own, so that neither waits for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Below [`LARGE`].
    Small,
    /// The others.
    Large,
}

impl Share {
    /// That of a file of so many bytes.
    #[must_use]
    pub fn of(size: u64) -> Share {
        if size < LARGE { Share::Small } else { Share::Large }
    }
}

impl Turn<'_> {
    /// One file.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn file(&self, id: &EntryId) -> Result<Option<FileRow>, JournalError> {
        Ok(self
            .tx
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM file f WHERE f.dir_id = ?1 AND f.name = ?2"
            ))?
            .query_row(params![id.dir.0, id.name], file_row)
            .optional()?)
    }

    /// Files in `dir` whose names lie after `after` and up to `upto`, in order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn files_between(
        &self,
        dir: DirId,
        after: Option<&[u8]>,
        upto: Option<&[u8]>,
    ) -> Result<Vec<FileRow>, JournalError> {
        // No name is empty, so "after the empty name" is "from the first".
        let after = after.unwrap_or_default();
        let rows = match upto {
            Some(upto) => self
                .tx
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM file f WHERE f.dir_id = ?1 AND f.name > ?2 AND f.name <= ?3 ORDER BY f.name"
                ))?
                .query_map(params![dir.0, after, upto], file_row)?
                .collect::<Result<_, _>>()?,
            None => self
                .tx
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM file f WHERE f.dir_id = ?1 AND f.name > ?2 ORDER BY f.name"
                ))?
                .query_map(params![dir.0, after], file_row)?
                .collect::<Result<_, _>>()?,
        };
        Ok(rows)
    }

    /// Writes a row as it is, new or not.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put_file(&self, file: &FileRow) -> Result<(), JournalError> {
        debug_assert!(!file.id.name.is_empty(), "an empty name is a directory");
        debug_assert!(
            file.gone_at_ms.is_none() || file.next_at_ms.is_none(),
            "nothing is done about a file that is gone"
        );
        let confirmed = file.confirmed;
        // The same state is not stored twice.
        let print = confirmed.map(|c| c.fingerprint).filter(|print| *print != file.seen);
        self.tx
            .prepare_cached(
                "INSERT INTO file (dir_id, name, size, mtime_ns, ctime_ns, inode, confirmed_size, confirmed_mtime_ns,
                     confirmed_ctime_ns, confirmed_inode, full_hash, crc64, confirmed_at_ms, changed_at_ms, next_at_ms,
                     gone_at_ms, unsure)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
                 ON CONFLICT (dir_id, name) DO UPDATE SET
                     size = excluded.size, mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,
                     inode = excluded.inode, confirmed_size = excluded.confirmed_size,
                     confirmed_mtime_ns = excluded.confirmed_mtime_ns,
                     confirmed_ctime_ns = excluded.confirmed_ctime_ns,
                     confirmed_inode = excluded.confirmed_inode, full_hash = excluded.full_hash,
                     crc64 = excluded.crc64, confirmed_at_ms = excluded.confirmed_at_ms,
                     changed_at_ms = excluded.changed_at_ms, next_at_ms = excluded.next_at_ms,
                     gone_at_ms = excluded.gone_at_ms, unsure = excluded.unsure,
                     delete_at_ms = CASE WHEN excluded.gone_at_ms IS NULL THEN NULL ELSE delete_at_ms END,
                     approved = CASE WHEN excluded.gone_at_ms IS NULL THEN 0 ELSE approved END",
            )?
            .execute(params![
                file.id.dir.0,
                file.id.name,
                file.seen.size.cast_signed(),
                file.seen.mtime_ns,
                file.seen.ctime_ns,
                file.seen.inode.cast_signed(),
                print.map(|p| p.size.cast_signed()),
                print.map(|p| p.mtime_ns),
                print.map(|p| p.ctime_ns),
                print.map(|p| p.inode.cast_signed()),
                confirmed.map(|c| c.full_hash.as_bytes().to_vec()),
                confirmed.map(|c| c.crc64.cast_signed()),
                confirmed.map(|c| c.at_ms),
                file.changed_at_ms,
                file.next_at_ms,
                file.gone_at_ms,
                file.unsure,
            ])?;
        Ok(())
    }

    /// When to act on a file that waits, and is not gone; what was seen and confirmed stays as it is.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_file_next(&self, id: &EntryId, next_at_ms: i64) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE file SET next_at_ms = ?3
                  WHERE dir_id = ?1 AND name = ?2 AND next_at_ms IS NOT NULL AND gone_at_ms IS NULL",
            )?
            .execute(params![id.dir.0, id.name, next_at_ms])?;
        Ok(())
    }

    /// Nothing is done about a file that waits before `at_ms`: what was asked for before may still take effect.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn delay_file(&self, id: &EntryId, at_ms: i64) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE file SET next_at_ms = max(next_at_ms, ?3)
                  WHERE dir_id = ?1 AND name = ?2 AND next_at_ms IS NOT NULL AND gone_at_ms IS NULL",
            )?
            .execute(params![id.dir.0, id.name, at_ms])?;
        Ok(())
    }

    /// Forgets a file.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove_file(&self, id: &EntryId) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("DELETE FROM file WHERE dir_id = ?1 AND name = ?2")?
            .execute(params![id.dir.0, id.name])?;
        Ok(())
    }

    /// A file may become visible on the remote with other content than the confirmed one: from now on that
    /// proves nothing, and neither does what a listing showed. What was thought to be done is due.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_unsure(&self, id: &EntryId, now_ms: i64) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE file SET unsure = 1,
                        next_at_ms = CASE WHEN gone_at_ms IS NULL THEN coalesce(next_at_ms, ?3) END
                  WHERE dir_id = ?1 AND name = ?2",
            )?
            .execute(params![id.dir.0, id.name, now_ms])?;
        self.remove_remote(id)
    }

    /// Files of these mirrors that are due, the longest waiting first: those of `LARGE` bytes and more, or those
    /// below.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn due_files(
        &self,
        mirrors: &[MirrorId],
        share: Share,
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<DueFile>, JournalError> {
        if mirrors.is_empty() {
            return Ok(Vec::new());
        }
        // Numbers of ours, not text from outside; there are as many statements as sets of mirrors that are held.
        let mirrors: Vec<String> = mirrors.iter().map(|mirror| mirror.0.to_string()).collect();
        let (index, size) = match share {
            Share::Small => ("file_due", "f.size < 8388608"),
            Share::Large => ("file_due_large", "f.size >= 8388608"),
        };
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT {COLUMNS}, {DUE_COLUMNS}
               FROM file f INDEXED BY {index} JOIN dir d ON d.id = f.dir_id
              WHERE f.next_at_ms IS NOT NULL AND f.next_at_ms <= ?1 AND {size}
                AND d.mirror_id IN ({})
              ORDER BY f.next_at_ms LIMIT ?2",
            mirrors.join(", ")
        ))?;
        let rows = statement.query_map(params![now_ms, to_sql_limit(limit), NEVER_MS], due_file)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// At most `limit` files that are due, of any mirror and size, those first that became so last.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn newest_due(&self, now_ms: i64, limit: usize) -> Result<Vec<DueFile>, JournalError> {
        // Nothing is filtered here, or it would read on and on for a mirror that has none.
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT {COLUMNS}, {DUE_COLUMNS}
               FROM file f INDEXED BY file_due JOIN dir d ON d.id = f.dir_id
              WHERE f.next_at_ms IS NOT NULL AND f.next_at_ms <= ?1
              ORDER BY f.next_at_ms DESC LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![now_ms, to_sql_limit(limit), NEVER_MS], due_file)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next file is due after `now_ms`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn next_file_due(&self, now_ms: i64) -> Result<Option<i64>, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT min(next_at_ms) FROM file WHERE next_at_ms > ?1 AND next_at_ms < ?2",
            )?
            .query_row([now_ms, NEVER_MS], |row| row.get(0))?)
    }
}

/// What [`due_file`] reads behind [`COLUMNS`]; the third parameter is [`NEVER_MS`].
const DUE_COLUMNS: &str = "d.mirror_id, d.path, d.created_at_ms IS NOT NULL, d.next_at_ms IS ?3";

fn due_file(row: &Row<'_>) -> rusqlite::Result<DueFile> {
    Ok(DueFile {
        file: file_row(row)?,
        mirror: MirrorId(row.get(COLUMN_COUNT)?),
        dir_path: RelPath::from_bytes(row.get(COLUMN_COUNT + 1)?),
        dir_created: row.get(COLUMN_COUNT + 2)?,
        dir_blocked: row.get(COLUMN_COUNT + 3)?,
    })
}

/// Reads a row of [`COLUMNS`].
pub(super) fn file_row(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    let seen = fingerprint(row, 2)?;
    let confirmed_at_ms: Option<i64> = row.get(12)?;
    let confirmed = match confirmed_at_ms {
        None => None,
        Some(at_ms) => Some(ConfirmedRow {
            fingerprint: match row.get_ref(6)? {
                ValueRef::Null => seen,
                _ => fingerprint(row, 6)?,
            },
            full_hash: hash(row, 10)?,
            crc64: row.get::<_, i64>(11)?.cast_unsigned(),
            at_ms,
        }),
    };
    Ok(FileRow {
        id: EntryId { dir: DirId(row.get(0)?), name: row.get(1)? },
        seen,
        confirmed,
        changed_at_ms: row.get(13)?,
        next_at_ms: row.get(14)?,
        gone_at_ms: row.get(15)?,
        unsure: row.get(16)?,
    })
}

/// Reads the four columns of a fingerprint.
fn fingerprint(row: &Row<'_>, first: usize) -> rusqlite::Result<Fingerprint> {
    Ok(Fingerprint {
        size: row.get::<_, i64>(first)?.cast_unsigned(),
        mtime_ns: row.get(first + 1)?,
        ctime_ns: row.get(first + 2)?,
        inode: row.get::<_, i64>(first + 3)?.cast_unsigned(),
    })
}

/// Reads a hash of 32 bytes; the schema does not let another length in.
pub(super) fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<Hash> {
    Ok(Hash::from_bytes(row.get::<_, [u8; 32]>(column).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
    })?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    fn fingerprint(mtime_ns: i64) -> Fingerprint {
        Fingerprint { size: 3, mtime_ns, ctime_ns: mtime_ns + 1, inode: 5 }
    }

    /// How many columns of what was confirmed are stored.
    fn stored(turn: &Turn<'_>) -> i64 {
        let sql = "SELECT (confirmed_size IS NOT NULL) + (confirmed_mtime_ns IS NOT NULL)
                        + (confirmed_ctime_ns IS NOT NULL) + (confirmed_inode IS NOT NULL) FROM file";
        turn.tx.query_row(sql, [], |row| row.get(0)).expect("a number")
    }

    #[test]
    fn what_was_confirmed_is_stored_once_and_outlives_what_is_seen_next() {
        let mut journal = Journal::in_memory().expect("a journal");
        let turn = journal.turn().expect("a turn");
        let mirror = turn.adopt_mirror("m", b"/m", "t").expect("a mirror").id;
        let dir = turn.dir_at(mirror, &RelPath::root()).expect("a row").expect("a root").id;
        let mut file = FileRow {
            id: EntryId { dir, name: b"f".to_vec() },
            seen: fingerprint(7),
            confirmed: None,
            changed_at_ms: Some(1),
            next_at_ms: Some(1),
            gone_at_ms: None,
            unsure: false,
        };
        let confirmed = ConfirmedRow {
            fingerprint: fingerprint(7),
            full_hash: Hash::from_bytes([1; 32]),
            crc64: 9,
            at_ms: 2,
        };
        // Never confirmed; confirmed as it is; changed since; back as it was.
        let states = [
            (None, 7, 0),
            (Some(confirmed), 7, 0),
            (Some(confirmed), 8, 4),
            (Some(confirmed), 7, 0),
        ];
        for (confirmed, mtime_ns, columns) in states {
            file.confirmed = confirmed;
            file.seen = fingerprint(mtime_ns);
            turn.put_file(&file).expect("written");
            assert_eq!(turn.file(&file.id).expect("a row").as_ref(), Some(&file));
            assert_eq!(stored(&turn), columns, "{file:?}");
        }
        // As earlier versions stored it.
        turn.tx
            .execute(
                "UPDATE file SET confirmed_size = size, confirmed_mtime_ns = mtime_ns,
                        confirmed_ctime_ns = ctime_ns, confirmed_inode = inode",
                [],
            )
            .expect("both");
        assert_eq!(turn.file(&file.id).expect("a row"), Some(file));
    }
}
