//! The way back: what was mirrored comes out of the library again, and nothing else is written.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::bed::{Bed, diff, noise, until, walk};

/// Names and sizes at which something could go wrong.
fn tree(bed: &Bed) {
    for name in [
        "100%.txt",
        "a+b&c=d.txt",
        "it's #1.md",
        "ümläut/日本 語.txt",
        "%41",
        "sp ace/x",
        ".hidden",
        "deep/er/and/deeper",
    ] {
        bed.write(name, format!("content of {name}"));
    }
    for (name, len) in [
        ("empty", 0),
        ("one", 1),
        ("mib-1", (1 << 20) - 1),
        ("mib", 1 << 20),
        ("mib+1", (1 << 20) + 1),
    ] {
        bed.write(&format!("sizes/{name}"), noise(len, len as u64));
    }
    fs::create_dir_all(bed.root().join("empty/in/empty")).unwrap();
}

/// Restores, and gives what the command says of it.
fn restore(bed: &Bed, args: &[&str], code: i32) -> Value {
    let args: Vec<&str> = ["restore", "--json"].iter().chain(args).copied().collect();
    let (out, _) = bed.ends(&args, code);
    serde_json::from_str(&out).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_the_library_does_not_have_makes_no_folder() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.ends(&["sync"], 0);
    let to = bed.path("new/deeper/back");
    let (out, _) = bed.ends(&["restore", "docs", "nope", "--to", text(&to)], 3);
    assert!(out.contains("failed nope: it is not in the library"), "{out}");
    assert!(out.contains("nothing was restored into"), "{out}");
    assert!(!bed.path("new").exists());
    // Nor does one that cannot even ask.
    let token = fs::read(bed.path("secret")).unwrap();
    bed.secret("wrong");
    bed.ends(&["restore", "docs", "--to", text(&to)], 12);
    assert!(!bed.path("new").exists());
    fs::write(bed.path("secret"), token).unwrap();
    // A folder that was there before stays.
    fs::create_dir_all(&to).unwrap();
    bed.ends(&["restore", "docs", "nope", "--to", text(&to)], 3);
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    restore(&bed, &["docs", "nope", "a", "--to", text(&to)], 3);
    assert_eq!(fs::read(to.join("a")).unwrap(), b"a");
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let bed = Bed::new();
    tree(&bed);
    bed.write("large", noise(20_000_000, 7));
    // A time that is not that of the upload.
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    let one = fs::File::options().write(true).open(bed.root().join("100%.txt")).unwrap();
    one.set_modified(old).unwrap();
    bed.ends(&["sync"], 0);
    bed.forget_requests();
    let to = bed.path("back");
    let said = restore(&bed, &["docs", "--to", text(&to)], 0);
    assert_eq!(diff(&bed.root(), &to), "");
    assert_eq!(
        (&said["complete"], &said["files"]["restored"], &said["folders"]),
        (&json!(true), &json!(14), &json!(9))
    );
    // Two calls a file, none for what an empty one holds.
    assert_eq!((bed.requests("file.info"), bed.requests("cos.get")), (14, 13));
    let times =
        |file: &Path| fs::metadata(file).map(|facts| (facts.mtime(), facts.mtime_nsec())).unwrap();
    for name in ["100%.txt", "sizes/mib", "large"] {
        assert_eq!(times(&to.join(name)), times(&bed.root().join(name)), "{name}");
    }
    // Nothing of the restore is left, and again there is nothing to do.
    assert_eq!(walk(&to).len(), walk(&bed.root()).len());
    bed.forget_requests();
    let again = restore(&bed, &["--to", text(&to), "--into"], 0);
    assert_eq!((&again["files"]["kept"], &again["bytes"]["fetched"]), (&json!(14), &json!(0)));
    assert_eq!((bed.requests("file.info"), bed.requests("cos.get")), (0, 0));
}

