//! Metrics: what a scraper reads is well formed, tells what was done, and holds no secret.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::bed::{Bed, noise, until, until_or};

const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:0\"";

/// What was scraped: the value of each series, written as `name{label="value",…}` with sorted labels.
#[derive(Debug)]
struct Scraped {
    text: String,
    values: BTreeMap<String, f64>,
}

impl Scraped {
    fn of(bed: &Bed) -> Scraped {
        let response = bed.fetch("GET", &url(bed));
        assert_eq!(response.status, 200, "{}", response.text);
        assert!(response.kind.starts_with("text/plain; version=0.0.4"), "{}", response.kind);
        Scraped { values: checked(&response.text), text: response.text }
    }

    /// One series, or those of a name and some of its labels together.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.values
            .iter()
            .filter(|(series, _)| series.split('{').next() == Some(name))
            .filter(|(series, _)| labels.iter().all(|label| series.contains(label)))
            .map(|(_, value)| value)
            .sum()
    }

    fn has(&self, name: &str) -> bool {
        self.values.keys().any(|series| series.split('{').next() == Some(name))
    }
}

/// Where the newest daemon serves its metrics.
fn url(bed: &Bed) -> String {
    until_or(
        || format!("metrics are served: {}", bed.log()),
        || {
            let log = bed.log();
            let line = log.lines().rfind(|line| line.contains("metrics are served"))?;
            line.split_whitespace().last().map(str::to_owned)
        },
    )
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    first && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Takes `name{labels} value` apart: no time stamps, nothing escaped, no label twice.
fn sample(line: &str) -> (String, Vec<String>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}').unwrap_or_else(|| panic!("{line}"))),
        None => (series, ""),
    };
    let mut seen = BTreeSet::new();
    let mut labels: Vec<String> =
        labels.split_terminator(',').map(|label| label.trim().to_owned()).collect();
    for label in &labels {
        let (key, text) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
        assert!(is_name(key) && seen.insert(key), "{line}");
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        assert!(text.is_some_and(|text| !text.contains(['"', '\\'])), "{line}");
    }
    labels.sort();
    (name.to_owned(), labels, value)
}

/// Checks the text as a strict reader would: the format 0.0.4, and the naming rules of Prometheus.
fn checked(text: &str) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    let mut families = BTreeSet::new();
    let (mut family, mut kind, mut helped) = (String::new(), String::new(), String::new());
    // The last bucket of each histogram series: its bound and its count.
    let mut buckets: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.len() > 5, "{line}");
            helped = name.to_owned();
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, word) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "each family has a help text");
            assert!(is_name(name) && families.insert(name.to_owned()), "{name} comes once");
            assert!(name.starts_with("smh_mirror_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), word == "counter", "{line}");
            for (part, suffix) in [("duration", "_seconds"), ("timestamp", "_seconds")] {
                assert!(!name.contains(part) || name.contains(suffix), "{name} names its unit");
            }
            (family, kind) = (name.to_owned(), word.to_owned());
            continue;
        }
        let (name, labels, value) = sample(line);
        let suffixes: &[&str] = match kind.as_str() {
            "counter" | "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{other} of {line}"),
        };
        let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line}"));
        assert!(suffixes.contains(&suffix), "{line} belongs to {family}");
        assert!(value.is_finite() && (value >= 0.0 || name.contains("skew")), "{line}");
        let (le, others): (Vec<_>, Vec<_>) =
            labels.iter().cloned().partition(|label| label.starts_with("le="));
        let of = format!("{family}{others:?}");
        match suffix {
            "_bucket" => {
                let bound = le[0].trim_start_matches("le=").trim_matches('"');
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                let before = buckets.insert(of, (bound, value));
                assert!(before.is_none_or(|(b, v)| b < bound && v <= value), "{line}");
            }
            "_count" => assert_eq!(buckets.get(&of), Some(&(f64::INFINITY, value)), "{line}"),
            _ => {}
        }
        let series = format!("{name}{{{}}}", labels.join(","));
        assert!(values.insert(series, value).is_none(), "{line} comes once");
    }
    values
}

