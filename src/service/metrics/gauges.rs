//! How things are at the moment of a scrape: read from the journal through a connection of its own (`known`), which waits
//! for nobody and whom nobody waits for.

use std::fmt;
use std::num::NonZeroU64;

use jiff::tz::TimeZone;
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::counters::Counters;
use super::known::{Known, Memory};
use super::process::{self, Process};
use crate::clock::Clock;
use crate::config::{BandwidthLimit, Config};
use crate::failure::Class;
use crate::journal::{JOURNAL_FILE, JournalError, MirrorStatus, StateLock};
use crate::mirror::verdict::{self, Evidence, State, Worker};
use crate::smh::Meter;

/// The prefix of every name that is ours.
const PREFIX: &str = "smh_mirror";

type Labels<const N: usize> = [(&'static str, String); N];
type Real = Gauge<f64, std::sync::atomic::AtomicU64>;

/// One mirror of the configuration.
struct Mirror {
    name: String,
    state: State,
    /// What the journal says, if it speaks of this mirror.
    known: Option<(MirrorStatus, Vec<(Class, u64)>)>,
}

/// Everything that is served, as it is now.
///
/// # Errors
/// It cannot be written, which cannot be while it is written to memory.
pub(super) fn text(
    config: &Config,
    clock: Clock,
    began_ms: i64,
    counters: &Counters,
    meter: &Meter,
    memory: &mut Memory,
) -> Result<String, fmt::Error> {
    let now_ms = clock.now().unix_ms;
    let mut registry = Registry::with_prefix(PREFIX);
    counters.register(&mut registry);
    meter.register(&mut registry);
    about_the_service(&mut registry, meter);
    let read = look(config, memory, began_ms, now_ms);
    gauge(
        &mut registry,
        "journal_readable",
        "1: what is told of mirrors was read from the journal just now",
        [([], f64::from(u8::from(read.is_ok())))],
    );
    let writable = !StateLock::is_stuck(&config.state_dir);
    gauge(
        &mut registry,
        "journal_writable",
        "0: the daemon pauses, because its journal cannot be written",
        [([], f64::from(u8::from(writable)))],
    );
    about_the_disk(&mut registry, config);
    match read {
        Ok(known) => {
            let rate = known.bandwidth.at(now_ms, &TimeZone::system()).rate;
            bytes(
                &mut registry,
                "bandwidth_limit",
                "What all uploads together may send in a second now; 0: as much as there is",
                [([], rate.map_or(0, NonZeroU64::get))],
            );
            about_mirrors(&mut registry, &known.mirrors, now_ms);
        }
        Err(error) => tracing::debug!(%error, "the journal cannot be read for metrics"),
    }
    let mut out = String::new();
    encode(&mut out, &registry)?;
    let mut of_process = Registry::default();
    process::register(&mut of_process, Process::now(), began_ms);
    encode(&mut out, &of_process)?;
    Ok(out)
}

/// What is told of the mirrors.
struct Look {
    mirrors: Vec<Mirror>,
    bandwidth: BandwidthLimit,
}

/// Asks the journal about every mirror that is configured.
fn look(
    config: &Config,
    memory: &mut Memory,
    began_ms: i64,
    now_ms: i64,
) -> Result<Look, JournalError> {
    let Known { mirrors: mut known, bandwidth } = memory.ask(&config.state_dir)?;
    // What a person set holds, if it is understood.
    let bandwidth = bandwidth
        .and_then(|text| BandwidthLimit::parse(&text).ok())
        .unwrap_or_else(|| config.transfer.bandwidth_limit.clone());
    let stuck = StateLock::is_stuck(&config.state_dir);
    let mirrors = config
        .mirrors
        .iter()
        .map(|mirror| {
            let found = known
                .iter()
                .position(|(status, _)| status.known.name == mirror.name)
                .map(|at| known.swap_remove(at));
            let status = found.as_ref().map(|(status, _)| status);
            let same = status.is_some_and(|status| verdict::is_same(config, mirror, &status.known));
            let scanned_at_ms = status.and_then(|status| status.scanned_at_ms);
            let worker = match (stuck, verdict::hangs(mirror, scanned_at_ms, began_ms, now_ms)) {
                (true, _) => Worker::Stuck,
                (false, true) => Worker::Hangs,
                (false, false) => Worker::Daemon,
            };
            let state = verdict::state(&Evidence { status, same, worker, audit: None });
            Mirror { name: mirror.name.clone(), state, known: found.filter(|_| same) }
        })
        .collect();
    Ok(Look { mirrors, bandwidth })
}

fn about_the_service(registry: &mut Registry, meter: &Meter) {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    gauge(registry, "build_info", "The program; always 1", [([("version", version)], 1.0)]);
    timestamp(
        registry,
        "token_expiry_timestamp",
        "When the access token in use ends unless it is renewed; not there when somebody else made it",
        meter.token_ends_at_ms().map(|at_ms| ([], at_ms)),
    );
    timestamp(
        registry,
        "clock_skew",
        "How far the clock of the service is ahead of ours",
        meter.clock_skew_ms().map(|skew_ms| ([], skew_ms)),
    );
}

fn about_the_disk(registry: &mut Registry, config: &Config) {
    let size = |name: &str| std::fs::metadata(config.state_dir.join(name)).ok().map(|m| m.len());
    let journal = size(JOURNAL_FILE)
        .map(|bytes| bytes.saturating_add(size(&format!("{JOURNAL_FILE}-wal")).unwrap_or(0)));
    bytes(
        registry,
        "journal_size",
        "Size of the journal, with its write-ahead log",
        journal.map(|bytes| ([], bytes)),
    );
    let free = rustix::fs::statvfs(&config.state_dir)
        .ok()
        .map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    bytes(
        registry,
        "state_free",
        "Room on the filesystem of the state folder",
        free.map(|bytes| ([], bytes)),
    );
}

fn about_mirrors(registry: &mut Registry, mirrors: &[Mirror], now_ms: i64) {
    let name = |mirror: &Mirror| ("mirror", mirror.name.clone());
    let known =
        || mirrors.iter().filter_map(|mirror| Some((name(mirror), &mirror.known.as_ref()?.0)));
    let counts = |count: fn(&MirrorStatus) -> u64| {
        known().map(move |(name, status)| ([name], real(count(status)))).collect::<Vec<_>>()
    };
    gauge(
        registry,
        "state",
        "1 for the state that the mirror is in, 0 for the others",
        mirrors.iter().flat_map(|mirror| {
            State::ALL.map(|state| {
                let is = f64::from(u8::from(state == mirror.state));
                ([name(mirror), ("state", state.as_str().to_owned())], is)
            })
        }),
    );
    gauge(
        registry,
        "files",
        "Files by state; blocked directories count too",
        known().flat_map(|(name, status)| {
            let counts = &status.counts;
            [
                ("synced", counts.synced),
                ("pending", counts.pending),
                ("uploading", counts.uploading),
                ("retrying", counts.retrying),
                ("blocked", counts.blocked),
                ("skipped", counts.skipped),
            ]
            .map(|(state, count)| ([name.clone(), ("state", state.to_owned())], real(count)))
        }),
    );
    bytes(
        registry,
        "files",
        "Size of the files that are synced, and of those that wait to be",
        known().flat_map(|(name, status)| {
            [("synced", status.counts.synced_bytes), ("pending", status.counts.pending_bytes)]
                .map(|(state, bytes)| ([name.clone(), ("state", state.to_owned())], bytes))
        }),
    );
    gauge(
        registry,
        "pending_directories",
        "Directories that wait to be made in the library",
        counts(|status| status.counts.pending_directories),
    );
    gauge(
        registry,
        "planned_deletes",
        "Files that are gone and whose copies are to be deleted",
        counts(|status| status.counts.planned_deletes),
    );
    gauge(
        registry,
        "failed_deletes",
        "Copies that could not be deleted",
        counts(|status| status.counts.failed_deletes),
    );
    gauge(
        registry,
        "holds",
        "Reasons why deletes wait for a person",
        counts(|status| status.holds.len() as u64),
    );
    gauge(
        registry,
        "failing_entries",
        "Entries that something is wrong with now, by class",
        mirrors.iter().flat_map(|mirror| {
            mirror.known.iter().flat_map(|(_, troubles)| {
                troubles.iter().map(|(class, count)| {
                    ([name(mirror), ("class", class.as_str().to_owned())], real(*count))
                })
            })
        }),
    );
    let oldest = known().map(|(name, status)| {
        let since_ms = status.oldest_pending_ms.unwrap_or(now_ms);
        ([name], now_ms.saturating_sub(since_ms).max(0))
    });
    timestamp(
        registry,
        "oldest_pending",
        "How long the longest waiting entry is not mirrored; 0 when none waits",
        oldest,
    );
    timestamp(
        registry,
        "last_full_scan_timestamp",
        "End of the last complete full scan; not there before the first",
        known().filter_map(|(name, status)| Some(([name], status.scanned_at_ms?))),
    );
    gauge(
        registry,
        "watched_directories",
        "Directories by how changes in them are seen",
        known().flat_map(|(name, status)| {
            [("watched", status.watched), ("polled", status.polled)]
                .map(|(mode, count)| ([name.clone(), ("mode", mode.to_owned())], real(count)))
        }),
    );
    counter(
        registry,
        "watch_overflows",
        "How often the kernel lost hints",
        known().map(|(name, status)| ([name], status.overflows)),
    );
    counter(
        registry,
        "watch_missed",
        "Changes in watched directories that only a full scan found",
        known().map(|(name, status)| ([name], status.missed)),
    );
}

fn family<const N: usize>(
    samples: impl IntoIterator<Item = (Labels<N>, f64)>,
) -> Family<Labels<N>, Real> {
    let family = Family::<Labels<N>, Real>::default();
    for (labels, value) in samples {
        family.get_or_create(&labels).set(value);
    }
    family
}

fn gauge<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels<N>, f64)>,
) {
    registry.register(name, help, family(samples));
}

fn bytes<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels<N>, u64)>,
) {
    let samples = samples.into_iter().map(|(labels, bytes)| (labels, real(bytes)));
    registry.register_with_unit(name, help, Unit::Bytes, family(samples));
}

/// Milliseconds, told in seconds: a time since the Unix epoch, or a duration.
#[expect(clippy::cast_precision_loss, reason = "exact for hundreds of thousands of years")]
fn timestamp<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels<N>, i64)>,
) {
    let samples = samples.into_iter().map(|(labels, ms)| (labels, ms as f64 / 1000.0));
    registry.register_with_unit(name, help, Unit::Seconds, family(samples));
}

/// What the journal counts; it begins anew with another journal.
fn counter<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels<N>, u64)>,
) {
    let family = Family::<Labels<N>, Counter>::default();
    for (labels, value) in samples {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

#[expect(clippy::cast_precision_loss, reason = "exact up to nine thousand million million")]
fn real(count: u64) -> f64 {
    count as f64
}
