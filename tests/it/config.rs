//! `config check`, `show` and `init` of the real binary: every mistake gets its words and its code.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SECRET: &str = "hunter2-swordfish";

/// A home with a root, a guarded secret and a configuration that is good until a test spoils it.
struct Home {
    dir: tempfile::TempDir,
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Home {
    fn new() -> Home {
        let home = Home { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(home.path("root")).unwrap();
        home.secret(SECRET, 0o600);
        home.write(&home.good());
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn secret(&self, text: &str, mode: u32) {
        let path = self.path("secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Line 1 is `state_dir`, 3 the endpoint, 6 the secret, 8 to 10 name, local and remote.
    fn good(&self) -> String {
        let home = self.dir.path().display();
        format!(
            "state_dir = '{home}/state'\n[remote]\nendpoint = 'https://smh1.api.tencentsmh.cn'\n\
             library_id = 'smh1'\n[remote.auth]\nlibrary_secret_file = '{home}/secret'\n[[mirror]]\n\
             name = 'docs'\nlocal = '{home}/root'\nremote = 'backup/docs'\n"
        )
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path("c.toml"), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smh-mirror"));
        command.env_clear().env("HOME", self.dir.path()).current_dir(self.dir.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        said(self.command().args(arguments))
    }

    fn check(&self) -> Said {
        self.run(&["-c", "c.toml", "config", "check"])
    }

    /// Spoils the good file and checks it.
    fn spoilt(&self, from: &str, to: &str) -> Said {
        let good = self.good();
        assert!(good.contains(from), "{good}");
        self.write(&good.replace(from, to));
        self.check()
    }
}

fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    for text in [&said.out, &said.err] {
        assert!(!text.contains(SECRET), "the secret is shown: {text}");
    }
    said
}

impl Said {
    /// One problem, in one line: where, which key, and all of `parts`.
    #[track_caller]
    fn refuses(&self, code: i32, place: &str, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        assert_eq!(self.out, "", "{}", self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        assert!(self.err.starts_with(&format!("error: c.toml:{place}: ")), "{}", self.err);
        assert!(self.err.contains("; "), "no next step: {}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in: {}", self.err);
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == 0)
}

#[test]
fn a_good_file_is_good() {
    let home = Home::new();
    let said = home.check();
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("c.toml: good: 1 mirror\n"), "{}", said.out);
    assert!(!home.path("state").exists(), "checking created the state");

    let said = home.run(&["-c", "c.toml", "config", "check", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &json["good"]), (Some(0), &true.into()));
}

#[test]
fn an_unknown_key_gets_the_nearest_known_one() {
    let said = Home::new().spoilt("remote = 'backup/docs'", "remote = 'backup/docs'\nsetle = '2s'");
    said.refuses(78, "11: mirror.docs.setle", &["unknown key", "did you mean `settle`?"]);
}

#[test]
fn a_missing_secret_is_named() {
    let home = Home::new();
    std::fs::remove_file(home.path("secret")).unwrap();
    let parts = ["does not exist", "write the secret into it"];
    home.check().refuses(78, "6: remote.auth.library_secret_file", &parts);

    let line = format!("library_secret_file = '{}'", home.path("secret").display());
    let said = home.spoilt(&line, "");
    said.refuses(78, "5: remote.auth", &["there is no secret", "set library_secret_file"]);
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let home = Home::new();
    home.secret(SECRET, 0o644);
    let parts = ["can be read by others (mode 0644)", "chmod 600"];
    home.check().refuses(78, "6: remote.auth.library_secret_file", &parts);
}

#[test]
fn an_empty_secret_is_refused() {
    let home = Home::new();
    home.secret("\n", 0o600);
    home.check().refuses(78, "6: remote.auth.library_secret_file", &["is empty"]);
}

#[test]
fn secret_and_token_together_are_refused() {
    let home = Home::new();
    let spoilt = home.spoilt("[[mirror]]", "access_token_file = '/x'\n[[mirror]]");
    let parts = ["library_secret_file as well", "remove all but one"];
    spoilt.refuses(78, "7: remote.auth.access_token_file", &parts);

    let line = format!("library_secret_file = '{}'", home.path("secret").display());
    home.write(&home.good().replace(&line, ""));
    let mut command = home.command();
    command.args(["-c", "c.toml", "config", "check"]);
    command.env("SMH_MIRROR_LIBRARY_SECRET", SECRET);
    assert_eq!(said(&mut command).code, Some(0));
    command.env("SMH_MIRROR_ACCESS_TOKEN", SECRET);
    let both = ["both SMH_MIRROR_LIBRARY_SECRET and SMH_MIRROR_ACCESS_TOKEN"];
    said(&mut command).refuses(78, "5: remote.auth", &both);
}

#[test]
fn the_command_for_a_token_is_run_by_check_and_its_output_never_shown() {
    let home = Home::new();
    let key = format!("library_secret_file = '{}'", home.path("secret").display());
    let with = |script: &str| {
        let command = format!("access_token_command = ['/bin/sh', '-c', '''{script}''']");
        home.spoilt(&key, &command)
    };
    assert_eq!(with(&format!("echo {SECRET}")).code, Some(0));
    let said = with(&format!("echo {SECRET}; echo sealed >&2; exit 4"));
    said.refuses(78, "6: remote.auth.access_token_command", &["exit code 4", "sealed"]);
}

#[test]
fn a_relative_root_is_refused() {
    let home = Home::new();
    let root = home.path("root").display().to_string();
    let said = home.spoilt(&root, "root");
    said.refuses(78, "9: mirror.docs.local", &["\"root\" is a relative path", "absolute"]);
}

#[test]
fn a_root_that_is_not_there_or_no_folder_is_refused() {
    let home = Home::new();
    std::fs::remove_dir(home.path("root")).unwrap();
    home.check().refuses(78, "9: mirror.docs.local", &["does not exist", "create the folder"]);
    std::fs::write(home.path("root"), "").unwrap();
    home.check().refuses(78, "9: mirror.docs.local", &["is not a folder", "name the folder"]);
}

#[test]
fn a_root_that_may_not_be_read_is_a_matter_of_permission() {
    if is_root() {
        return;
    }
    let home = Home::new();
    let closed = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(home.path("root"), closed).unwrap();
    home.check().refuses(77, "9: mirror.docs.local", &["permission denied"]);
}

#[test]
fn overlapping_mirrors_are_refused_with_both_names() {
    let home = Home::new();
    let inner = home.path("root/inner");
    let more = format!(
        "{}[[mirror]]\nname = 'inner'\nlocal = '{}'\nremote = 'other'\n",
        home.good(),
        inner.display()
    );
    home.write(&more);
    let parts = ["mirror.inner lies inside", "mirror.docs", "outer folder only"];
    home.check().refuses(78, "13: mirror.inner.local", &parts);

    // The same folder by another name is seen as well.
    std::os::unix::fs::symlink(home.path("root"), home.path("link")).unwrap();
    home.write(&more.replace(&*inner.to_string_lossy(), &home.path("link").to_string_lossy()));
    home.check().refuses(78, "13: mirror.inner.local", &["overlaps", "mirror.docs"]);
}

#[test]
fn http_is_refused_away_from_this_machine() {
    let home = Home::new();
    let said = home.spoilt("https://smh1.api", "http://smh1.api");
    said.refuses(78, "3: remote.endpoint", &["in the clear", "write https"]);
    let said = home.spoilt("https://smh1.api.tencentsmh.cn", "http://127.0.0.1:8080");
    assert_eq!(said.code, Some(0), "{}", said.err);
}

#[test]
fn a_state_folder_that_cannot_be_made_is_refused() {
    let home = Home::new();
    std::fs::write(home.path("file"), "").unwrap();
    let state = home.path("state").display().to_string();
    let said = home.spoilt(&state, &home.path("file/state").display().to_string());
    said.refuses(78, "1: state_dir", &["cannot be created", "is not a folder", "name another"]);

    let inside = home.path("root/state").display().to_string();
    let said = home.spoilt(&state, &inside);
    said.refuses(78, "1: state_dir", &["lies inside", "mirror.docs", "outside of every mirrored"]);

    if !is_root() {
        std::fs::create_dir(home.path("state")).unwrap();
        let closed = std::fs::Permissions::from_mode(0o500);
        std::fs::set_permissions(home.path("state"), closed).unwrap();
        home.write(&home.good());
        home.check().refuses(77, "1: state_dir", &["not writable"]);
    }
}

#[test]
fn a_bad_duration_is_refused() {
    let said =
        Home::new().spoilt("remote = 'backup/docs'", "remote = 'backup/docs'\nrescan = '1 hour'");
    said.refuses(78, "11: mirror.docs.rescan", &["\"1 hour\"", "write a whole number and a unit"]);
}

#[test]
fn names_are_given_once() {
    let home = Home::new();
    let again = "[[mirror]]\nname = 'docs'\nlocal = '/nonexistent'\nremote = 'other'\n";
    home.write(&format!("{}{again}", home.good()));
    let parts = ["the mirror in line 8", "its own name"];
    home.check().refuses(78, "12: mirror[2].name", &parts);
}

#[test]
fn broken_toml_is_refused_with_its_line() {
    let said = Home::new().spoilt("library_id = 'smh1'", &format!("library_id = {SECRET}"));
    said.refuses(78, "4", &["not TOML"]);
}

#[test]
fn several_problems_are_said_at_once() {
    let home = Home::new();
    home.write(&home.good().replace("https:", "http:").replace("'docs'", "'a b'"));
    let said = home.check();
    assert_eq!(said.code, Some(78));
    let lines: Vec<&str> = said.err.lines().collect();
    assert_eq!(lines.len(), 3, "{}", said.err);
    assert_eq!(lines[0], "error: the configuration has 2 problems");
    assert!(lines[1].starts_with("c.toml:3: remote.endpoint: "), "{}", said.err);
    assert!(lines[2].starts_with("c.toml:8: mirror[1].name: "), "{}", said.err);

    let said = home.run(&["--json", "-c", "c.toml", "config", "check"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said.code, Some(78));
    assert_eq!((&json["good"], &json["problems"][1]["line"]), (&false.into(), &8.into()));
}

#[test]
fn a_missing_file_and_no_file_at_all_say_how_to_begin() {
    let home = Home::new();
    let said = home.run(&["-c", "none.toml", "config", "check"]);
    assert_eq!(said.code, Some(78));
    assert!(said.err.contains("none.toml") && said.err.contains("config init"), "{}", said.err);
    // A file of the machine itself would be found instead.
    if !Path::new("/etc/smh-mirror/config.toml").exists() {
        let said = home.run(&["config", "show"]);
        assert_eq!(said.code, Some(78));
        for part in [".config/smh-mirror/config.toml", "/etc/smh-mirror/", "config init"] {
            assert!(said.err.contains(part), "{}", said.err);
        }
    }
}

#[test]
fn show_gives_the_defaults_and_reads_back_to_itself() {
    let home = Home::new();
    let shown = home.run(&["-c", "c.toml", "config", "show"]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(shown.out.contains("settle_max = \"5m\""), "{}", shown.out);
    home.write(&shown.out);
    assert_eq!(home.run(&["-c", "c.toml", "config", "show"]).out, shown.out);

    let said = home.run(&["-c", "c.toml", "config", "show", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(json["remote"]["auth"]["source"], "file");
    assert_eq!(json["mirrors"][0]["delete"], "keep");
}

#[test]
fn init_writes_a_guarded_sample_once() {
    let home = Home::new();
    let place = home.path(".config/smh-mirror/config.toml");
    let printed = home.run(&["config", "init", "--stdout"]);
    assert!(printed.code == Some(0) && !place.exists());

    let said = home.run(&["config", "init"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("config check"), "{}", said.out);
    assert_eq!(std::fs::read_to_string(&place).unwrap(), printed.out);
    assert_eq!(std::fs::metadata(&place).unwrap().mode() & 0o777, 0o600);
    // What was written is found, and lacks only what a person has to put in.
    let said = home.run(&["config", "show"]);
    assert_eq!(said.code, Some(0), "{}", said.err);

    std::fs::write(&place, "mine").unwrap();
    let said = home.run(&["config", "init"]);
    assert!(said.code == Some(78) && said.err.contains("--force"), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&place).unwrap(), "mine");
    assert_eq!(home.run(&["config", "init", "--force"]).code, Some(0));
    assert_eq!(std::fs::read_to_string(&place).unwrap(), printed.out);
    let left = std::fs::read_dir(place.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "something was left beside the file");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let home = Home::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = home.command();
    let output = command.args(["config", "init", "--stdout"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}
