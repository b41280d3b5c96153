//! Asking a daemon over its control socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use super::daemon::Daemon;
use crate::service::{Answer, Ask, REPLY_MAX, Reply, Request, VERSION};

/// The answer of a daemon.
///
/// # Errors
/// It has no socket, does not answer within `patience`, or says that it cannot answer.
pub(super) fn ask(daemon: &Daemon, ask: Ask, patience: Duration) -> anyhow::Result<Answer> {
    let socket = daemon.socket().ok_or_else(|| {
        anyhow!(
            "the daemon has no control socket (its log says why), or is starting; try again, or restart it"
        )
    })?;
    let said = exchange(socket, ask, patience)
        .with_context(|| format!("cannot ask the daemon over {}", socket.display()))?;
    let reply: Reply = serde_json::from_slice(&said)
        .context("the daemon answers something else than expected; is it of another version?")?;
    match reply.answer {
        Answer::Failed(why) => bail!("{why}"),
        answer => Ok(answer),
    }
}

fn exchange(
    socket: &std::path::Path,
    ask: Ask,
    patience: Duration,
) -> Result<Vec<u8>, std::io::Error> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut line = serde_json::to_vec(&Request { version: VERSION, ask })?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut said = Vec::new();
    BufReader::new(stream.take(REPLY_MAX)).read_until(b'\n', &mut said).map_err(|error| {
        match error.kind() {
            // Of a time that is over the system says that one may try again.
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                let seconds = patience.as_secs();
                std::io::Error::other(format!("it did not answer within {seconds} s"))
            }
            _ => error,
        }
    })?;
    if said.is_empty() {
        return Err(std::io::Error::other("it ended without an answer"));
    }
    Ok(said)
}
