//! Symbolic links that are followed: what they point to is mirrored, and nothing outside of the folder.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::bed::{Bed, until, until_or};

fn link(bed: &Bed, target: &str, name: &str) {
    let path = bed.root().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

/// What lies in the library below the folder, except directories.
fn copies(bed: &Bed) -> Vec<String> {
    let all = crate::bed::walk(&bed.objects());
    all.into_iter().filter(|(_, content)| content.is_some()).map(|(path, _)| path).collect()
}

#[test]
fn links_are_mirrored_as_what_they_point_to_and_never_lead_outside() {
    let bed = Bed::new();
    bed.configure("symlinks = \"follow\"");
    bed.write("d/f", "f");
    bed.write("d/sub/g", "g");
    bed.write("e/h", "h");
    fs::create_dir(bed.path("outside")).unwrap();
    fs::write(bed.path("outside/secret"), "secret").unwrap();
    let root = bed.root();
    let inside = root.join("d/sub");
    for (target, name) in [
        ("d/f", "file"),
        ("../d/sub/../f", "e/deep"),
        ("file", "chain"),
        ("d", "tree"),
        ("tree/sub", "through"),
        (inside.to_str().unwrap(), "absolute"),
        ("../root/d/f", "around"),
        ("../outside", "out-dir"),
        ("../outside/secret", "out-file"),
        ("/etc/passwd", "out-system"),
        ("/", "out-all"),
        ("../state", "out-state"),
        ("/proc/self/root", "out-proc"),
        ("d/none", "dangling"),
        ("one", "two"),
        ("two", "one"),
        ("self", "self"),
        (".", "here"),
        ("..", "d/sub/up"),
        ("../..", "d/sub/top"),
        ("../e", "d/to-e"),
        ("../d", "e/to-d"),
    ] {
        link(&bed, target, name);
    }
    bed.ends(&["sync"], 0);
    let expected = [
        ("absolute/g", "g"),
        ("around", "f"),
        ("chain", "f"),
        ("d/f", "f"),
        ("d/sub/g", "g"),
        ("d/to-e/deep", "f"),
        ("d/to-e/h", "h"),
        ("e/deep", "f"),
        ("e/h", "h"),
        ("e/to-d/f", "f"),
        ("e/to-d/sub/g", "g"),
        ("file", "f"),
        ("through/g", "g"),
        ("tree/f", "f"),
        ("tree/sub/g", "g"),
        ("tree/to-e/deep", "f"),
        ("tree/to-e/h", "h"),
    ];
    assert_eq!(copies(&bed), expected.map(|(path, _)| path));
    for (path, content) in expected {
        assert_eq!(fs::read_to_string(bed.objects().join(path)).unwrap(), content, "{path}");
    }
    let skipped = bed.skipped();
    for (name, reason) in [
        ("out-dir", "symlink-outside"),
        ("out-file", "symlink-outside"),
        ("out-system", "symlink-outside"),
        ("out-all", "symlink-outside"),
        ("out-state", "symlink-outside"),
        ("out-proc", "symlink-outside"),
        ("dangling", "symlink-dangling"),
        ("one", "symlink-loop"),
        ("two", "symlink-loop"),
        ("self", "symlink-loop"),
        ("here", "symlink-loop"),
        ("d/sub/up", "symlink-loop"),
        ("d/sub/top", "symlink-loop"),
        ("tree/sub/up", "symlink-loop"),
        ("d/to-e/to-d", "symlink-loop"),
        ("e/to-d/to-e", "symlink-loop"),
    ] {
        assert_eq!(skipped.get(name).map(String::as_str), Some(reason), "{name}: {skipped:?}");
    }
    assert_eq!(bed.mirror()["state"], "current");
    // The disk is what the journal says, and a second pass finds nothing to do.
    bed.ends(&["status", "--exit-code"], 0);
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.all_requests(), 0);
    let explain = |name: &str| -> Value {
        let path = root.join(name);
        let (out, _) = bed.ends(&["explain", "--json", path.to_str().unwrap()], 0);
        serde_json::from_str(&out).unwrap()
    };
    let about = explain("chain");
    assert_eq!((&about["disk"]["target"], &about["state"]), (&json!("d/f"), &json!("synced")));
    assert!(explain("out-dir")["next"].as_str().unwrap().contains("a mirror of its own"));
    assert_eq!(explain("tree/sub/g")["state"], "synced");
}

