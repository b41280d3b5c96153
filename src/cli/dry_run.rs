//! `sync --dry-run`: what a pass would do. The journal is a copy in memory, the library is only listed, and of what would
//! be sent it is only seen whether it can be opened.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::next::GRANT;
use super::status_view::put_path;
use super::verdict::stopped;
use super::{Exit, Failure, Global, output, runtime, unexpected};
use crate::clock::Clock;
use crate::config::{Config, Delete, Mirror};
use crate::journal::{ConditionKind, Doomed, Journal, MirrorId, PendingFile, Reader};
use crate::mirror::{Event, Observer, run as run_loop};
use crate::relpath::RelPath;
use crate::service::{Assembled, Mode, assemble, scratch};
use crate::smh::{Client, Error, Grant, RemotePath};
use crate::tree::{Lister, ReadError, remote_name, remote_path};
use crate::wording::counted;

/// Files that are listed, of each kind and mirror.
const LISTED: usize = 100_000;

/// A run that sends nothing has nothing to tell: what it found is in the journal.
struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event) {}

    fn alive(&mut self) {}
}

/// What would happen to a file.
struct Plan<'c> {
    mirror: &'c Mirror,
    path: RelPath,
    size: u64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    New,
    Changed,
    /// The library has a file of that name and size: it is read and compared, and sent only if it is another one.
    Compared,
    /// It is gone, and so would be its copy.
    Deleted,
    /// The same, but only by a pass after this moment: it is not gone for long enough yet.
    DeletedFrom(i64),
}

impl What {
    fn is_delete(self) -> bool {
        matches!(self, What::Deleted | What::DeletedFrom(_))
    }
}

