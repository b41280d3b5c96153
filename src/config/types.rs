//! The validated configuration (pure): what the other rooms may rely on.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{BandwidthLimit, Lines, SecretSource, values};

/// Everything a run needs to know. Holding one means that it was validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it came from, for messages.
    pub file: PathBuf,
    /// Where the journal lives; absolute.
    pub state_dir: PathBuf,
    /// The library on the other side.
    pub remote: Remote,
    /// At least one mirror; names, roots and remote folders do not overlap.
    pub mirrors: Vec<Mirror>,
    /// Limits of the uploads.
    pub transfer: Transfer,
    /// Commands that are told of trouble.
    pub hooks: Hooks,
    /// What is logged and how.
    pub log: Log,
    /// The Prometheus endpoint.
    pub metrics: Metrics,
    /// Where in the file the keys stand, for messages.
    pub lines: Lines,
    /// What was read.
    pub text: Text,
}

/// The text of a configuration. It may hold the password of a proxy, so it is never shown.
#[derive(Clone, PartialEq)]
pub struct Text(pub Arc<str>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text of {} bytes", self.0.len())
    }
}

impl Config {
    /// Where the copies of a mirror go, as the journal remembers it: what is known of copies elsewhere
    /// says nothing about these. How names are written belongs to it: a file that was confirmed under the one
    /// name is not mirrored under the other.
    #[must_use]
    pub fn target(&self, mirror: &Mirror) -> String {
        let Remote { library_id, space_id, .. } = &self.remote;
        // No folder has an empty name, so this is never the name of another one.
        let names = match mirror.names {
            Names::Skip => "",
            Names::Escape => "//names=escape",
        };
        format!("{library_id}/{space_id}/{}{names}", mirror.remote.join("/"))
    }
}

/// A space of an SMH library and how to be let in.
#[derive(Clone, PartialEq)]
pub struct Remote {
    /// Scheme, host and port without a trailing slash; `http` only on loopback.
    pub endpoint: String,
    /// The library, as in the console.
    pub library_id: String,
    /// The space; `-` in a single-tenant library.
    pub space_id: String,
    /// Acting user, when the token belongs to an administrator.
    pub user_id: Option<String>,
    /// An extra trust anchor in PEM.
    pub ca_file: Option<PathBuf>,
    /// A proxy for every call, as a URL. It may hold a password.
    pub proxy: Option<String>,
    /// Where the right to enter comes from.
    pub auth: Auth,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("endpoint", &self.endpoint)
            .field("library_id", &self.library_id)
            .field("space_id", &self.space_id)
            .field("user_id", &self.user_id)
            .field("ca_file", &self.ca_file)
            .field("proxy", &self.proxy.as_deref().map(values::proxy_shown))
            .field("auth", &self.auth)
            .finish()
    }
}

/// Exactly one way to be let in.
#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    /// The library secret: the daemon makes and renews its own tokens.
    LibrarySecret(SecretSource),
    /// Someone else makes access tokens and leaves them here.
    AccessToken(SecretSource),
}

/// A local root and its folder in the library.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Unique name, for people and for the journal.
    pub name: String,
    /// Absolute path of the root.
    pub local: PathBuf,
    /// Segments of the remote folder; empty is the root of the space.
    pub remote: Vec<String>,
    /// Gitignore rules, after those of `.smh-mirrorignore` files.
    pub exclude: Vec<String>,
    /// The names of temporary files are left out.
    pub exclude_temporary: bool,
    /// How long a path must be quiet before it is read.
    pub settle: Duration,
    /// When a path that never rests is read all the same.
    pub settle_max: Duration,
    /// Time between full scans.
    pub rescan: Duration,
    /// How changes are seen.
    pub watch: WatchMode,
    /// Time between polls of what is not watched.
    pub poll_interval: Duration,
    /// What happens to symbolic links.
    pub symlinks: Symlinks,
    /// What happens to names that the service does not take.
    pub names: Names,
    /// What happens on the remote when a local file is gone.
    pub delete: Delete,
    /// How long a file must be gone before it is deleted.
    pub delete_grace: Duration,
    /// More deletes than this at once need a person.
    pub max_delete: MaxDelete,
}

/// How changes are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchMode {
    /// Inotify where it works, polling elsewhere.
    Auto,
    /// Inotify only.
    Inotify,
    /// Polling only.
    Poll,
}

/// What happens to symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symlinks {
    /// Listed as skipped.
    Skip,
    /// Mirrored as what they point to.
    Follow,
}

/// What happens to names that the service does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// Listed as skipped.
    #[default]
    Skip,
    /// Mirrored under a reversible other name.
    Escape,
}

/// What happens on the remote when a local file is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// Nothing.
    Keep,
    /// Moved to the recycle bin.
    Recycle,
    /// Deleted for good.
    Permanent,
}

/// More deletes than this at once need a person: whichever limit is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxDelete {
    /// Number of files.
    pub files: Option<u64>,
    /// Share of the synced files, in percent.
    pub percent: Option<u8>,
}

/// Limits of the uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Most uploads at the same time, 1 to 256.
    pub concurrency: usize,
    /// What all uploads together may send.
    pub bandwidth_limit: BandwidthLimit,
    /// Files from this size on, in bytes, are sent in parts.
    pub multipart_from: u64,
}

/// Commands that are told of trouble; the first word is the program.
#[derive(Clone, PartialEq, Eq)]
pub struct Hooks {
    /// Told when something is wrong.
    pub on_trouble: Option<Vec<String>>,
    /// Told when it is not any more.
    pub on_recovered: Option<Vec<String>>,
    /// The same kind of trouble of a mirror is told once in so long.
    pub min_interval: Duration,
}

impl Hooks {
    /// Whether there is any.
    #[must_use]
    pub fn are_set(&self) -> bool {
        self.on_trouble.is_some() || self.on_recovered.is_some()
    }
}

/// Arguments may hold a secret, such as the address of a webhook.
impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("are_set", &self.are_set()).finish_non_exhaustive()
    }
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// A level or a filter of `tracing`.
    pub level: String,
    /// The shape of a line.
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Journal fields under systemd, text elsewhere.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// The Prometheus endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metrics {
    /// Where to listen; `None` is off.
    pub listen: Option<SocketAddr>,
}
