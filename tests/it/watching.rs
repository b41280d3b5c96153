//! Seeing every change: the real kernel, its limits set small, filesystems that come and go.
//!
//! Much of this needs root (limits of the kernel, mounts) and is left out, with a word, where that is not to be had.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use serde_json::json;

use crate::bed::{Bed, Running, until, until_or};

/// Where the link of a descriptor of watches leads.
const INOTIFY: &str = "anon_inode:inotify";
/// No full scan heals within a test: what is seen was told, or polled.
const NO_RESCAN: &str = "rescan = \"24h\"\n";
/// The log tells of the first scan, and at this level of all.
const EVERY_SCAN: &str = "[log]\nlevel = \"debug\"\n";

#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn left_out(what: &str) {
    println!("left out: this machine does not let the test {what}");
}

/// Limits of the kernel are everybody's: tests that set them, and tests that need them as they are, take turns.
struct Limits {
    _turn: fs::File,
    before: Vec<(PathBuf, String)>,
}

impl Limits {
    fn turn(how: FlockOperation) -> fs::File {
        let path = std::env::temp_dir().join("smh-mirror-tests-inotify.lock");
        let lock = fs::File::options().create(true).append(true).open(path).unwrap();
        flock(&lock, how).unwrap();
        lock
    }

    /// They stay as they are meanwhile.
    fn kept() -> Limits {
        Limits { _turn: Limits::turn(FlockOperation::LockShared), before: Vec::new() }
    }

    /// `None`: they cannot be set here.
    fn set(limits: &[(&str, u64)]) -> Option<Limits> {
        let mut set =
            Limits { _turn: Limits::turn(FlockOperation::LockExclusive), before: Vec::new() };
        for (name, value) in limits {
            let file = Path::new("/proc/sys/fs/inotify").join(name);
            let before = fs::read_to_string(&file).ok()?;
            if fs::write(&file, value.to_string()).is_err() {
                left_out(&format!("set {}", file.display()));
                return None;
            }
            set.before.push((file, before));
        }
        Some(set)
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        for (file, before) in &self.before {
            let _ = fs::write(file, before);
        }
    }
}

/// A filesystem in memory.
struct Mounted(PathBuf);

impl Mounted {
    fn on(path: &Path) -> Option<Mounted> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "none"]).arg(path);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Mounted(path.to_path_buf()));
        }
        left_out("mount a filesystem");
        None
    }

    fn end(self) {
        let done = Command::new("umount").arg(&self.0).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::mem::forget(self);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Inodes and device numbers of what a process watches.
fn watches(daemon: &Running) -> Vec<(u64, u64)> {
    let process = PathBuf::from(format!("/proc/{}", daemon.pid()));
    let mut found = Vec::new();
    for fd in fs::read_dir(process.join("fd")).unwrap() {
        let fd = fd.unwrap();
        if fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() != INOTIFY) {
            continue;
        }
        let Ok(info) = fs::read_to_string(process.join("fdinfo").join(fd.file_name())) else {
            continue;
        };
        for line in info.lines().filter(|line| line.starts_with("inotify wd:")) {
            let field = |name: &str| {
                let value = line.split_whitespace().find_map(|part| part.strip_prefix(name));
                u64::from_str_radix(value.unwrap(), 16).unwrap()
            };
            // The kernel's own form of a device number: 12 bits and 20.
            let device = field("sdev:");
            let device = rustix::fs::makedev((device >> 20) as u32, (device & 0xf_ffff) as u32);
            found.push((device, field("ino:")));
        }
    }
    found
}

fn is_watched(daemon: &Running, path: &Path) -> bool {
    let meta = fs::metadata(path).unwrap();
    watches(daemon).contains(&(meta.dev(), meta.ino()))
}

fn watch_counts(bed: &Bed) -> (u64, u64, u64, u64) {
    let mirror = bed.mirror();
    let count = |name: &str| mirror["watch"][name].as_u64().unwrap();
    (count("watched"), count("polled"), count("overflows"), count("missed"))
}

