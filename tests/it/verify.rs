//! `verify`: what it finds, what it never calls different, what it leaves alone, and what `--repair` makes good.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::bed::{Bed, until};

/// What `verify --json` says, with its exit code.
fn verified(bed: &Bed, more: &[&str]) -> (i32, Value) {
    let args = [&["verify", "--json"], more].concat();
    let output = bed.run(&args);
    let out = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}\n{said}"));
    (output.status.code().unwrap(), value)
}

/// The paths of one list of the one mirror, with the kind of each.
fn told(value: &Value, list: &str) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = value["mirrors"][0][list].as_array().unwrap().iter();
    entries.map(|entry| (text(&entry["path"]), text(&entry["kind"]))).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(path, kind)| ((*path).to_owned(), (*kind).to_owned())).collect()
}

/// Deletes something in the library behind our back.
fn delete_there(bed: &Bed, kind: &str, path: &str) {
    let admin = bed.admin();
    let target = format!("/api/v1/{kind}/smhemulator/-/backup/{path}?access_token={admin}");
    let status = bed.call("DELETE", &target, None).0;
    assert!(matches!(status, 200 | 204), "{path}: {status}");
}

/// Puts other content in the place of a copy, as another client would.
fn put_there(bed: &Bed, path: &str, content: &[u8]) {
    let admin = bed.admin();
    let target = format!(
        "/api/v1/file/smhemulator/-/backup/{path}?access_token={admin}\
         &conflict_resolution_strategy=overwrite&filesize={}",
        content.len()
    );
    let (status, form) =
        bed.call("POST", &target, Some(json!({"size": content.len().to_string()})));
    assert_eq!(status, 201, "{form}");
    assert_eq!(bed.post(&form, content).0, 204);
    let key = form["confirmKey"].as_str().unwrap();
    let target = format!("/api/v1/file/smhemulator/-/{key}?confirm&access_token={admin}");
    assert_eq!(bed.call("POST", &target, Some(json!({}))).0, 200);
}

#[test]
fn what_others_did_in_the_library_is_found_and_made_good() {
    let bed = Bed::new();
    bed.configure("names = \"escape\"\nexclude = [\"*.no\"]");
    for name in ["a", "b", "c", "what?", "lost/x", "lost/deep/y", "left.no"] {
        bed.write(name, format!("content of {name}"));
    }
    bed.write("large", vec![7; 3 << 20]);
    fs::create_dir(bed.root().join("hollow")).unwrap();
    bed.ends(&["sync", "-q"], 0);
    bed.forget_requests();
    let (out, _) = bed.ends(&["verify"], 0);
    assert!(out.contains("docs: 7 files and 4 folders compared: 7 equal"), "{out}");
    assert!(out.contains("1 left out"), "{out}");
    // It looks, and does nothing else; a listing for each directory is enough.
    assert_eq!(bed.requests("directory.list"), 4);
    assert_eq!(bed.all_requests(), 4);

    delete_there(&bed, "file", "a");
    put_there(&bed, "b", b"content of B");
    put_there(&bed, "c", b"other");
    delete_there(&bed, "file", "what%253F");
    delete_there(&bed, "directory", "lost");
    delete_there(&bed, "directory", "hollow");
    put_there(&bed, "stranger", b"of somebody else");
    fs::remove_file(bed.root().join("large")).unwrap();
    let (code, value) = verified(&bed, &[]);
    assert_eq!(code, 3);
    let expected = [
        ("a", "missing"),
        ("b", "content"),
        ("c", "size"),
        ("what?", "missing"),
        ("lost", "directory-missing"),
        ("hollow", "directory-missing"),
    ];
    assert_eq!(told(&value, "differences"), map(&expected), "{value:#}");
    assert_eq!(told(&value, "extra"), map(&[("stranger", "stranger"), ("large", "gone")]));
    let lost = &value["mirrors"][0]["differences"];
    let lost = lost.as_array().unwrap().iter().find(|entry| entry["path"] == "lost").unwrap();
    assert!(lost["message"].as_str().unwrap().starts_with("with 2 files"), "{lost}");

    // Nobody works: the request waits for a pass.
    let (out, _) = bed.ends(&["verify", "--repair"], 3);
    assert!(out.contains("6 paths are queued: no daemon works now"), "{out}");
    bed.ends(&["sync", "-q"], 0);
    bed.ends(&["verify", "--deep"], 0);
    assert_eq!(fs::read(bed.objects().join("b")).unwrap(), b"content of b");
    assert_eq!(fs::read(bed.objects().join("lost/deep/y")).unwrap(), b"content of lost/deep/y");
    assert_eq!(fs::read(bed.objects().join("stranger")).unwrap(), b"of somebody else");
    let (out, _) = bed.ends(&["history", bed.root().join("lost").to_str().unwrap()], 0);
    assert!(out.contains("docs/lost: doubted"), "{out}");
}

