//! One transaction of the engine: everything a turn decides becomes true together (deterministic).

use rusqlite::{Transaction, TransactionBehavior, params};

use super::{Journal, JournalError, MirrorId};
use crate::relpath::RelPath;

/// History that is kept, in rows.
const ACTIVITY_KEPT: i64 = 20_000;
/// Old rows are looked for once in so many new ones.
const ACTIVITY_PRUNE_EVERY: i64 = 512;

/// An open transaction. Dropping it undoes what it did.
#[derive(Debug)]
pub struct Turn<'a> {
    pub(super) tx: Transaction<'a>,
}

/// Something that happened to an entry, for `history`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Its content was sent and confirmed.
    Uploaded,
    /// The library had the content already.
    Instant,
    /// Only its times changed; the content was proven to be the confirmed one.
    Unchanged,
    /// An upload of an earlier run was found complete, or was completed.
    Recovered,
    /// The library held it already, under its path, with the same size and crc64.
    Adopted,
    /// It vanished from the disk.
    Gone,
    /// It cannot be mirrored until something changes.
    Blocked,
    /// A directory was made on the remote.
    DirectoryCreated,
    /// It was renamed on disk, and its copy in the library.
    Moved,
    /// Its copy was deleted, since it is gone.
    Deleted,
    /// It is gone, and what the library holds under its path is not what this mirror put there.
    LeftAlone,
    /// `verify` found that its copy is not what was confirmed: it is proven anew.
    Doubted,
    /// Deletes of a mirror began to wait for a person.
    Held,
    /// A person let them go on.
    Approved,
    /// A person wants the copies to be kept.
    Rejected,
    /// They wait no more, without an answer: what was missing is back.
    Released,
}

impl Activity {
    /// The word in the journal and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Activity::Uploaded => "uploaded",
            Activity::Instant => "instant",
            Activity::Unchanged => "unchanged",
            Activity::Recovered => "recovered",
            Activity::Adopted => "adopted",
            Activity::Gone => "gone",
            Activity::Blocked => "blocked",
            Activity::DirectoryCreated => "directory-created",
            Activity::Moved => "moved",
            Activity::Deleted => "deleted",
            Activity::LeftAlone => "left-alone",
            Activity::Doubted => "doubted",
            Activity::Held => "held",
            Activity::Approved => "approved",
            Activity::Rejected => "rejected",
            Activity::Released => "released",
        }
    }
}

impl Journal {
    /// Begins a turn. There is one writer, so it waits for nobody but a checkpoint.
    ///
    /// # Errors
    /// What SQLite says; also that the file was taken away.
    pub fn turn(&mut self) -> Result<Turn<'_>, JournalError> {
        self.is_in_place()?;
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Turn { tx })
    }

    /// What is committed survives a power cut from now on. Without this the last commits may be lost: that costs work,
    /// but must not be forgotten once a copy was deleted or moved because of them.
    ///
    /// # Errors
    /// The disk failed.
    pub fn make_durable(&self) -> Result<(), JournalError> {
        let Some(path) = self.connection.path().filter(|path| !path.is_empty()) else {
            return Ok(());
        };
        // Everything that was committed and not folded up lies in the log; SQLite holds no lock on that file.
        match std::fs::File::open(format!("{path}-wal")).and_then(|log| log.sync_data()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(JournalError::Disk(format!("cannot write {path}-wal to the disk: {error}")))
            }
            _ => Ok(()),
        }
    }
}

impl Turn<'_> {
    /// Makes everything of this turn true at once.
    ///
    /// # Errors
    /// What SQLite says; then nothing of it is true.
    pub fn commit(self) -> Result<(), JournalError> {
        Ok(self.tx.commit()?)
    }

    /// Adds a line of history, and prunes the oldest now and then.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn record(
        &self,
        at_ms: i64,
        mirror: MirrorId,
        path: &RelPath,
        what: Activity,
        detail: &str,
    ) -> Result<(), JournalError> {
        self.tx
            .prepare_cached(
                "INSERT INTO activity (at_ms, mirror_id, path, what, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![at_ms, mirror.0, path.as_bytes(), what.as_str(), detail])?;
        let id = self.tx.last_insert_rowid();
        if id % ACTIVITY_PRUNE_EVERY == 0 {
            self.tx
                .prepare_cached("DELETE FROM activity WHERE id <= ?1")?
                .execute([id - ACTIVITY_KEPT])?;
        }
        Ok(())
    }
}
