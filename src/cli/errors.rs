//! `errors`: everything that is wrong, the newest first; what stops whole mirrors comes before it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::known::trouble_json;
use super::locate::need;
use super::next::{GRANT, Waits, after_condition, tries};
use super::status_view::put_path;
use super::verdict::{Worker, stopped};
use super::{Exit, Failure, Global, output, unexpected};
use crate::clock::Clock;
use crate::config::Config;
use crate::failure::Class;
use crate::journal::{ConditionKind, ConditionRow, HoldRow, JournalError, Reader, TroublePath};
use crate::relpath::RelPath;

/// What comes next where the journal cannot be written.
const UNWRITTEN: &str = "everything waits, and goes on by itself when it can be written: make room on its disk, or end what locks it";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files or folders to ask about, instead of everything
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Show at most so many entries
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// End with 3 if anything is wrong
    #[arg(long)]
    exit_code: bool,
}

/// Everything that is wrong, as far as it is shown.
#[derive(Default)]
struct Wrong {
    /// What stops a mirror, or with an empty name all of them.
    conditions: Vec<(Option<String>, ConditionRow)>,
    /// Deletes that wait for a person, and how many.
    held: Vec<(String, HoldRow, u64)>,
    entries: Vec<(String, TroublePath)>,
    /// Entries in all.
    total: u64,
    /// What the journal cannot say of itself: that it is not written.
    unwritten: Option<String>,
}

impl Wrong {
    fn is_empty(&self) -> bool {
        self.unwritten.is_none()
            && self.conditions.is_empty()
            && self.held.is_empty()
            && self.total == 0
    }
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_to_ask()?;
    let daemon = Daemon::find(&config)?;
    let mut asked = Vec::new();
    for path in &args.paths {
        let (mirror, path) = need(&config, path)?;
        asked.push((mirror.name.clone(), path));
    }
    if asked.is_empty() {
        asked.extend(config.mirrors.iter().map(|m| (m.name.clone(), RelPath::root())));
    }
    let mut wrong = match super::reader(&config)? {
        Some(reader) => {
            reader.snapshot(|reader| collect(reader, &asked, args.limit)).map_err(unexpected)?
        }
        None => Wrong::default(),
    };
    if daemon.as_ref().is_some_and(|daemon| daemon.worker() == Worker::Stuck) {
        let folder = config.state_dir.display();
        wrong.unwritten = Some(format!("the daemon cannot write its journal in {folder}"));
    }
    let now_ms = Clock::start().now().unix_ms;
    if global.json {
        output::print_json(&to_json(&wrong, daemon.as_ref(), now_ms))?;
    } else {
        show(&wrong, &config, daemon.as_ref(), now_ms);
    }
    let anything = !wrong.is_empty();
    Ok(if args.exit_code && anything { Exit::Incomplete } else { Exit::Done })
}

fn collect(
    reader: &Reader,
    asked: &[(String, RelPath)],
    limit: usize,
) -> Result<Wrong, JournalError> {
    let mirrors = reader.known_mirrors()?;
    let unfinished = reader.unfinished()?;
    let mut wrong = Wrong::default();
    for (name, path) in asked {
        let Some(mirror) = mirrors.iter().find(|mirror| mirror.name == *name) else { continue };
        // That a person paused it is no error.
        let conditions = reader.conditions(mirror.id)?.into_iter();
        for condition in conditions.filter(|c| c.kind != ConditionKind::Paused) {
            let name = condition.mirror.map(|_| name.clone());
            // One of the whole daemon comes with each mirror.
            let known = |(n, c): &(Option<String>, ConditionRow)| *n == name && *c == condition;
            if !wrong.conditions.iter().any(known) {
                wrong.conditions.push((name, condition));
            }
        }
        for status in unfinished.iter().filter(|status| status.known.name == *name) {
            let planned = status.counts.planned_deletes;
            let holds = status.holds.iter();
            wrong.held.extend(holds.map(|hold| (name.clone(), hold.clone(), planned)));
        }
        let troubles = reader.troubles(mirror.id, path, limit)?;
        wrong.total += troubles.total;
        wrong.entries.extend(troubles.newest.into_iter().map(|trouble| (name.clone(), trouble)));
    }
    wrong.conditions.sort_by_key(|(name, condition)| (name.is_some(), condition.since_ms));
    // Each mirror came in this order; together they have to be put into it.
    wrong.entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.trouble.last_at_ms));
    wrong.entries.truncate(limit);
    Ok(wrong)
}

