//! How a run works, as configured.

use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::config::{BandwidthLimit, Delete, MaxDelete, Names, WatchMode};

/// What the engine must know of one mirror.
#[derive(Debug, Clone)]
pub struct MirrorSettings {
    /// Its name.
    pub name: String,
    /// The root.
    pub local: PathBuf,
    /// The remote folder.
    pub remote: Vec<String>,
    /// Where the copies go, as one text: another target is another set of copies.
    pub target: String,
    /// How its names are written in the library.
    pub names: Names,
    /// Rest before a file is read.
    pub settle: std::time::Duration,
    /// When a restless file is read all the same.
    pub settle_max: std::time::Duration,
    /// Time between full scans.
    pub rescan: std::time::Duration,
    /// Time between listings of what is not watched.
    pub poll_interval: std::time::Duration,
    /// Which directories are to be watched.
    pub watch: WatchMode,
    /// What happens to the copies of what is gone.
    pub delete: Delete,
    /// How long something is gone before its copy is deleted.
    pub delete_grace: std::time::Duration,
    /// More deletes than this at once need a person.
    pub max_delete: MaxDelete,
}

/// How the engine works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The mirrors, in the order of the configuration.
    pub mirrors: Vec<MirrorSettings>,
    /// Most transfers at the same time.
    pub concurrency: usize,
    /// What all uploads together may send, as configured.
    pub bandwidth_limit: BandwidthLimit,
    /// The time zone of timetables.
    pub zone: TimeZone,
    /// Files from this size on, in bytes, are sent in parts.
    pub multipart_from: u64,
    /// One pass, then the end.
    pub once: bool,
    /// Decide, but send nothing.
    pub dry_run: bool,
    /// What happened to the journal, if it was lost: said until it is complete again.
    pub lost_journal: Option<String>,
}
