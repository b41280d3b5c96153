//! Every route the client uses, with every fault there is: the damage matrix. Whatever happens to one or two
//! calls, a pass ends, nothing is claimed that is not so, and the next pass brings the copy.

use std::collections::VecDeque;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::bed::{Bed, noise, until};

const MIB: usize = 1 << 20;
/// Pairs at a time. They mostly wait for the back-off of the client.
const WORKERS: usize = 32;

/// What goes wrong, and whether a pass gets over it by itself.
struct Wrong {
    name: &'static str,
    effect: Value,
    /// The first pass ends with 0.
    heals: bool,
    /// The call has its effect and the client does not learn what came of it.
    lost: bool,
}

fn wrongs() -> Vec<Wrong> {
    let heals = |name, effect, lost| Wrong { name, effect, heals: true, lost };
    let refuses = |name, effect| Wrong { name, effect, heals: false, lost: false };
    vec![
        heals("reset before", json!({"reset": "before"}), false),
        heals("reset after", json!({"reset": "after"}), true),
        heals("truncated", json!({"truncate": 10}), true),
        heals("garbage", json!({"garbage": true}), true),
        // What a proxy that wants a password first answers to everything.
        heals("garbage instead", json!({"garbage": true, "status": 200}), true),
        heals("huge", json!({"huge": true}), true),
        heals("a drip", json!({"drip": 400}), false),
        heals("late", json!({"delay_ms": 300}), false),
        heals("new fields", json!({"extra_fields": true}), false),
        heals("path null", json!({"path_null": true}), false),
        heals("another name", json!({"rename": true}), false),
        heals("another crc64", json!({"wrong_crc64": true}), false),
        heals("408", json!({"status": 408, "code": "ReadRequestTimeout"}), false),
        heals("409 PathConflict", json!({"status": 409, "code": "PathConflict"}), false),
        heals("429", json!({"status": 429, "code": "RateLimitExceeded", "retry_after": 1}), false),
        heals("500", json!({"status": 500, "code": "InternalServerError"}), false),
        heals("503", json!({"status": 503, "code": "ServerOverloaded"}), false),
        heals(
            "500 as 200",
            json!({"status": 500, "code": "InternalServerError", "envelope": true}),
            false,
        ),
        refuses("400", json!({"status": 400, "code": "NeverHeardOf"})),
        refuses("403", json!({"status": 403, "code": "NoPermission"})),
        refuses("404", json!({"status": 404, "code": "NeverHeardOf"})),
        refuses("451", json!({"status": 451, "code": "SensitiveContentRecognized"})),
    ]
}

/// A call, and how an ordinary pass is brought to make it.
struct Line {
    name: &'static str,
    route: &'static str,
    /// More of the rule.
    rule: Value,
    /// Before the pass that the fault hits.
    before: fn(&Bed),
    /// Copies under another name may stay: the client is not able to take them away.
    copies: bool,
    /// Nothing has to be sent in the pass that the fault hits.
    known: bool,
}

impl Line {
    fn new(route: &'static str) -> Line {
        Line { name: route, route, rule: json!({}), before: |_| {}, copies: false, known: false }
    }
}

fn lines() -> Vec<Line> {
    let line = Line::new;
    vec![
        line("token.create"),
        Line {
            name: "token.create, in the middle",
            rule: json!({"nth": 2}),
            before: |bed| {
                bed.fault(json!({"route": "file.confirm", "times": 1,
                    "effect": {"status": 403, "code": "InvalidAccessToken"}}));
            },
            ..line("token.create")
        },
        Line {
            before: |bed| {
                // The token is old before the first content has arrived.
                bed.call("POST", "/_emulator/options", Some(json!({"token_life_seconds": 3})));
                bed.fault(json!({"route": "cos.post", "nth": 1, "effect": {"delay_ms": 2_400}}));
            },
            ..line("token.renew")
        },
        line("directory.create"),
        Line {
            name: "directory.create, of one that stays empty",
            rule: json!({"path": "hollow"}),
            ..line("directory.create")
        },
        line("directory.list"),
        Line {
            name: "directory.list, of a library that is full",
            before: |bed| {
                bed.ends(&["sync"], 0);
                fs::remove_dir_all(bed.path("state")).unwrap();
                bed.forget_requests();
            },
            known: true,
            ..line("directory.list")
        },
        Line { before: lost_confirm, ..line("directory.info") },
        line("file.start"),
        Line {
            name: "file.start, instant",
            rule: json!({"path": "again"}),
            before: |bed| {
                bed.ends(&["sync"], 0);
                fs::copy(bed.root().join("large"), bed.root().join("again")).unwrap();
            },
            ..line("file.start")
        },
        line("cos.post"),
        line("file.confirm"),
        Line { before: started_and_killed, ..line("file.status") },
        Line { before: started_and_killed, ..line("file.cancel") },
        Line {
            before: |bed| {
                bed.token_instead_of_secret(&bed.admin());
                renamed(bed);
            },
            copies: true,
            ..line("file.delete")
        },
        Line {
            name: "file.delete, with a token for it",
            // The first is refused, because the token of a mirror that never deletes does not allow it.
            rule: json!({"nth": 2}),
            before: renamed,
            copies: true,
            ..line("file.delete")
        },
        Line { before: renamed, copies: true, ..line("token.delete") },
    ]
}

