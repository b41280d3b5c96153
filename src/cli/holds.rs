//! `holds`, `approve`, `reject`: what waits for a person, both outcomes, and the decision.

use std::path::Path;

use serde_json::{Value, json};

use super::request::{self, Taken};
use super::{Exit, Failure, Global, output, reader, unexpected};
use crate::config::{Config, Delete, Mirror};
use crate::journal::{ConditionKind, HoldKind, HoldRow, MirrorStatus, Reader, make_folder};
use crate::mirror::Answer;
use crate::service::requests_dir;
use crate::wording::{counted, verb};

#[derive(Debug, clap::Args)]
pub(super) struct AnswerArgs {
    /// Number of the hold, as `smh-mirror holds` shows it
    #[arg(value_name = "ID")]
    id: i64,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End with 5 when something is held
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_to_ask()?;
    let known = match reader(&config)? {
        Some(reader) => reader.snapshot(Reader::mirrors).map_err(unexpected)?,
        None => Vec::new(),
    };
    let untaken = request::untaken(&config)?;
    let mut held = Vec::new();
    let mut shown = Vec::new();
    for mirror in &config.mirrors {
        let Some(status) = known.iter().find(|status| status.known.name == mirror.name) else {
            continue;
        };
        for hold in &status.holds {
            let answer = untaken.answer(hold.id);
            shown.push(text(mirror, status, hold, answer));
            held.push(to_json(mirror, status, hold, answer));
        }
        for root in status.conditions.iter().filter(|c| c.kind == ConditionKind::Root) {
            shown.push(format!(
                "      {} · root · since {}\n  {}\n  Nothing is uploaded or deleted for this mirror. It goes on by itself when the folder is there again; if it is gone for good, remove the mirror from {}.",
                mirror.name,
                output::time(root.since_ms),
                root.message,
                config.file.display(),
            ));
            held.push(json!({
                "id": null, "mirror": mirror.name, "kind": "root", "path": "", "reason": root.message,
                "since": output::time(root.since_ms), "deletes": 0, "approve": null, "reject": null, "answered": null,
            }));
        }
    }
    if global.json {
        output::print_json(&json!({"schema": 1, "holds": held}))?;
    } else if shown.is_empty() {
        output::print_line("nothing is held")?;
    } else {
        output::print_line(&shown.join("\n\n"))?;
    }
    Ok(if args.exit_code && !held.is_empty() { Exit::Held } else { Exit::Done })
}

pub(super) fn answer(global: &Global, args: &AnswerArgs, approve: bool) -> Result<Exit, Failure> {
    let config = global.load_to_ask()?;
    let id = args.id;
    // Each configuration numbers its own holds: that of which mirror was meant is said with the answer.
    let Some(mirror) = mirror_of(&config, id)? else {
        return Err(Failure::new(
            Exit::Usage,
            anyhow::anyhow!("there is no hold {id} (any more); `smh-mirror holds` lists them"),
        ));
    };
    let folder = requests_dir(&config);
    make(&folder)?;
    let asked_ms = crate::clock::Clock::start().now().unix_ms;
    let earlier = request::untaken(&config)?.answer(id).filter(|earlier| *earlier != approve);
    let left = Answer { hold: id, approve, asked_ms }
        .leave(&folder)
        .map_err(|error| request::unwritable(&folder, &error))?;
    let taken = request::wait(request::worker(&config)?, &[left]);
    let what = word(approve);
    if global.json {
        let taken = taken == Taken::Now;
        output::print_json(
            &json!({"schema": 1, "hold": id, "mirror": mirror, "answer": what, "taken": taken}),
        )?;
        return Ok(Exit::Done);
    }
    let instead = earlier.map(|earlier| format!(", which was {} before,", word(earlier)));
    let hold = format!("{mirror}: hold {id}{}", instead.unwrap_or_default());
    output::print_line(&match taken {
        Taken::Now => format!("{hold} is {what}"),
        Taken::Later => format!(
            "{hold} is {what}, and the daemon has not taken the answer yet: it does so as soon as it can go on"
        ),
        Taken::ByNobody => format!(
            "{hold} is {what}: no daemon works now, the next `smh-mirror run` or `sync` takes the answer; until then another answer replaces it"
        ),
    })?;
    Ok(Exit::Done)
}

/// An answer in a word.
fn word(approve: bool) -> &'static str {
    if approve { "approved" } else { "rejected" }
}

