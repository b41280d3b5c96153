//! `completions SHELL`: the words that a shell completes, from the same definition as the arguments.

use clap::CommandFactory;
use clap_complete::Shell;

use super::output::print_document;
use super::{Cli, Exit, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell to write for
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "smh-mirror", &mut script);
    print_document(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
