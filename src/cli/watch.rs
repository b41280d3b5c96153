//! `status --watch`: looks again and again until Ctrl-C; the screen is drawn anew, or what changed is said in lines.

use std::collections::HashSet;
use std::time::Duration;

use super::{Exit, Failure, Global, output};
use crate::clock::Clock;

/// Time between two looks.
const AGAIN: Duration = Duration::from_secs(2);

/// What one look found.
pub(super) struct Shot {
    /// For people, all of it.
    pub(super) text: String,
    /// The same in single lines; those that were not said before are news.
    pub(super) lines: Vec<String>,
    /// For programs.
    pub(super) json: serde_json::Value,
}

/// Looks until Ctrl-C, or until nobody reads any more.
pub(super) fn watch(
    global: &Global,
    clock: Clock,
    mut look: impl FnMut() -> Result<Shot, Failure>,
) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| anyhow::anyhow!("cannot start the runtime: {error}"))?;
    let drawn = output::colour(&std::io::stdout()) && !global.json;
    let mut said: HashSet<String> = HashSet::new();
    runtime.block_on(async {
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt);
        // So that one that comes during the first look is heard.
        if let std::task::Poll::Ready(ended) = futures_util::poll!(&mut interrupt) {
            return heard(ended);
        }
        loop {
            let shot = look()?;
            if drawn {
                // Home, and each line cleared behind what is written: nothing flickers.
                let text = shot.text.replace('\n', "\x1b[K\n");
                output::print_line(&format!("\x1b[H{text}\x1b[K\n\x1b[J"))?;
            } else if global.json {
                output::print_document(&shot.json.to_string())?;
            } else {
                let at = output::time(clock.now().unix_ms);
                for line in shot.lines.iter().filter(|line| !said.contains(*line)) {
                    output::print_line(&format!("{at}  {line}"))?;
                }
                said = shot.lines.into_iter().collect();
            }
            tokio::select! {
                ended = &mut interrupt => return heard(ended),
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    })
}

fn heard(ended: std::io::Result<()>) -> Result<Exit, Failure> {
    ended.map_err(|error| anyhow::anyhow!("cannot wait for Ctrl-C: {error}"))?;
    Ok(Exit::Done)
}
