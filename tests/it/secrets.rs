//! No secret in any output: one long run with every fault at log level trace, and everything it left is searched.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::bed::{Bed, until_or};

const SECRET: &str = "the-secret-of-the-library";
const WRONG: &str = "the-wrong-secret-of-the-library";

/// What the tokens of the emulator are called, so far.
fn tokens(bed: &Bed, known: &mut BTreeSet<String>) {
    let text = fs::read_to_string(bed.path("library/state.jsonl")).unwrap();
    for (at, _) in text.match_indices("acctk") {
        known.insert(text[at..].chars().take_while(char::is_ascii_alphanumeric).collect());
    }
}

/// Every byte of every file below `folder`; a socket has none.
fn files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.is_file() {
            into.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

fn holds(bytes: &[u8], word: &str) -> bool {
    memchr::memmem::find(bytes, word.as_bytes()).is_some()
}

fn settled(bed: &Bed, state: &str) {
    let what = || format!("{state}: {}\n{}", bed.mirror(), bed.log());
    until_or(what, || (bed.mirror()["state"] == state).then_some(()));
}

#[test]
fn no_secret_in_anything_that_is_said_or_kept() {
    let bed = Bed::with(&["--library-secret", SECRET]);
    bed.secret(SECRET);
    let config = fs::read_to_string(bed.path("config.toml")).unwrap();
    fs::write(bed.path("config.toml"), format!("{config}\n[log]\nlevel = \"trace\"\n")).unwrap();
    let mut names = BTreeSet::new();
    let mut said: Vec<(String, Vec<u8>)> = Vec::new();
    let write = |round: usize| {
        for n in 0..12 {
            bed.write(
                &format!("d{n}/f{round}"),
                format!("round {round} of {n}").repeat(1 + n * 9_000),
            );
        }
    };

    // Every fault on every route, one after the other; tokens end soon and are renewed.
    bed.call("POST", "/_emulator/options", Some(json!({"token_life_seconds": 2})));
    let effects = [
        json!({"reset": "before"}),
        json!({"reset": "after"}),
        json!({"truncate": 20}),
        json!({"garbage": true}),
        json!({"huge": true}),
        json!({"drip": 2000}),
        json!({"extra_fields": true}),
        json!({"path_null": true}),
        json!({"rename": true}),
        json!({"wrong_crc64": true}),
        json!({"status": 400, "code": "NeverHeardOf", "message": "http://host/a?access_token=x"}),
        json!({"status": 401, "code": "Unauthorized"}),
        json!({"status": 403, "code": "InvalidAccessToken"}),
        json!({"status": 404, "code": "NeverHeardOf"}),
        json!({"status": 409, "code": "UploadComplete"}),
        json!({"status": 429, "code": "RateLimitExceeded"}),
        json!({"status": 500, "code": "InternalServerError", "envelope": true}),
        json!({"status": 503, "code": "ServerOverloaded"}),
    ];
    for (round, effect) in effects.iter().enumerate() {
        // Coprime: each effect meets other routes, and the same route another effect.
        let every = [7, 11, 13][round % 3];
        bed.fault(json!({"every": every, "effect": effect}));
        write(round);
        let daemon = bed.daemon();
        until_or(
            || format!("hits of {effect}; log:\n{}", bed.log()),
            || (bed.hits_of(effect) >= 2).then_some(()),
        );
        tokens(&bed, &mut names);
        let process = format!("/proc/{}", daemon.pid());
        for file in ["cmdline", "comm", "status"] {
            let bytes = fs::read(format!("{process}/{file}")).unwrap();
            said.push((format!("{file} of the daemon"), bytes));
        }
        if round % 4 == 0 {
            daemon.kill();
        } else {
            assert_eq!(daemon.stop(), Some(0));
        }
        bed.no_faults();
    }
    // Refused: a token that ended in the middle, and a secret that is wrong.
    let daemon = bed.daemon();
    settled(&bed, "current");
    tokens(&bed, &mut names);
    bed.call("DELETE", "/_emulator/tokens", None);
    write(100);
    settled(&bed, "current");
    assert_eq!(daemon.stop(), Some(0));
    bed.secret(WRONG);
    write(101);
    let daemon = bed.daemon();
    settled(&bed, "auth");
    for args in [&["status"][..], &["status", "--json"], &["sync", "--json"]] {
        let output = bed.run(args);
        said.push((
            format!("{args:?} with a wrong secret"),
            [output.stdout, output.stderr].concat(),
        ));
    }
    assert_eq!(daemon.stop(), Some(0));
    let output = bed.run(&["sync"]);
    assert_eq!(output.status.code(), Some(12));
    said.push(("a pass with a wrong secret".to_owned(), [output.stdout, output.stderr].concat()));
    bed.secret(SECRET);
    // A token of somebody else, in a file.
    let with_secret = fs::read_to_string(bed.path("config.toml")).unwrap();
    let token = bed.token_for(SECRET);
    bed.token_instead_of_secret(&token);
    names.insert(token);
    write(102);
    let output = bed.run(&["sync"]);
    assert_eq!(output.status.code(), Some(0));
    said.push(("a pass with a token".to_owned(), [output.stdout, output.stderr].concat()));
    bed.secret(SECRET);
    fs::write(bed.path("config.toml"), with_secret).unwrap();
    // A damaged journal.
    fs::write(bed.path("state/journal.db"), "no database ".repeat(1_000)).unwrap();
    let daemon = bed.daemon_until_current();
    tokens(&bed, &mut names);
    // A crash, so that the log of the journal stays.
    daemon.kill();
    let before = said.len();
    files(&bed.path("state"), &mut said);
    assert!(
        said[before..].iter().any(|(place, bytes)| place.ends_with("-wal") && holds(bytes, "f102")),
        "the crash left no log to be searched"
    );

    for args in [
        &["status"][..],
        &["status", "--json"],
        &["status", "--skipped"],
        &["health"],
        &["sync", "--dry-run"],
        &["sync", "--json"],
        &["config", "check"],
        &["config", "show"],
        &["--json", "config", "show"],
    ] {
        let output = bed.run(args);
        assert_ne!(output.status.code(), Some(2), "{args:?}");
        said.push((format!("{args:?}"), [output.stdout, output.stderr].concat()));
    }
    said.push(("the log".to_owned(), bed.log().into_bytes()));
    files(&bed.path("state"), &mut said);

    assert!(names.len() > 5, "hardly a token was made: {}", names.len());
    assert!(bed.log().contains("TRACE") || bed.log().contains("DEBUG"), "the log is not at trace");
    let mut words: Vec<&str> = names.iter().map(String::as_str).collect();
    words.extend([
        SECRET,
        WRONG,
        // In every form: the signature, the policy (in Base64), the keys and the token of the bucket.
        "q-signature",
        "q-ak",
        "eyJ",
        "AKIDemulator",
        "emulator-security-token",
        "access_token=",
        "library_secret=",
        "Bearer ",
    ]);
    for word in words {
        for (place, bytes) in &said {
            assert!(!holds(bytes, word), "{word} was found in {place}");
        }
    }
}

/// A service, or whoever answers in its place, may put the request into its message. (A token that stands there
/// without its name is not seen yet.)
#[test]
fn a_secret_that_the_service_says_is_not_said_again() {
    let bed = Bed::with(&["--library-secret", SECRET]);
    bed.secret(SECRET);
    bed.write("a", "content");
    let token = bed.token_for(SECRET);
    bed.token_instead_of_secret(&token);
    // In the words of the service, and its own token or that of somebody else in those of a URL.
    let other = bed.token_for(SECRET);
    let message = format!("{token} may not; GET /api/v1/file/x?access_token={other}&user_id=");
    let effect = json!({"status": 403, "code": "NoPermission", "message": message});
    bed.fault(json!({"route": "file.start", "effect": effect}));
    let output = bed.run(&["sync"]);
    assert_ne!(output.status.code(), Some(0));
    let mut said = vec![("the pass".to_owned(), [output.stdout, output.stderr].concat())];
    files(&bed.path("state"), &mut said);
    for (place, bytes) in &said {
        assert!(!holds(bytes, &token), "the token was repeated in {place}");
        assert!(!holds(bytes, &other), "another token was repeated in {place}");
    }
}
