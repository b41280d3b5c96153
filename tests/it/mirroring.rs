//! From a folder to a confirmed library: passes, the daemon, restarts.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use crate::bed::{Bed, noise, until};

const MIB: usize = 1 << 20;

#[test]
fn a_pass_mirrors_a_tree_and_the_next_one_asks_for_nothing() {
    let bed = Bed::new();
    bed.write("a.txt", "a");
    bed.write("empty", "");
    bed.write("deep/er/still/b.txt", "b");
    for name in
        ["ünï cödé.txt", "100% #1 a+b & c.txt", " lead and trail ", "日本/语.txt", "~tilde!'()"]
    {
        bed.write(name, name);
    }
    fs::create_dir_all(bed.root().join("hollow/inner")).unwrap();
    for (name, len) in
        [("below", MIB - 1), ("exact", MIB), ("above", MIB + 1), ("large", 9 * MIB + 7)]
    {
        bed.write(&format!("sizes/{name}"), noise(len, len as u64));
    }
    let (out, err) = bed.ends(&["sync"], 0);
    assert!(out.contains("uploaded docs/deep/er/still/b.txt"), "{out}");
    assert_eq!(err, "");
    assert_eq!(bed.diff(), "");
    let mirror = bed.mirror();
    assert_eq!(mirror["state"], "current");
    assert_eq!(
        mirror["files"],
        json!({"synced": 12, "pending": 0, "uploading": 0, "retrying": 0, "blocked": 0, "skipped": 0})
    );

    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.all_requests(), 0);
}

#[test]
fn a_small_new_file_costs_three_calls_and_directories_are_shared() {
    let bed = Bed::new();
    for n in 0..20 {
        bed.write(&format!("d/e/f{n}"), format!("{n}"));
    }
    bed.ends(&["sync"], 0);
    for route in ["file.start", "cos.post", "file.confirm"] {
        assert_eq!(bed.requests(route), 20, "{route}");
    }
    // One call makes both; on a busy machine the outer one is sometimes begun before a file asks for the inner one.
    let made = bed.requests("directory.create");
    assert!((1..=2).contains(&made), "{made}");
    // Whether anything is there to be adopted is asked once: below what is not there nothing can be.
    assert_eq!(bed.requests("directory.list"), 1);
    assert_eq!(bed.all_requests(), 61 + made);
}

