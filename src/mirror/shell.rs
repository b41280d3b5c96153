//! Performing effects (shell): tasks that read, ask the service, and report what came of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::facts::{Effect, Fact, MirrorIndex, TransferId};
use super::step::{Failure, Hashes, Outcome, Remote, Reply, Step};
use crate::digest::{BEGINNING_LEN, Digest};
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::relpath::RelPath;
use crate::smh::{Client, Content, Form, Kind, RemotePath, Start};
use crate::tree::{Absent, Lister, ReadError, Reading, Root, RootError, WatchError, Watcher, open};

/// Files below this are read into memory before they are sent.
const WHOLE: u64 = BEGINNING_LEN;
/// Pieces of a large file that wait for the network.
const PIECES: usize = 4;

/// The local side of one mirror.
#[derive(Debug)]
struct Local {
    root: PathBuf,
    lister: Lister,
    watch: bool,
}

/// Performs effects.
#[derive(Debug, Clone)]
pub struct Shell {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Option<Client>,
    watcher: Option<Arc<Watcher>>,
    mirrors: Vec<Local>,
    /// Forms are secrets: they live here, by transfer, and nowhere else.
    forms: Mutex<HashMap<TransferId, Form>>,
    facts: mpsc::Sender<Fact>,
}

impl Shell {
    /// A shell that reports to `facts`. Without a client (a dry run) nothing is sent; without a
    /// watcher nothing is watched. `mirrors`: root, exclude rules, and whether to watch.
    #[must_use]
    pub fn new(
        client: Option<Client>,
        watcher: Option<Arc<Watcher>>,
        mirrors: &[(PathBuf, Vec<String>, bool)],
        facts: mpsc::Sender<Fact>,
    ) -> Shell {
        let mirrors = mirrors
            .iter()
            .map(|(root, exclude, watch)| Local {
                root: root.clone(),
                lister: Lister::new(root.clone(), exclude),
                watch: *watch,
            })
            .collect();
        Shell {
            inner: Arc::new(Inner {
                client,
                watcher,
                mirrors,
                forms: Mutex::new(HashMap::new()),
                facts,
            }),
        }
    }

    /// The watcher, whose hints the loop takes.
    pub(super) fn watcher(&self) -> Option<Arc<Watcher>> {
        self.inner.watcher.clone()
    }

    /// The mirror and the path in it that an absolute path belongs to.
    pub(super) fn locate(&self, path: &std::path::Path) -> Option<(MirrorIndex, RelPath)> {
        self.inner.mirrors.iter().enumerate().find_map(|(index, mirror)| {
            let below = path.strip_prefix(&mirror.root).ok()?;
            Some((index, RelPath::from_path(below)?))
        })
    }

    /// Starts an effect. Its fact comes when it is over.
    pub(super) fn perform(&self, effect: Effect) {
        let inner = Arc::clone(&self.inner);
        match effect {
            Effect::Forget(transfer) => {
                inner.forms.lock().unwrap_or_else(PoisonError::into_inner).remove(&transfer);
            }
            Effect::Root(mirror) => {
                tokio::task::spawn_blocking(move || inner.look_at_root(mirror));
            }
            Effect::List { mirror, dir } => {
                tokio::task::spawn_blocking(move || inner.list(mirror, &dir));
            }
            Effect::Look { mirror, paths } => {
                tokio::task::spawn_blocking(move || inner.look(mirror, paths));
            }
            Effect::Step { transfer, mirror, path, target, fingerprint, step } => {
                tokio::spawn(async move {
                    let outcome =
                        inner.step(transfer, mirror, path, &target, fingerprint, step).await;
                    inner.report(Fact::Step { transfer, outcome }).await;
                });
            }
            Effect::Directory { job, target } => {
                tokio::spawn(async move {
                    let result = match &inner.client {
                        Some(client) => client
                            .create_directory(&RemotePath::from_segments(target))
                            .await
                            .map(|_| ())
                            .map_err(failure),
                        None => Err(no_client()),
                    };
                    inner.report(Fact::Directory { job, result }).await;
                });
            }
            Effect::Probe => {
                tokio::spawn(async move {
                    let result = match &inner.client {
                        Some(client) => client.check().await.map_err(failure),
                        None => Err(no_client()),
                    };
                    inner.report(Fact::Probe(result)).await;
                });
            }
        }
    }
}

