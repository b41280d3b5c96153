//! From any older schema to the present one: forward only, one transaction a step.

use rusqlite::Connection;

use super::JournalError;

/// Append only. The index of a step plus one is the `user_version` that it leads to.
const STEPS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema_v2.sql"),
    include_str!("schema_v3.sql"),
    include_str!("schema_v4.sql"),
    include_str!("schema_v5.sql"),
    include_str!("schema_v6.sql"),
    include_str!("schema_v7.sql"),
    include_str!("schema_v8.sql"),
];

/// The version that this program reads and writes.
#[must_use]
pub fn newest() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// Brings the schema to the newest version.
///
/// # Errors
/// A journal written by a newer program, or what SQLite says.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), JournalError> {
    let found = version(connection)?;
    if found > newest() {
        return Err(JournalError::Newer { found, known: newest() });
    }
    for (index, step) in STEPS.iter().enumerate() {
        let leads_to = i64::try_from(index + 1).unwrap_or(i64::MAX);
        if leads_to <= found {
            continue;
        }
        let step_tx =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        step_tx.execute_batch(step)?;
        step_tx.pragma_update(None, "user_version", leads_to)?;
        step_tx.commit()?;
    }
    Ok(())
}

/// The version that the file has.
pub(super) fn version(connection: &Connection) -> Result<i64, JournalError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_journal_has_the_newest_version_and_a_second_run_changes_nothing() {
        let mut connection = Connection::open_in_memory().expect("memory");
        migrate(&mut connection).expect("first");
        assert_eq!(version(&connection).expect("version"), newest());
        migrate(&mut connection).expect("second");
    }

    #[test]
    fn a_newer_journal_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().expect("memory");
        connection.pragma_update(None, "user_version", newest() + 1).expect("pragma");
        assert!(matches!(migrate(&mut connection), Err(JournalError::Newer { .. })));
    }

    #[test]
    fn directories_that_cannot_be_read_are_told_from_those_that_cannot_be_made() {
        let mut connection = Connection::open_in_memory().expect("memory");
        for step in &STEPS[..2] {
            connection.execute_batch(step).expect("an older schema");
        }
        connection.pragma_update(None, "user_version", 2).expect("pragma");
        connection
            .execute_batch(
                "INSERT INTO mirror (id, name, local, target) VALUES (1, 'm', x'2f', 't');
                 INSERT INTO dir (id, mirror_id, path) VALUES (1, 1, x''), (2, 1, x'61'), (3, 1, x'62');
                 INSERT INTO trouble VALUES (2, x'', 'local', NULL, 'EACCES', NULL, 4, 1, 5, 6),
                     (3, x'', 'permanent', NULL, 'in the way', NULL, 1, 1, 5, 6),
                     (1, x'66', 'local', NULL, 'EACCES', NULL, 1, 1, 5, 6);",
            )
            .expect("rows");
        migrate(&mut connection).expect("migrated");
        let ids = |sql: &str| -> Vec<i64> {
            let mut statement = connection.prepare(sql).expect("a statement");
            let rows = statement.query_map([], |row| row.get(0)).expect("rows");
            rows.collect::<Result<_, _>>().expect("numbers")
        };
        assert_eq!(ids("SELECT dir_id FROM unreadable WHERE attempts = 4"), [2]);
        assert_eq!(ids("SELECT dir_id FROM trouble ORDER BY dir_id"), [1, 3]);
    }

    /// Saved by the program of version 1: two files that are mirrored, one that is blocked, one that is posted and
    /// not confirmed, a link that is left out.
    const VERSION_1: &[u8] =
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/journal-v1.db"));

    #[test]
    fn a_journal_of_version_1_keeps_everything() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal.db");
        std::fs::write(&path, VERSION_1).expect("a copy");
        let counts = |connection: &Connection| -> Vec<i64> {
            ["mirror", "dir", "file", "upload", "trouble", "skipped", "activity"]
                .iter()
                .map(|table| {
                    connection
                        .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
                        .expect("a count")
                })
                .collect()
        };
        let mut connection = Connection::open(&path).expect("the saved file");
        assert_eq!(version(&connection).expect("version"), 1);
        let before = counts(&connection);
        assert_eq!(before[..6], [1, 4, 4, 1, 2, 1]);
        migrate(&mut connection).expect("migrated");
        assert_eq!(version(&connection).expect("version"), newest());
        assert_eq!(counts(&connection), before);
        // What was mirrored before needs no listing of the remote.
        let adopting: bool = connection
            .query_row("SELECT adopting FROM mirror", [], |row| row.get(0))
            .expect("a mirror");
        assert!(!adopting);
        let synced: i64 = connection
            .query_row("SELECT count(*) FROM file WHERE next_at_ms IS NULL", [], |row| row.get(0))
            .expect("a count");
        assert_eq!(synced, 2);
    }
}
