//! `demo`: everything in one process, without an account.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;

use super::progress::Progress;
use super::{Exit, Failure, Global, output, runtime};
use crate::clock::Clock;
use crate::config::{Config, Environment};
use crate::emulator::{Options, start};
use crate::mirror::{Event, Finished, Observer, run as run_loop};
use crate::service::{
    Assembled, Mode, assemble, init_logging, open_journal, prepare, stop_on_signals,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to mirror; without one, a small sample is made
    folder: Option<PathBuf>,
    /// End after the first pass
    #[arg(long)]
    once: bool,
    /// Keep emulator and journal in this folder; without one, they are removed at the end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies in the temporary folder of the system.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let unwritable = |path: &Path, error: std::io::Error| {
        anyhow::anyhow!("cannot write {}: {error}", path.display())
    };
    let scratch = match args.data {
        Some(_) => None,
        None => {
            let name = format!("smh-mirror-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).map_err(|error| unwritable(&path, error))?;
            Some(Scratch(path))
        }
    };
    let base = match (&args.data, &scratch) {
        (Some(data), _) => std::path::absolute(data).map_err(anyhow::Error::from)?,
        (None, Some(scratch)) => scratch.0.clone(),
        (None, None) => std::env::temp_dir(),
    };
    let folder = match &args.folder {
        Some(folder) => folder.canonicalize().map_err(|error| {
            Failure::new(
                Exit::Config,
                anyhow::anyhow!("cannot use the folder {}: {error}", folder.display()),
            )
        })?,
        None => {
            let folder = base.join("sample");
            sample(&folder).map_err(|error| unwritable(&folder, error))?;
            folder
        }
    };
    if !folder.is_dir() {
        let said =
            anyhow::anyhow!("{} is not a folder; name the folder it lies in", folder.display());
        return Err(Failure::new(Exit::Usage, said));
    }
    if base.starts_with(&folder) {
        return Err(Failure::new(
            Exit::Usage,
            anyhow::anyhow!(
                "{} lies inside {}; name another --data or TMPDIR",
                base.display(),
                folder.display()
            ),
        ));
    }
    let runtime = runtime()?;
    let ended = runtime.block_on(in_runtime(global, args, &base, &folder));
    runtime.shutdown_background();
    let exit = ended?;
    if scratch.is_none() {
        output::line(&format!("kept in {}", base.display()));
    } else if args.once && exit != Exit::Done {
        output::line("nothing of it is kept to be asked about; `--data DIR` keeps it");
    }
    Ok(exit)
}

fn sample(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("letters/2026"))?;
    fs::write(
        folder.join("README.txt"),
        "Change me, add files beside me: each change appears in the library.\n",
    )?;
    fs::write(folder.join("letters/2026/hello.txt"), "Hello, library.\n")?;
    fs::write(folder.join("data.bin"), vec![42; 3 << 20])
}

async fn in_runtime(
    global: &Global,
    args: &Args,
    base: &Path,
    folder: &Path,
) -> Result<Exit, Failure> {
    let stop = stop_on_signals().map_err(anyhow::Error::from)?;
    let data = base.join("library");
    fs::create_dir_all(base)
        .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", base.display()))?;
    let emulator = start(Options::new(data.clone())).await.map_err(anyhow::Error::from)?;
    let config = config(&emulator.endpoint(), base, folder)?;
    output::name_in_hints(&config.file);
    init_logging(&config.log);
    let clock = Clock::start();
    let prepared = prepare(&config, clock)?;
    let objects = data.join("objects");
    output::line(&format!("mirroring {} into an emulated library", folder.display()));
    output::line(&format!("compare: diff -r {} {}", folder.display(), objects.display()));
    let mode = if args.once { Mode::Once } else { Mode::Daemon };
    let Assembled { engine, shell, facts } =
        assemble(&config, open_journal(&config, &prepared, clock)?, mode, clock, Arc::default())?;
    let mut demo = Demo {
        progress: Progress::new(global.json, true),
        waiting: 0,
        scanned: false,
        told: args.once,
    };
    let (finished, journal) = run_loop(engine, shell, facts, clock, stop, &mut demo)
        .await
        .map_err(|error| Failure::from(anyhow::Error::from(error)))?;
    let reader = crate::journal::Reader::of(journal);
    let view = super::status_view::collect(&config, Some(&reader), None, clock.now().unix_ms)?;
    output::line(&view.to_text());
    emulator.stop();
    Ok(if finished == Finished::Drained { view.exit() } else { Exit::Done })
}

/// A configuration like any other, in a file like any other; the secret comes like a variable.
fn config(endpoint: &str, base: &Path, folder: &Path) -> Result<Config, Failure> {
    let text = |path: &Path| toml::Value::String(path.display().to_string()).to_string();
    let written = format!(
        "state_dir = {}\n\n[remote]\nendpoint = \"{endpoint}\"\nlibrary_id = \"smhemulator\"\n\n\
         [[mirror]]\nname = \"demo\"\nlocal = {}\nremote = \"\"\n\n[log]\nlevel = \"warn\"\n",
        text(&base.join("state")),
        text(folder),
    );
    let file = base.join("config.toml");
    fs::write(&file, written)
        .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", file.display()))?;
    let environment = Environment {
        library_secret: Some(SecretString::from("emulator-secret")),
        ..Environment::default()
    };
    Ok(Config::load(&file, &environment)?)
}

/// A line a file, and a word when everything is there.
struct Demo {
    progress: Progress,
    waiting: u64,
    scanned: bool,
    told: bool,
}

impl Observer for Demo {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Pending { .. } => self.waiting += 1,
            Event::Synced { .. } => self.waiting = self.waiting.saturating_sub(1),
            Event::Trouble { blocked: true, .. } => self.waiting = self.waiting.saturating_sub(1),
            Event::Scanned { .. } => self.scanned = true,
            _ => {}
        }
        self.progress.event(event);
    }

    fn alive(&mut self) {
        if !self.told && self.scanned && self.waiting == 0 {
            self.told = true;
            output::line("everything is mirrored; change a file and see; Ctrl-C ends");
        }
    }
}
