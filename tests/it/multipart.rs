//! Large files in parts: what arrived is never sent again, and nothing but a whole state of the file is confirmed.

use std::fs;

use serde_json::{Value, json};

use crate::bed::{Bed, noise, until};

const MIB: usize = 1 << 20;
/// Bytes of one file that may be on the way when the daemon dies: four parts of 1 MiB.
const ON_THE_WAY: u64 = 4 << 20;

/// Files from 1 MiB on are sent in parts, which are of 1 MiB up to files of 16.
fn bed() -> Bed {
    let bed = Bed::new();
    bed.configure("[transfer]\nmultipart_from = \"1MiB\"");
    bed
}

fn received(bed: &Bed) -> u64 {
    bed.call("GET", "/_emulator/traffic", None).1["bytesReceived"].as_u64().unwrap()
}

fn option(bed: &Bed, name: &str, value: Value) {
    bed.call("POST", "/_emulator/options", Some(json!({ name: value })));
}

fn arrives_whole(bed: &Bed) {
    bed.until_current();
    assert_eq!(bed.missing(), Vec::<String>::new());
    assert_eq!(bed.open_uploads(), 0);
}

#[test]
fn files_of_all_sizes_arrive_in_both_dialects() {
    for old in [false, true] {
        let bed = bed();
        option(&bed, "old_multipart", json!(old));
        bed.write("small", noise(MIB - 1, 1));
        bed.write("one part", noise(MIB, 2));
        bed.write("a part and a byte", noise(MIB + 1, 3));
        bed.write("d/many", noise(9 * MIB + 5, 4));
        bed.ends(&["sync"], 0);
        assert_eq!(bed.missing(), Vec::<String>::new());
        assert_eq!((bed.requests("file.start"), bed.requests("file.multipart")), (1, 3));
        assert_eq!((bed.requests("cos.part"), bed.requests("cos.post")), (1 + 2 + 10, 1));
        assert_eq!(bed.requests("file.renew"), 0);

        // The library knows the content: nothing is sent.
        let before = received(&bed);
        bed.write("again", noise(9 * MIB + 5, 4));
        bed.ends(&["sync"], 0);
        assert_eq!((bed.missing(), received(&bed)), (Vec::new(), before));
    }
}

#[test]
fn an_upload_that_is_killed_again_and_again_goes_on_where_it_was() {
    let bed = bed();
    let size = 24 * MIB;
    bed.write("large", noise(size, 5));
    bed.fault(json!({"route": "cos.part", "effect": {"sip": 4 * MIB}}));
    let mut kills = 0;
    for enough in [1, 5, 9, 13] {
        let daemon = bed.daemon();
        until("parts arrive", || (bed.requests("cos.part") >= enough).then_some(()));
        daemon.kill();
        kills += 1;
    }
    let said = bed.ends(&["explain", bed.path("root/large").to_str().unwrap()], 0).0;
    assert!(said.contains("of 12 parts arrived"), "{said}");
    bed.no_faults();
    let daemon = bed.daemon();
    arrives_whole(&bed);
    daemon.stop();
    // Parts are of 2 MiB: the file has 12.
    let most = size as u64 + kills * 2 * ON_THE_WAY;
    assert!(received(&bed) <= most, "{} of at most {most}", received(&bed));
    assert_eq!(bed.requests("file.multipart"), 1, "it is one upload all the time");
    let (history, _) = bed.ends(&["history"], 0);
    assert!(history.contains("of them by an earlier run"), "{history}");
}