#[test]
fn a_scrape_tells_what_was_done() {
    let bed = Bed::new();
    bed.configure(METRICS);
    for name in 0..5 {
        bed.write(&format!("sub/{name}"), noise(1000, name));
    }
    bed.write("bad", "a virus");
    bed.fault(json!({"route": "file.start", "path": "bad",
        "effect": {"status": 451, "code": "SensitiveContentRecognized"}}));
    bed.fault(json!({"route": "file.confirm", "nth": 2, "effect": {"status": 503}}));
    bed.fault(json!({"route": "cos.post", "nth": 3, "effect": {"reset": "before"}}));
    let daemon = bed.daemon();
    until("all but one", || {
        let mirror = bed.mirror();
        (mirror["files"]["synced"] == 5 && mirror["files"]["blocked"] == 1).then_some(())
    });
    let is = |scraped: &Scraped, name: &str, labels: &[&str]| scraped.sum(name, labels);
    let s = until_or(
        || Scraped::of(&bed).text,
        || {
            let scraped = Scraped::of(&bed);
            let done = is(&scraped, "smh_mirror_mirrored_files_total", &[]) >= 5.0
                && is(&scraped, "smh_mirror_files", &["state=\"synced\""]) >= 5.0
                && is(&scraped, "smh_mirror_full_scans_total", &[]) >= 1.0;
            done.then_some(scraped)
        },
    );
    for (name, labels, expected) in [
        ("smh_mirror_files", &["mirror=\"docs\"", "state=\"synced\""][..], 5.0),
        ("smh_mirror_files", &["state=\"blocked\""], 1.0),
        ("smh_mirror_files", &["state=\"pending\""], 0.0),
        ("smh_mirror_files_bytes", &["state=\"synced\""], 5000.0),
        ("smh_mirror_mirrored_files_total", &["mirror=\"docs\""], 5.0),
        ("smh_mirror_mirrored_bytes_total", &[], 5000.0),
        ("smh_mirror_errors_total", &["class=\"permanent\""], 1.0),
        ("smh_mirror_failing_entries", &["class=\"permanent\""], 1.0),
        ("smh_mirror_requests_total", &["route=\"confirm\"", "code=\"503\""], 1.0),
        ("smh_mirror_requests_total", &["route=\"start\"", "code=\"451\""], 1.0),
        ("smh_mirror_requests_total", &["route=\"post\"", "code=\"broken\""], 1.0),
        ("smh_mirror_requests_total", &["route=\"token\"", "code=\"200\""], 1.0),
        ("smh_mirror_state", &["state=\"behind\""], 1.0),
        ("smh_mirror_state", &[], 1.0),
        ("smh_mirror_holds", &[], 0.0),
        ("smh_mirror_watched_directories", &["mode=\"watched\""], 2.0),
        ("smh_mirror_watch_overflows_total", &[], 0.0),
        ("smh_mirror_journal_readable", &[], 1.0),
        ("smh_mirror_journal_writable", &[], 1.0),
        ("smh_mirror_build_info", &["version=\""], 1.0),
    ] {
        assert_eq!(is(&s, name, labels), expected, "{name} {labels:?}\n{}", s.text);
    }
    // Every request is counted, and timed.
    for (route, theirs) in
        [("confirm", "file.confirm"), ("start", "file.start"), ("post", "cos.post")]
    {
        let label = format!("route=\"{route}\"");
        let counted = is(&s, "smh_mirror_requests_total", &[&label]);
        assert_eq!(counted, bed.requests(theirs) as f64, "{route}");
        assert_eq!(is(&s, "smh_mirror_request_duration_seconds_count", &[&label]), counted);
    }
    // What was completed after a lost answer was uploaded before.
    let uploads = is(&s, "smh_mirror_mirrored_files_total", &["how=\"uploaded\""]);
    assert!(uploads >= 4.0, "{}", s.text);
    assert_eq!(is(&s, "smh_mirror_upload_duration_seconds_count", &[]), uploads);
    assert!(is(&s, "smh_mirror_sent_bytes_total", &[]) >= 5000.0);
    let day_later = is(&s, "smh_mirror_token_expiry_timestamp_seconds", &[])
        - is(&s, "process_start_time_seconds", &[]);
    assert!((86_000.0..=87_000.0).contains(&day_later), "{day_later}");
    assert!(is(&s, "smh_mirror_transfers_limit", &[]) >= 1.0);
    for name in [
        "smh_mirror_last_full_scan_timestamp_seconds",
        "smh_mirror_oldest_pending_seconds",
        "smh_mirror_clock_skew_seconds",
        "smh_mirror_journal_size_bytes",
        "smh_mirror_state_free_bytes",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(s.has(name), "{name}\n{}", s.text);
    }
    // Names and numbers: no path, no address, no secret.
    for secret in ["emulator-secret", "acctk", "access_token", "/tmp", "127.0.0.1", "virus", "bad"]
    {
        assert!(!s.text.contains(secret), "{secret}\n{}", s.text);
    }
    // Many at once wait for each other, and everything else is not there.
    let url = url(&bed);
    let said = bed.fetch_all(&vec![url.clone(); 30]);
    assert!(said.iter().all(|answer| answer.status == 200), "{said:?}");
    let other = url.replace("/metrics", "/");
    assert_eq!(bed.fetch("GET", &other).status, 404);
    assert_eq!(bed.fetch("POST", &url).status, 405);
    // Another configuration is another run in the same process: nothing is counted anew.
    bed.configure(&format!("rescan = \"2h\"\n{METRICS}"));
    daemon.signal(rustix::process::Signal::HUP);
    until("the new configuration", || bed.log().contains("is in force").then_some(()));
    let again = until("another scan", || {
        let scraped = Scraped::of(&bed);
        (is(&scraped, "smh_mirror_full_scans_total", &[]) >= 2.0).then_some(scraped)
    });
    assert_eq!(is(&again, "smh_mirror_mirrored_files_total", &[]), 5.0, "{}", again.text);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_said_at_the_start() {
    let bed = Bed::new();
    // The emulator has it.
    let address = bed.endpoint.trim_start_matches("http://").to_owned();
    bed.configure(&format!("[metrics]\nlisten = \"{address}\""));
    let (_, err) = bed.ends(&["run"], 1);
    let said = format!("cannot serve metrics at {address}");
    assert!(err.contains(&said) && err.contains("another program listens there"), "{err}");
    let (out, _) = bed.ends(&["doctor"], 1);
    let said = format!("another program listens at {address}");
    assert!(out.contains(&said), "{out}");
    // Nothing but the daemon needs it.
    bed.ends(&["sync"], 0);
    bed.configure("[metrics]\nlisten = \"0.0.0.0:9464\"");
    let (_, err) = bed.ends(&["config", "check"], 78);
    assert!(err.contains("metrics.listen") && err.contains("reached from other"), "{err}");
}
