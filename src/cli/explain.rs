//! `explain`: why a path is as it is, and what happens next: everything that is known, in one place.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::daemon::Daemon;
use super::explain_next::{Outlook, outlook};
use super::known::{Known, Place, trouble_json};
use super::next::{Waits, tries};
use super::rule::RuleAt;
use super::status_view::condition_json;
use super::verdict;
use super::{Exit, Failure, Global, output, unexpected};
use crate::clock::Clock;
use crate::fingerprint::Fingerprint;
use crate::journal::{ConditionRow, FileRow, PartsDone, Reader, TroublePath};
use crate::tree::{Absent, Kind, Skip, forbidden};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file or folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

/// Everything that is known of a path.
struct Answer<'c> {
    known: Known<'c>,
    trouble: Option<TroublePath>,
    conditions: Vec<ConditionRow>,
    /// Of what is gone: why its copy waits for a person, and since when.
    holds: Vec<(i64, String)>,
    daemon: Option<Daemon>,
    rule: Option<RuleAt>,
    now_ms: i64,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_to_ask()?;
    let daemon = Daemon::find(&config)?;
    let reader = super::reader(&config)?;
    let known = Known::of(&config, reader.as_ref(), &args.path)?;
    let mut answer = Answer {
        trouble: None,
        conditions: Vec::new(),
        holds: Vec::new(),
        daemon,
        rule: known.place.as_ref().and_then(|place| RuleAt::of(&config, place)),
        now_ms: Clock::start().now().unix_ms,
        known,
    };
    if let (Some(reader), Some(place)) = (&reader, &answer.known.place)
        && let Some(mirror) = &place.known
    {
        answer.trouble = reader.trouble(mirror.id, &place.path).map_err(unexpected)?;
        answer.conditions = reader.conditions(mirror.id).map_err(unexpected)?;
        answer.conditions.retain(|condition| !condition.is_over(answer.now_ms));
        if place.file.as_ref().is_some_and(|file| file.delete_at_ms.is_some()) {
            let mirrors = reader.snapshot(Reader::unfinished).map_err(unexpected)?;
            let of_mirror = mirrors.iter().filter(|status| status.known.id == mirror.id);
            answer.holds = of_mirror
                .flat_map(|status| {
                    let planned = status.counts.planned_deletes;
                    status.holds.iter().map(move |hold| (hold.since_ms, hold.told(planned)))
                })
                .collect();
        }
    }
    if global.json {
        output::print_json(&answer.to_json())?;
    } else {
        output::print_line(&answer.to_text())?;
    }
    Ok(Exit::Done)
}

