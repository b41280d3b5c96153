//! Rows of `meta`: what a person set while the daemon ran, and is kept.

use rusqlite::{Connection, OptionalExtension};

use super::{JournalError, Turn};

/// A setting that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The limit of the bandwidth, in the words of the configuration.
    BandwidthLimit,
}

impl Kept {
    fn key(self) -> &'static str {
        match self {
            Kept::BandwidthLimit => "bandwidth_limit",
        }
    }
}

impl Turn<'_> {
    /// What was set; `None`: nothing was.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn kept(&self, what: Kept) -> Result<Option<String>, JournalError> {
        read(&self.tx, what)
    }

    /// Keeps a value; `None`: none any more.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn keep(&self, what: Kept, value: Option<&str>) -> Result<(), JournalError> {
        match value {
            Some(value) => self
                .tx
                .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
                .execute([what.key(), value])?,
            None => {
                self.tx.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([what.key()])?
            }
        };
        Ok(())
    }
}

/// Reads a value.
pub(super) fn read(connection: &Connection, what: Kept) -> Result<Option<String>, JournalError> {
    Ok(connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([what.key()], |row| row.get(0))
        .optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    #[test]
    fn what_is_kept_is_kept_until_it_is_not() {
        let mut journal = Journal::in_memory().expect("a journal");
        for value in [None, Some("1MiB/s"), Some("0"), None, None] {
            let turn = journal.turn().expect("a turn");
            turn.keep(Kept::BandwidthLimit, value).expect("kept");
            turn.commit().expect("committed");
            let turn = journal.turn().expect("a turn");
            assert_eq!(turn.kept(Kept::BandwidthLimit).expect("read").as_deref(), value);
        }
    }
}