#[test]
fn a_stop_parks_an_upload_within_seconds_and_the_next_start_goes_on() {
    let bed = bed();
    // In 16 parts of 4 MiB, a second each.
    const SIZE: usize = 64 * MIB;
    bed.write("large", noise(SIZE, 6));
    bed.fault(json!({"route": "cos.part", "effect": {"sip": 4 * MIB}}));
    let daemon = bed.daemon();
    until("parts arrive", || (bed.requests("cos.part") >= 4).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    let before = received(&bed);
    assert!(before < SIZE as u64, "it did not wait for the whole file");
    // The next one tells what it found, and how far it is.
    let daemon = bed.daemon();
    let upload = until("more parts arrive", || {
        let upload = bed.status()["uploads"].get(0)?.clone();
        (upload["parts"]["arrived"].as_u64()? > before / (SIZE as u64 / 16)).then_some(upload)
    });
    let told = (&upload["resumed"], &upload["parts"]["of"]);
    assert_eq!(told, (&json!(before), &json!(16)), "{upload}");
    let (out, _) = bed.ends(&["status"], 0);
    let mut lines = out.lines().filter(|line| line.starts_with("docs/large: sending, "));
    let line = lines.next().unwrap_or_else(|| panic!("{out}"));
    assert!(
        line.contains(" of 16 parts, ") && line.ends_with(" of it by an earlier run"),
        "{line}"
    );
    assert_eq!(daemon.stop(), Some(0));
    let before = received(&bed);
    bed.no_faults();
    let (out, _) = bed.ends(&["sync"], 0);
    let kept = format!("(64.00 MiB, {}.00 MiB of it by an earlier run)", before / MIB as u64);
    assert!(out.contains(&format!("uploaded docs/large {kept}")), "{kept} in {out}");
    assert_eq!((bed.missing(), bed.open_uploads()), (Vec::new(), 0));
    assert_eq!(received(&bed), SIZE as u64, "what was under way had ended");
}

#[test]
fn signatures_are_renewed_before_they_expire_and_when_they_are_refused() {
    let bed = bed();
    option(&bed, "form_life_seconds", json!(2));
    bed.write("large", noise(12 * MIB, 7));
    bed.fault(json!({"route": "cos.part", "effect": {"sip": MIB}}));
    bed.ends(&["sync"], 0);
    assert_eq!((bed.missing(), bed.open_uploads()), (Vec::new(), 0));
    assert!(bed.requests("file.renew") > 0);
    assert_eq!(bed.requests("file.multipart"), 1);

    bed.no_faults();
    let refused = json!({"status": 403});
    bed.fault(json!({
        "route": "cos.part", "times": 1,
        "effect": {"status": 403, "code": "AccessDenied", "message": "Request has expired"},
    }));
    bed.write("other", noise(3 * MIB, 8));
    bed.ends(&["sync"], 0);
    assert_eq!((bed.missing(), bed.hits("cos.part", &refused)), (Vec::new(), 1));
    assert_eq!(bed.requests("file.multipart"), 2, "only the signature was too old");
}

#[test]
fn a_part_that_fails_for_ever_is_named_and_costs_nobody_else() {
    let bed = bed();
    bed.write("large", noise(8 * MIB, 9));
    let broken = json!({"status": 500});
    bed.fault(json!({"route": "cos.part", "path": "?partNumber=3", "effect": broken}));
    let daemon = bed.daemon();
    until("it failed", || (bed.hits("cos.part", &broken) >= 3).then_some(()));
    bed.write("small", "small");
    bed.until_mirrored("small", "small");
    let (errors, _) = bed.ends(&["errors"], 0);
    assert!(errors.contains("large") && errors.contains("send a part of the content"), "{errors}");
    bed.no_faults();
    bed.ends(&["retry"], 0);
    arrives_whole(&bed);
    daemon.stop();
    // The other parts once, and the form of the small file.
    let most = 8 * MIB as u64 + 4096;
    assert!(received(&bed) <= most, "{} of at most {most}", received(&bed));
    assert_eq!(bed.requests("file.multipart"), 1);
}

#[test]
fn a_file_that_changes_or_goes_meanwhile_is_cancelled_on_the_service() {
    let bed = bed();
    let path = bed.write("large", noise(8 * MIB, 10));
    bed.write("gone", noise(8 * MIB, 11));
    bed.fault(json!({"route": "cos.part", "effect": {"sip": MIB}}));
    let daemon = bed.daemon();
    until("parts arrive", || (bed.requests("cos.part") >= 3).then_some(()));
    fs::remove_file(bed.path("root/gone")).unwrap();
    fs::write(&path, noise(8 * MIB, 12)).unwrap();
    bed.no_faults();
    arrives_whole(&bed);
    until("cancelled", || (bed.open_uploads() == 0).then_some(()));
    daemon.stop();
    assert_eq!(fs::read(bed.objects().join("large")).unwrap(), noise(8 * MIB, 12));
    assert!(!bed.objects().join("gone").exists());
}

#[test]
fn what_changed_while_nobody_looked_is_sent_anew() {
    let bed = bed();
    bed.write("large", noise(8 * MIB, 13));
    bed.fault(json!({"route": "cos.part", "effect": {"sip": 2 * MIB}}));
    let daemon = bed.daemon();
    until("parts arrive", || (bed.requests("cos.part") >= 2).then_some(()));
    daemon.kill();
    bed.no_faults();
    bed.write("large", noise(8 * MIB, 14));
    bed.ends(&["sync"], 0);
    assert_eq!((bed.missing(), bed.open_uploads()), (Vec::new(), 0));
    assert_eq!(bed.requests("file.multipart"), 2);
}

#[test]
fn the_upload_of_a_mirror_that_is_no_longer_configured_is_cancelled() {
    let bed = bed();
    bed.write("large", noise(8 * MIB, 17));
    bed.fault(json!({"route": "cos.part", "effect": {"sip": 2 * MIB}}));
    let daemon = bed.daemon();
    until("parts arrive", || (bed.requests("cos.part") >= 2).then_some(()));
    daemon.kill();
    bed.no_faults();
    assert_eq!(bed.open_uploads(), 1);
    fs::remove_file(bed.path("root/large")).unwrap();
    let text = fs::read_to_string(bed.path("config.toml")).unwrap();
    fs::write(bed.path("config.toml"), text.replace("\"docs\"", "\"papers\"")).unwrap();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.open_uploads(), 0);
}

#[test]
fn a_full_space_costs_no_part_twice() {
    let bed = bed();
    option(&bed, "quota", json!(MIB));
    bed.write("large", noise(4 * MIB, 15));
    bed.ends(&["sync"], 3);
    assert_eq!(received(&bed), 4 * MIB as u64);
    let (errors, _) = bed.ends(&["errors"], 0);
    assert!(errors.contains("QuotaLimitReached"), "{errors}");
    option(&bed, "quota", Value::Null);
    bed.ends(&["sync"], 0);
    assert_eq!((bed.missing(), bed.open_uploads()), (Vec::new(), 0));
    assert_eq!(received(&bed), 4 * MIB as u64, "only the confirmation was missing");
}

#[test]
fn lost_answers_and_wrong_bytes_never_make_a_wrong_file() {
    let bed = bed();
    for (seed, effect) in [
        json!({"reset": "after"}),
        json!({"reset": "before"}),
        json!({"wrong_crc64": true}),
        json!({"status": 503, "code": "SlowDown"}),
    ]
    .into_iter()
    .enumerate()
    {
        bed.fault(json!({"route": "cos.part", "nth": 3 + seed, "effect": effect}));
    }
    for route in ["file.multipart", "file.confirm", "file.status"] {
        bed.fault(json!({"route": route, "nth": 1, "effect": {"reset": "after"}}));
    }
    bed.write("large", noise(8 * MIB, 16));
    let daemon = bed.daemon();
    until("mirrored", || bed.missing().is_empty().then_some(()));
    bed.until_current();
    daemon.stop();
}
