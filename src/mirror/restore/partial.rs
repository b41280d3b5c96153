//! A content on its way into the target (shell): what arrived so far, and its crc64.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use super::local_error::{LocalError, broken};
use crate::digest::Crc64;

/// A content that is not complete, or not proven yet.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    key: String,
    /// Where it will be, for messages.
    shown: String,
    len: u64,
    crc: Crc64,
}

impl Partial {
    /// Goes on at the end of a file that was read.
    pub(super) fn new(file: File, key: String, shown: String, len: u64, crc: Crc64) -> Partial {
        Partial { file, key, shown, len, crc }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Its name in the folder for what is not complete.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn crc64(&self) -> u64 {
        self.crc.clone().finish()
    }

    /// The content goes on with `bytes`.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), LocalError> {
        self.file.write_all(bytes).map_err(|error| broken(&error, "write", &self.shown))?;
        self.crc.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Begins at the first byte again.
    pub(super) fn restart(&mut self) -> Result<(), LocalError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|error| broken(&error, "empty", &self.shown))?;
        self.crc = Crc64::default();
        self.len = 0;
        Ok(())
    }
}
