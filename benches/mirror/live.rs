//! While the daemon runs: how soon a change is confirmed, and how a burst is taken.

use std::collections::HashMap;
use std::fs;
use std::mem::MaybeUninit;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::Scale;
use super::bed::{Bed, SETTLE_MS, fill};
use super::first::CALLS;
use super::table::Row;

const DIRS: usize = 10;
/// Between two changes: a hundred a second.
const EVERY: Duration = Duration::from_millis(10);

/// From the `close()` of a file to the moment its copy gets its name in the library, beyond the settle time.
pub(crate) fn latency(scale: Scale) -> Vec<Row> {
    let changes = scale.fixed(3_000, 500);
    let bed = Bed::new();
    fill(&bed.root(), DIRS, 1, 100);
    let daemon = bed.daemon();
    bed.until_current(DIRS);
    let kernel = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
    for n in 0..DIRS {
        let dir = bed.copies().join(format!("d{n}"));
        inotify::add_watch(&kernel, &dir, WatchFlags::MOVED_TO | WatchFlags::CREATE).unwrap();
    }
    let mut closed: HashMap<Vec<u8>, Instant> = HashMap::new();
    let mut late_ms = Vec::with_capacity(changes);
    let mut buffer = [MaybeUninit::uninit(); 64 * 1024];
    let mut reader = inotify::Reader::new(&kernel, &mut buffer);
    let began = Instant::now();
    let mut made = 0;
    while late_ms.len() < changes {
        assert!(
            began.elapsed() < EVERY * changes as u32 + Duration::from_secs(60),
            "changes are missing"
        );
        if made < changes && began.elapsed() >= EVERY * made as u32 {
            let name = format!("new{made}");
            fs::write(bed.root().join(format!("d{}", made % DIRS)).join(&name), &name).unwrap();
            closed.insert(name.into_bytes(), Instant::now());
            made += 1;
        }
        while let Ok(event) = reader.next() {
            let name = event.file_name().map(|name| name.to_bytes().to_vec());
            if let Some(at) = name.and_then(|name| closed.remove(&name)) {
                late_ms.push(at.elapsed().as_secs_f64() * 1e3 - SETTLE_MS as f64);
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    late_ms.sort_by(f64::total_cmp);
    daemon.stop();
    let (median, p99) = (late_ms[changes / 2], late_ms[changes * 99 / 100]);
    vec![
        Row::new(
            format!("close() to confirmed, {changes} changes at 100/s, median"),
            format!("settle + {median:.0} ms"),
        )
        .goal("≤ settle + 20 ms", median <= 20.0),
        Row::new("the same, 99th percentile", format!("settle + {p99:.0} ms"))
            .goal("≤ settle + 100 ms", p99 <= 100.0)
            .beside(format!("at worst settle + {:.0} ms", late_ms[changes - 1])),
    ]
}

/// A tree that is unpacked while the daemon runs, and one pass over the same tree.
pub(crate) fn burst(scale: Scale) -> Vec<Row> {
    let files = scale.of(50_000, 5_000);
    // It stays to the end: a disk on which so many files were just deleted is slow to make new ones.
    let beside = Bed::new();
    fill(&beside.root(), files, 100, 1024);
    let pass = beside.sync();
    let bed = Bed::new();
    let tree = bed.path("tree");
    fs::create_dir(&tree).unwrap();
    fill(&tree, files, 100, 1024);
    let archive = bed.path("tree.tar");
    let tar = |args: &[&str], at: &std::path::Path| {
        let mut command = Command::new("tar");
        assert!(
            command
                .arg(args[0])
                .arg(&archive)
                .arg("-C")
                .arg(at)
                .args(&args[1..])
                .status()
                .unwrap()
                .success()
        );
    };
    tar(&["-cf", "."], &tree);
    let daemon = bed.daemon();
    bed.until_scanned();
    let began = Instant::now();
    tar(&["-xf"], &bed.root());
    // To ask `status` all the time would keep a processor busy.
    while bed.requests() < (files * CALLS) as u64 {
        std::thread::sleep(Duration::from_millis(100));
    }
    bed.until_current(files);
    let took = began.elapsed().as_secs_f64();
    let cpu = daemon.cpu_seconds();
    let requests = bed.requests();
    let overflows = bed.status()["watch"]["overflows"].as_u64().unwrap_or(0);
    let peak = daemon.peak_mib();
    daemon.stop();
    let again = bed.path("again");
    fs::create_dir(&again).unwrap();
    let began = Instant::now();
    tar(&["-xf"], &again);
    let unpacking = began.elapsed().as_secs_f64();
    let ratio = took / pass.seconds;
    vec![
        Row::new(format!("burst of {files} files"), format!("{took:.2} s, {overflows} overflows"))
            .goal("≤ 1.2 times a pass, no storm", ratio <= 1.2)
            .beside(format!(
                "{ratio:.2} times `sync` of the same tree ({:.2} s, {:.1} CPU s; here {cpu:.1}); unpacking alone takes {unpacking:.1} s; {:.2} requests a file",
                pass.seconds,
                pass.cpu_seconds,
                requests as f64 / files as f64
            )),
        super::first::memory("its memory", peak),
    ]
}
