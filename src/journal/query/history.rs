//! What happened: the bounded history, newest last.

use rusqlite::params;

use super::Reader;
use crate::journal::dirs::{subtree, to_sql_limit};
use crate::journal::rows::MirrorId;
use crate::journal::{Activity, JournalError};
use crate::relpath::RelPath;

/// Something that happened to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When.
    pub at_ms: i64,
    /// The name of the mirror.
    pub mirror: String,
    /// Where.
    pub path: RelPath,
    /// The word of the activity, which may be one of a newer program.
    pub what: String,
    /// More about it.
    pub detail: String,
}

/// Reads the whole table backwards and stops at the limit: it is kept short, so an index would cost
/// every upload more than it saves the few who ask. Of a folder above the asked path only its
/// vanishing counts, which took everything in it along.
const HISTORY: &str = "SELECT a.at_ms, m.name, a.path, a.what, a.detail FROM activity a
      JOIN mirror m ON m.id = a.mirror_id
     WHERE (?1 IS NULL OR (a.mirror_id = ?1 AND (
             a.path = ?2 OR (a.path >= ?3 AND (?4 IS NULL OR a.path < ?4))
             OR (a.what = ?5 AND a.path <> x''
                 AND substr(?2, 1, length(a.path) + 1) = CAST(a.path || '/' AS BLOB)))))
     ORDER BY a.id DESC LIMIT ?6";

impl Reader {
    /// The newest `limit` things that happened, oldest first: to everything, or to one entry and what
    /// lies below it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn history(
        &self,
        about: Option<(MirrorId, &RelPath)>,
        limit: usize,
    ) -> Result<Vec<Happened>, JournalError> {
        let root = RelPath::root();
        let (mirror, path) = match about {
            Some((mirror, path)) => (Some(mirror.0), path),
            None => (None, &root),
        };
        let (from, upto) = subtree(path);
        let mut statement = self.connection.prepare_cached(HISTORY)?;
        let rows = statement.query_map(
            params![
                mirror,
                path.as_bytes(),
                from,
                upto,
                Activity::Gone.as_str(),
                to_sql_limit(limit)
            ],
            |row| {
                Ok(Happened {
                    at_ms: row.get(0)?,
                    mirror: row.get(1)?,
                    path: RelPath::from_bytes(row.get(2)?),
                    what: row.get(3)?,
                    detail: row.get(4)?,
                })
            },
        )?;
        let mut happened: Vec<Happened> = rows.collect::<Result<_, _>>()?;
        happened.reverse();
        Ok(happened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    fn rel(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn the_history_of_a_path_is_its_own_and_what_took_it_along() {
        let mut journal = Journal::in_memory().unwrap();
        let turn = journal.turn().unwrap();
        let docs = turn.adopt_mirror("docs", b"/docs", "t").unwrap().id;
        let other = turn.adopt_mirror("other", b"/other", "u").unwrap().id;
        for (at_ms, mirror, path, what) in [
            (1, docs, "a", Activity::DirectoryCreated),
            (2, docs, "a/b", Activity::Uploaded),
            (3, docs, "ab", Activity::Uploaded),
            (4, other, "a/b", Activity::Uploaded),
            (5, docs, "a", Activity::Gone),
            (6, docs, "a0", Activity::Gone),
        ] {
            turn.record(at_ms, mirror, &rel(path), what, "").unwrap();
        }
        turn.commit().unwrap();
        let reader = Reader::of(journal);
        let times = |about: Option<(MirrorId, &RelPath)>, limit| -> Vec<i64> {
            reader.history(about, limit).unwrap().iter().map(|h| h.at_ms).collect()
        };
        assert_eq!(times(Some((docs, &rel("a/b"))), 9), [2, 5]);
        assert_eq!(times(Some((docs, &rel("a"))), 9), [1, 2, 5]);
        assert_eq!(times(Some((docs, &RelPath::root())), 9), [1, 2, 3, 5, 6]);
        assert_eq!(times(None, 9), [1, 2, 3, 4, 5, 6]);
        assert_eq!(times(None, 2), [5, 6]);
    }

    #[test]
    fn the_newest_are_found_without_sorting() {
        let reader = Reader::of(Journal::in_memory().unwrap());
        let mut statement =
            reader.connection.prepare(&format!("EXPLAIN QUERY PLAN {HISTORY}")).unwrap();
        let plan: Vec<String> = statement
            .query_map(params![1, b"a", b"a/", b"a0", "gone", 9], |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(plan[0], "SCAN a", "{plan:?}");
        assert!(plan.iter().all(|step| !step.contains("TEMP B-TREE")), "{plan:?}");
    }
}
