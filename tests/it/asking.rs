//! Questions to the journal and the disk: the same honest answers with the daemon up, down and stopped.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::bed::{Bed, Running, until};

fn asked(bed: &Bed, args: &[&str], code: i32) -> Value {
    let (out, _) = bed.ends(args, code);
    serde_json::from_str(&out).unwrap()
}

fn health(bed: &Bed, code: i32) -> Value {
    asked(bed, &["health", "--json"], code)["mirrors"][0].clone()
}

/// A bed with one file that is refused, and one that is not.
fn with_a_refused_file() -> Bed {
    let bed = Bed::new();
    bed.write("good", "good");
    bed.write("sub/bad", "bad");
    bed.fault(json!({"route": "file.start", "path": "bad", "effect": {"status": 451, "code": "SensitiveContentRecognized", "message": "no"}}));
    bed
}

/// Stops the daemon with SIGSTOP, and waits until the kernel says so.
fn stopped(bed: &Bed, daemon: &Running) {
    daemon.signal(Signal::STOP);
    until("the stopped daemon", || (bed.status()["daemon"]["stopped"] == true).then_some(()));
}

/// Asks `ask` while the daemon runs, while it is stopped, after it went on, and when it is gone.
fn in_every_state(bed: &Bed, ready: impl Fn() -> bool, ask: impl Fn(&str)) {
    let daemon = bed.daemon();
    until("the daemon to be done", || {
        (bed.status()["daemon"]["running"] == true && ready()).then_some(())
    });
    ask("up");
    stopped(bed, &daemon);
    ask("stopped");
    daemon.signal(Signal::CONT);
    until("the daemon to go on", || (bed.status()["daemon"]["stopped"] == false).then_some(()));
    ask("up again");
    daemon.kill();
    assert_eq!(bed.status()["daemon"]["running"], false);
    ask("down");
}

#[test]
fn questions_need_no_journal() {
    let bed = Bed::new();
    bed.write("a", "a");
    assert_eq!(health(&bed, 4)["state"], "unknown");
    assert_eq!(asked(&bed, &["errors", "--json"], 0)["total"], 0);
    assert_eq!(asked(&bed, &["history", "--json"], 0)["history"], json!([]));
    let path = bed.root().join("a");
    let explained = asked(&bed, &["explain", "--json", path.to_str().unwrap()], 0);
    assert_eq!(
        (&explained["state"], &explained["disk"]["kind"]),
        (&json!("pending"), &json!("file"))
    );
    bed.ends(&["status", "--exit-code"], 4);
    assert!(!bed.path("state").exists(), "a question writes nothing");
}

/// A state folder that somebody else keeps from us tells nothing: not that nothing happened, and not that nothing waits.
#[test]
fn who_may_not_read_the_state_is_told_so() {
    let bed = Bed::new();
    let path = bed.write("a", "a");
    bed.ends(&["sync", "-q"], 0);
    let path = path.to_str().unwrap();
    let questions: [&[&str]; 8] = [
        &["status"],
        &["status", path],
        &["status", "--skipped"],
        &["health"],
        &["errors"],
        &["history"],
        &["holds"],
        &["limit"],
    ];
    let asked = |command: &[&str]| {
        let output = bed.powerless(command).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let lock = |path: &str, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(bed.path(path), mode).unwrap();
    };
    for (locked, mode) in [("state", 0o700), ("state/journal.db", 0o600)] {
        lock(locked, 0);
        for question in questions.iter().chain([&["explain", path][..]].iter()) {
            let (code, out, err) = asked(question);
            assert_eq!((code, out.as_str()), (Some(77), ""), "{locked} {question:?}: {err}");
            assert!(err.contains("as the user of the daemon, or as root"), "{question:?}: {err}");
        }
        lock(locked, mode);
    }
    assert_eq!(asked(&["health"]).0, Some(0));
}

