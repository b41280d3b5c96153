//! One sentence: what happens next with a path, and what a person can do (pure).

use super::next::{Waits, after_condition};
use super::output;
use super::rule::{RuleAt, Source};
use crate::journal::{ConditionRow, NEVER_MS};
use crate::tree::{Absent, Kind, Skip};

/// What the sentence depends on.
pub(super) struct Outlook<'a> {
    /// The word for the path.
    pub(super) state: &'static str,
    /// It lies in a mirror.
    pub(super) in_mirror: bool,
    /// What is on disk.
    pub(super) kind: Option<&'a Result<Kind, Absent>>,
    /// The rule that matches.
    pub(super) rule: Option<&'a RuleAt>,
    /// What it waits for after a failure.
    pub(super) waits: Option<Waits>,
    /// What stops the whole mirror.
    pub(super) condition: Option<&'a ConditionRow>,
    /// What does not happen because no daemon works.
    pub(super) idle: Option<String>,
    /// When the copy of what is gone is to be deleted.
    pub(super) delete_at_ms: Option<i64>,
    /// That waits for a person.
    pub(super) held: bool,
}

/// The sentence.
pub(super) fn outlook(outlook: &Outlook<'_>) -> String {
    if !outlook.in_mirror {
        return "nothing: it lies below no folder of the configuration".to_owned();
    }
    match (outlook.kind, outlook.state) {
        (Some(Err(Absent::Root(_))), _) => {
            "nothing is concluded from a missing root: mount it or put it back".to_owned()
        }
        (Some(Err(Absent::Unreadable(_) | Absent::Short(_))), _) => {
            "let the user of the daemon read it; it is tried again at each scan".to_owned()
        }
        (_, "synced") => "nothing: the library has exactly this".to_owned(),
        (_, "gone") => match outlook.delete_at_ms {
            None => "nothing, unless it comes back: the copy is kept".to_owned(),
            Some(NEVER_MS) => "its copy could not be deleted: see `smh-mirror errors`".to_owned(),
            Some(_) if outlook.held => {
                "its copy stays until you decide, with `smh-mirror holds`, or until it comes back"
                    .to_owned()
            }
            Some(at_ms) => {
                format!("its copy is deleted after {}, unless it comes back", output::time(at_ms))
            }
        },
        (Some(Ok(Kind::Skipped(skip))), _) => left_out(*skip, outlook.rule),
        (_, "unknown") => "nothing: there is nothing to mirror".to_owned(),
        (_, state) => waiting(state, outlook),
    }
}

fn left_out(skip: Skip, rule: Option<&RuleAt>) -> String {
    match (skip, rule.map(|rule| &rule.source)) {
        (Skip::Temporary, _) => {
            let text = rule.map(|rule| rule.text.as_str()).unwrap_or_default();
            format!(
                "not mirrored under this name: rename it, add the rule `!{text}` to `exclude`, or set `exclude_temporary = false`"
            )
        }
        (Skip::Excluded, Some(Source::Config { .. })) => {
            "not mirrored while the rule stands: change it, then `smh-mirror reload`, to have it mirrored"
                .to_owned()
        }
        (Skip::Excluded, _) => {
            "not mirrored while the rule stands: change it to have it mirrored".to_owned()
        }
        (Skip::Symlink, _) => {
            "links are not mirrored; what one points to is, where it lies in a mirror itself, or with `symlinks = \"follow\"`".to_owned()
        }
        (Skip::SymlinkOutside, _) => {
            "links out of the folder are not followed: give what it points to a mirror of its own, or mount it here with `mount --bind`"
                .to_owned()
        }
        (Skip::SymlinkDangling, _) => {
            "mirrored as soon as there is something where it leads".to_owned()
        }
        (Skip::SymlinkLoop, _) => {
            "what it points to lies in the folder, and is mirrored where it lies".to_owned()
        }
        (Skip::Loop, _) => "what is in it is mirrored where it lies: unmount it".to_owned(),
        (Skip::Special, _) => "only files and folders are mirrored".to_owned(),
        (Skip::Name, _) => {
            "not mirrored under this name: rename it, or set names = \"escape\", then `smh-mirror reload`"
                .to_owned()
        }
    }
}

