//! Mirrors that a person paused: a row of `condition`, and when it ends in `meta`.

use rusqlite::{OptionalExtension, params};

use super::rows::{ConditionKind, MirrorId};
use super::{JournalError, Turn};

/// That a mirror is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// When it ends by itself, milliseconds since the Unix epoch; `None`: never.
    pub until_ms: Option<i64>,
}

impl Turn<'_> {
    /// Nothing new is sent for a mirror until then. One that is paused already keeps the time since when.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn pause(
        &self,
        mirror: MirrorId,
        until_ms: Option<i64>,
        message: &str,
        now_ms: i64,
    ) -> Result<(), JournalError> {
        self.put_condition(Some(mirror), ConditionKind::Paused, message, now_ms)?;
        match until_ms {
            Some(until_ms) => {
                self.tx
                    .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
                    .execute(params![until_key(mirror), until_ms.to_string()])?;
            }
            None => self.forget_until(mirror)?,
        }
        Ok(())
    }

    /// A mirror is not paused any more. Whether it was.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn resume(&self, mirror: MirrorId) -> Result<bool, JournalError> {
        self.forget_until(mirror)?;
        self.remove_condition(Some(mirror), ConditionKind::Paused)
    }

    /// Whether a mirror is paused. An end that cannot be read is none: what a person holds back is not sent on a guess.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn paused(&self, mirror: MirrorId) -> Result<Option<Pause>, JournalError> {
        let paused: bool = self
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM condition WHERE mirror_id = ?1 AND kind = 'paused')",
            )?
            .query_row([mirror.0], |row| row.get(0))?;
        if !paused {
            return Ok(None);
        }
        let until: Option<String> = self
            .tx
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
            .query_row([until_key(mirror)], |row| row.get(0))
            .optional()?;
        Ok(Some(Pause { until_ms: until.and_then(|text| text.parse().ok()) }))
    }

    fn forget_until(&self, mirror: MirrorId) -> Result<(), JournalError> {
        self.tx.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([until_key(mirror)])?;
        Ok(())
    }
}

/// The key of `meta` that says when the pause of a mirror ends. `Reader::conditions` reads it too.
fn until_key(mirror: MirrorId) -> String {
    format!("paused-until:{}", mirror.0)
}