/// Each configuration has its own holds, errors and daemon: a command that is typed as it is told is about the same one.
#[test]
fn commands_in_messages_name_the_configuration_that_was_asked() {
    let bed = with_a_refused_file();
    let (out, _) = bed.ends(&["sync"], 3);
    assert!(out.contains("waits for a change of the file, or for"), "{out}");
    for (args, code) in
        [(&["status"][..], 0), (&["health"], 4), (&["errors"], 0), (&["approve", "1"], 2)]
    {
        let (out, err) = bed.ends(args, code);
        let said = format!("{out}{err}");
        assert!(said.contains(&format!("`{} ", bed.program())), "{args:?}: {said}");
        assert!(!said.contains("`smh-mirror r") && !said.contains("`smh-mirror e"), "{said}");
    }
    // Without the option there is nothing to name.
    let mut plain = crate::bed::binary();
    let home = bed.path("home");
    fs::create_dir_all(home.join(".config/smh-mirror")).unwrap();
    fs::copy(bed.path("config.toml"), home.join(".config/smh-mirror/config.toml")).unwrap();
    let output = plain.env("HOME", &home).arg("errors").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("or for `smh-mirror retry`"), "{said}");
}

#[test]
fn errors_are_named_in_every_state_of_the_daemon() {
    let bed = with_a_refused_file();
    let ready = || bed.mirror()["files"]["blocked"] == 1 && bed.mirror()["files"]["synced"] == 1;
    in_every_state(&bed, ready, |when| {
        let answer = asked(&bed, &["errors", "--json", "--exit-code"], 3);
        assert_eq!((&answer["total"], &answer["more"]), (&json!(1), &json!(0)), "{when}");
        let error = &answer["errors"][0];
        for (key, value) in [
            ("mirror", json!("docs")),
            ("path", json!("sub/bad")),
            ("class", json!("permanent")),
            ("code", json!("SensitiveContentRecognized")),
            ("blocked", json!(true)),
            ("waits_for", json!("change")),
            ("next_at", Value::Null),
        ] {
            assert_eq!(error[key], value, "{when}: {key}");
        }
        for key in ["message", "request_id", "since", "at", "next"] {
            assert!(error[key].is_string(), "{when}: {key}");
        }
        let (out, _) = bed.ends(&["errors"], 0);
        assert!(out.contains("docs/sub/bad: cannot start the upload"), "{out}");
        let ask = |name: &str| {
            let path = bed.root().join(name);
            asked(&bed, &["errors", "--json", path.to_str().unwrap()], 0)["total"].clone()
        };
        assert_eq!([ask("sub"), ask("sub/bad"), ask("good"), ask("")], [1, 1, 0, 1]);
        let (out, _) = bed.ends(&["errors", "-n", "0"], 0);
        assert!(out.contains("and 1 more"), "{out}");
        assert_eq!(health(&bed, 4)["state"], "behind", "{when}");
    });
}

#[test]
fn what_will_be_tried_again_says_when() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.fault(
        json!({"route": "file.start", "effect": {"status": 500, "code": "InternalServerError"}}),
    );
    let daemon = bed.daemon();
    let error = until("a failure", || {
        let answer = asked(&bed, &["errors", "--json"], 0);
        answer["errors"].get(0).filter(|error| error["waits_for"] == "time").cloned()
    });
    assert!(error["next"].as_str().unwrap().starts_with("tried again at "), "{error}");
    assert!(error["next_at"].is_string() && error["blocked"] == false, "{error}");
    bed.no_faults();
    bed.until_current();
    bed.ends(&["errors", "--exit-code"], 0);
    daemon.kill();
}

#[test]
fn what_stops_a_mirror_comes_first() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.ends(&["sync"], 0);
    let away = bed.path("away");
    fs::rename(bed.root(), &away).unwrap();
    // The journal does not know it yet; the look at the disk does.
    assert_eq!(health(&bed, 5)["state"], "held");
    fs::create_dir(bed.root()).unwrap();
    assert_eq!(health(&bed, 5)["state"], "held");
    bed.ends(&["sync"], 5);
    let answer = asked(&bed, &["errors", "--json", "--exit-code"], 3);
    let condition = &answer["conditions"][0];
    assert_eq!((&condition["mirror"], &condition["kind"]), (&json!("docs"), &json!("root")));
    assert!(condition["since"].is_string() && condition["next"].is_string(), "{condition}");
    fs::remove_dir(bed.root()).unwrap();
    fs::rename(&away, bed.root()).unwrap();
    bed.ends(&["sync"], 0);
    bed.ends(&["health"], 0);
}