fn until_counts(bed: &Bed, watched: u64, polled: u64) {
    until_or(
        || format!("{watched} watched, {polled} polled: {}\n{}", bed.mirror(), bed.log()),
        || {
            let (now_watched, now_polled, ..) = watch_counts(bed);
            ((now_watched, now_polled) == (watched, polled)).then_some(())
        },
    );
}

fn until_same(bed: &Bed) {
    until_or(
        || format!("the same: {}\n{:?}\n{}", bed.mirror(), bed.missing().first(), bed.log()),
        || (bed.mirror()["state"] == "current" && bed.missing().is_empty()).then_some(()),
    );
}

/// A directory with files, some of them deeper.
fn furnish(dir: &Path, mark: &str) {
    fs::create_dir_all(dir.join("x/y")).unwrap();
    for name in ["one", "x/two", "x/y/three"] {
        fs::write(dir.join(name), format!("{name} {mark}")).unwrap();
    }
}

#[test]
fn directories_that_come_go_and_change_places_are_complete() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(NO_RESCAN);
    furnish(&bed.root().join("old"), "first");
    let daemon = bed.daemon_until_current();
    until_counts(&bed, 4, 0);
    // Made elsewhere, with files in it, and moved in; then made here, at once with files in it.
    furnish(&bed.path("outside"), "moved in");
    fs::rename(bed.path("outside"), bed.root().join("in")).unwrap();
    furnish(&bed.root().join("made"), "made");
    until_same(&bed);
    until_counts(&bed, 10, 0);
    // Renamed, and then changed inside.
    fs::rename(bed.root().join("in"), bed.root().join("renamed")).unwrap();
    until_same(&bed);
    bed.write("renamed/x/y/three", "changed under the new name");
    bed.write("renamed/x/y/four", "new under the new name");
    bed.until_mirrored("renamed/x/y/three", "changed under the new name");
    bed.until_mirrored("renamed/x/y/four", "new under the new name");
    until_counts(&bed, 10, 0);
    // Replaced: another one in its place before anybody looks.
    furnish(&bed.path("other"), "second");
    fs::rename(bed.root().join("old"), bed.path("away")).unwrap();
    fs::rename(bed.path("other"), bed.root().join("old")).unwrap();
    bed.until_mirrored("old/x/y/three", "x/y/three second");
    bed.write("old/x/y/three", "changed in the second");
    bed.until_mirrored("old/x/y/three", "changed in the second");
    // What left is nobody's business.
    assert!(!is_watched(&daemon, &bed.path("away")));
    assert!(!is_watched(&daemon, &bed.path("away/x/y")));
    fs::remove_dir_all(bed.root().join("made")).unwrap();
    until_counts(&bed, 7, 0);
    until_same(&bed);
    assert_eq!(watch_counts(&bed), (7, 0, 0, 0));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_is_excluded_holds_no_watch() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(&format!("{NO_RESCAN}exclude = [\"/cache/\"]\n"));
    for n in 0..20 {
        fs::create_dir_all(bed.root().join(format!("cache/c{n}/deep"))).unwrap();
    }
    bed.write("a/f", "x");
    bed.write("late/deep/f", "x");
    let daemon = bed.daemon_until_current();
    until_counts(&bed, 4, 0);
    assert!(is_watched(&daemon, &bed.root().join("a")));
    assert!(is_watched(&daemon, &bed.root().join("late/deep")));
    assert!(!is_watched(&daemon, &bed.root().join("cache")));
    assert!(!is_watched(&daemon, &bed.root().join("cache/c3/deep")));
    // Left out later.
    bed.write(".smh-mirrorignore", "/late/\n");
    until("watches are given back", || {
        let left = ["late", "late/deep"].map(|dir| is_watched(&daemon, &bed.root().join(dir)));
        (left == [false, false]).then_some(())
    });
    until_counts(&bed, 2, 0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_polled_mirror_holds_no_watch_and_sees_changes_all_the_same() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(&format!("{NO_RESCAN}watch = \"poll\"\npoll_interval = \"1s\"\n"));
    bed.write("a/b/f", "first");
    let daemon = bed.daemon_until_current();
    until_counts(&bed, 0, 3);
    for dir in ["", "a", "a/b"] {
        assert!(!is_watched(&daemon, &bed.root().join(dir)));
    }
    bed.write("a/b/f", "second");
    bed.write("a/new/g", "new");
    bed.until_mirrored("a/b/f", "second");
    bed.until_mirrored("a/new/g", "new");
    fs::remove_dir_all(bed.root().join("a/b")).unwrap();
    until_counts(&bed, 0, 3);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn beyond_the_budget_the_rest_is_polled() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(&format!("{NO_RESCAN}poll_interval = \"1s\"\n{EVERY_SCAN}"));
    for n in 0..40 {
        bed.write(&format!("d{n:02}/f"), "first");
    }
    let Some(daemon) = with_watches(&bed, 60) else { return };
    until("everything is counted", || {
        let (watched, polled, ..) = watch_counts(&bed);
        (watched + polled == 41).then_some(())
    });
    let (watched, polled, ..) = watch_counts(&bed);
    // Half of them are for us; the way to the root takes a few.
    assert!((15..=30).contains(&watched), "{watched} watched");
    assert!(watches(&daemon).len() <= 30, "{:?}", watches(&daemon).len());
    assert!(bed.log().contains("half of the watches that are free is used up"), "{}", bed.log());
    let scans = bed.log().matches("scan complete").count();
    for n in 0..40 {
        bed.write(&format!("d{n:02}/f"), format!("second {n}"));
    }
    fs::create_dir_all(bed.root().join("d39/new/deep")).unwrap();
    bed.write("d39/new/deep/f", "new");
    until_same(&bed);
    bed.until_mirrored("d39/new/deep/f", "new");
    // The rest was polled, not everything scanned.
    assert!(polled < watched);
    assert_eq!(bed.log().matches("scan complete").count(), scans);
    // What goes makes room.
    for n in 0..20 {
        fs::remove_dir_all(bed.root().join(format!("d{n:02}"))).unwrap();
    }
    until_counts(&bed, 23, 0);
    assert_eq!(daemon.stop(), Some(0));
}

