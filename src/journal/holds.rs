//! Rows of `hold`: why deletes wait for a person.

use std::str::FromStr;

use rusqlite::{OptionalExtension, Row, params};

use super::rows::MirrorId;
use super::{JournalError, Turn};
use crate::relpath::RelPath;
use crate::wording::{counted, verb};

/// Why deletes wait for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldKind {
    /// More files than `max_delete` are gone at once.
    TooMany,
    /// The root is empty, and was not.
    Emptied,
    /// A directory, mostly the root, is another one than before, or lies on another filesystem.
    Replaced,
    /// A filesystem that was mounted below the root is not mounted any more: what lay on it is not known.
    Unmounted,
    /// The library has no recycle bin: a delete would be for good.
    NoRecycleBin,
}

impl HoldKind {
    const ALL: [HoldKind; 5] = [
        HoldKind::TooMany,
        HoldKind::Emptied,
        HoldKind::Replaced,
        HoldKind::Unmounted,
        HoldKind::NoRecycleBin,
    ];

    /// The word in the journal and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HoldKind::TooMany => "too-many-deletes",
            HoldKind::Emptied => "emptied",
            HoldKind::Replaced => "replaced",
            HoldKind::Unmounted => "unmounted",
            HoldKind::NoRecycleBin => "no-recycle-bin",
        }
    }
}

impl FromStr for HoldKind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        HoldKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or(())
    }
}

/// A hold as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// Its number, for `approve` and `reject`. Never used again.
    pub id: i64,
    /// Whose deletes wait.
    pub mirror: MirrorId,
    /// Why; `None`: a newer program knows.
    pub kind: Option<HoldKind>,
    /// The directory it is about.
    pub path: RelPath,
    /// Since when.
    pub since_ms: i64,
    /// What happened, for people, as it was then.
    pub message: String,
}

impl HoldRow {
    /// What happened, and how many copies wait for the decision by now, of those that are `planned` to be deleted.
    #[must_use]
    pub fn told(&self, planned: u64) -> String {
        match self.kind {
            // It is about all that lies in a directory, whatever is planned elsewhere.
            None | Some(HoldKind::Unmounted) => self.message.clone(),
            Some(_) if planned == 0 => self.message.clone(),
            Some(_) => format!(
                "{}; {} {} for the decision now",
                self.message,
                counted(planned, "copy"),
                verb(planned, "waits", "wait")
            ),
        }
    }
}

/// The columns of [`hold_row`], in its order.
pub(super) const HOLD_COLUMNS: &str = "id, mirror_id, kind, path, since_ms, message";

/// Reads a row of [`HOLD_COLUMNS`].
pub(super) fn hold_row(row: &Row<'_>) -> rusqlite::Result<HoldRow> {
    let kind: String = row.get(2)?;
    Ok(HoldRow {
        id: row.get(0)?,
        mirror: MirrorId(row.get(1)?),
        kind: kind.parse().ok(),
        path: RelPath::from_bytes(row.get(3)?),
        since_ms: row.get(4)?,
        message: row.get(5)?,
    })
}

impl Turn<'_> {
    /// Deletes of a mirror wait for a person. Whether that is news.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put_hold(
        &self,
        mirror: MirrorId,
        kind: HoldKind,
        path: &RelPath,
        message: &str,
        now_ms: i64,
    ) -> Result<bool, JournalError> {
        let known = self
            .tx
            .prepare_cached(
                "UPDATE hold SET message = ?4 WHERE mirror_id = ?1 AND kind = ?2 AND path = ?3",
            )?
            .execute(params![mirror.0, kind.as_str(), path.as_bytes(), message])?;
        if known > 0 {
            return Ok(false);
        }
        self.tx
            .prepare_cached(
                "INSERT INTO hold (mirror_id, kind, path, message, since_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![mirror.0, kind.as_str(), path.as_bytes(), message, now_ms])?;
        Ok(true)
    }

    /// What a mirror's deletes wait for, oldest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn holds(&self, mirror: MirrorId) -> Result<Vec<HoldRow>, JournalError> {
        let mut holds: Vec<HoldRow> = self
            .tx
            .prepare_cached(&format!("SELECT {HOLD_COLUMNS} FROM hold WHERE mirror_id = ?1"))?
            .query_map([mirror.0], hold_row)?
            .collect::<Result<_, _>>()?;
        holds.sort_unstable_by_key(|hold| hold.id);
        Ok(holds)
    }

    /// One hold.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn hold(&self, id: i64) -> Result<Option<HoldRow>, JournalError> {
        Ok(self
            .tx
            .prepare_cached(&format!("SELECT {HOLD_COLUMNS} FROM hold WHERE id = ?1"))?
            .query_row([id], hold_row)
            .optional()?)
    }

    /// Nobody has to decide any more. Whether somebody had to.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove_hold(
        &self,
        mirror: MirrorId,
        kind: HoldKind,
        path: &RelPath,
    ) -> Result<bool, JournalError> {
        let removed = self
            .tx
            .prepare_cached("DELETE FROM hold WHERE mirror_id = ?1 AND kind = ?2 AND path = ?3")?
            .execute(params![mirror.0, kind.as_str(), path.as_bytes()])?;
        Ok(removed > 0)
    }

    /// The holds of a mirror that are about its deletes as a whole are answered.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove_hold_by_id(&self, id: i64) -> Result<(), JournalError> {
        self.tx.prepare_cached("DELETE FROM hold WHERE id = ?1")?.execute([id])?;
        Ok(())
    }
}
