//! `doctor`: what it finds, what it says to do, and how it ends. It never writes.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::bed::{Bed, until};

/// What it found, by name; the worst of each.
struct Found(Value);

impl Found {
    fn with(bed: &Bed, code: i32) -> Found {
        let (out, err) = bed.ends(&["doctor", "--json"], code);
        assert_eq!(err, "");
        let found: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(found["schema"], 1);
        Found(found)
    }

    fn all(&self, name: &str) -> Vec<&Value> {
        self.0["checks"].as_array().unwrap().iter().filter(|c| c["name"] == name).collect()
    }

    /// Asserts that one check of this name has the status and says this, in message or hint.
    #[track_caller]
    fn says(&self, name: &str, status: &str, said: &str) {
        let hit = self.all(name).into_iter().any(|check| {
            let text = format!("{} {}", check["message"], check["hint"]);
            check["status"] == status && text.contains(said)
        });
        assert!(hit, "{name} {status} {said:?} in {:#}", self.0);
    }

    fn problems(&self) -> Vec<&str> {
        let checks = self.0["checks"].as_array().unwrap();
        let problems = checks.iter().filter(|check| check["status"] == "problem");
        problems.map(|check| check["name"].as_str().unwrap()).collect()
    }
}

#[test]
fn all_is_well_before_and_after_the_first_pass() {
    let bed = Bed::new();
    bed.write("a/b/c", "c");
    let found = Found::with(&bed, 0);
    for (name, said) in [
        ("config", "1 mirror"),
        ("secret", "the library secret comes from"),
        ("endpoint", "without TLS"),
        ("credentials", "gave a token"),
        ("library", "nothing speaks for a media library"),
        ("grants", "may upload"),
        ("room", "no quota"),
        ("clock", "agrees"),
        ("mirror.docs", "can be read, on "),
        ("mirror.docs", "backup is made with the first file"),
        ("state", "will be made"),
        ("journal", "there is none yet"),
        ("daemon", "none runs"),
    ] {
        found.says(name, "ok", said);
    }
    assert!(found.all("watches")[0]["message"].as_str().unwrap().contains("3 directories"));
    assert_eq!(found.all("inotify").len(), 1);
    // It only reads, here and there.
    assert!(!bed.path("state").exists());
    for route in ["file.start", "directory.create", "file.confirm", "file.delete", "file.cancel"] {
        assert_eq!(bed.requests(route), 0, "{route}");
    }
    assert_eq!((bed.requests("token.create"), bed.requests("token.delete")), (1, 1));
    bed.ends(&["sync"], 0);
    let daemon = bed.daemon();
    bed.until_current();
    until("the daemon to be found", || {
        let found = Found::with(&bed, 0);
        found.says("state", "ok", "is private");
        found.says("journal", "ok", "the last complete scan of docs ended");
        found.says("mirror.docs", "ok", "backup is in the library");
        let said = found.all("daemon")[0]["message"].to_string();
        said.contains("one runs: pid ").then_some(())
    });
    assert_eq!(daemon.stop(), Some(0));
    let (out, _) = bed.ends(&["doctor"], 0);
    assert!(out.contains("\nok       clock "), "{out}");
    assert!(out.ends_with("warnings\n") || out.ends_with("1 warning\n"), "{out}");
}

#[test]
fn a_wrong_secret_is_a_matter_of_credentials() {
    let bed = Bed::new();
    bed.secret("wrong");
    let found = Found::with(&bed, 12);
    found.says("secret", "ok", "comes from");
    found.says("credentials", "problem", "WrongLibraryIdOrSecret");
    found.says("endpoint", "ok", "SMH answers");
    assert_eq!(found.problems(), ["credentials"]);
}

#[test]
fn a_full_space_is_a_problem() {
    let bed = Bed::with(&["--quota", "1000"]);
    bed.write("small", [1; 900]);
    Found::with(&bed, 0).says("room", "ok", "1000 B of 1000 B are free");
    bed.ends(&["sync"], 0);
    Found::with(&bed, 0).says("room", "ok", "100 B of 1000 B are free");
    bed.write("other", [1; 60]);
    bed.ends(&["sync"], 0);
    Found::with(&bed, 0).says("room", "warning", "40 B of 1000 B are free");
    // There is room, but not for what has to be sent.
    bed.write("large", [1; 900]);
    bed.ends(&["sync"], 3);
    let found = Found::with(&bed, 1);
    found.says("room", "problem", "could not send for want of room");
    assert_eq!(found.problems(), ["room"]);
    // Nobody sent yet.
    fs::remove_dir_all(bed.path("state")).unwrap();
    bed.call("POST", "/_emulator/options", Some(json!({"quota": 960})));
    Found::with(&bed, 1).says("room", "problem", "0 B of 960 B are free");
}

#[test]
fn nobody_listens() {
    let bed = Bed::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    bed.configure_for(&format!("http://127.0.0.1:{port}"), "");
    let found = Found::with(&bed, 69);
    found.says("endpoint", "problem", "cannot connect to 127.0.0.1");
    found.says("endpoint", "problem", "nobody listens there");
    found.says("credentials", "warning", "not checked");
    found.says("mirror.docs", "ok", "can be read");
    assert_eq!(found.problems(), ["endpoint"]);
}

