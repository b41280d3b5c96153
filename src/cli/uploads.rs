//! The uploads that run: how far they are, how fast, and how long they take.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::ask::ask;
use super::daemon::Daemon;
use super::output;
use super::status_view::put_path;
use super::verdict::Worker;
use crate::service::{Answer, Ask, Upload};
use crate::wording::counted;

/// A daemon that works answers at once; `status` waits for no other.
const PATIENCE: Duration = Duration::from_secs(2);
/// Uploads shown to people: those that take longest.
const SHOWN: usize = 8;

/// The uploads at one moment, with their speed.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    running: Vec<(Upload, u64)>,
}

/// What was seen at the look before: the speed is that of the time between.
#[derive(Debug, Default)]
pub(super) struct Before(HashMap<(String, String, i64), (u64, i64)>);

impl Uploads {
    /// Asks the daemon. `None`: there is none that works, or it does not answer; the journal has everything else.
    pub(super) fn ask(daemon: Option<&Daemon>, before: &mut Before) -> Option<Uploads> {
        let daemon = daemon.filter(|daemon| daemon.worker() == Worker::Daemon)?;
        match ask(daemon, Ask::Uploads, PATIENCE) {
            Ok(Answer::Uploads(uploads)) => Some(Uploads::of(uploads, before)),
            Ok(_) | Err(_) => None,
        }
    }

    fn of(uploads: Vec<Upload>, before: &mut Before) -> Uploads {
        let mut seen = HashMap::new();
        let mut running = Vec::with_capacity(uploads.len());
        for upload in uploads {
            let key = (upload.mirror.clone(), upload.path.clone(), upload.since_ms);
            let (bytes, at_ms) = before.0.get(&key).copied().unwrap_or((upload.before, 0));
            let rate =
                rate(upload.bytes.saturating_sub(bytes), upload.elapsed_ms.saturating_sub(at_ms));
            seen.insert(key, (upload.bytes, upload.elapsed_ms));
            running.push((upload, rate));
        }
        before.0 = seen;
        running.sort_by_key(|(upload, _)| {
            std::cmp::Reverse(upload.total.saturating_sub(upload.bytes))
        });
        Uploads { running }
    }

    /// A line an upload.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.running.iter().take(SHOWN).map(|(upload, rate)| sentence(upload, *rate)).collect();
        match self.running.len().saturating_sub(SHOWN) {
            0 => {}
            n => lines.push(format!("and {}", counted(n as u64, "more upload"))),
        }
        lines
    }

    pub(super) fn to_json(&self) -> Value {
        let all = self.running.iter().map(|(upload, rate)| {
            let mut value = json!({
                "mirror": upload.mirror,
                "bytes": upload.bytes,
                "total": upload.total,
                "rate": rate,
                "seconds_left": seconds_left(upload, *rate),
                "since": output::time(upload.since_ms),
                "resumed": upload.before,
                "parts": upload.parts.map(|parts| json!({
                    "arrived": parts.arrived,
                    "of": parts.of,
                })),
            });
            put_path(&mut value, &upload.path());
            value
        });
        all.collect()
    }
}

/// Bytes per second.
fn rate(bytes: u64, ms: i64) -> u64 {
    let ms = u64::try_from(ms).unwrap_or(0).max(1);
    u64::try_from(u128::from(bytes) * 1000 / u128::from(ms)).unwrap_or(u64::MAX)
}

/// `None`: nothing moves, or everything left.
fn seconds_left(upload: &Upload, rate: u64) -> Option<u64> {
    let left = upload.total.saturating_sub(upload.bytes);
    (left > 0).then(|| left.checked_div(rate)).flatten()
}

fn sentence(upload: &Upload, rate: u64) -> String {
    let name = upload.path().in_mirror(&upload.mirror);
    let total = output::bytes(upload.total);
    let kept = kept(upload.before);
    if upload.bytes >= upload.total {
        return format!("{name}: {total} sent, waits for the answer of the service{kept}");
    }
    let parts = upload.parts.map(|parts| format!(", {}", some_parts(parts.arrived, parts.of)));
    let parts = parts.unwrap_or_default();
    let percent = upload.bytes.saturating_mul(100).checked_div(upload.total).unwrap_or(100);
    let left = match seconds_left(upload, rate) {
        Some(seconds) => format!("{} left", span(seconds)),
        None => "stands still".to_owned(),
    };
    format!(
        "{name}: sending, {} of {total} ({percent} %){parts}, {}/s, {left}{kept}",
        output::bytes(upload.bytes),
        output::bytes(rate)
    )
}

/// Parts that arrived.
pub(super) fn some_parts(arrived: u32, of: u32) -> String {
    format!("{arrived} of {}", counted(of.into(), "part"))
}

/// What need not be sent again, since an earlier run did.
pub(super) fn kept(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        bytes => format!(", {} of it by an earlier run", output::bytes(bytes)),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Parts;

    fn upload(bytes: u64, elapsed_ms: i64) -> Upload {
        let (mirror, path) = ("docs".to_owned(), hex::encode("a/b"));
        let (before, total, since_ms) = (0, 4 << 20, 5_000);
        Upload { mirror, path, bytes, before, total, since_ms, elapsed_ms, parts: None }
    }

    #[test]
    fn the_speed_is_that_since_the_look_before() {
        let mut before = Before::default();
        let first = Uploads::of(vec![upload(1 << 20, 2_000)], &mut before);
        assert_eq!(
            first.lines(),
            ["docs/a/b: sending, 1.00 MiB of 4.00 MiB (25 %), 512.00 KiB/s, 6 s left"]
        );
        let second = Uploads::of(vec![upload(3 << 20, 4_000)], &mut before);
        assert_eq!(second.to_json()[0]["rate"], 1 << 20);
        assert_eq!(second.to_json()[0]["seconds_left"], 1);
        assert_eq!(second.to_json()[0]["path"], "a/b");
        let third = Uploads::of(vec![upload(3 << 20, 6_000)], &mut before);
        assert!(third.lines()[0].ends_with("0 B/s, stands still"), "{:?}", third.lines());
        let last = Uploads::of(vec![upload(4 << 20, 7_000)], &mut before);
        assert!(last.lines()[0].ends_with("waits for the answer of the service"));
        assert_eq!(last.to_json()[0]["seconds_left"], Value::Null);
        let parts = Some(Parts { arrived: 1, of: 4 });
        let resumed = Upload { before: 1 << 20, parts, ..upload(3 << 20, 2_000) };
        let resumed = Uploads::of(vec![resumed], &mut Before::default());
        assert_eq!(
            resumed.lines(),
            [
                "docs/a/b: sending, 3.00 MiB of 4.00 MiB (75 %), 1 of 4 parts, 1.00 MiB/s, 1 s left, \
              1.00 MiB of it by an earlier run"
            ]
        );
        let json = &resumed.to_json()[0];
        assert_eq!(
            (&json["parts"], &json["resumed"]),
            (&json!({"arrived": 1, "of": 4}), &json!(1 << 20))
        );
        let many = (0..10).map(|at| upload(at, 1)).collect();
        assert_eq!(Uploads::of(many, &mut before).lines()[8..], ["and 2 more uploads"]);
    }
}
