//! Acting on the daemon: `pause`, `resume`, `rescan`.

use crate::bed::{Bed, until, until_or};

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
    assert!(out.contains("docs: paused until `smh-mirror resume`"), "{out}");
    until_waiting(&bed, 0);
    // Nothing waits, so everything is mirrored, and that it is paused is said.
    let (out, _) = bed.ends(&["health"], 0);
    assert!(out.contains("paused since"), "{out}");
    let b = bed.write("b", "b");
    until_waiting(&bed, 1);
    let (out, _) = bed.ends(&["health"], 4);
    assert!(out.contains("`smh-mirror resume docs` ends it"), "{out}");
    let (out, _) = bed.ends(&["explain", b.to_str().unwrap()], 0);
    assert!(out.contains("nothing new is sent meanwhile"), "{out}");
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
