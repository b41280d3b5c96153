//! What a person types and reads: arguments, one file a command, output.

mod ask;
mod completions;
mod config;
mod daemon;
mod demo;
mod doctor;
mod dry_run;
mod emulator;
mod errors;
mod exit;
mod explain;
mod explain_next;
mod health;
mod history;
mod holds;
mod in_force;
mod known;
mod limit;
mod locate;
mod man;
mod next;
mod output;
mod pause;
mod progress;
mod reload;
mod request;
mod rescan;
mod restore;
mod restore_view;
mod retry;
mod rule;
mod run;
mod status;
mod status_view;
mod sync;
mod uploads;
mod verdict;
mod verify;
mod verify_view;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Environment, kind_of};
use crate::journal::{JournalError, LockError, Reader};
use crate::service::{MetricsError, ServiceError};
pub use exit::{Exit, Failure};
use in_force::{InForce, in_force};

/// Keeps local folders mirrored, one way, in a Tencent Cloud SMH media library.
#[derive(Debug, Parser)]
#[command(name = "smh-mirror", version, about, subcommand_value_name = "COMMAND")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]
    #[arg(short, long, global = true, value_name = "FILE", env = "SMH_MIRROR_CONFIG")]
    config: Option<PathBuf>,
    /// Show JSON instead of text
    #[arg(long, global = true)]
    json: bool,
}