#[test]
fn directories_full_of_links_to_each_other_are_not_mirrored_in_every_order() {
    let bed = Bed::new();
    bed.configure("symlinks = \"follow\"");
    let names: Vec<String> = (0..4).map(|n| format!("p{n}")).collect();
    for name in &names {
        bed.write(&format!("{name}/f"), name);
        for other in names.iter().filter(|other| *other != name) {
            link(&bed, &format!("../{other}"), &format!("{name}/{other}"));
        }
    }
    // Each leads to the one after it.
    for n in 0..6 {
        bed.write(&format!("c{n}/f"), n.to_string());
        if n > 0 {
            link(&bed, &format!("../c{n}"), &format!("c{}/c{n}", n - 1));
        }
    }
    bed.ends(&["sync"], 0);
    let copies = copies(&bed);
    let in_chain = |path: &&String| path.starts_with('c');
    // Never twice through the same one: 4 * (1 + 3 + 3*2 + 3*2*1).
    assert_eq!(copies.iter().filter(|path| !in_chain(path)).count(), 4 * (1 + 3 + 6 + 6));
    // Four links at most on the way to a file.
    assert_eq!(copies.iter().filter(in_chain).count(), 5 + 5 + 4 + 3 + 2 + 1);
    assert_eq!(bed.mirror()["state"], "current");
}

/// Nothing but hints can tell: the next scan is an hour away.
#[test]
fn what_happens_behind_a_link_is_noticed() {
    let bed = Bed::new();
    bed.configure("symlinks = \"follow\"\nexclude = [\"/hidden/\"]");
    bed.write("d/f", "one");
    bed.write("hidden/deep/g", "one");
    bed.write("other", "other");
    link(&bed, "d/f", "a-file");
    link(&bed, "d", "a-tree");
    link(&bed, "hidden/deep/g", "b-file");
    link(&bed, "hidden/deep", "b-tree");
    link(&bed, "d/later/x", "c-later");
    link(&bed, "a-file", "chain");
    let daemon = bed.daemon_until_current();
    bed.until_mirrored("b-tree/g", "one");
    assert!(!bed.objects().join("hidden").exists());
    // Changed in place, and by an atomic save.
    for (n, content) in ["two", "three", "four"].into_iter().enumerate() {
        for (target, names) in [
            ("d/f", &["a-file", "a-tree/f", "chain"][..]),
            ("hidden/deep/g", &["b-file", "b-tree/g"]),
        ] {
            if n == 1 {
                let beside = bed.write("beside", content);
                fs::rename(beside, bed.root().join(target)).unwrap();
            } else {
                bed.write(target, content);
            }
            for name in names {
                bed.until_mirrored(name, content);
            }
        }
    }
    // New, and deeper.
    bed.write("d/new/x", "new");
    bed.until_mirrored("a-tree/new/x", "new");
    bed.write("hidden/deep/new/x", "new");
    bed.until_mirrored("b-tree/new/x", "new");
    bed.write("hidden/deep/new/x", "newer");
    bed.until_mirrored("b-tree/new/x", "newer");
    // Something appears where a link leads: first the directory, then the file.
    assert_eq!(bed.skipped()["c-later"], "symlink-dangling");
    fs::create_dir(bed.root().join("d/later")).unwrap();
    bed.write("d/later/x", "later");
    bed.until_mirrored("c-later", "later");
    // A link that another one passes, and the directory it leads to, are replaced.
    let beside = bed.root().join("beside");
    symlink("other", &beside).unwrap();
    fs::rename(&beside, bed.root().join("a-file")).unwrap();
    bed.until_mirrored("chain", "other");
    bed.until_mirrored("a-file", "other");
    fs::rename(bed.root().join("d"), bed.path("d-away")).unwrap();
    bed.write("d/f", "in another directory");
    bed.until_mirrored("a-tree/f", "in another directory");
    bed.until_current();
    assert_eq!(bed.state_of("chain"), "synced");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_link_that_leads_nowhere_any_more_says_nothing_about_its_copies() {
    let bed = Bed::new();
    bed.configure("symlinks = \"follow\"\nexclude = [\"/disk/\"]");
    bed.write("disk/f", "f");
    bed.write("disk/sub/g", "g");
    link(&bed, "disk", "tree");
    link(&bed, "disk/f", "file");
    let daemon = bed.daemon_until_current();
    bed.until_mirrored("tree/sub/g", "g");
    // As when its filesystem is not mounted.
    fs::rename(bed.root().join("disk"), bed.path("disk")).unwrap();
    until_or(
        || format!("{:?}", bed.skipped()),
        || {
            let skipped = bed.skipped();
            let dangling = |name: &str| skipped.get(name).is_some_and(|r| r == "symlink-dangling");
            (dangling("tree") && dangling("file")).then_some(())
        },
    );
    bed.until_current();
    for name in ["tree/f", "tree/sub/g", "file"] {
        assert_eq!(bed.state_of(name), "skipped", "{name}");
    }
    let (out, _) = bed.ends(&["history"], 0);
    assert!(!out.contains("docs/tree") || !out.contains("gone"), "{out}");
    assert_eq!(copies(&bed), ["file", "tree/f", "tree/sub/g"]);
    // It is back.
    fs::rename(bed.path("disk"), bed.root().join("disk")).unwrap();
    until("tree/sub/g again", || (bed.state_of("tree/sub/g") == "synced").then_some(()));
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));
}

