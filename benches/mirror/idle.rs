//! A daemon with nothing to do.

use std::fs;
use std::time::Duration;

use super::Scale;
use super::bed::Bed;
use super::first::memory;
use super::table::Row;

/// One minute, as the goal says.
const WINDOW: Duration = Duration::from_secs(60);

pub(crate) fn idle(scale: Scale) -> Vec<Row> {
    let dirs = scale.of(100_000, 10_000);
    let bed = Bed::new();
    for n in 0..dirs {
        fs::create_dir_all(bed.root().join(format!("d{}", n / 100)).join(format!("e{n}"))).unwrap();
    }
    let daemon = bed.daemon();
    bed.until_scanned();
    bed.until_current(0);
    let watch = bed.status()["watch"].clone();
    // What was just done is on the disk, and connections that nobody needs any more are closed.
    std::thread::sleep(Duration::from_secs(60));
    let (cpu, written, switches) = (daemon.cpu_seconds(), daemon.written(), daemon.switches());
    std::thread::sleep(WINDOW);
    let cpu_ms = (daemon.cpu_seconds() - cpu) * 1e3;
    let written = daemon.written() - written;
    let switches = daemon.switches() - switches;
    let (resident, peak) = (daemon.resident_mib(), daemon.peak_mib());
    daemon.stop();
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
    vec![
        Row::new(
            format!("a minute idle, {dirs} leaf directories"),
            format!("{cpu_ms:.1} ms CPU, {written:.0} bytes written"),
        )
        .goal("< 10 ms, none", cpu_ms < 10.0 && written == 0.0)
        .beside(format!(
            "{} watched, {} polled (max_user_watches is {}); awake {switches:.0} times",
            watch["watched"],
            watch["polled"],
            limit.trim()
        )),
        memory("memory idle", resident),
        memory("its peak", peak),
    ]
}
