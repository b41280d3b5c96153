//! What is wrong with a configuration, as values (pure).

use std::fmt;
use std::path::{Path, PathBuf};

/// What kind of help a problem needs; the exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The configuration has to change.
    Config,
    /// A root is not there, or its disk fails. That may pass, when its filesystem is mounted.
    Absent,
    /// The system denies something that the configuration rightly asks for.
    Permission,
}

/// One thing that is wrong: where it is written, what it is, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The configuration file.
    pub file: PathBuf,
    /// Its line; `None` for what is not written there.
    pub line: Option<usize>,
    /// The key with its sections, as in `mirror.docs.settle`.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub next: String,
    /// What kind of help it needs.
    pub kind: ProblemKind,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}; {}", self.what, self.next)
    }
}

/// The kind that several problems share; without one, the file has to change.
#[must_use]
pub fn kind_of(problems: &[Problem]) -> ProblemKind {
    let all = |kind| problems.iter().all(|problem| problem.kind == kind);
    [ProblemKind::Permission, ProblemKind::Absent]
        .into_iter()
        .find(|kind| all(*kind))
        .unwrap_or(ProblemKind::Config)
}

/// There is no configuration to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file in any of the usual places.
    #[error("no configuration file: looked at {}; write one with `smh-mirror config init`, or name one with -c", list(.looked_at))]
    NotFound {
        /// The places, in their order.
        looked_at: Vec<PathBuf>,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}; {}", .file.display(), unreadable_next(.source))]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file was read, and this is wrong with it.
    #[error("{}", several(.0))]
    Invalid(Vec<Problem>),
}

impl ConfigError {
    /// What kind of help it needs.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        match self {
            ConfigError::NotFound { .. } => ProblemKind::Config,
            ConfigError::Unreadable { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                ProblemKind::Permission
            }
            ConfigError::Unreadable { .. } => ProblemKind::Config,
            ConfigError::Invalid(problems) => kind_of(problems),
        }
    }

    /// The problems, when the file could be read.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            ConfigError::Invalid(problems) => problems,
            ConfigError::NotFound { .. } | ConfigError::Unreadable { .. } => &[],
        }
    }
}

fn list(places: &[PathBuf]) -> String {
    places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(" and ")
}

fn unreadable_next(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "check the path, or write one with `smh-mirror config init`"
        }
        std::io::ErrorKind::PermissionDenied => {
            "run as the user of the service, or let this user read it"
        }
        _ => "check the path",
    }
}

/// Problems as lines, one each.
#[must_use]
pub fn several(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    match lines.as_slice() {
        [one] => one.clone(),
        _ => format!("the configuration has {} problems\n{}", lines.len(), lines.join("\n")),
    }
}

/// What a single value has wrong with it, before it is known where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) next: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, next: impl Into<String>) -> Wrong {
        Wrong { what: what.into(), next: next.into() }
    }
}

/// Collects the problems of one file.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) file: PathBuf,
    pub(super) problems: Vec<Problem>,
}

impl Report {
    pub(super) fn new(file: &Path) -> Report {
        Report { file: file.to_path_buf(), problems: Vec::new() }
    }

    pub(super) fn add(&mut self, line: Option<usize>, key: impl Into<String>, wrong: Wrong) {
        self.add_kind(ProblemKind::Config, line, key, wrong);
    }

    pub(super) fn add_kind(
        &mut self,
        kind: ProblemKind,
        line: Option<usize>,
        key: impl Into<String>,
        wrong: Wrong,
    ) {
        self.problems.push(Problem {
            file: self.file.clone(),
            line,
            key: key.into(),
            what: wrong.what,
            next: wrong.next,
            kind,
        });
    }
}
