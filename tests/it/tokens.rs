//! The access token: made once, shared by all who wait, renewed ahead, replaced when it is refused.

use std::fs;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use smh_mirror::failure::Class;
use smh_mirror::smh::{Client, Error, RemotePath};
use tokio::runtime::Runtime;

use crate::bed::{Bed, until};
use crate::client::client;

/// A client that lives as long as its runtime: its connections are tasks there.
struct User {
    runtime: Runtime,
    client: Arc<Client>,
}

impl User {
    fn new(bed: &Bed) -> User {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        User { runtime, client: Arc::new(client(bed)) }
    }

    /// Calls of so many at once that all need a token.
    fn look(&self, many: usize) -> Vec<Result<(), Error>> {
        let path = RemotePath::parse("nothing");
        let calls = (0..many).map(|_| async { self.client.info(&path).await.map(|_| ()) });
        self.runtime.block_on(join_all(calls))
    }

    fn looks(&self, many: usize) {
        for answer in self.look(many) {
            answer.unwrap();
        }
    }
}

fn use_source(bed: &Bed, key: &str, value: &str) {
    let config = fs::read_to_string(bed.path("config.toml")).unwrap();
    let secret = format!("library_secret_file = {:?}", bed.path("secret"));
    fs::write(bed.path("config.toml"), config.replace(&secret, &format!("{key} = {value}")))
        .unwrap();
}

#[test]
fn many_who_wait_share_one_token_and_one_failure() {
    let bed = Bed::new();
    let user = User::new(&bed);
    bed.fault(json!({"route": "token.create", "times": 1, "effect": {"delay_ms": 200, "status": 500, "code": "InternalServerError"}}));
    let answers = user.look(32);
    assert!(answers.iter().all(|answer| {
        answer
            .as_ref()
            .is_err_and(|error| error.class == Class::Transient && error.request_id.is_some())
    }));
    assert_eq!(bed.requests("token.create"), 1, "one failure for all");
    bed.fault(json!({"route": "token.create", "effect": {"delay_ms": 200}}));
    user.looks(32);
    assert_eq!(bed.requests("token.create"), 2, "one token for all");
    user.looks(1);
    assert_eq!(bed.requests("token.create"), 2, "and it is kept");
}

#[test]
fn who_goes_away_while_waiting_takes_nothing_from_the_others() {
    let bed = Bed::new();
    let user = User::new(&bed);
    bed.fault(json!({"route": "token.create", "effect": {"delay_ms": 300}}));
    let path = RemotePath::parse("nothing");
    let soon = std::time::Duration::from_millis(50);
    user.runtime.block_on(async {
        let gone = tokio::time::timeout(soon, user.client.info(&path));
        let (gone, stayed) = tokio::join!(gone, user.client.info(&path));
        assert!(gone.is_err());
        stayed.unwrap();
    });
    assert_eq!(bed.requests("token.create"), 1);
    // All of them go away: whoever comes next begins anew.
    bed.call("DELETE", "/_emulator/tokens", None);
    user.runtime.block_on(async {
        tokio::time::timeout(soon, user.client.info(&path)).await.unwrap_err();
    });
    user.looks(2);
}

#[test]
fn a_token_that_is_refused_in_the_middle_is_replaced_once_for_all() {
    let bed = Bed::new();
    let user = User::new(&bed);
    user.looks(1);
    for (round, status) in [(1, None), (2, Some(401))] {
        match status {
            None => bed.call("DELETE", "/_emulator/tokens", None),
            Some(status) => bed.call(
                "POST",
                "/_emulator/faults",
                Some(json!({"route": "directory.info", "times": 1, "effect": {"status": status, "code": "Unauthorized"}})),
            ),
        };
        // Some of them are still under way when the first has another token.
        bed.fault(json!({"route": "directory.info", "every": 3, "effect": {"delay_ms": 50}}));
        user.looks(32);
        assert_eq!(bed.requests("token.create"), 1 + round);
        bed.no_faults();
    }
}

#[test]
fn a_service_that_refuses_every_token_is_asked_once_more_and_no_more() {
    let bed = Bed::new();
    let user = User::new(&bed);
    user.looks(1);
    bed.fault(
        json!({"route": "directory.info", "effect": {"status": 403, "code": "InvalidAccessToken"}}),
    );
    let error = user.look(1).remove(0).unwrap_err();
    assert_eq!((error.class, error.status), (Class::Auth, Some(403)));
    assert_eq!((bed.requests("token.create"), bed.requests("directory.info")), (2, 3));
    // Wrong from now on: the failure to make another is the answer for all whose token was refused.
    bed.call("POST", "/_emulator/options", Some(json!({"library_secret": "other"})));
    let answers = user.look(16);
    assert!(answers.iter().all(|a| a.as_ref().is_err_and(|e| e.is("WrongLibraryIdOrSecret"))));
    assert_eq!(bed.requests("token.create"), 3);
}

