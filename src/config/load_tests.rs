//! Whole files: what is taken, and what is said about what is not.

use secrecy::SecretString;

use super::super::error::several;
use super::super::{Delete, Problem, SecretSource};
use super::*;

const HEAD: &str = "[remote]\nendpoint = 'https://smh1.api.tencentsmh.cn'\nlibrary_id = 'smh1'\n";

fn env() -> Environment {
    Environment {
        home: Some("/home/ada".into()),
        library_secret: Some(SecretString::from("hunter2")),
        ..Environment::default()
    }
}

fn load_with(text: &str, env: &Environment) -> Result<Config, Vec<Problem>> {
    from_text(text, Report::new(Path::new("c.toml")), env, Secrets::Needed)
}

fn good(rest: &str) -> Config {
    load_with(&format!("{HEAD}{rest}"), &env()).unwrap_or_else(|bad| panic!("{}", several(&bad)))
}

fn problems(text: &str) -> Vec<String> {
    let problems = load_with(text, &env()).expect_err(text);
    assert!(!several(&problems).contains("hunter2"));
    problems.iter().map(Problem::to_string).collect()
}

/// The only problem of a file that begins with `HEAD`, without the name of the file.
fn problem(rest: &str) -> String {
    let all = problems(&format!("{HEAD}{rest}"));
    assert_eq!(all.len(), 1, "{all:#?}");
    all[0].strip_prefix("c.toml:").unwrap_or(&all[0]).to_owned()
}

fn mirror(name: &str, local: &str, remote: &str) -> String {
    format!("[[mirror]]\nname = '{name}'\nlocal = '{local}'\nremote = '{remote}'\n")
}

#[test]
fn the_least_file_gets_every_default() {
    let config = good(&mirror("docs", "/srv/docs", "backup/docs"));
    assert_eq!(config.state_dir, Path::new("/home/ada/.local/state/smh-mirror"));
    assert_eq!(config.remote.space_id, "-");
    let mirror = &config.mirrors[0];
    assert_eq!(mirror.remote, ["backup", "docs"]);
    assert_eq!(mirror.settle, Duration::from_secs(2));
    assert_eq!(mirror.rescan, Duration::from_secs(3600));
    assert_eq!(mirror.delete, Delete::Keep);
    assert_eq!(config.transfer.concurrency, 32);
    assert_eq!(config.lines.of("mirror.docs.local"), Some(6));
    assert!(matches!(config.remote.auth, Auth::LibrarySecret(SecretSource::Value(_))));
}

#[test]
fn says_all_that_is_wrong_at_once_in_the_order_of_the_file() {
    let text = "stat_dir = '/x'\n[remote]\nendpoint = 'http://example.org'\nlibrary_id = ''\n\
                [[mirror]]\nname = 'a b'\nlocal = 'docs'\nremote = 'a:b'\nsettle = 2\nwatch = 'pol'\n\
                [transfer]\nconcurrency = 0\n[log]\nlevel = 'inof'\n";
    let all = problems(text);
    let begin = [
        "c.toml:1: stat_dir: unknown key; did you mean `state_dir`?",
        "c.toml:3: remote.endpoint: http to example.org",
        "c.toml:4: remote.library_id: is empty; ",
        "c.toml:6: mirror[1].name: \"a b\" is not a name; ",
        "c.toml:7: mirror[1].local: \"docs\" is a relative path; ",
        "c.toml:8: mirror[1].remote: \"a:b\" contains ':'",
        "c.toml:9: mirror[1].settle: is a number, not a text; ",
        "c.toml:10: mirror[1].watch: \"pol\" is not known; did you mean \"poll\"?",
        "c.toml:12: transfer.concurrency: 0 is out of range; ",
        "c.toml:14: log.level: \"inof\" is no level; did you mean \"info\"?",
    ];
    assert_eq!(all.len(), begin.len(), "{all:#?}");
    for (said, begin) in all.iter().zip(begin) {
        assert!(said.starts_with(begin), "{said}\nshould begin {begin}");
    }
}

#[test]
fn an_empty_file_says_what_is_needed() {
    let all = problems("").join("\n");
    for part in
        ["remote.endpoint: is missing", "remote.library_id: is missing", "mirror: there is none"]
    {
        assert!(all.contains(part), "{all}");
    }
}