#[test]
fn what_is_known_to_differ_is_not_called_mirrored_while_nobody_works() {
    let bed = Bed::new();
    for name in ["a", "b", "d/x", "d/y", "e/z"] {
        bed.write(name, name);
    }
    bed.ends(&["sync", "-q"], 0);
    delete_there(&bed, "file", "a");
    delete_there(&bed, "directory", "d");
    // To look is no request.
    bed.ends(&["verify"], 3);
    bed.ends(&["health"], 0);
    bed.ends(&["verify", "--repair"], 3);
    let (out, _) = bed.ends(&["health"], 4);
    assert!(out.contains("docs: behind: 2 paths differ from the library"), "{out}");
    let (out, _) = bed.ends(&["status"], 0);
    assert!(out.contains("2 paths differ from the library"), "{out}");
    bed.ends(&["status", "--exit-code"], 4);
    assert_eq!(bed.mirror()["state"], "behind");
    for (name, state) in
        [("a", "pending"), ("b", "synced"), ("d/x", "pending"), ("d", "pending"), ("e", "synced")]
    {
        assert_eq!(bed.state_of(name), state, "{name}");
    }
    bed.ends(&["status", "--exit-code", bed.root().to_str().unwrap()], 4);
    let (out, _) = bed.ends(&["explain", bed.root().join("a").to_str().unwrap()], 0);
    assert!(!out.contains("the library has exactly this"), "{out}");
    bed.ends(&["sync", "-q"], 0);
    bed.ends(&["health"], 0);
    bed.ends(&["verify"], 0);
    assert_eq!(bed.state_of("a"), "synced");
}

#[test]
fn something_else_in_the_place_of_a_copy_is_said_and_not_removed() {
    let bed = Bed::new();
    bed.write("f", "file");
    bed.write("d/g", "file");
    bed.ends(&["sync", "-q"], 0);
    delete_there(&bed, "file", "f");
    delete_there(&bed, "directory", "d");
    let admin = bed.admin();
    let target = format!(
        "/api/v1/directory/smhemulator/-/backup/f?access_token={admin}&conflict_resolution_strategy=ask"
    );
    assert_eq!(bed.call("PUT", &target, None).0, 201);
    put_there(&bed, "d", b"in the way");
    let expected = map(&[("f", "directory-in-the-way"), ("d", "file-in-the-way")]);
    let (code, value) = verified(&bed, &["--repair"]);
    assert_eq!((code, told(&value, "differences")), (3, expected));
    bed.ends(&["sync", "-q"], 3);
    assert_eq!(fs::read(bed.objects().join("d")).unwrap(), b"in the way");
    assert!(bed.objects().join("f").is_dir());
    // Nothing is called mirrored any more that is not.
    assert_eq!(bed.state_of("f"), "blocked");
    let (code, value) = verified(&bed, &[]);
    assert_eq!((code, told(&value, "differences")), (3, BTreeMap::new()), "{value:#}");
}

#[test]
fn damage_without_a_trace_is_found_by_reading_and_never_sent() {
    let bed = Bed::new();
    bed.write("good", "the good content");
    let path = bed.write("rot", "what was sent once");
    bed.ends(&["sync", "-q"], 0);
    // Nobody can set a ctime back: the journal is told that the file always had these times, also when it was confirmed.
    fs::write(&path, "what was sent 0nce").unwrap();
    let meta = fs::metadata(&path).unwrap();
    let nanos = |seconds: i64, nanos: i64| seconds * 1_000_000_000 + nanos;
    let times = [nanos(meta.mtime(), meta.mtime_nsec()), nanos(meta.ctime(), meta.ctime_nsec())];
    let journal = Connection::open(bed.path("state/journal.db")).unwrap();
    let changed = journal.execute(
        "UPDATE file SET mtime_ns = ?1, ctime_ns = ?2 WHERE name = x'726f74' AND confirmed_size IS NULL",
        times,
    );
    assert_eq!(changed, Ok(1));
    drop(journal);

    bed.ends(&["verify"], 0);
    let (code, value) = verified(&bed, &["--deep", "--repair"]);
    assert_eq!((code, told(&value, "differences")), (3, map(&[("rot", "rotten")])), "{value:#}");
    assert_eq!(value["mirrors"][0]["differences"][0]["repairable"], false);
    assert_eq!(value["repair"]["asked"], 0);
    let (out, _) = bed.ends(&["verify", "--deep", "--repair"], 3);
    assert!(out.contains("the copy in the library is still what was mirrored"), "{out}");
    assert!(out.contains("There is nothing to repair"), "{out}");
    bed.ends(&["sync", "-q"], 0);
    assert_eq!(fs::read(bed.objects().join("rot")).unwrap(), b"what was sent once");
}

