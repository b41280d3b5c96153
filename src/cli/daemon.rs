//! Who works on the state: whether a daemon runs, and whether it was stopped by a signal.

use std::path::Path;

use serde_json::{Value, json};

use super::verdict::Worker;
use super::{Exit, Failure, output};
use crate::config::Config;
use crate::journal::{Holder, LockError, StateLock};

/// The process that holds the state folder.
#[derive(Debug, Clone)]
pub(super) struct Daemon {
    holder: Holder,
    /// SIGSTOP or a debugger halted it: it holds the state and does nothing.
    stopped: bool,
    /// It cannot write its journal.
    stuck: bool,
}

impl Daemon {
    /// Who works on the state now; asks the kernel, never the daemon.
    pub(super) fn find(config: &Config) -> Result<Option<Daemon>, Failure> {
        Daemon::find_in(&config.state_dir)
    }

    /// The same, of a state folder.
    pub(super) fn find_in(state_dir: &Path) -> Result<Option<Daemon>, Failure> {
        let holder = StateLock::holder(state_dir).map_err(|error| match error {
            LockError::Io { path, source } => super::state_unusable(&path, &source),
            held @ LockError::Held { .. } => Failure::new(Exit::Busy, held),
            gone @ LockError::TakenAway(_) => Failure::new(Exit::Unexpected, gone),
        })?;
        // It is held, and its note could not be read in this moment.
        let unnamed = || Holder { pid: 0, version: String::new(), since_ms: 0, socket: None };
        Ok(holder.map(|note| {
            let holder = note.unwrap_or_else(unnamed);
            let stopped = std::fs::read_to_string(format!("/proc/{}/stat", holder.pid))
                .is_ok_and(|stat| is_stopped(&stat));
            let stuck = StateLock::is_stuck(state_dir);
            Daemon { holder, stopped, stuck }
        }))
    }

    /// Since when it runs, milliseconds since the Unix epoch.
    pub(super) fn since_ms(&self) -> i64 {
        self.holder.since_ms
    }

    /// Its control socket, if it has one.
    pub(super) fn socket(&self) -> Option<&Path> {
        self.holder.socket.as_deref()
    }

    /// What it can do.
    pub(super) fn worker(&self) -> Worker {
        match (self.stopped, self.stuck) {
            (_, true) => Worker::Stuck,
            (true, false) => Worker::Nobody,
            (false, false) => Worker::Daemon,
        }
    }

    /// What nobody knows while no daemon works.
    pub(super) fn unknown(daemon: Option<&Daemon>) -> Option<String> {
        Daemon::absent(daemon, "what changed since the last scan is not known")
    }

    /// What does not happen while no daemon works.
    pub(super) fn idle(daemon: Option<&Daemon>) -> Option<String> {
        Daemon::absent(daemon, "nothing is sent")
    }

    fn absent(daemon: Option<&Daemon>, so: &str) -> Option<String> {
        match daemon {
            None => Some(format!(
                "The daemon is not running: {so}. Start it with `smh-mirror run`, or make one pass with `smh-mirror sync`."
            )),
            Some(Daemon { holder, stopped: true, .. }) => Some(format!(
                "The daemon (pid {0}) is stopped by a signal: {so}. Let it go on with `kill -CONT {0}`.",
                holder.pid
            )),
            Some(daemon) if daemon.stuck => Some(
                "The daemon cannot write its journal: what changed since is not known. It goes on by itself when the state folder can be written; is its disk full?"
                    .to_owned(),
            ),
            Some(_) => None,
        }
    }

    /// The object `daemon` of the contract.
    pub(super) fn to_json(daemon: Option<&Daemon>) -> Value {
        match daemon {
            Some(Daemon { holder, stopped, stuck }) => json!({
                "running": true,
                "stopped": stopped,
                "stuck": stuck,
                "pid": holder.pid,
                "version": holder.version,
                "since": output::time(holder.since_ms),
            }),
            None => json!({
                "running": false, "stopped": false, "stuck": false, "pid": null, "version": null, "since": null,
            }),
        }
    }
}

/// Reads the state in a line of `/proc/PID/stat`. The name of the process stands in parentheses and may
/// hold anything, even `)`.
fn is_stopped(stat: &str) -> bool {
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    matches!(state, Some("T" | "t"))
}

#[cfg(test)]
mod tests {
    use super::is_stopped;

    #[test]
    fn a_stopped_process_is_known_by_its_letter() {
        for (stat, stopped) in [
            ("12 (smh-mirror) S 1 12", false),
            ("12 (smh-mirror) T 1 12", true),
            ("12 (smh-mirror) t 1 12", true),
            ("12 (a) T (b) R 1 12", false),
            ("", false),
        ] {
            assert_eq!(is_stopped(stat), stopped, "{stat}");
        }
    }
}
