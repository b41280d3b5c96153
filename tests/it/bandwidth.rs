//! The limit of the bandwidth: over all uploads together, and another one while the daemon runs.

use jiff::Timestamp;
use serde_json::Value;

use crate::bed::{Bed, noise, until};

fn limited(bed: &Bed, limit: &str) {
    bed.configure(&format!("[transfer]\nbandwidth_limit = {limit:?}"));
}

/// When the first post began to be read and when the last one was answered, in milliseconds, by the emulator's log.
fn posts_took_ms(bed: &Bed) -> i64 {
    let (_, lines) = bed.call("GET", "/_emulator/log", None);
    let posts = lines.as_array().unwrap().iter().filter(|line| line["route"] == "cos.post");
    let times: Vec<(i64, i64)> = posts
        .map(|line| {
            let at: Timestamp = line["at"].as_str().unwrap().parse().unwrap();
            (at.as_millisecond(), line["milliseconds"].as_i64().unwrap())
        })
        .collect();
    // A line is written when the answer leaves.
    let began = times.iter().map(|(at, took)| at - took).min().unwrap();
    times.iter().map(|(at, _)| at).max().unwrap() - began
}

#[test]
fn all_uploads_together_keep_to_the_limit() {
    let bed = Bed::new();
    limited(&bed, "1MiB/s");
    // Some are streamed, some are sent whole; all at the same time.
    for n in 0..2 {
        bed.write(&format!("large{n}"), noise(1_200_000, n));
    }
    for n in 0..6 {
        bed.write(&format!("small{n}"), noise(100_000, 10 + n));
    }
    bed.ends(&["sync", "-q"], 0);
    assert_eq!(bed.missing(), Vec::<String>::new());
    let took = posts_took_ms(&bed);
    // 3 MB at 1 MiB a second are 2.9 s; the first tenth of a second, and a piece of each, may go at once.
    assert!(took >= 2_000, "{took} ms");
}

#[test]
fn a_limit_is_set_while_the_daemon_runs_and_kept() {
    let bed = Bed::new();
    limited(&bed, "08:00 1KiB/s, 08:01 1KiB");
    let daemon = bed.daemon_until_current();
    let bandwidth = |bed: &Bed| bed.status()["bandwidth"].clone();
    assert_eq!(bandwidth(&bed)["bytes_per_second"], 1024);
    let text = bed.ends(&["status"], 0).0;
    assert!(text.contains("uploads are limited to 1.00 KiB/s in all"), "{text}");
    bed.write("file", noise(900_000, 1));
    until("the upload is under way", || (bed.mirror()["files"]["uploading"] == 1).then_some(()));

    // It would take a quarter of an hour.
    let said = bed.ends(&["limit", "off"], 0).0;
    assert!(said.contains("from now on, after a restart too"), "{said}");
    bed.until_mirrored("file", noise(900_000, 1));
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));

    let daemon = bed.daemon_until_current();
    let limit = bandwidth(&bed);
    assert_eq!((&limit["source"], &limit["bytes_per_second"]), (&"set".into(), &Value::Null));
    bed.ends(&["limit", "default"], 0);
    until("the limit of the configuration", || {
        (bandwidth(&bed)["source"] == "configuration").then_some(())
    });
    let (_, wrong) = bed.ends(&["limit", "fast"], 2);
    assert!(wrong.contains("\"fast\" is not a size; write bytes per second"), "{wrong}");
    assert_eq!(daemon.stop(), Some(0));
}
