//! Acting on the daemon: `pause`, `resume`, `rescan`, `reload`, what is being sent, and the socket.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::bed::{Bed, noise, until, until_or};

/// The one control socket of the state folder.
fn socket(bed: &Bed) -> PathBuf {
    until("a control socket", || {
        fs::read_dir(bed.path("state"))
            .ok()?
            .flatten()
            .map(|entry| entry.path().join("socket"))
            .find(|path| path.exists())
    })
}

/// What the daemon answers to these bytes, if it does.
fn said(bed: &Bed, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket(bed)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // It may have heard enough.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

fn until_waiting(bed: &Bed, files: u64) {
    until_or(
        || format!("{files} files wait, paused: {}\n{}", bed.mirror(), bed.log()),
        || {
            let mirror = bed.mirror();
            (mirror["state"] == "paused" && mirror["files"]["pending"] == files).then_some(())
        },
    );
}

#[test]
fn a_pause_outlives_the_daemon_and_ends_when_a_person_says_so() {
    let bed = Bed::new();
    bed.write("a", "a");
    let daemon = bed.daemon_until_current();
    let (out, _) = bed.ends(&["pause"], 0);
    assert!(out.contains(&format!("docs: paused until `{} resume`", bed.program())), "{out}");
    until_waiting(&bed, 0);
    // Nothing waits, so everything is mirrored, and that it is paused is said.
    let (out, _) = bed.ends(&["health"], 0);
    assert!(out.contains("paused since"), "{out}");
    let b = bed.write("b", "b");
    until_waiting(&bed, 1);
    let (out, _) = bed.ends(&["health"], 4);
    assert!(out.contains(&format!("`{} resume docs` ends it", bed.program())), "{out}");
    let (out, _) = bed.ends(&["explain", b.to_str().unwrap()], 0);
    assert!(out.contains("nothing new is sent meanwhile"), "{out}");
    let (out, _) = bed.ends(&["status", b.to_str().unwrap()], 0);
    assert!(out.contains("docs/b: pending (paused since "), "{out}");
    assert_eq!(daemon.stop(), Some(0));

    let scans = bed.log().matches("scan complete").count();
    let daemon = bed.daemon();
    until("a scan", || (bed.log().matches("scan complete").count() > scans).then_some(()));
    until_waiting(&bed, 1);
    assert_eq!(bed.starts_of("b"), 0);
    bed.ends(&["resume", "docs"], 0);
    bed.until_mirrored("b", "b");
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));

    // The same with nobody there: a pass takes the requests, in their order.
    bed.write("c", "c");
    bed.ends(&["resume"], 0);
    let (out, _) = bed.ends(&["pause", "docs", "--for", "1h"], 0);
    assert!(out.contains("no daemon works now"), "{out}");
    let (out, _) = bed.ends(&["sync"], 3);
    assert!(out.contains("docs: paused since") && out.contains(" until "), "{out}");
    assert_eq!(bed.starts_of("c"), 0);
    bed.ends(&["resume", "docs"], 0);
    bed.ends(&["sync"], 0);
    bed.until_mirrored("c", "c");
    let (_, err) = bed.ends(&["pause", "photos"], 2);
    assert!(err.contains("name one of docs"), "{err}");
    let (_, err) = bed.ends(&["pause", "--for", "0s"], 2);
    assert!(err.contains("it would be over at once"), "{err}");
}

#[test]
fn a_pause_ends_by_itself() {
    let bed = Bed::new();
    let _daemon = bed.daemon_until_current();
    bed.ends(&["pause", "--for", "2s"], 0);
    bed.write("a", "a");
    until_waiting(&bed, 1);
    bed.until_mirrored("a", "a");
    bed.until_current();
}

#[test]
fn a_rescan_finds_what_nobody_told_of() {
    let bed = Bed::new();
    bed.configure("watch = \"poll\"\npoll_interval = \"1d\"\nrescan = \"1d\"");
    bed.write("sub/a", "a");
    bed.write("b", "b");
    let daemon = bed.daemon_until_current();
    let a = bed.write("sub/a", "other");
    bed.write("b", "other");
    let sub = a.parent().unwrap().to_str().unwrap();
    let (out, _) = bed.ends(&["rescan", sub], 0);
    assert!(out.contains("docs/sub: is looked at"), "{out}");
    bed.until_mirrored("sub/a", "other");
    assert_eq!(bed.state_of("b"), "pending", "it was seen by the command, and not by the daemon");
    assert_eq!(bed.starts_of("b"), 1);
    let (out, _) = bed.ends(&["rescan", "docs"], 0);
    assert!(out.contains("docs: a full scan begins"), "{out}");
    bed.until_mirrored("b", "other");
    bed.ends(&["rescan", "/elsewhere"], 2);
    assert_eq!(daemon.stop(), Some(0));
    let (out, _) = bed.ends(&["rescan"], 0);
    assert!(out.contains("no daemon works now"), "{out}");
}

