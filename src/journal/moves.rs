//! Files and directories that are gone and seem to be somewhere else.

use rusqlite::{OptionalExtension, params};

use super::dirs::{DIR_COLUMNS, at_and_below, dir_row, subtree, to_sql_limit};
use super::files::{COLUMN_COUNT, COLUMNS, file_row};
use super::gone::GoneFile;
use super::rows::{DirId, DirRow, MirrorId};
use super::{JournalError, Turn};
use crate::fingerprint::Fingerprint;
use crate::relpath::RelPath;

/// Files that look alike and are compared.
const ALIKE: usize = 8;

/// The same state of the same file: nobody can set ctime back, and the rename of a directory does not touch it.
const SAME_FILE: &str = "o.confirmed_at_ms IS NOT NULL
     AND coalesce(o.confirmed_size, o.size) = n.size AND coalesce(o.confirmed_mtime_ns, o.mtime_ns) = n.mtime_ns
     AND coalesce(o.confirmed_ctime_ns, o.ctime_ns) = n.ctime_ns
     AND coalesce(o.confirmed_inode, o.inode) = n.inode";

impl Turn<'_> {
    /// Files of a mirror that are gone and were, when they were confirmed, the inode, size and time of `seen`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn gone_alike(
        &self,
        mirror: MirrorId,
        seen: &Fingerprint,
    ) -> Result<Vec<GoneFile>, JournalError> {
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT {COLUMNS}, d.path FROM file f INDEXED BY file_gone JOIN dir d ON d.id = f.dir_id
              WHERE f.gone_at_ms IS NOT NULL AND f.inode = ?2 AND f.size = ?3 AND d.mirror_id = ?1
                AND f.confirmed_at_ms IS NOT NULL AND coalesce(f.confirmed_inode, f.inode) = ?2
                AND coalesce(f.confirmed_size, f.size) = ?3
                AND coalesce(f.confirmed_mtime_ns, f.mtime_ns) = ?4
              LIMIT ?5"
        ))?;
        let rows = statement.query_map(
            params![
                mirror.0,
                seen.inode.cast_signed(),
                seen.size.cast_signed(),
                seen.mtime_ns,
                to_sql_limit(ALIKE)
            ],
            |row| {
                Ok(GoneFile {
                    file: file_row(row)?,
                    dir_path: RelPath::from_bytes(row.get(COLUMN_COUNT)?),
                })
            },
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A directory of a mirror with this inode other than `not`, whose copy is known to exist: one that is gone if
    /// there is one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dir_of_inode(
        &self,
        mirror: MirrorId,
        inode: u64,
        not: DirId,
    ) -> Result<Option<DirRow>, JournalError> {
        if inode == 0 {
            return Ok(None);
        }
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT {DIR_COLUMNS} FROM dir INDEXED BY dir_inode
              WHERE inode = ?2 AND mirror_id = ?1 AND id <> ?3 AND created_at_ms IS NOT NULL"
        ))?;
        let rows: Vec<DirRow> = statement
            .query_map(params![mirror.0, inode.cast_signed(), not.0], dir_row)?
            .collect::<Result<_, _>>()?;
        let gone = rows.iter().position(|row| row.gone_at_ms.is_some()).unwrap_or(0);
        Ok(rows.into_iter().nth(gone))
    }

    /// Moves whose end is not known: where to, and where from.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn moving(&self) -> Result<Vec<(DirId, DirId)>, JournalError> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT id, move_from FROM dir INDEXED BY dir_moving WHERE move_from IS NOT NULL",
            )?
            .query_map([], |row| Ok((DirId(row.get(0)?), DirId(row.get(1)?))))?
            .collect::<Result<_, _>>()?)
    }

    /// Whether a file below `old` is, in the same state, at the same place below `new`. Together with the inode of
    /// the directory that proves that one is the other.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn is_moved(&self, old: &DirRow, new: &DirRow) -> Result<bool, JournalError> {
        for (old, new) in self.pairs(old, new)? {
            let Some(new) = new else { continue };
            let same: bool = self
                .tx
                .prepare_cached(&format!(
                    "SELECT EXISTS (SELECT 1 FROM file o JOIN file n ON n.dir_id = ?2 AND n.name = o.name
                                     WHERE o.dir_id = ?1 AND o.gone_at_ms IS NOT NULL AND n.gone_at_ms IS NULL
                                       AND o.unsure = 0 AND {SAME_FILE})"
                ))?
                .query_row([old.id.0, new.0], |row| row.get(0))?;
            if same {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether anything below a directory was started on the service and not settled, or may be visible with other
    /// content than the confirmed one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn is_unsettled(&self, dir: &DirRow) -> Result<bool, JournalError> {
        let (from, upto) = subtree(&dir.path);
        let all = at_and_below(upto.is_some());
        Ok(self
            .tx
            .prepare_cached(&format!(
                "SELECT EXISTS (SELECT 1 FROM upload WHERE dir_id IN ({all}))
                     OR EXISTS (SELECT 1 FROM file WHERE unsure = 1 AND dir_id IN ({all}))"
            ))?
            .query_row(params![dir.mirror.0, dir.id.0, from, upto], |row| row.get(0))?)
    }

    /// Whether anything below a directory was started on the service and not settled.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has_uploads_below(&self, dir: &DirRow) -> Result<bool, JournalError> {
        let (from, upto) = subtree(&dir.path);
        let all = at_and_below(upto.is_some());
        Ok(self
            .tx
            .prepare_cached(&format!(
                "SELECT EXISTS (SELECT 1 FROM upload WHERE dir_id IN ({all}))"
            ))?
            .query_row(params![dir.mirror.0, dir.id.0, from, upto], |row| row.get(0))?)
    }

    /// The copy of `old` is about to be moved to that of `new`: until the end is known, nothing is known of what was
    /// confirmed below `old`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn move_begins(&self, old: &DirRow, new: &DirRow) -> Result<(), JournalError> {
        let (from, upto) = subtree(&old.path);
        let all = at_and_below(upto.is_some());
        self.tx
            .prepare_cached("UPDATE dir SET move_from = ?2 WHERE id = ?1")?
            .execute([new.id.0, old.id.0])?;
        self.tx
            .prepare_cached(&format!("UPDATE file SET unsure = 1 WHERE dir_id IN ({all})"))?
            .execute(params![old.mirror.0, old.id.0, from, upto])?;
        self.tx
            .prepare_cached(&format!(
                "UPDATE dir SET created_before_ms = coalesce(created_at_ms, created_before_ms), created_at_ms = NULL
                  WHERE id IN ({all})"
            ))?
            .execute(params![old.mirror.0, old.id.0, from, upto])?;
        Ok(())
    }

    /// The move to `new` is over, whatever came of it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn move_ends(&self, new: DirId) -> Result<(), JournalError> {
        self.tx
            .prepare_cached("UPDATE dir SET move_from = NULL WHERE id = ?1")?
            .execute([new.0])?;
        Ok(())
    }

    /// The copy of `old` was not moved: what was confirmed below it is where it was.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn not_moved(&self, old: &DirRow) -> Result<(), JournalError> {
        let (from, upto) = subtree(&old.path);
        let all = at_and_below(upto.is_some());
        self.tx
            .prepare_cached(&format!(
                "UPDATE file SET unsure = 0 WHERE gone_at_ms IS NOT NULL AND dir_id IN ({all})"
            ))?
            .execute(params![old.mirror.0, old.id.0, from, upto])?;
        self.tx
            .prepare_cached(&format!(
                "UPDATE dir SET created_before_ms = NULL WHERE id IN ({all})"
            ))?
            .execute(params![old.mirror.0, old.id.0, from, upto])?;
        Ok(())
    }

    /// The copy of `old`, with all that was confirmed below it, is that of `new` now. What is on disk there decides
    /// what has to be sent. What is gone there may have gone only now: it is deleted at `delete_at_ms`, unless it is
    /// kept. Gives the number of files that are mirrored by that.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn moved(
        &self,
        old: &DirRow,
        new: &DirRow,
        now_ms: i64,
        delete_at_ms: Option<i64>,
    ) -> Result<u64, JournalError> {
        let mut synced = 0;
        // The deepest first: a directory is forgotten when nothing refers to it any more.
        for (from, to) in self.pairs(old, new)?.into_iter().rev() {
            match to {
                Some(to) => {
                    let top = from.id == old.id;
                    synced += self.merge_moved(&from, to, top, now_ms, delete_at_ms)?;
                }
                // One that is on disk again is not part of it.
                None if from.gone_at_ms.is_some() => {
                    self.carry_along(&from, old, new, now_ms, delete_at_ms)?;
                }
                None => {}
            }
        }
        Ok(synced)
    }

    /// Nothing of a directory that is gone is on the remote any more.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn forget_tree(&self, dir: &DirRow) -> Result<(), JournalError> {
        for dir in self.whole_dirs(dir)?.into_iter().rev() {
            self.tx
                .prepare_cached("DELETE FROM file WHERE dir_id = ?1 AND gone_at_ms IS NOT NULL")?
                .execute([dir.id.0])?;
            self.forget_if_empty(&dir)?;
        }
        Ok(())
    }

    /// What was confirmed in `from` was confirmed in `to`. `top`: it is the directory itself whose copy was moved.
    fn merge_moved(
        &self,
        from: &DirRow,
        to: DirId,
        top: bool,
        now_ms: i64,
        delete_at_ms: Option<i64>,
    ) -> Result<u64, JournalError> {
        let ids = [from.id.0, to.0];
        self.tx
            .prepare_cached(
                "UPDATE file AS n SET
                     confirmed_size = coalesce(o.confirmed_size, o.size),
                     confirmed_mtime_ns = coalesce(o.confirmed_mtime_ns, o.mtime_ns),
                     confirmed_ctime_ns = coalesce(o.confirmed_ctime_ns, o.ctime_ns),
                     confirmed_inode = coalesce(o.confirmed_inode, o.inode),
                     full_hash = o.full_hash, crc64 = o.crc64, confirmed_at_ms = o.confirmed_at_ms, unsure = 0
                   FROM file AS o
                  WHERE n.dir_id = ?2 AND o.dir_id = ?1 AND o.name = n.name AND o.gone_at_ms IS NOT NULL
                    AND o.confirmed_at_ms IS NOT NULL AND n.confirmed_at_ms IS NULL",
            )?
            .execute(ids)?;
        let synced = self
            .tx
            .prepare_cached(
                "UPDATE file SET next_at_ms = NULL, changed_at_ms = NULL, confirmed_size = NULL,
                        confirmed_mtime_ns = NULL, confirmed_ctime_ns = NULL, confirmed_inode = NULL
                  WHERE dir_id = ?2 AND gone_at_ms IS NULL AND unsure = 0 AND next_at_ms IS NOT NULL
                    AND confirmed_at_ms IS NOT NULL AND coalesce(confirmed_size, size) = size
                    AND coalesce(confirmed_mtime_ns, mtime_ns) = mtime_ns
                    AND coalesce(confirmed_ctime_ns, ctime_ns) = ctime_ns
                    AND coalesce(confirmed_inode, inode) = inode
                    AND name IN (SELECT name FROM file WHERE dir_id = ?1 AND gone_at_ms IS NOT NULL)",
            )?
            .execute(ids)?;
        self.tx
            .prepare_cached(
                "DELETE FROM trouble WHERE dir_id = ?2 AND name IN (
                     SELECT name FROM file WHERE dir_id = ?2 AND next_at_ms IS NULL)",
            )?
            .execute(ids)?;
        self.tx
            .prepare_cached(
                "DELETE FROM file WHERE dir_id = ?1 AND gone_at_ms IS NOT NULL
                    AND name IN (SELECT name FROM file WHERE dir_id = ?2)",
            )?
            .execute(ids)?;
        // The copies of what is gone since came along.
        self.tx
            .prepare_cached(
                "UPDATE file SET dir_id = ?2, unsure = 0, gone_at_ms = ?3,
                        delete_at_ms = CASE WHEN delete_at_ms IS NULL THEN NULL ELSE ?4 END
                  WHERE dir_id = ?1 AND gone_at_ms IS NOT NULL",
            )?
            .execute(params![from.id.0, to.0, now_ms, delete_at_ms])?;
        let was_there: bool = top
            || self
                .tx
                .prepare_cached("SELECT created_before_ms IS NOT NULL FROM dir WHERE id = ?1")?
                .query_row([from.id.0], |row| row.get(0))?;
        if was_there {
            self.tx
                .prepare_cached(
                    "UPDATE dir SET created_at_ms = coalesce(created_at_ms, ?2), next_at_ms = NULL WHERE id = ?1",
                )?
                .execute(params![to.0, now_ms])?;
        } else {
            // What was never made did not come along.
            self.tx
                .prepare_cached(
                    "UPDATE dir SET next_at_ms = ?2
                      WHERE id = ?1 AND created_at_ms IS NULL AND gone_at_ms IS NULL",
                )?
                .execute(params![to.0, now_ms])?;
        }
        self.tx
            .prepare_cached("DELETE FROM trouble WHERE dir_id = ?1 AND name = x''")?
            .execute([to.0])?;
        self.forget_if_empty(from)?;
        Ok(u64::try_from(synced).unwrap_or(u64::MAX))
    }

    /// A directory that is gone in both places: its copy is below that of `new`.
    fn carry_along(
        &self,
        dir: &DirRow,
        old: &DirRow,
        new: &DirRow,
        now_ms: i64,
        delete_at_ms: Option<i64>,
    ) -> Result<(), JournalError> {
        let Some(path) = rebased(&dir.path, &old.path, &new.path) else { return Ok(()) };
        let Some(parent) = path.parent() else { return Ok(()) };
        let known = self.dir_at(dir.mirror, &parent)?;
        let parent = match (known, dir.parent) {
            (Some(parent), _) => parent.id,
            // Its parent is carried along after it.
            (None, Some(parent)) => parent,
            (None, None) => return Ok(()),
        };
        self.tx
            .prepare_cached(
                "UPDATE dir SET path = ?2, parent_id = ?3, created_before_ms = NULL,
                        delete_at_ms = CASE WHEN delete_at_ms IS NULL THEN NULL ELSE ?4 END
                  WHERE id = ?1",
            )?
            .execute(params![dir.id.0, path.as_bytes(), parent.0, delete_at_ms])?;
        self.tx
            .prepare_cached(
                "UPDATE file SET unsure = 0, gone_at_ms = ?2,
                        delete_at_ms = CASE WHEN delete_at_ms IS NULL THEN NULL ELSE ?3 END
                  WHERE dir_id = ?1 AND gone_at_ms IS NOT NULL",
            )?
            .execute(params![dir.id.0, now_ms, delete_at_ms])?;
        Ok(())
    }

    /// A directory that is on disk again keeps its row.
    fn forget_if_empty(&self, dir: &DirRow) -> Result<(), JournalError> {
        let used: bool = self
            .tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM file WHERE dir_id = ?1)
                     OR EXISTS (SELECT 1 FROM dir WHERE parent_id = ?1)
                     OR EXISTS (SELECT 1 FROM upload WHERE dir_id = ?1)
                     OR EXISTS (SELECT 1 FROM dir WHERE id = ?1 AND gone_at_ms IS NULL)",
            )?
            .query_row([dir.id.0], |row| row.get(0))?;
        if used { Ok(()) } else { self.forget_dir(dir.id) }
    }

    /// Each directory at and below `old`, the highest first, with the one at the same place below `new`.
    fn pairs(
        &self,
        old: &DirRow,
        new: &DirRow,
    ) -> Result<Vec<(DirRow, Option<DirId>)>, JournalError> {
        let mut pairs = Vec::new();
        for dir in self.whole_dirs(old)? {
            let Some(path) = rebased(&dir.path, &old.path, &new.path) else { continue };
            let to = self
                .tx
                .prepare_cached("SELECT id FROM dir WHERE mirror_id = ?1 AND path = ?2")?
                .query_row(params![dir.mirror.0, path.as_bytes()], |row| row.get(0))
                .optional()?
                .map(DirId);
            pairs.push((dir, to));
        }
        Ok(pairs)
    }

    /// A directory and all below it, the highest first.
    fn whole_dirs(&self, dir: &DirRow) -> Result<Vec<DirRow>, JournalError> {
        let (from, upto) = subtree(&dir.path);
        let all = at_and_below(upto.is_some());
        Ok(self
            .tx
            .prepare_cached(&format!("SELECT {DIR_COLUMNS} FROM dir WHERE id IN ({all})"))?
            .query_map(params![dir.mirror.0, dir.id.0, from, upto], dir_row)?
            .collect::<Result<Vec<DirRow>, _>>()
            .map(|mut rows| {
                rows.sort_unstable_by(|a, b| a.path.cmp(&b.path));
                rows
            })?)
    }
}

