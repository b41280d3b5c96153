//! Rows of `trouble`, `skipped` and `condition`: what is wrong, what is left out, what stops everything.

use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, params};

use super::rows::{ConditionKind, DirId, EntryId, MirrorId, SkipReason, SkippedRow, TroubleRow};
use super::{JournalError, Turn};
use crate::failure::Class;

/// The columns of [`trouble_row`], in its order.
pub(super) const TROUBLE_COLUMNS: &str = "t.dir_id, t.name, t.class, t.code, t.message, t.request_id, t.attempts, \
     t.blocked, t.first_at_ms, t.last_at_ms";

/// Everything that is wrong with entries, as a table to read from: `trouble`, and the directories that cannot be
/// read (`reading` is 1), which may have trouble of the other kind too.
pub(super) const ALL_TROUBLE: &str = "(SELECT dir_id, name, class, code, message, request_id, attempts, blocked, first_at_ms, last_at_ms,
             0 AS reading FROM trouble
        UNION ALL
        SELECT dir_id, x'', 'local', NULL, message, NULL, attempts, 1, first_at_ms, last_at_ms, 1 FROM unreadable)";

impl Turn<'_> {
    /// What is wrong with an entry.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn trouble(&self, id: &EntryId) -> Result<Option<TroubleRow>, JournalError> {
        Ok(self
            .tx
            .prepare_cached(&format!(
                "SELECT {TROUBLE_COLUMNS} FROM trouble t WHERE t.dir_id = ?1 AND t.name = ?2"
            ))?
            .query_row(params![id.dir.0, id.name], trouble_row)
            .optional()?)
    }

    /// Writes down what is wrong with an entry.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put_trouble(&self, trouble: &TroubleRow) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO trouble (dir_id, name, class, code, message, request_id, attempts, blocked,
                     first_at_ms, last_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                trouble.id.dir.0,
                trouble.id.name,
                trouble.class.as_str(),
                trouble.code,
                trouble.message,
                trouble.request_id,
                trouble.attempts,
                trouble.blocked,
                trouble.first_at_ms,
                trouble.last_at_ms,
            ])?;
        Ok(())
    }

    /// Nothing is wrong with an entry any more.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove_trouble(&self, id: &EntryId) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("DELETE FROM trouble WHERE dir_id = ?1 AND name = ?2")?
            .execute(params![id.dir.0, id.name])?;
        Ok(())
    }

    /// Entries of `dir` that are left out, whose names lie after `after` and up to `upto`, in order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn skipped_between(
        &self,
        dir: DirId,
        after: Option<&[u8]>,
        upto: Option<&[u8]>,
    ) -> Result<Vec<SkippedRow>, JournalError> {
        let after = after.unwrap_or_default();
        // Two statements: with `upto` optional in one, its bound would not narrow the search.
        let rows = match upto {
            Some(upto) => self
                .tx
                .prepare_cached(
                    "SELECT dir_id, name, reason FROM skipped
                      WHERE dir_id = ?1 AND name > ?2 AND name <= ?3 ORDER BY name",
                )?
                .query_map(params![dir.0, after, upto], skipped_row)?
                .collect::<Result<_, _>>()?,
            None => self
                .tx
                .prepare_cached(
                    "SELECT dir_id, name, reason FROM skipped
                      WHERE dir_id = ?1 AND name > ?2 ORDER BY name",
                )?
                .query_map(params![dir.0, after], skipped_row)?
                .collect::<Result<_, _>>()?,
        };
        Ok(rows)
    }

    /// Whether one entry is left out, and why.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn skipped(&self, id: &EntryId) -> Result<Option<SkippedRow>, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT dir_id, name, reason FROM skipped WHERE dir_id = ?1 AND name = ?2",
            )?
            .query_row(params![id.dir.0, id.name], skipped_row)
            .optional()?)
    }

    /// Whether anything of a mirror has trouble of this class.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has_trouble(&self, mirror: MirrorId, class: Class) -> Result<bool, JournalError> {
        Ok(self
            .tx
            .prepare_cached(&format!(
                "SELECT EXISTS (SELECT 1 FROM {ALL_TROUBLE} t JOIN dir d ON d.id = t.dir_id
                                 WHERE d.mirror_id = ?1 AND t.class = ?2)"
            ))?
            .query_row(params![mirror.0, class.as_str()], |row| row.get(0))?)
    }

    /// An entry is left out.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put_skipped(&self, skipped: &SkippedRow) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "INSERT INTO skipped (dir_id, name, reason) VALUES (?1, ?2, ?3)
                 ON CONFLICT (dir_id, name) DO UPDATE SET reason = excluded.reason",
            )?
            .execute(params![skipped.id.dir.0, skipped.id.name, skipped.reason.as_str()])?;
        Ok(())
    }

    /// An entry is not left out any more, or not there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove_skipped(&self, id: &EntryId) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("DELETE FROM skipped WHERE dir_id = ?1 AND name = ?2")?
            .execute(params![id.dir.0, id.name])?;
        Ok(())
    }

    /// Something stops a mirror, or with `None` all of them. Keeps the time of the first word.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put_condition(
        &self,
        mirror: Option<MirrorId>,
        kind: ConditionKind,
        message: &str,
        now_ms: i64,
    ) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "INSERT INTO condition (mirror_id, kind, since_ms, message) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (mirror_id, kind) DO UPDATE SET message = excluded.message",
            )?
            .execute(params![mirror.map_or(0, |id| id.0), kind.as_str(), now_ms, message])?;
        Ok(())
    }

    /// It stops it no longer. Whether it did.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove_condition(
        &self,
        mirror: Option<MirrorId>,
        kind: ConditionKind,
    ) -> Result<bool, JournalError> {
        let removed = self
            .tx
            .prepare_cached("DELETE FROM condition WHERE mirror_id = ?1 AND kind = ?2")?
            .execute(params![mirror.map_or(0, |id| id.0), kind.as_str()])?;
        Ok(removed > 0)
    }
}

/// Reads a row of [`TROUBLE_COLUMNS`]. A class of another version reads as a defect.
pub(super) fn trouble_row(row: &Row<'_>) -> rusqlite::Result<TroubleRow> {
    let class: String = row.get(2)?;
    Ok(TroubleRow {
        id: EntryId { dir: DirId(row.get(0)?), name: row.get(1)? },
        class: class.parse().unwrap_or(Class::Defect),
        code: row.get(3)?,
        message: row.get(4)?,
        request_id: row.get(5)?,
        attempts: row.get(6)?,
        blocked: row.get(7)?,
        first_at_ms: row.get(8)?,
        last_at_ms: row.get(9)?,
    })
}

fn skipped_row(row: &Row<'_>) -> rusqlite::Result<SkippedRow> {
    Ok(SkippedRow {
        id: EntryId { dir: DirId(row.get(0)?), name: row.get(1)? },
        reason: skip_reason(row, 2)?,
    })
}

/// Reads the reason why an entry is left out.
pub(super) fn skip_reason(row: &Row<'_>, column: usize) -> rusqlite::Result<SkipReason> {
    let word: String = row.get(column)?;
    word.parse().map_err(|()| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            Type::Text,
            format!("unknown reason {word}").into(),
        )
    })
}
