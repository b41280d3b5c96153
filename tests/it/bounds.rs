//! Whatever fails, and however long: a few requests a minute, a few lines, little memory, few descriptors. And one
//! bad file delays nobody.
//!
//! The full version: `SMH_BOUNDS_FILES=100000 cargo test --release --test it bounds -- --test-threads 2`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{Bed, Running, until, until_or};

/// How long is counted, once the daemon knows that something is wrong.
const WINDOW: Duration = Duration::from_secs(12);
/// Requests of one window. Pauses grow from a second, and a file costs up to four calls; each file tried once would
/// be thousands.
const REQUESTS: u64 = 150;
/// Lines of one window, whatever fails; with those that say what happened at first.
const LINES: usize = 60;
const DESCRIPTORS: usize = 120;
/// How long an idle daemon is listened to, and how often its threads may be awake in that time: those of the pools
/// that nobody needs any more end then, once each.
const IDLE: Duration = Duration::from_secs(3);
const WAKES: u64 = 100;
const MEMORY_KIB: u64 = 100 * 1024;

/// So many files; `small` unless the full version is wanted.
fn files(small: usize) -> usize {
    std::env::var("SMH_BOUNDS_FILES").map_or(small, |text| text.parse().unwrap())
}

/// In a few directories: making those is work that gets through, and is not what is counted.
fn fill(bed: &Bed, files: usize) {
    for n in 0..3 {
        fs::create_dir_all(bed.root().join(format!("d{n}"))).unwrap();
    }
    for n in 0..files {
        let file = format!("d{}/f{n}", n % 3);
        fs::write(bed.root().join(file), format!("content {n}")).unwrap();
    }
}

pub(crate) fn peak_kib(pid: u32) -> u64 {
    kib(pid, "VmHWM:").unwrap()
}