#[test]
fn known_content_is_not_sent_again() {
    let bed = Bed::new();
    let content = noise(2 * MIB, 1);
    bed.write("first", &content);
    bed.ends(&["sync"], 0);
    assert_eq!(bed.requests("cos.post"), 1);
    bed.write("second", &content);
    let (out, _) = bed.ends(&["sync"], 0);
    assert!(out.contains("instant docs/second"), "{out}");
    assert_eq!(bed.requests("cos.post"), 1);
    assert_eq!(bed.diff(), "");
    // Touched: read, compared, not sent.
    bed.forget_requests();
    let file = fs::File::options().append(true).open(bed.root().join("first")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let (out, _) = bed.ends(&["sync"], 0);
    assert!(out.contains("unchanged docs/first"), "{out}");
    assert_eq!(bed.all_requests(), 0);
}

#[test]
fn the_daemon_sees_every_kind_of_change() {
    let bed = Bed::new();
    bed.write("old.txt", "old");
    let daemon = bed.daemon();
    bed.until_mirrored("old.txt", "old");
    bed.until_current();
    // New, changed, appended, replaced by rename.
    bed.write("new.txt", "new");
    bed.until_mirrored("new.txt", "new");
    bed.write("old.txt", "changed");
    bed.until_mirrored("old.txt", "changed");
    let mut file = fs::File::options().append(true).open(bed.root().join("old.txt")).unwrap();
    std::io::Write::write_all(&mut file, b" and longer").unwrap();
    bed.until_mirrored("old.txt", "changed and longer");
    let beside = bed.write("beside", "replaced");
    fs::rename(beside, bed.root().join("old.txt")).unwrap();
    bed.until_mirrored("old.txt", "replaced");
    // A whole tree at once, and a tree that is moved in.
    bed.write("tree/a/b/c/deep.txt", "deep");
    bed.until_mirrored("tree/a/b/c/deep.txt", "deep");
    let outside = bed.path("outside");
    fs::create_dir_all(outside.join("x/y")).unwrap();
    fs::write(outside.join("x/y/z"), "z").unwrap();
    fs::rename(&outside, bed.root().join("inside")).unwrap();
    bed.until_mirrored("inside/x/y/z", "z");
    // In a directory that was renamed, under the new name.
    fs::rename(bed.root().join("tree"), bed.root().join("wood")).unwrap();
    bed.until_mirrored("wood/a/b/c/deep.txt", "deep");
    bed.write("wood/a/b/c/deep.txt", "deeper");
    bed.until_mirrored("wood/a/b/c/deep.txt", "deeper");
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));

    bed.forget_requests();
    let daemon = bed.daemon();
    until("a scan of the second run", || {
        let status = bed.status();
        (status["daemon"]["running"] == true && status["mirrors"][0]["state"] == "current")
            .then_some(())
    });
    assert_eq!(bed.all_requests(), 0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_is_left_out_is_named() {
    let bed = Bed::new();
    bed.configure("exclude = [\"*.tmp\", \"/cache/\"]");
    bed.write("good", "good");
    bed.write("a.tmp", "x");
    bed.write("cache/x", "x");
    bed.write("sub/.smh-mirrorignore", "secret*\n");
    bed.write("sub/secret.txt", "x");
    bed.write("what?.txt", "x");
    bed.write(".a.txt.swp", "x");
    std::os::unix::fs::symlink("good", bed.root().join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        bed.root().join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    fs::write(bed.root().join(std::ffi::OsStr::from_bytes(b"latin\xe9")), "x").unwrap();
    bed.ends(&["sync"], 0);
    let (out, _) = bed.ends(&["status", "--skipped", "--json"], 0);
    let value: Value = serde_json::from_str(&out).unwrap();
    let reasons: Vec<(String, String)> = value["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["path"].as_str().unwrap().to_owned(), s["reason"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [
        (".a.txt.swp", "temporary"),
        ("a.tmp", "excluded"),
        ("cache", "excluded"),
        ("fifo", "special"),
        ("latin\u{fffd}", "name"),
        ("link", "symlink"),
        ("what?.txt", "name"),
        ("sub/secret.txt", "excluded"),
    ];
    let expected: Vec<(String, String)> =
        expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(reasons, expected);
    assert_eq!(fs::read_dir(bed.objects()).unwrap().count(), 2);
    // The rule goes, the file comes.
    fs::remove_file(bed.root().join("sub/.smh-mirrorignore")).unwrap();
    bed.ends(&["sync"], 0);
    bed.until_mirrored("sub/secret.txt", "x");
}

#[test]
fn a_dry_run_tells_what_the_library_has_already_and_what_would_be_deleted() {
    let bed = Bed::new();
    for name in ["same", "longer", "d/e/same", "gone"] {
        bed.write(name, name);
    }
    bed.configure("delete = \"recycle\"");
    bed.ends(&["sync"], 0);
    bed.write("longer", "longer than before");
    fs::remove_file(bed.path("root/gone")).unwrap();
    let (known, _) = bed.ends(&["sync", "--dry-run"], 0);
    assert!(known.contains("would send docs/longer (18 B, changed)"), "{known}");
    assert!(known.contains("would delete the copy of docs/gone"), "{known}");

    // Another machine, or a journal that was lost.
    fs::remove_dir_all(bed.path("state")).unwrap();
    bed.write("x/y/new", "new");
    bed.forget_requests();
    let (first, _) = bed.ends(&["sync", "--dry-run"], 0);
    for line in [
        "would compare docs/same (4 B, the library has one of that size)",
        "would compare docs/d/e/same",
        "would send docs/longer (18 B, new)",
        "would send docs/x/y/new",
        "would send at most 2 files, 21 B, compare 2 files, 12 B",
    ] {
        assert!(first.contains(line), "{line}: {first}");
    }
    assert_eq!(bed.all_requests(), bed.requests("directory.list"), "it only asks");
    let (json, _) = bed.ends(&["sync", "--dry-run", "--json"], 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["would_compare"].as_array().unwrap().len(), 2, "{json}");
    assert!(!bed.path("state").exists());

    let mut bed = bed;
    bed.stop_emulator();
    let (unasked, _) = bed.ends(&["sync", "--dry-run"], 0);
    assert!(unasked.contains("could not be asked"), "{unasked}");
    assert!(unasked.contains("would send at most 4 files"), "{unasked}");
}

#[test]
fn a_dry_run_ends_as_the_pass_would_that_holds_deletes() {
    let bed = Bed::new();
    for n in 0..10 {
        bed.write(&format!("d/{n}"), "x");
    }
    bed.configure("delete = \"recycle\"\ndelete_grace = \"0s\"\nmax_delete = \"3\"");
    bed.ends(&["sync"], 0);
    for n in 0..3 {
        fs::remove_file(bed.path(&format!("root/d/{n}"))).unwrap();
    }
    let (allowed, _) = bed.ends(&["sync", "--dry-run"], 0);
    assert!(allowed.contains("would delete the copy of docs/d/2 (1 B)\n"), "{allowed}");
    fs::remove_file(bed.path("root/d/3")).unwrap();
    let (held, _) = bed.ends(&["sync", "--dry-run"], 5);
    assert!(held.contains("held docs: 4 files were gone at once"), "{held}");
    assert!(held.contains("before a person approves"), "{held}");
    let (json, _) = bed.ends(&["sync", "--dry-run", "--json"], 5);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["held"][0]["mirror"], "docs", "{json}");
    assert_eq!(bed.extra().len(), 4);
    let (pass, _) = bed.ends(&["sync"], 5);
    assert!(pass.contains("4 files were gone at once"), "{pass}");
    // Now that it is written down, too.
    bed.ends(&["sync", "--dry-run"], 5);

    // Not yet due, nothing is held: the pass itself would only wait.
    for n in 0..4 {
        bed.write(&format!("d/{n}"), "x");
    }
    bed.ends(&["sync"], 0);
    bed.configure("delete = \"recycle\"\ndelete_grace = \"1h\"\nmax_delete = \"3\"");
    for n in 3..8 {
        fs::remove_file(bed.path(&format!("root/d/{n}"))).unwrap();
    }
    let (later, _) = bed.ends(&["sync", "--dry-run"], 0);
    assert!(later.contains("would delete the copy of docs/d/5 (1 B), but not before "), "{later}");
}

#[test]
fn a_dry_run_sends_and_writes_nothing() {
    let bed = Bed::new();
    bed.write("a", "12345");
    let (out, _) = bed.ends(&["sync", "--dry-run"], 0);
    assert!(out.contains("would send docs/a (5 B, new)"), "{out}");
    assert_eq!(bed.all_requests(), bed.requests("directory.list"), "it only asks");
    assert!(!bed.path("state").exists());
    bed.ends(&["sync"], 0);
    bed.write("a", "123456");
    let (out, _) = bed.ends(&["sync", "--dry-run", "--json"], 0);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        value["would_send"],
        json!([{"mirror": "docs", "path": "a", "size": 6, "change": "changed"}])
    );
    assert_eq!(fs::read(bed.objects().join("a")).unwrap(), b"12345");
}

