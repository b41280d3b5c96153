//! Uploads in parts (shell): reading and sending one part, with signatures that are renewed in time.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::Inner;
use super::answers::refused;
use super::hashing::{hashed, instant};
use super::local::{File, unreadable};
use crate::failure::Class;
use crate::mirror::facts::TransferId;
use crate::mirror::step::{Failure, Hashes, Outcome, Part};
use crate::smh::{Client, RemotePath, Signing, StartParts};
use crate::tree::ReadError;

/// Pieces of a part that wait for the network.
const PIECES: usize = 2;

/// Signatures of the uploads in parts, by transfer. Like forms they are secrets, and live nowhere else.
#[derive(Debug, Default)]
pub(super) struct Signings(Mutex<HashMap<TransferId, Arc<Signed>>>);

/// Those of one upload. Whoever renews them does it for all parts that wait.
#[derive(Debug, Default)]
struct Signed(AsyncMutex<Option<Arc<Signing>>>);

impl Signings {
    pub(super) fn forget(&self, transfer: TransferId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&transfer);
    }

    fn keep(&self, transfer: TransferId, signing: Signing) {
        let signed = Signed(AsyncMutex::new(Some(Arc::new(signing))));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(transfer, Arc::new(signed));
    }

    fn of(&self, transfer: TransferId) -> Arc<Signed> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(transfer).or_default())
    }
}

impl Signed {
    /// What `part` can be sent with. `refused`: what COS did not want any more.
    async fn get(
        &self,
        client: &Client,
        confirm_key: &str,
        part: Part,
        refused: Option<&Arc<Signing>>,
    ) -> Result<Arc<Signing>, Outcome> {
        let mut latest = self.0.lock().await;
        let fresh = latest.as_ref().filter(|known| {
            refused.is_none_or(|refused| !Arc::ptr_eq(refused, known))
                && client.is_signed(known, part.number)
        });
        if let Some(fresh) = fresh {
            return Ok(Arc::clone(fresh));
        }
        let renewed = client
            .renew_parts(confirm_key, part.number, part.of, latest.as_deref())
            .await
            .map(Arc::new)
            .map_err(super::answers::refused)?;
        *latest = Some(Arc::clone(&renewed));
        Ok(renewed)
    }
}

impl Inner {
    pub(super) async fn start_parts(
        &self,
        transfer: TransferId,
        client: &Client,
        file: &File,
        remote: &RemotePath,
        hashes: Hashes,
        parts: u32,
    ) -> Result<Outcome, Outcome> {
        let size = file.fingerprint.size;
        let (beginning, full, digest) = hashed(file, hashes).await?;
        match client.start_parts(remote, size, beginning, full, parts).await.map_err(refused)? {
            StartParts::NeedFullHash => Ok(Outcome::NeedFullHash),
            StartParts::Instant(confirmed) => instant(file, digest, confirmed).await,
            StartParts::Signed(signing) => {
                let confirm_key = signing.confirm_key.clone();
                let expires_at_ms = signing.expires_at_ms;
                self.signings.keep(transfer, signing);
                Ok(Outcome::Started { confirm_key, expires_at_ms })
            }
        }
    }

    pub(super) async fn send_part(
        &self,
        transfer: TransferId,
        client: &Client,
        file: &File,
        confirm_key: &str,
        part: Part,
        crc64: u64,
    ) -> Result<Outcome, Outcome> {
        let signed = self.signings.of(transfer);
        let signing = signed.get(client, confirm_key, part, None).await?;
        let counter = self.sending.counter(transfer);
        let sent = match send(client, file, &signing, part, crc64, &counter).await {
            // The signature is too old, whatever the clocks say (sheet section 7): once more with another.
            Err(Sending::Refused(error)) if error.status == Some(403) => {
                let other = signed.get(client, confirm_key, part, Some(&signing)).await?;
                send(client, file, &other, part, crc64, &counter).await
            }
            sent => sent,
        };
        let theirs = sent.map_err(|error| match error {
            Sending::Refused(error) => refused(error),
            Sending::Unreadable(error) => unreadable(error),
        })?;
        if let Some(theirs) = theirs.filter(|theirs| *theirs != crc64) {
            return Err(Outcome::Failed(Failure::new(
                Class::Defect,
                format!(
                    "COS received other bytes than were sent (crc64 {theirs} instead of {crc64} in part {})",
                    part.number
                ),
            )));
        }
        self.sending.part_arrived(transfer);
        Ok(Outcome::PartSent { number: part.number })
    }
}

/// Why a part was not sent.
enum Sending {
    Refused(crate::smh::Error),
    Unreadable(ReadError),
}

/// Sends a part; gives its crc64 as COS computed it, if it says.
async fn send(
    client: &Client,
    file: &File,
    signing: &Signing,
    part: Part,
    crc64: u64,
    counter: &Arc<AtomicU64>,
) -> Result<Option<u64>, Sending> {
    let (pieces, taken) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let reading = file.clone();
    let reader = tokio::task::spawn_blocking(move || {
        let read = reading.open().and_then(|open| {
            open.part(part.offset, part.len, crc64, |piece| pieces.blocking_send(Ok(piece)).is_ok())
        });
        if read.is_err() {
            // Breaks the request: the last piece never leaves.
            let _ = pieces.blocking_send(Err(io::Error::other("the file is not what it was")));
        }
        read
    });
    let added = Arc::new(AtomicU64::new(0));
    let counters = [Arc::clone(counter), Arc::clone(&added)];
    let stream =
        futures_util::stream::unfold((taken, counters), |(mut taken, counters)| async move {
            let piece = taken.recv().await?;
            let bytes = piece.as_ref().map_or(0, Bytes::len);
            for counter in &counters {
                counter.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            Some((piece, (taken, counters)))
        });
    let sent = client.send_part(signing, part.number, part.len, Box::pin(stream)).await;
    let read = reader.await.unwrap_or_else(|_| {
        Err(ReadError::Local("reading the file failed unexpectedly".to_owned()))
    });
    if read.is_err() || sent.is_err() {
        // All of it is to be sent again.
        counter.fetch_sub(added.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    match (read, sent) {
        (Ok(()), sent) => sent.map_err(Sending::Refused),
        // The service did not want all of it.
        (Err(ReadError::Stopped), Err(error)) => Err(Sending::Refused(error)),
        (Err(error), _) => Err(Sending::Unreadable(error)),
    }
}