/// What was found out.
#[derive(Default)]
struct Found<'c> {
    plans: Vec<Plan<'c>>,
    /// What cannot be read here, and why: nothing of it would be sent.
    unreadable: Vec<(&'c Mirror, RelPath, String)>,
    /// Mirrors whose folder is not what it should be, and why: nothing would be done for them. Also those whose deletes
    /// would wait for a person.
    held: Vec<(&'c Mirror, String)>,
    /// Why less would be done for a mirror than is listed.
    notes: Vec<String>,
    /// Why the library could not be asked.
    unasked: Option<Error>,
}

pub(super) fn run(global: &Global, config: &Config) -> Result<Exit, Failure> {
    let clock = Clock::start();
    let journal = scratch(config)?;
    let runtime = runtime()?;
    let found = runtime.block_on(async {
        let Assembled { engine, shell, facts } =
            assemble(config, journal, Mode::DryRun, clock, Arc::default())?;
        let stop = CancellationToken::new();
        let (_, journal): (_, Journal) = run_loop(engine, shell, facts, clock, stop, &mut Silent)
            .await
            .map_err(|error| Failure::from(anyhow::Error::from(error)))?;
        let reader = Reader::of(journal);
        let client = Client::new(&config.remote, Grant::Read, clock).map_err(|why| {
            let said = anyhow::anyhow!("cannot prepare the connection to the service: {why}");
            Failure::new(Exit::Config, said)
        })?;
        let mut found = Found::default();
        for known in reader.known_mirrors().map_err(unexpected)? {
            if let Some(mirror) = config.mirrors.iter().find(|m| m.name == known.name) {
                found.add(&reader, &client, mirror, known.id, clock.now().unix_ms).await?;
            }
        }
        client.leave().await;
        Ok::<_, Failure>(found)
    })?;
    if global.json {
        print_json(&found)?;
    } else {
        print_text(&found);
    }
    Ok(match (found.held.is_empty(), found.unreadable.is_empty()) {
        (false, _) => Exit::Held,
        (true, false) => Exit::Incomplete,
        (true, true) => Exit::Done,
    })
}

impl<'c> Found<'c> {
    /// What a pass would do for one mirror.
    async fn add(
        &mut self,
        reader: &Reader,
        client: &Client,
        mirror: &'c Mirror,
        id: MirrorId,
        now_ms: i64,
    ) -> Result<(), Failure> {
        for condition in reader.conditions(id).map_err(unexpected)? {
            match condition.kind {
                ConditionKind::Root => {
                    self.held.push((mirror, condition.message));
                    return Ok(());
                }
                ConditionKind::Paused => {
                    let said = stopped(&condition);
                    self.notes.push(format!("{}: {said}; a pass sends nothing of it", mirror.name));
                }
                _ => {}
            }
        }
        let lister = Lister::of(mirror);
        let mut library = Library::new(client, mirror);
        let folders = reader.unreadable(id, LISTED).map_err(unexpected)?;
        self.unreadable.extend(folders.into_iter().map(|(path, why)| (mirror, path, why)));
        for file in reader.pending(id, LISTED).map_err(unexpected)? {
            match lister.open(&file.path, file.seen) {
                // One that changes right now is sent as soon as it rests.
                Ok(_) | Err(ReadError::Changed | ReadError::Stopped) => {}
                Err(ReadError::Vanished) => continue,
                Err(why) => {
                    self.unreadable.push((mirror, file.path, why.to_string()));
                    continue;
                }
            }
            let what = match file.known {
                true => What::Changed,
                false if self.unasked.is_some() => What::New,
                false => match library.has(&file).await {
                    Ok(true) => What::Compared,
                    Ok(false) => What::New,
                    Err(error) => {
                        self.unasked = Some(error);
                        What::New
                    }
                },
            };
            self.plans.push(Plan { mirror, path: file.path, size: file.seen.size, what });
        }
        if mirror.delete != Delete::Keep {
            for Doomed { path, size, delete_at_ms } in
                reader.doomed(id, LISTED).map_err(unexpected)?
            {
                let what = match delete_at_ms <= now_ms {
                    true => What::Deleted,
                    false => What::DeletedFrom(delete_at_ms),
                };
                self.plans.push(Plan { mirror, path, size, what });
            }
            self.held.extend(reader.holds(id).map_err(unexpected)?.into_iter().map(|hold| {
                (
                    mirror,
                    format!("{}; no copy would be deleted before a person approves", hold.message),
                )
            }));
        }
        Ok(())
    }
}

/// What the library holds of a mirror, a directory at a time.
struct Library<'c> {
    client: &'c Client,
    mirror: &'c Mirror,
    /// The directory that was asked about last, and the sizes of the files in it.
    dir: Option<RelPath>,
    sizes: HashMap<String, Option<u64>>,
    /// A directory that is not there, and so is nothing below it.
    missing: Option<RelPath>,
}

impl<'c> Library<'c> {
    fn new(client: &'c Client, mirror: &'c Mirror) -> Library<'c> {
        Library { client, mirror, dir: None, sizes: HashMap::new(), missing: None }
    }

    /// Whether it holds a file of that name and size. Files come in the order of their directories.
    async fn has(&mut self, file: &PendingFile) -> Result<bool, Error> {
        let Some((dir, name)) = file.path.split() else { return Ok(false) };
        if self.missing.as_ref().is_some_and(|missing| dir.is_within(missing)) {
            return Ok(false);
        }
        if self.dir.as_ref() != Some(&dir) {
            self.list(dir).await?;
        }
        let name = remote_name(self.mirror.names, name);
        Ok(name.is_some_and(|name| self.sizes.get(&*name) == Some(&Some(file.seen.size))))
    }

    async fn list(&mut self, dir: RelPath) -> Result<(), Error> {
        self.sizes.clear();
        let target = remote_path(self.mirror.names, &self.mirror.remote, &dir);
        let Some(target) = target.map(RemotePath::from_segments) else { return Ok(()) };
        let sizes = &mut self.sizes;
        let there = self.client.list_all(&target, |entries| {
            sizes.extend(entries.into_iter().map(|entry| (entry.name, entry.info.size)));
        });
        if !there.await? {
            self.missing = Some(dir.clone());
        }
        self.dir = Some(dir);
        Ok(())
    }
}

