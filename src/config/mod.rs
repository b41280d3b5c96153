//! TOML to a validated `Config`: each default once, secrets, paths.

mod secret;
mod types;

pub use secret::{SecretError, SecretSource};
pub use types::{
    Auth, Config, Delete, Log, LogFormat, MaxDelete, Metrics, Mirror, Names, Remote, Symlinks,
    Transfer, WatchMode,
};