impl Answer<'_> {
    fn waits(&self) -> Option<Waits> {
        let entry = self.trouble.as_ref()?;
        Some(Waits::of(&entry.trouble, entry.next_at_ms, self.now_ms))
    }

    fn next(&self) -> String {
        let place = self.known.place.as_ref();
        let condition = self.conditions.iter().find(|c| c.kind.as_str() != "throttled");
        outlook(&Outlook {
            state: self.known.state,
            in_mirror: place.is_some(),
            kind: place.map(|place| &place.explained.kind),
            rule: self.rule.as_ref(),
            waits: self.waits(),
            condition,
            idle: Daemon::idle(self.daemon.as_ref()),
            delete_at_ms: place
                .and_then(|place| place.file.as_ref())
                .and_then(|file| file.delete_at_ms),
            held: !self.holds.is_empty(),
        })
    }

    fn to_text(&self) -> String {
        let mut lines = vec![self.known.heading()];
        let mut fact = |label: &str, text: String| lines.push(format!("  {label:<9}{text}"));
        if let Some(place) = &self.known.place {
            let mirror = place.mirror;
            let remote = mirror.remote.join("/");
            fact("mirror", format!("{}: {} -> {remote:?}", mirror.name, mirror.local.display()));
            fact("disk", on_disk(place));
            if let Some(rule) = &self.rule {
                fact("rule", rule.describe());
            }
            if let Some(problem) = name_problem(place) {
                fact("name", format!("the service does not take it: {problem}"));
            }
            if let Some(remote) = place.remote().filter(|remote| is_other(place, remote)) {
                let remote = remote.join("/");
                fact(
                    "copy",
                    format!("{remote:?}: names are escaped, because of names = \"escape\""),
                );
            }
            if let Some(row) = place.row() {
                fact("journal", in_journal(row));
            }
            if let Some(upload) = place.file.as_ref().and_then(|file| file.upload) {
                let stage = if upload.posted { "arrived, not confirmed" } else { "being sent" };
                let (size, since) =
                    (output::bytes(upload.size), output::time(upload.started_at_ms));
                let parts = upload.parts.map_or(String::new(), |parts| {
                    let PartsDone { arrived, of, bytes } = parts;
                    format!(", {arrived} of {of} parts arrived ({})", output::bytes(bytes))
                });
                fact("upload", format!("{size}, {stage}{parts}, started at {since}"));
            }
        }
        if let Some(entry) = &self.trouble {
            let trouble = &entry.trouble;
            let about = format!("{} ({}, {})", trouble.message, trouble.class, tries(trouble));
            fact("trouble", about);
        }
        for condition in &self.conditions {
            fact(verdict::word(condition.kind), verdict::since(condition));
        }
        for (since_ms, why) in &self.holds {
            fact("held", format!("since {}: {why}", output::time(*since_ms)));
        }
        fact("next", self.next());
        lines.join("\n")
    }

    fn to_json(&self) -> Value {
        let place = self.known.place.as_ref();
        let mut value = self.known.to_json();
        let upload = place.and_then(|place| place.file.as_ref()).and_then(|file| file.upload);
        let conditions: Vec<Value> = self.conditions.iter().map(condition_json).collect();
        let holds = self.holds.iter();
        let holds: Vec<Value> = holds
            .map(|(since_ms, why)| json!({"since": output::time(*since_ms), "reason": why}))
            .collect();
        let waits = self.waits();
        let more = json!({
            "schema": 1,
            "daemon": Daemon::to_json(self.daemon.as_ref()),
            "disk": place.map(disk_json),
            "rule": self.rule.as_ref().map(RuleAt::to_json),
            "name_problem": place.and_then(name_problem),
            "remote_path": place.and_then(Place::remote).map(|remote| remote.join("/")),
            "journal": place.and_then(Place::row).map(row_json),
            "upload": upload.map(|u| json!({
                "stage": if u.posted { "posted" } else { "started" },
                "size": u.size,
                "since": output::time(u.started_at_ms),
                "parts": u.parts.map(|parts| json!({
                    "arrived": parts.arrived,
                    "of": parts.of,
                    "bytes": parts.bytes,
                })),
            })),
            "trouble": self.trouble.as_ref().map(|entry| trouble_json(&entry.trouble)),
            "waits_for": waits.map(Waits::as_str),
            "next_at": waits.and_then(Waits::until).map(output::time),
            "conditions": conditions,
            "holds": holds,
            "next": self.next(),
        });
        if let (Some(all), Value::Object(more)) = (value.as_object_mut(), more) {
            let more: Map<String, Value> = more;
            all.extend(more);
        }
        value
    }
}

/// Nanoseconds of a file time, for people and programs.
fn time_ns(unix_ns: i64) -> String {
    output::time(unix_ns.div_euclid(1_000_000))
}

fn on_disk(place: &Place<'_>) -> String {
    let explained = &place.explained;
    let what = match (&explained.kind, explained.bare) {
        (Err(Absent::Gone), _) => "nothing".to_owned(),
        (Err(absent), _) => format!("unknown: {absent}"),
        (_, Some(Kind::File(print))) => format!(
            "a file, {}, modified at {}",
            output::bytes(print.size),
            time_ns(print.mtime_ns)
        ),
        (_, bare) => match word(bare) {
            "directory" => "a folder".to_owned(),
            "symlink" => "a symbolic link".to_owned(),
            _ => "a socket, FIFO or device".to_owned(),
        },
    };
    let what = match &explained.target {
        Some(target) => format!("a symbolic link to {target}: {what}"),
        None => what,
    };
    // Of a missing root the path is told.
    if explained.at == place.path || explained.at.is_root() {
        what
    } else {
        format!("{what} at {}, which decides for everything in it", explained.at)
    }
}