#[test]
fn a_vanished_remote_directory_is_made_again() {
    let bed = Bed::new();
    bed.write("d/e/one", "1");
    bed.ends(&["sync"], 0);
    let token = bed.admin();
    let path = format!("/api/v1/directory/smhemulator/-/backup/d?access_token={token}");
    assert_eq!(bed.call("DELETE", &path, None).0, 204);
    bed.write("d/e/two", "2");
    bed.ends(&["sync"], 0);
    bed.until_mirrored("d/e/two", "2");
    // The same between start and confirm: the file is confirmed into nowhere, and sent again.
    bed.write("d/e/three", "3");
    bed.fault(json!({"route": "file.confirm", "times": 1, "effect": {"path_null": true}}));
    bed.ends(&["sync"], 0);
    bed.until_mirrored("d/e/three", "3");
}

#[test]
fn a_file_that_goes_is_kept_on_the_remote_and_said_to_be_gone() {
    let bed = Bed::new();
    let path = bed.write("a", "a");
    bed.write("b", "b");
    bed.ends(&["sync"], 0);
    fs::remove_file(&path).unwrap();
    bed.ends(&["sync"], 0);
    assert!(bed.objects().join("a").exists());
    assert_eq!(bed.mirror()["files"]["synced"], 1);
    let (out, _) = bed.ends(&["status", "--json", path.to_str().unwrap()], 0);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["files"][0]["state"], "gone");
}

