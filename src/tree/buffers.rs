//! Memory that files are read into (shell): what was sent is read into again, instead of being handed back to the
//! system and asked for, page by page, for the next piece.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bytes read at a time.
pub(super) const CHUNK: usize = 128 * 1024;
/// Buffers that are kept while nobody reads: a few files at a time find theirs at once.
const KEPT: usize = 32;

/// Buffers that are free. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer of [`CHUNK`] bytes, which goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// How many of them are content.
    len: usize,
    home: Buffers,
}

impl Buffers {
    /// A buffer for `len` bytes, [`CHUNK`] at most; what is in it means nothing.
    pub(super) fn take(&self, len: usize) -> Buffer {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = kept.unwrap_or_else(|| vec![0; CHUNK]);
        Buffer { len: len.min(bytes.len()), bytes, home: self.clone() }
    }
}

impl Buffer {
    /// The content, to be written.
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    /// The content, to be handed on; the buffer goes back when the last who holds it lets go.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_nobody_holds_it() {
        let buffers = Buffers::default();
        let mut first = buffers.take(3);
        first.as_mut().copy_from_slice(b"abc");
        let at = first.as_ref().as_ptr();
        let (sent, copy) = {
            let sent = first.freeze();
            (sent.clone(), sent)
        };
        drop(sent);
        // Somebody still holds it.
        assert_ne!(buffers.take(1).as_ref().as_ptr(), at);
        assert_eq!(copy, "abc");
        let free = buffers.0.lock().unwrap().len();
        drop(copy);
        assert_eq!(buffers.0.lock().unwrap().len(), free + 1);
        assert_eq!(buffers.take(CHUNK).as_ref().as_ptr(), at);
    }

    #[test]
    fn not_all_are_kept() {
        let buffers = Buffers::default();
        let taken: Vec<_> = (0..2 * KEPT).map(|_| buffers.take(1)).collect();
        drop(taken);
        assert_eq!(buffers.0.lock().unwrap().len(), KEPT);
    }
}
