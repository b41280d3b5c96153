//! What the service is asked (shell): the steps of transfers, directories, listings, the probe.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Inner;
use super::answers::{failure, no_client, refused, reply};
use super::hashing::{hashed, instant, read_part};
use super::local::{File, unreadable};
use crate::digest::{BEGINNING_LEN, Digest};
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::mirror::facts::{DirJobId, Fact, MirrorIndex, RemoteEntry, RemoteListing, TransferId};
use crate::mirror::step::{Failure, Hashes, Outcome, Remote, Step};
use crate::relpath::RelPath;
use crate::smh::{Client, Content, Form, Kind, Page, RemotePath, Rounds, Start};
use crate::tree::{ReadError, Reading};

/// Files below this are read into memory before they are sent.
const WHOLE: u64 = BEGINNING_LEN;
/// Files below this are read before their form is asked for, instead of being looked at then and read later: what is sent
/// was one state of the file either way, and a change after it is seen as one after the post is.
const AT_ONCE: u64 = 64 * 1024;
/// Pieces of a large file that wait for the network.
const PIECES: usize = 2;
/// A difference of the clocks is reported when it moved by more than this, in milliseconds.
const SKEW_STEP_MS: i64 = 20_000;

/// A content in memory, and its digests.
pub(super) type Whole = (Bytes, Digest);