impl Inner {
    /// At the end of a run nobody listens any more; the journal knows what there is to do.
    async fn report(&self, fact: Fact) {
        let _ = self.facts.send(fact).await;
    }

    fn report_blocking(&self, fact: Fact) -> bool {
        self.facts.blocking_send(fact).is_ok()
    }

    fn look_at_root(&self, mirror: MirrorIndex) {
        let Some(local) = self.mirrors.get(mirror) else { return };
        let seen = Root::open(&local.root).and_then(|root| {
            let empty = std::fs::read_dir(&local.root)
                .map_err(|error| RootError::Unreadable(local.root.clone(), error.to_string()))?
                .next()
                .is_none();
            Ok((root.id(), empty))
        });
        self.report_blocking(Fact::Root { mirror, seen });
    }

    /// Watches first, then lists: what appears in between is seen by one or the other.
    fn list(&self, mirror: MirrorIndex, dir: &RelPath) {
        let Some(local) = self.mirrors.get(mirror) else { return };
        let watched = match (&self.watcher, local.watch) {
            (Some(watcher), true) => match watcher.watch(&dir.below(&local.root)) {
                Ok(()) => true,
                Err(WatchError::Gone) => false,
                Err(error) => {
                    tracing::debug!(directory = %dir, %error, "not watched");
                    false
                }
            },
            _ => false,
        };
        let listed = local.lister.list(dir, |entries, last| {
            self.report_blocking(Fact::Page { mirror, dir: dir.clone(), entries, last, watched })
        });
        if let Err(why) = listed {
            self.report_blocking(Fact::ListFailed { mirror, dir: dir.clone(), why });
        }
    }

    fn look(&self, mirror: MirrorIndex, paths: Vec<RelPath>) {
        let Some(local) = self.mirrors.get(mirror) else { return };
        for path in paths {
            let what = local.lister.look(&path);
            if !self.report_blocking(Fact::Looked { mirror, path, what }) {
                return;
            }
        }
    }

