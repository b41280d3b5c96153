//! What happens next with an entry that has trouble, and with a mirror that is stopped (pure).

use super::output;
use crate::failure::Class;
use crate::journal::TroubleRow;

/// Code of a file whose directory cannot be made on the remote.
const DIRECTORY_BLOCKED: &str = "DirectoryBlocked";

/// What an entry waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// The time of its next try.
    Until(i64),
    /// Its turn.
    Turn,
    /// The next scan.
    Scan,
    /// Its directory.
    Directory,
    /// A change of the file, or a person.
    Change,
}

impl Waits {
    /// What an entry with this trouble waits for. `next_at_ms`: when it is tried by itself.
    pub(super) fn of(trouble: &TroubleRow, next_at_ms: Option<i64>, now_ms: i64) -> Waits {
        match next_at_ms {
            Some(at) if at > now_ms => Waits::Until(at),
            Some(_) => Waits::Turn,
            None if matches!(trouble.class, Class::Local | Class::Defect) => Waits::Scan,
            None if trouble.code.as_deref() == Some(DIRECTORY_BLOCKED) => Waits::Directory,
            None => Waits::Change,
        }
    }

    /// The word in JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Waits::Until(_) => "time",
            Waits::Turn => "turn",
            Waits::Scan => "scan",
            Waits::Directory => "directory",
            Waits::Change => "change",
        }
    }

    /// The time, where it waits for one.
    pub(super) fn until(self) -> Option<i64> {
        match self {
            Waits::Until(at) => Some(at),
            _ => None,
        }
    }

    /// For people.
    pub(super) fn describe(self) -> String {
        match self {
            Waits::Until(at) => format!("tried again at {}", output::time(at)),
            Waits::Turn => "tried again as soon as it is its turn".to_owned(),
            Waits::Scan => "tried again at each scan, and when it changes".to_owned(),
            Waits::Directory => "waits for its directory".to_owned(),
            Waits::Change => "waits for a change of the file, or for `smh-mirror retry`".to_owned(),
        }
    }
}

/// What a person can do about entries of the class `local` that this user may not read.
pub(super) const GRANT: &str = "Where a right is missing, grant it to the user of the daemon: by an ACL, as with `setfacl -R -m u:smh-mirror:rX FOLDER`, or by a group and `SupplementaryGroups=` in its unit; or leave the entry out with `exclude`.";

/// How often it was tried, and since when.
pub(super) fn tries(trouble: &TroubleRow) -> String {
    let since = output::time(trouble.first_at_ms);
    match trouble.attempts {
        // A restart counts anew.
        0 => format!("since {since}"),
        1 => format!("1 try, {since}"),
        n => format!("{n} tries since {since}, the last {}", output::time(trouble.last_at_ms)),
    }
}

/// What happens next under a condition, by its word. Empty for one that this program does not know:
/// its message says what to do.
pub(super) fn after_condition(kind: &str) -> &'static str {
    match kind {
        "offline" => {
            "everything waits; the service is asked again by itself; if it lasts, see `smh-mirror doctor`"
        }
        "auth" => {
            "everything waits; `smh-mirror doctor` looks at the credentials; tried again by itself, slowly, and at once after `smh-mirror retry`"
        }
        "quota" => {
            "files wait, and one is tried within the hour; make room, then `smh-mirror retry`"
        }
        "throttled" => "the daemon goes on, slower",
        "rebuilding" => "it ends by itself; nothing that the library holds is sent again",
        "clock" => "nothing waits for it",
        "paused" => "nothing new is sent meanwhile; then it goes on by itself with whatever waits",
        "root" => "nothing is concluded from it; the root is looked at again every 15 seconds",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{DirId, EntryId};

    #[test]
    fn what_it_waits_for_comes_from_class_code_and_time() {
        let trouble = |class, code: Option<&str>| TroubleRow {
            id: EntryId { dir: DirId(1), name: b"f".to_vec() },
            class,
            code: code.map(str::to_owned),
            message: String::new(),
            request_id: None,
            attempts: 1,
            blocked: true,
            first_at_ms: 1,
            last_at_ms: 1,
        };
        for (class, code, next, expected) in [
            (Class::Transient, None, Some(11), Waits::Until(11)),
            (Class::Transient, None, Some(10), Waits::Turn),
            (Class::Local, None, None, Waits::Scan),
            (Class::Permanent, Some(DIRECTORY_BLOCKED), None, Waits::Directory),
            (Class::Permanent, Some("IllegalFileName"), None, Waits::Change),
            (Class::Defect, None, None, Waits::Scan),
        ] {
            assert_eq!(Waits::of(&trouble(class, code), next, 10), expected, "{class}");
        }
    }
}
