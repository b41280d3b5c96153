//! Which time a restored file gets (shell: asks the journal, if there is one).

use std::sync::{Mutex, PoisonError};

use crate::journal::{MirrorId, Reader};
use crate::relpath::RelPath;

/// Knows the times of the files that the journal remembers.
#[derive(Debug, Default)]
pub struct Times {
    journal: Option<Mutex<(Reader, MirrorId)>>,
}

impl Times {
    /// Without a journal: only the library knows times.
    #[must_use]
    pub fn unknown() -> Times {
        Times::default()
    }

    /// From the rows of a mirror. `None`: the journal does not know it, or speaks of copies somewhere else.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn of(
        reader: Reader,
        mirror: &str,
        target: &str,
    ) -> Result<Option<Times>, crate::journal::JournalError> {
        let known = reader.known_mirrors()?;
        let id = known.into_iter().find(|known| known.name == mirror && known.target == target);
        Ok(id.map(|known| Times { journal: Some(Mutex::new((reader, known.id))) }))
    }

    /// When the file of this content was changed where it was mirrored from, in nanoseconds. `None`: not known. That
    /// the journal cannot be asked is no reason to restore nothing: it is said once a file at most, and only in the log.
    pub(super) fn of_file(&self, path: &RelPath, crc64: u64) -> Option<i64> {
        let journal = self.journal.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        match journal.0.file(journal.1, path) {
            Ok(status) => {
                let confirmed = status.row?.confirmed?;
                (confirmed.crc64 == crc64).then_some(confirmed.fingerprint.mtime_ns)
            }
            Err(error) => {
                tracing::warn!(%path, %error, "the journal does not tell the time of a file; the library's is used");
                None
            }
        }
    }
}