    async fn step(
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
        let file = File { root: local.root.clone(), path, fingerprint };
        let remote = RemotePath::from_segments(target);
        let done = match step {
            Step::Digest => file.blocking(Reading::digest).await.map(Outcome::Digested),
            Step::Start(hashes) => self.start(transfer, client, &file, &remote, hashes).await,
            Step::Post => {
                let form =
                    self.forms.lock().unwrap_or_else(PoisonError::into_inner).remove(&transfer);
                match form {
                    Some(form) => post(client, &file, &form).await,
                    None => Err(Outcome::Failed(Failure::new(
                        Class::Defect,
                        "there is no form to post",
                    ))),
                }
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
            Step::Cancel { confirm_key } => {
                client.cancel_upload(&confirm_key).await.map(|()| Outcome::Done).map_err(refused)
            }
            Step::DeleteCopy { path } => client
                .delete_file(&RemotePath::from_segments(path))
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
        let (beginning, full, digest) = match hashes {
            Hashes::None => {
                // Only whether it still is what it was.
                file.blocking(|_| Ok(())).await?;
                (None, None, None)
            }
            Hashes::Beginning => {
                let digest = file.blocking(|r| r.digest_beginning(BEGINNING_LEN)).await?;
                (Some(digest.beginning), None, (size <= BEGINNING_LEN).then_some(digest))
            }
            Hashes::Full => {
                let digest = file.blocking(Reading::digest).await?;
                (Some(digest.beginning), Some(digest.full), Some(digest))
            }
        };
        match client.start_form(remote, size, beginning, full).await.map_err(refused)? {
            Start::NeedFullHash => Ok(Outcome::NeedFullHash),
            Start::Instant(confirmed) => {
                let digest = match digest {
                    Some(digest) => digest,
                    None => file.blocking(Reading::digest).await?,
                };
                Ok(Outcome::Instant { digest, reply: reply(confirmed) })
            }
            Start::Form(form) => {
                let confirm_key = form.confirm_key.clone();
                let expires_at_ms = form
                    .expiration
                    .as_deref()
                    .and_then(|text| text.parse::<jiff::Timestamp>().ok())
                    .map(jiff::Timestamp::as_millisecond);
                self.forms.lock().unwrap_or_else(PoisonError::into_inner).insert(transfer, form);
                Ok(Outcome::Started { confirm_key, expires_at_ms })
            }
        }
    }
}

/// A local file in the state that is to be sent.
#[derive(Debug, Clone)]
struct File {
    root: PathBuf,
    path: RelPath,
    fingerprint: Fingerprint,
}

impl File {
    fn open(&self) -> Result<Reading, ReadError> {
        open(&self.root, &self.path, self.fingerprint)
    }

    /// Opens the file and does something with it, on the blocking pool.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Reading) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Outcome> {
        let file = self.clone();
        match tokio::task::spawn_blocking(move || file.open().and_then(work)).await {
            Ok(done) => done.map_err(unreadable),
            Err(_) => Err(Outcome::Failed(Failure::new(
                Class::Defect,
                "reading the file failed unexpectedly",
            ))),
        }
    }
}

/// Sends the content; what was sent is what was hashed, in one pass.
async fn post(client: &Client, file: &File, form: &Form) -> Result<Outcome, Outcome> {
    let size = file.fingerprint.size;
    let (digest, posted) = if size < WHOLE {
        let (bytes, digest) = file.blocking(Reading::whole).await?;
        (digest, client.post_form(form, Content::Bytes(bytes)).await.map_err(refused)?)
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
        let stream = futures_util::stream::unfold(taken, |mut taken| async move {
            taken.recv().await.map(|piece| (piece, taken))
        });
        let content = Content::Stream { len: size, stream: Box::pin(stream) };
        let posted = client.post_form(form, content).await;
        let read: Result<Digest, ReadError> = reader.await.unwrap_or_else(|_| {
            Err(ReadError::Local("reading the file failed unexpectedly".to_owned()))
        });
        match (read, posted) {
            (Ok(digest), Ok(posted)) => (digest, posted),
            // The service did not want all of it.
            (Ok(_) | Err(ReadError::Stopped), Err(error)) => return Err(refused(error)),
            (Err(error), _) => return Err(unreadable(error)),
        }
    };
    Ok(Outcome::Posted { digest, crc64: posted.crc64 })
}

fn reply(confirmed: crate::smh::Confirmed) -> Reply {
    Reply { path: confirmed.path, size: confirmed.size, crc64: confirmed.crc64 }
}

fn failure(error: crate::smh::Error) -> Failure {
    Failure {
        class: error.class,
        code: error.code.clone(),
        message: error.to_string(),
        request_id: error.request_id,
        retry_after: error.retry_after,
    }
}

fn refused(error: crate::smh::Error) -> Outcome {
    Outcome::Failed(failure(error))
}

fn unreadable(error: ReadError) -> Outcome {
    match error {
        ReadError::Vanished => Outcome::Vanished,
        ReadError::Changed => Outcome::Changed,
        ReadError::Root(_) => Outcome::RootGone,
        ReadError::Stopped => Outcome::Failed(Failure::new(
            Class::Transient,
            "the service took less of the file than it was sent",
        )),
        ReadError::Local(_) => Outcome::Failed(Failure::new(Class::Local, error.to_string())),
        ReadError::Transient(_) => {
            Outcome::Failed(Failure::new(Class::Transient, error.to_string()))
        }
    }
}

fn no_client() -> Failure {
    Failure::new(Class::Defect, "nothing is sent in a dry run")
}

impl From<Absent> for Failure {
    fn from(absent: Absent) -> Failure {
        Failure::new(Class::Local, absent.to_string())
    }
}
