//! What a person types and reads: arguments, one file a command.

mod exit;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::{Exit, Failure};

/// Keeps local folders mirrored, one way, in a Tencent Cloud SMH media library.
#[derive(Debug, Parser)]
#[command(name = "smh-mirror", version, about)]
struct Cli {
    /// Configuration file [default: $XDG_CONFIG_HOME/smh-mirror/config.toml or /etc/smh-mirror/config.toml]
    #[arg(short, long, global = true, value_name = "FILE", env = "SMH_MIRROR_CONFIG")]
    config: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {}

/// Parses the arguments, runs the command, says what failed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done: Result<Exit, Failure> = match cli.command {};
    exit::report(done)
}