#[test]
fn what_is_being_sent_is_told_while_it_is() {
    let bed = Bed::new();
    bed.configure("[transfer]\nbandwidth_limit = \"1MiB/s\"");
    let daemon = bed.daemon_until_current();
    assert_eq!(bed.status()["uploads"], serde_json::json!([]));
    let watching = bed.start(&["status", "--watch"]);
    let content = noise(6 << 20, 1);
    bed.write("large", &content);
    let upload = until("an upload that runs", || {
        let uploads = bed.status()["uploads"].clone();
        uploads.as_array()?.iter().find(|upload| upload["bytes"] != 0).cloned()
    });
    assert_eq!((&upload["mirror"], &upload["path"]), (&"docs".into(), &"large".into()));
    assert_eq!(upload["total"], 6 << 20);
    assert!(upload["since"].is_string() && upload["rate"].is_u64(), "{upload}");
    let lines = || fs::read_to_string(bed.path("said")).unwrap_or_default();
    until_or(
        || format!("a line about it: {}", lines()),
        || lines().contains("  docs/large: sending, ").then_some(()),
    );
    bed.until_mirrored("large", &content);
    bed.until_current();
    until("the news that all is current", || {
        lines().contains("docs: current, 1 synced (6.00 MiB)").then_some(())
    });
    watching.signal(Signal::INT);
    assert_eq!(watching.ended(), Some(0));
    assert_eq!(bed.status()["uploads"], serde_json::json!([]));
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(bed.status()["uploads"], Value::Null);
}

#[test]
fn the_socket_is_for_its_user_and_garbage_harms_nobody() {
    let bed = Bed::new();
    bed.daemon_until_current().kill();
    let stale = socket(&bed);
    let daemon = bed.daemon_until_current();
    assert_eq!(socket(&bed), stale, "what the killed one left is replaced");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&stale), mode(stale.parent().unwrap())), (0o600, 0o700));

    let idle: Vec<_> = (0..8).map(|_| UnixStream::connect(&stale).unwrap()).collect();
    let long = vec![b'x'; 100_000];
    for garbage in [
        b"\n".as_slice(),
        b"{\"version\":1,\"ask\":\"everything\"}\n",
        b"{\"version\":7,\"ask\":\"uploads\"}\n",
        b"\xff\0\xfe\n",
        b"{\"version\":1,\"ask\":\"uploads\"}",
        &long,
    ] {
        let said = said(&bed, garbage);
        // One that sends more than is read may lose the answer, and nothing else.
        assert!(said.contains("\"failed\"") || garbage.len() > 4096, "{said}");
    }
    let answer = said(&bed, b"{\"version\":1,\"ask\":\"uploads\"}\n");
    assert_eq!(answer, "{\"version\":1,\"answer\":{\"uploads\":[]}}\n");
    assert_eq!(
        bed.status()["uploads"],
        serde_json::json!([]),
        "clients that say nothing disturb nobody"
    );
    drop(idle);
    bed.write("a", "a");
    bed.until_mirrored("a", "a");
    assert_eq!(daemon.stop(), Some(0));
    assert!(!stale.exists());
}