#[test]
fn broken_toml_names_its_line_and_shows_nothing_of_it() {
    for broken in
        ["x = hunter2\n", "x = 'hunter2\n", "hunter2\n", "[remote]\nendpoint = 'hunter2'\n"]
    {
        let said = problem(&format!("[log]\nlevel = 'info'\n{broken}"));
        assert!(said.contains("not TOML"), "{said}");
        let line: usize = said.split(':').next().unwrap().parse().unwrap();
        assert!((6..=8).contains(&line), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn tables_of_the_wrong_kind_are_explained() {
    assert!(problem("[mirror]\nname = 'a'\n").contains("[[mirror]]"));
    let rest = mirror("a", "/a", "a");
    let all = problems(&format!("log = 'info'\n{HEAD}{rest}"));
    assert!(all[0].contains("c.toml:1: log: is a text, not a section; write [log]"), "{all:?}");
    let said = problem(&format!("{rest}exclude = '*.tmp'\n"));
    assert!(said.contains("is a text, not a list; write a list of texts"), "{said}");
    let said = problem(&format!("{rest}exclude = ['*.tmp', 7]\n"));
    assert!(said.contains("holds a number, not only texts; write a list of texts"), "{said}");
    let all = problems(&format!("{HEAD}mirror = 'a'\n"));
    assert!(all[0].contains("c.toml:4: remote.mirror: unknown key; `mirror` belongs at the top"));
}

#[test]
fn overlapping_mirrors_are_refused_with_both_names() {
    let pair = |one: (&str, &str), other: (&str, &str)| {
        problem(&format!("{}{}", mirror("one", one.0, one.1), mirror("other", other.0, other.1)))
    };
    let cases = [
        pair(("/srv/a", "x"), ("/srv/a/b", "y")),
        pair(("/srv/a/b", "x"), ("/srv//a/", "y")),
        pair(("/srv/a", "x"), ("/srv/a", "y")),
        pair(("/srv/a", "x/y"), ("/srv/b", "x")),
        pair(("/srv/a", ""), ("/srv/b", "x")),
        pair(("/srv/a", "x"), ("/srv/b", "/x/")),
    ];
    for said in cases {
        assert!(said.contains("mirror.one") && said.contains("mirror.other"), "{said}");
    }
    good(&format!("{}{}", mirror("one", "/srv/a", "x/a"), mirror("other", "/srv/ab", "x/ab")));
}

#[test]
fn names_are_unique() {
    let said = problem(&format!("{}{}", mirror("a", "/a", "a"), mirror("a", "/b", "b")));
    assert!(said.starts_with("9: mirror[2].name:") && said.contains("line 5"), "{said}");
}

#[test]
fn the_state_lies_apart_from_the_mirrored_folders() {
    let with = |state: &str, local: &str| {
        let text = format!("state_dir = '{state}'\n{HEAD}{}", mirror("a", local, "a"));
        problems(&text).join("\n")
    };
    let said = with("/srv/a/state", "/srv/a");
    assert!(said.starts_with("c.toml:1: state_dir: /srv/a/state lies inside /srv/a"), "{said}");
    assert!(with("/srv/a", "/srv/a").contains("lies inside"));
    assert!(with("/srv", "/srv/a").contains("contains"));
    // The default can lie inside as well; then the line of the mirror is named.
    let said = problem(&mirror("a", "/home/ada", "a"));
    assert!(said.starts_with("6: state_dir: /home/ada/.local/state/smh-mirror"), "{said}");
}

#[test]
fn times_have_bounds() {
    let with = |line: &str| problem(&format!("{}{line}\n", mirror("a", "/a", "a")));
    assert!(with("settle = '10m'").contains("settle_max, which is 5m"));
    assert!(with("settle_max = '1s'").contains("longer than settle_max"));
    assert!(with("rescan = '9s'").contains("at least \"10s\""));
    assert!(with("poll_interval = '999ms'").contains("at least \"1s\""));
    assert!(with("settle = '2 sec'").starts_with("8: mirror.a.settle: "));
}

#[test]
fn metrics_are_served_to_this_machine_only() {
    let text =
        |listen: &str| format!("{}\n[metrics]\nlisten = '{listen}'\n", mirror("a", "/a", "a"));
    for listen in ["127.0.0.1:9464", "127.8.0.1:0", "[::1]:9464"] {
        let config = good(&text(listen));
        assert_eq!(config.metrics.listen.map(|listen| listen.to_string()).as_deref(), Some(listen));
    }
    for listen in ["0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464"] {
        let said = problem(&text(listen));
        assert!(said.contains("metrics.listen") && said.contains("reached from other"), "{said}");
    }
    for listen in ["9464", "localhost:9464", "127.0.0.1"] {
        assert!(problem(&text(listen)).contains("not an address with a port"), "{listen}");
    }
}

#[test]
fn arguments_of_hooks_are_not_shown() {
    let with = |keys: &str| format!("{HEAD}{}[hooks]\n{keys}\n", mirror("a", "/a", "a"));
    let config = load_with(&with("on_trouble = ['/bin/tell', 'hunter2']"), &env()).unwrap();
    assert!(config.hooks.are_set());
    let shown = format!("{config:?}{}{}", config.to_toml(), config.to_json());
    assert!(shown.contains("/bin/tell") && !shown.contains("hunter2"), "{shown}");
    let said = |keys: &str| several(&load_with(&with(keys), &env()).unwrap_err());
    assert!(said("on_trouble = []").contains("hooks.on_trouble: names no program"));
    assert!(said("min_interval = '1s'").contains("hooks.min_interval: \"1s\" is too short"));
}

#[test]
fn a_limit_of_the_bandwidth_has_its_words() {
    let with =
        |text: &str| format!("{}[transfer]\nbandwidth_limit = '{text}'\n", mirror("a", "/a", "a"));
    let said = problem(&with("08:00 fast, 19:00 off"));
    assert!(
        said.starts_with("9: transfer.bandwidth_limit: \"fast\" is not a size; write"),
        "{said}"
    );
    let said = problem(&with("19:00"));
    assert!(said.contains("\"19:00\" is not a time of day and a limit; write"), "{said}");
}

#[test]
fn there_is_exactly_one_source_of_the_right_to_enter() {
    let with = |keys: &str, env: &Environment| {
        load_with(&format!("{HEAD}[remote.auth]\n{keys}\n{}", mirror("a", "/a", "a")), env)
    };
    let said = |keys: &str, env: &Environment| several(&with(keys, env).expect_err(keys));
    let none = Environment { library_secret: None, ..env() };
    let both = Environment { access_token: Some(SecretString::from("t")), ..env() };

    assert!(said("", &none).contains("c.toml:4: remote.auth: there is no secret; set library_"));
    assert!(said("", &both).contains("SMH_MIRROR_LIBRARY_SECRET and SMH_MIRROR_ACCESS_TOKEN"));
    let two = "library_secret_file = '/x'\naccess_token_command = ['y']";
    let two = said(two, &none);
    assert!(
        two.contains("c.toml:6: remote.auth.access_token_command: there is library_secret_file")
    );
    // What the file names wins over the surroundings.
    let config = with("access_token_command = ['vault', 'hunter2']", &both).unwrap();
    assert!(matches!(config.remote.auth, Auth::AccessToken(SecretSource::Command(_))));
    assert!(!format!("{config:?}{}{}", config.to_toml(), config.to_json()).contains("hunter2"));
}

#[test]
fn systemd_credentials_are_found_and_not_judged_by_their_mode() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("library-secret");
    std::fs::write(&path, "hunter2\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    let mut env = Environment {
        library_secret: None,
        credentials_directory: Some(dir.path().into()),
        ..env()
    };
    let named = format!("[remote.auth]\nlibrary_secret_file = '{}'\n", path.display());
    for auth in ["", named.as_str()] {
        let text = format!("{HEAD}{auth}{}", mirror("a", "/a", "a"));
        let config = load_with(&text, &env).unwrap();
        assert!(matches!(config.remote.auth, Auth::LibrarySecret(SecretSource::Credential(_))));
    }
    env.credentials_directory = None;
    let text = format!("{HEAD}{named}{}", mirror("a", "/a", "a"));
    let said = several(&load_with(&text, &env).unwrap_err());
    assert!(said.contains("c.toml:5: remote.auth.library_secret_file: "), "{said}");
    assert!(said.contains("mode 0440") && !said.contains("hunter2"), "{said}");
}

#[test]
fn without_need_of_a_secret_none_is_read() {
    let env = Environment { library_secret: None, ..env() };
    for auth in ["", "[remote.auth]\naccess_token_file = '/nonexistent'\n"] {
        let text = format!("{HEAD}{auth}{}", mirror("a", "/a", "a"));
        assert!(load_with(&text, &env).is_err());
        let report = Report::new(Path::new("c.toml"));
        assert!(from_text(&text, report, &env, Secrets::NotNeeded).is_ok());
    }
}

#[test]
fn nothing_shown_holds_the_password_of_a_proxy() {
    let config =
        good(&format!("proxy = 'http://ada:swordfish@proxy:3128'\n{}", mirror("a", "/a", "a")));
    let shown = format!("{config:?}{}{}", config.to_toml(), config.to_json());
    assert!(shown.contains("proxy:3128") && !shown.contains("swordfish"), "{shown}");
}

#[test]
fn another_way_of_writing_names_is_another_target() {
    let target = |line: &str| {
        let config = good(&format!("{}{line}\n", mirror("a", "/a", "backup/a")));
        config.target(&config.mirrors[0])
    };
    // Journals of older versions hold this text.
    assert_eq!(target(""), "smh1/-/backup/a");
    assert_eq!(target("names = 'skip'"), target(""));
    assert_ne!(target("names = 'escape'"), target(""));
}