#[test]
fn history_remembers_a_file_and_a_folder() {
    let bed = Bed::new();
    bed.write("d/a", "one");
    bed.write("d/b", "two");
    bed.ends(&["sync"], 0);
    bed.write("d/a", "three");
    bed.ends(&["sync"], 0);
    fs::remove_dir_all(bed.root().join("d")).unwrap();
    bed.ends(&["sync"], 0);
    in_every_state(
        &bed,
        || bed.mirror()["state"] == "current",
        |when| {
            let whats = |args: &[&str]| -> Vec<String> {
                let args = [&["history", "--json"][..], args].concat();
                let answer = asked(&bed, &args, 0);
                let rows = answer["history"].as_array().unwrap();
                rows.iter().map(|row| row["what"].as_str().unwrap().to_owned()).collect()
            };
            let folder = bed.root().join("d");
            let file = folder.join("a");
            let (folder, file) = (folder.to_str().unwrap(), file.to_str().unwrap());
            assert_eq!(whats(&[file]), ["uploaded", "uploaded", "gone"], "{when}");
            assert_eq!(whats(&[folder]).len(), 5, "{when}");
            assert_eq!(whats(&["-n", "1"]), ["gone"], "{when}");
            let answer = asked(&bed, &["history", "--json", "-n", "1", file], 0);
            assert_eq!(answer["more"], true, "{when}");
            let row = &answer["history"][0];
            assert_eq!((&row["mirror"], &row["path"]), (&json!("docs"), &json!("d")), "{when}");
            let (out, _) = bed.ends(&["history", file], 0);
            assert!(out.contains("docs/d/a: uploaded, 5 bytes"), "{out}");
            let gone = "docs/d: gone from the disk, a directory with 2 files still in it";
            assert!(out.contains(gone), "{out}");
        },
    );
    let (_, err) = bed.ends(&["history", "/"], 2);
    assert!(err.contains("belongs to no mirror"), "{err}");
}

#[test]
fn the_name_of_a_mirror_is_its_folder_unless_there_is_such_a_file() {
    let bed = Bed::new();
    bed.write("d/a", "a");
    bed.ends(&["sync", "-q"], 0);
    let elsewhere = bed.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let asked = |args: &[&str]| {
        let output = bed.command(args).current_dir(&elsewhere).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, _) = asked(&["status", "--exit-code", "docs"]);
    assert_eq!(
        (code, out.starts_with("docs: synced, a folder with 1 file")),
        (Some(0), true),
        "{out}"
    );
    for command in ["errors", "history", "retry", "explain"] {
        assert_eq!(asked(&[command, "docs"]).0, Some(0), "{command}");
    }
    // A folder that is not mirrored is never answered for by a mirror of its name.
    fs::create_dir(elsewhere.join("docs")).unwrap();
    let whole = elsewhere.join("docs").display().to_string();
    let (code, out, _) = asked(&["status", "--exit-code", "docs"]);
    assert_eq!(code, Some(4));
    assert_eq!(out, format!("docs: unknown, {whole} belongs to no mirror\n"));
    let (code, _, err) = asked(&["history", "docs"]);
    assert_eq!(code, Some(2));
    assert!(err.contains(&format!("{whole} belongs to no mirror; name something in")), "{err}");
}

