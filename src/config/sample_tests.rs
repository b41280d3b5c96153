//! The sample says the truth about every key and default.

use super::super::document::KEYS;
use super::super::draft::Secrets;
use super::super::error::Report;
use super::super::load::from_text;
use super::super::{Config, Environment};
use super::*;

fn load(text: &str) -> Config {
    let env = Environment { home: Some("/home/ada".into()), ..Environment::default() };
    from_text(text, Report::new(Path::new("config.toml")), &env, Secrets::NotNeeded).unwrap()
}

/// Removes the `#` of keys, but not that of prose.
fn uncommented(prefix: &str) -> String {
    SAMPLE
        .lines()
        .map(|line| match line.strip_prefix(prefix) {
            Some(rest) if is_key(rest) => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_key(text: &str) -> bool {
    let name = text.split(" = ").next().unwrap_or_default();
    text.contains(" = ") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[test]
fn the_defaults_in_the_sample_are_those_of_the_code() {
    let written = uncommented("#");
    assert_ne!(written, SAMPLE);
    assert_eq!(load(&written).to_json(), load(SAMPLE).to_json());
}

#[test]
fn the_sample_knows_every_key() {
    for (section, keys) in KEYS {
        for key in keys {
            let inside = |line: &&str| {
                let line = line.trim_start_matches("# ").trim_start_matches('#');
                line.starts_with(&format!("{key} = "))
                    || line == format!("[{key}]")
                    || line == format!("[[{key}]]")
                    || line == format!("[{section}.{key}]")
            };
            assert!(SAMPLE.lines().any(|line| inside(&line)), "{section}.{key} is missing");
        }
    }
}

#[test]
fn the_sample_of_the_machine_says_where_the_state_is() {
    assert_eq!(sample_for(Path::new("/home/ada/config.toml")), SAMPLE);
    let config = load(&sample_for(Path::new(super::super::SYSTEM_CONFIG)));
    assert_eq!(config.state_dir, Path::new("/var/lib/smh-mirror"));
}

#[test]
fn what_is_shown_reads_back_to_the_same() {
    let config = load(SAMPLE);
    let again = load(&config.to_toml());
    assert_eq!(again.to_json(), config.to_json());
}
