//! Where log lines go. Other crates are kept quiet below `info`: their traces hold URLs, which hold tokens.

use std::io::IsTerminal;

use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{Log, LogFormat};

/// Crates that see URLs or headers.
const LOUD: &[&str] = &["reqwest", "hyper", "hyper_util", "h2", "rustls", "notify", "mio"];

/// The fields of our lines in the journal begin with this, as in `SMH_MIRROR=docs`.
const PREFIX: &str = "SMH";

/// Which lines are kept, while the process runs.
#[derive(Debug, Clone)]
pub struct LogLevel {
    filter: reload::Handle<Targets, Registry>,
}

impl LogLevel {
    /// From now on, lines as `log` wants them; their format stays.
    pub(super) fn set(&self, log: &Log) {
        if let Err(error) = self.filter.reload(wanted(log)) {
            tracing::warn!(%error, "cannot change the level of the log; restart the daemon for that");
        }
    }
}

/// Sends log lines to stderr, or to the journal of systemd.
pub fn init(log: &Log) -> LogLevel {
    let (filter, handle) = reload::Layer::new(wanted(log));
    send(log, filter);
    LogLevel { filter: handle }
}

fn wanted(log: &Log) -> Targets {
    let mut targets: Targets = match log.level.parse::<LevelFilter>() {
        Ok(level) => Targets::new()
            .with_default(LevelFilter::WARN.min(level))
            .with_target("smh_mirror", level),
        // Validated with the configuration.
        Err(_) => log.level.parse().unwrap_or_default(),
    };
    for name in LOUD {
        targets = targets.with_target(*name, LevelFilter::WARN);
    }
    // It says what the failed call says again, once for every try.
    targets.with_target("rustls_platform_verifier", LevelFilter::OFF)
}

fn send(log: &Log, filter: reload::Layer<Targets, Registry>) {
    let journald = match log.format {
        LogFormat::Auto if stderr_is_the_journal() => journald(),
        _ => None,
    };
    let registry = tracing_subscriber::registry();
    // A second start in one process (tests) keeps the first.
    let _ = match (journald, log.format) {
        (Some(layer), _) => registry.with(layer.with_filter(filter)).try_init(),
        (None, LogFormat::Json) => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .with_writer(std::io::stderr)
                    .with_filter(filter),
            )
            .try_init(),
        (None, _) => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry
                .with(
                    tracing_subscriber::fmt::layer()
                        .with_writer(std::io::stderr)
                        .with_ansi(colour)
                        .with_target(false)
                        .with_filter(filter),
                )
                .try_init()
        }
    };
}

/// The journal of systemd; `None`: it does not answer, and stderr has to do.
fn journald() -> Option<tracing_journald::Layer> {
    let priorities = PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        ..PriorityMappings::new()
    };
    let layer = tracing_journald::layer().ok()?;
    Some(layer.with_field_prefix(Some(PREFIX.to_owned())).with_priority_mappings(priorities))
}

/// Whether what goes to stderr ends in the journal. The variable alone says nothing: whatever a service starts inherits
/// it, a shell in a terminal too (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|stat| names(&stream, stat.st_dev, stat.st_ino))
}

/// Whether `DEVICE:INODE` names this file.
fn names(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(named_device, named_inode)| {
        named_device.parse() == Ok(device) && named_inode.parse() == Ok(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn only_the_stream_that_is_named_is_the_journal() {
        for (stream, is) in
            [("9:1234", true), ("9:1235", false), ("8:1234", false), ("", false), ("9", false)]
        {
            assert_eq!(names(stream, 9, 1234), is, "{stream}");
        }
    }
}
