//! What is being sent at this moment (shell): a counter for each upload, for whoever asks. Nobody is woken by it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{Clock, Now};
use crate::mirror::facts::TransferId;
use crate::relpath::RelPath;

/// The uploads whose content is on its way.
#[derive(Debug)]
pub struct Sending {
    clock: Clock,
    uploads: Mutex<BTreeMap<TransferId, Upload>>,
}

#[derive(Debug)]
struct Upload {
    mirror: String,
    path: RelPath,
    total: u64,
    /// Bytes that an earlier process sent, as far as the first part tells.
    before: u64,
    since: Now,
    sent: Arc<AtomicU64>,
}

/// An upload at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Name of the mirror.
    pub mirror: String,
    /// The file.
    pub path: RelPath,
    /// Bytes that were handed to the connection.
    pub sent: u64,
    /// Those of them that left before `since_ms`.
    pub before: u64,
    /// Bytes of the file.
    pub total: u64,
    /// When the first byte left, milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// How long ago that was, milliseconds, whatever happened to the clock.
    pub elapsed_ms: i64,
}

/// Counts the bytes of one upload, until it is dropped.
#[derive(Debug)]
pub(super) struct Sent {
    transfer: TransferId,
    sent: Arc<AtomicU64>,
    all: Arc<Sending>,
}

impl Sending {
    /// Nothing is being sent yet.
    #[must_use]
    pub fn new(clock: Clock) -> Arc<Sending> {
        Arc::new(Sending { clock, uploads: Mutex::default() })
    }

    /// What is being sent now, the oldest first.
    #[must_use]
    pub fn now(&self) -> Vec<Progress> {
        let now = self.clock.now();
        self.locked()
            .values()
            .map(|upload| Progress {
                mirror: upload.mirror.clone(),
                path: upload.path.clone(),
                sent: upload.sent.load(Ordering::Relaxed).min(upload.total),
                before: upload.before,
                total: upload.total,
                since_ms: upload.since.unix_ms,
                elapsed_ms: now.mono_ms.saturating_sub(upload.since.mono_ms),
            })
            .collect()
    }

    /// The content of a file is about to leave, in one piece.
    pub(super) fn begin(
        self: &Arc<Self>,
        transfer: TransferId,
        mirror: &str,
        path: &RelPath,
        total: u64,
    ) -> Sent {
        let upload = self.upload(mirror, path, total, 0);
        let sent = Arc::clone(&upload.sent);
        self.locked().insert(transfer, upload);
        Sent { transfer, sent, all: Arc::clone(self) }
    }

    /// A part of a file, which begins at `offset`, is about to leave. It is told of until [`Sending::forget`]; the first
    /// part to be sent says how far an earlier process came.
    pub(super) fn part(
        &self,
        transfer: TransferId,
        mirror: &str,
        path: &RelPath,
        total: u64,
        offset: u64,
    ) {
        let begun = || self.upload(mirror, path, total, offset);
        self.locked().entry(transfer).or_insert_with(begun);
    }

    /// What the bytes of an upload in parts are added to.
    pub(super) fn counter(&self, transfer: TransferId) -> Arc<AtomicU64> {
        // Nobody hears of one that is over.
        self.locked().get(&transfer).map(|upload| Arc::clone(&upload.sent)).unwrap_or_default()
    }

    /// A transfer is over.
    pub(super) fn forget(&self, transfer: TransferId) {
        self.locked().remove(&transfer);
    }

    fn upload(&self, mirror: &str, path: &RelPath, total: u64, before: u64) -> Upload {
        Upload {
            mirror: mirror.to_owned(),
            path: path.clone(),
            total,
            before,
            since: self.clock.now(),
            sent: Arc::new(AtomicU64::new(before)),
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<TransferId, Upload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    /// What the bytes are added to, wherever they are sent from.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.all.forget(self.transfer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_told_of_until_it_is_over() {
        let sending = Sending::new(Clock::start());
        let path = RelPath::from_bytes(b"a/b".to_vec());
        let (one, other) = (sending.begin(1, "m", &path, 10), sending.begin(2, "m", &path, 5));
        one.counter().fetch_add(7, Ordering::Relaxed);
        // A part that is sent again counts twice, and is never told as more than all.
        other.counter().fetch_add(9, Ordering::Relaxed);
        let sent: Vec<_> = sending.now().iter().map(|p| (p.sent, p.total)).collect();
        assert_eq!(sent, [(7, 10), (5, 5)]);
        drop(one);
        assert_eq!(sending.now().len(), 1);
        drop(other);
        assert_eq!(sending.now(), []);
        // In parts, of which an earlier process sent the first.
        for offset in [30, 60] {
            sending.part(3, "m", &path, 100, offset);
            sending.counter(3).fetch_add(20, Ordering::Relaxed);
        }
        let now = sending.now();
        assert_eq!((now[0].sent, now[0].before, now.len()), (70, 30, 1));
        sending.forget(3);
        assert_eq!(sending.now(), []);
    }
}