#[test]
fn health_finds_what_changed_while_nobody_looked() {
    let bed = Bed::new();
    bed.write("d/a", "a");
    bed.write("d/b", "b");
    bed.write("left.tmp", "x");
    bed.configure("exclude = [\"*.tmp\"]");
    bed.ends(&["sync"], 0);
    assert_eq!(health(&bed, 0)["current"], true);
    let daemon = bed.daemon();
    until("the first scan", || {
        (bed.status()["daemon"]["running"] == true && bed.log().contains("scan complete"))
            .then_some(())
    });
    bed.until_current();
    bed.ends(&["health", "-q"], 0);
    bed.ends(&["health", "--max-age", "1h"], 0);
    let (out, _) = bed.ends(&["health", "--max-age", "1ms"], 4);
    assert!(out.contains("docs: unknown: the last complete scan ended"), "{out}");
    bed.ends(&["health", "--max-age", "soon"], 2);
    stopped(&bed, &daemon);
    // The journal says current, and as of when; it cannot know more.
    let (out, _) = bed.ends(&["status"], 0);
    assert!(out.contains("is stopped by a signal") && out.contains("is not known"), "{out}");
    bed.ends(&["health"], 0);
    bed.write("d/a", "changed");
    bed.write("d/new", "new");
    bed.write("e/f/g", "new too");
    bed.write("more.tmp", "left out");
    fs::remove_file(bed.root().join("d/b")).unwrap();
    let found = |when: &str| {
        let mirror = health(&bed, 4);
        let disk = &mirror["disk"];
        let counts = ["changed", "unseen", "gone", "unreadable"].map(|key| disk[key].clone());
        assert_eq!(counts, [1, 2, 1, 0], "{when}: {mirror}");
        assert_eq!((&mirror["current"], &mirror["state"]), (&json!(false), &json!("behind")));
        let examples = disk["examples"].as_array().unwrap();
        assert!(examples.contains(&json!({"path": "d/a", "what": "changed"})), "{mirror}");
        assert!(!mirror["reasons"].as_array().unwrap().is_empty());
        let (out, _) = bed.ends(&["status", "--exit-code"], 4);
        assert!(out.contains("behind") && out.contains("1 changed, 2 new, 1 gone"), "{out}");
        let folder = bed.root().join("d");
        let (out, _) = bed.ends(&["status", "--exit-code", folder.to_str().unwrap()], 4);
        assert!(out.contains("pending"), "{out}");
    };
    found("stopped");
    daemon.kill();
    found("down");
    let daemon = bed.daemon();
    bed.until_mirrored("e/f/g", "new too");
    until("health", || (bed.run(&["health"]).status.code() == Some(0)).then_some(()));
    daemon.kill();
}

#[test]
fn a_journal_of_another_folder_proves_nothing() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.ends(&["sync"], 0);
    let config = bed.path("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    // The same files in another place, the same place with another target: neither was ever mirrored.
    fs::create_dir(bed.path("other")).unwrap();
    let root = bed.root().display().to_string();
    let moved = text.replace(&root, &bed.path("other").display().to_string());
    for other in [moved, text.replace("\"backup\"", "\"elsewhere\"")] {
        fs::write(&config, other).unwrap();
        assert_eq!(bed.mirror()["state"], "unknown");
        assert_eq!(bed.mirror()["as_of"], Value::Null);
        assert_eq!(health(&bed, 4)["state"], "unknown");
    }
    fs::write(&config, text).unwrap();
    bed.ends(&["health"], 0);
}

#[test]
fn a_rule_is_explained_with_file_and_line() {
    let bed = Bed::new();
    bed.configure("exclude = [\n  \"*.tmp\",\n  \"/cache/\",\n]");
    let rules = bed.write("sub/.smh-mirrorignore", "# kept at home\n\nsecret*\n!secret-not\n");
    for name in [
        "a.tmp",
        "cache/deep/x",
        "sub/secret.txt",
        "sub/secret-not",
        "what?.txt",
        ".a.swp",
        "plain",
    ] {
        bed.write(name, "x");
    }
    std::os::unix::fs::symlink("plain", bed.root().join("link")).unwrap();
    bed.ends(&["sync"], 0);
    let config = bed.path("config.toml");
    let line_of = |rule: &str| {
        let text = fs::read_to_string(&config).unwrap();
        1 + text.lines().position(|line| line.contains(rule)).unwrap()
    };
    in_every_state(
        &bed,
        || bed.mirror()["state"] == "current",
        |when| {
            let explain = |name: &str| {
                let path = bed.root().join(name);
                asked(&bed, &["explain", "--json", path.to_str().unwrap()], 0)
            };
            for (name, text, file, line, at) in [
                ("a.tmp", "*.tmp", &config, line_of("*.tmp"), "a.tmp"),
                ("cache/deep/x", "/cache/", &config, line_of("/cache/"), "cache"),
                ("sub/secret.txt", "secret*", &rules, 3, "sub/secret.txt"),
            ] {
                let answer = explain(name);
                assert_eq!(answer["state"], "skipped", "{when}: {answer}");
                let rule = &answer["rule"];
                assert_eq!(rule["text"], text, "{when}: {answer}");
                assert_eq!(rule["file"], file.to_str().unwrap(), "{when}: {answer}");
                assert_eq!(rule["line"], line, "{when}: {answer}");
                assert_eq!(rule["path"], at, "{when}: {answer}");
                assert_eq!(rule["leaves_out"], true, "{when}: {answer}");
                let shown = format!("`{text}` in {}:{line}", file.display());
                let path = bed.root().join(name);
                let (out, _) = bed.ends(&["explain", path.to_str().unwrap()], 0);
                assert!(out.contains(&shown), "{when}: {out}");
            }
            let kept = explain("sub/secret-not");
            assert_eq!(
                (&kept["state"], &kept["rule"]["line"]),
                (&json!("synced"), &json!(4)),
                "{when}"
            );
            let built_in = explain(".a.swp");
            assert_eq!(built_in["rule"]["source"], "built-in", "{when}");
            assert_eq!(explain("link")["disk"]["kind"], "symlink", "{when}");
            let name = explain("what?.txt");
            assert_eq!(name["name_problem"], "it holds the character ?", "{when}");
            let plain = explain("plain");
            assert_eq!(plain["rule"], Value::Null, "{when}");
            assert!(plain["journal"]["confirmed"]["crc64"].is_string(), "{when}: {plain}");
            assert_eq!(explain("nothing")["disk"]["kind"], "absent", "{when}");
        },
    );
}

