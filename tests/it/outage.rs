//! Tokens and forms that end in the middle, and a service that is away for a while.

use serde_json::json;

use crate::bed::{Bed, noise, until};

const MIB: usize = 1 << 20;

#[test]
fn tokens_that_end_while_uploads_run_are_replaced_once_each() {
    let bed = Bed::new();
    for n in 0..200 {
        bed.write(&format!("d{}/f{n}", n % 5), format!("content {n}"));
    }
    bed.fault(json!({"route": "cos.post", "effect": {"delay_ms": 20}}));
    let daemon = bed.daemon();
    for confirmed in [20, 60, 100, 140] {
        until("some uploads", || (bed.requests("file.confirm") >= confirmed).then_some(()));
        bed.call("DELETE", "/_emulator/tokens", None);
    }
    bed.until_current();
    assert_eq!(bed.missing(), Vec::<String>::new());
    assert_eq!(bed.open_uploads(), 0);
    // However many calls were under way, one of them had a new one made.
    assert_eq!(bed.requests("token.create"), 5);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_form_that_ends_before_it_is_posted_is_had_anew() {
    let bed = Bed::new();
    bed.write("small", "content");
    bed.write("large", noise(3 * MIB, 1));
    bed.call("POST", "/_emulator/options", Some(json!({"form_life_seconds": 1})));
    // The bucket looks at the form after the delay, when its time is over.
    bed.fault(json!({"route": "cos.post", "times": 4, "effect": {"delay_ms": 2_100}}));
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    assert_eq!(bed.open_uploads(), 0, "forms that ended leave their tasks");
    assert_eq!(bed.requests("file.cancel"), 4);
}

#[test]
fn a_key_that_the_service_forgot_is_started_again() {
    let bed = Bed::new();
    bed.write("a", "content");
    bed.fault(json!({"route": "file.confirm", "effect": {"reset": "before", "delay_ms": 600_000}}));
    let effect = json!({"delay_ms": 600_000});
    let daemon = bed.daemon();
    until("the confirm", || (bed.hits("file.confirm", &effect) > 0).then_some(()));
    daemon.kill();
    bed.no_faults();
    // A week later, as the service sees it.
    bed.call("POST", "/_emulator/clock", Some(json!({"shift_seconds": 7 * 86_400})));
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    assert_eq!(bed.requests("cos.post"), 2);
    assert_eq!(bed.open_uploads(), 0);
}

#[test]
fn a_service_that_is_away_is_waited_for_and_then_asked_for_nothing_twice() {
    let mut bed = Bed::new();
    bed.write("d/before", "before");
    let daemon = bed.daemon_until_current();
    bed.stop_emulator();
    for n in 0..40 {
        bed.write(&format!("d/f{n}"), format!("content {n}"));
    }
    until("offline", || (bed.mirror()["state"] == "offline").then_some(()));
    // What changes while nobody is there is not forgotten.
    bed.write("d/f0", "changed meanwhile");
    bed.write("new/g", "g");
    bed.start_emulator();
    bed.until_current();
    assert_eq!(bed.missing(), Vec::<String>::new());
    // What was waited for went through once.
    let waited = 41;
    for route in ["file.start", "cos.post", "file.confirm"] {
        assert_eq!(bed.requests(route), waited, "{route}");
    }
    assert_eq!(bed.requests("directory.create"), 1);
    assert!(bed.requests("directory.info") <= 3, "the probe is a question now and then");
    assert_eq!(bed.mirror()["conditions"], json!([]));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_service_that_restarts_in_the_middle_loses_nothing() {
    let mut bed = Bed::new();
    for n in 0..100 {
        bed.write(&format!("d{}/f{n}", n % 5), noise(20_000, n));
    }
    bed.write("large", noise(20 * MIB, 7));
    bed.fault(json!({"route": "cos.post", "effect": {"sip": 2 * MIB}}));
    let daemon = bed.daemon();
    until("some uploads", || (bed.requests("file.confirm") >= 20).then_some(()));
    bed.restart_emulator();
    bed.until_current();
    assert_eq!(bed.missing(), Vec::<String>::new());
    assert_eq!(bed.extra(), Vec::<String>::new());
    assert_eq!(daemon.stop(), Some(0));
}