#[test]
fn a_token_is_renewed_ahead_of_its_end() {
    let bed = Bed::new();
    // Shorter than was asked for, and respected.
    bed.call("POST", "/_emulator/options", Some(json!({"token_life_seconds": 2})));
    let user = User::new(&bed);
    until("two renewals", || {
        user.looks(4);
        (bed.requests("token.renew") == 2).then_some(())
    });
    assert_eq!(bed.requests("token.create"), 1);
    let (_, sums) = bed.call("GET", "/_emulator/log?summary=1", None);
    assert_eq!(sums["directory.info"].as_object().unwrap().len(), 1, "none was refused: {sums}");
}

#[test]
fn a_token_that_is_not_renewed_is_made_anew_or_used_on() {
    let bed = Bed::new();
    bed.call("POST", "/_emulator/options", Some(json!({"token_life_seconds": 3})));
    let user = User::new(&bed);
    user.looks(1);
    bed.fault(
        json!({"route": "token.renew", "effect": {"status": 403, "code": "InvalidAccessToken"}}),
    );
    until("a refused renewal", || {
        user.looks(1);
        (bed.requests("token.renew") == 1).then_some(())
    });
    assert_eq!(bed.requests("token.create"), 2);
    bed.no_faults();
    // A service in trouble says nothing about the token, which is still good.
    bed.fault(
        json!({"route": "token.renew", "effect": {"status": 503, "code": "ServerOverloaded"}}),
    );
    until("a renewal that fails", || {
        user.looks(8);
        (bed.requests("token.renew") == 2).then_some(())
    });
    user.looks(8);
    assert_eq!((bed.requests("token.renew"), bed.requests("token.create")), (2, 2));
}

#[test]
fn a_token_that_ended_while_nobody_used_it_is_replaced() {
    let bed = Bed::new();
    let user = User::new(&bed);
    user.looks(1);
    bed.call("POST", "/_emulator/clock", Some(json!({"shift_seconds": 90_000})));
    user.looks(8);
    assert_eq!(bed.requests("token.create"), 2);
}

#[test]
fn a_refused_token_of_somebody_else_is_read_again_once_for_all() {
    let bed = Bed::new();
    let runs = bed.path("runs");
    let script = format!("echo run >> {}; cat {}", runs.display(), bed.path("secret").display());
    for (key, value) in [
        ("access_token_file", format!("{:?}", bed.path("secret"))),
        ("access_token_command", format!("[\"/bin/sh\", \"-c\", {script:?}]")),
    ] {
        bed.configure("");
        use_source(&bed, key, &value);
        bed.secret(&bed.admin());
        let user = User::new(&bed);
        user.looks(16);
        bed.call("DELETE", "/_emulator/tokens", None);
        bed.secret(&bed.admin());
        user.looks(16);
        // None better is to be had: the refusal itself is the answer.
        bed.call("DELETE", "/_emulator/tokens", None);
        let answers = user.look(16);
        assert!(answers.iter().all(|a| a.as_ref().is_err_and(|e| e.is("InvalidAccessToken"))));
    }
    // The first, the one after the refusal, the one that changed nothing.
    assert_eq!(fs::read_to_string(runs).unwrap().lines().count(), 3);
}

#[test]
fn a_token_in_a_path_is_never_said() {
    let bed = Bed::new();
    bed.call("POST", "/_emulator/options", Some(json!({"token_life_seconds": 1})));
    let config = fs::read_to_string(bed.path("config.toml")).unwrap();
    fs::write(bed.path("config.toml"), format!("{config}\n[log]\nlevel = \"trace\"\n")).unwrap();
    // Once it works, once it is refused, once nobody answers.
    bed.fault(json!({"route": "token.renew", "nth": 2, "effect": {"status": 403, "code": "InvalidAccessToken"}}));
    bed.fault(json!({"route": "token.renew", "nth": 2, "effect": {"reset": "before"}}));
    let daemon = bed.daemon();
    let mut n = 0;
    until("three renewals", || {
        n += 1;
        // A file of its own each time: one that never rests is not read.
        bed.write(&format!("f{n}"), "x");
        (bed.requests("token.renew") >= 3).then_some(())
    });
    assert_eq!(daemon.stop(), Some(0));
    let log = bed.log();
    assert!(log.contains("renewed the access token"), "the log is deep enough");
    for secret in ["acctk", "access_token=", "library_secret="] {
        assert!(!log.contains(secret), "{secret} was said");
    }
}
