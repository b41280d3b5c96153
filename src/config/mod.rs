//! TOML to a validated [`Config`]; secrets; paths. Design section 10 is the contract.

mod check;
mod error;
mod locate;
mod parse;
mod secret;
mod table;
mod types;
mod units;

pub use check::RootProblem;
pub use error::{ConfigError, Problem};
pub use locate::Environment;
pub use secret::{SecretError, SecretSource};
pub use types::{
    Auth, Config, Delete, Log, LogFormat, MaxDelete, Metrics, Mirror, Names, Remote, Symlinks,
    Transfer, WatchMode,
};

/// Reads a size like `20MiB`.
///
/// # Errors
/// What a size looks like.
pub fn parse_size(text: &str) -> Result<u64, String> {
    units::size(text)
}

/// The commented sample: every key with its default. `config init` writes it.
pub const SAMPLE: &str = include_str!("../../config/config.toml");