#[test]
fn another_machine_and_a_bad_line_bring_the_same() {
    let bed = Bed::new();
    tree(&bed);
    bed.ends(&["sync"], 0);
    // No folder, no journal, and a token that may only read.
    let before = bed.path("before");
    fs::rename(bed.root(), &before).unwrap();
    fs::remove_dir_all(bed.path("state")).unwrap();
    let path = "/api/v1/token?library_id=smhemulator&library_secret=emulator-secret&grant=";
    let token = bed.call("POST", path, None).1["accessToken"].as_str().unwrap().to_owned();
    bed.token_instead_of_secret(&token);
    bed.call("POST", "/_emulator/options", Some(json!({"address_life_seconds": 1})));
    bed.fault(json!([
        {"route": "directory.list", "nth": 1, "effect": {"status": 500, "code": "InternalServerError"}},
        {"route": "directory.list", "nth": 3, "effect": {"garbage": true}},
        {"route": "file.info", "nth": 2, "effect": {"reset": "before"}},
        {"route": "file.info", "nth": 4, "effect": {"status": 429, "code": "RateLimitExceeded"}},
        // The address ends before it is used.
        {"route": "cos.get", "nth": 1, "effect": {"delay_ms": 2100}},
        {"route": "cos.get", "nth": 2, "effect": {"reset": "after"}},
        {"route": "cos.get", "nth": 3, "effect": {"garbage": true}},
        {"route": "cos.get", "path": "sizes", "times": 6, "effect": {"truncate": 300_000}},
    ]));
    let config = fs::read_to_string(bed.path("config.toml")).unwrap();
    fs::write(bed.path("config.toml"), format!("{config}\n[log]\nlevel = \"trace\"\n")).unwrap();
    let to = bed.path("back");
    let (out, err) = bed.ends(&["restore", "--json", "--to", text(&to)], 0);
    let said: Value = serde_json::from_str(&out).unwrap();
    // Neither the token nor a signed address is said, however much is.
    assert!(
        err.contains("tried again later") && !err.contains(&token) && !err.contains("q-signature"),
        "{err}"
    );
    assert_eq!(diff(&before, &to), "");
    assert_eq!(said["files"]["restored"], 13);
    for (route, effect) in [
        ("directory.list", json!({"garbage": true})),
        ("file.info", json!({"status": 429})),
        ("cos.get", json!({"delay_ms": 2100})),
        ("cos.get", json!({"garbage": true})),
    ] {
        assert_eq!(bed.hits(route, &effect), 1, "{route} {effect}");
    }
    // What broke off was gone on with: less than two files more than there is.
    let all: usize = walk(&before).values().flatten().map(Vec::len).sum();
    let fetched = usize::try_from(said["bytes"]["fetched"].as_u64().unwrap()).unwrap();
    assert!(fetched < all + (2 << 20), "{fetched} for {all}");
    // Single paths, by the name below the folder and by the whole one; the rest is not asked for.
    bed.no_faults();
    bed.call("POST", "/_emulator/options", Some(json!({"address_life_seconds": 7200})));
    let some = bed.path("some");
    let whole = bed.root().join("sizes/one");
    restore(&bed, &["docs", "ümläut", text(&whole), "--to", text(&some)], 0);
    assert_eq!(
        walk(&some).into_keys().collect::<Vec<_>>(),
        ["sizes", "sizes/one", "ümläut", "ümläut/日本 語.txt"]
    );
    let said = restore(&bed, &["docs", "never", "--to", text(&bed.path("none"))], 3);
    assert_eq!(said["failed"][0]["path"], "never");
}

#[test]
fn a_restore_that_was_killed_goes_on_where_it_was() {
    let bed = Bed::new();
    bed.write("first", "done before");
    let content = noise(6_000_000, 1);
    bed.write("large", &content);
    bed.ends(&["sync"], 0);
    bed.fault(json!({"route": "cos.get", "path": "large", "effect": {"drip": 2_000_000}}));
    let to = bed.path("back");
    let running = bed.start(&["restore", "--to", text(&to)]);
    let scratch = to.join(".smh-mirror-restore");
    let ready = || {
        let files = fs::read_dir(&scratch).ok()?.flatten();
        files.filter_map(|entry| entry.metadata().ok()).map(|facts| facts.len()).max()
    };
    until("a part of the file and another one whole", || {
        (ready().is_some_and(|len| len > 1_000_000) && to.join("first").exists()).then_some(())
    });
    assert!(!to.join("large").exists(), "what has its name is whole");
    // Meanwhile nobody else writes there.
    bed.ends(&["restore", "--to", text(&to)], 11);
    running.kill();
    bed.no_faults();
    // Something else is not gone on with.
    bed.ends(&["restore", "docs", "first", "--to", text(&to)], 2);
    let said = restore(&bed, &["--to", text(&to)], 0);
    assert_eq!((&said["files"]["restored"], &said["files"]["kept"]), (&json!(1), &json!(1)));
    assert!(said["bytes"]["fetched"].as_u64().unwrap() < 5_000_000, "{said}");
    assert_eq!(diff(&bed.root(), &to), "");
}

