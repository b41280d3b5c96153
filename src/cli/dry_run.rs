//! `sync --dry-run`: what a pass would do. The journal is a copy in memory, and the library is only listed.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::status_view::put_path;
use super::{Exit, Failure, Global, output, runtime};
use crate::clock::Clock;
use crate::config::{Config, Delete, Mirror};
use crate::journal::{Journal, PendingFile, Reader};
use crate::mirror::{Event, Observer, run as run_loop};
use crate::relpath::RelPath;
use crate::service::{Assembled, Mode, assemble, scratch};
use crate::smh::{Client, Error, Grant, RemotePath};
use crate::tree::{remote_name, remote_path};
use crate::wording::counted;

/// Files that are listed, of each kind and mirror.
const LISTED: usize = 100_000;

/// What is kept from a run that sends nothing.
struct Silent(Vec<String>);

impl Observer for Silent {
    fn event(&mut self, event: &Event) {
        if let Event::Stopped { mirror, message } = event {
            self.0.push(format!("held {}: {message}", mirror.clone().unwrap_or_default()));
        }
    }

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
}

pub(super) fn run(global: &Global, config: &Config) -> Result<Exit, Failure> {
    let clock = Clock::start();
    let journal = scratch(config)?;
    let mut silent = Silent(Vec::new());
    let runtime = runtime()?;
    let unexpected = |error| Failure::from(anyhow::Error::from(error));
    let (plans, unasked) = runtime.block_on(async {
        let Assembled { engine, shell, facts } =
            assemble(config, journal, Mode::DryRun, clock, Arc::default())?;
        let stop = CancellationToken::new();
        let (_, journal): (_, Journal) = run_loop(engine, shell, facts, clock, stop, &mut silent)
            .await
            .map_err(|error| Failure::from(anyhow::Error::from(error)))?;
        let reader = Reader::of(journal);
        let client = Client::new(&config.remote, Grant::Read, clock).map_err(|why| {
            let said = anyhow::anyhow!("cannot prepare the connection to the service: {why}");
            Failure::new(Exit::Config, said)
        })?;
        let mut plans = Vec::new();
        let mut unasked = None;
        for known in reader.mirrors().map_err(unexpected)? {
            let Some(mirror) = config.mirrors.iter().find(|m| m.name == known.known.name) else {
                continue;
            };
            let mut library = Library::new(&client, mirror);
            for file in reader.pending(known.known.id, LISTED).map_err(unexpected)? {
                let what = match file.known {
                    true => What::Changed,
                    false if unasked.is_some() => What::New,
                    false => match library.has(&file).await {
                        Ok(true) => What::Compared,
                        Ok(false) => What::New,
                        Err(error) => {
                            unasked = Some(error);
                            What::New
                        }
                    },
                };
                plans.push(Plan { mirror, path: file.path, size: file.size, what });
            }
            if mirror.delete != Delete::Keep {
                for (path, size) in reader.doomed(known.known.id, LISTED).map_err(unexpected)? {
                    plans.push(Plan { mirror, path, size, what: What::Deleted });
                }
            }
        }
        client.leave().await;
        Ok::<_, Failure>((plans, unasked))
    })?;
    if global.json {
        print_json(&plans, unasked.as_ref())?;
    } else {
        print_text(&plans, &silent.0, unasked.as_ref());
    }
    Ok(Exit::Done)
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
        Ok(name.is_some_and(|name| self.sizes.get(&*name) == Some(&Some(file.size))))
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

fn print_text(plans: &[Plan<'_>], held: &[String], unasked: Option<&Error>) {
    for plan in plans {
        let (name, path, size) = (&plan.mirror.name, &plan.path, output::bytes(plan.size));
        let line = match plan.what {
            What::New => format!("would send {name}/{path} ({size}, new)"),
            What::Changed => format!("would send {name}/{path} ({size}, changed)"),
            What::Compared => {
                format!("would compare {name}/{path} ({size}, the library has one of that size)")
            }
            What::Deleted => format!("would delete the copy of {name}/{path} ({size})"),
        };
        if !output::line(&line) {
            return;
        }
    }
    held.iter().for_each(|held| _ = output::line(held));
    let sum = |wanted: &[What]| {
        let wanted = plans.iter().filter(|plan| wanted.contains(&plan.what));
        let (files, bytes) = wanted.fold((0_u64, 0), |(n, sum), plan| (n + 1, sum + plan.size));
        format!("{}, {}", counted(files, "file"), output::bytes(bytes))
    };
    let mut words = vec![format!("would send at most {}", sum(&[What::New, What::Changed]))];
    let any = |what| plans.iter().any(|plan| plan.what == what);
    if any(What::Compared) {
        words.push(format!("compare {} with what the library has", sum(&[What::Compared])));
    }
    if any(What::Deleted) {
        words.push(format!("delete the copies of {}", sum(&[What::Deleted])));
    }
    output::line(&format!("{}; nothing was sent", words.join(", ")));
    if any(What::New) && any(What::Deleted) {
        output::line(
            "What was only renamed is moved in the library, neither sent nor deleted; a dry run does not find that out.",
        );
    }
    if let Some(error) = unasked {
        output::line(&format!(
            "The library could not be asked what it already has ({error}); that would not be sent again."
        ));
    }
}

fn print_json(plans: &[Plan<'_>], unasked: Option<&Error>) -> Result<(), Failure> {
    let of = |wanted: &[What]| -> Vec<Value> {
        plans
            .iter()
            .filter(|plan| wanted.contains(&plan.what))
            .map(|plan| {
                let mut value = json!({"mirror": plan.mirror.name, "size": plan.size});
                match plan.what {
                    What::New => value["change"] = json!("new"),
                    What::Changed => value["change"] = json!("changed"),
                    What::Compared | What::Deleted => {}
                }
                put_path(&mut value, &plan.path);
                value
            })
            .collect()
    };
    output::print_json(&json!({
        "schema": 1,
        "would_send": of(&[What::New, What::Changed]),
        "would_compare": of(&[What::Compared]),
        "would_delete": of(&[What::Deleted]),
        "library_not_asked": unasked.map(ToString::to_string),
    }))
}
