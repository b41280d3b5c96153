//! Exit codes (a contract) and the last words of a command that failed.

use std::process::ExitCode;

use super::output;
use crate::config::{ConfigError, ProblemKind};

/// How a command ended. The numbers are a contract: scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done and current.
    Done = 0,
    /// Something unexpected.
    Unexpected = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// Finished, but some entries failed or are blocked.
    Incomplete = 3,
    /// Not current (`health`, `status --exit-code`).
    NotCurrent = 4,
    /// Held: a person has to decide.
    Held = 5,
    /// Another instance holds the state.
    Busy = 11,
    /// The service refused the credentials.
    Refused = 12,
    /// The service cannot be reached.
    Unreachable = 69,
    /// A local permission is missing.
    Permission = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl Exit {
    /// Every way to end, by number.
    pub(super) const ALL: [Exit; 11] = [
        Exit::Done,
        Exit::Unexpected,
        Exit::Usage,
        Exit::Incomplete,
        Exit::NotCurrent,
        Exit::Held,
        Exit::Busy,
        Exit::Refused,
        Exit::Unreachable,
        Exit::Permission,
        Exit::Config,
    ];

    /// What the manual says of it.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "Done and current.",
            Exit::Unexpected => "Something unexpected, or a problem that doctor found.",
            Exit::Usage => "The arguments make no sense.",
            Exit::Incomplete => {
                "Finished, but something failed or is blocked (also errors --exit-code), or verify found differences."
            }
            Exit::NotCurrent => {
                "Not current (health, status --exit-code), or verify found nothing but what still waits."
            }
            Exit::Held => "Held: a person has to decide (also holds --exit-code).",
            Exit::Busy => {
                "Another instance works on this state, or another restore in the same target."
            }
            Exit::Refused => "The service refused the credentials.",
            Exit::Unreachable => "The service cannot be reached.",
            Exit::Permission => "A local permission is missing.",
            Exit::Config => "The configuration is wrong.",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A command that could not do its work: the exit code, and the chain of causes to print.
#[derive(Debug)]
pub struct Failure {
    /// The code to leave with.
    pub exit: Exit,
    /// What happened, to what, and what to do next.
    pub error: anyhow::Error,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit, error: error.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure { exit: Exit::Unexpected, error }
    }
}

impl From<ProblemKind> for Exit {
    fn from(kind: ProblemKind) -> Exit {
        match kind {
            ProblemKind::Config | ProblemKind::Absent => Exit::Config,
            ProblemKind::Permission => Exit::Permission,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::new(error.kind().into(), error)
    }
}

/// Prints what failed to stderr and gives the exit code.
#[expect(clippy::print_stderr, reason = "the last words of the program")]
pub(super) fn report(done: Result<Exit, Failure>) -> ExitCode {
    match done {
        Ok(exit) => exit.into(),
        // Whoever read the output has seen enough; there is nobody to tell.
        Err(failure) if failure.exit == Exit::Done => Exit::Done.into(),
        Err(failure) => {
            eprintln!("error: {}", output::hinted(&chain(&failure.error)));
            failure.exit.into()
        }
    }
}

/// The error and its causes on one line, each said once: many already name their cause.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let said = cause.to_string();
        if text.is_empty() {
            text = said;
        } else if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
    }
    text
}
