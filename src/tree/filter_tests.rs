//! The rules mean what they mean to git: random rules in random trees, and git is asked.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fastrand::Rng;

use super::filter::IGNORE_FILE;
use super::list::{Lister, Selection};
use super::{Kind, Skip};
use crate::relpath::RelPath;

const NAMES: &[&str] = &[
    "a", "b", "foo", "bar", "foobar", "a.log", "b.log", "x.txt", "foo.txt", "d e", "#c", "!n",
    "Foo", "[x]", "a-b", "tr ", "ü", ".hid", "a1", "a2",
];

const PATTERNS: &[&str] = &[
    "a",
    "b",
    "foo",
    "*.log",
    "!a.log",
    "/foo",
    "foo/",
    "/bar/",
    "!foo",
    "foo/*",
    "!foo/a",
    "**/a",
    "foo/**",
    "a/**/b",
    "**/foo/bar",
    "*",
    "!*/",
    "!*.txt",
    "?",
    "a?",
    "a[0-9]",
    "a[!1]",
    "[ab]",
    "\\#c",
    "#c",
    "\\!n",
    "!\\!n",
    "d e",
    "d\\ e",
    "foo*",
    "*bar",
    "fo?*",
    "/*",
    "!/foo",
    "!/foo/",
    "foo/bar",
    "/foo/bar/",
    "**",
    "**/",
    "*/a",
    "a/b",
    "x.txt  ",
    "",
    "  ",
    "/",
    ".*",
    "!.hid",
    "ü",
    "\\[x\\]",
    "[[]x]",
    "a-b",
    "[a-c]",
    "foo//bar",
    "./a",
    "!b",
    "b/",
    "!b/",
    "*/",
    "!*",
    "tr\\ ",
    "F*",
    "[[:digit:]]*",
    "a[[:digit:]]",
    "[![:punct:]]",
    "?[[:alpha:]]",
    "[[:upper:][:punct:]]*",
];

fn tree(rng: &mut Rng, dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let mut names: Vec<&str> = NAMES.to_vec();
    rng.shuffle(&mut names);
    for name in names.into_iter().take(rng.usize(2..6)) {
        let path = dir.join(name);
        found.push(path.clone());
        if depth > 0 && rng.u8(..) < 130 {
            fs::create_dir(&path).unwrap();
            tree(rng, &path, depth - 1, found);
        } else {
            fs::write(&path, "").unwrap();
        }
    }
    if depth == 3 || rng.u8(..) < 60 {
        let lines: Vec<&str> =
            (0..rng.usize(1..6)).map(|_| PATTERNS[rng.usize(..PATTERNS.len())]).collect();
        let end = if rng.bool() { "\r\n" } else { "\n" };
        let text = lines.join(end) + end;
        fs::write(dir.join(".gitignore"), &text).unwrap();
        fs::write(dir.join(IGNORE_FILE), &text).unwrap();
    }
}

fn git(root: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(root).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    git.stderr(Stdio::null());
    git
}

/// Which of the paths git ignores.
fn ignored_by_git(root: &Path, paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut child = git(root)
        .args(["check-ignore", "--no-index", "--stdin", "-z"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for path in paths {
        // As git itself would meet it: a name that begins with a colon would be magic, and none does.
        stdin.write_all(path.to_str().unwrap().as_bytes()).unwrap();
        stdin.write_all(b"\0").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn rules_mean_what_they_mean_to_git() {
    let probe = tempfile::tempdir().unwrap();
    if !git(probe.path()).args(["init", "-q"]).status().is_ok_and(|status| status.success()) {
        println!("left out: there is no git to compare with");
        return;
    }
    let seed = std::env::var("SMH_RULES_SEED").ok().and_then(|text| text.parse().ok());
    let rounds = std::env::var("SMH_RULES").map_or(200, |text| text.parse().unwrap());
    let mut wrong = Vec::new();
    for seed in seed.map_or(0..rounds, |seed| seed..seed + 1) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        git(root).args(["init", "-q"]).status().unwrap();
        let mut found = Vec::new();
        tree(&mut Rng::with_seed(seed), root, 3, &mut found);
        let paths: Vec<PathBuf> =
            found.iter().map(|path| path.strip_prefix(root).unwrap().to_path_buf()).collect();
        let theirs = ignored_by_git(root, &paths);
        let lister = Lister::new(root.to_path_buf(), Selection::default());
        for path in &paths {
            let explained = lister.explain(&RelPath::from_path(path).unwrap());
            let ours = explained.kind == Ok(Kind::Skipped(Skip::Excluded));
            if ours != theirs.contains(path) {
                wrong.push(format!(
                    "seed {seed}: {} left out: {ours}; {:?}",
                    path.display(),
                    explained.rule
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(60)].join("\n")
    );
}