#[test]
fn names_are_mapped_back_and_strangers_keep_theirs() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let bed = Bed::new();
    bed.configure("names = \"escape\"");
    for name in [b"a:b".as_slice(), b"caf\xe9", b"two\nlines", b" x. ", b"%41", b"..."] {
        fs::create_dir(bed.root().join(OsStr::from_bytes(name))).unwrap();
        fs::write(bed.root().join(OsStr::from_bytes(name)).join(OsStr::from_bytes(name)), name)
            .unwrap();
    }
    bed.ends(&["sync"], 0);
    let to = bed.path("back");
    restore(&bed, &["--to", text(&to)], 0);
    assert_eq!(diff(&bed.root(), &to), "");
    // Two that no entry is mirrored as, `%41~` and `%41`; an entry has the name of the other one.
    let token = bed.admin();
    for name in ["%2541~", "%2541"] {
        let path = format!("/api/v1/directory/smhemulator/-/backup/{name}?access_token={token}");
        assert_eq!(bed.call("PUT", &path, None).0, 201);
    }
    let to = bed.path("more");
    restore(&bed, &["--to", text(&to)], 0);
    let said = diff(&bed.root(), &to);
    let mut only: Vec<&str> = said.lines().collect();
    only.sort_unstable();
    let more = to.display();
    assert_eq!(only, [format!("Only in {more}: %41%7E2"), format!("Only in {more}: %41~")]);
}

#[test]
fn nothing_is_written_where_it_must_not_be() {
    let bed = Bed::new();
    bed.write("sub/file", "content");
    bed.write("top", "content");
    bed.ends(&["sync"], 0);
    bed.forget_requests();
    symlink(bed.root(), bed.path("link")).unwrap();
    fs::write(bed.path("plain"), "no folder").unwrap();
    fs::create_dir(bed.path("full")).unwrap();
    fs::write(bed.path("full/other"), "here before").unwrap();
    for (to, words) in [
        (bed.root(), "is "),
        (bed.root().join("sub/new"), "lies in "),
        (bed.path("link/new"), "lies in "),
        (bed.tmp.path().to_path_buf(), "holds "),
        (bed.path("state/x"), "the state folder"),
        (bed.path("plain"), "is not a folder"),
        (bed.path("full"), "is not empty"),
    ] {
        let (_, err) = bed.ends(&["restore", "--to", text(&to)], 2);
        assert!(err.contains(words), "{}: {err}", to.display());
    }
    assert_eq!(bed.everything_asked(), 0);
    assert_eq!(walk(&bed.root()).len(), 3);
    assert_eq!(walk(&bed.path("full")).len(), 1);
    // Beside what is there: the same is kept, another content stays, a link is not followed.
    let full = bed.path("full");
    fs::create_dir(bed.path("outside")).unwrap();
    symlink(bed.path("outside"), full.join("sub")).unwrap();
    fs::write(full.join("top"), "CONTENT").unwrap();
    let said = restore(&bed, &["--to", text(&full), "--into"], 3);
    assert_eq!((&said["complete"], &said["files"]["in_the_way"]), (&json!(false), &json!(2)));
    assert_eq!(fs::read(full.join("top")).unwrap(), b"CONTENT");
    assert_eq!(walk(&bed.path("outside")).len(), 0);
    fs::remove_file(full.join("sub")).unwrap();
    restore(&bed, &["--to", text(&full), "--into", "--overwrite"], 0);
    assert_eq!(fs::read(full.join("top")).unwrap(), b"content");
    assert_eq!(diff(&bed.root(), &full), format!("Only in {}: other\n", full.display()));
}

