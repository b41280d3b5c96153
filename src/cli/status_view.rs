//! What the status says: the same words for people, programs and units. From the journal, and on
//! demand from a look at the disk.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::limit::Limit;
use super::next::Waits;
use super::verdict::{self, Evidence, Worker};
use super::{Exit, Failure, output, request, unexpected};
use crate::config::Config;
use crate::journal::{ConditionKind, ConditionRow, HoldKind, MirrorStatus, Reader};
use crate::mirror::{Audit, audit};
use crate::relpath::RelPath;
use crate::tree::{Lister, escape};
use crate::wording::{counted, verb};

/// All mirrors at one moment.
pub(super) struct View {
    daemon: Option<Daemon>,
    now_ms: i64,
    limit: Limit,
    pub(super) mirrors: Vec<MirrorView>,
}

/// One mirror at one moment.
pub(super) struct MirrorView {
    pub(super) name: String,
    local: String,
    remote: String,
    pub(super) state: &'static str,
    /// Everything is mirrored, paused or not.
    pub(super) current: bool,
    /// Why it is not current.
    pub(super) reasons: Vec<String>,
    /// What the journal says of it, as far as it speaks of this folder and this target.
    pub(super) status: Option<MirrorStatus>,
    /// What a look at the disk found, if there was one.
    pub(super) audit: Option<Audit>,
    /// Paths of which `verify` found that the library has something else, and which nobody took up yet.
    doubted: u64,
}

impl MirrorView {
    /// What the journal says of the library is known to be wrong.
    fn doubt(&mut self, worker: Worker) {
        if self.doubted == 0 {
            return;
        }
        self.current = false;
        if self.state == "current" {
            self.state = if worker == Worker::Daemon { "syncing" } else { "behind" };
        }
        self.reasons.push(self.doubts());
    }

    fn doubts(&self) -> String {
        format!(
            "{} {} from the library, as `verify` found, and {} to be compared and sent again",
            counted(self.doubted, "path"),
            verb(self.doubted, "differs", "differ"),
            verb(self.doubted, "waits", "wait"),
        )
    }
}

/// Asks the journal about every mirror that is configured. Without a reader there is none yet: nothing
/// was ever seen.
pub(super) fn collect(
    config: &Config,
    reader: Option<&Reader>,
    daemon: Option<Daemon>,
    now_ms: i64,
) -> Result<View, Failure> {
    collect_with(config, reader, daemon, now_ms, &mut Vec::new())
}

/// Looks at the disk, then asks the journal: what is called current was seen to be so.
pub(super) fn collect_audited(
    config: &Config,
    reader: Option<&Reader>,
    daemon: Option<Daemon>,
    now_ms: i64,
) -> Result<View, Failure> {
    let mut audits = Vec::new();
    if let Some(reader) = reader {
        for known in reader.known_mirrors().map_err(unexpected)? {
            let Some(mirror) = config.mirrors.iter().find(|m| m.name == known.name) else {
                continue;
            };
            // Of another folder or target it would tell nothing.
            if !verdict::is_same(config, mirror, &known) {
                continue;
            }
            let lister = Lister::of(mirror);
            let found = audit(reader, &known, &lister, &RelPath::root()).map_err(unexpected)?;
            audits.push((mirror.name.clone(), found));
        }
    }
    collect_with(config, reader, daemon, now_ms, &mut audits)
}