#[test]
fn a_daemon_that_is_stopped_takes_what_is_asked_later_and_is_not_waited_for() {
    let bed = Bed::new();
    bed.write("a", "a");
    let daemon = bed.daemon_until_current();
    daemon.signal(rustix::process::Signal::STOP);
    until("stopped", || (bed.status()["daemon"]["stopped"] == true).then_some(()));
    // Who waited for it would be told that it did not answer.
    let (_, err) = bed.ends(&["reload"], 1);
    assert!(err.contains("is stopped by a signal") && err.contains("kill -CONT"), "{err}");
    let (out, _) = bed.ends(&["pause"], 0);
    assert!(out.contains("the daemon has not taken the request yet"), "{out}");
    daemon.signal(rustix::process::Signal::CONT);
    until("paused", || (bed.mirror()["state"] == "paused").then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_reload_says_what_came_of_it() {
    let bed = Bed::new();
    let (_, err) = bed.ends(&["reload"], 1);
    assert!(err.contains("nothing to reload"), "{err}");
    let daemon = bed.daemon_until_current();
    socket(&bed);
    let (out, _) = bed.ends(&["reload"], 0);
    assert!(out.contains("did not change"), "{out}");
    bed.configure("exclude = [\"*.bak\"]");
    let (out, _) = bed.ends(&["reload"], 0);
    assert!(out.contains("the new configuration is in force"), "{out}");
    bed.configure("settle_max = \"soon\"");
    let (_, err) = bed.ends(&["reload"], 78);
    assert!(err.contains("settle_max") && err.contains("the old one stays in force"), "{err}");
    // It works on with the old one, and who asks is answered by that, and told.
    let file = bed.root().join("a.bak");
    let file = file.to_str().unwrap();
    let wrong = fs::read_to_string(bed.path("config.toml")).unwrap();
    for text in [wrong.as_str(), &format!("{wrong}\nsettle = = 1\n")] {
        fs::write(bed.path("config.toml"), text).unwrap();
        for args in [&["status"][..], &["health"], &["errors"], &["history"], &["explain", file]] {
            let (_, err) = bed.ends(args, 0);
            for part in ["warning: ", "config.toml:", " reload`"] {
                assert!(err.contains(part), "{args:?}: {err}");
            }
        }
        let (out, err) = bed.ends(&["health", "-q"], 0);
        assert_eq!((out.as_str(), err.as_str()), ("", ""));
        let (out, _) = bed.ends(&["status", "--json"], 0);
        let status: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(status["mirrors"][0]["state"], "current", "{status}");
        bed.ends(&["pause"], 0);
        bed.ends(&["resume"], 0);
    }
    // One that cannot answer: what is wrong is all that is known.
    daemon.signal(Signal::STOP);
    let (_, err) = bed.ends(&["status"], 78);
    assert!(err.contains("cannot be asked") && err.contains("correct the file"), "{err}");
    daemon.signal(Signal::CONT);
    // Only the daemon knows what is wrong with this one: it reads the secret.
    bed.configure("");
    fs::remove_file(bed.path("secret")).unwrap();
    let (_, err) = bed.ends(&["reload"], 78);
    assert!(err.contains("the old one stays in force"), "{err}");
    bed.secret("emulator-secret");
    bed.write("a.bak", "a");
    bed.write("b", "b");
    bed.until_mirrored("b", "b");
    assert_eq!(bed.starts_of("a.bak"), 0);
    assert_eq!(daemon.stop(), Some(0));
}

/// A state folder of the daemon in which root let it work for once.
#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn what_root_makes_belongs_to_the_user_of_the_daemon() {
    if !rustix::process::geteuid().is_root() {
        println!("left out: only root can make something for another user");
        return;
    }
    let bed = Bed::new();
    bed.write("a", "a");
    fs::create_dir(bed.path("state")).unwrap();
    std::os::unix::fs::chown(bed.path("state"), Some(61_234), Some(61_235)).unwrap();
    let mut made = BTreeSet::new();
    for _ in 0..2 {
        let daemon = bed.daemon_until_current();
        for entry in fs::read_dir(bed.path("state")).unwrap().map(Result::unwrap) {
            // Of every daemon its own.
            if entry.file_name().to_str().unwrap().starts_with("control-") {
                continue;
            }
            let meta = entry.metadata().unwrap();
            assert_eq!((meta.uid(), meta.gid()), (61_234, 61_235), "{entry:?}");
            assert_eq!(meta.mode() & 0o077, 0, "{entry:?}");
            made.insert(entry.file_name().into_string().unwrap());
        }
        assert_eq!(daemon.stop(), Some(0));
        // Damaged, it is replaced.
        fs::write(bed.path("state/journal.db"), "no database at all").unwrap();
    }
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "lock", "stuck", "requests"] {
        assert!(made.contains(name), "{name}: {made:?}");
    }
    assert_eq!(bed.set_aside().len(), 1);
}

/// The user of the daemon may put a link in the place of what root makes, to be given what it leads to.
#[test]
fn a_link_in_the_state_folder_gives_nothing_away() {
    let bed = Bed::new();
    bed.write("a", "a");
    let owner = |path: &std::path::Path| {
        let meta = fs::metadata(path).unwrap();
        (meta.uid(), meta.gid(), meta.mode())
    };
    for name in ["journal.db", "lock", "stuck"] {
        let _ = fs::remove_dir_all(bed.path("state"));
        fs::create_dir(bed.path("state")).unwrap();
        for target in ["there", "missing"] {
            let target = bed.path(target);
            if target.ends_with("there") {
                fs::write(&target, "").unwrap();
                fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
            }
            // As its user may be another one only for root.
            let _ = std::os::unix::fs::chown(bed.path("state"), Some(61_234), Some(61_235));
            let before = target.exists().then(|| owner(&target));
            std::os::unix::fs::symlink(&target, bed.path("state").join(name)).unwrap();
            let (_, err) = bed.ends(&["sync"], 1);
            assert!(err.contains(name), "{name}: {err}");
            assert_eq!(target.exists().then(|| owner(&target)), before, "{name}");
            fs::remove_file(bed.path("state").join(name)).unwrap();
        }
    }
    let elsewhere = bed.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let before = owner(&elsewhere);
    std::os::unix::fs::symlink(&elsewhere, bed.path("state/requests")).unwrap();
    bed.ends(&["sync"], 0);
    bed.ends(&["pause"], 0);
    assert_eq!(owner(&elsewhere), before);
}

/// The daemon of the units is no root, and whoever asks is: what it cannot read it could only throw away.
#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn what_root_asks_belongs_to_the_user_of_the_daemon() {
    if !rustix::process::geteuid().is_root() {
        println!("left out: only root can ask a daemon of another user");
        return;
    }
    let bed = Bed::new();
    bed.ends(&["sync"], 0);
    let requests = bed.path("state/requests");
    std::os::unix::fs::chown(&requests, Some(61_234), Some(61_235)).unwrap();
    for args in [&["pause"][..], &["resume"], &["rescan"], &["retry"], &["limit", "1MiB/s"]] {
        bed.ends(args, 0);
    }
    let left: Vec<_> = fs::read_dir(&requests).unwrap().map(Result::unwrap).collect();
    assert_eq!(left.len(), 5);
    for request in left {
        let meta = request.metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (61_234, 61_235, 0o600));
    }
}