/// The daemon, when all is mirrored, in a user namespace in which it gets so many watches: nobody else notices.
fn with_watches(bed: &Bed, limit: u64) -> Option<Running> {
    const LIMIT: &str = "/proc/sys/user/max_inotify_watches";
    let confined = |then: &str| {
        let mut command = Command::new("unshare");
        let script = format!("echo {limit} > {LIMIT} && {then}");
        command.args(["--user", "--map-root-user", "sh", "-c", &script]);
        command
    };
    if !confined("true").output().is_ok_and(|output| output.status.success()) {
        left_out("make a user namespace");
        return None;
    }
    let mut command = confined("exec \"$0\" -c \"$1\" run");
    command.arg(env!("CARGO_BIN_EXE_smh-mirror")).arg(bed.path("config.toml"));
    let daemon = bed.spawn(command);
    until_scanned(bed);
    Some(daemon)
}

fn until_scanned(bed: &Bed) {
    until_or(
        || format!("current: {}\n{}", bed.mirror(), bed.log()),
        || {
            let scanned = bed.log().contains("scan complete");
            (scanned && bed.mirror()["state"] == "current").then_some(())
        },
    );
}

#[test]
fn who_insists_on_watching_is_told_what_cannot_be() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(&format!("{NO_RESCAN}watch = \"inotify\"\npoll_interval = \"1s\"\n"));
    for n in 0..60 {
        bed.write(&format!("d{n:02}/f"), "first");
    }
    let Some(daemon) = with_watches(&bed, 30) else { return };
    let (out, _) = bed.ends(&["status"], 0);
    assert!(out.contains("directories cannot be watched"), "{out}");
    let (watched, polled, ..) = watch_counts(&bed);
    assert_eq!(watched + polled, 61);
    assert!(watched > 15, "the budget does not hold: {watched}");
    assert_eq!(bed.mirror()["state"], "current");
    bed.write("d59/f", "second");
    bed.until_mirrored("d59/f", "second");
    // What goes makes room, and nothing has to be said any more.
    for n in 0..45 {
        fs::remove_dir_all(bed.root().join(format!("d{n:02}"))).unwrap();
    }
    until_counts(&bed, 16, 0);
    let (out, _) = bed.ends(&["status"], 0);
    assert!(!out.contains("cannot be watched"), "{out}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_overflow_is_healed_by_one_scan() {
    // Read when the daemon makes its watcher.
    let Some(limits) = Limits::set(&[("max_queued_events", 16)]) else { return };
    let bed = Bed::new();
    bed.configure(NO_RESCAN);
    bed.write("a/f", "x");
    let daemon = bed.daemon();
    until("it has a watcher", || {
        let fds = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).ok()?;
        fds.flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == INOTIFY))
            .then_some(())
    });
    drop(limits);
    let _limits = Limits::kept();
    until_scanned(&bed);
    for n in 0..6_000 {
        if n % 100 == 0 {
            fs::create_dir_all(bed.root().join(format!("d{}", n / 100))).unwrap();
        }
        fs::write(bed.root().join(format!("d{}/f{n}", n / 100)), format!("{n}")).unwrap();
    }
    until_many(&bed, 6_001);
    let (watched, polled, overflows, _) = watch_counts(&bed);
    assert_eq!((watched, polled), (62, 0));
    assert!(overflows > 0, "the queue was too large for this test");
    assert_eq!(bed.diff(), "");
    // And the watches are right after it.
    bed.write("d59/f5999", "changed");
    bed.until_mirrored("d59/f5999", "changed");
    assert_eq!(daemon.stop(), Some(0));
}

