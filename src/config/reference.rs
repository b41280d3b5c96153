//! The keys of the configuration with what they mean (pure), read from the commented sample: the manual page has
//! the same source as `config init` and cannot say something else.

use super::SAMPLE;

/// One section of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chapter {
    /// As it is written in the file, like `[[mirror]]`; empty for the keys before the first section.
    pub heading: String,
    /// What the section is for; may be empty.
    pub about: String,
    /// Its keys in the order of the sample.
    pub topics: Vec<Topic>,
}

/// Keys that are explained together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topic {
    /// At least one.
    pub keys: Vec<Key>,
    /// What they mean, with units where they have any.
    pub about: String,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// As it is written in the file.
    pub name: String,
    /// The default, or an example, in TOML.
    pub value: String,
    /// What the value is.
    pub standing: Standing,
}

/// What the value that stands beside a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An example: the key has no default and has to be there.
    Required,
    /// What counts when the key is not there.
    Default,
    /// An example: nothing is set when the key is not there.
    Optional,
}

/// Every section with its keys.
#[must_use]
pub fn reference() -> Vec<Chapter> {
    let mut chapters = vec![Chapter::default()];
    let mut prose: Vec<&str> = Vec::new();
    // The first paragraphs, up to an empty line, are about the sample itself.
    let lines = SAMPLE.lines().skip_while(|line| !line.is_empty());
    for line in lines {
        let chapter = chapters.last_mut();
        if line.starts_with('[') {
            chapters.push(Chapter {
                heading: line.to_owned(),
                about: std::mem::take(&mut prose).join(" "),
                topics: Vec::new(),
            });
        } else if let (Some(key), Some(chapter)) = (key(line), chapter) {
            let key = Key { standing: standing(line, &chapter.heading), ..key };
            match chapter.topics.last_mut() {
                Some(topic) if prose.is_empty() => topic.keys.push(key),
                _ => {
                    let about = std::mem::take(&mut prose).join(" ");
                    chapter.topics.push(Topic { keys: vec![key], about });
                }
            }
        } else if let Some(words) = line.strip_prefix("# ") {
            prose.push(words);
        }
    }
    chapters
}

/// What has to be written at least: the sample without its remarks and defaults.
#[must_use]
pub fn smallest() -> String {
    let mut text = String::new();
    for line in SAMPLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if line.starts_with('[') && !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
        text.push('\n');
    }
    // Sections without a required key say nothing.
    let said = |section: &&str| section.contains(" = ");
    text.split("\n\n").map(str::trim_end).filter(said).collect::<Vec<_>>().join("\n\n")
}

/// The key of a line, behind `#` or not; `None` for prose.
fn key(line: &str) -> Option<Key> {
    let line = line.trim_start_matches('#').trim_start();
    let (name, value) = line.split_once(" = ")?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (is_name && !name.is_empty()).then(|| Key {
        name: name.to_owned(),
        value: value.to_owned(),
        standing: Standing::Optional,
    })
}

fn standing(line: &str, heading: &str) -> Standing {
    match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(' ') => Standing::Optional,
        Some(_) => Standing::Default,
        // One source out of several; the text of the section says so.
        None if heading == "[remote.auth]" => Standing::Optional,
        None => Standing::Required,
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::KEYS;
    use super::super::draft::Secrets;
    use super::super::error::Report;
    use super::super::load::from_text;
    use super::super::{Config, Environment};
    use super::*;
    use std::path::Path;

    fn loads(text: &str) -> Option<Config> {
        let env = Environment { home: Some("/home/ada".into()), ..Environment::default() };
        from_text(text, Report::new(Path::new("config.toml")), &env, Secrets::NotNeeded).ok()
    }

    fn named(chapter: &Chapter) -> (String, Vec<String>) {
        let section = chapter.heading.trim_matches(['[', ']']).to_owned();
        let keys = chapter.topics.iter().flat_map(|topic| &topic.keys);
        (section, keys.map(|key| key.name.clone()).collect())
    }

    #[test]
    fn every_key_that_is_known_is_explained_and_no_other() {
        let mut known: Vec<(String, Vec<String>)> = KEYS
            .iter()
            .map(|(section, keys)| {
                // A section inside another is a key of that one, and has a heading instead of a line.
                let path = |key: &str| {
                    if section.is_empty() { key.into() } else { format!("{section}.{key}") }
                };
                let is_key = |key: &&&str| KEYS.iter().all(|(other, _)| *other != path(key));
                (
                    (*section).to_owned(),
                    keys.iter().filter(is_key).map(|key| (*key).to_owned()).collect(),
                )
            })
            .collect();
        let mut explained: Vec<_> = reference().iter().map(named).collect();
        for (_, keys) in known.iter_mut().chain(&mut explained) {
            keys.sort();
        }
        known.sort();
        explained.sort();
        assert_eq!(explained, known);
    }

    #[test]
    fn every_key_has_a_meaning() {
        for chapter in reference() {
            for topic in chapter.topics {
                assert!(topic.about.ends_with(['.', ')']), "{:?}: {:?}", topic.keys, topic.about);
            }
        }
    }

    #[test]
    fn what_is_called_required_is_what_loading_asks_for() {
        assert!(loads(&smallest()).is_some(), "{}", smallest());
        for chapter in reference() {
            for key in chapter.topics.iter().flat_map(|topic| &topic.keys) {
                let line = format!("{} = {}", key.name, key.value);
                let without: Vec<&str> = SAMPLE.lines().filter(|other| *other != line).collect();
                let is_asked_for = loads(&without.join("\n")).is_none();
                assert_eq!(is_asked_for, key.standing == Standing::Required, "{line}");
            }
        }
    }
}
