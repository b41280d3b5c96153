//! Why a secret could not be had (pure).

use super::ProblemKind;

/// More than any token; less than would hurt.
pub(super) const LONGEST: u64 = 64 * 1024;

/// A secret could not be had. Names the place and the next step, never the secret.
#[derive(Debug, thiserror::Error)]
#[error("{place} {trouble}; {}", .trouble.next())]
pub struct SecretError {
    /// The file, the command or the variable.
    pub place: String,
    /// What is wrong with it.
    pub trouble: SecretTrouble,
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretTrouble {
    /// No such file.
    #[error("does not exist")]
    Missing,
    /// This user may not read it.
    #[error("cannot be read: permission denied")]
    Denied,
    /// The system failed to read it.
    #[error("cannot be read: {0}")]
    Io(std::io::Error),
    /// A folder, a pipe, a device.
    #[error("is not a regular file")]
    NotAFile,
    /// Its mode lets others in.
    #[error("can be read by others (mode {0:04o})")]
    Exposed(u32),
    /// More bytes than a secret has.
    #[error("gives more than {LONGEST} bytes")]
    TooLong,
    /// Nothing but a line end.
    #[error("is empty")]
    Empty,
    /// Not UTF-8, several lines, or control characters.
    #[error("is not one line of text")]
    NotText,
    /// The command could not be started.
    #[error("cannot be run: {0}")]
    NotRun(std::io::Error),
    /// The command took too long and was ended.
    #[error("did not finish within {} s", .0.as_secs())]
    TimedOut(std::time::Duration),
    /// The command says that it failed.
    #[error("failed ({status}){}", if .said.is_empty() { String::new() } else { format!(": {}", .said) })]
    Failed {
        /// How it ended.
        status: String,
        /// Beginning of the first line on its stderr.
        said: String,
    },
    /// No source is configured.
    #[error("is not set up")]
    Nowhere,
}

impl SecretTrouble {
    /// What to do about it.
    #[must_use]
    pub fn next(&self) -> &'static str {
        match self {
            SecretTrouble::Missing => "write the secret into it and `chmod 600` it",
            SecretTrouble::Denied => {
                "run as the user of the service, or make that user the owner of the file"
            }
            SecretTrouble::Io(_) => "check the path and the disk",
            SecretTrouble::NotAFile => "name a regular file",
            SecretTrouble::Exposed(_) => {
                "`chmod 600` it, and replace the secret if others may have seen it"
            }
            SecretTrouble::TooLong | SecretTrouble::Empty | SecretTrouble::NotText => {
                "it must give exactly the secret, on one line"
            }
            SecretTrouble::NotRun(_) => "check that the program exists and may be executed",
            SecretTrouble::TimedOut(_) | SecretTrouble::Failed { .. } => {
                "run the command by hand as the user of the service"
            }
            SecretTrouble::Nowhere => "set one key in [remote.auth]",
        }
    }
}

impl SecretError {
    pub(super) fn new(place: impl Into<String>, trouble: SecretTrouble) -> SecretError {
        SecretError { place: place.into(), trouble }
    }

    /// What kind of help it needs.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        match self.trouble {
            SecretTrouble::Denied => ProblemKind::Permission,
            _ => ProblemKind::Config,
        }
    }
}