/// The kernel tells only of the name that is made or used.
#[test]
fn a_name_that_is_made_of_a_file_is_one_of_its_names() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(NO_RESCAN);
    let one = bed.write("d/one", "first");
    let daemon = bed.daemon_until_current();
    fs::hard_link(&one, bed.root().join("two")).unwrap();
    bed.until_mirrored("two", "first");
    // Not current before all names were looked for.
    bed.until_current();
    bed.write("two", "by the second name");
    bed.until_mirrored("two", "by the second name");
    bed.until_mirrored("d/one", "by the second name");
    // A whole folder of names.
    bed.write("farm/f", "of the farm");
    bed.until_mirrored("farm/f", "of the farm");
    assert!(
        Command::new("cp")
            .args(["-al", "farm", "copy"])
            .current_dir(bed.root())
            .status()
            .unwrap()
            .success()
    );
    bed.until_mirrored("copy/f", "of the farm");
    bed.until_current();
    bed.write("copy/f", "by the copy");
    bed.until_mirrored("farm/f", "by the copy");
    // One whose other name lies outside is not looked for again and again.
    let outside = bed.path("outside");
    fs::write(&outside, "outside").unwrap();
    fs::hard_link(&outside, bed.root().join("inside")).unwrap();
    bed.until_mirrored("inside", "outside");
    bed.until_current();
    let scans = || bed.log().matches("scan complete").count();
    bed.write("inside", "changed once");
    bed.until_mirrored("inside", "changed once");
    bed.until_current();
    let before = scans();
    for n in 0..3 {
        bed.write("inside", format!("changed {n}"));
        bed.until_mirrored("inside", format!("changed {n}"));
        bed.until_current();
    }
    assert_eq!(scans(), before, "{}", bed.log());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_unpacked_archive_is_complete() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(NO_RESCAN);
    bed.write("a/f", "x");
    let daemon = bed.daemon_until_current();
    for n in 0..6_000 {
        let dir = bed.root().join(format!("t/{}/{}/{}", n / 2000, n / 100 % 20, n / 20 % 5));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("f{n}")), format!("{n}")).unwrap();
    }
    until_many(&bed, 6_001);
    assert_eq!(bed.diff(), "");
    let (watched, polled, ..) = watch_counts(&bed);
    assert_eq!((watched, polled), (2 + 1 + 3 + 60 + 300, 0));
    assert_eq!(daemon.stop(), Some(0));
}

