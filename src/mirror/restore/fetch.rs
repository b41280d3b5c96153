//! One try to bring one file into the target (shell). Never tried twice here: see `retry`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};

use super::local_error::LocalError;
use super::partial::Partial;
use super::target::{Target, There};
use super::times::Times;
use crate::digest::Digester;
use crate::relpath::RelPath;
use crate::smh::{Client, Error, Info, Kind, RemotePath};

/// Bytes that are gathered before they are written: a call of the system each, and memory for each download.
const GATHER: usize = 256 * 1024;

/// What all tries share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) target: Target,
    pub(super) times: Times,
    /// Replace files of another content.
    pub(super) replace: bool,
    /// Bytes that came from the library.
    pub(super) fetched: AtomicU64,
}

/// A file that is to be in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) remote: RemotePath,
    pub(super) local: RelPath,
    /// What the listing says of it.
    pub(super) listed: Info,
    pub(super) stranger: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fetched {
    /// It is there, whole and proven.
    Restored { bytes: u64 },
    /// It is there, as long as it should be; the library has no crc64 of it, so nothing proves its content.
    Unproven { bytes: u64 },
    /// It was there before.
    Kept { bytes: u64 },
    /// Something else is in its place, and stays.
    InTheWay(String),
}

/// Why it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// The service failed. So many bytes lie ready for the next try.
    Remote { error: Error, ready: u64 },
    /// The target failed.
    Local(LocalError),
    /// What came is not what the library says that it has. `resumed`: an earlier try may be to blame.
    Content { why: String, resumed: bool },
    /// It is not in the library any more.
    Vanished,
}

impl From<LocalError> for Failed {
    fn from(error: LocalError) -> Failed {
        Failed::Local(error)
    }
}

/// Brings the file into the target, or finds it there.
pub(super) async fn fetch(shared: &Arc<Shared>, wanted: &Wanted) -> Result<Fetched, Failed> {
    // A file that is there already needs no call.
    let mut looked = None;
    if let Info { size: Some(size), crc64: Some(crc64), .. } = wanted.listed {
        let there = look(shared, wanted, size, crc64).await?;
        if there == There::Same {
            return Ok(Fetched::Kept { bytes: size });
        }
        looked = Some((size, crc64, there));
    }
    let remote = |error| Failed::Remote { error, ready: 0 };
    let offer = shared.client.offer(&wanted.remote).await.map_err(remote)?;
    let offer = offer.filter(|offer| offer.info.kind == Kind::File).ok_or(Failed::Vanished)?;
    let Some(size) = offer.info.size else {
        return Err(Failed::Content {
            why: "the library does not say how long it is".to_owned(),
            resumed: false,
        });
    };
    // An empty content is proven by its length.
    let told = offer.info.crc64.or((size == 0).then_some(0));
    // Without a crc64 nothing can be compared: whatever is there is something else.
    let crc64 = told.unwrap_or_default();
    let there = match looked {
        Some((listed, sum, there)) if (listed, Some(sum)) == (size, told) => there,
        _ => match look(shared, wanted, size, crc64).await? {
            There::Same if told.is_none() => There::Other,
            there => there,
        },
    };
    match there {
        There::Same => return Ok(Fetched::Kept { bytes: size }),
        There::Other if !shared.replace => {
            return Ok(Fetched::InTheWay(
                "another file has its place and stays; with --overwrite it would be replaced"
                    .to_owned(),
            ));
        }
        There::Other | There::Nothing => {}
    }
    let key = key(&wanted.remote, size, told);
    let mut partial = {
        let (key, path) = (key.clone(), wanted.local.clone());
        blocking(shared, move |shared| shared.target.partial(&key, &path)).await?
    };
    if partial.len() > size {
        partial = blocking(shared, move |_| partial.restart().map(|()| partial)).await?;
    }
    let resumed = partial.len() > 0;
    let mut proof = told;
    if partial.len() < size {
        let ready = partial.len();
        let mut download = shared
            .client
            .download(&offer, ready)
            .await
            .map_err(|error| Failed::Remote { error, ready })?;
        proof = proof.or(download.crc64);
        if download.from() == 0 && ready > 0 {
            partial = blocking(shared, move |_| partial.restart().map(|()| partial)).await?;
        }
        let mut gathered = BytesMut::with_capacity(GATHER);
        loop {
            let piece = download.piece().await;
            if let Ok(Some(bytes)) = &piece {
                gathered.extend_from_slice(bytes);
                shared.fetched.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            let goes_on = matches!(piece, Ok(Some(_)));
            if gathered.len() >= GATHER || !goes_on {
                partial = write(shared, partial, gathered.split().freeze()).await?;
            }
            match piece {
                Ok(Some(_)) if partial.len() > size => break,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Err(Failed::Remote { error, ready: partial.len() }),
            }
        }
    }
    let (len, crc64) = (partial.len(), partial.crc64());
    let why = if len != size {
        Some(format!("{len} bytes came, the library says {size}"))
    } else if proof.is_some_and(|proof| proof != crc64) {
        Some(format!(
            "what came has the crc64 {crc64}, the library says {}",
            proof.unwrap_or_default()
        ))
    } else {
        None
    };
    if let Some(why) = why {
        blocking(shared, move |shared| shared.target.drop_partial(&key)).await?;
        return Err(Failed::Content { why, resumed });
    }
    let modified_at_ms = offer.modified_at_ms;
    let path = wanted.local.clone();
    blocking(shared, move |shared| {
        let mtime_ns = shared
            .times
            .of_file(&path, crc64)
            .or_else(|| modified_at_ms.map(|ms| ms.saturating_mul(1_000_000)));
        shared.target.install(&partial, &path, mtime_ns, there == There::Other)
    })
    .await?;
    Ok(match proof {
        Some(_) => Fetched::Restored { bytes: size },
        None => Fetched::Unproven { bytes: size },
    })
}

/// What a content that is not complete is called: that of another state of the file has another name.
fn key(remote: &RemotePath, size: u64, crc64: Option<u64>) -> String {
    let mut digester = Digester::new();
    for name in remote.segments() {
        digester.update(name.as_bytes());
        // No name holds this byte.
        digester.update(&[0]);
    }
    digester.update(format!("{size} {crc64:?}").as_bytes());
    digester.finish().full.to_string()
}

async fn look(
    shared: &Arc<Shared>,
    wanted: &Wanted,
    size: u64,
    crc64: u64,
) -> Result<There, LocalError> {
    let path = wanted.local.clone();
    blocking(shared, move |shared| shared.target.look(&path, size, crc64)).await
}

async fn write(
    shared: &Arc<Shared>,
    mut partial: Partial,
    bytes: Bytes,
) -> Result<Partial, LocalError> {
    blocking(shared, move |_| partial.write(&bytes).map(|()| partial)).await
}

/// Work on the disk, on the threads that are made for waiting.
pub(super) async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<T, LocalError> + Send + 'static,
) -> Result<T, LocalError> {
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || work(&shared)).await.unwrap_or_else(|error| {
        Err(LocalError::Broken(format!("work on the disk failed: {error}")))
    })
}