/// The place below `new` that `path` has below `old`.
fn rebased(path: &RelPath, old: &RelPath, new: &RelPath) -> Option<RelPath> {
    if path == old {
        return Some(new.clone());
    }
    let rest = path.as_bytes().strip_prefix(old.as_bytes())?.strip_prefix(b"/")?;
    Some(new.join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Hash;
    use crate::journal::{ConfirmedRow, EntryId, FileRow, Journal};

    fn rel(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes().to_vec())
    }

    fn file(dir: DirId, ctime_ns: i64, confirmed: bool) -> FileRow {
        let seen = Fingerprint { size: 3, mtime_ns: 1, ctime_ns, inode: 5 };
        let full_hash = Hash::from_bytes([1; 32]);
        FileRow {
            id: EntryId { dir, name: b"f".to_vec() },
            seen,
            confirmed: confirmed.then_some(ConfirmedRow {
                fingerprint: seen,
                full_hash,
                crc64: 9,
                at_ms: 1,
            }),
            changed_at_ms: (!confirmed).then_some(1),
            next_at_ms: (!confirmed).then_some(1),
            gone_at_ms: None,
            unsure: false,
        }
    }

    #[test]
    fn a_directory_is_another_one_unless_a_file_in_it_is_the_same() {
        for (ctime_ns, moved) in [(7, true), (8, false)] {
            let mut journal = Journal::in_memory().expect("a journal");
            let turn = journal.turn().expect("a turn");
            let mirror = turn.adopt_mirror("m", b"/m", "t").expect("a mirror").id;
            let root = turn.dir_at(mirror, &RelPath::root()).expect("a row").expect("a root").id;
            let old = turn.insert_dir(mirror, Some(root), &rel("old"), None).expect("a row");
            turn.dir_created(old, 1).expect("made");
            turn.put_file(&file(old, 7, true)).expect("a file");
            turn.set_dir_mark(old, 4, false, 0).expect("a mark");
            turn.tree_gone(old, 2, Some(3)).expect("gone");
            let new = turn.insert_dir(mirror, Some(root), &rel("new"), Some(1)).expect("a row");
            turn.set_dir_mark(new, 4, false, 0).expect("a mark");
            turn.put_file(&file(new, ctime_ns, false)).expect("a file");
            let row = |id| turn.dir(id).expect("a row").expect("it is there");
            let found = turn.dir_of_inode(mirror, 4, new).expect("an answer").map(|dir| dir.id);
            assert_eq!(found, Some(old));
            assert_eq!(turn.is_moved(&row(old), &row(new)).expect("an answer"), moved);
            if moved {
                turn.move_begins(&row(old), &row(new)).expect("begun");
                assert_eq!(turn.moving().expect("moves"), [(new, old)]);
                assert_eq!(turn.moved(&row(old), &row(new), 5, None).expect("moved"), 1);
                let file = turn.file(&file(new, 7, true).id).expect("a row").expect("a file");
                assert!(file.is_synced() && file.next_at_ms.is_none());
                assert!(row(new).created_at_ms.is_some());
                assert_eq!(turn.dir(old).expect("an answer"), None, "nothing is left of it");
            }
        }
    }
}
