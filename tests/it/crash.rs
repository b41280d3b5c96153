//! SIGKILL at each stage of an upload and at random moments of a busy run: the next run converges, sends nothing
//! again that had arrived, and leaves one object of each file.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::bed::{Bed, noise, until};

const MIB: usize = 1 << 20;

/// An answer that never comes to its end, although the call had its effect.
fn no_end() -> Value {
    json!({"garbage": true, "drip": 1})
}

/// A moment of the life of an upload.
struct Moment {
    name: &'static str,
    route: &'static str,
    effect: Value,
    /// The call had its effect when the daemon is killed; else it only arrived.
    done: bool,
    /// Bytes of the one file.
    size: usize,
    /// Posts of the run that follows.
    posts: u64,
    /// Tasks that nobody can cancel, because their key never arrived anywhere.
    orphans: u64,
}

fn moments() -> Vec<Moment> {
    // Whatever arrives and is not answered is lost with the connection.
    let waits = || json!({"reset": "before", "delay_ms": 600_000});
    let moment = |name, route, effect, done, posts| Moment {
        name,
        route,
        effect,
        done,
        size: 7,
        posts,
        orphans: 0,
    };
    vec![
        moment("while the library is listed", "directory.list", waits(), false, 1),
        moment("while a listing is read", "directory.list", no_end(), true, 1),
        moment("before a directory is made", "directory.create", waits(), false, 1),
        moment("a directory is made and nobody knows", "directory.create", no_end(), true, 1),
        moment("before the start", "file.start", waits(), false, 1),
        Moment {
            orphans: 1,
            ..moment("started and nobody knows", "file.start", no_end(), true, 1)
        },
        moment("started, not posted", "cos.post", waits(), false, 1),
        Moment { size: 32 * MIB, ..moment("in a post", "cos.post", json!({"sip": MIB}), false, 1) },
        moment("posted and nobody knows", "cos.post", no_end(), true, 0),
        moment("posted, not confirmed", "file.confirm", waits(), false, 0),
        moment("confirmed and nobody knows", "file.confirm", no_end(), true, 0),
    ]
}

#[test]
fn a_crash_at_each_stage_is_made_good() {
    for moment in moments() {
        let Moment { name, route, effect, done, size, posts, orphans } = moment;
        let bed = Bed::new();
        bed.write("d/file", noise(size, 3));
        bed.fault(json!({"route": route, "effect": effect}));
        let daemon = bed.daemon();
        until(name, || {
            let there = if done { bed.requests(route) } else { bed.hits(route, &effect) };
            (there > 0).then_some(())
        });
        assert_ne!(bed.mirror()["state"], "current", "{name}");
        daemon.kill();
        assert_ne!(bed.mirror()["state"], "current", "{name}");
        bed.no_faults();
        bed.forget_requests();

        let daemon = bed.daemon_until_current();
        assert_eq!(bed.requests("cos.post"), posts, "{name}");
        assert_eq!(bed.diff(), "", "{name}");
        assert_eq!(bed.extra(), Vec::<String>::new(), "{name}");
        assert_eq!(bed.open_uploads(), orphans, "{name}");
        assert_eq!(bed.mirror()["files"]["uploading"], 0, "{name}");
        assert_eq!(daemon.stop(), Some(0), "{name}");
        bed.forget_requests();
        bed.ends(&["sync"], 0);
        assert_eq!(bed.all_requests(), 0, "{name}");
    }
}

#[test]
fn a_crash_does_not_confirm_what_the_file_no_longer_is() {
    // Started with one state, and another one lies there after the crash: the old task is given up.
    let bed = Bed::new();
    bed.write("file", "one state");
    let effect = json!({"reset": "before", "delay_ms": 600_000});
    bed.fault(json!({"route": "cos.post", "effect": effect}));
    let daemon = bed.daemon();
    until("the post", || (bed.hits("cos.post", &effect) > 0).then_some(()));
    daemon.kill();
    bed.write("file", "another state, and longer");
    bed.no_faults();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    assert_eq!(bed.open_uploads(), 0);
    assert_eq!(bed.requests("file.cancel"), 1);
}