#[test]
fn what_cannot_be_asked_is_unknown_and_never_different() {
    let mut bed = Bed::new();
    bed.write("a", "a");
    bed.write("d/b", "b");
    bed.write("d/e/c", "c");
    bed.ends(&["sync", "-q"], 0);
    let refuse = json!({"status": 500, "code": "InternalServerError"});
    bed.fault(json!({"route": "directory.list", "path": "backup/d", "times": 3, "effect": refuse}));
    let (code, value) = verified(&bed, &[]);
    assert_eq!(code, 69, "{value:#}");
    assert_eq!(told(&value, "differences"), BTreeMap::new());
    assert_eq!(told(&value, "unknown").len(), 1, "{value:#}");
    bed.no_faults();
    // One that passes is not worth a word.
    bed.fault(json!({"route": "directory.list", "path": "backup/d", "times": 1, "effect": refuse}));
    bed.ends(&["verify"], 0);
    bed.no_faults();
    // The listing shows nothing of what is there: it is asked for by name.
    fs::write(bed.root().join("a"), "changed, and nobody has seen it").unwrap();
    let (code, value) = verified(&bed, &[]);
    assert_eq!((code, told(&value, "differences")), (3, map(&[("a", "changed")])));
    bed.stop_emulator();
    let (out, _) = bed.ends(&["verify"], 69);
    assert!(out.contains("the service cannot be reached"), "{out}");
    bed.start_emulator();
    bed.secret("another");
    let (out, _) = bed.ends(&["verify"], 12);
    assert!(out.contains("the service refuses the credentials"), "{out}");
    let (_, said) = bed.ends(&["verify", "none"], 2);
    assert!(said.contains("there is docs"), "{said}");
}

/// Ends what goes on beside a test, whatever becomes of that.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn while_a_daemon_works_nothing_is_called_different_that_is_on_its_way() {
    let bed = Bed::new();
    for n in 0..60 {
        bed.write(&format!("d{}/f{n}", n % 3), format!("content {n}"));
    }
    let daemon = bed.daemon_until_current();
    // Answers that take a while, so that files change between one side and the other.
    bed.fault(json!({"route": "directory.list", "effect": {"delay_ms": 40}}));
    bed.fault(json!({"route": "directory.info", "effect": {"delay_ms": 20}}));
    let (root, done) = (bed.root(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let ends = Ends(&done);
        scope.spawn(|| {
            let mut rng = fastrand::Rng::with_seed(5);
            while !done.load(Ordering::Relaxed) {
                let (n, size) = (rng.usize(0..60), rng.usize(1..2_000));
                let path = root.join(format!("d{}/f{n}", n % 3));
                if rng.u8(0..5) == 0 {
                    let _ = fs::remove_file(&path);
                } else {
                    fs::write(&path, vec![rng.u8(..); size]).unwrap();
                }
                // A moment in the life of a busy folder, not a wait for anything.
                std::thread::sleep(std::time::Duration::from_millis(3));
            }
        });
        let mut waited = 0;
        for _ in 0..6 {
            let (code, value) = verified(&bed, &[]);
            assert_eq!(told(&value, "differences"), BTreeMap::new(), "{value:#}");
            assert_eq!(told(&value, "unknown"), BTreeMap::new(), "{value:#}");
            assert!(matches!(code, 0 | 4), "{code}");
            waited += told(&value, "waiting").len();
        }
        assert!(waited > 0, "nothing was on its way: this proves nothing");
        drop(ends);
    });
    bed.no_faults();
    bed.until_current();
    let (code, value) = verified(&bed, &["--deep"]);
    assert_eq!(code, 0, "{value:#}");
    // The daemon takes what is left for it.
    bed.write("d0/f0", "the last content");
    bed.until_mirrored("d0/f0", "the last content");
    bed.until_current();
    delete_there(&bed, "directory", "d0");
    let (out, _) = bed.ends(&["verify", "docs", "--repair"], 3);
    assert!(out.contains("1 path is queued: the daemon compares and sends"), "{out}");
    until("repaired", || (bed.run(&["verify"]).status.code() == Some(0)).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}
