//! What happens to the state folder: the journal deleted, damaged, old, locked; the disk full.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use fastrand::Rng;
use rusqlite::Connection;
use serde_json::json;

use crate::bed::{Bed, until, until_or};

const MIB: usize = 1 << 20;

fn journal(bed: &Bed) -> PathBuf {
    bed.path("state/journal.db")
}

#[test]
fn a_deleted_journal_is_filled_from_the_library_and_nothing_is_sent() {
    let bed = Bed::new();
    // More than a page of a listing holds.
    for n in 0..1_050 {
        bed.write(&format!("many/f{n}"), format!("{n}"));
    }
    for n in 0..40 {
        bed.write(&format!("deep/d{}/e{}/f{n}", n % 3, n % 7), format!("content {n}"));
    }
    bed.write("large", vec![7; 2 * MIB]);
    bed.write("empty", "");
    fs::create_dir(bed.root().join("hollow")).unwrap();
    bed.ends(&["sync", "-q"], 0);
    fs::remove_dir_all(bed.path("state")).unwrap();
    // One that is not what the library holds, although its size is the same.
    bed.write("many/f0", "X");
    bed.forget_requests();
    let daemon = bed.daemon_until_current();
    assert_eq!(bed.requests("cos.post"), 1);
    assert_eq!(bed.requests("file.start"), 1);
    assert_eq!(bed.missing(), Vec::<String>::new());
    assert_eq!(bed.extra(), Vec::<String>::new());
    assert_eq!(bed.mirror()["files"]["synced"], 1_092);
    assert_eq!(daemon.stop(), Some(0));
}

/// The kernel takes the locks of a process on a file away when it closes any descriptor of it.
#[test]
fn whoever_reads_the_journal_with_sqlite_takes_nothing_from_the_daemon() {
    let bed = Bed::new();
    bed.configure_for(&bed.endpoint, "\n[metrics]\nlisten = \"127.0.0.1:0\"");
    bed.write("a", "a");
    let daemon = bed.daemon_until_current();
    let inode = fs::metadata(journal(&bed)).unwrap().ino();
    let is_locked = || {
        let of_it = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.contains(&"POSIX")
                && words.contains(&daemon.pid().to_string().as_str())
                && words.iter().any(|word| word.ends_with(&format!(":{inode}")))
        };
        fs::read_to_string("/proc/locks").unwrap().lines().any(of_it)
    };
    assert!(is_locked());
    // Whatever it reads itself.
    bed.ends(&["pause"], 0);
    until("paused", || (bed.mirror()["state"] == "paused").then_some(()));
    bed.ends(&["resume"], 0);
    bed.until_current();
    assert!(is_locked());
    for n in 0..3 {
        let reader = Connection::open(journal(&bed)).unwrap();
        let files: i64 =
            reader.query_row("SELECT count(*) FROM file", [], |row| row.get(0)).unwrap();
        assert_eq!(files, n + 1);
        drop(reader);
        assert!(journal(&bed).with_file_name("journal.db-wal").exists());
        bed.write(&format!("b{n}"), "b");
        bed.until_mirrored(&format!("b{n}"), "b");
        bed.until_current();
        assert_eq!(bed.mirror()["files"]["synced"], n + 2);
    }
    daemon.kill();
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.requests("cos.post"), 0, "nothing that was confirmed is forgotten");
}