fn collect_with(
    config: &Config,
    reader: Option<&Reader>,
    daemon: Option<Daemon>,
    now_ms: i64,
    audits: &mut Vec<(String, Audit)>,
) -> Result<View, Failure> {
    let mut known = match reader {
        Some(reader) => reader.snapshot(Reader::mirrors).map_err(unexpected)?,
        None => Vec::new(),
    };
    let worker = daemon.as_ref().map_or(Worker::Nobody, Daemon::worker);
    let untaken = request::untaken(config)?;
    let mut mirrors = Vec::with_capacity(config.mirrors.len());
    for mirror in &config.mirrors {
        let mut status = known
            .iter()
            .position(|status| status.known.name == mirror.name)
            .map(|at| known.swap_remove(at));
        if let Some(status) = &mut status {
            status.conditions.retain(|condition| !condition.is_over(now_ms));
        }
        let audit = audits
            .iter()
            .position(|(name, _)| *name == mirror.name)
            .map(|at| audits.swap_remove(at).1);
        let same =
            status.as_ref().is_some_and(|status| verdict::is_same(config, mirror, &status.known));
        let hangs = worker == Worker::Daemon && {
            let scanned_at_ms = status.as_ref().and_then(|status| status.scanned_at_ms);
            daemon.as_ref().is_some_and(|daemon| {
                verdict::hangs(mirror, scanned_at_ms, daemon.since_ms(), now_ms)
            })
        };
        let worker = if hangs { Worker::Hangs } else { worker };
        let evidence = Evidence { status: status.as_ref(), same, worker, audit: audit.as_ref() };
        let mut view = MirrorView {
            name: mirror.name.clone(),
            local: mirror.local.display().to_string(),
            remote: mirror.remote.join("/"),
            state: verdict::state(&evidence),
            current: verdict::is_current(&evidence),
            reasons: verdict::reasons(&evidence),
            status: status.filter(|_| same),
            audit,
            doubted: untaken.repairs(&mirror.name).count() as u64,
        };
        view.doubt(worker);
        mirrors.push(view);
    }
    let limit = Limit::find(config, reader, now_ms)?;
    Ok(View { daemon, now_ms, limit, mirrors })
}

impl View {
    /// Whether every mirror is current.
    pub(super) fn is_current(&self) -> bool {
        self.mirrors.iter().all(|mirror| mirror.current)
    }

    /// Whether a mirror is held.
    pub(super) fn is_held(&self) -> bool {
        self.mirrors.iter().any(|mirror| mirror.state == "held")
    }

    /// How a pass ended, as an exit code.
    pub(super) fn exit(&self) -> Exit {
        if self.is_held() {
            Exit::Held
        } else if self.is_current() {
            Exit::Done
        } else {
            Exit::Incomplete
        }
    }

    /// The contract of design section 9.
    pub(super) fn to_json(&self) -> Value {
        let mirrors: Vec<Value> =
            self.mirrors.iter().map(|mirror| self.mirror_json(mirror)).collect();
        json!({
            "schema": 1,
            "daemon": self.daemon_json(),
            "bandwidth": self.limit.to_json(),
            "mirrors": mirrors,
        })
    }

    /// The object `daemon` of the contract.
    pub(super) fn daemon_json(&self) -> Value {
        Daemon::to_json(self.daemon.as_ref())
    }

    fn mirror_json(&self, mirror: &MirrorView) -> Value {
        let status = mirror.status.as_ref();
        let counts = status.map(|status| status.counts).unwrap_or_default();
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let held = status.map(|status| status.holds.as_slice()).unwrap_or_default();
        let holds: Vec<Value> = conditions
            .iter()
            .filter(|condition| condition.kind == ConditionKind::Root)
            .map(|condition| json!({"id": null, "kind": "root", "reason": condition.message, "since": output::time(condition.since_ms)}))
            .chain(held.iter().map(|hold| {
                json!({
                    "id": hold.id,
                    "kind": hold.kind.map_or("unknown", HoldKind::as_str),
                    "path": text(&hold.path),
                    "reason": hold.told(counts.planned_deletes),
                    "since": output::time(hold.since_ms),
                    "deletes": counts.planned_deletes,
                })
            }))
            .collect();
        let shown: Vec<Value> = conditions.iter().map(condition_json).collect();
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
            "deletes": {"planned": counts.planned_deletes, "failed": counts.failed_deletes},
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
            "reasons": mirror.reasons,
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
        let lines =
            table.to_string().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        lines.into_iter().chain(self.remarks()).collect::<Vec<_>>().join("\n")
    }

