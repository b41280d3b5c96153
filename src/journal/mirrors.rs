//! Rows of `mirror`: which pairs there are, and how far their scans got.

use rusqlite::{OptionalExtension, Row, params};

use super::rows::{MirrorId, MirrorRow, RootIdentity};
use super::{Journal, JournalError, Turn};
use crate::relpath::RelPath;

const COLUMNS: &str = "id, name, root_inode, root_fsid, scanned_at_ms, dirty, adopting";

impl Journal {
    /// Whether the root of the mirror `name` was ever seen.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn knows_root(&self, name: &str) -> Result<bool, JournalError> {
        let known = self
            .connection
            .query_row("SELECT root_inode IS NOT NULL FROM mirror WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()?;
        Ok(known.unwrap_or(false))
    }
}

impl Turn<'_> {
    /// The mirror `name`, made if it is new. When it used to have another local root or another target,
    /// what is known of it is forgotten: those copies are not here, or not there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn adopt_mirror(
        &self,
        name: &str,
        local: &[u8],
        target: &str,
    ) -> Result<MirrorRow, JournalError> {
        let known: Option<(i64, Vec<u8>, String)> = self
            .tx
            .query_row("SELECT id, local, target FROM mirror WHERE name = ?1", [name], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        match known {
            Some((_, known_local, known_target))
                if known_local == local && known_target == target => {}
            Some((id, ..)) => {
                self.forget_entries(MirrorId(id))?;
                self.tx.execute(
                    "UPDATE mirror SET local = ?2, target = ?3, root_inode = NULL, root_fsid = NULL,
                     scanned_at_ms = NULL, dirty = 1, adopting = 1 WHERE id = ?1",
                    params![id, local, target],
                )?;
            }
            None => {
                self.tx.execute(
                    "INSERT INTO mirror (name, local, target, adopting) VALUES (?1, ?2, ?3, 1)",
                    params![name, local, target],
                )?;
            }
        }
        let row = self.tx.query_row(
            &format!("SELECT {COLUMNS} FROM mirror WHERE name = ?1"),
            [name],
            mirror_row,
        )?;
        if self.dir_at(row.id, &RelPath::root())?.is_none() {
            self.insert_dir(row.id, None, &RelPath::root(), None)?;
        }
        Ok(row)
    }

    /// Forgets mirrors that are no longer configured, so that nothing of them is counted or sent.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn retain_mirrors(&self, names: &[&str]) -> Result<Vec<String>, JournalError> {
        let all: Vec<(i64, String)> = self
            .tx
            .prepare("SELECT id, name FROM mirror")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut forgotten = Vec::new();
        for (id, name) in all {
            if names.contains(&name.as_str()) {
                continue;
            }
            self.forget_entries(MirrorId(id))?;
            self.resume(MirrorId(id))?;
            self.tx.execute("DELETE FROM mirror WHERE id = ?1", [id])?;
            forgotten.push(name);
        }
        Ok(forgotten)
    }

    fn forget_entries(&self, mirror: MirrorId) -> Result<(), JournalError> {
        self.tx.execute(
            "INSERT OR IGNORE INTO abandoned
             SELECT confirm_key FROM upload WHERE dir_id IN (SELECT id FROM dir WHERE mirror_id = ?1)",
            [mirror.0],
        )?;
        for table in ["file", "upload", "trouble", "skipped", "remote", "unreadable"] {
            self.tx.execute(
                &format!(
                    "DELETE FROM {table} WHERE dir_id IN (SELECT id FROM dir WHERE mirror_id = ?1)"
                ),
                [mirror.0],
            )?;
        }
        self.tx.execute("UPDATE dir SET parent_id = NULL WHERE mirror_id = ?1", [mirror.0])?;
        self.tx.execute("DELETE FROM dir WHERE mirror_id = ?1", [mirror.0])?;
        // What a person wants of the mirror holds for its next target too.
        self.tx.execute(
            "DELETE FROM condition WHERE mirror_id = ?1 AND kind <> 'paused'",
            [mirror.0],
        )?;
        self.tx.execute("DELETE FROM hold WHERE mirror_id = ?1", [mirror.0])?;
        self.tx.execute("DELETE FROM activity WHERE mirror_id = ?1", [mirror.0])?;
        Ok(())
    }

    /// Remembers which directory the root is.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_root(&self, mirror: MirrorId, root: RootIdentity) -> Result<(), JournalError> {
        self.tx.execute(
            "UPDATE mirror SET root_inode = ?2, root_fsid = ?3 WHERE id = ?1",
            params![mirror.0, root.inode.cast_signed(), root.fsid.cast_signed()],
        )?;
        Ok(())
    }

    /// Which directory the root was at the last scan.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn mirror_root(&self, mirror: MirrorId) -> Result<Option<RootIdentity>, JournalError> {
        let row = self.tx.query_row(
            &format!("SELECT {COLUMNS} FROM mirror WHERE id = ?1"),
            [mirror.0],
            mirror_row,
        )?;
        Ok(row.root)
    }

    /// Whether any file of a mirror is known and not gone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has_files(&self, mirror: MirrorId) -> Result<bool, JournalError> {
        Ok(self.tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM dir d JOIN file f ON f.dir_id = d.id
                             WHERE d.mirror_id = ?1 AND f.gone_at_ms IS NULL)",
            [mirror.0],
            |row| row.get(0),
        )?)
    }

    /// Something was missed: a scan must heal it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn mark_dirty(&self, mirror: MirrorId, overflow: bool) -> Result<(), JournalError> {
        self.tx.execute(
            "UPDATE mirror SET dirty = 1, overflows = overflows + ?2 WHERE id = ?1",
            params![mirror.0, i64::from(overflow)],
        )?;
        Ok(())
    }

    /// A scan saw everything below the root.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn scan_complete(&self, mirror: MirrorId, at_ms: i64) -> Result<(), JournalError> {
        self.tx.execute(
            "UPDATE mirror SET scanned_at_ms = ?2, dirty = 0 WHERE id = ?1",
            params![mirror.0, at_ms],
        )?;
        Ok(())
    }

    /// How many directories are watched and polled, and how many changes only a scan found since.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_watch(
        &self,
        mirror: MirrorId,
        watched: u64,
        polled: u64,
        missed: u64,
    ) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "UPDATE mirror SET watched = ?2, polled = ?3, missed = missed + ?4 WHERE id = ?1",
            )?
            .execute(params![
                mirror.0,
                watched.cast_signed(),
                polled.cast_signed(),
                missed.cast_signed()
            ])?;
        Ok(())
    }
}

fn mirror_row(row: &Row<'_>) -> rusqlite::Result<MirrorRow> {
    let inode: Option<i64> = row.get(2)?;
    let fsid: Option<i64> = row.get(3)?;
    Ok(MirrorRow {
        id: MirrorId(row.get(0)?),
        name: row.get(1)?,
        root: inode.zip(fsid).map(|(inode, fsid)| RootIdentity {
            inode: inode.cast_unsigned(),
            fsid: fsid.cast_unsigned(),
        }),
        scanned_at_ms: row.get(4)?,
        dirty: row.get(5)?,
        adopting: row.get(6)?,
    })
}