/// Waits for many files; each round counts its own time.
fn until_many(bed: &Bed, files: u64) {
    let synced = || bed.mirror()["files"]["synced"].as_u64().unwrap();
    let mut last = synced();
    while last < files {
        until_or(
            || format!("more than {last}: {}\n{}", bed.mirror(), tail(&bed.log())),
            || (synced() > last).then_some(()),
        );
        last = synced();
    }
    until_or(
        || format!("current: {}\n{}", bed.mirror(), tail(&bed.log())),
        || (bed.mirror()["state"] == "current").then_some(()),
    );
}

fn tail(log: &str) -> &str {
    log.get(log.len().saturating_sub(4_000)..).unwrap_or(log)
}

#[test]
fn a_root_that_is_renamed_away_and_back_is_still_watched() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(NO_RESCAN);
    bed.write("a/f", "first");
    let daemon = bed.daemon_until_current();
    let away = bed.path("away");
    fs::rename(bed.root(), &away).unwrap();
    until("held", || (bed.mirror()["state"] == "held").then_some(()));
    // Nobody looks there now.
    fs::write(away.join("a/g"), "while it was away").unwrap();
    fs::rename(&away, bed.root()).unwrap();
    bed.until_mirrored("a/g", "while it was away");
    bed.write("a/f", "after it came back");
    bed.until_mirrored("a/f", "after it came back");
    // Away and back before anybody looks.
    fs::rename(bed.root(), &away).unwrap();
    fs::rename(&away, bed.root()).unwrap();
    bed.write("a/f", "once more");
    bed.until_mirrored("a/f", "once more");
    // Another one in its place.
    furnish(&bed.path("other"), "other");
    fs::rename(bed.root(), &away).unwrap();
    fs::rename(bed.path("other"), bed.root()).unwrap();
    bed.until_mirrored("x/y/three", "x/y/three other");
    bed.write("x/y/three", "changed there");
    bed.until_mirrored("x/y/three", "changed there");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_link_on_the_way_to_the_root_that_is_turned_is_seen() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(NO_RESCAN);
    furnish(&bed.path("releases/1"), "one");
    furnish(&bed.path("releases/2"), "two");
    fs::remove_dir(bed.root()).unwrap();
    std::os::unix::fs::symlink("releases/1", bed.root()).unwrap();
    let daemon = bed.daemon_until_current();
    std::os::unix::fs::symlink("releases/2", bed.path("next")).unwrap();
    fs::rename(bed.path("next"), bed.root()).unwrap();
    bed.until_mirrored("x/two", "x/two two");
    fs::write(bed.path("releases/2/x/two"), "changed").unwrap();
    bed.until_mirrored("x/two", "changed");
    until("the first is not watched", || {
        (!is_watched(&daemon, &bed.path("releases/1/x"))).then_some(())
    });
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_filesystem_that_is_mounted_below_the_root_is_seen_and_its_going_too() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(NO_RESCAN);
    bed.write("m/below", "under the mount");
    bed.write("f", "x");
    let daemon = bed.daemon_until_current();
    let point = bed.root().join("m");
    let Some(mounted) = Mounted::on(&point) else { return };
    furnish(&point, "mounted");
    bed.until_mirrored("m/x/y/three", "x/y/three mounted");
    bed.write("m/x/y/three", "changed");
    bed.until_mirrored("m/x/y/three", "changed");
    mounted.end();
    // What lay on it is not known, until a person says that it is gone for good.
    let held = until("held", || {
        let mirror = bed.mirror();
        (mirror["state"] == "held").then(|| mirror["holds"][0].clone())
    });
    assert_eq!((&held["kind"], &held["path"]), (&json!("unmounted"), &json!("m")));
    bed.ends(&["approve", &held["id"].to_string()], 0);
    until("what lies below is watched again", || is_watched(&daemon, &point).then_some(()));
    bed.write("m/below", "changed under the mount");
    bed.until_mirrored("m/below", "changed under the mount");
    until_counts(&bed, 2, 0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_root_that_is_unmounted_and_mounted_again_is_seen() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(NO_RESCAN);
    let Some(mounted) = Mounted::on(&bed.root()) else { return };
    furnish(&bed.root(), "first");
    let daemon = bed.daemon_until_current();
    mounted.end();
    until("held", || (bed.mirror()["state"] == "held").then_some(()));
    let Some(mounted) = Mounted::on(&bed.root()) else { return };
    furnish(&bed.root(), "again");
    bed.until_mirrored("x/y/three", "x/y/three again");
    bed.write("x/y/three", "changed");
    bed.until_mirrored("x/y/three", "changed");
    // Faster than anybody looks.
    mounted.end();
    let Some(mounted) = Mounted::on(&bed.root()) else { return };
    furnish(&bed.root(), "once more");
    bed.until_mirrored("x/y/three", "x/y/three once more");
    bed.write("x/y/three", "changed again");
    bed.until_mirrored("x/y/three", "changed again");
    assert_eq!(daemon.stop(), Some(0));
    drop(mounted);
}

