//! What a scan finds, and what it never does: conclude from an error, open what is no file, go round, write.

use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use serde_json::Value;

use crate::bed::{Bed, until, until_or};
use crate::bounds::peak_kib;

/// Something that is mounted until the end of the test.
struct Mounted(PathBuf);

impl Mounted {
    /// The folder `what` at `place` too; `None`: this machine does not let us.
    fn bind(what: &Path, place: &Path) -> Option<Mounted> {
        let mut mount = Command::new("mount");
        mount.arg("--bind").arg(what).arg(place);
        let done = mount.output().is_ok_and(|output| output.status.success());
        done.then(|| Mounted(place.to_path_buf()))
    }

    fn read_only(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,bind,ro"]).arg(&self.0);
        assert!(mount.output().unwrap().status.success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn left_out(why: &str) {
    println!("left out: this machine does not let the test {why}");
}

fn node(path: &Path, kind: FileType, device: u64) -> bool {
    rustix::fs::mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, device).is_ok()
}

/// Listens for openings of single files.
struct Openings(rustix::fd::OwnedFd);

impl Openings {
    fn new() -> Openings {
        Openings(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap())
    }

    fn of(&self, path: &Path) {
        inotify::add_watch(&self.0, path, WatchFlags::OPEN).unwrap();
    }

    fn count(&self) -> usize {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut count = 0;
        while reader.next().is_ok() {
            count += 1;
        }
        count
    }
}

#[test]
fn fifos_sockets_and_devices_are_never_opened() {
    let bed = Bed::new();
    let root = bed.root();
    let openings = Openings::new();
    let mut names = vec!["fifo", "socket"];
    assert!(node(&root.join("fifo"), FileType::Fifo, 0));
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    // /dev/null by another name.
    if node(&root.join("device"), FileType::CharacterDevice, rustix::fs::makedev(1, 3)) {
        names.push("device");
    } else {
        left_out("make a device");
    }
    for name in &names {
        openings.of(&root.join(name));
    }
    bed.write("plain", "one");
    openings.of(&root.join("plain"));
    bed.configure("symlinks = \"follow\"");
    std::os::unix::fs::symlink("fifo", root.join("link")).unwrap();
    let daemon = bed.daemon_until_current();
    assert_eq!(openings.count(), 1, "the plain file, and nothing else");
    let skipped = bed.skipped();
    for name in names.iter().chain(&["link"]) {
        assert_eq!(skipped[*name], "special", "{name}");
    }
    // One that takes the place of a file, and gives it back; and of a file with rules.
    let aside = bed.path("aside");
    fs::rename(root.join("plain"), &aside).unwrap();
    fs::rename(root.join("fifo"), root.join("plain")).unwrap();
    until("the FIFO", || (bed.skipped().get("plain")? == "special").then_some(()));
    assert_eq!(fs::read(bed.objects().join("plain")).unwrap(), b"one");
    fs::rename(root.join("plain"), root.join(".smh-mirrorignore")).unwrap();
    fs::rename(&aside, root.join("plain")).unwrap();
    bed.write("plain", "two");
    bed.until_mirrored("plain", "two");
    bed.ends(&["status", "--exit-code"], 0);
    let explained = root.join(".smh-mirrorignore");
    bed.ends(&["explain", explained.to_str().unwrap()], 0);
    assert_eq!(daemon.stop(), Some(0));
    let opened_plain = openings.count();
    assert!((1..=4).contains(&opened_plain), "{opened_plain}");
    // A look at all of it again opens nothing.
    bed.ends(&["sync"], 0);
    assert_eq!(openings.count(), 0);
}

#[test]
fn what_cannot_be_read_is_blocked_until_its_rights_change_and_never_gone() {
    let bed = Bed::new();
    bed.write("plain", "plain");
    bed.write("dir/a", "a");
    bed.write("list/b", "b");
    let secret = bed.write("secret", "one");
    let rights = |name: &str, mode: u32| {
        fs::set_permissions(bed.root().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let probe = bed.powerless(&["--version"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return left_out("take the rights of root away");
    }
    let daemon = bed.spawn(bed.powerless(&["run"]));
    bed.until_mirrored("secret", "one");
    bed.until_current();
    // A file; a directory that cannot be listed; one that can be listed and not entered.
    fs::write(&secret, "two").unwrap();
    rights("secret", 0o000);
    rights("dir", 0o000);
    rights("list", 0o444);
    bed.write("plain", "changed");
    bed.until_mirrored("plain", "changed");
    until_or(
        || format!("blocked: {}\n{}", bed.mirror(), bed.log()),
        || (bed.mirror()["files"]["blocked"].as_u64() >= Some(3)).then_some(()),
    );
    assert_eq!(bed.mirror()["state"], "behind");
    let (out, _) = bed.ends(&["errors"], 0);
    for part in [
        "docs/secret: cannot read the file: Permission denied",
        "docs/dir: cannot list the directory: Permission denied",
        "docs/list: ",
        "needs the right to read",
        "`SupplementaryGroups=`",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (health, _) = bed.ends(&["health"], 4);
    assert!(
        health.contains("; the newest is docs/") && health.contains("3 blocked, see `smh-mirror"),
        "{health}"
    );
    for (name, content) in [("secret", "one"), ("dir/a", "a"), ("list/b", "b")] {
        assert_eq!(fs::read_to_string(bed.objects().join(name)).unwrap(), content);
    }
    let (out, _) = bed.ends(&["history"], 0);
    assert!(!out.contains("gone"), "{out}");
    // The change of the rights is enough: no scan is near.
    bed.forget_requests();
    rights("secret", 0o644);
    rights("dir", 0o755);
    rights("list", 0o755);
    bed.until_mirrored("secret", "two");
    bed.until_current();
    assert_eq!(bed.asked_about("file.start").len(), 1, "the rest had not changed");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_dry_run_says_what_it_could_not_read() {
    let bed = Bed::new();
    bed.write("good", "good");
    bed.write("bad", "bad");
    bed.write("d/in", "in");
    for name in ["bad", "d"] {
        let none = fs::Permissions::from_mode(0o000);
        fs::set_permissions(bed.root().join(name), none).unwrap();
    }
    let probe = bed.powerless(&["--version"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return left_out("take the rights of root away");
    }
    let output = bed.powerless(&["sync", "--dry-run"]).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{out}");
    for part in [
        "would send docs/good (4 B, new)",
        "would not send docs/bad: cannot read the file: Permission denied",
        "would not send docs/d: cannot list the directory: Permission denied",
        "needs the right to read",
        "would send at most 1 file, 4 B;",
        "2 entries cannot be read here",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    fs::set_permissions(bed.root().join("d"), fs::Permissions::from_mode(0o755)).unwrap();
    let output = bed.powerless(&["sync", "--dry-run", "--json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["unreadable"][0]["path"], "bad", "{json}");
    assert_eq!(json["would_send"].as_array().unwrap().len(), 2, "{json}");
}

#[test]
fn an_error_of_the_disk_is_unknown_and_never_gone() {
    let bed = Bed::new();
    for n in 0..50 {
        bed.write(&format!("d/f{n:02}"), format!("content {n}"));
    }
    bed.write("e/g", "one");
    bed.ends(&["sync"], 0);
    let strace = |call: &str, when: &str, path: &str| {
        let inner = bed.command(&["sync"]);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null"]);
        command.arg(format!("-etrace={call}")).arg(format!("-einject={call}:error=EIO{when}"));
        command.arg("-P").arg(bed.root().join(path)).arg(inner.get_program());
        command.args(inner.get_args()).env_clear().env("PATH", "/usr/bin:/bin");
        command.output()
    };
    if !strace("getdents64", ":when=9999", "d").is_ok_and(|output| output.status.success()) {
        return left_out("inject errors with strace");
    }
    // At once, and after the first names were read.
    for when in ["", ":when=2+"] {
        let output = strace("getdents64", when, "d").unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert_eq!(bed.mirror()["state"], "behind");
        assert_eq!(bed.mirror()["files"]["synced"], 51, "nothing is forgotten");
        let (out, _) = bed.ends(&["errors"], 0);
        assert!(out.contains("docs/d") && out.contains("cannot list the directory"), "{out}");
        let (out, _) = bed.ends(&["history"], 0);
        assert!(!out.contains("gone"), "{out}");
        bed.ends(&["sync"], 0);
        assert_eq!(bed.mirror()["state"], "current");
    }
    // In a file.
    bed.write("e/g", "two");
    let output = strace("read", "", "e/g").unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let (out, _) = bed.ends(&["errors"], 0);
    assert!(out.contains("docs/e/g") && out.contains("Input/output error"), "{out}");
    assert_eq!(fs::read(bed.objects().join("e/g")).unwrap(), b"one");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
}

#[test]
fn a_folder_that_is_mounted_below_itself_ends() {
    let bed = Bed::new();
    bed.write("d/e/f", "f");
    bed.write("beside/g", "g");
    for place in ["d/e/loop", "d/all", "other"] {
        fs::create_dir_all(bed.root().join(place)).unwrap();
    }
    let root = bed.root();
    let mounts = [
        Mounted::bind(&root.join("d"), &root.join("d/e/loop")),
        Mounted::bind(&root, &root.join("d/all")),
        // Not a loop: it is mirrored at both places.
        Mounted::bind(&root.join("beside"), &root.join("other")),
    ];
    if mounts.iter().any(Option::is_none) {
        return left_out("mount a folder");
    }
    bed.ends(&["sync"], 0);
    let skipped = bed.skipped();
    assert_eq!((skipped["d/e/loop"].as_str(), skipped["d/all"].as_str()), ("loop", "loop"));
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    assert_eq!(fs::read(bed.objects().join("other/g")).unwrap(), b"g");
    assert!(!bed.objects().join("d/e/loop").exists());
    assert_eq!(bed.mirror()["state"], "current");
    let looped = root.join("d/e/loop/e/f");
    let (out, _) = bed.ends(&["explain", looped.to_str().unwrap()], 0);
    assert!(out.contains("mounted below itself"), "{out}");
    let daemon = bed.daemon_until_current();
    bed.write("d/e/f", "changed");
    bed.until_mirrored("d/e/f", "changed");
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));
}

/// A directory below `top`, `levels` deeper, each with a name of `len` bytes, and a file in it.
fn deep(top: &Path, levels: usize, len: usize) -> usize {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(top, flags, Mode::empty()).unwrap();
    let name = "n".repeat(len);
    for _ in 0..levels {
        rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, &name, flags, Mode::empty()).unwrap();
    }
    let new = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&at, "f", new, Mode::RUSR | Mode::WUSR).unwrap();
    std::io::Write::write_all(&mut File::from(file), b"deep").unwrap();
    levels * (len + 1) + 1
}

#[test]
fn long_names_and_paths_beyond_the_limit_of_the_kernel_are_found_and_named() {
    let bed = Bed::new();
    let longest = "x".repeat(255);
    let wide = "ü".repeat(127);
    bed.write(&longest, "longest");
    bed.write(&format!("{wide}/{longest}"), "both");
    bed.write("plain", "plain");
    fs::create_dir(bed.root().join("long")).unwrap();
    assert!(deep(&bed.root().join("long"), 30, 200) > 4096);
    let daemon = bed.daemon();
    bed.until_mirrored(&longest, "longest");
    bed.until_mirrored(&format!("{wide}/{longest}"), "both");
    // What the service does not take is named; nothing waits for it, and nothing says that all is well.
    until_or(
        || format!("a word about the deep file: {}\n{}", bed.mirror(), bed.log()),
        || (bed.mirror()["files"]["blocked"].as_u64() >= Some(1)).then_some(()),
    );
    assert_eq!(bed.mirror()["state"], "behind");
    let (out, _) = bed.ends(&["errors"], 0);
    assert!(out.contains("docs/long/nnn") && out.contains("414 URITooLong"), "{out}");
    bed.write("plain", "changed");
    bed.until_mirrored("plain", "changed");
    assert_eq!(daemon.stop(), Some(0));
    // Left out by a rule, it is nobody's trouble.
    bed.configure("exclude = [\"/long/\"]");
    bed.ends(&["sync"], 0);
}

/// The folder is only ever read: nothing works less when nothing can be written.
#[test]
fn a_folder_that_is_mounted_read_only_is_mirrored_all_the_same() {
    let bed = Bed::new();
    let store = bed.path("store");
    fs::create_dir_all(store.join("d")).unwrap();
    fs::write(store.join("d/a"), "a").unwrap();
    fs::write(store.join(".smh-mirrorignore"), "*.log\n").unwrap();
    fs::write(store.join("b.log"), "b").unwrap();
    let Some(mounted) = Mounted::bind(&store, &bed.root()) else {
        return left_out("mount a folder");
    };
    mounted.read_only();
    assert!(fs::write(bed.root().join("x"), "x").is_err(), "it is not read-only");
    let daemon = bed.daemon_until_current();
    bed.until_mirrored("d/a", "a");
    // Changed from elsewhere, as on a server of files.
    fs::write(store.join("d/a"), "changed").unwrap();
    bed.until_mirrored("d/a", "changed");
    fs::write(store.join(".smh-mirrorignore"), "").unwrap();
    bed.until_mirrored("b.log", "b");
    fs::remove_file(store.join("d/a")).unwrap();
    until("d/a to be gone", || (bed.state_of("d/a") == "gone").then_some(()));
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));
    for args in [
        &["sync"][..],
        &["sync", "--dry-run"],
        &["status", "--exit-code"],
        &["health"],
        &["errors"],
        &["history"],
        &["config", "check"],
    ] {
        bed.ends(args, 0);
    }
    // A lost journal too.
    fs::remove_file(bed.path("state/journal.db")).unwrap();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.missing(), Vec::<String>::new());
}

#[test]
fn every_name_of_a_file_is_mirrored() {
    let bed = Bed::new();
    let one = bed.write("one", "content");
    fs::create_dir(bed.root().join("d")).unwrap();
    fs::hard_link(&one, bed.root().join("d/two")).unwrap();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    fs::write(bed.root().join("d/two"), "changed").unwrap();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    // One name goes: nothing is sent for the other.
    bed.forget_requests();
    fs::remove_file(&one).unwrap();
    assert_eq!(fs::metadata(bed.root().join("d/two")).unwrap().nlink(), 1);
    bed.ends(&["sync"], 0);
    assert_eq!(bed.all_requests(), 0);
    assert_eq!((bed.state_of("one"), bed.state_of("d/two")), ("gone".into(), "synced".into()));
}

/// The kernel tells only of the name that was used, and the next scan is an hour away.
#[test]
fn a_change_under_one_name_of_a_file_is_seen_under_all() {
    let bed = Bed::new();
    let one = bed.write("one", "content");
    fs::create_dir(bed.root().join("d")).unwrap();
    fs::hard_link(&one, bed.root().join("d/two")).unwrap();
    fs::hard_link(&one, bed.root().join("d/three")).unwrap();
    let daemon = bed.daemon_until_current();
    for content in ["changed", "changed again"] {
        fs::write(bed.root().join("d/two"), content).unwrap();
        for name in ["d/two", "d/three", "one"] {
            bed.until_mirrored(name, content);
        }
    }
    // A name that goes changes the others too; nothing is sent for that.
    bed.until_current();
    bed.forget_requests();
    fs::remove_file(bed.root().join("d/three")).unwrap();
    until("one as it is", || (bed.state_of("one") == "synced").then_some(()));
    until("d/two as it is", || (bed.state_of("d/two") == "synced").then_some(()));
    assert_eq!(bed.all_requests(), 0);
    assert_eq!(daemon.stop(), Some(0));
}

/// A directory of 100,000 files is held in memory as names and no more.
#[test]
fn memory_does_not_grow_with_the_files_of_a_directory() {
    let peak = |files: usize| {
        let bed = Bed::new();
        for n in 0..files {
            File::create(bed.root().join(format!("file-{n:08}"))).unwrap();
        }
        // Nobody listens there: they are found, and wait.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        bed.configure_for(&format!("http://127.0.0.1:{port}"), "");
        let daemon = bed.daemon();
        until("a scan", || bed.log().contains("scan complete").then_some(()));
        let peak = peak_kib(daemon.pid());
        assert_eq!(bed.mirror()["files"]["pending"], files);
        daemon.kill();
        peak
    };
    let (few, many) = (peak(10_000), peak(100_000));
    // Ten times the files; 90,000 names more, of 13 bytes each.
    assert!(many < few * 3, "{few} KiB, then {many} KiB");
}

/// At a start too, one root that was seen before and cannot be read now must not keep the other mirrors from their work.
#[test]
fn a_root_that_cannot_be_read_is_held_when_it_was_seen_before() {
    let bed = Bed::new();
    bed.write("a", "a");
    let other = bed.path("other");
    fs::create_dir(&other).unwrap();
    bed.configure(&format!("[[mirror]]\nname = \"other\"\nlocal = {other:?}\nremote = \"other\""));
    let forbid = |mode| fs::set_permissions(bed.root(), fs::Permissions::from_mode(mode)).unwrap();
    let pass = || {
        let output = bed.powerless(&["sync"]).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
        )
    };
    // One that was never seen is for whoever sets it up.
    forbid(0);
    let (code, said) = pass();
    assert_eq!(code, Some(77), "{said}");
    forbid(0o755);
    let (code, said) = pass();
    assert_eq!(code, Some(0), "{said}");
    forbid(0);
    fs::write(other.join("b"), "b").unwrap();
    let (code, said) = pass();
    assert_eq!(code, Some(5), "{said}");
    assert_eq!(fs::read(bed.path("library/objects/other/b")).unwrap(), b"b");
    assert_eq!(bed.mirror()["state"], "held");
    forbid(0o755);
    let (code, said) = pass();
    assert_eq!(code, Some(0), "{said}");
}
