//! What is wrong with whole mirrors, without counting what is in order: asked often.

use rusqlite::params;

use super::Reader;
use super::lists::{TroublePath, trouble_path, troubles_sql};
use super::mirrors::{KnownMirror, known_mirror};
use crate::journal::JournalError;
use crate::journal::holds::HoldRow;
use crate::journal::notes::ALL_TROUBLE;
use crate::journal::rows::{ConditionRow, NEVER_MS};

/// Waiting files that are looked at to find one of a mirror: with more than these, something waits for sure.
const LOOKED_AT: i64 = 10_000;

/// What is wrong with a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorWrong {
    /// Which one.
    pub known: KnownMirror,
    /// End of the last complete scan.
    pub scanned_at_ms: Option<i64>,
    /// Something of it may wait, or may have been missed.
    pub waits: bool,
    /// What stops it, the conditions of the whole daemon included.
    pub conditions: Vec<ConditionRow>,
    /// Why its deletes wait for a person.
    pub holds: Vec<HoldRow>,
    /// Entries that wait for a change.
    pub blocked: Failing,
    /// Entries that failed at first before the time that was asked for, and are tried again.
    pub failing: Failing,
    /// When the first of the others failed.
    pub failing_since_ms: Option<i64>,
}

/// Entries that fail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failing {
    /// How many there are.
    pub count: u64,
    /// When the first of them failed at first; `None`: there are none.
    pub since_ms: Option<i64>,
    /// The newest of them.
    pub newest: Vec<TroublePath>,
}

impl Reader {
    /// What is wrong with each mirror, by name: with at most `limit` examples, and with entries that fail since before
    /// `before_ms`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn wrong(&self, before_ms: i64, limit: u32) -> Result<Vec<MirrorWrong>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, name, local, target, root_inode, root_fsid, scanned_at_ms, dirty FROM mirror ORDER BY name",
        )?;
        let rows =
            statement.query_map([], |row| Ok((known_mirror(row)?, row.get(6)?, row.get(7)?)))?;
        let mut mirrors = Vec::new();
        for row in rows {
            let (known, scanned_at_ms, dirty): (KnownMirror, _, bool) = row?;
            let id = known.id;
            let failing_since_ms = self
                .connection
                .prepare_cached(&format!(
                    "SELECT min(t.first_at_ms) FROM {ALL_TROUBLE} t JOIN dir d ON d.id = t.dir_id
                      WHERE d.mirror_id = ?1 AND NOT t.blocked AND t.first_at_ms > ?2"
                ))?
                .query_row([id.0, before_ms], |row| row.get(0))?;
            mirrors.push(MirrorWrong {
                scanned_at_ms,
                waits: dirty || self.waits(id.0)?,
                conditions: self.conditions(id)?,
                holds: self.holds(id)?,
                blocked: self.failing(id.0, true, i64::MAX, limit)?,
                failing: self.failing(id.0, false, before_ms, limit)?,
                failing_since_ms,
                known,
            });
        }
        Ok(mirrors)
    }

    /// Whether anything of a mirror waits to be sent or made, and is not blocked.
    fn waits(&self, mirror: i64) -> Result<bool, JournalError> {
        Ok(self
            .connection
            .prepare_cached(
                "WITH due AS MATERIALIZED (SELECT dir_id FROM file INDEXED BY file_due
                                            WHERE next_at_ms IS NOT NULL AND next_at_ms < ?2 LIMIT ?3)
                 SELECT (SELECT count(*) FROM due) = ?3
                     OR EXISTS (SELECT 1 FROM due JOIN dir d ON d.id = due.dir_id WHERE d.mirror_id = ?1)
                     OR EXISTS (SELECT 1 FROM dir INDEXED BY dir_due
                                 WHERE next_at_ms IS NOT NULL AND next_at_ms < ?2 AND mirror_id = ?1)",
            )?
            .query_row(params![mirror, NEVER_MS, LOOKED_AT], |row| row.get(0))?)
    }

    fn failing(
        &self,
        mirror: i64,
        blocked: bool,
        before_ms: i64,
        limit: u32,
    ) -> Result<Failing, JournalError> {
        let within = "d.mirror_id = ?1 AND t.blocked = ?2 AND t.first_at_ms <= ?3";
        let (count, since_ms): (i64, _) = self
            .connection
            .prepare_cached(&format!(
                "SELECT count(*), min(t.first_at_ms) FROM {ALL_TROUBLE} t JOIN dir d ON d.id = t.dir_id WHERE {within}"
            ))?
            .query_row(params![mirror, blocked, before_ms], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut statement = self.connection.prepare_cached(&format!(
            "{} WHERE {within} ORDER BY t.last_at_ms DESC, d.path, t.name LIMIT ?4",
            troubles_sql()
        ))?;
        let newest = statement
            .query_map(params![mirror, blocked, before_ms, limit], trouble_path)?
            .collect::<Result<_, _>>()?;
        Ok(Failing { count: count.cast_unsigned(), since_ms, newest })
    }
}
