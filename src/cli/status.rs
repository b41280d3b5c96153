//! `status`: asks the journal; works with the daemon up, down or stuck.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::status_view::{self, View, text};
use super::{Exit, Failure, Global, output};
use crate::clock::Clock;
use crate::config::{Config, Mirror};
use crate::journal::{EntryState, Holder, JournalError, Reader, StateLock};
use crate::relpath::RelPath;
use crate::tree::{Absent, Kind, Lister};

/// Time between two looks of `--watch`.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files or folders to ask about, instead of whole mirrors
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Say it again every two seconds
    #[arg(short, long)]
    watch: bool,
    /// List what is left out, and why
    #[arg(long, conflicts_with = "paths")]
    skipped: bool,
    /// End with 4 when something is not mirrored
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_without_secret()?;
    let clock = Clock::start();
    loop {
        if args.watch && output::colour(&std::io::stdout()) && !global.json {
            // Home, and clear what is below.
            output::line("\x1b[H\x1b[2J");
        }
        let exit = once(global, args, &config, clock)?;
        if !args.watch {
            return Ok(exit);
        }
        std::thread::sleep(AGAIN);
        if !output::colour(&std::io::stdout()) && !global.json && !output::line("") {
            return Ok(exit);
        }
    }
}

fn once(global: &Global, args: &Args, config: &Config, clock: Clock) -> Result<Exit, Failure> {
    let daemon = daemon(config)?;
    let now_ms = clock.now().unix_ms;
    let reader = match Reader::open(&config.state_dir) {
        Ok(reader) => Some(reader),
        Err(JournalError::Missing(_)) => None,
        Err(error) => return Err(Failure::from(anyhow::Error::from(error))),
    };
    if !args.paths.is_empty() {
        return files(global, args, config, reader.as_ref());
    }
    if args.skipped {
        return skipped(global, config, reader.as_ref());
    }
    let view: View = match &reader {
        Some(reader) => status_view::collect(config, reader, daemon, now_ms)?,
        None => status_view::nothing_yet(config, daemon, now_ms),
    };
    if global.json {
        output::print_json(&view.to_json())?;
    } else {
        output::line(&view.to_text());
        if let Some(note) = view.note() {
            output::line(note);
        }
    }
    Ok(if args.exit_code && !view.is_current() { Exit::NotCurrent } else { Exit::Done })
}

/// Who works on the state now.
fn daemon(config: &Config) -> Result<Option<Holder>, Failure> {
    let holder = StateLock::holder(&config.state_dir).map_err(|error| {
        let denied = matches!(&error, crate::journal::LockError::Io { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied);
        Failure::new(if denied { Exit::Permission } else { Exit::Unexpected }, error)
    })?;
    // It is held, and its note could not be read in this moment.
    Ok(holder.map(|note| note.unwrap_or(Holder { pid: 0, version: String::new(), since_ms: 0 })))
}

fn skipped(global: &Global, config: &Config, reader: Option<&Reader>) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    let unexpected = |error| Failure::from(anyhow::Error::from(error));
    if let Some(reader) = reader {
        for status in reader.mirrors().map_err(unexpected)? {
            let Some(mirror) = config.mirrors.iter().find(|m| m.name == status.name) else {
                continue;
            };
            for entry in reader.skipped(status.id).map_err(unexpected)? {
                if global.json {
                    all.push(json!({
                        "mirror": mirror.name,
                        "path": text(&entry.path),
                        "reason": entry.reason.as_str(),
                    }));
                } else if !output::line(&format!(
                    "{}/{}: {}",
                    mirror.name,
                    entry.path,
                    entry.reason.describe()
                )) {
                    return Ok(Exit::Done);
                }
            }
        }
    }
    if global.json {
        output::print_json(&json!({"schema": 1, "skipped": all}))?;
    }
    Ok(Exit::Done)
}

/// One answer about one path.
struct Answer {
    mirror: Option<String>,
    path: String,
    state: &'static str,
    detail: String,
    value: Value,
    safe: bool,
}

fn files(
    global: &Global,
    args: &Args,
    config: &Config,
    reader: Option<&Reader>,
) -> Result<Exit, Failure> {
    let mut answers = Vec::new();
    for path in &args.paths {
        answers.push(file(config, reader, path)?);
    }
    if global.json {
        let files: Vec<Value> = answers.iter().map(|answer| answer.value.clone()).collect();
        output::print_json(&json!({"schema": 1, "files": files}))?;
    } else {
        for answer in &answers {
            let mirror = answer.mirror.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
            output::line(&format!("{mirror}{}: {}{}", answer.path, answer.state, answer.detail));
        }
    }
    let all_safe = answers.iter().all(|answer| answer.safe);
    Ok(if args.exit_code && !all_safe { Exit::NotCurrent } else { Exit::Done })
}