#[test]
fn somebody_else_listens() {
    let bed = Bed::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    bed.configure_for(&format!("http://{}", listener.local_addr().unwrap()), "");
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello");
    });
    let found = Found::with(&bed, 78);
    found.says("endpoint", "problem", "does not speak SMH (status 404)");
    serving.join().unwrap();
}

#[test]
fn the_clock_is_compared_with_that_of_the_service() {
    let bed = Bed::new();
    for (shift, side) in [(300, "behind"), (-300, "ahead of")] {
        bed.call("POST", "/_emulator/clock", Some(json!({"shift_seconds": shift})));
        let found = Found::with(&bed, 1);
        let said = found.all("clock")[0]["message"].as_str().unwrap();
        let seconds: i64 = said.split(' ').nth(6).unwrap().parse().unwrap();
        assert!((298..=302).contains(&seconds) && said.contains(side), "{said}");
        assert_eq!(found.problems(), ["clock"]);
    }
}

#[test]
fn a_secret_that_others_can_read() {
    let bed = Bed::new();
    fs::set_permissions(bed.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let found = Found::with(&bed, 78);
    found.says("secret", "problem", "can be read by others (mode 0644)");
    found.says("secret", "problem", "chmod 600");
    found.says("credentials", "warning", "the secret cannot be had");
    found.says("clock", "ok", "agrees");
    assert_eq!(found.problems(), ["secret"]);
    assert!(!found.0.to_string().contains("emulator-secret"), "{}", found.0);
}

#[test]
fn a_root_that_is_missing() {
    let bed = Bed::new();
    fs::remove_dir(bed.root()).unwrap();
    let found = Found::with(&bed, 78);
    found.says("mirror.docs", "problem", "does not exist");
    found.says("mirror.docs", "problem", "mount it");
    found.says("credentials", "ok", "gave a token");
    assert_eq!(found.problems(), ["mirror.docs"]);
}

#[test]
fn a_state_folder_that_others_can_enter_and_a_journal_that_is_none() {
    let bed = Bed::new();
    bed.ends(&["sync"], 0);
    fs::set_permissions(bed.path("state"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(bed.path("state/journal.db"), "not a database, and long enough".repeat(200)).unwrap();
    let found = Found::with(&bed, 1);
    found.says("state", "warning", "others can look into");
    found.says("journal", "problem", "damaged");
    assert_eq!(found.problems(), ["journal"]);
}

#[test]
fn a_token_of_somebody_else_is_for_reading_only_or_for_another_library() {
    let bed = Bed::new();
    let config = fs::read_to_string(bed.path("config.toml")).unwrap();
    let config = config.replace("library_secret_file", "access_token_file");
    fs::write(bed.path("config.toml"), &config).unwrap();
    let query = "library_id=smhemulator&library_secret=emulator-secret";
    let (_, made) = bed.call("POST", &format!("/api/v1/token?{query}"), None);
    let token = made["accessToken"].as_str().unwrap().to_owned();
    bed.secret(&token);
    let found = Found::with(&bed, 12);
    found.says("credentials", "ok", "takes the token");
    found.says("grants", "problem", "upload_file_force,create_directory");
    bed.secret(&bed.admin());
    Found::with(&bed, 0).says("grants", "ok", "shows with the first file");
    assert_eq!(bed.requests("token.delete"), 0, "it is not ours to delete");
    fs::write(bed.path("config.toml"), config.replace("smhemulator", "smhother")).unwrap();
    let found = Found::with(&bed, 78);
    found.says("library", "problem", "check remote.library_id");
    assert_eq!(found.problems(), ["library"]);
    bed.secret("acctk-of-yesterday");
    fs::write(bed.path("config.toml"), &config).unwrap();
    let found = Found::with(&bed, 12);
    found.says("credentials", "problem", "InvalidAccessToken");
    assert!(!found.0.to_string().contains("of-yesterday"), "{}", found.0);
}

#[test]
fn a_media_library() {
    let bed = Bed::with(&["--media"]);
    Found::with(&bed, 0).says("library", "ok", "nothing speaks for a media library");
    bed.write("a.jpg", "no picture, but called one");
    bed.ends(&["sync"], 0);
    let found = Found::with(&bed, 78);
    found.says("library", "problem", "use a file-type library");
    assert_eq!(found.problems(), ["library"]);
}

#[test]
fn a_file_where_the_folder_should_be() {
    let bed = Bed::new();
    let token = bed.admin();
    let target = format!(
        "/api/v1/file/smhemulator/-/backup?conflict_resolution_strategy=overwrite&filesize=1&access_token={token}"
    );
    let (_, form) = bed.call("POST", &target, Some(json!({"size": "1"})));
    bed.post(&form, b"x");
    let key = form["confirmKey"].as_str().unwrap();
    bed.call(
        "POST",
        &format!("/api/v1/file/smhemulator/-/{key}?confirm&access_token={token}"),
        None,
    );
    Found::with(&bed, 78).says("mirror.docs", "problem", "backup is a file");
}

#[test]
fn a_configuration_that_is_wrong_keeps_nobody_from_looking_at_the_machine() {
    let bed = Bed::new();
    fs::write(bed.path("config.toml"), "[remote]\nendpiont = \"x\"\n").unwrap();
    let found = Found::with(&bed, 78);
    found.says("config", "problem", "endpiont");
    assert!(found.all("config").len() > 1);
    assert_eq!(found.all("inotify").len(), 1);
    fs::remove_file(bed.path("config.toml")).unwrap();
    Found::with(&bed, 78).says("config", "problem", "config init");
}