/// Memory of a process, by its name in the words of the kernel; `None`: it ended.
pub(crate) fn kib(pid: u32, key: &str) -> Option<u64> {
    number(Path::new(&format!("/proc/{pid}/status")), key)
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// A number from a file of the kernel about a process or thread.
fn number(file: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// How often the threads of a process went to sleep by themselves.
fn wakes(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    // One of them may end while it is looked at.
    let status = threads.filter_map(|thread| Some(thread.ok()?.path().join("status")));
    status.filter_map(|file| number(&file, "voluntary_ctxt_switches:")).sum()
}

/// Counts with `count` what happens in a window, and looks at the process.
fn watch(name: &str, bed: &Bed, daemon: &Running, mut count: impl FnMut() -> u64) {
    let (requests, lines) = (count(), bed.log().lines().count());
    let mut most = 0;
    // The window is what is measured; nothing is expected to have happened at its end.
    for _ in 0..WINDOW.as_millis() / 100 {
        std::thread::sleep(Duration::from_millis(100));
        most = most.max(descriptors(daemon.pid()));
    }
    let requests = count() - requests;
    let lines = bed.log().lines().count() - lines;
    let peak = peak_kib(daemon.pid());
    let measured = format!(
        "{name}: {requests} requests, {lines} lines, {most} descriptors, {peak} KiB at most\n{}",
        bed.mirror()
    );
    assert!(requests <= REQUESTS, "{measured}");
    assert!(lines <= LINES, "{measured}");
    assert!(most <= DESCRIPTORS, "{measured}");
    assert!(peak <= MEMORY_KIB, "{measured}");
    assert_ne!(bed.mirror()["state"], "current", "{measured}");
}

fn with_fault(name: &str, rules: Value, args: &[&str], knows: impl Fn(&Value) -> bool) {
    let bed = Bed::with(args);
    fill(&bed, files(3_000));
    bed.fault(rules);
    let daemon = bed.daemon();
    until_or(
        || format!("{name}: {}\n{}", bed.mirror(), bed.log()),
        || knows(&bed.mirror()).then_some(()),
    );
    // What was under way comes back first.
    let asked = || bed.everything_asked();
    watch(name, &bed, &daemon, asked);
    bed.no_faults();
    assert_eq!(daemon.stop(), Some(0), "{name}");
}

fn has_condition(mirror: &Value, kind: &str) -> bool {
    mirror["conditions"].as_array().unwrap().iter().any(|condition| condition["kind"] == kind)
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn nobody_listens() {
    let bed = Bed::new();
    fill(&bed, files(3_000));
    // A network of its own, so that the kernel counts only this process; nobody listens in it.
    let up = "ip link set lo up && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", up, "sh"]);
    let daemon_args = bed.command(&["run"]);
    command.arg(daemon_args.get_program()).args(daemon_args.get_args());
    let mut probe = Command::new("unshare");
    probe.args(["--net", "ip", "link", "set", "lo", "up"]);
    if !probe.output().is_ok_and(|output| output.status.success()) {
        println!("left out: this machine does not let the test make a network");
        return;
    }
    let daemon = bed.spawn(command);
    until("offline", || (bed.mirror()["state"] == "offline").then_some(()));
    let opened = || {
        let text = fs::read_to_string(format!("/proc/{}/net/snmp", daemon.pid())).unwrap();
        let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
        let names: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
        let at = names.iter().position(|name| *name == "ActiveOpens").unwrap();
        lines.next().unwrap().split_whitespace().nth(at).unwrap().parse().unwrap()
    };
    assert!(opened() > 0, "the kernel counts something else");
    watch("nobody listens", &bed, &daemon, opened);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_idle_daemon_sleeps_and_writes_nothing() {
    let bed = Bed::new();
    fill(&bed, 30);
    let daemon = bed.daemon_until_current();
    // Told some seconds later, and the last that there is to do.
    until("the work is told", || bed.log().contains("mirrored 30 files").then_some(()));
    let io = format!("/proc/{}/io", daemon.pid());
    let written = || number(Path::new(&io), "write_bytes:").unwrap();
    let before = (wakes(daemon.pid()), written());
    std::thread::sleep(IDLE);
    // Threads that ended took their counts with them.
    let awake = wakes(daemon.pid()).saturating_sub(before.0);
    assert!(awake <= WAKES, "awake {awake} times in {IDLE:?}");
    assert_eq!(written(), before.1, "written while nothing happens");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn every_start_is_answered_with_an_error() {
    let effect = json!({"status": 500, "code": "InternalServerError"});
    let rule = json!({"route": "file.start", "effect": effect});
    with_fault("500", rule, &[], |m| m["state"] == "offline");
}

#[test]
fn every_start_is_answered_with_overload() {
    let effect = json!({"status": 503, "code": "ServerOverloaded"});
    let rule = json!({"route": "file.start", "effect": effect});
    with_fault("503", rule, &[], |m| has_condition(m, "throttled"));
}

#[test]
fn every_post_is_reset() {
    let rule = json!({"route": "cos.post", "effect": {"reset": "before"}});
    with_fault("posts", rule, &[], |m| m["state"] == "offline");
}

#[test]
fn everything_is_throttled() {
    let effect = json!({"status": 429, "code": "RateLimitExceeded"});
    with_fault("429", json!({"effect": effect}), &[], |mirror| has_condition(mirror, "throttled"));
}

#[test]
fn the_space_is_full() {
    let rule = json!({"route": "none", "effect": {}});
    with_fault("quota", rule, &["--quota", "5"], |m| has_condition(m, "quota"));
}

#[test]
fn every_token_is_refused() {
    let effect = json!({"status": 403, "code": "InvalidAccessToken"});
    let rules = json!([{"route": "token.create", "effect": {}}, {"effect": effect}]);
    with_fault("tokens", rules, &[], |mirror| mirror["state"] == "auth");
}

#[test]
fn everything_is_garbage() {
    let rule = json!({"effect": {"garbage": true}});
    with_fault("garbage", rule, &[], |m| m["state"] == "offline" || m["state"] == "behind");
}

#[test]
fn every_call_is_cut() {
    let rule = json!({"effect": {"reset": "before"}});
    with_fault("cut", rule, &[], |m| m["state"] == "offline" || m["state"] == "behind");
}

#[test]
fn one_poison_file_delays_nobody() {
    let effects = [
        ("file.start", json!({"status": 500, "code": "InternalServerError"})),
        ("file.start", json!({"garbage": true})),
        ("file.start", json!({"status": 403, "code": "NoPermission"})),
        ("file.start", json!({"reset": "after"})),
        ("file.confirm", json!({"reset": "before"})),
        ("file.confirm", json!({"status": 400, "code": "UploadIncomplete"})),
        ("file.confirm", json!({"status": 400, "code": "BadCrc64"})),
        ("file.confirm", json!({"wrong_crc64": true})),
    ];
    let count = (files(3_000) / 10).max(300);
    // Many files of all at once would measure the machine.
    let together = if count > 300 { 1 } else { effects.len() };
    for some in effects.chunks(together) {
        std::thread::scope(|scope| {
            for (route, effect) in some {
                scope.spawn(move || poison(route, effect, count));
            }
        });
    }
}

fn poison(route: &str, effect: &Value, count: usize) {
    let bed = Bed::new();
    fill(&bed, count);
    bed.write("d0/poison", "poison");
    bed.fault(json!({"route": route, "path": "poison", "effect": effect}));
    let daemon = bed.daemon();
    let what = || format!("the others, {route} {effect}: {}", bed.mirror());
    until_or(what, || (bed.mirror()["files"]["synced"] == count as u64).then_some(()));
    let mirror = bed.mirror();
    assert_ne!(mirror["state"], "current", "{route} {effect}");
    let hits = bed.hits(route, effect);
    assert!((1..=20).contains(&hits), "{hits} tries, {route} {effect}");
    // Nobody else was asked for again.
    let starts = bed.requests("file.start");
    // (One try of it may be under way.)
    assert!(starts <= count as u64 + hits + 1, "{starts} starts, {route} {effect}");
    bed.no_faults();
    assert_eq!(daemon.stop(), Some(0));
    bed.ends(&["sync", "-q"], 0);
    assert_eq!(bed.missing(), Vec::<String>::new());
}
