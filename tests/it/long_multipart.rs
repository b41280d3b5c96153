//! Large files in earnest: gigabytes, killed again and again, and how much memory they take. Each of these takes a
//! minute or more, so they run only when asked for, and print what they measured:
//!
//! `cargo test --release --test it long_multipart -- --ignored --nocapture --test-threads 1`
//!
//! The files have a mark in each MiB and are holes else: no two parts are the same, and they take little room.

#![allow(clippy::print_stdout, reason = "what was measured is what is asked for")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::bed::{Bed, Running, until_within};
use crate::bounds::kib;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Parts of files of these sizes, and how many of one file are on their way at a time.
const PART: u64 = 16 * MIB;
const STREAMS: u64 = 4;
/// Nothing here takes longer, on a slow machine neither.
const PATIENCE: Duration = Duration::from_secs(600);

fn bed() -> Bed {
    let bed = Bed::new();
    bed.write("small", "the state is known before large files come");
    bed
}

/// A file of that size, made beside the mirrored folder and moved into it.
fn sparse(bed: &Bed, name: &str, size: u64) {
    let path = bed.path("being made");
    let file = File::create(&path).unwrap();
    file.set_len(size).unwrap();
    let mut rng = Rng::with_seed(fastrand::u64(..));
    for at in (0..size).step_by(1 << 20) {
        file.write_all_at(&rng.u64(..).to_le_bytes(), at + rng.u64(..MIB - 8)).unwrap();
    }
    fs::rename(path, bed.root().join(name)).unwrap();
}

fn received(bed: &Bed) -> u64 {
    bed.call("GET", "/_emulator/traffic", None).1["bytesReceived"].as_u64().unwrap()
}

/// As `cmp` says it.
fn is_same(one: &Path, other: &Path) -> bool {
    Command::new("cmp").arg(one).arg(other).status().unwrap().success()
}

fn until_current(bed: &Bed) {
    until_within(
        PATIENCE,
        || format!("current: {}\n{}", bed.mirror(), bed.log()),
        || {
            std::thread::sleep(Duration::from_millis(200));
            (bed.mirror()["state"] == "current").then_some(())
        },
    );
}

/// Waits until so much came, beyond what had come `before`.
fn until_received(bed: &Bed, before: u64, bytes: u64) {
    until_within(
        PATIENCE,
        || format!("{bytes} bytes; {}", bed.log()),
        || (received(bed) >= before + bytes).then_some(()),
    );
}

/// Bytes that the history says were sent by runs before the one that ended the upload.
fn saved(bed: &Bed, name: &str) -> u64 {
    let path = bed.root().join(name);
    let (out, _) = bed.ends(&["history", "--json", path.to_str().unwrap()], 0);
    let all: Value = serde_json::from_str(&out).unwrap();
    let mut details =
        all["history"].as_array().unwrap().iter().filter_map(|row| row["detail"].as_str());
    let detail = details.find_map(|text| text.strip_suffix(" of them by an earlier run"));
    detail.and_then(|text| text.rsplit(' ').next()).map_or(0, |number| number.parse().unwrap())
}

/// What is to hold of one file that was sent although the daemon was killed so often.
fn arrived(bed: &Bed, daemon: Running, name: &str, size: u64, kills: u64) {
    until_current(bed);
    assert_eq!(daemon.stop(), Some(0));
    let (came, saved) = (received(bed), saved(bed, name));
    let most = size + kills * STREAMS * PART + MIB;
    println!(
        "{name}: {size} bytes, {kills} kills: {came} bytes came, {} more than there are (at most {} may); \
         the history says that {saved} were kept from earlier runs; {} starts, {} confirms",
        came - size,
        most - size,
        bed.requests("file.multipart"),
        bed.requests("file.confirm"),
    );
    assert!(came <= most, "{came} of at most {most}");
    assert!(is_same(&bed.root().join(name), &bed.objects().join(name)), "cmp finds a difference");
    assert_eq!((bed.requests("file.multipart"), bed.open_uploads()), (1, 0), "it is one upload");
    // Joining the parts is no reason for the service to be late: the small file, and once the large one.
    assert_eq!(bed.requests("file.confirm"), 2);
    assert!(saved > 0 && saved < size);
}