/// It is to be mirrored and is not: the strongest obstacle is named first.
fn waiting(state: &str, outlook: &Outlook<'_>) -> String {
    if let Some(idle) = &outlook.idle {
        // What is blocked stays so when the daemon is back.
        return match outlook.waits {
            Some(waits) if state == "blocked" => format!("{}. {idle}", waits.describe()),
            _ => idle.clone(),
        };
    }
    if let Some(condition) = outlook.condition {
        let kind = condition.kind.as_str();
        let then = after_condition(kind);
        return if then.is_empty() {
            format!("it waits: {}", condition.message)
        } else {
            then.to_owned()
        };
    }
    match (outlook.waits, state) {
        (Some(waits), "blocked" | "retrying") => waits.describe(),
        (_, "uploading") => "it is being sent".to_owned(),
        (_, "blocked") => "something in it needs a person: see `smh-mirror errors`".to_owned(),
        _ => "it is sent by itself, once it has rested and it is its turn".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::ConditionKind;
    use crate::tree::DirMark;

    const FILE: Result<Kind, Absent> =
        Ok(Kind::Dir(DirMark { inode: 1, mounted: false, bound: false, fsid: 0 }));

    fn about(state: &'static str) -> Outlook<'static> {
        Outlook {
            state,
            in_mirror: true,
            kind: Some(&FILE),
            rule: None,
            waits: None,
            condition: None,
            idle: None,
            delete_at_ms: None,
            held: false,
        }
    }

    #[test]
    fn the_strongest_obstacle_is_named() {
        let offline = ConditionRow {
            mirror: None,
            kind: ConditionKind::Offline,
            since_ms: 1,
            message: "m".into(),
            until_ms: None,
        };
        let check = |about: Outlook<'_>, part: &str| {
            let said = outlook(&about);
            assert!(said.contains(part), "{said}");
        };
        check(about("synced"), "exactly this");
        check(about("pending"), "once it has rested");
        check(about("gone"), "the copy is kept");
        check(Outlook { delete_at_ms: Some(0), ..about("gone") }, "its copy is deleted after 1970");
        check(Outlook { delete_at_ms: Some(NEVER_MS), ..about("gone") }, "could not be deleted");
        let held = Outlook { delete_at_ms: Some(0), held: true, ..about("gone") };
        check(held, "stays until you decide");
        check(Outlook { waits: Some(Waits::Scan), ..about("blocked") }, "at each scan");
        let stopped = Outlook { condition: Some(&offline), ..about("pending") };
        check(stopped, "everything waits");
        let idle = Some("not running".to_owned());
        check(Outlook { condition: Some(&offline), idle, ..about("pending") }, "not running");
        let idle = || Some("not running".to_owned());
        let blocked = || Outlook { idle: idle(), waits: Some(Waits::Change), ..about("blocked") };
        check(blocked(), "waits for a change");
        check(blocked(), "not running");
        check(Outlook { idle: idle(), ..about("synced") }, "exactly this");
        check(Outlook { in_mirror: false, ..about("unknown") }, "no folder");
    }

    #[test]
    fn what_is_left_out_says_how_to_bring_it_in() {
        let check = |skip: Skip, part: &str| {
            let kind = Ok(Kind::Skipped(skip));
            let said = outlook(&Outlook { kind: Some(&kind), ..about("skipped") });
            assert!(said.contains(part), "{said}");
        };
        check(Skip::Excluded, "change it");
        check(Skip::Temporary, "rename it");
        check(Skip::Name, "rename it, or set names = \"escape\"");
        check(Skip::Symlink, "links are not mirrored");
        check(Skip::SymlinkOutside, "a mirror of its own");
        check(Skip::SymlinkDangling, "as soon as");
        check(Skip::SymlinkLoop, "where it lies");
        check(Skip::Loop, "unmount it");
        check(Skip::Special, "only files");
    }
}
