//! Reading one file (shell): either all of it was one state of the file, or the reading fails.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::{Bytes, BytesMut};

use super::entry::{Absent, Kind, fingerprint, kind};
use super::root::Root;
use crate::digest::{Digest, Digester};
use crate::fingerprint::Fingerprint;
use crate::relpath::RelPath;

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// A file that could not be read as one state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is not there (any more).
    #[error("the file vanished")]
    Vanished,
    /// It is not what it was when it was looked at.
    #[error("the file changed while it was read")]
    Changed,
    /// Whoever took the pieces wants no more.
    #[error("the reading was stopped")]
    Stopped,
    /// The root is not there.
    #[error("{0}")]
    Root(String),
    /// The system does not let us read it.
    #[error("cannot read the file: {0}")]
    Local(String),
}

/// An open file that had the expected fingerprint when it was opened.
#[derive(Debug)]
pub struct Reading {
    file: File,
    expected: Fingerprint,
    stable: bool,
}

/// Opens the file `path` below `local`, provided that it is still `expected`.
///
/// # Errors
/// It vanished, changed, or cannot be read.
pub fn open(local: &Path, path: &RelPath, expected: Fingerprint) -> Result<Reading, ReadError> {
    let root = Root::open(local).map_err(|error| ReadError::Root(error.to_string()))?;
    let file = root.open_file(path).map_err(|errno| match Absent::of(errno) {
        Absent::Gone => ReadError::Vanished,
        Absent::Root(text) | Absent::Unreadable(text) => ReadError::Local(text),
    })?;
    let reading = Reading { file, expected, stable: root.is_stable() };
    reading.check()?;
    Ok(reading)
}

impl Reading {
    /// Whether the file is still what was expected.
    fn check(&self) -> Result<(), ReadError> {
        let stat = rustix::fs::fstat(&self.file)
            .map_err(|errno| ReadError::Local(std::io::Error::from(errno).to_string()))?;
        if !matches!(kind(&stat, self.stable), Kind::File(_)) {
            return Err(ReadError::Changed);
        }
        if fingerprint(&stat, self.stable) == self.expected {
            Ok(())
        } else {
            Err(ReadError::Changed)
        }
    }

    /// Reads to the end and hands over each piece. The last piece is handed over only after the file
    /// proved to be unchanged: whoever waits for it cannot finish with a mixture.
    ///
    /// # Errors
    /// The file changed or cannot be read; or `piece` said `false` ([`ReadError::Stopped`]).
    pub fn pieces(mut self, mut piece: impl FnMut(Bytes) -> bool) -> Result<Digest, ReadError> {
        let mut digester = Digester::new();
        let mut left = self.expected.size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let mut buffer = BytesMut::zeroed(want);
            self.file.read_exact(&mut buffer).map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => ReadError::Changed,
                _ => ReadError::Local(error.to_string()),
            })?;
            digester.update(&buffer);
            left -= want as u64;
            if left == 0 {
                self.check()?;
            }
            if !piece(buffer.freeze()) {
                return Err(ReadError::Stopped);
            }
        }
        if self.expected.size == 0 {
            self.check()?;
        }
        Ok(digester.finish())
    }

    /// Reads all of it into memory.
    ///
    /// # Errors
    /// As [`Reading::pieces`].
    pub fn whole(self) -> Result<(Bytes, Digest), ReadError> {
        let mut all = BytesMut::with_capacity(usize::try_from(self.expected.size).unwrap_or(0));
        let digest = self.pieces(|bytes| {
            all.extend_from_slice(&bytes);
            true
        })?;
        Ok((all.freeze(), digest))
    }

    /// The digests of all of it.
    ///
    /// # Errors
    /// As [`Reading::pieces`].
    pub fn digest(self) -> Result<Digest, ReadError> {
        self.pieces(|_| true)
    }

    /// The digests of its first `len` bytes.
    ///
    /// # Errors
    /// As [`Reading::pieces`].
    pub fn digest_beginning(mut self, len: u64) -> Result<Digest, ReadError> {
        let mut digester = Digester::new();
        let mut left = len.min(self.expected.size);
        let mut buffer = vec![0; CHUNK];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let part = buffer.get_mut(..want).unwrap_or_default();
            self.file.read_exact(part).map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => ReadError::Changed,
                _ => ReadError::Local(error.to_string()),
            })?;
            digester.update(part);
            left -= want as u64;
        }
        self.check()?;
        Ok(digester.finish())
    }
}