#[test]
#[ignore = "a minute"]
fn a_file_of_1_gib_that_is_killed_ten_times_costs_a_part_per_kill_and_stream() {
    let seed = std::env::var("SMH_CRASH_SEED").ok().map(|text| text.parse().unwrap());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("SMH_CRASH_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let bed = bed();
    let daemon = bed.daemon_until_current();
    sparse(&bed, "large", GIB);
    bed.fault(json!({"route": "cos.part", "effect": {"sip": 40_000_000}}));
    let mut running = Some(daemon);
    for _ in 0..10 {
        let daemon = running.take().unwrap_or_else(|| bed.daemon());
        // So that even ten of the longest do not bring the whole file.
        until_received(&bed, received(&bed), rng.u64(0..96 * MIB));
        daemon.kill();
    }
    arrived(&bed, bed.daemon(), "large", GIB, 10);
}

#[test]
#[ignore = "a minute or two"]
fn a_file_of_6_gib_is_larger_than_a_form_may_be_and_arrives() {
    let bed = bed();
    let daemon = bed.daemon_until_current();
    sparse(&bed, "larger", 6 * GIB);
    until_received(&bed, received(&bed), 3 * GIB);
    daemon.kill();
    arrived(&bed, bed.daemon(), "larger", 6 * GIB, 1);
}

#[test]
#[ignore = "a minute"]
fn four_files_of_1_gib_take_little_memory() {
    let bed = bed();
    let daemon = bed.daemon_until_current();
    let idle = kib(daemon.pid(), "VmRSS:").unwrap();
    let names = ["a", "b", "c", "d"];
    for name in names {
        sparse(&bed, name, GIB);
    }
    until_within(
        PATIENCE,
        || format!("four at once: {}\n{}", bed.status(), bed.log()),
        || {
            std::thread::sleep(Duration::from_millis(100));
            let status = bed.status();
            let begun = |upload: &&Value| upload["bytes"].as_u64() > Some(64 * MIB);
            let together = status["uploads"].as_array()?.iter().filter(begun).count();
            (together == names.len()).then_some(())
        },
    );
    until_current(&bed);
    let peak = kib(daemon.pid(), "VmHWM:").unwrap();
    println!(
        "four files of 1 GiB: {:.1} MiB idle, {:.1} MiB at most, {:.1} MiB more",
        mib(idle),
        mib(peak),
        mib(peak - idle)
    );
    assert!(peak - idle < 64 * 1024);
    assert_eq!(daemon.stop(), Some(0));
    for name in names {
        assert!(is_same(&bed.root().join(name), &bed.objects().join(name)), "{name}");
    }
}

#[test]
#[ignore = "a minute"]
fn a_restore_of_eight_files_of_300_mib_takes_little_memory() {
    let bed = bed();
    for number in 0..8 {
        sparse(&bed, &format!("f{number}"), 300 * MIB);
    }
    bed.ends(&["sync", "-q"], 0);
    let to = bed.path("back");
    let restore = bed.start(&["restore", "--to", to.to_str().unwrap()]);
    let mut peak = 0;
    until_within(
        PATIENCE,
        || fs::read_to_string(bed.path("said")).unwrap(),
        || {
            // A process that ended has no memory to tell of.
            let Some(now) = kib(restore.pid(), "VmHWM:") else { return Some(()) };
            peak = peak.max(now);
            None
        },
    );
    assert_eq!(restore.ended(), Some(0));
    println!("a restore of eight files of 300 MiB: {:.1} MiB at most", mib(peak));
    assert!(peak < 128 * 1024);
    for number in 0..8 {
        let name = format!("f{number}");
        assert!(is_same(&bed.root().join(&name), &to.join(&name)), "{name}");
    }
}

#[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
