//! The rule that decides about an entry, with the file and the line it stands in.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::known::Place;
use super::status_view::text;
use crate::config::Config;
use crate::relpath::RelPath;
use crate::tree::{IGNORE_FILE, Rule};

/// A rule that matches an entry, or something above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RuleAt {
    /// As it is written.
    pub(super) text: String,
    /// Where.
    pub(super) source: Source,
    /// The entry that it matches.
    at: RelPath,
    /// It leaves the entry out; else it brings it back.
    pub(super) leaves_out: bool,
    /// The entry is not the one that was asked for, but above it.
    above: bool,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Config { file: PathBuf, line: Option<usize> },
    IgnoreFile { file: PathBuf, line: Option<usize> },
    BuiltIn,
}

impl RuleAt {
    /// The rule that decides about a place, if there is one.
    pub(super) fn of(config: &Config, place: &Place<'_>) -> Option<RuleAt> {
        let (rule, leaves_out) = place.explained.rule.clone()?;
        let (text, source) = match rule {
            Rule::BuiltIn { text } => (text, Source::BuiltIn),
            Rule::File { dir, line, text } => {
                let file = dir.join(IGNORE_FILE.as_bytes()).below(&place.mirror.local);
                (text, Source::IgnoreFile { file, line })
            }
            Rule::Config { index, text } => {
                let key = format!("mirror.{}.exclude[{index}]", place.mirror.name);
                let line = config.lines.of(&key);
                (text, Source::Config { file: config.file.clone(), line })
            }
        };
        let at = place.explained.at.clone();
        let above = at != place.path;
        Some(RuleAt { text, source, at, leaves_out, above })
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let what =
            if self.above { format!("{}, with all in it,", self.at) } else { "it".to_owned() };
        let does = if self.leaves_out {
            format!("leaves {what} out")
        } else {
            format!("brings {what} back")
        };
        match &self.source {
            Source::BuiltIn => {
                format!("`{}` of the built-in list of temporary names {does}", self.text)
            }
            Source::Config { file, line } | Source::IgnoreFile { file, line } => {
                let line = line.map(|line| format!(":{line}")).unwrap_or_default();
                format!("`{}` in {}{line} {does}", self.text, file.display())
            }
        }
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let (source, file, line) = match &self.source {
            Source::BuiltIn => ("built-in", None, None),
            Source::Config { file, line } => ("config", Some(file), *line),
            Source::IgnoreFile { file, line } => ("ignore-file", Some(file), *line),
        };
        json!({
            "text": self.text,
            "source": source,
            "file": file.map(|file| file.display().to_string()),
            "line": line,
            "path": text(&self.at),
            "leaves_out": self.leaves_out,
        })
    }
}
