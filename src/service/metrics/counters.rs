//! What happens while a daemon runs, counted: atomics, and nothing that waits.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::mirror::{Event, Load, Observer, Sent};

/// Upper bounds of the duration of an upload, in seconds: three round trips of a small file, hours of a large one.
const SECONDS: [f64; 12] =
    [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1_800.0, 7_200.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Mirror {
    mirror: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Mirrored {
    mirror: String,
    how: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    mirror: String,
    class: &'static str,
}

/// The counters of a process.
#[derive(Debug)]
pub(super) struct Counters {
    files: Family<Mirrored, Counter>,
    bytes: Family<Mirrored, Counter>,
    moved_directories: Family<Mirror, Counter>,
    deleted: Family<Mirror, Counter>,
    errors: Family<Failed, Counter>,
    scans: Family<Mirror, Counter>,
    scan_seconds: Family<Mirror, Gauge<f64, std::sync::atomic::AtomicU64>>,
    upload_seconds: Family<Mirror, Histogram, fn() -> Histogram>,
    transfers: Gauge,
    limit: Gauge,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            files: Family::default(),
            bytes: Family::default(),
            moved_directories: Family::default(),
            deleted: Family::default(),
            errors: Family::default(),
            scans: Family::default(),
            scan_seconds: Family::default(),
            upload_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            transfers: Gauge::default(),
            limit: Gauge::default(),
        }
    }
}

impl Counters {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "mirrored_files",
            "Files that became mirrored, by how: uploaded, instant, recovered, moved, adopted or unchanged",
            self.files.clone(),
        );
        registry.register_with_unit(
            "mirrored",
            "Size of the files that became mirrored, by how",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register(
            "moved_directories",
            "Directories whose copies were moved, because they were renamed",
            self.moved_directories.clone(),
        );
        registry.register(
            "deleted_copies",
            "Copies that were deleted from the library",
            self.deleted.clone(),
        );
        registry.register("errors", "Tries of an entry that failed, by class", self.errors.clone());
        registry.register("full_scans", "Complete full scans", self.scans.clone());
        registry.register_with_unit(
            "full_scan_duration",
            "Duration of the last complete full scan",
            Unit::Seconds,
            self.scan_seconds.clone(),
        );
        registry.register_with_unit(
            "upload_duration",
            "Time from the beginning of an upload to the acknowledgement of the service",
            Unit::Seconds,
            self.upload_seconds.clone(),
        );
        registry.register(
            "transfers",
            "Files that are being sent, confirmed or asked about now",
            self.transfers.clone(),
        );
        registry.register(
            "transfers_limit",
            "How many may be now: what the service bears, and 0 while it asks for a pause or is not reached",
            self.limit.clone(),
        );
    }
}

/// Counts what a run tells.
pub(super) struct Counting(pub(super) Arc<Counters>);

impl Observer for Counting {
    fn event(&mut self, event: &Event) {
        let counters = &self.0;
        match event {
            Event::Synced { mirror, bytes, how, took_ms, .. } => {
                let labels = Mirrored { mirror: mirror.clone(), how: word(*how) };
                counters.files.get_or_create(&labels).inc();
                counters.bytes.get_or_create(&labels).inc_by(*bytes);
                if *how == Sent::Uploaded {
                    let labels = Mirror { mirror: mirror.clone() };
                    counters.upload_seconds.get_or_create(&labels).observe(seconds(*took_ms));
                }
            }
            Event::Moved { mirror, files, .. } => {
                let labels = Mirrored { mirror: mirror.clone(), how: word(Sent::Moved) };
                counters.files.get_or_create(&labels).inc_by(*files);
                counters.moved_directories.get_or_create(&Mirror { mirror: mirror.clone() }).inc();
            }
            Event::Deleted { mirror, .. } => {
                counters.deleted.get_or_create(&Mirror { mirror: mirror.clone() }).inc();
            }
            Event::Trouble { mirror, class, .. } => {
                let labels = Failed { mirror: mirror.clone(), class: class.as_str() };
                counters.errors.get_or_create(&labels).inc();
            }
            Event::Scanned { mirror, took_ms, .. } => {
                let labels = Mirror { mirror: mirror.clone() };
                counters.scans.get_or_create(&labels).inc();
                counters.scan_seconds.get_or_create(&labels).set(seconds(*took_ms));
            }
            // States, not events: the journal tells them.
            _ => {}
        }
    }

    fn load(&mut self, load: Load) {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.0.transfers.set(whole(load.transfers));
        self.0.limit.set(whole(load.limit));
    }

    fn alive(&mut self) {}
}

#[expect(clippy::cast_precision_loss, reason = "a duration in whole milliseconds")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn word(how: Sent) -> &'static str {
    match how {
        Sent::Uploaded => "uploaded",
        Sent::Instant => "instant",
        Sent::Recovered => "recovered",
        Sent::Moved => "moved",
        Sent::Adopted => "adopted",
        Sent::Unchanged => "unchanged",
    }
}