    /// Each mirror in a line, and what a person should know: for who reads line by line.
    pub(super) fn lines(&self) -> Vec<String> {
        let mirrors = self.mirrors.iter().map(|mirror| {
            let counts = mirror.status.as_ref().map(|status| status.counts).unwrap_or_default();
            let waiting = counts.pending + counts.uploading + counts.retrying;
            format!(
                "{}: {}, {} synced ({}), {waiting} waiting ({}), {} blocked",
                mirror.name,
                mirror.state,
                counts.synced,
                output::bytes(counts.synced_bytes),
                output::bytes(counts.pending_bytes),
                counts.blocked
            )
        });
        mirrors.chain(self.remarks()).chain(self.note()).collect()
    }

    /// What a person should know of each mirror.
    fn remarks(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for mirror in &self.mirrors {
            let Some(status) = &mirror.status else {
                lines.extend(
                    mirror.reasons.iter().map(|reason| format!("{}: {reason}", mirror.name)),
                );
                continue;
            };
            if let Some(audit) = &mirror.audit {
                let root = audit.root.clone();
                lines.extend(
                    root.into_iter()
                        .chain(verdict::found(audit))
                        .map(|found| format!("{}: {found}", mirror.name)),
                );
            }
            if mirror.doubted > 0 {
                lines.push(format!("{}: {}", mirror.name, mirror.doubts()));
            }
            for condition in &status.conditions {
                lines.push(format!("{}: {}", mirror.name, verdict::stopped(condition)));
            }
            for hold in &status.holds {
                lines.push(format!(
                    "{}: held since {}: {} (see `smh-mirror holds`)",
                    mirror.name,
                    output::time(hold.since_ms),
                    hold.told(status.counts.planned_deletes)
                ));
            }
            let gone = status.counts.planned_deletes;
            // That they wait for a person was just said.
            if gone > 0 && status.holds.is_empty() {
                lines.push(format!(
                    "{}: {} {}",
                    mirror.name,
                    counted(gone, "file"),
                    verb(
                        gone,
                        "is gone, its copy is to be deleted",
                        "are gone, their copies are to be deleted"
                    )
                ));
            }
            if let (Some(trouble), Some(path)) = (&status.last_trouble, &status.last_trouble_path) {
                let next = match trouble.blocked {
                    true => Waits::of(trouble, None, self.now_ms).describe(),
                    false => "will be tried again".to_owned(),
                };
                let name = path.in_mirror(&mirror.name);
                let counts = &status.counts;
                let all = counts.blocked + counts.retrying + counts.retrying_directories;
                let more = match all.saturating_sub(1) {
                    0 => String::new(),
                    more => format!("; {more} more failed, see `smh-mirror errors`"),
                };
                lines.push(format!("{name}: {} ({next}){more}", trouble.message));
            }
        }
        lines.extend(self.limit.line());
        lines
    }

    /// Says what nobody knows, or does, while no daemon works.
    pub(super) fn note(&self) -> Option<String> {
        let daemon = self.daemon.as_ref();
        let looked = self.mirrors.iter().any(|mirror| mirror.audit.is_some());
        if looked { Daemon::idle(daemon) } else { Daemon::unknown(daemon) }
    }
}

/// A condition in JSON.
pub(super) fn condition_json(condition: &ConditionRow) -> Value {
    json!({
        "kind": condition.kind.as_str(),
        "message": condition.message,
        "since": output::time(condition.since_ms),
        "until": condition.until_ms.map(output::time),
    })
}

/// A path in JSON.
pub(super) fn text(path: &RelPath) -> String {
    String::from_utf8_lossy(path.as_bytes()).into_owned()
}

/// Writes a path into an object, as `path`. One that is not UTF-8 is told twice: JSON cannot hold it, so there it may
/// look like others; `path_escaped` tells it exactly, in the words of `names = "escape"`.
pub(super) fn put_path(object: &mut Value, path: &RelPath) {
    let Some(object) = object.as_object_mut() else { return };
    object.insert("path".into(), text(path).into());
    if std::str::from_utf8(path.as_bytes()).is_err() {
        let names: Vec<String> = path.segments().map(escape).collect();
        object.insert("path_escaped".into(), names.join("/").into());
    }
}
