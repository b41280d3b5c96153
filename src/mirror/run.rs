//! The loop between engine and shell (shell): waits for facts, turns, performs.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::events::Event;
use super::facts::{Fact, Finished, Load, Turned};
use super::shell::Shell;
use crate::clock::{Clock, to_ms};
use crate::journal::{Journal, JournalError};
use crate::relpath::RelPath;
use crate::tree::News;

/// Facts of one turn. Whatever waits is decided together and committed once.
const FACTS: usize = 1024;
/// A turn begins when as many facts wait as one in so many transfers under way reports...
const GATHER_SHARE: usize = 4;
/// ...or after this time.
const GATHER: Duration = Duration::from_millis(1);
/// Without a watcher, requests of commands are looked for this often.
const REQUESTS_EVERY: Duration = Duration::from_secs(5);
/// Time that uploads get to end by themselves after a stop.
const GRACE: Duration = Duration::from_secs(8);

/// The loop cannot go on. What is committed is safe; a new start continues.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A turn panicked.
    #[error("the engine failed unexpectedly; please report this")]
    Engine,
}

/// Who hears the news of a run.
pub trait Observer {
    /// Something happened.
    fn event(&mut self, event: &Event);
    /// How busy the engine is; called after every turn.
    fn load(&mut self, _load: Load) {}
    /// The loop is alive. Called after every turn, and at least as often as `beat` asks.
    fn alive(&mut self);
    /// How often [`Observer::alive`] must be called although nothing happens.
    fn beat(&self) -> Option<Duration> {
        None
    }
}

/// Runs until the pass is over or `stop` is cancelled, and gives the journal back.
///
/// # Errors
/// The journal failed.
pub async fn run(
    engine: Engine,
    shell: Shell,
    facts: mpsc::Receiver<Fact>,
    clock: Clock,
    stop: CancellationToken,
    observer: &mut (impl Observer + ?Sized),
) -> Result<(Finished, Journal), RunError> {
    let ended = turns(engine, &shell, facts, clock, stop, observer).await;
    // Whoever goes on with the journal must be alone with it: nothing of this run may still talk to the service.
    shell.abandon().await;
    ended
}

async fn turns(
    mut engine: Engine,
    shell: &Shell,
    mut facts: mpsc::Receiver<Fact>,
    clock: Clock,
    stop: CancellationToken,
    observer: &mut (impl Observer + ?Sized),
) -> Result<(Finished, Journal), RunError> {
    let watcher = shell.watcher();
    let hints = watcher.as_ref().map(|watcher| watcher.hints());
    // Watched first, then looked at: what is left in between is seen by one or the other.
    let look_for_requests = shell.takes_requests() && !shell.watch_requests();
    let mut waiting: Vec<Fact> = requests(shell);
    let mut look_at_ms = clock.now().mono_ms.saturating_add(to_ms(REQUESTS_EVERY));
    let mut stopped_at_ms = None;
    let mut watched: Vec<u64> = Vec::new();
    loop {
        let news = std::mem::take(&mut waiting);
        let turned = turn(&mut engine, news, clock)??;
        shell.requests_kept();
        for event in &turned.events {
            observer.event(event);
        }
        observer.load(turned.load);
        observer.alive();
        for effect in turned.effects {
            shell.perform(effect);
        }
        if let Some(finished) = turned.finished {
            return Ok((finished, engine.into_journal()));
        }
        // Effects may have ended watches.
        count_watches(shell, &mut watched, &mut waiting);
        let now_ms = clock.now().mono_ms;
        if stopped_at_ms.is_some_and(|at| now_ms - at > to_ms(GRACE)) {
            return Ok((Finished::Stopped, engine.into_journal()));
        }
        let wake = turned.wake_at_ms.map(|at| at.saturating_sub(now_ms).max(0));
        let beat = if stopped_at_ms.is_some() { Some(500) } else { observer.beat().map(to_ms) };
        let look = look_for_requests.then_some(look_at_ms.saturating_sub(now_ms).max(0));
        let at_once = (!waiting.is_empty()).then_some(0);
        let sleep_ms = [wake, beat, look, at_once].into_iter().flatten().min();
        tokio::select! {
            biased;
            () = stop.cancelled(), if stopped_at_ms.is_none() => {
                stopped_at_ms = Some(now_ms);
                waiting.push(Fact::Stop);
            }
            _ = facts.recv_many(&mut waiting, FACTS) => {}
            news = async {
                match &hints {
                    Some(hints) => hints.take().await,
                    None => std::future::pending().await,
                }
            } => hear(shell, news, &mut waiting),
            () = tokio::time::sleep(Duration::from_millis(
                u64::try_from(sleep_ms.unwrap_or(0)).unwrap_or(0)
            )), if sleep_ms.is_some() => {}
        }
        if look_for_requests {
            let now_ms = clock.now().mono_ms;
            if now_ms >= look_at_ms {
                look_at_ms = now_ms.saturating_add(to_ms(REQUESTS_EVERY));
                waiting.extend(requests(shell));
            }
        }
        gather(&mut facts, &mut waiting, turned.load.transfers).await;
        while waiting.len() < FACTS
            && let Ok(fact) = facts.try_recv()
        {
            waiting.push(fact);
        }
        // After the facts of listings: what they watched is counted.
        count_watches(shell, &mut watched, &mut waiting);
    }
}

