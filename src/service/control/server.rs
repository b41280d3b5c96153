//! Answers on the control socket. A client gets one answer and a few seconds; whatever it does, the work goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::message::{Answer, Ask, REQUEST_MAX, Reply, Upload, VERSION, understood};
use super::place;
use crate::config::{Config, Environment};
use crate::journal::Holder;
use crate::service::assemble::Prepared;
use crate::service::live::Live;
use crate::service::reload::{Refused, ReloadHandle};

/// Clients that are answered at the same time; others wait.
const CLIENTS: usize = 32;
/// A client that takes longer to ask, or to read the answer, is left.
const PATIENCE: Duration = Duration::from_secs(5);
/// When no client can be taken (no descriptors), this long nobody is.
const PAUSE: Duration = Duration::from_secs(1);

/// Who knows the answers.
#[derive(Debug)]
struct Daemon {
    live: Arc<Live>,
    reload: ReloadHandle,
}

/// The socket, until this is closed.
#[derive(Debug)]
pub struct Control {
    socket: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    /// Listens in the best folder that there is. Without one the daemon works all the same, and says what is missing.
    ///
    /// To be called within a runtime.
    #[must_use]
    pub fn open(
        config: &Config,
        env: &Environment,
        prepared: &Prepared,
        reload: ReloadHandle,
    ) -> Option<Control> {
        for folder in place::candidates(env, &config.state_dir) {
            let opened = place::listen(&folder)
                .and_then(|(listener, socket)| Ok((UnixListener::from_std(listener)?, socket)));
            match opened {
                Ok((listener, socket)) => {
                    // Commands find it there.
                    let holder = Holder { socket: Some(socket.clone()), ..prepared.holder.clone() };
                    prepared.lock.note(&holder);
                    let daemon = Arc::new(Daemon { live: Arc::clone(&prepared.live), reload });
                    let task = tokio::spawn(serve(listener, daemon));
                    return Some(Control { socket, task });
                }
                Err(error) => {
                    tracing::debug!("no control socket in {}: {error}", folder.display());
                }
            }
        }
        tracing::warn!(
            "there is no folder for the control socket: `status` shows no running uploads, and `reload` does not work"
        );
        None
    }

    /// Answers nobody any more.
    pub async fn close(self) {
        self.task.abort();
        // It ends in no other way.
        let _ = self.task.await;
        place::remove(&self.socket);
    }
}

async fn serve(listener: UnixListener, daemon: Arc<Daemon>) {
    let slots = Arc::new(Semaphore::new(CLIENTS));
    loop {
        // It is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((client, _)) => {
                let daemon = Arc::clone(&daemon);
                tokio::spawn(async move {
                    daemon.answer(client).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!("cannot take a client of the control socket: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Daemon {
    /// One question, one answer. A client that goes away, or is slow, gets none.
    async fn answer(&self, client: UnixStream) {
        let (from, mut to) = client.into_split();
        let mut line = Vec::new();
        let mut from = BufReader::new(from.take(REQUEST_MAX));
        let read = tokio::time::timeout(PATIENCE, from.read_until(b'\n', &mut line)).await;
        let Ok(Ok(_)) = read else { return };
        let answer = match understood(&line) {
            Ok(Ask::Uploads) => {
                Answer::Uploads(self.live.uploads().into_iter().map(Upload::from).collect())
            }
            Ok(Ask::Configuration) => match self.live.configuration() {
                Some(text) => Answer::Configuration(text),
                None => Answer::Failed("the daemon is starting; try again".to_owned()),
            },
            Ok(Ask::Reload) => match self.reload.ask().await {
                Ok(applied) => Answer::Reloaded(applied.to_string()),
                Err(refused @ Refused::Invalid(_)) => Answer::Refused(refused.to_string()),
                Err(refused @ Refused::Stopping) => Answer::Failed(refused.to_string()),
            },
            Err(why) => Answer::Failed(why),
        };
        let Ok(mut text) = serde_json::to_vec(&Reply { version: VERSION, answer }) else { return };
        text.push(b'\n');
        // Who does not read its answer does not get it.
        let _ = tokio::time::timeout(PATIENCE, async {
            to.write_all(&text).await?;
            to.shutdown().await
        })
        .await;
    }
}
