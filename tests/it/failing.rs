//! What goes wrong: crashes, lost replies, bad answers, refusals. Nothing is lost and nothing is claimed.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use crate::bed::{Bed, until};

#[test]
fn what_was_posted_before_a_crash_is_confirmed_not_sent() {
    let bed = Bed::new();
    bed.write("a", "content");
    bed.fault(json!({"route": "file.confirm", "effect": {"reset": "before", "delay_ms": 60_000}}));
    let daemon = bed.daemon();
    until("the content on COS", || (bed.requests("cos.post") == 1).then_some(()));
    until("the journal to know", || (bed.mirror()["files"]["uploading"] == 1).then_some(()));
    // The reply of the post may still be on its way to the journal: the call for the confirm tells.
    daemon.kill();
    assert_ne!(bed.mirror()["state"], "current");
    bed.no_faults();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    let (_, tree) = bed.call("GET", "/_emulator/tree", None);
    assert_eq!(tree["openUploads"], 0, "{tree}");
}

#[test]
fn a_crash_at_any_moment_loses_nothing() {
    let bed = Bed::new();
    for n in 0..300 {
        bed.write(&format!("d{}/f{n}", n % 7), format!("content {n}").repeat(n));
    }
    bed.fault(json!({"probability": 0.2, "seed": 7, "effect": {"delay_ms": 20}}));
    for round in 1..6 {
        let daemon = bed.daemon();
        let wanted = round * 40;
        until("some files", || (bed.requests("file.confirm") >= wanted).then_some(()));
        daemon.signal(Signal::KILL);
        drop(daemon);
    }
    bed.ends(&["sync", "-q"], 0);
    assert_eq!(bed.diff(), "");
    assert_eq!(bed.mirror()["files"]["synced"], 300);
}

#[test]
fn lost_replies_leave_one_object_each() {
    for route in ["directory.create", "file.start", "cos.post", "file.confirm"] {
        let bed = Bed::new();
        bed.write("d/a", "content");
        bed.fault(json!({"route": route, "times": 2, "effect": {"reset": "after"}}));
        bed.ends(&["sync"], 0);
        assert_eq!(bed.diff(), "", "{route}");
        let (_, tree) = bed.call("GET", "/_emulator/tree", None);
        assert_eq!(tree["entries"].as_array().unwrap().len(), 3, "{route}: {tree}");
    }
}

#[test]
fn a_confirm_whose_reply_was_lost_is_proven_not_repeated() {
    let bed = Bed::new();
    bed.write("a", "content");
    bed.fault(json!({"route": "file.confirm", "times": 1, "effect": {"reset": "after"}}));
    bed.ends(&["sync"], 0);
    assert_eq!(bed.requests("cos.post"), 1);
    assert_eq!(bed.requests("file.confirm"), 2);
    assert_eq!(bed.requests("directory.info"), 1);
}

#[test]
fn answers_that_make_no_sense_are_survived() {
    let effects = [
        json!({"garbage": true}),
        json!({"truncate": 10}),
        json!({"huge": true}),
        json!({"envelope": true, "status": 500, "code": "InternalServerError"}),
        json!({"status": 503, "code": "ServerOverloaded", "retry_after": 1}),
        json!({"status": 418}),
    ];
    for effect in effects {
        let bed = Bed::new();
        bed.write("d/a", "content");
        for route in ["token.create", "file.start", "file.confirm"] {
            bed.fault(json!({"route": route, "times": 1, "effect": effect}));
        }
        bed.fault(json!({"effect": {"extra_fields": true}}));
        let output = bed.run(&["sync"]);
        assert_eq!(output.status.code(), Some(0), "{effect}: {output:?}");
        assert_eq!(bed.diff(), "", "{effect}");
    }
}