#[test]
fn what_was_posted_before_a_crash_is_kept_whatever_the_file_is_now() {
    // Its bytes are a whole state of the file: the library has at least that, even if the file is gone.
    for gone in [false, true] {
        let bed = Bed::new();
        let path = bed.write("file", "one state");
        let effect = json!({"reset": "before", "delay_ms": 600_000});
        bed.fault(json!({"route": "file.confirm", "effect": effect}));
        let daemon = bed.daemon();
        until("the confirm", || (bed.hits("file.confirm", &effect) > 0).then_some(()));
        daemon.kill();
        if gone {
            fs::remove_file(path).unwrap();
        } else {
            bed.write("file", "another state, and longer");
        }
        bed.no_faults();
        bed.forget_requests();
        let daemon = bed.daemon_until_current();
        until("the end of the upload", || (bed.open_uploads() == 0).then_some(()));
        assert_eq!(bed.requests("file.cancel"), 0, "what had arrived was thrown away");
        let expected = if gone { "one state" } else { "another state, and longer" };
        bed.until_mirrored("file", expected);
        assert_eq!(daemon.stop(), Some(0));
    }
}

#[test]
fn a_crash_while_a_lost_journal_is_rebuilt_sends_nothing_again() {
    let bed = Bed::new();
    for n in 0..120 {
        bed.write(&format!("d{}/f{n}", n % 12), format!("content {n}"));
    }
    bed.ends(&["sync", "-q"], 0);
    fs::remove_dir_all(bed.path("state")).unwrap();
    bed.forget_requests();
    bed.fault(json!({"route": "directory.list", "effect": {"delay_ms": 100}}));
    for listed in [1, 5, 9] {
        let daemon = bed.daemon();
        until("some listings", || (bed.requests("directory.list") >= listed).then_some(()));
        daemon.kill();
    }
    let daemon = bed.daemon_until_current();
    assert_eq!(bed.requests("file.start"), 0, "what the library had was sent");
    assert_eq!(bed.mirror()["files"]["synced"], 120);
    assert_eq!(daemon.stop(), Some(0));
}

/// Somebody who works in the folder and never rests. Few names, so that the changes meet.
struct Writer {
    root: PathBuf,
    rng: Rng,
}

impl Writer {
    fn dir(&mut self) -> PathBuf {
        let depth = self.rng.usize(0..4);
        (0..depth).fold(self.root.clone(), |dir, _| dir.join(format!("d{}", self.rng.u8(0..3))))
    }

    fn name(&mut self) -> PathBuf {
        let dir = self.dir();
        fs::create_dir_all(&dir).unwrap();
        dir.join(format!("f{}", self.rng.u8(0..6)))
    }

    /// A file that is there.
    fn file(&mut self) -> Option<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(dir) = folders.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        self.rng.choice(files)
    }

    fn content(&mut self) -> Vec<u8> {
        let len = match self.rng.u8(0..20) {
            0 => 0,
            1 => MIB + self.rng.usize(0..MIB),
            2 => MIB,
            _ => self.rng.usize(0..3_000),
        };
        // Few seeds: content that the library has already is met now and then.
        noise(len, self.rng.u64(0..30))
    }

    fn step(&mut self) {
        let name = self.name();
        let content = self.content();
        match self.rng.u8(0..12) {
            0..=2 => fs::write(name, content).unwrap(),
            3 => {
                let mut file = fs::File::options().create(true).append(true).open(name).unwrap();
                file.write_all(&content).unwrap();
            }
            4 => {
                let Some(file) = self.file() else { return };
                let file = fs::File::options().write(true).open(file).unwrap();
                file.set_len(self.rng.u64(0..2_000)).unwrap();
            }
            // As an editor saves.
            5 | 6 => {
                let beside = name.with_extension("swp");
                fs::write(&beside, content).unwrap();
                fs::rename(beside, name).unwrap();
            }
            7 => {
                let Some(file) = self.file() else { return };
                fs::rename(file, name).unwrap();
            }
            8 => {
                let (from, to) = (self.dir(), self.dir());
                // Into itself, onto something, or from nowhere: refused, which is a step too.
                if from != self.root && to.parent().is_some_and(|parent| parent.is_dir()) {
                    let _ = fs::rename(from, to);
                }
            }
            9 => {
                let Some(file) = self.file() else { return };
                fs::remove_file(file).unwrap();
            }
            // Other bytes, the same size and the same time.
            10 => {
                let Some(path) = self.file() else { return };
                let old = fs::metadata(&path).unwrap();
                let other = noise(old.len() as usize, self.rng.u64(..));
                fs::write(&path, other).unwrap();
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(old.modified().unwrap()).unwrap();
            }
            // A slow writer.
            _ => {
                let mut file = fs::File::create(name).unwrap();
                for piece in content.chunks(MIB / 3) {
                    file.write_all(piece).unwrap();
                    std::thread::sleep(Duration::from_millis(30));
                }
            }
        }
    }
}