fn show(wrong: &Wrong, config: &Config, daemon: Option<&Daemon>, now_ms: i64) {
    if let Some(message) = &wrong.unwritten {
        output::line(&format!("every mirror: {message}\n    {UNWRITTEN}"));
    }
    for (name, condition) in &wrong.conditions {
        let name = name.as_deref().unwrap_or("every mirror");
        output::line(&format!("{name}: {}", stopped(condition)));
        let next = after_condition(condition.kind.as_str());
        if !next.is_empty() {
            output::line(&format!("    {next}"));
        }
    }
    for (name, hold, planned) in &wrong.held {
        let since = output::time(hold.since_ms);
        output::line(&format!("{name}: held since {since}: {}", hold.told(*planned)));
        output::line("    nothing of it is deleted until a person decides: `smh-mirror holds`");
    }
    for (name, entry) in &wrong.entries {
        let trouble = &entry.trouble;
        let first = format!("{}: {}", entry.path.in_mirror(name), trouble.message);
        let mut about = vec![trouble.class.to_string()];
        about.extend(trouble.code.clone());
        // Most messages name it already.
        let id = trouble.request_id.as_ref().filter(|id| !trouble.message.contains(id.as_str()));
        about.extend(id.map(|id| format!("request {id}")));
        about.push(tries(trouble));
        let next = Waits::of(trouble, entry.next_at_ms, now_ms).describe();
        if !output::line(&format!("{first}\n    {}\n    {next}", about.join(", "))) {
            return;
        }
    }
    let more = wrong.total.saturating_sub(wrong.entries.len() as u64);
    if more > 0 {
        output::line(&format!("and {more} more: show them with --limit"));
    }
    if wrong.entries.iter().any(|(_, entry)| entry.trouble.class == Class::Local) {
        output::line(GRANT);
    }
    if wrong.is_empty() {
        let names: Vec<&str> = config.mirrors.iter().map(|m| m.name.as_str()).collect();
        output::line(&format!("nothing is known to be wrong ({})", names.join(", ")));
    }
    // That it cannot write was said.
    if let Some(note) = Daemon::idle(daemon).filter(|_| wrong.unwritten.is_none()) {
        output::line(&note);
    }
}

fn to_json(wrong: &Wrong, daemon: Option<&Daemon>, now_ms: i64) -> Value {
    let unwritten = wrong.unwritten.iter().map(|message| {
        json!({
            "mirror": null,
            "kind": "journal",
            "message": message,
            "since": null,
            "next": UNWRITTEN,
        })
    });
    let conditions = wrong.conditions.iter().map(|(name, condition)| {
        json!({
            "mirror": name,
            "kind": condition.kind.as_str(),
            "message": condition.message,
            "since": output::time(condition.since_ms),
            "next": after_condition(condition.kind.as_str()),
        })
    });
    let conditions: Vec<Value> = unwritten.chain(conditions).collect();
    let holds: Vec<Value> = wrong
        .held
        .iter()
        .map(|(name, hold, planned)| {
            json!({
                "mirror": name,
                "id": hold.id,
                "reason": hold.told(*planned),
                "since": output::time(hold.since_ms),
            })
        })
        .collect();
    let entries: Vec<Value> = wrong
        .entries
        .iter()
        .map(|(name, entry)| {
            let waits = Waits::of(&entry.trouble, entry.next_at_ms, now_ms);
            let mut value = trouble_json(&entry.trouble);
            put_path(&mut value, &entry.path);
            if let Some(object) = value.as_object_mut() {
                object.insert("mirror".into(), name.clone().into());
                object.insert("waits_for".into(), waits.as_str().into());
                object.insert("next_at".into(), waits.until().map(output::time).into());
                object.insert("next".into(), waits.describe().into());
            }
            value
        })
        .collect();
    let more = wrong.total.saturating_sub(wrong.entries.len() as u64);
    json!({
        "schema": 1,
        "daemon": Daemon::to_json(daemon),
        "conditions": conditions,
        "holds": holds,
        "errors": entries,
        "total": wrong.total,
        "more": more,
    })
}
