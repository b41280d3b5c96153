//! What the status says: derived from the journal alone, the same words for people, programs and units.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::{Exit, Failure, output};
use crate::config::Config;
use crate::journal::{ConditionKind, Counts, Holder, MirrorStatus, Reader};
use crate::relpath::RelPath;

/// All mirrors at one moment.
pub(super) struct View {
    daemon: Option<Holder>,
    now_ms: i64,
    mirrors: Vec<MirrorView>,
}

struct MirrorView {
    name: String,
    local: String,
    remote: String,
    state: &'static str,
    status: Option<MirrorStatus>,
}

/// Asks the journal about every mirror that is configured.
pub(super) fn collect(
    config: &Config,
    reader: &Reader,
    daemon: Option<Holder>,
    now_ms: i64,
) -> Result<View, Failure> {
    let mut known = reader
        .snapshot(Reader::mirrors)
        .map_err(|error| Failure::from(anyhow::Error::from(error)))?;
    Ok(view(config, daemon, now_ms, |name| {
        let at = known.iter().position(|status| status.name == name)?;
        Some(known.swap_remove(at))
    }))
}

/// There is no journal yet: nothing was ever seen.
pub(super) fn nothing_yet(config: &Config, daemon: Option<Holder>, now_ms: i64) -> View {
    view(config, daemon, now_ms, |_| None)
}

fn view(
    config: &Config,
    daemon: Option<Holder>,
    now_ms: i64,
    mut status: impl FnMut(&str) -> Option<MirrorStatus>,
) -> View {
    let mirrors = config
        .mirrors
        .iter()
        .map(|mirror| {
            let status = status(&mirror.name);
            MirrorView {
                name: mirror.name.clone(),
                local: mirror.local.display().to_string(),
                remote: mirror.remote.join("/"),
                state: status.as_ref().map_or("unknown", |status| state(status, daemon.is_some())),
                status,
            }
        })
        .collect();
    View { daemon, now_ms, mirrors }
}

/// The word for a mirror, the worst first. `current` needs a complete scan and nothing that waits.
fn state(status: &MirrorStatus, running: bool) -> &'static str {
    let has = |kind| status.conditions.iter().any(|condition| condition.kind == kind);
    let counts = &status.counts;
    if has(ConditionKind::Root) {
        "held"
    } else if has(ConditionKind::Auth) {
        "auth"
    } else if has(ConditionKind::Offline) {
        "offline"
    } else if status.scanned_at_ms.is_none() {
        if running { "syncing" } else { "unknown" }
    } else if counts.blocked + counts.retrying > 0 || has(ConditionKind::Quota) {
        "behind"
    } else if waits(counts) || status.dirty {
        if running { "syncing" } else { "behind" }
    } else {
        "current"
    }
}

fn waits(counts: &Counts) -> bool {
    counts.pending + counts.uploading + counts.pending_directories > 0
}

impl View {
    /// Whether every mirror is current.
    pub(super) fn is_current(&self) -> bool {
        self.mirrors.iter().all(|mirror| mirror.state == "current")
    }

    /// How a pass ended, as an exit code.
    pub(super) fn exit(&self) -> Exit {
        if self.mirrors.iter().any(|mirror| mirror.state == "held") {
            Exit::Held
        } else if self.is_current() {
            Exit::Done
        } else {
            Exit::Incomplete
        }
    }

    /// The contract of design section 9.
    pub(super) fn to_json(&self) -> Value {
        let daemon = match &self.daemon {
            Some(holder) => json!({
                "running": true,
                "pid": holder.pid,
                "version": holder.version,
                "since": output::time(holder.since_ms),
            }),
            None => json!({"running": false, "pid": null, "version": null, "since": null}),
        };
        let mirrors: Vec<Value> =
            self.mirrors.iter().map(|mirror| self.mirror_json(mirror)).collect();
        json!({"schema": 1, "daemon": daemon, "mirrors": mirrors})
    }

