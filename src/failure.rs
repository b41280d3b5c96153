//! The one enum that decides what a failure means for the work (pure).
//!
//! A failure is classified where it is first understood: the service's answers in `smh`, local
//! errors in `tree`. Everything above asks for the class and never looks at texts or codes again.

use std::fmt;
use std::str::FromStr;

/// What a failure means: whether to try again, when, and who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Goes away by itself: connection reset, time-out, 5xx, a conflict with another operation.
    Transient,
    /// The service asks for less: the whole daemon slows down, the entry is not to blame.
    Throttled,
    /// The service cannot be reached at all: one state of the daemon, not of its files.
    Offline,
    /// The credentials or their rights were refused.
    Auth,
    /// The space is full.
    Quota,
    /// Something remembered (a directory, a confirm key, a form) no longer exists: forget, repair.
    Stale,
    /// Refused for good until the file or the configuration changes.
    Permanent,
    /// The local file could not be read.
    Local,
    /// One of the two sides is wrong: checksums differ, an answer makes no sense.
    Defect,
}

impl Class {
    /// Every class, in the order of the documentation.
    pub const ALL: [Class; 9] = [
        Class::Transient,
        Class::Throttled,
        Class::Offline,
        Class::Auth,
        Class::Quota,
        Class::Stale,
        Class::Permanent,
        Class::Local,
        Class::Defect,
    ];

    /// The word used in the journal, in logs and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Transient => "transient",
            Class::Throttled => "throttled",
            Class::Offline => "offline",
            Class::Auth => "auth",
            Class::Quota => "quota",
            Class::Stale => "stale",
            Class::Permanent => "permanent",
            Class::Local => "local",
            Class::Defect => "defect",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is not the name of a class.
#[derive(Debug, thiserror::Error)]
#[error("unknown failure class `{0}`")]
pub struct UnknownClass(String);

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Class::ALL
            .into_iter()
            .find(|class| class.as_str() == word)
            .ok_or_else(|| UnknownClass(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_reads_back_from_its_word() {
        for class in Class::ALL {
            assert_eq!(class.as_str().parse::<Class>().ok(), Some(class));
        }
        assert!("no such class".parse::<Class>().is_err());
    }
}