/// What is written by another name, outside the folder, is told to nobody.
#[test]
fn what_nobody_tells_of_is_counted_and_polled_when_nobody_ever_does() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(&format!("rescan = \"15s\"\npoll_interval = \"1s\"\n{EVERY_SCAN}"));
    fs::create_dir(bed.path("fs")).unwrap();
    let Some(mounted) = Mounted::on(&bed.path("fs")) else { return };
    fs::create_dir(bed.path("fs/outside")).unwrap();
    fs::create_dir_all(bed.path("fs/root/d")).unwrap();
    fs::remove_dir(bed.root()).unwrap();
    std::os::unix::fs::symlink("fs/root", bed.root()).unwrap();
    let outside = bed.path("fs/outside/f");
    fs::write(&outside, "first").unwrap();
    fs::hard_link(&outside, bed.root().join("d/f")).unwrap();
    let daemon = bed.daemon_until_current();
    until_counts(&bed, 2, 0);
    let scans = || bed.log().matches("scan complete").count();
    let next_scan = || {
        let before = scans();
        until("a scan", || (scans() > before).then_some(()));
    };
    // Twice is enough; but when something is mounted or unmounted anywhere meanwhile, the count begins anew.
    let mut nth = 0;
    while watch_counts(&bed).1 < 2 {
        nth += 1;
        assert!(nth <= 10, "still watched: {}", bed.mirror());
        // Right after a scan: when the next one comes, it was to be told long ago.
        next_scan();
        let text = format!("change {nth}");
        fs::write(&outside, &text).unwrap();
        until_or(
            || format!("{nth} missed: {}", bed.mirror()),
            || (watch_counts(&bed).3 == nth || watch_counts(&bed).1 == 2).then_some(()),
        );
        bed.until_mirrored("d/f", text);
        if nth >= 2 {
            next_scan();
        }
    }
    assert!(nth >= 2);
    until_counts(&bed, 0, 2);
    fs::write(&outside, "fourth").unwrap();
    bed.until_mirrored("d/f", "fourth");
    let (watched, polled, overflows, _) = watch_counts(&bed);
    assert_eq!((watched, polled, overflows), (0, 2, 0));
    assert_eq!(daemon.stop(), Some(0));
    drop(mounted);
}

#[test]
fn reading_wakes_nobody() {
    let _limits = Limits::kept();
    let bed = Bed::new();
    bed.configure(NO_RESCAN);
    for n in 0..50 {
        bed.write(&format!("d/f{n}"), "x");
    }
    let daemon = bed.daemon_until_current();
    // How often the thread that reads events woke.
    let woken = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().flatten();
        tasks
            .filter(|task| {
                fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "watch\n")
            })
            .map(|task| {
                let text = fs::read_to_string(task.path().join("status")).unwrap();
                let line = text.lines().find(|l| l.starts_with("voluntary_ctxt_switches")).unwrap();
                line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
            })
            .sum::<u64>()
    };
    let before = woken();
    assert!(before > 0, "the thread was found");
    for _ in 0..200 {
        for n in 0..50 {
            fs::read(bed.root().join(format!("d/f{n}"))).unwrap();
        }
    }
    // Mounts and names on the way to the root may wake it, ten thousand readings may not.
    assert!(woken() - before < 2_000, "{} times", woken() - before);
    assert_eq!(daemon.stop(), Some(0));
}
