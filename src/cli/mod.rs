//! What a person types and reads: arguments, one file a command.

mod config;
mod exit;
mod output;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use exit::{Exit, Failure};

/// Keeps local folders mirrored, one way, in a Tencent Cloud SMH media library.
#[derive(Debug, Parser)]
#[command(name = "smh-mirror", version, about)]
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
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check, show or begin a configuration
    Config(config::ConfigArgs),
}

/// Parses the arguments, runs the command, says what failed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done: Result<Exit, Failure> = match &cli.command {
        Command::Config(args) => config::run(args, &cli.global),
    };
    exit::report(done)
}
