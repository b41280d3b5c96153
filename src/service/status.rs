//! `STATUS=` for the service manager (shell): the words of `status`, read from the journal as `status` reads them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{status_line, systemd};
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::{JournalError, Reader};

/// It is said at most this often.
const EVERY: Duration = Duration::from_secs(2);
/// A look takes at most this share of one processor: the more files wait, the more seldom it is made.
const SHARE: u32 = 50;
/// But for a look that took long by chance, as on a busy machine, nobody waits longer than this.
const AT_LEAST_EVERY: Duration = Duration::from_secs(20);

/// What goes into the line, beside the journal.
#[derive(Debug, Clone, Default)]
struct Said {
    turns: u64,
    runs: u64,
    instead: Option<String>,
    note: Option<String>,
}

/// Where those who know something leave it.
#[derive(Debug, Default)]
pub(super) struct Status {
    said: watch::Sender<Said>,
}

impl Status {
    /// A run begins; its journal may be another file.
    pub(super) fn begin(&self) {
        self.said.send_modify(|said| {
            said.runs = said.runs.wrapping_add(1);
            said.instead = None;
        });
    }

    /// The journal may say something else now.
    pub(super) fn turned(&self) {
        self.said.send_modify(|said| said.turns = said.turns.wrapping_add(1));
    }

    /// What is said instead of anything the journal says, until a run begins: it is not to be believed.
    pub(super) fn instead(&self, line: String) {
        // At once: there may be no later.
        systemd::status(&line);
        self.said.send_modify(|said| said.instead = Some(line));
    }

    /// What is said after the words of the mirrors.
    pub(super) fn note(&self, note: Option<String>) {
        self.said.send_modify(|said| said.note = note);
    }

    /// Says it, again whenever it changed; for ever.
    pub(super) async fn tell(self: Arc<Self>, config: watch::Receiver<Arc<Config>>, clock: Clock) {
        let mut news = self.said.subscribe();
        let mut told = String::new();
        let mut look = Look::default();
        let mut run = 0;
        while news.changed().await.is_ok() {
            let said = news.borrow_and_update().clone();
            if std::mem::replace(&mut run, said.runs) != said.runs {
                look = Look::default();
            }
            let began_ms = clock.now().mono_ms;
            if said.instead.is_none() {
                let config = Arc::clone(&config.borrow());
                look = look.again(config).await;
            }
            if let Some(words) = said.instead.or_else(|| look.line.clone()) {
                let line = match said.note {
                    Some(note) => format!("{words}; {note}"),
                    None => words,
                };
                if line != told {
                    systemd::status(&line);
                    told = line;
                }
            }
            let took_ms = clock.now().mono_ms.saturating_sub(began_ms);
            let took = Duration::from_millis(u64::try_from(took_ms).unwrap_or(0));
            tokio::time::sleep(pause_after(took)).await;
        }
    }
}

/// How long nothing is said after a look that took so long.
fn pause_after(took: Duration) -> Duration {
    took.saturating_mul(SHARE).clamp(EVERY, AT_LEAST_EVERY)
}

/// What was read last, and whether anything was written since.
#[derive(Debug, Default)]
struct Look {
    reader: Option<Reader>,
    version: Option<i64>,
    line: Option<String>,
}

impl Look {
    /// Reads the journal again, if it was written since. When it cannot be read, the work loop says what is wrong.
    async fn again(self, config: Arc<Config>) -> Look {
        let looked = tokio::task::spawn_blocking(move || self.read(&config)).await;
        match looked {
            Ok(Ok(look)) => look,
            Ok(Err(error)) => {
                tracing::debug!(%error, "cannot read the journal for the service manager");
                Look::default()
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the journal for the service manager");
                Look::default()
            }
        }
    }

    fn read(mut self, config: &Config) -> Result<Look, JournalError> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader::open(&config.state_dir)?,
        };
        let version = Some(reader.data_version()?);
        let line = match self.line {
            Some(line) if version == self.version => line,
            _ => status_line::line(config, &reader.snapshot(Reader::unfinished)?),
        };
        Ok(Look { reader: Some(reader), version, line: Some(line) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_a_look_takes_the_more_seldom_it_is_made_within_bounds() {
        for (took_ms, pause_secs) in
            [(0, 2), (40, 2), (100, 5), (400, 20), (700, 20), (600_000, 20)]
        {
            let pause = pause_after(Duration::from_millis(took_ms));
            assert_eq!(pause, Duration::from_secs(pause_secs), "{took_ms} ms");
        }
    }
}
