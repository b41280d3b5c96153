//! Rules that change while the daemon works: what is not ignored any more is sent, of what is ignored the copy stays.

use std::fs;

use serde_json::{Value, json};

use crate::bed::{Bed, until, until_or};

fn skipped_as(bed: &Bed, name: &str, reason: Option<&str>) {
    until_or(
        || format!("{name} as {reason:?}: {:?}; log:\n{}", bed.skipped(), bed.log()),
        || (bed.skipped().get(name).map(String::as_str) == reason).then_some(()),
    );
}

/// Nothing was ever removed from the library.
fn nothing_deleted(bed: &Bed) {
    for route in ["file.delete", "directory.delete", "batch.delete", "file.move"] {
        assert_eq!(bed.requests(route), 0, "{route}");
    }
}

#[test]
fn rules_count_as_soon_as_they_are_written() {
    let bed = Bed::new();
    bed.write("sub/a.log", "a");
    bed.write("sub/deep/b.log", "b");
    bed.write("c.log", "c");
    bed.write("build/x/y", "y");
    let daemon = bed.daemon_until_current();
    // A new file of rules, in a subdirectory.
    bed.write("sub/.smh-mirrorignore", "*.log\n");
    for name in ["sub/a.log", "sub/deep/b.log"] {
        skipped_as(&bed, name, Some("excluded"));
    }
    bed.write("sub/a.log", "changed while it is ignored");
    bed.write("c.log", "changed");
    bed.until_mirrored("c.log", "changed");
    bed.until_current();
    assert_eq!(fs::read(bed.objects().join("sub/a.log")).unwrap(), b"a");
    assert_eq!(fs::read(bed.objects().join("sub/deep/b.log")).unwrap(), b"b");
    // Replaced by a rename, as editors do.
    let beside = bed.write("sub/rules", "b.log\n");
    fs::rename(beside, bed.root().join("sub/.smh-mirrorignore")).unwrap();
    bed.until_mirrored("sub/a.log", "changed while it is ignored");
    skipped_as(&bed, "sub/deep/b.log", Some("excluded"));
    // Removed.
    bed.write("sub/deep/b.log", "changed too");
    fs::remove_file(bed.root().join("sub/.smh-mirrorignore")).unwrap();
    bed.until_mirrored("sub/deep/b.log", "changed too");
    // A whole directory, with what is in it.
    bed.write(".smh-mirrorignore", "/build/\n");
    skipped_as(&bed, "build", Some("excluded"));
    assert_eq!(bed.state_of("build/x/y"), "skipped");
    bed.write("build/x/z", "z");
    bed.until_mirrored(".smh-mirrorignore", "/build/\n");
    bed.until_current();
    assert!(bed.objects().join("build/x/y").exists());
    assert!(!bed.objects().join("build/x/z").exists());
    fs::write(bed.root().join(".smh-mirrorignore"), "").unwrap();
    bed.until_mirrored("build/x/z", "z");
    skipped_as(&bed, "build", None);
    bed.until_current();
    assert_eq!(bed.missing(), Vec::<String>::new());
    let (out, _) = bed.ends(&["history"], 0);
    assert!(!out.lines().any(|line| line.contains("docs/build") && line.contains("gone")), "{out}");
    nothing_deleted(&bed);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn rules_that_cannot_be_read_make_the_folder_unknown_and_nothing_gone() {
    let bed = Bed::new();
    bed.write("sub/keep", "keep");
    bed.write("sub/.smh-mirrorignore", "secret\n");
    bed.write("sub/secret", "secret");
    bed.write("other", "other");
    let daemon = bed.daemon_until_current();
    // Larger than any rules are, and a link, which is not followed.
    for spoil in [false, true] {
        let rules = bed.root().join("sub/.smh-mirrorignore");
        if spoil {
            fs::copy(&rules, bed.path("rules")).unwrap();
            std::os::unix::fs::symlink(bed.path("rules"), bed.path("link")).unwrap();
            fs::rename(bed.path("link"), &rules).unwrap();
        } else {
            fs::write(bed.path("rules"), vec![b'#'; (1 << 20) + 1]).unwrap();
            fs::rename(bed.path("rules"), &rules).unwrap();
        }
        bed.write("sub/secret", format!("still {spoil}"));
        bed.write("sub/new", format!("new {spoil}"));
        bed.write("other", format!("other {spoil}"));
        bed.until_mirrored("other", format!("other {spoil}"));
        until_or(
            || format!("behind: {}", bed.mirror()),
            || (bed.mirror()["state"] == "behind").then_some(()),
        );
        let (out, _) = bed.ends(&["errors"], 0);
        assert!(out.contains("sub/.smh-mirrorignore"), "{out}");
        assert!(!bed.objects().join("sub/secret").exists(), "what was kept back was sent");
        assert_eq!(fs::read(bed.objects().join("sub/keep")).unwrap(), b"keep");
        assert_ne!(bed.state_of("sub/keep"), "gone");
        fs::write(bed.path("good"), "secret\n").unwrap();
        fs::rename(bed.path("good"), &rules).unwrap();
        bed.until_mirrored("sub/new", format!("new {spoil}"));
        bed.until_current();
    }
    assert!(!bed.objects().join("sub/secret").exists());
    assert_eq!(bed.skipped()["sub/secret"], "excluded");
    nothing_deleted(&bed);
    assert_eq!(daemon.stop(), Some(0));
}

/// Whoever writes rules in place begins with an empty file. What they keep back must not be sent in between.
#[test]
fn rules_that_are_being_written_keep_back_what_they_kept_back() {
    let bed = Bed::new();
    bed.write(".smh-mirrorignore", "secret\n/private/\n");
    bed.write("secret", "secret");
    bed.write("private/deep/secret too", "secret");
    let file = bed.path("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, text.replace("\"100ms\"", "\"1500ms\"")).unwrap();
    let daemon = bed.daemon_until_current();
    let rules = bed.root().join(".smh-mirrorignore");
    for n in 0..3 {
        fs::write(&rules, "").unwrap();
        until("the empty rules to be heard of", || bed.skipped().is_empty().then_some(()));
        fs::write(&rules, format!("# {n}\nsecret\n/private/\n")).unwrap();
        skipped_as(&bed, "secret", Some("excluded"));
        skipped_as(&bed, "private", Some("excluded"));
    }
    bed.until_mirrored(".smh-mirrorignore", "# 2\nsecret\n/private/\n");
    bed.until_current();
    let started = bed.asked_about("file.start");
    assert!(!started.iter().any(|path| path.contains("secret")), "{started:?}");
    // Rules that stay away count.
    fs::remove_file(&rules).unwrap();
    bed.until_mirrored("secret", "secret");
    bed.until_mirrored("private/deep/secret too", "secret");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn temporary_names_are_shown_named_and_can_be_switched_off() {
    let bed = Bed::new();
    let names = [".a.txt.swp", ".~lock.a.odt#", "~$a.docx", "a.zip.crdownload", "b.iso.part"];
    for name in names {
        bed.write(name, "x");
    }
    // What people want back.
    let wanted = ["a.tmp", "a.bak", "a~", "a.swp", "#draft#", ".bashrc.backup", "part", "a.part1"];
    for name in wanted {
        bed.write(name, "x");
    }
    // A directory is never a temporary file.
    bed.write("x.part/y", "y");
    bed.ends(&["sync"], 0);
    let skipped = bed.skipped();
    assert_eq!(skipped.len(), names.len(), "{skipped:?}");
    for name in names {
        assert_eq!(skipped[name], "temporary");
    }
    let path = bed.root().join("b.iso.part");
    let path = path.to_str().unwrap();
    let (out, _) = bed.ends(&["explain", path], 0);
    assert!(out.contains("`*.part` of the built-in list of temporary names"), "{out}");
    assert!(out.contains("`!*.part`") && out.contains("exclude_temporary"), "{out}");
    let (out, _) = bed.ends(&["config", "show"], 0);
    assert!(out.contains("exclude_temporary = true") && out.contains(" *.part"), "{out}");
    let (out, _) = bed.ends(&["config", "show", "--json"], 0);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert!(shown["mirrors"][0]["temporary_names"].as_array().unwrap().contains(&json!("*.part")));
    // One rule, then none of them.
    bed.configure("exclude = [\"!*.part\"]");
    bed.ends(&["sync"], 0);
    assert!(bed.objects().join("b.iso.part").exists());
    let (out, _) = bed.ends(&["explain", path], 0);
    assert!(out.contains("config.toml:") && out.contains("brings it back"), "{out}");
    assert_eq!(bed.skipped().len(), names.len() - 1);
    bed.configure("exclude_temporary = false");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    assert!(bed.skipped().is_empty());
    let (out, _) = bed.ends(&["config", "show"], 0);
    assert!(out.contains("exclude_temporary = false") && !out.contains(" *.part"), "{out}");
}

#[test]
fn the_rule_that_decides_is_named_with_file_and_line() {
    let bed = Bed::new();
    bed.write("sub/.smh-mirrorignore", "# why\n\n*.log\n!keep.log\n");
    bed.write("sub/a.log", "a");
    bed.write("sub/keep.log", "keep");
    bed.write("sub/deep/b.log", "b");
    bed.ends(&["sync"], 0);
    let rule = |name: &str| -> Value {
        let path = bed.root().join(name);
        let (out, _) = bed.ends(&["explain", "--json", path.to_str().unwrap()], 0);
        serde_json::from_str::<Value>(&out).unwrap()["rule"].clone()
    };
    let file = bed.root().join("sub/.smh-mirrorignore");
    for (name, line, leaves_out) in
        [("sub/a.log", 3, true), ("sub/keep.log", 4, false), ("sub/deep/b.log", 3, true)]
    {
        let rule = rule(name);
        assert_eq!(rule["file"], json!(file.to_str().unwrap()), "{name}");
        assert_eq!((&rule["line"], &rule["leaves_out"]), (&json!(line), &json!(leaves_out)));
    }
    until("the copy", || bed.objects().join("sub/keep.log").exists().then_some(()));
}

/// What is left out while it is sent is not taken to be deleted when it arrives.
#[test]
fn what_is_ignored_while_it_is_sent_is_not_gone() {
    let bed = Bed::new();
    bed.write("plain", "plain");
    let daemon = bed.daemon_until_current();
    bed.fault(json!({"route": "file.confirm", "times": 2, "effect": {"delay_ms": 4000}}));
    bed.write("sub/f", "f");
    bed.write("g", "g");
    until("both confirms", || (bed.mirror()["files"]["uploading"] == 2).then_some(()));
    bed.write(".smh-mirrorignore", "/sub/\n/g\n");
    skipped_as(&bed, "sub", Some("excluded"));
    skipped_as(&bed, "g", Some("excluded"));
    bed.until_mirrored("sub/f", "f");
    bed.until_mirrored("g", "g");
    bed.until_current();
    until("no open upload", || (bed.open_uploads() == 0).then_some(()));
    let (out, _) = bed.ends(&["history"], 0);
    assert!(!out.contains("gone"), "{out}");
    // Nothing in the journal says that they were mirrored and went.
    assert_eq!(daemon.stop(), Some(0));
    fs::remove_file(bed.root().join("g")).unwrap();
    fs::remove_dir_all(bed.root().join("sub")).unwrap();
    bed.ends(&["sync"], 0);
    assert_eq!((bed.state_of("g"), bed.state_of("sub/f")), ("unknown".into(), "unknown".into()));
}