#[test]
fn names_that_lead_elsewhere_are_named_and_never_followed() {
    let bed = Bed::new();
    bed.write("good", "content");
    bed.write("sub/good", "content");
    bed.ends(&["sync"], 0);
    let absolute = bed.path("escaped");
    let names =
        ["..", ".", "", "a/b", "../escaped", "sub/../../escaped", text(&absolute), "a\0b", "/"];
    let entries: Vec<Value> = names
        .iter()
        .flat_map(|name| {
            let file = json!({"name": name, "type": "file", "size": "7", "crc64": "1"});
            [file, json!({"name": name, "type": "dir"})]
        })
        .collect();
    bed.fault(json!({"route": "directory.list", "effect": {"extra_entries": entries}}));
    bed.forget_requests();
    let before = walk(bed.tmp.path());
    let to = bed.path("back");
    let said = restore(&bed, &["--to", text(&to)], 3);
    // In both folders, and nobody asked for any of them.
    assert_eq!(
        said["files"],
        json!({"restored": 2, "kept": 0, "in_the_way": 0, "failed": 36, "strangers": 0})
    );
    let failed = said["failed"].as_array().unwrap();
    for name in names {
        for path in [name.to_owned(), format!("sub/{name}")] {
            let found: Vec<_> = failed.iter().filter(|one| one["path"] == path.as_str()).collect();
            assert_eq!(found.len(), 2, "{path:?} in {said}");
            assert!(
                found[0]["reason"].as_str().unwrap().contains("no folder can hold it"),
                "{said}"
            );
        }
    }
    let asked = |route| {
        let mut paths = bed.asked_about(route);
        paths.sort();
        paths
    };
    assert_eq!(asked("directory.list"), ["backup", "backup/sub"]);
    assert_eq!(asked("file.info"), ["backup/good", "backup/sub/good"]);
    assert_eq!(diff(&bed.root(), &to), "");
    let (out, _) = bed.ends(&["restore", "--into", "--to", text(&to)], 3);
    assert!(
        out.contains("failed sub/..: ") && out.contains("a\\u{0}b: its name holds a zero byte"),
        "{out}"
    );
    let mut after = walk(bed.tmp.path());
    after.retain(|path, _| !path.starts_with("back"));
    let paths = |all: &BTreeMap<String, Option<Vec<u8>>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&after), paths(&before), "beside the target nothing came");
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn a_full_target_is_told_and_gone_on_with_when_there_is_room() {
    let bed = Bed::new();
    bed.write("first", noise(500_000, 2));
    bed.write("large", noise(6_000_000, 1));
    bed.ends(&["sync"], 0);
    let back = bed.path("back");
    fs::create_dir(&back).unwrap();
    // A filesystem that nobody else sees, and that is gone with the last process in there.
    let script = "mount -t tmpfs -o size=4m none \"$2\" || exit 99
        \"$0\" -c \"$1\" restore --to \"$2/x\"; echo \"ended with $?\"
        ls \"$2/x\"
        mount -o remount,size=16m \"$2\"
        \"$0\" -c \"$1\" restore --to \"$2/x\"; echo \"then with $?\"
        diff -r \"$3\" \"$2/x\" && ls -A \"$2/x\" | wc -l";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command.arg(env!("CARGO_BIN_EXE_smh-mirror")).arg(bed.path("config.toml"));
    let output = command.arg(&back).arg(bed.root()).output().unwrap();
    if !output.status.success() && output.stdout.is_empty() {
        println!("left out: this machine does not let the test mount a filesystem");
        return;
    }
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let (full, rest) = out.split_once("ended with 1\n").unwrap_or_else(|| panic!("{out}\n{err}"));
    assert!(
        err.contains("No space left on device")
            && err.contains("make room")
            && err.contains("/back/x/"),
        "{err}"
    );
    assert!(err.contains("run the same command again"), "{err}");
    let (there, rest) = rest.split_once("restored ").unwrap();
    assert!(!full.contains("restored large") && !there.contains("large"), "{out}");
    assert!(rest.ends_with("then with 0\n2\n"), "{out}\n{err}");
    // What was there is not fetched again: of the large file about half.
    let fetched = rest.split_once("restored into").unwrap().1.split_once('(').unwrap().1;
    let mib: f64 = fetched.split_once(" MiB fetched").unwrap().0.parse().unwrap();
    assert!(mib < 4.0, "{out}");
}

#[test]
fn what_is_not_what_the_library_says_is_not_accepted() {
    let bed = Bed::new();
    bed.write("good", "what was mirrored");
    bed.write("bad", "what was mirrored");
    bed.ends(&["sync"], 0);
    fs::write(bed.objects().join("bad"), "what was altered!").unwrap();
    let to = bed.path("back");
    let said = restore(&bed, &["--to", text(&to)], 3);
    assert_eq!(said["failed"][0]["path"], "bad");
    assert!(said["failed"][0]["reason"].as_str().unwrap().contains("crc64"), "{said}");
    assert!(!to.join("bad").exists() && to.join("good").exists());
    // When it is right again, the same command brings it.
    fs::write(bed.objects().join("bad"), "what was mirrored").unwrap();
    restore(&bed, &["--to", text(&to)], 0);
    assert_eq!(diff(&bed.root(), &to), "");
}

#[test]
fn what_stops_a_restore_is_told_by_its_exit_code() {
    let mut bed = Bed::new();
    bed.write("file", "content");
    bed.ends(&["sync"], 0);
    let back = bed.path("back");
    let to = text(&back);
    // The folder may not be written.
    fs::create_dir(bed.path("closed")).unwrap();
    fs::set_permissions(bed.path("closed"), std::os::unix::fs::PermissionsExt::from_mode(0o555))
        .unwrap();
    let output = bed.powerless(&["restore", "--to", text(&bed.path("closed/x"))]).output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{}", String::from_utf8_lossy(&output.stderr));
    bed.secret("wrong");
    let (_, err) = bed.ends(&["restore", "--to", to], 12);
    assert!(err.contains("WrongLibraryIdOrSecret"), "{err}");
    bed.secret("emulator-secret");
    bed.stop_emulator();
    let (out, err) = bed.ends(&["restore", "--to", to], 69);
    assert!(
        out.contains("waiting: ") && err.contains("run the same command again"),
        "{out}\n{err}"
    );
    bed.start_emulator();
    bed.ends(&["restore", "--to", to], 0);
    assert_eq!(diff(&bed.root(), &back), "");
}