#[test]
fn a_journal_taken_away_under_a_daemon_is_made_anew() {
    let bed = Bed::new();
    for n in 0..30 {
        bed.write(&format!("d{}/f{n}", n % 3), format!("content {n}"));
    }
    let daemon = bed.daemon_until_current();
    bed.forget_requests();
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", journal(&bed).display()));
    }
    // An event has the daemon look; without one it does so twice a minute.
    bed.write("d0/new", "new");
    bed.until_mirrored("d0/new", "new");
    bed.until_current();
    assert_eq!(bed.requests("cos.post"), 1);
    assert!(bed.log().contains("was taken away while it was in use"), "{}", bed.log());
    assert_eq!(bed.mirror()["files"]["synced"], 31);
    assert_eq!(daemon.stop(), Some(0));
    // What it learned is in the new one.
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.everything_asked(), 0);
    assert_eq!(fs::metadata(journal(&bed)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_daemon_whose_state_folder_is_taken_away_ends_and_says_so() {
    let bed = Bed::new();
    bed.write("a", "a");
    let daemon = bed.daemon_until_current();
    fs::rename(bed.path("state"), bed.path("elsewhere")).unwrap();
    bed.write("b", "b");
    assert_eq!(daemon.ended(), Some(1));
    assert!(bed.log().contains("was taken away while it was in use; start smh-mirror again"));
    // Whatever takes it up again sends only what is new, with the old state or without it.
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert!(bed.requests("cos.post") <= 1);
    assert_eq!(bed.missing(), Vec::<String>::new());
}

#[test]
fn a_daemon_whose_log_is_taken_away_ends_and_says_so() {
    let bed = Bed::new();
    bed.write("a", "a");
    let daemon = bed.daemon_until_current();
    fs::remove_file(journal(&bed).with_file_name("journal.db-wal")).unwrap();
    bed.write("b", "b");
    assert_eq!(daemon.ended(), Some(1));
    assert!(bed.log().contains("journal.db-wal was taken away while it was in use"));
    bed.ends(&["sync"], 0);
    assert_eq!(bed.missing(), Vec::<String>::new());
}

#[test]
fn a_listing_that_fails_is_not_an_empty_one() {
    let bed = Bed::new();
    bed.write("d/a", "content");
    bed.write("b", "content");
    bed.ends(&["sync"], 0);
    fs::remove_dir_all(bed.path("state")).unwrap();
    bed.forget_requests();
    for effect in [json!({"reset": "before"}), json!({"status": 500}), json!({"garbage": true})] {
        bed.fault(json!({"route": "directory.list", "times": 1, "effect": effect}));
        bed.ends(&["sync"], 0);
        assert_eq!(bed.requests("file.start"), 0, "{effect}");
        assert_eq!(bed.hits("directory.list", &effect), 1);
        fs::remove_dir_all(bed.path("state")).unwrap();
        bed.no_faults();
    }
}

#[test]
fn a_journal_of_the_first_schema_is_taken_over() {
    let bed = Bed::new();
    bed.write("a.txt", "a\n");
    bed.write("d/b.txt", "b\n");
    fs::create_dir_all(bed.root().join("d/e")).unwrap();
    fs::create_dir_all(bed.root().join("empty")).unwrap();
    bed.ends(&["sync"], 0);
    // The library is what that journal knows of it; the journal is the old one.
    fs::remove_dir_all(bed.path("state")).unwrap();
    fs::create_dir(bed.path("state")).unwrap();
    fs::set_permissions(bed.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    let old = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/journal-v1.db");
    fs::copy(old, journal(&bed)).unwrap();
    let version = |db: &Connection| -> i64 {
        db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    {
        let db = Connection::open(journal(&bed)).unwrap();
        assert_eq!(version(&db), 1);
        let root = bed.root().to_str().unwrap().to_owned();
        let changed = db.execute("UPDATE mirror SET local = CAST(?1 AS BLOB)", [root]).unwrap();
        assert_eq!(changed, 1);
    }
    bed.write("pending", "pending\n");
    bed.write("d/bad", "bad\n");
    std::os::unix::fs::symlink("a.txt", bed.root().join("link")).unwrap();
    bed.forget_requests();
    let daemon = bed.daemon_until_current();
    assert!(version(&Connection::open(journal(&bed)).unwrap()) > 1);
    // The two that it knew were compared, not sent; the upload that it had begun is unknown by now.
    assert_eq!(bed.requests("cos.post"), 2);
    assert_eq!(bed.requests("directory.list"), 0);
    fs::remove_file(bed.root().join("link")).unwrap();
    assert_eq!(bed.missing(), Vec::<String>::new());
    assert_eq!(bed.extra(), Vec::<String>::new());
    assert_eq!(bed.set_aside(), Vec::<String>::new());
    assert_eq!(bed.mirror()["files"]["synced"], 4);
    bed.write("a.txt", "changed later");
    bed.until_mirrored("a.txt", "changed later");
    assert_eq!(daemon.stop(), Some(0));
}

/// Something that happens to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Cut(u64),
    /// These bits of the byte there.
    Flip(u64, u8),
    Noise,
    Text,
}

impl Damage {
    fn to(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        match self {
            Damage::Cut(len) => bytes.truncate(usize::try_from(len).unwrap()),
            Damage::Flip(at, bits) => bytes[usize::try_from(at).unwrap()] ^= bits,
            Damage::Noise => Rng::with_seed(1).fill(&mut bytes),
            Damage::Text => bytes = b"this is not a database\n".repeat(500),
        }
        fs::write(path, bytes).unwrap();
    }
}

/// Places all over a file of this length, and those that matter most.
fn damages(len: u64, rng: &mut Rng) -> Vec<Damage> {
    let mut damages = vec![Damage::Noise, Damage::Text];
    for at in [0, 1, 99, 4_095, 4_096, 4_097, len / 2, len - 4_096, len - 1] {
        damages.push(Damage::Cut(at.min(len - 1)));
    }
    // Magic, page size, file format, size in pages, free list, schema cookie, encoding, first b-tree page.
    for at in [0, 16, 18, 19, 20, 24, 28, 32, 36, 40, 44, 47, 56, 60, 63, 100, 103, 105] {
        damages.push(Damage::Flip(at, 0xff));
    }
    for _ in 0..30 {
        damages.push(Damage::Cut(rng.u64(0..len)));
    }
    for _ in 0..50 {
        // One bit in half of the cases, the whole byte in the other.
        let bits = if rng.bool() { 0xff } else { 1 << rng.u8(0..8) };
        damages.push(Damage::Flip(rng.u64(0..len), bits));
    }
    damages
}

/// A journal as a stop leaves it, or, with a log beside it, as a crash does.
fn kept(bed: &Bed, crashed: bool) -> PathBuf {
    for n in 0..60 {
        bed.write(&format!("d{}/f{n}", n % 4), format!("content {n}"));
    }
    bed.write("changing", "0");
    let daemon = bed.daemon_until_current();
    if crashed {
        daemon.kill();
    } else {
        assert_eq!(daemon.stop(), Some(0));
    }
    let kept = bed.path("kept");
    fs::rename(bed.path("state"), &kept).unwrap();
    kept
}

/// Gives whether the journal was set aside.
fn check_damage(bed: &Bed, kept: &Path, file: &str, damage: Damage, round: usize) -> bool {
    let state = bed.path("state");
    let _ = fs::remove_dir_all(&state);
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        if kept.join(name).exists() {
            fs::copy(kept.join(name), state.join(name)).unwrap();
        }
    }
    damage.to(&state.join(file));
    // A change that the journal does not know of.
    bed.write("changing", format!("{round}"));
    bed.forget_requests();
    let output = bed.run(&["sync", "-q"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(bed.missing(), Vec::<String>::new(), "{said}");
    assert_eq!(bed.extra(), Vec::<String>::new(), "{said}");
    let mirror = bed.mirror();
    assert_eq!(mirror["state"], "current", "{mirror}\n{said}");
    assert_eq!(mirror["files"]["synced"], 61, "{mirror}\n{said}");
    let aside = bed.set_aside();
    assert!(aside.len() <= 1, "{aside:?}");
    if !aside.is_empty() {
        assert!(said.contains("is set aside"), "{said}");
        assert_eq!(bed.requests("cos.post"), 1, "what the library holds was sent\n{said}");
    }
    !aside.is_empty()
}

fn damage_many(crashed: bool, file: &str) {
    let seed = std::env::var("SMH_DAMAGE_SEED").map_or(7, |text| text.parse().unwrap());
    let bed = Bed::new();
    let kept_len = fs::metadata(kept(&bed, crashed).join(file)).unwrap().len();
    let damages = damages(kept_len, &mut Rng::with_seed(seed));
    drop(bed);
    let next = Mutex::new(damages.iter().copied().enumerate());
    let failed = Mutex::new(Vec::new());
    let aside = Mutex::new(0_u32);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let bed = Bed::new();
                let kept = kept(&bed, crashed);
                let len = fs::metadata(kept.join(file)).unwrap().len();
                loop {
                    let Some((round, damage)) = next.lock().unwrap().next() else { return };
                    let damage = match damage {
                        Damage::Flip(at, bits) => Damage::Flip(at.min(len - 1), bits),
                        other => other,
                    };
                    let check =
                        AssertUnwindSafe(|| check_damage(&bed, &kept, file, damage, round + 1));
                    match catch_unwind(check) {
                        Ok(true) => *aside.lock().unwrap() += 1,
                        Ok(false) => {}
                        Err(_) => failed.lock().unwrap().push(format!("{damage:?} of {len}")),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{file}, seed {seed}:\n{}", failed.join("\n"));
    // A log that makes no sense is no damage: what it held is behind, and found again.
    if file == "journal.db" {
        assert!(aside.into_inner().unwrap() > 10, "hardly anything was found to be damaged");
    }
}

#[test]
fn a_journal_damaged_anywhere_is_repaired_or_set_aside() {
    damage_many(false, "journal.db");
}

#[test]
fn a_log_damaged_anywhere_is_repaired_or_set_aside() {
    damage_many(true, "journal.db-wal");
}

#[test]
fn a_locked_journal_is_waited_for_and_not_damaged() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.ends(&["sync"], 0);
    let lock = || {
        let db = Connection::open(journal(&bed)).unwrap();
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        db
    };
    let paused = |times: usize| {
        until_or(
            || format!("a pause; log:\n{}", bed.log()),
            || (bed.log().matches("work pauses").count() >= times).then_some(()),
        );
    };
    // From the beginning, and in the middle of a run.
    let held = lock();
    let daemon = bed.daemon();
    paused(1);
    bed.write("b", "b");
    drop(held);
    bed.until_mirrored("b", "b");
    bed.until_current();
    let before = bed.log().matches("work pauses").count();
    let held = lock();
    bed.write("c", "c");
    paused(before + 1);
    assert_ne!(bed.mirror()["state"], "current");
    drop(held);
    bed.until_mirrored("c", "c");
    bed.until_current();
    assert_eq!(bed.set_aside(), Vec::<String>::new());
    assert_eq!(daemon.stop(), Some(0));
}

/// A filesystem of its own, which ends with the test.
struct Small(PathBuf);

impl Small {
    /// `None`: this machine does not let us.
    fn mount(path: &Path, kib: u32) -> Option<Small> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={kib}k,mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(path);
        let done = mount.output().is_ok_and(|output| output.status.success());
        done.then(|| Small(path.to_path_buf()))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        use std::io::Write;
        let mut file = fs::File::create(self.0.join("ballast")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Whoever asks while the daemon cannot write gets an answer, and not that all is well: neither of the mirror, nor
/// of `changed`, which is not mirrored yet.
fn never_current(bed: &Bed, changed: &str) {
    let file = bed.root().join(changed);
    for args in [&["status", "--exit-code"][..], &["status", "--exit-code", file.to_str().unwrap()]]
    {
        let output = bed.run(args);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(4), "{args:?} {output:?}");
        assert!(!said.contains("current"), "{args:?} {said}");
    }
    let (out, _) = bed.ends(&["errors", "--exit-code"], 3);
    assert!(out.starts_with("every mirror: the daemon cannot write its journal in /"), "{out}");
    assert!(!out.contains("nothing is known to be wrong"), "{out}");
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn a_full_state_disk_pauses_and_goes_on() {
    let bed = Bed::new();
    let Some(disk) = Small::mount(&bed.path("state"), 1536) else {
        println!("left out: this machine does not let the test mount a filesystem");
        return;
    };
    bed.write("a", "a");
    let daemon = bed.daemon_until_current();
    disk.fill();
    // Until something is to be written down nobody notices, nor has to.
    let mut n = 0;
    until_or(
        || format!("a pause; log:\n{}", bed.log()),
        || {
            n += 1;
            bed.write(&format!("d/f{n}"), format!("content {n}").repeat(10));
            bed.log().contains("work pauses").then_some(())
        },
    );
    bed.write("a", "changed while the disk is full");
    bed.write("e/new", "new");
    never_current(&bed, "a");
    disk.make_room();
    bed.until_mirrored("a", "changed while the disk is full");
    bed.until_current();
    assert_eq!(bed.missing(), Vec::<String>::new());
    assert_eq!(bed.set_aside(), Vec::<String>::new());
    assert_eq!(daemon.stop(), Some(0));

    // A daemon that finds the disk full when it starts.
    disk.fill();
    bed.write("b", "b");
    let before = bed.log().matches("work pauses").count();
    let daemon = bed.daemon();
    until("another pause", || (bed.log().matches("work pauses").count() > before).then_some(()));
    never_current(&bed, "b");
    disk.make_room();
    bed.until_mirrored("b", "b");
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));

    // A pass waits for nobody, and neither does who asks something of a daemon.
    bed.write("c", "c");
    disk.fill();
    let (_, err) = bed.ends(&["sync"], 1);
    let state = bed.path("state").display().to_string();
    for part in ["cannot be written down in", &state, "make room", "run this again"] {
        assert!(err.contains(part), "{part}: {err}");
    }
    let (_, err) = bed.ends(&["pause"], 1);
    assert!(err.contains("make room there, and ask again"), "{err}");
    let left = fs::read_dir(bed.path("state/requests")).unwrap().count();
    assert_eq!(left, 0, "no half of a request is left");
    disk.make_room();
    bed.ends(&["sync", "-q"], 0);
    bed.until_mirrored("c", "c");
}