/// A folder that moved to a larger disk, with a link in its place, is not a folder that was deleted.
#[test]
fn a_directory_that_becomes_a_link_is_not_gone() {
    for (option, word) in [("skip", "symlink"), ("follow", "symlink-outside")] {
        let bed = Bed::new();
        bed.configure(&format!("symlinks = {option:?}"));
        bed.write("d/e/f", "f");
        bed.write("g", "g");
        let daemon = bed.daemon_until_current();
        fs::rename(bed.root().join("d"), bed.path("moved")).unwrap();
        symlink(bed.path("moved"), bed.root().join("d")).unwrap();
        until("the link", || {
            (bed.skipped().get("d").map(String::as_str) == Some(word)).then_some(())
        });
        bed.until_current();
        assert_eq!(bed.state_of("d/e/f"), "skipped", "{option}");
        assert_eq!(daemon.stop(), Some(0));
        bed.ends(&["sync"], 0);
        assert_eq!(bed.state_of("d/e/f"), "skipped", "{option}");
        assert_eq!(copies(&bed), ["d/e/f", "g"]);
        // And back.
        fs::remove_file(bed.root().join("d")).unwrap();
        fs::rename(bed.path("moved"), bed.root().join("d")).unwrap();
        bed.ends(&["sync"], 0);
        assert_eq!(bed.state_of("d/e/f"), "synced", "{option}");
        assert_eq!(bed.diff(), "");
    }
}

#[test]
fn without_watches_what_happens_behind_a_link_is_found_by_looking() {
    let bed = Bed::new();
    bed.configure("symlinks = \"follow\"\nwatch = \"poll\"\npoll_interval = \"1s\"");
    bed.write("d/f", "one");
    link(&bed, "d/f", "file");
    link(&bed, "d", "tree");
    let daemon = bed.daemon_until_current();
    bed.write("d/f", "two");
    for name in ["d/f", "file", "tree/f"] {
        bed.until_mirrored(name, "two");
    }
    assert_eq!(daemon.stop(), Some(0));
}
