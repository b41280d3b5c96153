//! What a person types and reads: arguments, one file a command, output.

mod config;
mod demo;
mod emulator;
mod exit;
mod output;
mod progress;
mod run;
mod status;
mod status_view;
mod sync;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, Environment};
use crate::service::ServiceError;
pub use exit::{Exit, Failure};

/// Keeps local folders mirrored, one way, in a Tencent Cloud SMH media library.
#[derive(Debug, Parser)]
#[command(name = "smh-mirror", version, about)]
struct Cli {
    /// Configuration file [default: ~/.config/smh-mirror/config.toml or /etc/smh-mirror/config.toml]
    #[arg(short, long, global = true, value_name = "FILE", env = "SMH_MIRROR_CONFIG")]
    config: Option<PathBuf>,
    /// Write JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground (what the systemd unit starts)
    Run(run::Args),
    /// One pass over every mirror: scan, upload, wait until done
    Sync(sync::Args),
    /// What is mirrored, what waits, what is wrong
    Status(status::Args),
    /// Check, show or write the configuration
    Config(config::Args),
    /// See it work: mirror a folder into an emulator inside this process
    Demo(demo::Args),
    /// An SMH library on loopback, for tests
    Emulator(emulator::Args),
}

/// What every command may need.
struct Context {
    config: Option<PathBuf>,
    json: bool,
    environment: Environment,
}

impl Context {
    fn load(&self) -> Result<Config, Failure> {
        let file = self.environment.locate(self.config.as_deref())?;
        Ok(Config::load(&file, &self.environment)?)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        let exit = match &error {
            ConfigError::Unreadable { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Exit::Permission
            }
            _ => Exit::Config,
        };
        Failure::new(exit, error)
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Failure {
        use crate::journal::{JournalError, LockError};
        let exit = match &error {
            ServiceError::Machine(problems) if problems.iter().all(|p| p.permission) => Exit::Permission,
            ServiceError::Machine(_) | ServiceError::Client(_) => Exit::Config,
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

/// Parses the arguments, runs the command, says what failed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let context =
        Context { config: cli.config, json: cli.json, environment: Environment::of_process() };
    let done = match cli.command {
        Command::Run(args) => run::run(&context, &args),
        Command::Sync(args) => sync::run(&context, &args),
        Command::Status(args) => status::run(&context, &args),
        Command::Config(args) => config::run(&context, &args),
        Command::Demo(args) => demo::run(&context, &args),
        Command::Emulator(args) => emulator::run(args),
    };
    exit::report(done)
}

/// The runtime of the shell ring: two workers are enough, the rest waits.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::from(anyhow::anyhow!("cannot start the runtime: {error}")))
}