/// A confirm that nobody heard of is proven by a look at the remote file.
fn lost_confirm(bed: &Bed) {
    bed.fault(json!({"route": "file.confirm", "times": 2, "effect": {"reset": "after"}}));
}

/// Copies under another name are taken away again.
fn renamed(bed: &Bed) {
    bed.fault(json!({"route": "file.confirm", "times": 2, "effect": {"rename": true}}));
}

/// Leaves uploads that were started and not posted, as a crash does.
fn started_and_killed(bed: &Bed) {
    bed.fault(json!({"route": "cos.post", "effect": {"reset": "before", "delay_ms": 600_000}}));
    let pass = bed.start(&["sync"]);
    until("started uploads", || (bed.mirror()["files"]["uploading"] == 3).then_some(()));
    pass.kill();
    bed.no_faults();
}

/// Whether the effect does anything to an answer of this route.
fn applies(line: &Line, wrong: &Wrong) -> bool {
    match wrong.name {
        "another name" => line.route == "file.confirm",
        "path null" => {
            matches!(line.route, "file.confirm" | "file.status")
                || line.name == "file.start, instant"
        }
        "another crc64" => {
            matches!(line.route, "file.confirm" | "cos.post" | "directory.info" | "directory.list")
                || line.name == "file.start, instant"
        }
        // Answers of COS have no fields.
        "new fields" => line.route != "cos.post",
        _ => true,
    }
}

fn check(line: &Line, wrong: &Wrong, times: u64) {
    let bed = Bed::new();
    bed.write("empty", "");
    bed.write("d/small", "1234567");
    bed.write("large", noise(MIB + 1, 1));
    fs::create_dir(bed.root().join("hollow")).unwrap();
    (line.before)(&bed);
    let mut rule = line.rule.clone();
    rule["route"] = json!(line.route);
    rule["effect"] = wrong.effect.clone();
    if rule["nth"].is_null() {
        rule["times"] = json!(times);
    }
    bed.fault(rule);
    bed.forget_requests();

    // Some refusals are not tried again before a person asks, which is what a pass is.
    let mut passes = 0;
    let mut said = String::new();
    loop {
        let output = bed.run(&["sync"]);
        let code = output.status.code();
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        if code == Some(0) {
            let missing = bed.missing();
            assert_eq!(missing, Vec::<String>::new(), "it said that all is done\n{said}");
            assert_eq!(bed.mirror()["state"], "current", "{said}");
            break;
        }
        let honest = [Some(3), Some(12), Some(69)].contains(&code);
        assert!(honest, "{code:?}\n{said}");
        assert_ne!(bed.mirror()["state"], "current", "{said}");
        assert!(!wrong.heals, "{code:?} after something that passes\n{said}");
        passes += 1;
        assert!(passes < 5, "it never ends\n{said}");
    }
    let hits = bed.hits(line.route, &wrong.effect);
    assert!(hits > 0, "the fault hit nothing\n{said}");
    bed.no_faults();
    bed.ends(&["sync"], 0);

    let missing = bed.missing();
    assert_eq!(missing, Vec::<String>::new(), "{said}");
    assert_eq!(bed.mirror()["state"], "current", "{said}");
    let extra = bed.extra();
    if line.copies || wrong.name == "another name" {
        assert!(
            extra.iter().all(|path| path.contains(" (1)") || path.contains(" (2)")),
            "{extra:?}"
        );
        assert!(extra.is_empty() || said.contains("remove it by hand"), "{extra:?}\n{said}");
    } else {
        assert_eq!(extra, Vec::<String>::new(), "{said}");
    }
    // A task whose key never arrived cannot be cancelled, nor one whose cancelling fails: the service
    // forgets both by itself, and nobody sees them.
    let lost = (line.route == "file.start" && wrong.lost) || line.route == "file.cancel";
    let allowed = if lost { hits } else { 0 };
    assert!(bed.open_uploads() <= allowed, "{} uploads are open\n{said}", bed.open_uploads());
    if line.known && wrong.heals && wrong.name != "another crc64" {
        assert_eq!(bed.requests("cos.post"), 0, "what was there was sent\n{said}");
    }
    bed.forget_requests();
    bed.ends(&["sync"], 0);
    assert_eq!(bed.all_requests(), 0, "a pass over nothing new asks for something");
}

#[test]
fn every_route_with_every_fault() {
    let lines = lines();
    let wrongs = wrongs();
    let mut pairs = VecDeque::new();
    for line in &lines {
        for wrong in &wrongs {
            for times in [1, 2] {
                // A directory that is refused waits for half a minute and more, the second time for longer.
                let slow = line.route == "directory.create" && wrong.name == "403";
                // What hits a certain call hits once.
                let once = slow || !line.rule["nth"].is_null();
                if !applies(line, wrong) || (once && times > 1) {
                    continue;
                }
                if slow {
                    pairs.push_front((line, wrong, times));
                } else {
                    pairs.push_back((line, wrong, times));
                }
            }
        }
    }
    let wanted = std::env::var("SMH_MATRIX").unwrap_or_default();
    let pairs = Mutex::new(pairs);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = pairs.lock().unwrap().pop_front();
                    let Some((line, wrong, times)) = next else { return };
                    let name = format!("{} × {} × {times}", line.name, wrong.name);
                    if !name.contains(&wanted) {
                        continue;
                    }
                    if catch_unwind(AssertUnwindSafe(|| check(line, wrong, times))).is_err() {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} pairs failed:\n{}", failed.len(), failed.join("\n"));
}