impl Inner {
    pub(super) async fn make_directory(&self, target: Vec<String>) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or_else(no_client)?;
        let path = RemotePath::from_segments(target);
        client.create_directory(&path).await.map(|_| ()).map_err(failure)
    }

    pub(super) async fn cancel(&self, confirm_key: &str) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or_else(no_client)?;
        client.cancel_upload(confirm_key).await.map_err(failure)
    }

    pub(super) async fn probe(&self) -> Result<(), Failure> {
        let client = self.client.as_ref().ok_or_else(no_client)?;
        client.check().await.map_err(failure)
    }

    /// Page by page, each a fact of its own: a directory may hold a million entries.
    pub(super) async fn list_remote(&self, job: DirJobId, target: Vec<String>) -> Result<(), ()> {
        let path = RemotePath::from_segments(target);
        let mut marker: Option<String> = None;
        let mut rounds = Rounds::default();
        loop {
            let result = match &self.client {
                None => Err(no_client()),
                Some(client) => client.list(&path, marker.as_deref()).await.map_err(failure),
            };
            let result = match result {
                Ok(page) => {
                    let next = page.next_marker.clone();
                    let last = next.as_deref().is_none_or(|next| rounds.closes(next));
                    marker = next;
                    Ok(RemoteListing::Page { entries: entries(page), last })
                }
                Err(failure) if is_nothing(&failure) => Ok(RemoteListing::Nothing),
                Err(failure) => Err(failure),
            };
            let goes_on = matches!(result, Ok(RemoteListing::Page { last: false, .. }));
            self.report(Fact::RemoteListed { job, result }).await;
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Tells how far the clocks are apart, when that moved.
    pub(super) async fn mind_the_clock(&self) {
        let Some(client) = &self.client else { return };
        let skew_ms = client.clock_skew_ms();
        let told_ms = self.skew_ms.load(Ordering::Relaxed);
        if (skew_ms - told_ms).abs() >= SKEW_STEP_MS {
            self.skew_ms.store(skew_ms, Ordering::Relaxed);
            self.report(Fact::ClockSkew(skew_ms)).await;
        }
    }

    pub(super) async fn step(
        &self,
        transfer: TransferId,
        mirror: MirrorIndex,
        path: RelPath,
        target: &[String],
        fingerprint: Fingerprint,
        step: Step,
    ) -> Outcome {
        let (Some(client), Some(local)) = (&self.client, self.mirrors.get(mirror)) else {
            return Outcome::Failed(no_client());
        };
        let file = File { lister: Arc::clone(&local.lister), path, fingerprint };
        let remote = RemotePath::from_segments(target);
        let done = match step {
            Step::Digest => file.blocking(Reading::digest).await.map(Outcome::Digested),
            Step::Start(hashes) => self.start(transfer, client, &file, &remote, hashes).await,
            Step::Post => {
                let form =
                    self.forms.lock().unwrap_or_else(PoisonError::into_inner).remove(&transfer);
                match form {
                    Some((form, whole)) => {
                        mind_the_limit(client, &file, &form);
                        let sent = self.sending.begin(
                            transfer,
                            &local.name,
                            &file.path,
                            file.fingerprint.size,
                        );
                        post(client, &file, &form, whole, sent.counter()).await
                    }
                    None => Err(Outcome::Failed(Failure::new(
                        Class::Defect,
                        "there is no form to post",
                    ))),
                }
            }
            Step::StartParts { hashes, parts } => {
                // Should the one before be lost, nothing of it counts.
                self.sending.forget(transfer);
                self.start_parts(transfer, client, &file, &remote, hashes, parts).await
            }
            Step::ReadPart { part, after } => read_part(&file, part, after).await,
            Step::SendPart { confirm_key, part, crc64, arrived } => {
                let size = file.fingerprint.size;
                self.sending.part(transfer, &local.name, &file.path, size, part.of, arrived);
                self.send_part(transfer, client, &file, &confirm_key, part, crc64).await
            }
            Step::Confirm { confirm_key, crc64, pause_ms } => {
                if pause_ms > 0 {
                    tokio::time::sleep(Duration::from_millis(pause_ms.unsigned_abs())).await;
                }
                client
                    .confirm(&confirm_key, crc64)
                    .await
                    .map(|confirmed| Outcome::Confirmed(reply(confirmed)))
                    .map_err(refused)
            }
            Step::Look => client
                .info(&remote)
                .await
                .map(|info| {
                    Outcome::Looked(info.map(|info| Remote {
                        is_file: info.kind == Kind::File,
                        size: info.size,
                        crc64: info.crc64,
                    }))
                })
                .map_err(refused),
            Step::Query { confirm_key } => client
                .upload_status(&confirm_key)
                .await
                .map(|state| Outcome::Queried {
                    confirmed: state.confirmed,
                    parts: state
                        .parts
                        .into_iter()
                        .filter_map(|part| Some((part.number, part.size?)))
                        .collect(),
                })
                .map_err(refused),
            Step::Cancel { confirm_key } => {
                client.cancel_upload(&confirm_key).await.map(|()| Outcome::Done).map_err(refused)
            }
            Step::Move { from, size, crc64 } => {
                // It must be there, and what was compared, until the copy is moved.
                match file.blocking(|_| Ok(())).await {
                    Err(outcome) => Err(outcome),
                    Ok(()) => client
                        .move_file(&RemotePath::from_segments(from), &remote, size, crc64)
                        .await
                        .map(|()| Outcome::Done)
                        .map_err(refused),
                }
            }
            Step::DeleteCopy { path, size, crc64 } => client
                .delete_copy(&RemotePath::from_segments(path), size, crc64)
                .await
                .map(|()| Outcome::Done)
                .map_err(refused),
        };
        done.unwrap_or_else(|outcome| outcome)
    }

    async fn start(
        &self,
        transfer: TransferId,
        client: &Client,
        file: &File,
        remote: &RemotePath,
        hashes: Hashes,
    ) -> Result<Outcome, Outcome> {
        let size = file.fingerprint.size;
        let mut whole = None;
        let (beginning, full, digest) = match hashes {
            Hashes::None if size < AT_ONCE => {
                let (bytes, digest) = file.blocking(Reading::whole).await?;
                whole = Some((bytes, digest));
                (None, None, Some(digest))
            }
            _ => hashed(file, hashes).await?,
        };
        match client.start_form(remote, size, beginning, full).await.map_err(refused)? {
            Start::NeedFullHash => Ok(Outcome::NeedFullHash),
            Start::Instant(confirmed) => instant(file, digest, confirmed).await,
            Start::Form(form) => {
                let confirm_key = form.confirm_key.clone();
                let expires_at_ms = form.expires_at_ms;
                self.forms
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(transfer, (form, whole));
                Ok(Outcome::Started { confirm_key, expires_at_ms })
            }
        }
    }
}

/// Says when a form ends before the limit of the bandwidth lets all of a file through. Whether the service minds is not
/// documented (sheet section 4): it is tried, and a person knows why it may be refused.
fn mind_the_limit(client: &Client, file: &File, form: &Form) {
    if let Some(needs) = client.outlasts(form, file.fingerprint.size) {
        tracing::warn!(
            path = %file.path,
            bytes = file.fingerprint.size,
            needs_secs = needs.as_secs(),
            "the limit of the bandwidth makes this upload longer than its form is good for; if the service refuses it, raise the limit (`smh-mirror limit`)"
        );
    }
}

/// Sends the content; what was sent is what was hashed, in one pass.
async fn post(
    client: &Client,
    file: &File,
    form: &Form,
    whole: Option<Whole>,
    sent: Arc<AtomicU64>,
) -> Result<Outcome, Outcome> {
    let size = file.fingerprint.size;
    let (digest, posted) = if size < WHOLE {
        let (bytes, digest) = match whole {
            Some(whole) => whole,
            None => file.blocking(Reading::whole).await?,
        };
        sent.fetch_add(size, Ordering::Relaxed);
        (digest, client.post_form(form, Content::Bytes(bytes)).await)
    } else {
        let (pieces, taken) = mpsc::channel::<std::io::Result<Bytes>>(PIECES);
        let reading = file.clone();
        let reader = tokio::task::spawn_blocking(move || {
            let read = reading
                .open()
                .and_then(|open| open.pieces(|piece| pieces.blocking_send(Ok(piece)).is_ok()));
            if read.is_err() {
                // Breaks the post: the last piece never leaves.
                let _ =
                    pieces.blocking_send(Err(std::io::Error::other("the file is not what it was")));
            }
            read
        });
        let stream = futures_util::stream::unfold((taken, sent), |(mut taken, sent)| async move {
            let piece = taken.recv().await?;
            let bytes = piece.as_ref().map_or(0, Bytes::len);
            sent.fetch_add(bytes as u64, Ordering::Relaxed);
            Some((piece, (taken, sent)))
        });
        let content = Content::Stream { len: size, stream: Box::pin(stream) };
        let posted = client.post_form(form, content).await;
        let read: Result<Digest, ReadError> = reader.await.unwrap_or_else(|_| {
            Err(ReadError::Local("reading the file failed unexpectedly".to_owned()))
        });
        match (read, posted) {
            (Ok(digest), posted) => (digest, posted),
            // The service did not want all of it.
            (Err(ReadError::Stopped), Err(error)) => return Err(refused(error)),
            (Err(error), _) => return Err(unreadable(error)),
        }
    };
    match posted {
        Ok(posted) => Ok(Outcome::Posted { digest, crc64: posted.crc64 }),
        // All of it left, as far as we know, and what became of it is not known.
        Err(error) if error.class == Class::Transient => {
            Ok(Outcome::PostUnanswered { digest, failure: failure(error) })
        }
        Err(error) => Err(refused(error)),
    }
}

/// The entries of a page. Only of files can size and crc64 be compared.
fn entries(page: Page) -> Vec<RemoteEntry> {
    page.contents
        .into_iter()
        .map(|entry| match entry.info.kind {
            Kind::File => {
                RemoteEntry { name: entry.name, size: entry.info.size, crc64: entry.info.crc64 }
            }
            Kind::Directory => RemoteEntry { name: entry.name, size: None, crc64: None },
        })
        .collect()
}

/// There is no such directory (sheet sections 8 and 11).
fn is_nothing(failure: &Failure) -> bool {
    failure.is(&["DirectoryNotFound", "PathNotFound", "InvalidSpaceOrDirectoryPath"])
}
