//! Reading one file (shell): either all of it was one state of the file, or the reading fails.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use rustix::io::Errno;

use super::buffers::{Buffers, CHUNK};
use super::entry::{Kind, Meaning, fingerprint, kind, refusal};
use super::root::{Root, RootError};
use super::way::{Astray, Way};
use crate::digest::{Crc64, Digest, Digester, Hash};
use crate::fingerprint::Fingerprint;
use crate::relpath::RelPath;

/// A file that changes while it is read is noticed after so many bytes, not only at its end.
const CHECK_EVERY: u64 = 16 * 1024 * 1024;

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
    /// This machine is short of something for the moment, like descriptors: the file is not to blame,
    /// and trying again helps.
    #[error("cannot read the file now: {0}")]
    Transient(String),
}

impl ReadError {
    /// What the system's error on opening the file means.
    fn of(errno: Errno) -> ReadError {
        let text = refusal(errno, "read it, and to enter the directories above it");
        match Meaning::of(errno) {
            Meaning::Vanished => ReadError::Vanished,
            Meaning::RootGone => ReadError::Root(text),
            Meaning::Refused => ReadError::Local(text),
            Meaning::Shortage => ReadError::Transient(text),
        }
    }

    /// What the system's error on an open file means. A file that is open cannot be absent: that it was
    /// removed on the server of a network filesystem shows when it is opened again.
    fn on_open(error: &std::io::Error) -> ReadError {
        match error.raw_os_error().map(|raw| Meaning::of(Errno::from_raw_os_error(raw))) {
            None | Some(Meaning::Refused) => ReadError::Local(error.to_string()),
            Some(Meaning::Vanished | Meaning::RootGone | Meaning::Shortage) => {
                ReadError::Transient(error.to_string())
            }
        }
    }
}

/// An open file that had the expected fingerprint when it was opened.
#[derive(Debug)]
pub struct Reading {
    file: File,
    expected: Fingerprint,
    stable: bool,
    buffers: Buffers,
}

/// Opens the file `path` below `local`, provided that it is still `expected`. `follow`: links lead to what they point
/// to.
///
/// # Errors
/// It vanished, changed, or cannot be read.
pub(super) fn open(
    local: &Path,
    follow: bool,
    path: &RelPath,
    expected: Fingerprint,
    buffers: &Buffers,
) -> Result<Reading, ReadError> {
    let root = Root::open(local).map_err(|error| match error {
        RootError::Shortage(..) => ReadError::Transient(error.to_string()),
        RootError::Missing(_) | RootError::NotDirectory(_) | RootError::Unreadable(..) => {
            ReadError::Root(error.to_string())
        }
    })?;
    let (dir, name) = path.split().ok_or(ReadError::Changed)?;
    let file = Way::to(&root, follow, &dir).and_then(|way| way.open_file(name));
    let file = file.map_err(|astray| match astray {
        Astray::Errno(errno) => ReadError::of(errno),
        // What was a file, or a directory on the way to it, is a link now.
        Astray::Barred(_) => ReadError::Changed,
    })?;
    let file = file.ok_or(ReadError::Changed)?;
    let reading = Reading { file, expected, stable: root.is_stable(), buffers: buffers.clone() };
    reading.check()?;
    Ok(reading)
}

impl Reading {
    /// Whether the file is still what was expected.
    fn check(&self) -> Result<(), ReadError> {
        let stat =
            rustix::fs::fstat(&self.file).map_err(|errno| ReadError::on_open(&errno.into()))?;
        if !matches!(kind(&stat, self.stable, stat.st_dev, || false), Kind::File(_)) {
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
            let mut buffer = self.buffers.take(want);
            self.read(buffer.as_mut())?;
            digester.update(buffer.as_ref());
            left -= want as u64;
            if left == 0 || left % CHECK_EVERY < want as u64 {
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
    pub fn whole(mut self) -> Result<(Bytes, Digest), ReadError> {
        let mut all = vec![0; usize::try_from(self.expected.size).unwrap_or(0)];
        self.read(&mut all)?;
        let mut digester = Digester::new();
        digester.update(&all);
        self.check()?;
        Ok((Bytes::from(all), digester.finish()))
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
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let mut buffer = self.buffers.take(want);
            self.read(buffer.as_mut())?;
            digester.update(buffer.as_ref());
            left -= want as u64;
        }
        self.check()?;
        Ok(digester.finish())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.file.read_exact(buffer).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => ReadError::Changed,
            _ => ReadError::on_open(&error),
        })
    }
}

impl Reading {
    /// The digests of `len` bytes from `offset` on: size and crc64 are theirs, the full hash is that of the file up to
    /// their end. `after`: that up to their beginning.
    ///
    /// # Errors
    /// As [`Reading::pieces`].
    pub fn digest_part(
        self,
        offset: u64,
        len: u64,
        after: Option<Hash>,
    ) -> Result<Digest, ReadError> {
        let mut digester = after.map_or_else(Digester::new, Digester::after);
        let mut done = 0;
        while done < len {
            let want = usize::try_from(len - done).unwrap_or(CHUNK).min(CHUNK);
            let mut buffer = self.buffers.take(want);
            self.read_at(buffer.as_mut(), offset + done)?;
            digester.update(buffer.as_ref());
            done += want as u64;
        }
        self.check()?;
        Ok(digester.finish())
    }

    /// Hands over `len` bytes from `offset` on. The last piece is handed over only after the file proved to be
    /// unchanged, and the bytes to be those that were read before.
    ///
    /// # Errors
    /// As [`Reading::pieces`].
    pub fn part(
        self,
        offset: u64,
        len: u64,
        crc64: u64,
        mut piece: impl FnMut(Bytes) -> bool,
    ) -> Result<(), ReadError> {
        let mut crc = Crc64::default();
        let mut done = 0;
        while done < len {
            let want = usize::try_from(len - done).unwrap_or(CHUNK).min(CHUNK);
            let mut buffer = self.buffers.take(want);
            self.read_at(buffer.as_mut(), offset + done)?;
            crc.update(buffer.as_ref());
            done += want as u64;
            if done == len {
                self.check()?;
                if std::mem::take(&mut crc).finish() != crc64 {
                    return Err(ReadError::Changed);
                }
            }
            if !piece(buffer.freeze()) {
                return Err(ReadError::Stopped);
            }
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => ReadError::Changed,
            _ => ReadError::on_open(&error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_of_the_machine_is_not_held_against_the_file() {
        for (errno, opening, reading) in [
            (Errno::NOENT, "vanished", "transient"),
            (Errno::ACCESS, "local", "local"),
            (Errno::PERM, "local", "local"),
            (Errno::IO, "local", "local"),
            (Errno::NAMETOOLONG, "local", "local"),
            (Errno::STALE, "root", "transient"),
            (Errno::MFILE, "transient", "transient"),
            (Errno::NFILE, "transient", "transient"),
        ] {
            let word = |error| match error {
                ReadError::Vanished => "vanished",
                ReadError::Changed | ReadError::Stopped => "neither",
                ReadError::Root(_) => "root",
                ReadError::Local(_) => "local",
                ReadError::Transient(_) => "transient",
            };
            assert_eq!(word(ReadError::of(errno)), opening, "{errno:?}");
            assert_eq!(word(ReadError::on_open(&errno.into())), reading, "{errno:?}");
        }
    }
}
