//! TOML to a validated `Config`: each default once, secrets, paths.
//!
//! `locate` finds the file, `load` reads it through `document` (lines), `values` and `units` (one
//! value), `bandwidth` (the limit), `auth` (the secret) and `check` (values together); `roots` asks the file system.

mod auth;
mod bandwidth;
mod check;
mod command;
mod defaults;
mod document;
mod draft;
mod environment;
mod error;
mod load;
mod locate;
mod reference;
mod roots;
mod sample;
mod secret;
mod secret_error;
mod show;
mod suggest;
mod temporary;
mod types;
mod units;
mod values;
mod words;

pub use bandwidth::{BandwidthLimit, Change, InForce, Rate};
pub use document::Lines;
pub use environment::{Environment, SECRET_VARIABLES};
pub use error::{ConfigError, Problem, ProblemKind, kind_of, several};
pub use locate::SYSTEM_CONFIG;
pub use reference::{Chapter, Key, Standing, Topic, reference, smallest};
pub use sample::{SAMPLE, sample_for};
pub use secret::SecretSource;
pub use secret_error::{SecretError, SecretTrouble};
pub use temporary::TEMPORARY_NAMES;
pub use types::{
    Auth, Config, Delete, Hooks, Log, LogFormat, MaxDelete, Metrics, Mirror, Names, Remote,
    Symlinks, Text, Transfer, WatchMode,
};

/// Reads a duration like `1h30m`.
///
/// # Errors
///
/// What is wrong with it, and how durations are written.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    units::duration(text).map_err(|wrong| format!("{}; {}", wrong.what, wrong.next))
}

/// Reads a size like `20MiB`.
///
/// # Errors
///
/// What is wrong with it, and how sizes are written.
pub fn parse_size(text: &str) -> Result<u64, String> {
    units::size(text).map_err(|wrong| format!("{}; {}", wrong.what, wrong.next))
}