/// The mirror that a path belongs to, and its name there. Links above the root are seen through, the
/// path below it is taken as it is.
fn locate<'c>(config: &'c Config, path: &Path) -> Option<(&'c Mirror, RelPath)> {
    let whole = std::path::absolute(path).ok()?;
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    // The directory as the system sees it, the last name as it is: it may be a link itself.
    let resolved = plain
        .parent()
        .and_then(|parent| parent.canonicalize().ok())
        .zip(plain.file_name())
        .map(|(parent, name)| parent.join(name));
    for mirror in &config.mirrors {
        let mut roots = vec![mirror.local.clone()];
        roots.extend(mirror.local.canonicalize());
        for root in roots {
            for candidate in [Some(&plain), resolved.as_ref()].into_iter().flatten() {
                if let Ok(below) = candidate.strip_prefix(&root) {
                    return Some((mirror, RelPath::from_path(below)?));
                }
            }
        }
    }
    None
}

fn file(config: &Config, reader: Option<&Reader>, path: &Path) -> Result<Answer, Failure> {
    let Some((mirror, rel)) = locate(config, path) else {
        let shown = path.display().to_string();
        return Ok(Answer {
            mirror: None,
            value: json!({"mirror": null, "path": shown, "state": "unknown", "size": null, "full_hash": null, "crc64": null, "confirmed_at": null, "trouble": null}),
            path: shown,
            state: "unknown",
            detail: ", it belongs to no mirror".to_owned(),
            safe: false,
        });
    };
    let unexpected = |error| Failure::from(anyhow::Error::from(error));
    let status = match reader {
        None => None,
        Some(reader) => {
            match reader.mirrors().map_err(unexpected)?.into_iter().find(|s| s.name == mirror.name)
            {
                None => None,
                Some(status) => {
                    if let Some((all, waiting, unknown)) =
                        reader.below(status.id, &rel).map_err(unexpected)?
                    {
                        return Ok(folder(mirror, &rel, all, waiting, unknown));
                    }
                    Some(reader.file(status.id, &rel).map_err(unexpected)?)
                }
            }
        }
    };
    let now = Lister::new(mirror.local.clone(), &mirror.exclude).look(&rel);
    let row = status.as_ref().and_then(|status| status.row.clone());
    let trouble = status.as_ref().and_then(|status| status.trouble.clone());
    let journal_state = status.as_ref().map_or(EntryState::Unknown, |status| status.state);
    // The journal is at worst behind: what is on disk at this moment has the last word.
    let (state, note) = match (journal_state, &now) {
        (EntryState::Synced, Ok(Kind::File(seen)))
            if row.as_ref().is_some_and(|row| row.seen != *seen) =>
        {
            ("pending", ", it changed since it was mirrored")
        }
        (EntryState::Synced, Err(Absent::Gone)) => {
            ("gone", ", it is no longer on disk; the copy is kept")
        }
        (EntryState::Unknown, Ok(Kind::File(_))) => ("pending", ", it was not seen yet"),
        (EntryState::Unknown, Err(Absent::Gone)) => ("unknown", ", there is no such file"),
        (EntryState::Unknown, Err(_)) => ("unknown", ", it cannot be looked at"),
        (state, _) => (state.as_str(), ""),
    };
    let confirmed = row.as_ref().and_then(|row| row.confirmed);
    let mut detail = note.to_owned();
    if let (EntryState::Skipped(reason), true) = (journal_state, note.is_empty()) {
        detail = format!(", {}", reason.describe());
    }
    if state == "synced"
        && let Some(confirmed) = confirmed
    {
        detail = format!(
            ", {} confirmed at {} (crc64 {})",
            output::bytes(confirmed.fingerprint.size),
            output::time(confirmed.at_ms),
            confirmed.crc64
        );
    }
    if let Some(trouble) = &trouble {
        detail.push_str(&format!(", {}", trouble.message));
    }
    let value = json!({
        "mirror": mirror.name,
        "path": text(&rel),
        "state": state,
        "size": row.as_ref().map(|row| row.seen.size),
        "full_hash": confirmed.map(|c| c.full_hash.to_string()),
        "crc64": confirmed.map(|c| c.crc64.to_string()),
        "confirmed_at": confirmed.map(|c| output::time(c.at_ms)),
        "trouble": trouble.map(|t| json!({
            "class": t.class.as_str(),
            "code": t.code,
            "message": t.message,
            "request_id": t.request_id,
            "attempts": t.attempts,
            "blocked": t.blocked,
            "since": output::time(t.first_at_ms),
        })),
    });
    Ok(Answer {
        mirror: Some(mirror.name.clone()),
        path: rel.to_string(),
        state,
        detail,
        value,
        safe: state == "synced",
    })
}

fn folder(mirror: &Mirror, rel: &RelPath, all: u64, waiting: u64, unknown: u64) -> Answer {
    let state = match (waiting, unknown) {
        (0, 0) => "synced",
        (_, 0) => "pending",
        _ => "blocked",
    };
    let mut detail = match waiting {
        0 => format!(", a folder with {all} files, as of the last scan"),
        n => format!(", a folder with {all} files, of which {n} are not mirrored"),
    };
    if unknown > 0 {
        detail.push_str(&format!(
            "; {unknown} folders in it could not be read or made: see `status`"
        ));
    }
    Answer {
        mirror: Some(mirror.name.clone()),
        path: rel.to_string(),
        state,
        detail,
        value: json!({
            "mirror": mirror.name, "path": text(rel), "state": state, "size": null, "full_hash": null,
            "crc64": null, "confirmed_at": null, "trouble": null, "files": all, "waiting": waiting,
            "unreadable_folders": unknown,
        }),
        safe: state == "synced",
    }
}