impl Global {
    /// The file that was named, if any.
    fn config(&self) -> Option<&Path> {
        self.config.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Commands in messages are about the configuration that was named with `-c`, unless they would be without it.
    fn name_in_hints(&self) {
        let env = Environment::from_process();
        let Some(named) = self.config() else { return };
        if !Config::locate(None, &env).is_ok_and(|usual| usual == named) {
            output::name_in_hints(named);
        }
    }

    /// The configuration, complete with its secret.
    fn load(&self) -> Result<Config, Failure> {
        let env = Environment::from_process();
        Ok(Config::load(&Config::locate(self.config(), &env)?, &env)?)
    }

    /// The configuration for who asks about the work, or acts on it. Where the one in the file is wrong, the daemon works
    /// on with the one that it read before, and that is what is meant: it is said, and used.
    fn load_to_ask(&self) -> Result<Config, Failure> {
        let InForce { config, refused } = self.load_in_force()?;
        if let Some(refused) = refused {
            output::warn(&refused);
        }
        Ok(config)
    }

    /// The same, without a word.
    fn load_in_force(&self) -> Result<InForce, Failure> {
        let env = Environment::from_process();
        in_force(&Config::locate(self.config(), &env)?, &env)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground (what the systemd unit starts)
    Run(run::Args),
    /// One pass over every mirror: scan, upload, wait until done
    Sync(sync::Args),
    /// What is mirrored, what waits, what is wrong
    Status(status::Args),
    /// What is wrong, since when, and what happens next
    Errors(errors::Args),
    /// What happened, newest last
    History(history::Args),
    /// Why a path is as it is, and what happens next
    Explain(explain::Args),
    /// End with 0 only if every mirror is current, as the journal and a look at the disk prove it
    Health(health::Args),
    /// Try again now what failed, blocked or waiting
    Retry(retry::Args),
    /// Send nothing new for a mirror, or for all, until it is resumed
    Pause(pause::Args),
    /// End the pause of a mirror, or of all
    Resume(pause::ResumeArgs),
    /// Look at everything, or at single folders and files, now
    Rescan(rescan::Args),
    /// Have the daemon read its configuration again
    Reload(reload::Args),
    /// Deletes that wait for a decision, with both outcomes
    Holds(holds::Args),
    /// Let the deletes of a hold go on
    Approve(holds::AnswerArgs),
    /// Keep the copies that the deletes of a hold would remove
    Reject(holds::AnswerArgs),
    /// Show the limit of the bandwidth, or set another one for the daemon
    Limit(limit::Args),
    /// Compare folder, journal and library; changes nothing, the exit code tells
    Verify(verify::Args),
    /// Bring what the library holds of a mirror into another folder, each file proven
    Restore(restore::Args),
    /// Check, show or write the configuration
    Config(config::ConfigArgs),
    /// Look at everything a mirror depends on, and say what to do
    Doctor(doctor::Args),
    /// See it work: mirror a folder into an emulator inside this process
    Demo(demo::Args),
    /// An SMH library on loopback, for tests
    Emulator(emulator::Args),
    /// Print what a shell needs to complete words
    Completions(completions::Args),
    /// Print the manual pages, or write them all into a folder
    Man(man::Args),
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Failure {
        let exit = match &error {
            ServiceError::Machine(problems) => kind_of(problems).into(),
            ServiceError::Client(_) => Exit::Config,
            ServiceError::Lock(LockError::Held { .. }) => Exit::Busy,
            ServiceError::Lock(LockError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Exit::Permission
            }
            ServiceError::Journal(JournalError::State { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Exit::Permission
            }
            _ => Exit::Unexpected,
        };
        Failure::new(exit, error)
    }
}

impl From<MetricsError> for Failure {
    fn from(error: MetricsError) -> Failure {
        let exit = match error.source.kind() {
            // Whoever has the address may go away: worth another try of the service manager.
            std::io::ErrorKind::AddrInUse => Exit::Unexpected,
            std::io::ErrorKind::PermissionDenied => Exit::Permission,
            _ => Exit::Config,
        };
        Failure::new(exit, error)
    }
}

/// Parses the arguments, runs the command, says what failed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let global = cli.global;
    global.name_in_hints();
    let done = match cli.command {
        Command::Run(args) => run::run(&global, &args),
        Command::Sync(args) => sync::run(&global, &args),
        Command::Status(args) => status::run(&global, &args),
        Command::Errors(args) => errors::run(&global, &args),
        Command::History(args) => history::run(&global, &args),
        Command::Explain(args) => explain::run(&global, &args),
        Command::Health(args) => health::run(&global, &args),
        Command::Retry(args) => retry::run(&global, &args),
        Command::Pause(args) => pause::run(&global, &args),
        Command::Resume(args) => pause::resume(&global, &args),
        Command::Rescan(args) => rescan::run(&global, &args),
        Command::Reload(args) => reload::run(&global, &args),
        Command::Holds(args) => holds::run(&global, &args),
        Command::Approve(args) => holds::answer(&global, &args, true),
        Command::Reject(args) => holds::answer(&global, &args, false),
        Command::Limit(args) => limit::run(&global, &args),
        Command::Verify(args) => verify::run(&global, &args),
        Command::Restore(args) => restore::run(&global, &args),
        Command::Config(args) => config::run(&args, &global),
        Command::Doctor(args) => doctor::run(&global, &args),
        Command::Demo(args) => demo::run(&global, &args),
        Command::Emulator(args) => emulator::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    exit::report(done)
}

/// The journal, for asking; `None`: there is none yet, nothing was ever seen.
fn reader(config: &Config) -> Result<Option<Reader>, Failure> {
    match Reader::open(&config.state_dir) {
        Ok(reader) => Ok(Some(reader)),
        Err(JournalError::Missing(_)) => Ok(None),
        Err(error) => Err(unexpected(error)),
    }
}

/// The journal failed where it should not.
fn unexpected(error: JournalError) -> Failure {
    match error {
        JournalError::State { path, source } => state_unusable(&path, &source),
        error => Failure::from(anyhow::Error::from(error)),
    }
}

/// Something in the state folder cannot be looked at, so that nothing is known.
fn state_unusable(path: &Path, error: &std::io::Error) -> Failure {
    let (exit, next) = match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            (Exit::Permission, "; run this as the user of the daemon, or as root (`sudo`)")
        }
        _ => (Exit::Unexpected, ""),
    };
    let said = anyhow::anyhow!("cannot look at the state in {}: {error}{next}", path.display());
    Failure::new(exit, said)
}

/// The runtime of the shell ring: two workers are enough, the rest waits.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::from(anyhow::anyhow!("cannot start the runtime: {error}")))
}
