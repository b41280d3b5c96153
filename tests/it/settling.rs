//! When a changed file is read: after a rest, once, whole. Counted by what the service was asked.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::bed::{Bed, noise, until, until_or};

const MIB: usize = 1 << 20;

/// The daemon on a folder that is mirrored, with a rest of `settle`; what was asked until now is forgotten.
fn settled(bed: &Bed, settle: &str, max: &str) -> crate::bed::Running {
    bed.configure("");
    let file = bed.path("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("\"100ms\"", &format!("{settle:?}\nsettle_max = {max:?}"));
    fs::write(file, text).unwrap();
    let daemon = bed.daemon_until_current();
    bed.forget_requests();
    daemon
}

/// As an editor saves: beside, to the disk, over the old one.
fn save(path: &Path, temporary: &str, content: &[u8]) {
    let beside = path.with_file_name(temporary);
    let mut file = File::create(&beside).unwrap();
    file.write_all(content).unwrap();
    file.sync_all().unwrap();
    fs::rename(beside, path).unwrap();
}

#[test]
fn an_atomic_save_is_one_upload_and_the_name_beside_is_never_uploaded() {
    let bed = Bed::new();
    let path = bed.write("letter.txt", "first");
    let daemon = settled(&bed, "700ms", "5m");
    for n in 0..5 {
        save(&path, &format!("letter.txt.{n}"), format!("version {n}").as_bytes());
    }
    bed.until_mirrored("letter.txt", "version 4");
    // Written, and given its name by a second link.
    for n in 0..5 {
        let beside = bed.write(&format!("beside{n}"), format!("linked {n}"));
        let name = bed.root().join(format!("linked{n}"));
        fs::hard_link(&beside, name).unwrap();
        fs::remove_file(beside).unwrap();
    }
    for n in 0..5 {
        bed.until_mirrored(&format!("linked{n}"), format!("linked {n}"));
    }
    bed.until_current();
    assert_eq!(bed.starts_of("letter.txt"), 1);
    let started = bed.asked_about("file.start");
    assert_eq!(started.len(), 6, "{started:?}");
    assert_eq!(bed.extra(), Vec::<String>::new());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_slow_writer_is_waited_for() {
    let bed = Bed::new();
    let daemon = settled(&bed, "900ms", "5m");
    let mut file = File::create(bed.root().join("slow")).unwrap();
    for n in 0..25 {
        writeln!(file, "line {n}").unwrap();
        // What is measured is the time between the writes: less than the rest.
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(bed.starts_of("slow"), 0, "before it rested");
    // It is not closed, and rests all the same.
    bed.until_mirrored("slow", fs::read(bed.root().join("slow")).unwrap());
    bed.until_current();
    assert_eq!(bed.starts_of("slow"), 1);
    drop(file);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_file_that_never_rests_is_uploaded_at_the_cap() {
    let bed = Bed::new();
    let daemon = settled(&bed, "1s", "2s");
    let path = bed.root().join("log");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::create(&path).unwrap();
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                writeln!(file, "line {n}").unwrap();
                n += 1;
                // Never a second without a line, and mostly still.
                std::thread::sleep(Duration::from_millis(150));
            }
        });
        let copy = bed.objects().join("log");
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until_or(
                || format!("a copy while it is written; log:\n{}", bed.log()),
                || fs::read(&copy).ok(),
            )
        }));
        stop.store(true, Ordering::Relaxed);
        let seen = seen.unwrap();
        // What it was at one moment.
        assert!(!seen.is_empty() && seen.ends_with(b"\n"));
        assert!(fs::read(&path).unwrap().starts_with(&seen));
    });
    bed.until_mirrored("log", fs::read(&path).unwrap());
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_changes_while_it_is_sent_is_not_confirmed_and_sent_again() {
    let bed = Bed::new();
    let daemon = settled(&bed, "300ms", "5m");
    bed.fault(json!({"route": "cos.post", "times": 1, "effect": {"sip": 4 * MIB}}));
    let path = bed.write("large", noise(24 * MIB, 1));
    until("the content on its way", || (bed.mirror()["files"]["uploading"] == 1).then_some(()));
    until("the post", || (bed.starts_of("large") == 1).then_some(()));
    // The beginning may have been read already, the end has not.
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"other", 0).unwrap();
    file.write_all_at(b"other", (24 * MIB - 5) as u64).unwrap();
    bed.until_mirrored("large", fs::read(&path).unwrap());
    bed.until_current();
    // No mixture was ever confirmed: of two starts, one was.
    assert_eq!(bed.requests("file.confirm"), 1);
    assert_eq!(bed.starts_of("large"), 2);
    assert_eq!(bed.open_uploads(), 0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_changes_while_it_is_compared_is_compared_again() {
    let bed = Bed::new();
    let content = noise(3 * MIB, 2);
    let path = bed.write("large", &content);
    let daemon = settled(&bed, "300ms", "5m");
    // Touched again and again while it may be read: never sent, as its content is the known one.
    for n in 0..20 {
        let file = File::options().append(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(n)).unwrap();
        std::thread::sleep(Duration::from_millis(40));
    }
    bed.until_current();
    until("no change since", || (bed.state_of("large") == "synced").then_some(()));
    assert_eq!(bed.all_requests(), 0);
    // Other content of the same size, with the time set back: only ctime tells.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"other", 77).unwrap();
    file.set_modified(modified).unwrap();
    bed.until_mirrored("large", fs::read(&path).unwrap());
    assert_ne!(fs::read(&path).unwrap(), content);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn truncated_sparse_and_grown_files_are_mirrored_as_they_are() {
    let bed = Bed::new();
    let path = bed.write("f", noise(2 * MIB, 3));
    let daemon = settled(&bed, "100ms", "5m");
    let file = File::options().write(true).open(&path).unwrap();
    for len in [1000, 0, 5 * MIB as u64, 3] {
        file.set_len(len).unwrap();
        bed.until_mirrored("f", fs::read(&path).unwrap());
        assert_eq!(fs::metadata(bed.objects().join("f")).unwrap().len(), len);
    }
    // A hole with something at its end.
    let sparse = File::create(bed.root().join("sparse")).unwrap();
    sparse.write_all_at(b"end", 7 * MIB as u64).unwrap();
    bed.until_mirrored("sparse", fs::read(bed.root().join("sparse")).unwrap());
    bed.until_current();
    assert_eq!(bed.diff(), "");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_file_is_replaced_by_a_directory_and_back() {
    let bed = Bed::new();
    let path = bed.write("a", "a file");
    bed.write("b", "b");
    let daemon = settled(&bed, "100ms", "5m");
    // The copy of the file is kept, and stands in the way: that is said, and nothing else suffers.
    fs::remove_file(&path).unwrap();
    bed.write("a/x", "in a directory");
    bed.write("b", "changed");
    bed.until_mirrored("b", "changed");
    until_or(
        || format!("a word about it: {}", bed.mirror()),
        || (bed.mirror()["state"] == "behind").then_some(()),
    );
    let (out, _) = bed.ends(&["errors"], 0);
    assert!(out.contains("docs/a"), "{out}");
    assert_eq!(fs::read(bed.objects().join("a")).unwrap(), b"a file");
    // A file again, in one step.
    fs::rename(bed.root().join("a"), bed.path("away")).unwrap();
    bed.write("a", "another file");
    bed.until_mirrored("a", "another file");
    bed.until_current();
    // A directory that was mirrored, replaced by a file and back.
    bed.write("d/x", "x");
    bed.until_mirrored("d/x", "x");
    fs::rename(bed.root().join("d"), bed.path("d")).unwrap();
    bed.write("d", "a file");
    until_or(
        || format!("a word about it: {}", bed.mirror()),
        || (bed.mirror()["state"] == "behind").then_some(()),
    );
    fs::remove_file(bed.root().join("d")).unwrap();
    fs::rename(bed.path("d"), bed.root().join("d")).unwrap();
    bed.write("d/y", "y");
    bed.until_mirrored("d/y", "y");
    bed.until_current();
    assert_eq!(bed.diff(), "");
    assert_eq!(daemon.stop(), Some(0));
}

/// A page that was stored to is stored to again, before it was written to the disk: no time of the file moves.
#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn what_a_map_stores_after_the_file_was_read_is_sent_when_it_is_closed() {
    const STORES: &str = "
import mmap, sys
with open(sys.argv[1], 'r+b') as file:
    with mmap.mmap(file.fileno(), 0) as memory:
        for line in sys.stdin:
            memory[0:4] = line[:4].encode()
            print('stored', flush=True)
";
    let bed = Bed::new();
    let file = bed.write("db", vec![b'0'; 8192]);
    let daemon = bed.daemon_until_current();
    let python = std::process::Command::new("python3")
        .args(["-c", STORES])
        .arg(&file)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut python) = python else {
        println!("left out: there is no python3 to map a file with");
        return;
    };
    let mut said = BufReader::new(python.stdout.take().unwrap());
    let mut store = |word: &str| {
        python.stdin.as_mut().unwrap().write_all(format!("{word}\n").as_bytes()).unwrap();
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "stored\n");
    };
    let content = |word: &str| {
        let mut content = vec![b'0'; 8192];
        content[..4].copy_from_slice(word.as_bytes());
        content
    };
    let modified = || fs::metadata(&file).unwrap().modified().unwrap();
    let before = modified();
    store("one1");
    if modified() == before {
        println!("left out: this filesystem never tells of what is stored through a map");
        return;
    }
    // Nobody is told of that: a look finds the times moved.
    bed.ends(&["rescan"], 0);
    bed.until_mirrored("db", content("one1"));
    bed.until_current();
    store("TWO2");
    drop(python.stdin.take());
    assert!(python.wait().unwrap().success());
    bed.until_mirrored("db", content("TWO2"));
    bed.until_current();
    // A file that is only opened and closed is read, and not sent.
    bed.forget_requests();
    drop(fs::OpenOptions::new().write(true).open(&file).unwrap());
    bed.ends(&["rescan"], 0);
    bed.until_current();
    assert_eq!(bed.requests("file.start"), 0);
    assert_eq!(daemon.stop(), Some(0));
}