#[test]
fn other_content_than_was_sent_is_never_called_synced() {
    for route in ["cos.post", "file.confirm"] {
        let bed = Bed::new();
        bed.write("a", "content");
        bed.fault(json!({"route": route, "effect": {"wrong_crc64": true}}));
        bed.ends(&["sync"], 3);
        let mirror = bed.mirror();
        assert_eq!(mirror["state"], "behind", "{route}");
        assert_eq!(mirror["files"]["blocked"], 1, "{route}");
        assert_eq!(mirror["last_trouble"]["class"], "defect", "{route}");
        bed.no_faults();
        bed.ends(&["sync"], 0);
        assert_eq!(bed.diff(), "");
    }
}

#[test]
fn a_copy_under_another_name_is_removed_and_reported() {
    let bed = Bed::new();
    bed.write("a.txt", "content");
    bed.fault(json!({"route": "file.confirm", "times": 1, "effect": {"rename": true}}));
    let (out, _) = bed.ends(&["sync"], 0);
    assert!(out.contains("stored the file as backup/a (1).txt"), "{out}");
    assert_eq!(bed.diff(), "", "the copy is removed");

    // A handed-out token that may not delete: the copy is named for a person.
    let grant = "upload_file_force,create_directory";
    let path = format!(
        "/api/v1/token?library_id=smhemulator&library_secret=emulator-secret&grant={grant}"
    );
    let token = bed.call("POST", &path, None).1["accessToken"].as_str().unwrap().to_owned();
    bed.secret(&token);
    let config = fs::read_to_string(bed.path("config.toml")).unwrap();
    fs::write(bed.path("config.toml"), config.replace("library_secret_file", "access_token_file"))
        .unwrap();
    bed.write("b.txt", "other");
    bed.no_faults();
    bed.fault(json!({"route": "file.confirm", "times": 1, "effect": {"rename": true}}));
    let (out, _) = bed.ends(&["sync"], 0);
    assert!(out.contains("remove it by hand"), "{out}");
    assert!(bed.objects().join("b (1).txt").exists());
    assert!(bed.objects().join("b.txt").exists());
}

#[test]
fn a_full_space_waits_and_goes_on() {
    let bed = Bed::with(&["--quota", "1000"]);
    bed.write("small", "s");
    bed.write("large", vec![1; 5000]);
    let daemon = bed.daemon();
    until("the full space", || {
        let mirror = bed.mirror();
        (mirror["state"] == "behind" && mirror["conditions"][0]["kind"] == "quota").then_some(())
    });
    bed.until_mirrored("small", "s");
    assert_eq!(daemon.stop(), Some(0));
    // A pass does not wait for room.
    let (out, _) = bed.ends(&["sync"], 3);
    assert!(out.contains("QuotaLimitReached"), "{out}");
    bed.call("POST", "/_emulator/options", Some(json!({"quota": null})));
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    assert_eq!(bed.mirror()["conditions"], json!([]));
}

#[test]
fn a_refused_file_is_named_and_delays_nobody() {
    let bed = Bed::new();
    bed.write("bad", "content");
    for n in 0..50 {
        bed.write(&format!("good{n}"), "content");
    }
    bed.fault(json!({"route": "file.start", "path": "bad", "effect": {"status": 451, "code": "SensitiveContentRecognized", "message": "no"}}));
    let (out, _) = bed.ends(&["sync"], 3);
    assert!(
        out.contains("blocked docs/bad: cannot start the upload: 451 SensitiveContentRecognized"),
        "{out}"
    );
    let mirror = bed.mirror();
    assert_eq!((&mirror["files"]["synced"], &mirror["files"]["blocked"]), (&json!(50), &json!(1)));
    assert_eq!(bed.requests("file.start"), 51);
}

