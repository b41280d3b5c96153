//! Where log lines go. Other crates are kept quiet below `info`: their traces hold URLs, which hold tokens.

use std::io::IsTerminal;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// Crates that see URLs or headers.
const LOUD: &[&str] = &["reqwest", "hyper", "hyper_util", "h2", "rustls", "notify", "mio"];

/// Sends log lines to stderr, or to the journal of systemd.
pub fn init(log: &Log) {
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
    targets = targets.with_target("rustls_platform_verifier", LevelFilter::OFF);
    let journald = match log.format {
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => {
            tracing_journald::layer().ok()
        }
        _ => None,
    };
    let registry = tracing_subscriber::registry();
    // A second start in one process (tests) keeps the first.
    let _ = match (journald, log.format) {
        (Some(layer), _) => registry.with(layer.with_filter(targets)).try_init(),
        (None, LogFormat::Json) => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .with_writer(std::io::stderr)
                    .with_filter(targets),
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
                        .with_filter(targets),
                )
                .try_init()
        }
    };
}
