//! Where secrets come from, and reading them (shell).

use std::path::PathBuf;

use secrecy::SecretString;

/// Where one secret comes from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// A file that only its owner (or systemd) can read. Read again whenever it is asked for.
    File(PathBuf),
    /// A command that prints it. Run again whenever it is asked for.
    Command(Vec<String>),
    /// Handed over in the environment.
    Value(SecretString),
}

/// A secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {}