/// A long run: `SMH_CRASH_KILLS=500 SMH_CRASH_SEED=1 cargo test --test it crashes_in_a_busy_run`.
#[test]
#[expect(clippy::print_stdout, reason = "the seed is what is needed when it fails")]
fn crashes_in_a_busy_run() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let kills = number("SMH_CRASH_KILLS").unwrap_or(20);
    let seed = number("SMH_CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("SMH_CRASH_SEED={seed} SMH_CRASH_KILLS={kills}");
    let mut rng = Rng::with_seed(seed);
    let bed = Bed::new();
    let mut writer = Writer { root: bed.root(), rng: rng.fork() };
    let faults = |rng: &mut Rng| {
        let effects = [
            (json!({"reset": "before"}), 0.04),
            (json!({"reset": "after"}), 0.04),
            (json!({"status": 500, "code": "InternalServerError"}), 0.03),
            (json!({"status": 409, "code": "PathConflict"}), 0.02),
            (json!({"delay_ms": 50}), 0.1),
            (json!({"truncate": 7}), 0.02),
            (json!({"sip": 300_000}), 0.05),
        ];
        for (effect, probability) in effects {
            let seed = rng.u64(..1 << 53);
            bed.fault(json!({"probability": probability, "seed": seed, "effect": effect}));
        }
    };
    let resting = AtomicBool::new(false);
    let rests = AtomicBool::new(false);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Dropped when a check below fails, too: then nobody waits for this thread for ever.
            while !over.load(Ordering::SeqCst) {
                if resting.load(Ordering::SeqCst) {
                    rests.store(true, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                } else {
                    rests.store(false, Ordering::SeqCst);
                    writer.step();
                    let pause = writer.rng.u64(0..20);
                    std::thread::sleep(Duration::from_millis(pause));
                }
            }
        });
        let _ends = Ends(&over);
        for kill in 1..=kills {
            bed.no_faults();
            faults(&mut rng);
            let daemon = bed.daemon();
            // A random moment is what is wanted.
            std::thread::sleep(Duration::from_millis(rng.u64(10..1_200)));
            daemon.kill();
            if kill % 10 != 0 && kill != kills {
                continue;
            }
            resting.store(true, Ordering::SeqCst);
            until("the writer to rest", || rests.load(Ordering::SeqCst).then_some(()));
            // With the faults still there at first: it must not be said too early.
            let daemon = bed.daemon_until_current();
            assert_eq!(bed.missing(), Vec::<String>::new(), "after {kill} kills, seed {seed}");
            assert_eq!(bed.mirror()["files"]["blocked"], 0, "after {kill} kills, seed {seed}");
            assert_eq!(daemon.stop(), Some(0));
            bed.no_faults();
            // What the faults left behind, like an upload of a file that is gone, is settled by the next start.
            assert_eq!(bed.daemon_until_current().stop(), Some(0));
            bed.forget_requests();
            let daemon = bed.daemon_until_current();
            assert_eq!(daemon.stop(), Some(0));
            assert_eq!(bed.all_requests(), 0, "nothing changed, after {kill} kills, seed {seed}");
            rests.store(false, Ordering::SeqCst);
            resting.store(false, Ordering::SeqCst);
        }
    });
}

/// Ends the writer when the test ends, however it does.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