/// While many transfers are under way, a turn waits a moment for some more of their facts: what it costs to commit is
/// shared by all of them. Nobody waits when few are under way.
async fn gather(facts: &mut mpsc::Receiver<Fact>, waiting: &mut Vec<Fact>, transfers: usize) {
    let enough = transfers / GATHER_SHARE;
    let more =
        async { while waiting.len() < enough && facts.recv_many(waiting, FACTS).await > 0 {} };
    // That no more came in time is as good.
    let _ = tokio::time::timeout(GATHER, more).await;
}

/// A turn, on this thread: it has nothing else to do, and to wake another one for each turn costs more than most turns.
fn turn(
    engine: &mut Engine,
    news: Vec<Fact>,
    clock: Clock,
) -> Result<Result<Turned, JournalError>, RunError> {
    tokio::task::block_in_place(|| {
        // After a panic the engine is dropped, and its transaction is undone.
        std::panic::catch_unwind(AssertUnwindSafe(|| engine.turn(news, clock.now())))
            .map_err(|_| RunError::Engine)
    })
}

/// The engine is told how many directories are watched, when that changed.
fn count_watches(shell: &Shell, watched: &mut Vec<u64>, facts: &mut Vec<Fact>) {
    let now = shell.watched();
    for (mirror, directories) in now.iter().copied().enumerate() {
        if watched.get(mirror) != Some(&directories) {
            facts.push(Fact::Watched { mirror, directories });
        }
    }
    *watched = now;
}

/// What the watcher heard becomes facts, those of a mirror together.
fn hear(shell: &Shell, news: News, facts: &mut Vec<Fact>) {
    if news.lost {
        facts.push(Fact::Overflow);
    }
    let mut asked = news.lost;
    let mut hints: BTreeMap<usize, Vec<RelPath>> = BTreeMap::new();
    let mut closed: BTreeMap<usize, Vec<RelPath>> = BTreeMap::new();
    for (tree, path) in news.closed {
        let paths = closed.entry(tree).or_default();
        paths.extend(shell.names_of(tree, &path));
        paths.push(path);
    }
    closed.remove(&shell.requests_tree());
    facts.extend(closed.into_iter().map(|(mirror, paths)| Fact::Closed { mirror, paths }));
    for (tree, path) in news.paths {
        let paths = hints.entry(tree).or_default();
        paths.extend(shell.names_of(tree, &path));
        paths.push(path);
    }
    for (tree, paths) in hints {
        if tree == shell.requests_tree() {
            // It may be another folder now.
            if paths.iter().any(RelPath::is_root) {
                shell.watch_requests();
            }
            asked = true;
        } else {
            facts.push(Fact::Hints { mirror: tree, paths });
        }
    }
    if asked {
        facts.extend(requests(shell));
    }
}

/// What commands ask of the daemon.
fn requests(shell: &Shell) -> Vec<Fact> {
    shell.take_requests()
}
