//! What packages are made of: manual pages and completions are those of the program, and nothing is left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bed::binary;

/// How the committed files are written anew.
const UPDATE: &str = "SMH_UPDATE=1 cargo test --test it packaging::generated";

fn packaging(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(below)
}

/// Every file below `dir`, by its path there.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

fn said(arguments: &[&str]) -> Vec<u8> {
    let output = binary().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

/// The committed files are what the program writes; with `SMH_UPDATE` they are made so.
fn compare(dir: &Path, written: &BTreeMap<String, Vec<u8>>) {
    if std::env::var_os("SMH_UPDATE").is_some() {
        // A page of a command that is no more goes too.
        if dir.exists() {
            fs::remove_dir_all(dir).unwrap();
        }
        fs::create_dir_all(dir).unwrap();
        for (name, bytes) in written {
            fs::write(dir.join(name), bytes).unwrap();
        }
    }
    let committed = files(dir);
    let differ: Vec<&String> = written
        .keys()
        .chain(committed.keys().filter(|name| !written.contains_key(*name)))
        .filter(|name| written.get(*name) != committed.get(*name))
        .collect();
    assert!(
        differ.is_empty(),
        "{}: not what the program writes now: {differ:?}\nwrite them anew with: {UPDATE}",
        dir.display()
    );
}

#[test]
fn generated_manual_pages_are_committed() {
    let dir = tempfile::tempdir().unwrap();
    said(&["man", "--out", dir.path().to_str().unwrap()]);
    let written = files(dir.path());
    assert!(written.contains_key("smh-mirror.1") && written.contains_key("smh-mirror.toml.5"));
    assert_eq!(said(&["man", "smh-mirror.toml.5"]), written["smh-mirror.toml.5"]);
    assert_eq!(said(&["man"]), written["smh-mirror.1"]);
    compare(&packaging("man"), &written);
}

#[test]
fn generated_completions_are_committed() {
    let scripts =
        [("bash", "smh-mirror.bash"), ("zsh", "_smh-mirror"), ("fish", "smh-mirror.fish")];
    let written = scripts.map(|(shell, name)| (name.to_owned(), said(&["completions", shell])));
    compare(&packaging("completions"), &BTreeMap::from(written));
}

/// What bash offers for the last of `words`.
fn offered(words: &[&str]) -> Vec<String> {
    let script = r#"source "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "$(complete -p smh-mirror | sed 's/.* -F \([^ ]*\) .*/\1/')" "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash"]).arg(packaging("completions/smh-mirror.bash")).args(words);
    let output = bash.output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    words.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_what_stands_behind_them() {
    for (words, expected) in [
        (&["smh-mirror", "st"][..], &["status"][..]),
        (&["smh-mirror", "status", "--sk"], &["--skipped"]),
        (&["smh-mirror", "-c", "x.toml", "verify", "--re"], &["--repair"]),
        (&["smh-mirror", "pause", "--fo"], &["--for"]),
        (&["smh-mirror", "config", "sh"], &["show"]),
        (&["smh-mirror", "config", "init", "--fo"], &["--force"]),
        (&["smh-mirror", "completions", "ba"], &["bash"]),
        (&["smh-mirror", "help", "config", "ch"], &["check"]),
    ] {
        assert_eq!(offered(words), expected, "{words:?}");
    }
}

#[test]
fn packages_hold_everything_that_is_installed() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(packaging("stage"))
        .arg(env!("CARGO_BIN_EXE_smh-mirror"))
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let staged = files(dir.path());

    let mut expected: Vec<String> = [
        "etc/smh-mirror/config.toml",
        "usr/bin/smh-mirror",
        "usr/lib/sysusers.d/smh-mirror.conf",
        "usr/share/bash-completion/completions/smh-mirror",
        "usr/share/doc/smh-mirror/CHANGELOG.md",
        "usr/share/doc/smh-mirror/LICENSE",
        "usr/share/doc/smh-mirror/README.md",
        "usr/share/fish/vendor_completions.d/smh-mirror.fish",
        "usr/share/zsh/site-functions/_smh-mirror",
    ]
    .map(str::to_owned)
    .to_vec();
    for name in files(&packaging("man")).keys() {
        let section = name.rsplit('.').next().unwrap();
        expected.push(format!("usr/share/man/man{section}/{name}.gz"));
    }
    let units = files(&packaging("../systemd"));
    assert!(units.contains_key("smh-mirror.service"));
    for name in units.keys() {
        let place = if name.starts_with("user/") { "" } else { "system/" };
        expected.push(format!("usr/lib/systemd/{place}{name}"));
    }
    expected.sort();
    assert_eq!(staged.keys().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());

    // The sample says where the service of the machine keeps its state.
    let sample = String::from_utf8(staged["etc/smh-mirror/config.toml"].clone()).unwrap();
    assert!(sample.lines().any(|line| line == "state_dir = \"/var/lib/smh-mirror\""), "{sample}");
}
