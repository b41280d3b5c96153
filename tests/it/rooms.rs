//! The rules of the house: a room knows only rooms on lower floors, and the emulator none.

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