fn is_sent(what: What) -> bool {
    matches!(what, What::New | What::Changed)
}

fn print_text(found: &Found<'_>) {
    let plans = &found.plans;
    for plan in plans {
        let (name, size) = (plan.path.in_mirror(&plan.mirror.name), output::bytes(plan.size));
        let line = match plan.what {
            What::New => format!("would send {name} ({size}, new)"),
            What::Changed => format!("would send {name} ({size}, changed)"),
            What::Compared => {
                format!("would compare {name} ({size}, the library has one of that size)")
            }
            What::Deleted => format!("would delete the copy of {name} ({size})"),
            What::DeletedFrom(ms) => {
                format!(
                    "would delete the copy of {name} ({size}), but not before {}",
                    output::time(ms)
                )
            }
        };
        if !output::line(&line) {
            return;
        }
    }
    for (mirror, path, why) in &found.unreadable {
        output::line(&format!("would not send {}: {why}", path.in_mirror(&mirror.name)));
    }
    for (mirror, why) in &found.held {
        output::line(&format!("held {}: {why}", mirror.name));
    }
    found.notes.iter().for_each(|note| _ = output::line(note));
    let sum = |wanted: &dyn Fn(What) -> bool| {
        let wanted = plans.iter().filter(|plan| wanted(plan.what));
        let (files, bytes) = wanted.fold((0_u64, 0), |(n, sum), plan| (n + 1, sum + plan.size));
        format!("{}, {}", counted(files, "file"), output::bytes(bytes))
    };
    let mut words = vec![format!("would send at most {}", sum(&is_sent))];
    let any = |wanted: &dyn Fn(What) -> bool| plans.iter().any(|plan| wanted(plan.what));
    let is_compared = |what| what == What::Compared;
    if any(&is_compared) {
        words.push(format!("compare {} with what the library has", sum(&is_compared)));
    }
    if any(&What::is_delete) {
        words.push(format!("delete the copies of {}", sum(&What::is_delete)));
    }
    output::line(&format!("{}; nothing was sent", words.join(", ")));
    if any(&|what| what == What::New) && any(&What::is_delete) {
        output::line(
            "What was only renamed is moved in the library, neither sent nor deleted; a dry run does not find that out.",
        );
    }
    if !found.unreadable.is_empty() {
        let entries = counted(found.unreadable.len() as u64, "entry");
        output::line(&format!("{entries} cannot be read here and would not be sent. {GRANT}"));
    }
    if let Some(error) = &found.unasked {
        output::line(&format!(
            "The library could not be asked what it already has ({error}); that would not be sent again."
        ));
    }
}

fn print_json(found: &Found<'_>) -> Result<(), Failure> {
    let of = |wanted: &dyn Fn(What) -> bool| -> Vec<Value> {
        found
            .plans
            .iter()
            .filter(|plan| wanted(plan.what))
            .map(|plan| {
                let mut value = json!({"mirror": plan.mirror.name, "size": plan.size});
                match plan.what {
                    What::New => value["change"] = json!("new"),
                    What::Changed => value["change"] = json!("changed"),
                    What::DeletedFrom(ms) => value["not_before"] = json!(output::time(ms)),
                    What::Compared | What::Deleted => {}
                }
                put_path(&mut value, &plan.path);
                value
            })
            .collect()
    };
    let unreadable = found.unreadable.iter().map(|(mirror, path, why)| {
        let mut value = json!({"mirror": mirror.name, "reason": why});
        put_path(&mut value, path);
        value
    });
    let held = found.held.iter().map(|(m, why)| json!({"mirror": m.name, "reason": why}));
    output::print_json(&json!({
        "schema": 1,
        "would_send": of(&is_sent),
        "would_compare": of(&|what| what == What::Compared),
        "would_delete": of(&What::is_delete),
        "unreadable": unreadable.collect::<Vec<_>>(),
        "held": held.collect::<Vec<_>>(),
        "library_not_asked": found.unasked.as_ref().map(ToString::to_string),
    }))
}
