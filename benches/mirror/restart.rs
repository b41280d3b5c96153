//! A restart with nothing new: how long until everything is known to be current, and what is touched for that.

use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::Scale;
use super::bed::{Bed, fill};
use super::first::{journal, memory};
use super::peers;
use super::table::Row;

const IN_DIR: usize = 1_000;

pub(crate) fn restart(scale: Scale) -> Vec<Row> {
    let files = scale.of(1_000_000, 50_000);
    let bed = Bed::new();
    // Few bytes in each: what is measured are names and rows.
    fill(&bed.root(), files, IN_DIR, 16);
    let first = bed.sync();
    bed.forget_requests();
    // Warm: whatever the first pass left in memory is not what is compared.
    peers::walk(&bed.root());
    let (walked, _) = peers::walk(&bed.root());
    let began = Instant::now();
    let daemon = bed.daemon();
    bed.until_scanned();
    let took = began.elapsed().as_secs_f64();
    let peak = daemon.peak_mib();
    let mirror = bed.status();
    assert_eq!(
        (mirror["state"].as_str(), mirror["files"]["synced"].as_u64()),
        (Some("current"), Some(files as u64))
    );
    std::thread::sleep(Duration::from_secs(2));
    let idle = daemon.resident_mib();
    daemon.stop();
    let opened = opened_by_restart(&bed, files);
    let requests = bed.requests();
    let ratio = took / walked;
    vec![
        Row::new(
            format!("first mirror, {files} × 16 B"),
            format!("{:.0} files/s", files as f64 / first.seconds),
        ),
        memory("its memory", first.peak_mib),
        journal(bed.journal_bytes(), files),
        Row::new(format!("restart, {files} unchanged"), format!("{took:.2} s"))
            .goal("≤ 3 times a walk with stat", ratio <= 3.0)
            .beside(format!("{ratio:.1} times a walk with stat ({walked:.2} s)")),
        Row::new("its opens", format!("{opened} files, {requests} requests"))
            .goal("0 and 0", opened == 0 && requests == 0),
        memory("its memory", peak),
        memory("memory idle", idle),
    ]
}

/// How many files a restart opens, as the kernel tells it.
fn opened_by_restart(bed: &Bed, files: usize) -> u64 {
    let kernel = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
    for dir in dirs(&bed.root(), files) {
        inotify::add_watch(&kernel, &dir, WatchFlags::OPEN).unwrap();
    }
    let (opened, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [MaybeUninit::uninit(); 64 * 1024];
            let mut reader = inotify::Reader::new(&kernel, &mut buffer);
            loop {
                let last = over.load(Ordering::Acquire);
                while let Ok(event) = reader.next() {
                    assert!(
                        !event.events().contains(ReadFlags::QUEUE_OVERFLOW),
                        "too many to count"
                    );
                    // Directories are opened, to be listed.
                    if !event.events().contains(ReadFlags::ISDIR) {
                        opened.fetch_add(1, Ordering::Relaxed);
                    }
                }
                if last {
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let daemon = bed.daemon();
        bed.until_scanned();
        daemon.stop();
        over.store(true, Ordering::Release);
    });
    opened.into_inner()
}

fn dirs(root: &Path, files: usize) -> Vec<PathBuf> {
    (0..files.div_ceil(IN_DIR)).map(|n| root.join(format!("d{n}"))).collect()
}