#[test]
fn the_status_of_a_file_comes_from_evidence() {
    let bed = Bed::new();
    let path = bed.write("a", "123456789");
    let path = path.to_str().unwrap();
    let ask = |code: i32| -> serde_json::Value {
        let (out, _) = bed.ends(&["status", "--exit-code", "--json", path], code);
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["files"][0].clone()
    };
    assert_eq!(ask(4)["state"], "pending");
    bed.ends(&["sync"], 0);
    let file = ask(0);
    assert_eq!(
        (&file["state"], &file["crc64"]),
        (&json!("synced"), &json!("11051210869376104954"))
    );
    assert_eq!(file["size"], 9);
    assert!(file["confirmed_at"].as_str().unwrap().ends_with('Z'));
    // Changed since, and nobody looked: the disk has the last word.
    bed.write("a", "changed");
    assert_eq!(ask(4)["state"], "pending");
}

#[test]
fn the_demo_needs_nothing() {
    let bed = Bed::new();
    bed.write("x/y", "z");
    let (out, err) = bed.ends(
        &[
            "demo",
            "--once",
            "--data",
            bed.path("demo").to_str().unwrap(),
            bed.root().to_str().unwrap(),
        ],
        0,
    );
    assert!(out.contains("uploaded demo/x/y"), "{out}{err}");
    assert_eq!(crate::bed::diff(&bed.root(), &bed.path("demo/library/objects")), "");
}

#[test]
fn other_bytes_of_the_same_size_and_time_are_seen() {
    let bed = Bed::new();
    let path = bed.write("a", "one state");
    bed.ends(&["sync"], 0);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "two state").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
}

#[test]
fn a_directory_that_somebody_deleted_in_the_library_is_made_again_with_its_files() {
    let bed = Bed::new();
    for name in ["d/a", "d/b", "d/deep/c", "e/stays"] {
        bed.write(name, name);
    }
    bed.ends(&["sync"], 0);
    let url = format!("/api/v1/directory/smhemulator/-/backup/d?access_token={}", bed.admin());
    assert_eq!(bed.call("DELETE", &url, None).0, 204);
    assert_eq!(bed.missing().len(), 5);
    // The next need finds out.
    bed.write("d/new", "new");
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    assert_eq!(bed.requests("cos.post"), 4, "what lies elsewhere is not sent");
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.all_requests(), 0);

    // What is still there is compared, and not sent.
    let rule = json!({
        "route": "file.start", "nth": 1, "effect": {"status": 404, "code": "DirectoryNotFound"}
    });
    bed.fault(rule);
    bed.write("d/more", "more");
    bed.ends(&["sync"], 0);
    assert_eq!(bed.requests("cos.post"), 1);
    assert_eq!(bed.diff(), "");
}