#[test]
fn a_failure_is_explained_with_what_happens_next() {
    let bed = with_a_refused_file();
    bed.ends(&["sync"], 3);
    let path = bed.root().join("sub/bad");
    let path = path.to_str().unwrap();
    let answer = asked(&bed, &["explain", "--json", path], 0);
    assert_eq!((&answer["state"], &answer["waits_for"]), (&json!("blocked"), &json!("change")));
    assert_eq!(answer["trouble"]["code"], "SensitiveContentRecognized");
    assert_eq!(answer["journal"]["confirmed"], Value::Null);
    let (out, _) = bed.ends(&["explain", path], 0);
    assert!(out.contains("trouble") && out.contains("The daemon is not running"), "{out}");
    // Started and not finished: said as long as it is so.
    bed.no_faults();
    bed.write("slow", "slow");
    bed.fault(json!({"route": "file.confirm", "effect": {"reset": "before", "delay_ms": 60_000}}));
    let daemon = bed.daemon();
    let slow = bed.root().join("slow");
    until("the open upload", || {
        let answer = asked(&bed, &["explain", "--json", slow.to_str().unwrap()], 0);
        (answer["upload"]["stage"] == "posted" && answer["state"] == "uploading").then_some(())
    });
    daemon.kill();
    let (_, err) = bed.ends(&["explain"], 2);
    assert!(err.contains("PATH"), "{err}");
    let elsewhere = asked(&bed, &["explain", "--json", "/"], 0);
    assert_eq!((&elsewhere["mirror"], &elsewhere["state"]), (&Value::Null, &json!("unknown")));
}

#[test]
fn what_cannot_be_read_is_not_healthy() {
    let bed = Bed::new();
    bed.write("d/a", "a");
    bed.ends(&["sync"], 0);
    // Rules that cannot be read make a folder unknown, whoever runs the test.
    let rules = bed.write("d/.smh-mirrorignore", vec![b'#'; (1 << 20) + 1]);
    let mirror = health(&bed, 4);
    assert_eq!((&mirror["disk"]["unreadable"], &mirror["state"]), (&json!(1), &json!("behind")));
    let path = bed.root().join("d/a");
    let answer = asked(&bed, &["explain", "--json", path.to_str().unwrap()], 0);
    assert_eq!(
        (&answer["state"], &answer["disk"]["kind"]),
        (&json!("unknown"), &json!("unreadable"))
    );
    fs::remove_file(rules).unwrap();
    bed.ends(&["health"], 0);
}

#[test]
fn a_folder_tells_what_of_it_is_left_out() {
    let bed = Bed::new();
    bed.configure("exclude = [\"*.no\"]");
    bed.write("d/a", "a");
    bed.write("d/b.no", "b");
    bed.write("d/e/c.no", "c");
    bed.write("f/a", "a");
    bed.ends(&["sync"], 0);
    let folder = |name: &str| bed.root().join(name).to_str().unwrap().to_owned();
    let (out, _) = bed.ends(&["status", &folder("d"), &folder("f")], 0);
    let program = bed.program();
    assert!(
        out.contains(&format!(
            "docs/d: synced, a folder with 1 file; 2 entries left out: see `{program} status --skipped`\n"
        )),
        "{out}"
    );
    assert!(out.contains("docs/f: synced, a folder with 1 file\n"), "{out}");
    let (out, _) = bed.ends(&["status", "--json", &folder("d")], 0);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["files"][0]["skipped"], 2, "{out}");
}