/// What an entry is, rules aside.
fn word(bare: Option<Kind>) -> &'static str {
    match bare {
        Some(Kind::File(_)) => "file",
        Some(Kind::Dir(_)) => "directory",
        Some(Kind::Skipped(
            Skip::Symlink | Skip::SymlinkOutside | Skip::SymlinkDangling | Skip::SymlinkLoop,
        )) => "symlink",
        Some(Kind::Skipped(Skip::Loop)) => "directory",
        Some(Kind::Skipped(_)) => "special",
        Some(Kind::Unknown) | None => "unknown",
    }
}

/// Whether a copy has another name than its entry, or lies in a folder that has.
fn is_other(place: &Place<'_>, remote: &[String]) -> bool {
    let names = remote.get(place.mirror.remote.len()..).unwrap_or_default();
    !names.iter().map(String::as_bytes).eq(place.path.segments())
}

/// What the service has against the name of the entry that decides.
fn name_problem(place: &Place<'_>) -> Option<String> {
    if place.explained.kind != Ok(Kind::Skipped(Skip::Name)) {
        return None;
    }
    place.explained.at.split().and_then(|(_, name)| forbidden(name))
}

fn in_journal(row: &FileRow) -> String {
    let seen = format!(
        "seen with {}, modified at {}",
        output::bytes(row.seen.size),
        time_ns(row.seen.mtime_ns)
    );
    let mut text = match row.confirmed {
        None => format!("{seen}; never confirmed"),
        Some(confirmed) => {
            let same =
                if confirmed.fingerprint == row.seen { "just that" } else { "another state" };
            format!(
                "{seen}; {same} ({}) was confirmed at {}, crc64 {}, full hash {}",
                output::bytes(confirmed.fingerprint.size),
                output::time(confirmed.at_ms),
                confirmed.crc64,
                confirmed.full_hash
            )
        }
    };
    if let Some(at) = row.changed_at_ms {
        text.push_str(&format!("; waits since {}", output::time(at)));
    }
    if let Some(at) = row.gone_at_ms {
        text.push_str(&format!("; gone since {}", output::time(at)));
    }
    text
}

fn print_json(print: &Fingerprint) -> Value {
    json!({
        "size": print.size,
        "modified_at": time_ns(print.mtime_ns),
        "changed_at": time_ns(print.ctime_ns),
        "inode": print.inode,
    })
}

fn row_json(row: &FileRow) -> Value {
    json!({
        "seen": print_json(&row.seen),
        "confirmed": row.confirmed.map(|confirmed| json!({
            "state": print_json(&confirmed.fingerprint),
            "full_hash": confirmed.full_hash.to_string(),
            "crc64": confirmed.crc64.to_string(),
            "at": output::time(confirmed.at_ms),
        })),
        "waits_since": row.changed_at_ms.map(output::time),
        "gone_since": row.gone_at_ms.map(output::time),
    })
}

fn disk_json(place: &Place<'_>) -> Value {
    let explained = &place.explained;
    let kind = match &explained.kind {
        Err(Absent::Gone) => "absent",
        Err(Absent::Root(_)) => "root-missing",
        Err(Absent::Unreadable(_) | Absent::Short(_)) => "unreadable",
        Ok(_) => word(explained.bare),
    };
    let print = match explained.bare {
        Some(Kind::File(print)) => Some(print_json(&print)),
        _ => None,
    };
    json!({
        // The entry itself, or what above it decides for everything in it.
        "path": super::status_view::text(&explained.at),
        "kind": kind,
        // Of a link that is followed: the path of what it points to.
        "target": explained.target.as_ref().map(super::status_view::text),
        "file": print,
        "problem": explained.kind.as_ref().err().map(ToString::to_string),
    })
}
