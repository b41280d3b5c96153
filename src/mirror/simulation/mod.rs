//! The engine in a world of its own: random histories from seeds, with every kind of failure, checked after every
//! step. Design section 14.
//!
//! The ordinary run covers some twelve hundred histories. Any number, from any seed:
//! `SMH_SIM_HISTORIES=200000 SMH_SIM_SEED=1 cargo test --release --lib simulation`. One history, shown as it goes:
//! `SMH_SIM_HISTORIES=1 SMH_SIM_SEED=41 SMH_SIM_TRACE=1 cargo test --lib random_histories_converge_and_never_lie_one`.

#![allow(clippy::print_stderr, reason = "a trace is for whoever looks for a failure")]

mod check;
mod disk;
mod history;
mod outage;
mod service;
mod world;

use std::panic::AssertUnwindSafe;

use history::History;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs histories, and names the seed of the first that fails.
fn histories(first: u64, count: u64) {
    for seed in first..first + count {
        let history = History { seed, crash_at: None };
        run(history);
    }
}

fn run(history: History) {
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        history.run();
    }));
    assert!(ended.is_ok(), "{history:?} failed: see above");
}

/// A half each, so that two processors share the work.
fn half(which: u64) {
    let count = number("SMH_SIM_HISTORIES").unwrap_or(800);
    let first = number("SMH_SIM_SEED").unwrap_or(1);
    let half = count.div_ceil(2);
    histories(first + which * half, if which == 0 { half } else { count - half });
}

#[test]
fn random_histories_converge_and_never_lie_one() {
    half(0);
}

#[test]
fn random_histories_converge_and_never_lie_two() {
    half(1);
}

#[test]
fn a_crash_before_any_step_is_survived() {
    for seed in 0..12 {
        for crash_at in 0..90 {
            run(History { seed, crash_at: Some(crash_at) });
        }
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..20 {
        let history = History { seed, crash_at: None };
        let (one, other) = (history.trace(), history.trace());
        assert!(one.len() > 20);
        assert_eq!(one, other, "{history:?}");
    }
}
