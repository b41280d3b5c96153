//! One thing that was looked at, and what came of it (pure).

use serde_json::{Value, json};

use super::super::Exit;
use crate::config::Problem;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// It works, and could work better; or it could not be looked at.
    Warning,
    /// Somebody has to do something.
    Problem,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Problem => "problem",
        }
    }
}

/// What came of looking at one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// What was looked at; stable, for scripts.
    pub(super) name: String,
    pub(super) status: Status,
    /// What was found.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
    /// The exit code that fits, if it is the worst there is.
    pub(super) exit: Exit,
}

impl Check {
    pub(super) fn ok(name: impl Into<String>, message: impl Into<String>) -> Check {
        Check {
            name: name.into(),
            status: Status::Ok,
            message: message.into(),
            hint: None,
            exit: Exit::Done,
        }
    }

    pub(super) fn warning(
        name: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Check {
        Check { status: Status::Warning, hint: Some(hint.into()), ..Check::ok(name, message) }
    }

    pub(super) fn problem(
        name: impl Into<String>,
        exit: Exit,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Check {
        Check { status: Status::Problem, exit, ..Check::warning(name, message, hint) }
    }

    /// It could not be looked at, because of something that is said elsewhere, with what to do.
    pub(super) fn unknown(name: impl Into<String>, why: &str) -> Check {
        Check { status: Status::Warning, ..Check::ok(name, format!("not checked: {why}")) }
    }

    /// What the configuration room says, as a check of this name.
    pub(super) fn of(name: impl Into<String>, problem: &Problem) -> Check {
        let place = match problem.line {
            Some(line) => format!("{}:{line}: ", problem.file.display()),
            None => format!("{}: ", problem.file.display()),
        };
        let message = format!("{place}{}: {}", problem.key, problem.what);
        Check::problem(name, problem.kind.into(), message, &*problem.next)
    }

    /// As a line for people, and a second one with what to do.
    pub(super) fn to_text(&self) -> String {
        let Check { name, message, .. } = self;
        let mut text = format!("{:<8} {name:<20} {message}", self.status.as_str());
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n{:<29} -> {hint}", ""));
        }
        text
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "status": self.status.as_str(),
            "message": self.message,
            "hint": self.hint,
        })
    }
}

/// The codes of problems, the one that counts most first: a wrong configuration explains the others.
const WORST_FIRST: [Exit; 4] = [Exit::Config, Exit::Refused, Exit::Unreachable, Exit::Permission];

/// The code of the worst problem; warnings have none.
pub(super) fn exit(checks: &[Check]) -> Exit {
    let problems = || checks.iter().filter(|check| check.status == Status::Problem);
    WORST_FIRST
        .into_iter()
        .find(|exit| problems().any(|check| check.exit == *exit))
        .or_else(|| problems().next().map(|_| Exit::Unexpected))
        .unwrap_or(Exit::Done)
}

/// How many of each, for people.
pub(super) fn sum(checks: &[Check]) -> String {
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let words = |count: usize, one: &str| match count {
        0 => format!("no {one}s"),
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    };
    let (problems, warnings) = (count(Status::Problem), count(Status::Warning));
    format!("{}, {}", words(problems, "problem"), words(warnings, "warning"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_problem_decides_and_warnings_do_not() {
        let problem = |exit| Check::problem("a", exit, "m", "h");
        let ok = Check::ok("a", "m");
        let warning = Check::warning("a", "m", "h");
        for (checks, code) in [
            (vec![], Exit::Done),
            (vec![ok.clone(), warning.clone()], Exit::Done),
            (vec![ok, problem(Exit::Unexpected), warning], Exit::Unexpected),
            (vec![problem(Exit::Unexpected), problem(Exit::Permission)], Exit::Permission),
            (vec![problem(Exit::Permission), problem(Exit::Unreachable)], Exit::Unreachable),
            (vec![problem(Exit::Unreachable), problem(Exit::Refused)], Exit::Refused),
            (vec![problem(Exit::Refused), problem(Exit::Config)], Exit::Config),
        ] {
            assert_eq!(exit(&checks), code, "{checks:?}");
        }
    }

    #[test]
    fn counts_in_words() {
        assert_eq!(sum(&[]), "no problems, no warnings");
        let two = vec![Check::warning("a", "m", "h"); 2];
        assert_eq!(sum(&two), "no problems, 2 warnings");
        assert_eq!(sum(&[Check::problem("a", Exit::Config, "m", "h")]), "1 problem, no warnings");
    }

    #[test]
    fn the_hint_stands_below_the_message() {
        let text = Check::warning("clock", "it is late", "set it").to_text();
        assert_eq!(
            text,
            "warning  clock                it is late\n                              -> set it"
        );
    }
}
