//! What is being sent at this moment (shell): a counter for each upload, for whoever asks. Nobody is woken by it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{Clock, Now};
use crate::mirror::facts::TransferId;
use crate::mirror::step::Arrived;
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
    /// Bytes that had arrived when it was taken up.
    before: u64,
    /// Of an upload in parts.
    parts: Option<PartsSent>,
    since: Now,
    sent: Arc<AtomicU64>,
}

/// How far an upload in parts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartsSent {
    /// Parts that arrived, by whichever run.
    pub arrived: u32,
    /// How many there are.
    pub of: u32,
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
    /// Those of them that left before `since_ms`: they need not be sent again.
    pub before: u64,
    /// Bytes of the file.
    pub total: u64,
    /// Of an upload in parts: how many arrived.
    pub parts: Option<PartsSent>,
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
                parts: upload.parts,
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
        let upload = self.upload(mirror, path, total, 0, None);
        let sent = Arc::clone(&upload.sent);
        self.locked().insert(transfer, upload);
        Sent { transfer, sent, all: Arc::clone(self) }
    }

    /// A part of a file is about to leave, one of so many. It is told of until [`Sending::forget`]; the first part to be
    /// sent says what had `arrived` before.
    pub(super) fn part(
        &self,
        transfer: TransferId,
        mirror: &str,
        path: &RelPath,
        total: u64,
        of: u32,
        arrived: Arrived,
    ) {
        let parts = Some(PartsSent { arrived: arrived.parts, of });
        let begun = || self.upload(mirror, path, total, arrived.bytes, parts);
        self.locked().entry(transfer).or_insert_with(begun);
    }

    /// A part arrived.
    pub(super) fn part_arrived(&self, transfer: TransferId) {
        let mut uploads = self.locked();
        if let Some(parts) = uploads.get_mut(&transfer).and_then(|upload| upload.parts.as_mut()) {
            parts.arrived = parts.arrived.saturating_add(1).min(parts.of);
        }
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

    fn upload(
        &self,
        mirror: &str,
        path: &RelPath,
        total: u64,
        before: u64,
        parts: Option<PartsSent>,
    ) -> Upload {
        Upload {
            mirror: mirror.to_owned(),
            path: path.clone(),
            total,
            before,
            parts,
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
        // In parts, of which an earlier process sent some.
        for arrived in [Arrived { parts: 2, bytes: 40 }, Arrived { parts: 3, bytes: 60 }] {
            sending.part(3, "m", &path, 100, 5, arrived);
            sending.counter(3).fetch_add(20, Ordering::Relaxed);
        }
        sending.part_arrived(3);
        let now = sending.now();
        assert_eq!((now[0].sent, now[0].before, now.len()), (80, 40, 1));
        assert_eq!(now[0].parts, Some(PartsSent { arrived: 3, of: 5 }));
        sending.forget(3);
        assert_eq!(sending.now(), []);
    }
}