/// The mirror that a hold is about.
fn mirror_of(config: &Config, hold: i64) -> Result<Option<String>, Failure> {
    let Some(reader) = reader(config)? else { return Ok(None) };
    let name = reader.snapshot(|reader| {
        let Some(hold) = reader.hold(hold)? else { return Ok(None) };
        let known = reader.known_mirrors()?.into_iter().find(|known| known.id == hold.mirror);
        Ok(known.map(|known| known.name))
    });
    name.map_err(unexpected)
}

fn make(folder: &Path) -> Result<(), Failure> {
    make_folder(folder).map_err(|error| request::unwritable(folder, &error))
}

/// A hold as `holds --json` shows it.
fn to_json(mirror: &Mirror, status: &MirrorStatus, hold: &HoldRow, answer: Option<bool>) -> Value {
    let (approve, reject) = outcomes(mirror.delete, status.counts.planned_deletes, hold);
    json!({
        "id": hold.id,
        "mirror": mirror.name,
        "kind": hold.kind.map_or("unknown", HoldKind::as_str),
        "path": super::status_view::text(&hold.path),
        "reason": hold.told(status.counts.planned_deletes),
        "since": output::time(hold.since_ms),
        "deletes": status.counts.planned_deletes,
        "approve": approve,
        "reject": reject,
        "answered": answer.map(word),
    })
}

fn text(mirror: &Mirror, status: &MirrorStatus, hold: &HoldRow, answer: Option<bool>) -> String {
    let (approve, reject) = outcomes(mirror.delete, status.counts.planned_deletes, hold);
    let (id, program) = (hold.id, output::program());
    let last = match answer {
        None => "Until then nothing is deleted for this mirror; uploads go on.".to_owned(),
        Some(approve) => format!(
            "It is {}: the next `smh-mirror run` or `sync` takes the answer. Until then another answer replaces it.",
            word(approve)
        ),
    };
    format!(
        "{id:>4}  {} · {} · since {}\n  {}\n  {program} approve {id}   {approve}\n  {program} reject {id}    {reject}\n  {last}",
        mirror.name,
        hold.kind.map_or("unknown", HoldKind::as_str),
        output::time(hold.since_ms),
        hold.told(status.counts.planned_deletes),
    )
}

/// What comes of it either way (pure).
fn outcomes(delete: Delete, planned: u64, hold: &HoldRow) -> (String, String) {
    let copies = format!(
        "the {} of {} that {} gone",
        verb(planned, "copy", "copies"),
        counted(planned, "file"),
        verb(planned, "is", "are")
    );
    let goes = match (delete, hold.kind) {
        (Delete::Permanent, _) | (_, Some(HoldKind::NoRecycleBin)) => "deleted for good",
        _ => "moved to the recycle bin",
    };
    let are = verb(planned, "is", "are");
    match hold.kind {
        Some(HoldKind::Unmounted) if delete == Delete::Keep => (
            "the folder stays as it is now: what was there counts as gone, its copies are kept".to_owned(),
            "the same; or mount the filesystem again, and it goes on by itself".to_owned(),
        ),
        Some(HoldKind::Unmounted) => (
            format!("the folder stays as it is now: what was there counts as gone, its copies are {goes}"),
            "the folder stays as it is now: what was there counts as gone, its copies are kept; or mount the filesystem again, and it goes on by itself".to_owned(),
        ),
        _ => (
            format!("{copies} {are} {goes}"),
            format!("{copies} {are} kept in the library"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MirrorId;
    use crate::relpath::RelPath;

    #[test]
    fn both_outcomes_are_named() {
        let hold = |kind| HoldRow {
            id: 3,
            mirror: MirrorId(1),
            kind: Some(kind),
            path: RelPath::root(),
            since_ms: 0,
            message: String::new(),
        };
        let said = |delete, kind| outcomes(delete, 2, &hold(kind));
        let (approve, reject) = said(Delete::Recycle, HoldKind::TooMany);
        assert!(approve.ends_with("are moved to the recycle bin"), "{approve}");
        assert!(reject.ends_with("are kept in the library"), "{reject}");
        assert!(said(Delete::Permanent, HoldKind::TooMany).0.ends_with("deleted for good"));
        assert!(said(Delete::Recycle, HoldKind::NoRecycleBin).0.ends_with("deleted for good"));
        assert!(said(Delete::Keep, HoldKind::Unmounted).0.ends_with("its copies are kept"));
    }
}
