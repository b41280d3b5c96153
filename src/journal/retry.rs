//! What is still worth waiting for, and making things due again.

use rusqlite::params;

use super::notes::ALL_TROUBLE;
use super::rows::{DirId, DirRow, MirrorId, NEVER_MS};
use super::{JournalError, Turn};
use crate::relpath::RelPath;

impl Turn<'_> {
    /// Work of a mirror that a pass still waits for: neither done, nor blocked, nor tried `attempts` times in a
    /// row, nor refused for want of room or rights, nor (with `full_from`) a file of that size and more, for
    /// which the space has no room.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has_hopeful_work(
        &self,
        mirror: MirrorId,
        attempts: u32,
        full_from: Option<u64>,
    ) -> Result<bool, JournalError> {
        let full_from = full_from.and_then(|size| i64::try_from(size).ok());
        Ok(self
            .tx
            .prepare_cached(
                "SELECT EXISTS (
                    SELECT 1 FROM file f JOIN dir d ON d.id = f.dir_id
                      LEFT JOIN trouble t ON t.dir_id = f.dir_id AND t.name = f.name
                      LEFT JOIN trouble dt ON dt.dir_id = f.dir_id AND dt.name = x''
                     WHERE f.next_at_ms IS NOT NULL AND f.next_at_ms < ?2 AND coalesce(t.attempts, 0) < ?1
                       AND NOT (coalesce(t.class, '') IN ('quota', 'auth') AND t.attempts > 0)
                       AND NOT (d.created_at_ms IS NULL AND coalesce(dt.attempts, 0) > 0
                                AND (dt.attempts >= ?1 OR dt.class IN ('quota', 'auth')))
                       AND (?4 IS NULL OR f.size < ?4) AND d.mirror_id = ?3)
                 OR EXISTS (
                    SELECT 1 FROM dir d LEFT JOIN trouble t ON t.dir_id = d.id AND t.name = x''
                     WHERE d.next_at_ms IS NOT NULL AND d.next_at_ms < ?2 AND coalesce(t.attempts, 0) < ?1
                       AND NOT (coalesce(t.class, '') = 'auth' AND t.attempts > 0)
                       AND d.mirror_id = ?3)",
            )?
            .query_row(params![attempts, NEVER_MS, mirror.0, full_from], |row| row.get(0))?)
    }

    /// Whether a file of a mirror waits to be sent that did not fail before.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has_fresh_work(&self, mirror: MirrorId) -> Result<bool, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT EXISTS (
                    SELECT 1 FROM file f INDEXED BY file_due JOIN dir d ON d.id = f.dir_id
                     WHERE f.next_at_ms IS NOT NULL AND f.next_at_ms < ?2 AND d.mirror_id = ?1
                       AND NOT EXISTS (SELECT 1 FROM trouble t
                                        WHERE t.dir_id = f.dir_id AND t.name = f.name))",
            )?
            .query_row(params![mirror.0, NEVER_MS], |row| row.get(0))?)
    }

    /// Whether anything waits to be mirrored, now or later.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn anything_waits(&self) -> Result<bool, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM file INDEXED BY file_due
                                 WHERE next_at_ms IS NOT NULL AND next_at_ms < ?1)
                     OR EXISTS (SELECT 1 FROM dir INDEXED BY dir_due
                                 WHERE next_at_ms IS NOT NULL AND next_at_ms < ?1)",
            )?
            .query_row([NEVER_MS], |row| row.get(0))?)
    }

    /// Whether anything of a mirror waits, now or later.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn anything_waits_of(&self, mirror: MirrorId) -> Result<bool, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM file f INDEXED BY file_due JOIN dir d ON d.id = f.dir_id
                                 WHERE f.next_at_ms IS NOT NULL AND f.next_at_ms < ?1 AND d.mirror_id = ?2)
                     OR EXISTS (SELECT 1 FROM dir INDEXED BY dir_wanted
                                 WHERE mirror_id = ?2 AND next_at_ms IS NOT NULL
                                   AND next_at_ms < 9223372036854775807)",
            )?
            .query_row(params![NEVER_MS, mirror.0], |row| row.get(0))?)
    }

    /// Whether a file of this size or more waits anywhere.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn waits_from(&self, size: u64) -> Result<bool, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM file INDEXED BY file_due
                                 WHERE next_at_ms IS NOT NULL AND next_at_ms < ?2 AND size >= ?1)",
            )?
            .query_row(params![i64::try_from(size).unwrap_or(i64::MAX), NEVER_MS], |row| {
                row.get(0)
            })?)
    }

    /// Files that wait until exactly `at_ms`, for one and the same reason, are due now.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn due_now(&self, at_ms: i64, now_ms: i64) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("UPDATE file SET next_at_ms = ?2 WHERE next_at_ms = ?1")?
            .execute([at_ms, now_ms])?;
        Ok(())
    }

    /// Files of a directory that are blocked with this code are due again.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unblock_files(&self, dir: DirId, code: &str, now_ms: i64) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE file SET next_at_ms = ?3 WHERE dir_id = ?1 AND next_at_ms = ?4
                    AND EXISTS (SELECT 1 FROM trouble t
                                 WHERE t.dir_id = file.dir_id AND t.name = file.name AND t.code = ?2)",
            )?
            .execute(params![dir.0, code, now_ms, NEVER_MS])?;
        self.tx
            .prepare_cached("DELETE FROM trouble WHERE dir_id = ?1 AND name <> x'' AND code = ?2")?
            .execute(params![dir.0, code])?;
        Ok(())
    }

    /// Directories at and below `dir` that are blocked are due again.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unblock_dirs(&self, dir: &DirRow, now_ms: i64) -> Result<(), JournalError> {
        let (from, upto) = super::dirs::subtree(&dir.path);
        let all = super::dirs::at_and_below(upto.is_some());
        self.tx
            .prepare_cached(&format!(
                "UPDATE dir SET next_at_ms = ?5 WHERE next_at_ms = {NEVER_MS} AND id IN ({all})"
            ))?
            .execute(params![dir.mirror.0, dir.id.0, from, upto, now_ms])?;
        Ok(())
    }

    /// Everything that waits for a retry, blocked entries too if `blocked`, is due now and counts anew.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn retry_all(&self, now_ms: i64, blocked: bool) -> Result<(), JournalError> {
        let upto = if blocked { NEVER_MS } else { NEVER_MS - 1 };
        // What is blocked is, whatever its trouble says.
        for (table, key) in [
            ("file", "t.dir_id = file.dir_id AND t.name = file.name"),
            ("dir", "t.dir_id = dir.id AND t.name = x''"),
        ] {
            self.tx.execute(
                &format!(
                    "UPDATE {table} SET next_at_ms = ?1 WHERE next_at_ms > ?1 AND next_at_ms <= ?2
                        AND (next_at_ms = {NEVER_MS} OR EXISTS (SELECT 1 FROM trouble t WHERE {key}))"
                ),
                [now_ms, upto],
            )?;
            // Deletes that only wait for their time keep on waiting.
            self.tx.execute(
                &format!(
                    "UPDATE {table} SET delete_at_ms = ?1 WHERE delete_at_ms > ?1 AND delete_at_ms <= ?2
                        AND (delete_at_ms = {NEVER_MS} OR EXISTS (SELECT 1 FROM trouble t WHERE {key}))"
                ),
                [now_ms, upto],
            )?;
        }
        self.tx.execute(
            "UPDATE trouble SET attempts = 0, blocked = 0 WHERE blocked = 0 OR ?1",
            [blocked],
        )?;
        Ok(())
    }

    /// Nothing waits longer than `horizon_ms` from now: the clock was wrong when that was written.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn clamp_due(&self, now_ms: i64, horizon_ms: i64) -> Result<(), JournalError> {
        for table in ["file", "dir"] {
            self.tx.execute(
                &format!(
                    "UPDATE {table} SET next_at_ms = ?1 WHERE next_at_ms > ?2 AND next_at_ms < ?3"
                ),
                [now_ms, now_ms.saturating_add(horizon_ms), NEVER_MS],
            )?;
        }
        Ok(())
    }

    /// The clock went back by `by_ms`: what waits waits no longer for that.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn shift_due(&self, now_ms: i64, by_ms: i64) -> Result<(), JournalError> {
        for table in ["file", "dir"] {
            self.tx.execute(
                &format!(
                    "UPDATE {table} SET next_at_ms = max(next_at_ms - ?2, ?1)
                      WHERE next_at_ms > ?1 AND next_at_ms < ?3"
                ),
                [now_ms, by_ms, NEVER_MS],
            )?;
        }
        Ok(())
    }

    /// What failed at `path` and below it, blocked or waiting, is due now and counts anew. Gives how many
    /// entries that are.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn retry_below(
        &self,
        mirror: MirrorId,
        path: &RelPath,
        now_ms: i64,
    ) -> Result<u64, JournalError> {
        let (from, upto) = super::dirs::subtree(path);
        let (parent, name) = match path.split() {
            Some((parent, name)) => (parent, name.to_vec()),
            None => (RelPath::root(), Vec::new()),
        };
        // Directories at and below the path, and the one file that the path may be.
        let within = "dir_id IN (SELECT id FROM dir WHERE mirror_id = ?1
                         AND (path = ?2 OR (path >= ?3 AND (?4 IS NULL OR path < ?4))))
                      OR (name = ?6 AND length(?6) > 0
                          AND dir_id = (SELECT id FROM dir WHERE mirror_id = ?1 AND path = ?5))";
        let count: i64 = self
            .tx
            .prepare_cached(&format!("SELECT count(*) FROM {ALL_TROUBLE} WHERE {within}"))?
            .query_row(
                params![mirror.0, path.as_bytes(), from, upto, parent.as_bytes(), name],
                |row| row.get(0),
            )?;
        for statement in [
            format!(
                "UPDATE file SET next_at_ms = ?7 WHERE next_at_ms > ?7 AND gone_at_ms IS NULL AND ({within})
                    AND (next_at_ms = {NEVER_MS} OR EXISTS (
                            SELECT 1 FROM trouble t WHERE t.dir_id = file.dir_id AND t.name = file.name))"
            ),
            format!(
                "UPDATE dir SET next_at_ms = ?7 WHERE next_at_ms > ?7 AND gone_at_ms IS NULL
                    AND mirror_id = ?1 AND (path = ?2 OR (path >= ?3 AND (?4 IS NULL OR path < ?4)))
                    AND (next_at_ms = {NEVER_MS} OR EXISTS (
                            SELECT 1 FROM trouble t WHERE t.dir_id = dir.id AND t.name = x''))"
            ),
            format!(
                "UPDATE file SET delete_at_ms = ?7 WHERE delete_at_ms > ?7 AND ({within})
                    AND (delete_at_ms = {NEVER_MS} OR EXISTS (
                            SELECT 1 FROM trouble t WHERE t.dir_id = file.dir_id AND t.name = file.name))"
            ),
            format!(
                "UPDATE dir SET delete_at_ms = ?7 WHERE delete_at_ms > ?7
                    AND mirror_id = ?1 AND (path = ?2 OR (path >= ?3 AND (?4 IS NULL OR path < ?4)))
                    AND (delete_at_ms = {NEVER_MS} OR EXISTS (
                            SELECT 1 FROM trouble t WHERE t.dir_id = dir.id AND t.name = x''))"
            ),
            // That a directory cannot be read here is found out by looking, not by forgetting.
            format!(
                "UPDATE trouble SET attempts = 0, blocked = 0 WHERE ({within}) AND ?7 = ?7"
            ),
        ] {
            self.tx.prepare_cached(&statement)?.execute(params![
                mirror.0,
                path.as_bytes(),
                from,
                upto,
                parent.as_bytes(),
                name,
                now_ms
            ])?;
        }
        Ok(count.cast_unsigned())
    }
}
