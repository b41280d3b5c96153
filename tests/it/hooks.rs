//! Commands of a person that are told of trouble: few calls, whole documents, and nobody waits for them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::bed::{Bed, until};

/// A hook that keeps each document in a file of its own.
fn keep(bed: &Bed) -> PathBuf {
    script(bed, "hook", "d=$(mktemp -d $0.XXXXXX); cat > $d/new; mv $d/new $d/document; echo heard")
}

fn script(bed: &Bed, name: &str, text: &str) -> PathBuf {
    let path = bed.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

fn configure(bed: &Bed, on_trouble: &PathBuf, on_recovered: &PathBuf) {
    bed.configure(&format!(
        "[hooks]\non_trouble = [{on_trouble:?}]\non_recovered = [{on_recovered:?}]"
    ));
}

/// The documents so far, in their order.
fn heard(bed: &Bed) -> Vec<Value> {
    let mut found: Vec<Value> = fs::read_dir(bed.tmp.path())
        .unwrap()
        .filter_map(|entry| fs::read(entry.unwrap().path().join("document")).ok())
        .map(|bytes| serde_json::from_slice(&bytes).unwrap())
        .collect();
    found.sort_by_key(|document| (document["at"].to_string(), document["event"] == "recovered"));
    found
}

fn refuse(bed: &Bed) {
    bed.fault(json!({
        "route": "file.start", "path": "bad",
        "effect": {"status": 451, "code": "SensitiveContentRecognized", "message": "no"},
    }));
}

#[test]
fn fifty_files_that_fail_are_one_call_and_their_end_another() {
    let bed = Bed::new();
    let hook = keep(&bed);
    configure(&bed, &hook, &hook);
    refuse(&bed);
    for n in 0..50 {
        bed.write(&format!("bad{n}"), "x");
    }
    bed.write("good", "x");
    let daemon = bed.daemon();
    let first = until("the trouble is told", || heard(&bed).first().cloned());
    assert_eq!(
        (&first["schema"], &first["event"], &first["mirror"], &first["kind"], &first["state"]),
        (&json!(1), &json!("trouble"), &json!("docs"), &json!("blocked"), &json!("behind")),
        "{first}"
    );
    assert_eq!(
        (&first["class"], &first["code"]),
        (&json!("permanent"), &json!("SensitiveContentRecognized"))
    );
    assert!(
        first["paths"]
            .as_array()
            .unwrap()
            .iter()
            .all(|path| path.as_str().unwrap().starts_with("bad"))
    );
    let command = first["command"].as_str().unwrap();
    assert!(
        command.starts_with("smh-mirror -c /") && command.ends_with("config.toml errors"),
        "{command}"
    );

    // Not again at the next start, and what is solved meanwhile is told then.
    until("all are blocked", || (bed.mirror()["files"]["blocked"] == 50).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    for n in 0..50 {
        fs::remove_file(bed.root().join(format!("bad{n}"))).unwrap();
    }
    let daemon = bed.daemon();
    until(&format!("the end is told\n{}", bed.log()), || (heard(&bed).len() > 1).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    let heard = heard(&bed);
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!(
        (&heard[1]["event"], &heard[1]["kinds"]),
        (&json!("recovered"), &json!(["blocked"]))
    );
}

#[test]
fn a_full_space_refused_credentials_and_an_outage_are_told_and_their_end_too() {
    let mut bed = Bed::new();
    let hook = keep(&bed);
    configure(&bed, &hook, &hook);
    bed.write("first", "x");
    let daemon = bed.daemon_until_current();
    let told = |bed: &Bed, kind: &str| {
        until(&format!("{kind} is told; log:\n{}", bed.log()), || {
            heard(bed).into_iter().find(|document| document["kind"] == kind)
        })
    };
    let check = |document: &Value, about: (Value, &str, &str), says: &str| {
        let (mirror, state, question) = about;
        assert_eq!((&document["schema"], &document["event"]), (&json!(1), &json!("trouble")));
        assert_eq!((&document["mirror"], &document["state"]), (&mirror, &json!(state)));
        assert_eq!((&document["count"], &document["paths"]), (&json!(1), &json!([])));
        assert!(document["since"].is_string() && document["at"].is_string(), "{document}");
        assert!(document["message"].as_str().unwrap().contains(says), "{document}");
        assert!(document["command"].as_str().unwrap().ends_with(question), "{document}");
    };

    bed.call("POST", "/_emulator/options", Some(json!({"quota": 1})));
    bed.write("large", "too much");
    check(&told(&bed, "quota"), (json!("docs"), "behind", " errors"), "full");
    bed.call("POST", "/_emulator/options", Some(json!({"quota": null})));

    bed.fault(
        json!({"route": "file.start", "effect": {"status": 403, "code": "InvalidAccessToken"}}),
    );
    bed.write("second", "y");
    check(&told(&bed, "auth"), (Value::Null, "auth", " doctor"), "InvalidAccessToken");
    bed.no_faults();
    bed.ends(&["retry"], 0);
    bed.until_current();

    bed.stop_emulator();
    bed.write("third", "z");
    until("offline", || (bed.mirror()["state"] == "offline").then_some(()));
    // Five minutes are not waited for: the journal is told that they are over, and a new file is a reason to look.
    let journal = Connection::open(bed.path("state/journal.db")).unwrap();
    journal.busy_timeout(Duration::from_secs(10)).unwrap();
    let earlier = "UPDATE condition SET since_ms = since_ms - 300000 WHERE kind = 'offline'";
    assert_eq!(journal.execute(earlier, []).unwrap(), 1);
    bed.write("fourth", "z");
    check(&told(&bed, "offline"), (Value::Null, "offline", " doctor"), "cannot connect");
    bed.start_emulator();
    bed.ends(&["retry"], 0);
    bed.until_current();
    until(&format!("the ends are told; log:\n{}", bed.log()), || {
        let heard = heard(&bed);
        let over = heard.iter().filter(|document| document["event"] == "recovered");
        let kinds: BTreeSet<&str> = over
            .flat_map(|document| document["kinds"].as_array().unwrap())
            .map(|kind| kind.as_str().unwrap())
            .collect();
        (kinds == BTreeSet::from(["auth", "offline", "quota"])).then_some(())
    });
    assert_eq!(daemon.stop(), Some(0));
    let heard = heard(&bed);
    assert_eq!(heard.iter().filter(|document| document["event"] == "trouble").count(), 3);
    let said = format!("{heard:?}");
    assert!(!said.contains("emulator-secret") && !said.contains("access_token"), "{said}");
}

#[test]
fn a_journal_that_is_lost_or_cannot_be_written_is_told_and_its_end_too() {
    let mut bed = Bed::new();
    let hook = keep(&bed);
    configure(&bed, &hook, &hook);
    bed.write("first", "x");
    bed.ends(&["sync", "-q"], 0);
    let heard_at = |bed: &Bed, n: usize| {
        until(&format!("document {n}; log:\n{}", bed.log()), || heard(bed).get(n).cloned())
    };
    let check = |document: &Value, mirror: Value, says: &[&str]| {
        assert_eq!((&document["event"], &document["kind"]), (&json!("trouble"), &json!("journal")));
        assert_eq!((&document["mirror"], &document["state"]), (&mirror, &json!("behind")));
        let message = document["message"].as_str().unwrap();
        assert!(says.iter().all(|part| message.contains(part)), "{document}");
        assert!(document["command"].as_str().unwrap().ends_with(" status"), "{document}");
    };
    let is_over = |document: &Value, mirror: Value| {
        assert_eq!((&document["event"], &document["mirror"]), (&json!("recovered"), &mirror));
        assert_eq!(document["kinds"], json!(["journal"]), "{document}");
    };

    // It is lost, and cannot be filled again as long as the library cannot be asked.
    fs::write(bed.path("state/journal.db"), "this is no journal".repeat(1000)).unwrap();
    bed.stop_emulator();
    let daemon = bed.daemon();
    check(&heard_at(&bed, 0), json!("docs"), &["damaged", "set aside"]);
    bed.start_emulator();
    bed.ends(&["retry"], 0);
    is_over(&heard_at(&bed, 1), json!("docs"));
    bed.until_current();
    // The new journal, the damaged one, and what the hooks were told are for nobody else.
    let kept: Vec<_> = fs::read_dir(bed.path("state")).unwrap().map(Result::unwrap).collect();
    assert!(kept.len() > 3, "{kept:?}");
    for entry in kept {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o77, 0, "{entry:?} {mode:o}");
    }

    // Somebody else locks it.
    let lock = Connection::open(bed.path("state/journal.db")).unwrap();
    lock.busy_timeout(Duration::from_secs(10)).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    bed.write("second", "y");
    let state = bed.path("state").display().to_string();
    check(&heard_at(&bed, 2), Value::Null, &["locked by another process", &state]);
    drop(lock);
    bed.until_mirrored("second", "y");
    is_over(&heard_at(&bed, 3), Value::Null);
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(heard(&bed).len(), 4);
}

#[test]
fn a_hook_that_hangs_stops_nothing_and_sees_no_secret() {
    let bed = Bed::new();
    let hook =
        script(&bed, "hook", "env > $0.new; mv $0.new $0.env; echo $$ > $0.pid; exec sleep 600");
    configure(&bed, &hook, &hook);
    refuse(&bed);
    bed.write("bad", "x");
    let mut command = bed.command(&["run"]);
    // Of no use here, since the configuration names a file: a hook must not see them all the same.
    command.env("SMH_MIRROR_LIBRARY_SECRET", "hunter2").env("SMH_MIRROR_ACCESS_TOKEN", "hunter2");
    command.env("NOTIFY_SOCKET", "@hunter2").env("TEAM", "blue");
    command.stderr(fs::File::create(bed.path("log")).unwrap());
    let daemon = bed.child(command);
    let pid = until("the hook runs", || {
        fs::read_to_string(bed.path("hook.pid")).ok().filter(|pid| pid.ends_with('\n'))
    });
    let env = fs::read_to_string(bed.path("hook.env")).unwrap();
    assert!(env.contains("TEAM=blue") && !env.contains("hunter2"), "{env}");
    // The work goes on, and a stop does not wait for the hook, of which nothing is left.
    bed.write("good", "content");
    bed.until_mirrored("good", "content");
    assert_eq!(daemon.stop(), Some(0));
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}
