//! In which state a mirror is (pure): every word comes from evidence.

use super::audit::Audit;
use crate::clock::to_ms;
use crate::config::{Config, Mirror};
use crate::journal::{ConditionRow, Counts, KnownMirror, MirrorStatus};

/// In which state a mirror is (design section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Every entry seen by the last complete scan, and every change since, is confirmed.
    Current,
    /// Work is under way.
    Syncing,
    /// Something failed and waits, or nobody works.
    Behind,
    /// The service cannot be reached.
    Offline,
    /// The service refuses the credentials.
    Auth,
    /// The folder is not what it should be, or deletes wait for a person.
    Held,
    /// A person wants it to wait.
    Paused,
    /// No scan was ever complete, or the journal speaks of something else.
    Unknown,
}

impl State {
    /// Every state there is.
    pub const ALL: [State; 8] = [
        State::Current,
        State::Syncing,
        State::Behind,
        State::Offline,
        State::Auth,
        State::Held,
        State::Paused,
        State::Unknown,
    ];

    /// The word in text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Current => "current",
            State::Syncing => "syncing",
            State::Behind => "behind",
            State::Offline => "offline",
            State::Auth => "auth",
            State::Held => "held",
            State::Paused => "paused",
            State::Unknown => "unknown",
        }
    }
}

/// Everything that is known of a mirror at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What the journal says; `None`: nothing.
    pub status: Option<&'a MirrorStatus>,
    /// The journal speaks of the folder and the target of the configuration.
    pub same: bool,
    /// Who works on it.
    pub worker: Worker,
    /// What a look at the disk found, if there was one.
    pub audit: Option<&'a Audit>,
}

/// A scan takes so long at most, as a rule: ten million files.
const SCAN_MS: i64 = 600_000;

/// Whether anybody works on the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    /// No daemon runs, or it is stopped.
    Nobody,
    /// A daemon runs.
    Daemon,
    /// A daemon runs and cannot write its journal: what the journal says is old.
    Stuck,
    /// A daemon runs, and no scan of this mirror ended for far longer than one should take: it hangs.
    Hangs,
}

/// How old the last complete scan may be under a daemon that works.
fn patience_ms(mirror: &Mirror) -> i64 {
    to_ms(mirror.rescan).saturating_mul(2).saturating_add(SCAN_MS)
}

/// Whether a daemon that runs since `since_ms` hangs: the last complete scan is older than it should ever be.
#[must_use]
pub fn hangs(mirror: &Mirror, scanned_at_ms: Option<i64>, since_ms: i64, now_ms: i64) -> bool {
    let before_ms = now_ms.saturating_sub(patience_ms(mirror));
    scanned_at_ms.is_some_and(|at| at < before_ms) && since_ms < before_ms
}

/// Whether a condition keeps its mirror from being current.
#[must_use]
pub fn stops(condition: &ConditionRow) -> bool {
    state_of(condition).is_some()
}

/// What a condition means for its mirror, by its word: a newer journal may have others than this
/// program knows, and what it does not know is never taken for current.
fn state_of(condition: &ConditionRow) -> Option<State> {
    match condition.kind.as_str() {
        "root" => Some(State::Held),
        "auth" => Some(State::Auth),
        "offline" => Some(State::Offline),
        "paused" => Some(State::Paused),
        // Slower is still under way; a journal that is filled again, a wrong clock, and what is polled instead of
        // watched stop nothing.
        "throttled" | "rebuilding" | "clock" | "watch" => None,
        _ => Some(State::Behind),
    }
}

/// Whether the journal speaks of the folder and the target that the configuration names. It does not
/// after an edit that the daemon has not read yet.
#[must_use]
pub fn is_same(config: &Config, mirror: &Mirror, known: &KnownMirror) -> bool {
    use std::os::unix::ffi::OsStrExt;
    known.local == mirror.local.as_os_str().as_bytes() && known.target == config.target(mirror)
}

/// The word for a mirror, the worst first. `current` needs a complete scan and nothing that waits.
#[must_use]
pub fn state(evidence: &Evidence<'_>) -> State {
    let word = unless_paused(evidence);
    let status = evidence.status.filter(|_| evidence.same);
    let paused = status.is_some_and(|status| {
        status.conditions.iter().any(|condition| state_of(condition) == Some(State::Paused))
    });
    match word {
        State::Held | State::Auth | State::Offline => word,
        _ if paused => State::Paused,
        _ => word,
    }
}

/// Whether everything is mirrored. That a mirror is paused takes nothing away from that, as long as nothing waits.
#[must_use]
pub fn is_current(evidence: &Evidence<'_>) -> bool {
    unless_paused(evidence) == State::Current
}

fn unless_paused(evidence: &Evidence<'_>) -> State {
    let Some(status) = evidence.status.filter(|_| evidence.same) else { return State::Unknown };
    let audit = evidence.audit;
    let has = |word| status.conditions.iter().any(|c| state_of(c) == Some(word));
    let counts = &status.counts;
    if has(State::Held)
        || !status.holds.is_empty()
        || audit.is_some_and(|audit| audit.root.is_some())
    {
        return State::Held;
    }
    if let Some(word) = [State::Auth, State::Offline].into_iter().find(|word| has(*word)) {
        return word;
    }
    if status.scanned_at_ms.is_none() {
        return State::Unknown;
    }
    if matches!(evidence.worker, Worker::Stuck | Worker::Hangs) {
        return State::Behind;
    }
    let failed =
        counts.blocked + counts.retrying + counts.retrying_directories + counts.failed_deletes;
    if failed > 0 || has(State::Behind) || audit.is_some_and(|audit| audit.unreadable > 0) {
        return State::Behind;
    }
    if waiting(counts) > 0 || status.dirty || audit.is_some_and(|audit| !audit.is_clean()) {
        // Work is under way only where somebody works.
        return if evidence.worker == Worker::Daemon { State::Syncing } else { State::Behind };
    }
    State::Current
}

fn waiting(counts: &Counts) -> u64 {
    counts.pending + counts.uploading + counts.pending_directories
}
