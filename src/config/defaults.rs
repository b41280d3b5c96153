//! Each default once (pure).

use std::time::Duration;

use super::{BandwidthLimit, Delete, LogFormat, MaxDelete, Names, Symlinks, WatchMode};

/// The only space of a single-tenant library.
pub(super) const SPACE_ID: &str = "-";
pub(super) const EXCLUDE_TEMPORARY: bool = true;
pub(super) const SETTLE: Duration = Duration::from_secs(2);
pub(super) const SETTLE_MAX: Duration = Duration::from_secs(5 * 60);
pub(super) const RESCAN: Duration = Duration::from_secs(60 * 60);
pub(super) const WATCH: WatchMode = WatchMode::Auto;
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(60);
pub(super) const SYMLINKS: Symlinks = Symlinks::Skip;
pub(super) const NAMES: Names = Names::Skip;
pub(super) const DELETE: Delete = Delete::Keep;
pub(super) const DELETE_GRACE: Duration = Duration::from_secs(5 * 60);
pub(super) const MAX_DELETE: MaxDelete = MaxDelete { files: Some(1000), percent: Some(25) };
pub(super) const CONCURRENCY: usize = 32;
pub(super) const BANDWIDTH_LIMIT: BandwidthLimit = BandwidthLimit::Always(None);
pub(super) const MULTIPART_FROM: u64 = 256 * 1024 * 1024;
pub(super) const MIN_INTERVAL: Duration = Duration::from_secs(15 * 60);
pub(super) const LOG_LEVEL: &str = "info";
pub(super) const LOG_FORMAT: LogFormat = LogFormat::Auto;

/// Less would keep the disk busy with nothing but scans.
pub(super) const LEAST_RESCAN: Duration = Duration::from_secs(10);
/// Less would keep the processor busy with nothing but polls.
pub(super) const LEAST_POLL: Duration = Duration::from_secs(1);
/// Below 1 MiB COS takes no part but the last; above 5 GB it takes no form (sheet sections 4 and 7).
pub(super) const MULTIPART_FROM_RANGE: (u64, u64) = (1024 * 1024, 5 * 1024 * 1024 * 1024);
/// Less would be a call for each file.
pub(super) const LEAST_INTERVAL: Duration = Duration::from_secs(10);
/// More would only wait in line on the other side.
pub(super) const MOST_CONCURRENCY: usize = 256;