#[test]
fn an_expired_token_is_replaced_in_the_middle_of_a_call() {
    let bed = Bed::new();
    bed.write("a", "a");
    let daemon = bed.daemon();
    bed.until_current();
    bed.call("DELETE", "/_emulator/tokens", None);
    bed.write("b", "b");
    bed.until_mirrored("b", "b");
    assert_eq!(bed.requests("token.create"), 2);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_service_that_goes_and_comes_back_is_waited_for() {
    let bed = Bed::new();
    let reset = json!({"effect": {"reset": "before"}});
    bed.write("a", "a");
    bed.fault(reset);
    let daemon = bed.daemon();
    until("the word", || (bed.mirror()["state"] == "offline").then_some(()));
    // It is one state, not the trouble of a file.
    assert!(bed.mirror()["last_trouble"].is_null());
    bed.no_faults();
    bed.until_mirrored("a", "a");
    bed.until_current();
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn refusals_have_their_exit_codes() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.secret("wrong");
    let (_, err) = bed.ends(&["sync"], 12);
    assert!(err.contains("WrongLibraryIdOrSecret") && err.contains("[remote.auth]"), "{err}");
    bed.secret("emulator-secret");
    // Nobody listens there: the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    bed.configure_for(&format!("http://127.0.0.1:{port}"), "");
    let (_, err) = bed.ends(&["sync"], 69);
    assert!(err.contains("cannot be reached"), "{err}");
    assert_eq!(bed.mirror()["state"], "offline");
    bed.configure("");
    let daemon = bed.daemon();
    bed.until_mirrored("a", "a");
    let (_, err) = bed.ends(&["sync"], 11);
    assert!(err.contains("in use by another smh-mirror (pid"), "{err}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_root_that_is_not_there_is_held_and_nothing_is_forgotten() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.ends(&["sync"], 0);
    let away = bed.path("away");
    fs::rename(bed.root(), &away).unwrap();
    let (out, _) = bed.ends(&["sync"], 5);
    assert!(out.contains("does not exist"), "{out}");
    // An empty folder in its place is what a missing mount looks like.
    fs::create_dir(bed.root()).unwrap();
    bed.ends(&["sync"], 5);
    let mirror = bed.mirror();
    assert_eq!((&mirror["state"], &mirror["files"]["synced"]), (&json!("held"), &json!(1)));
    assert_eq!(mirror["holds"].as_array().unwrap().len(), 1);
    fs::remove_dir(bed.root()).unwrap();
    fs::rename(&away, bed.root()).unwrap();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.mirror()["state"], "current");
}

#[test]
fn a_folder_that_cannot_be_read_is_never_called_safe() {
    let bed = Bed::new();
    bed.write("good/a", "a");
    // Rules that cannot be read make a folder unknown: guessing would send what somebody keeps back.
    let rules = bed.write("bad/.smh-mirrorignore", vec![b'#'; (1 << 20) + 1]);
    bed.write("bad/b", "b");
    for _ in 0..2 {
        let (out, _) = bed.ends(&["sync"], 3);
        assert!(out.contains("behind"), "{out}");
        assert_eq!(bed.mirror()["files"]["blocked"], 1);
    }
    let ask = |name: &str, code: i32| {
        let path = bed.root().join(name);
        bed.ends(&["status", "--exit-code", path.to_str().unwrap()], code).0
    };
    assert!(ask("bad", 4).contains("blocked"));
    assert!(ask("", 4).contains("blocked"));
    assert!(ask("good", 0).contains("synced"));
    std::fs::write(&rules, "").unwrap();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.diff(), "");
    assert!(ask("bad", 0).contains("synced"));
}

#[test]
fn a_damaged_journal_is_set_aside_and_filled_again() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.ends(&["sync"], 0);
    fs::write(
        bed.path("state/journal.db"),
        "this is not a database, and long enough to be none".repeat(100),
    )
    .unwrap();
    let (_, err) = bed.ends(&["sync"], 0);
    assert!(err.contains("set aside"), "{err}");
    let aside = fs::read_dir(bed.path("state"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("damaged"))
        .count();
    assert_eq!(aside, 1);
    assert_eq!(bed.mirror()["state"], "current");
}