    fn mirror_json(&self, mirror: &MirrorView) -> Value {
        let status = mirror.status.as_ref();
        let counts = status.map(|status| status.counts).unwrap_or_default();
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let holds: Vec<Value> = conditions
            .iter()
            .filter(|condition| condition.kind == ConditionKind::Root)
            .map(|condition| json!({"reason": condition.message, "since": output::time(condition.since_ms)}))
            .collect();
        let shown: Vec<Value> = conditions
            .iter()
            .map(|c| json!({"kind": c.kind.as_str(), "message": c.message, "since": output::time(c.since_ms)}))
            .collect();
        let trouble = status.and_then(|status| {
            let trouble = status.last_trouble.as_ref()?;
            Some(json!({
                "path": status.last_trouble_path.as_ref().map(text),
                "class": trouble.class.as_str(),
                "code": trouble.code,
                "message": trouble.message,
                "request_id": trouble.request_id,
                "attempts": trouble.attempts,
                "blocked": trouble.blocked,
                "since": output::time(trouble.first_at_ms),
                "at": output::time(trouble.last_at_ms),
            }))
        });
        let oldest = status
            .and_then(|status| status.oldest_pending_ms)
            .map(|since| (self.now_ms - since).max(0) / 1000);
        json!({
            "name": mirror.name,
            "local": mirror.local,
            "remote": mirror.remote,
            "state": mirror.state,
            "as_of": status.and_then(|status| status.scanned_at_ms).map(output::time),
            "files": {
                "synced": counts.synced,
                "pending": counts.pending,
                "uploading": counts.uploading,
                "retrying": counts.retrying,
                "blocked": counts.blocked,
                "skipped": counts.skipped,
            },
            "directories": {"pending": counts.pending_directories},
            "bytes": {"synced": counts.synced_bytes, "pending": counts.pending_bytes},
            "watch": {
                "watched": status.map_or(0, |s| s.watched),
                "polled": status.map_or(0, |s| s.polled),
                "overflows": status.map_or(0, |s| s.overflows),
                "missed": status.map_or(0, |s| s.missed),
            },
            "oldest_pending_seconds": oldest,
            "holds": holds,
            "conditions": shown,
            "last_trouble": trouble,
        })
    }

    /// A table, and below it what a person should know.
    pub(super) fn to_text(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header([
                "MIRROR", "STATE", "AS OF", "SYNCED", "WAITING", "BLOCKED", "SKIPPED", "LOCAL",
            ]);
        for mirror in &self.mirrors {
            let counts = mirror.status.as_ref().map(|status| status.counts).unwrap_or_default();
            let as_of = mirror
                .status
                .as_ref()
                .and_then(|status| status.scanned_at_ms)
                .map_or("never".to_owned(), |at| output::ago(at, self.now_ms));
            let waiting = counts.pending + counts.uploading + counts.retrying;
            table.add_row([
                mirror.name.clone(),
                mirror.state.to_owned(),
                as_of,
                format!("{} ({})", counts.synced, output::bytes(counts.synced_bytes)),
                format!("{waiting} ({})", output::bytes(counts.pending_bytes)),
                counts.blocked.to_string(),
                counts.skipped.to_string(),
                mirror.local.clone(),
            ]);
        }
        let mut lines: Vec<String> =
            table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
        for mirror in &self.mirrors {
            let Some(status) = &mirror.status else { continue };
            for condition in &status.conditions {
                lines.push(format!(
                    "{}: {} since {}: {}",
                    mirror.name,
                    condition.kind.as_str(),
                    output::time(condition.since_ms),
                    condition.message
                ));
            }
            if let (Some(trouble), Some(path)) = (&status.last_trouble, &status.last_trouble_path) {
                let next =
                    if trouble.blocked { "waits for a change" } else { "will be tried again" };
                lines.push(format!("{}: {path}: {} ({next})", mirror.name, trouble.message));
            }
        }
        lines.join("\n")
    }

    /// Says what nobody knows while no daemon runs.
    pub(super) fn note(&self) -> Option<&'static str> {
        self.daemon.is_none().then_some(
            "The daemon is not running: what changed since the time above is not known. Start it with `smh-mirror run`, or make one pass with `smh-mirror sync`.",
        )
    }
}

/// A path in JSON.
pub(super) fn text(path: &RelPath) -> String {
    String::from_utf8_lossy(path.as_bytes()).into_owned()
}
