//! The first mirror of a folder: many small files, few large ones, and both with a service that is far away.

use super::Scale;
use super::bed::{Bed, fill};
use super::peers;
use super::table::Row;

const SMALL: usize = 4096;
const LARGE: usize = 10_000_000;
/// What every reply of a service that is far away takes longer, in milliseconds.
const DELAY_MS: u64 = 50;
/// Calls of one upload.
pub(crate) const CALLS: usize = 3;
/// The bound of the configuration, as it is when nothing is said.
const CONCURRENCY: usize = 32;

pub(crate) fn small(scale: Scale) -> Vec<Row> {
    let files = scale.of(10_000, 2_000);
    let bed = Bed::new();
    fill(&bed.root(), files, 100, SMALL);
    let cost = bed.sync();
    let requests = bed.requests();
    let bare = peers::bare_uploads(&bed.address, files, SMALL);
    let cp = peers::cp(&bed.root(), &bed.path("cp"));
    let (rate, cpu_ms) = (files as f64 / cost.seconds, cost.cpu_seconds * 1e3 / files as f64);
    let mut beside = format!(
        "{:.2} of the bare HTTP loop ({:.0} files/s), {:.0} times `cp -r`",
        bare / cost.seconds,
        files as f64 / bare,
        cost.seconds / cp
    );
    for (name, seconds) in peers::others(&bed.root(), &bed.path("other")) {
        beside.push_str(&format!(", {:.0} times {name} to a folder", cost.seconds / seconds));
    }
    let again = bed.sync();
    vec![
        Row::new(format!("first mirror, {files} × 4 KiB"), format!("{rate:.0} files/s"))
            .goal("≥ 2000 files/s", rate >= 2000.0)
            .beside(beside),
        Row::new("its CPU", format!("{cpu_ms:.2} ms a file"))
            .goal("≤ 0.4 ms a file", cpu_ms <= 0.4)
            .beside(format!("{:.2} requests a file", requests as f64 / files as f64)),
        memory("its memory", cost.peak_mib),
        journal(bed.journal_bytes(), files),
        Row::new("a pass over it again", format!("{:.2} s", again.seconds)),
    ]
}

pub(crate) fn large(scale: Scale) -> Vec<Row> {
    let files = scale.fixed(100, 20);
    let bed = Bed::new();
    fill(&bed.root(), files, 100, LARGE);
    let gigabytes = (files * LARGE) as f64 / 1e9;
    let cost = bed.sync();
    let sha = peers::sha256sum(&bed.root());
    let cp = peers::cp(&bed.root(), &bed.path("cp"));
    let bare = peers::bare_uploads(&bed.address, files, LARGE);
    let (rate, cpu) = (gigabytes * 1e3 / cost.seconds, cost.cpu_seconds / gigabytes);
    vec![
        Row::new(format!("first mirror, {files} × 10 MB"), format!("{rate:.0} MB/s"))
            .goal("≥ 400 MB/s", rate >= 400.0)
            .beside(format!(
                "{:.2} of the bare HTTP loop ({:.0} MB/s), {:.1} times `cp -r`, {:.1} times `sha256sum`",
                bare / cost.seconds,
                gigabytes * 1e3 / bare,
                cost.seconds / cp,
                cost.seconds / sha
            )),
        Row::new("its CPU", format!("{cpu:.2} s a GB"))
            .goal("≤ 2.0 s a GB", cpu <= 2.0)
            .beside(format!("{:.1} times the seconds of `sha256sum`", cost.cpu_seconds / sha)),
        memory("its memory", cost.peak_mib),
    ]
}

pub(crate) fn far_small(scale: Scale) -> Vec<Row> {
    let files = scale.of(10_000, 2_000);
    vec![far(files, SMALL, format!("{files} × 4 KiB, {DELAY_MS} ms on every reply"))]
}

pub(crate) fn far_large(scale: Scale) -> Vec<Row> {
    let files = scale.fixed(100, 20);
    vec![far(files, LARGE, format!("{files} × 10 MB, {DELAY_MS} ms on every reply"))]
}

/// What the bound allows: all slots busy with replies from the first moment to the last, or as long as it takes without
/// any delay, whichever is more.
fn far(files: usize, size: usize, name: String) -> Row {
    let near = {
        let bed = Bed::new();
        fill(&bed.root(), files, 100, size);
        bed.sync().seconds
    };
    let bed = Bed::new();
    fill(&bed.root(), files, 100, size);
    bed.delay(DELAY_MS);
    let cost = bed.sync();
    let waiting = (files * CALLS) as f64 * DELAY_MS as f64 / 1e3 / CONCURRENCY as f64;
    let share = near.max(waiting) / cost.seconds * 100.0;
    Row::new(name, format!("{share:.0} % ({:.2} s)", cost.seconds))
        .goal("≥ 80 % of what the bound allows", share >= 80.0)
        .beside(format!(
            "{waiting:.2} s of waiting for replies at {CONCURRENCY}; {near:.2} s without delay"
        ))
}

pub(crate) fn memory(name: &str, mib: f64) -> Row {
    Row::new(name, format!("{mib:.0} MiB")).goal("≤ 64 MB resident", mib * 1.048_576 <= 64.0)
}

pub(crate) fn journal(bytes: u64, files: usize) -> Row {
    let each = bytes as f64 / files as f64;
    Row::new("its journal", format!("{each:.0} bytes a file"))
        .goal("≤ 200 bytes a file", each <= 200.0)
}