#[test]
fn no_secret_is_ever_said() {
    let bed = Bed::new();
    for n in 0..10 {
        bed.write(&format!("f{n}"), "x");
    }
    bed.fault(json!({"every": 7, "effect": {"status": 500}}));
    bed.fault(json!({"every": 9, "effect": {"reset": "after"}}));
    let config = fs::read_to_string(bed.path("config.toml")).unwrap();
    fs::write(bed.path("config.toml"), format!("{config}\n[log]\nlevel = \"trace\"\n")).unwrap();
    let daemon = bed.daemon();
    until(&format!("current; log:\n{}", bed.log()), || {
        (bed.mirror()["state"] == "current").then_some(())
    });
    assert_eq!(daemon.stop(), Some(0));
    let mut said = bed.log();
    for args in [&["status", "--json"][..], &["config", "show"], &["sync"]] {
        let output = bed.run(args);
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    let journal = fs::read(bed.path("state/journal.db")).unwrap();
    said.push_str(&String::from_utf8_lossy(&journal));
    for secret in ["acctk", "emulator-secret\"", "access_token=", "q-signature", "library_secret="]
    {
        assert!(!said.contains(secret), "{secret} was said");
    }
}

#[test]
fn a_blocked_file_is_tried_again_when_somebody_says_so() {
    let bed = Bed::new();
    // Nobody ever worked there: nothing to ask.
    let (_, err) = bed.ends(&["retry"], 1);
    assert!(err.contains(" run`"), "{err}");
    bed.write("d/bad", "content");
    bed.write("good", "content");
    bed.fault(json!({"route": "file.start", "path": "bad", "effect": {"status": 451, "code": "SensitiveContentRecognized", "message": "no"}}));
    let daemon = bed.daemon();
    until("the refusal", || (bed.mirror()["files"]["blocked"] == 1).then_some(()));
    let asked = bed.requests("file.start");
    bed.no_faults();
    // Another path changes nothing.
    let good = bed.root().join("good");
    let (out, _) = bed.ends(&["retry", good.to_str().unwrap()], 0);
    assert!(out.starts_with("docs/good: what failed there is tried again now"), "{out}");
    assert_eq!(bed.mirror()["files"]["blocked"], 1);
    assert_eq!(bed.requests("file.start"), asked);
    let folder = bed.root().join("d");
    bed.ends(&["retry", folder.to_str().unwrap()], 0);
    bed.until_mirrored("d/bad", "content");
    bed.until_current();
    // Stopped by a signal, it takes the request when it goes on.
    bed.fault(json!({"route": "file.start", "path": "worse", "effect": {"status": 451, "code": "SensitiveContentRecognized", "message": "no"}}));
    bed.write("worse", "content");
    until("the refusal", || (bed.mirror()["files"]["blocked"] == 1).then_some(()));
    bed.no_faults();
    daemon.signal(Signal::STOP);
    let (out, _) = bed.ends(&["retry"], 0);
    assert!(out.contains("as soon as the daemon can go on"), "{out}");
    daemon.signal(Signal::CONT);
    bed.until_mirrored("worse", "content");
    assert_eq!(daemon.stop(), Some(0));
    // What is left while none runs is taken by the next.
    let (out, _) = bed.ends(&["retry", "--json"], 0);
    assert!(out.contains("\"taken\": false"), "{out}");
    let (_, err) = bed.ends(&["retry", "/no/mirror/of/ours"], 2);
    assert!(err.contains("belongs to no mirror"), "{err}");
}

#[test]
fn clocks_that_differ_are_named_until_they_agree() {
    let bed = Bed::new();
    bed.write("a", "a");
    let daemon = bed.daemon();
    bed.until_current();
    assert_eq!(bed.mirror()["conditions"], json!([]));
    bed.call("POST", "/_emulator/clock", Some(json!({"shift_seconds": 300})));
    bed.write("b", "b");
    bed.until_mirrored("b", "b");
    until("the difference", || {
        let mirror = bed.mirror();
        let said = mirror["conditions"][0]["message"].as_str()?.to_owned();
        assert!(said.contains("s behind that of the service"), "{said}");
        // It stops nothing.
        (mirror["state"] == "current").then_some(())
    });
    let (out, _) = bed.ends(&["status"], 0);
    assert!(out.contains("docs: clock since"), "{out}");
    bed.call("POST", "/_emulator/clock", Some(json!({"shift_seconds": 0})));
    bed.write("c", "c");
    bed.until_mirrored("c", "c");
    until("the clocks to agree", || (bed.mirror()["conditions"] == json!([])).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_lost_journal_is_filled_from_the_library_and_nothing_is_sent_again() {
    let bed = Bed::new();
    for n in 0..30 {
        bed.write(&format!("d{}/e/f{n}", n % 4), format!("content {n}"));
    }
    bed.write("large", vec![7; 3 << 20]);
    bed.write("empty", "");
    bed.ends(&["sync"], 0);
    // Not ours, and none of our business.
    let stranger = bed.objects().join("d1/stranger");
    let token = bed.admin();
    let start = format!(
        "/api/v1/file/smhemulator/-/backup/d1/stranger?conflict_resolution_strategy=overwrite&access_token={token}"
    );
    let (_, form) = bed.call("POST", &start, Some(json!({"size": "3"})));
    assert_eq!(bed.post(&form, b"abc").0, 204);
    let confirm = format!(
        "/api/v1/file/smhemulator/-/{}?confirm&access_token={token}",
        form["confirmKey"].as_str().unwrap()
    );
    assert_eq!(bed.call("POST", &confirm, Some(json!({}))).0, 200);
    for damage in [false, true] {
        let journal = bed.path("state/journal.db");
        if damage {
            let mut bytes = fs::read(&journal).unwrap();
            bytes.truncate(bytes.len() / 2);
            fs::write(&journal, bytes).unwrap();
        } else {
            fs::remove_file(&journal).unwrap();
        }
        // One changed while nobody knew.
        bed.write("d2/e/f2", format!("changed {damage}"));
        bed.forget_requests();
        // The listing fails once; it is asked again.
        bed.no_faults();
        bed.fault(json!({"route": "directory.list", "nth": 2, "effect": {"status": 500}}));
        let (out, err) = bed.ends(&["sync"], 0);
        assert!(out.contains("1 uploaded") && out.contains("31 already there"), "{out}");
        assert_eq!(err.contains("is set aside"), damage, "{err}");
        assert_eq!(bed.requests("cos.post"), 1);
        assert_eq!(bed.requests("file.delete"), 0);
        assert!(stranger.exists());
        let mirror = bed.mirror();
        assert_eq!((&mirror["state"], &mirror["conditions"]), (&json!("current"), &json!([])));
        bed.forget_requests();
        bed.ends(&["sync"], 0);
        assert_eq!(bed.all_requests(), 0);
    }
}

#[test]
fn a_rebuild_is_named_while_it_goes_on() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.ends(&["sync"], 0);
    fs::write(bed.path("state/journal.db"), vec![b'x'; 5000]).unwrap();
    bed.fault(
        json!({"route": "directory.list", "effect": {"status": 503, "code": "ServerOverloaded"}}),
    );
    let (_, err) = bed.ends(&["status"], 1);
    assert!(err.contains("is damaged") && err.contains("sets it aside"), "{err}");
    let daemon = bed.daemon();
    // Until it is set aside, there is nothing to read.
    until("a new journal", || bed.run(&["status"]).status.success().then_some(()));
    until("the word", || {
        let mirror = bed.mirror();
        let condition = &mirror["conditions"][0];
        let named = condition["kind"] == "rebuilding"
            && condition["message"].as_str()?.contains("is set aside as");
        named.then(|| assert_ne!(mirror["state"], "current"))
    });
    bed.no_faults();
    bed.until_current();
    until("the end of the rebuild", || (bed.mirror()["conditions"] == json!([])).then_some(()));
    assert_eq!(bed.requests("cos.post"), 1);
    assert_eq!(daemon.stop(), Some(0));
}
