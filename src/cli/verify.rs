//! `verify`: compares folder, journal and library, and changes nothing; with `--repair`, leaves a request for what
//! differs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::daemon::Daemon;
use super::request::{self, Taken};
use super::verdict::{self, Worker};
use super::verify_view::{self, View};
use super::{Exit, Failure, Global, output, runtime, unexpected};
use crate::clock::Clock;
use crate::config::{Config, Mirror};
use crate::journal::{KnownMirror, Reader};
use crate::mirror::{Repair, Report, Subject, Tally, VerifyError, verify};
use crate::service::requests_dir;
use crate::smh::{Client, Grant};
use crate::tree::Lister;
use crate::wording::counted;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Mirrors to compare, instead of all
    #[arg(value_name = "MIRROR")]
    mirrors: Vec<String>,
    /// Read every file here too, and find content that changed without a trace
    #[arg(long)]
    deep: bool,
    /// Ask the daemon to compare and send again what differs
    #[arg(long)]
    repair: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load()?;
    let wanted = wanted(&config, &args.mirrors)?;
    let worker = Daemon::find(&config)?.as_ref().map_or(Worker::Nobody, Daemon::worker);
    let reader = super::reader(&config)?;
    let known = match &reader {
        Some(reader) => reader.known_mirrors().map_err(unexpected)?,
        None => Vec::new(),
    };
    let reader = reader.map(|reader| Arc::new(Mutex::new(reader)));
    let clock = Clock::start();
    let client = Client::new(&config.remote, Grant::Read, clock).map_err(|why| {
        let said = anyhow::anyhow!("cannot prepare the connection to the service: {why}");
        Failure::new(Exit::Config, said)
    })?;
    let client = Arc::new(client);
    let bar = bar(global.json);
    let mut views = Vec::new();
    let runtime = runtime()?;
    let compared: Result<(), Failure> = runtime.block_on(async {
        for mirror in wanted {
            let known = known.iter().find(|known| {
                known.name == mirror.name && verdict::is_same(&config, mirror, known)
            });
            let attended = worker == Worker::Daemon;
            let subject = subject(mirror, known.cloned(), args.deep, attended);
            let report = compare(&client, reader.clone(), subject, clock, mirror, bar.as_ref());
            views.push(View::new(mirror, report.await?));
        }
        client.leave().await;
        Ok(())
    });
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    compared?;
    if !global.json {
        for view in &views {
            if !output::line(&view.to_text()) {
                return Ok(Exit::Done);
            }
        }
    }
    let repair = if args.repair { Some(repair(&config, worker, &views)?) } else { None };
    if global.json {
        let mirrors: Vec<_> = views.iter().map(View::to_json).collect();
        output::print_json(&json!({
            "schema": 1,
            "deep": args.deep,
            "mirrors": mirrors,
            "repair": repair.map(|repair| json!({
                "asked": repair.asked, "taken": repair.taken == Some(Taken::Now),
            })),
        }))?;
    } else if let Some(repair) = repair {
        output::line(&repair.sentence());
    } else if views.iter().any(|view| !view.report.to_repair().is_empty()) {
        output::line(
            "Have what differs compared and sent again with `smh-mirror verify --repair`; nothing is deleted by it.",
        );
    }
    Ok(verify_view::exit(&views))
}

fn wanted<'c>(config: &'c Config, names: &[String]) -> Result<Vec<&'c Mirror>, Failure> {
    if names.is_empty() {
        return Ok(config.mirrors.iter().collect());
    }
    let find = |name: &String| {
        config.mirrors.iter().find(|mirror| mirror.name == *name).ok_or_else(|| {
            let all: Vec<&str> = config.mirrors.iter().map(|m| m.name.as_str()).collect();
            let said = anyhow::anyhow!("there is no mirror {name:?}; there is {}", all.join(", "));
            Failure::new(Exit::Usage, said)
        })
    };
    names.iter().map(find).collect()
}

fn subject(mirror: &Mirror, known: Option<KnownMirror>, deep: bool, attended: bool) -> Subject {
    Subject {
        lister: Lister::of(mirror),
        remote: mirror.remote.clone(),
        names: mirror.names,
        known,
        deep,
        attended,
    }
}

async fn compare(
    client: &Arc<Client>,
    reader: Option<Arc<Mutex<Reader>>>,
    subject: Subject,
    clock: Clock,
    mirror: &Mirror,
    bar: Option<&ProgressBar>,
) -> Result<Report, Failure> {
    let beat = |tally: &Tally| {
        let Some(bar) = bar else { return };
        let read = match tally.read_bytes() {
            0 => String::new(),
            bytes => format!(", {} read", output::bytes(bytes)),
        };
        let files = counted(tally.files(), "file");
        bar.set_message(format!("{}: {files} compared{read}", mirror.name));
    };
    verify(Arc::clone(client), reader, subject, clock, beat).await.map_err(|error| match error {
        VerifyError::Journal(error) => unexpected(error),
        VerifyError::Failed => Failure::from(anyhow::Error::from(error)),
    })
}

/// A line that moves, on a terminal.
fn bar(json: bool) -> Option<ProgressBar> {
    (!json && output::colour(&std::io::stderr())).then(|| {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        let style = ProgressStyle::with_template("{spinner} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    })
}

/// What became of the request to repair.
struct Asked {
    /// Paths.
    asked: usize,
    /// `None`: there was nothing to ask.
    taken: Option<Taken>,
}

impl Asked {
    fn sentence(&self) -> String {
        let paths = match self.asked {
            1 => "1 path is".to_owned(),
            n => format!("{n} paths are"),
        };
        match self.taken {
            None => "There is nothing to repair.".to_owned(),
            Some(Taken::Now) => format!(
                "{paths} queued: the daemon compares and sends them again; see `smh-mirror status`, and verify once more when it is done."
            ),
            Some(Taken::ByNobody) => format!(
                "{paths} queued: no daemon works now; they are compared and sent again as soon as one does, or by `smh-mirror sync`."
            ),
            Some(Taken::Later) => format!(
                "{paths} queued: the daemon has not taken the request yet; it does so as soon as it can go on."
            ),
        }
    }
}

/// Leaves a request for everything that can be repaired.
fn repair(config: &Config, worker: Worker, views: &[View]) -> Result<Asked, Failure> {
    let folder = requests_dir(config);
    let wanted: Vec<Repair> = views
        .iter()
        .map(|view| Repair { mirror: view.name.clone(), paths: view.report.to_repair() })
        .filter(|repair| !repair.paths.is_empty())
        .collect();
    let asked = wanted.iter().map(|repair| repair.paths.len()).sum();
    if asked == 0 {
        return Ok(Asked { asked, taken: None });
    }
    if worker == Worker::Nobody && !folder.is_dir() {
        return Err(Failure::new(
            Exit::Incomplete,
            anyhow::anyhow!(
                "no daemon works on {} and none ever did; start it with `smh-mirror run`, or make one pass with `smh-mirror sync`: both send what is missing",
                config.state_dir.display()
            ),
        ));
    }
    let mut left: Vec<PathBuf> = Vec::new();
    for repair in &wanted {
        left.extend(repair.leave(&folder).map_err(|error| request::unwritable(&folder, &error))?);
    }
    Ok(Asked { asked, taken: Some(request::wait(worker, &left)) })
}
