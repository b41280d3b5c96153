//! The rules of the house: a room knows only rooms on lower floors, and the emulator none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Floors, top to bottom. Rooms of one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["cli"],
    &["service"],
    &["mirror"],
    &["tree", "smh", "journal"],
    &["digest", "config"],
    // The ground: plain values that every room may use.
    &["failure", "clock", "fingerprint", "relpath", "wording"],
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

/// The rooms that a source names with `crate::`.
fn named(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| {
            line.match_indices("crate::").map(move |(at, found)| &line[at + found.len()..])
        })
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
        .collect()
}

#[test]
fn no_room_reaches_upwards_and_the_emulator_shares_nothing() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 50, "the sources were found");
    let mut wrong = Vec::new();
    for file in files {
        let below = file.strip_prefix(&src).unwrap();
        let first = below.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs").to_owned();
        if room == "main" || room == "lib" {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for target in named(&text) {
            let allowed = match (room.as_str(), target.as_str()) {
                (a, b) if a == b => true,
                // Only what a person starts knows the emulator.
                ("cli", "emulator") => true,
                ("emulator", _) | (_, "emulator") => false,
                (a, b) => match (floor(a), floor(b)) {
                    (Some(upper), Some(lower)) => {
                        upper < lower || upper == lower && upper == FLOORS.len() - 1
                    }
                    _ => false,
                },
            };
            if !allowed {
                wrong.push(format!("{} uses crate::{target}", below.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

type Module = Vec<String>;

/// The module that a file is.
fn module(below: &Path) -> Module {
    let mut names: Module =
        below.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
    names.pop_if(|last| last == "mod");
    names
}

/// What a source names with `super::` and `crate::`, as paths from the root of the crate. What is tested beside the code
/// may know anything.
fn paths(of: &Module, text: &str) -> Vec<Module> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line.trim(), " "])
        .collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices("super::").chain(code.match_indices("crate::")) {
        let (before, rest) = code.split_at(at);
        // In the middle of a path that was looked at from its beginning.
        if before.ends_with("::") || before.ends_with(is_name) {
            continue;
        }
        let mut base = if rest.starts_with("crate") { Vec::new() } else { of.clone() };
        let mut rest = rest.strip_prefix("crate::").unwrap_or(rest);
        while let Some(after) = rest.strip_prefix("super::") {
            base.pop();
            rest = after;
        }
        loop {
            let name: String = rest.chars().take_while(|c| is_name(*c)).collect();
            if name.is_empty() {
                break;
            }
            rest = &rest[name.len()..];
            base.push(name);
            let Some(after) = rest.strip_prefix("::") else { break };
            rest = after;
        }
        // The names in braces, without what is in braces of their own.
        let inner = rest.strip_prefix('{').map_or("", |inner| inner.split('}').next().unwrap());
        for name in inner.split(',').map(str::trim) {
            let name: String = name.chars().take_while(|c| is_name(*c)).collect();
            found.push(base.iter().cloned().chain([name]).collect());
        }
        found.push(base);
    }
    found
}

/// A way from `at` back to itself.
fn circle<'a>(
    knows: &'a BTreeMap<Module, BTreeSet<Module>>,
    at: &'a Module,
    way: &mut Vec<&'a Module>,
    done: &mut BTreeSet<&'a Module>,
) -> Option<Vec<String>> {
    if let Some(from) = way.iter().position(|step| *step == at) {
        return Some(way[from..].iter().map(|step| step.join("::")).collect());
    }
    if !done.insert(at) {
        return None;
    }
    way.push(at);
    let found = knows.get(at).into_iter().flatten().find_map(|next| circle(knows, next, way, done));
    way.pop();
    found
}

#[test]
fn no_modules_of_one_folder_know_each_other_in_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let sources: BTreeMap<Module, String> = files
        .iter()
        .map(|file| (module(file.strip_prefix(&src).unwrap()), fs::read_to_string(file).unwrap()))
        .collect();
    let mut knows: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    let mut arrows = 0;
    for (of, text) in &sources {
        for path in paths(of, text) {
            // The two modules side by side where the ways to both part.
            let part = of.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (of.get(..=part), path.get(..=part)) else { continue };
            if sources.contains_key(to) {
                knows.entry(from.to_vec()).or_default().insert(to.to_vec());
                arrows += 1;
            }
        }
    }
    assert!(arrows > 300, "the names were read: {arrows}");
    let mut done = BTreeSet::new();
    let circles: Vec<_> =
        knows.keys().filter_map(|at| circle(&knows, at, &mut Vec::new(), &mut done)).collect();
    assert_eq!(circles, Vec::<Vec<String>>::new());
}
