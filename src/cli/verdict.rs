//! The word for a mirror and the reasons for it (pure).

use super::output;
use crate::journal::{ConditionKind, ConditionRow};
use crate::mirror::verdict;
pub(super) use crate::mirror::verdict::{Evidence, Worker, hangs, is_current, is_same};
use crate::mirror::{Audit, Finding};
use crate::wording::{counted, verb};

/// The word for a mirror.
pub(super) fn state(evidence: &Evidence<'_>) -> &'static str {
    verdict::state(evidence).as_str()
}

/// Why a mirror is not current; nothing when it is.
pub(super) fn reasons(evidence: &Evidence<'_>) -> Vec<String> {
    let Some(status) = evidence.status else {
        return vec!["nothing of it was ever seen".to_owned()];
    };
    if !evidence.same {
        return vec![
            "the journal speaks of another folder, target or way of writing names than the configuration; `smh-mirror reload` makes the daemon read it, and `smh-mirror sync` does without one"
                .to_owned(),
        ];
    }
    let stopping = status.conditions.iter().filter(|condition| verdict::stops(condition));
    let (root, others): (Vec<_>, Vec<_>) =
        stopping.partition(|condition| condition.kind == ConditionKind::Root);
    // As for the word: what holds it comes first.
    let mut reasons: Vec<String> = root.into_iter().map(stopped).collect();
    reasons.extend(status.holds.iter().map(|hold| {
        let why = hold.told(status.counts.planned_deletes);
        let since = output::time(hold.since_ms);
        format!("held since {since}: {why} (hold {}, see `smh-mirror holds`)", hold.id)
    }));
    reasons.extend(others.into_iter().map(stopped));
    if let Some(message) = evidence.audit.and_then(|audit| audit.root.as_ref()) {
        // The daemon may have said the same.
        if status.conditions.iter().all(|condition| condition.message != *message) {
            reasons.push(message.clone());
        }
    }
    if evidence.worker == Worker::Stuck {
        reasons.push(
            "the daemon cannot write its journal, so nothing newer than this is known; is the disk of the state folder full?"
                .to_owned(),
        );
    }
    if evidence.worker == Worker::Hangs {
        reasons.push(
            "no scan has ended for twice the time of `rescan`: does the filesystem of the folder still answer?".to_owned(),
        );
    }
    let counts = &status.counts;
    if counts.blocked > 0 {
        let newest = status.last_trouble.as_ref().zip(status.last_trouble_path.as_ref());
        let example = newest.filter(|(trouble, _)| trouble.blocked).map(|(trouble, path)| {
            let such = verb(counts.blocked, "it is", "the newest is");
            format!("; {such} {}, {}", path.in_mirror(&status.known.name), trouble.message)
        });
        reasons.push(format!(
            "{} blocked, see `smh-mirror errors`{}",
            counts.blocked,
            example.unwrap_or_default()
        ));
    }
    let retrying = counts.retrying + counts.retrying_directories;
    if retrying > 0 {
        let entries = counted(retrying, "entry");
        reasons.push(format!("{entries} failed and will be tried again, see `smh-mirror errors`"));
    }
    if counts.failed_deletes > 0 {
        let copies = counted(counts.failed_deletes, "copy");
        reasons.push(format!("{copies} cannot be deleted, see `smh-mirror errors`"));
    }
    let files = counts.pending + counts.uploading;
    let dirs = counts.pending_directories - counts.retrying_directories;
    match (files, dirs) {
        (0, 0) => {}
        (0, dirs) => {
            let waits = verb(dirs, "waits", "wait");
            reasons.push(format!("{} {waits} to be made", counted(dirs, "folder")));
        }
        (files, _) => {
            let bytes = output::bytes(counts.pending_bytes);
            let waits = verb(files, "waits", "wait");
            reasons.push(format!("{} {waits} ({bytes})", counted(files, "file")));
        }
    }
    if let Some(text) = evidence.audit.and_then(found) {
        reasons.push(text);
    }
    if status.scanned_at_ms.is_none() {
        reasons.push("no scan was ever complete".to_owned());
    } else if status.dirty && reasons.is_empty() {
        reasons.push("something may have been missed; the next scan looks for it".to_owned());
    }
    reasons
}

/// A condition in words.
pub(super) fn stopped(condition: &ConditionRow) -> String {
    format!("{} {}", word(condition.kind), since(condition))
}

/// What a condition is called where people read it: as the state that it makes, where it makes one.
pub(super) fn word(kind: ConditionKind) -> &'static str {
    match kind {
        ConditionKind::Root => "held",
        other => other.as_str(),
    }
}

/// Since when it is so, until when, and why.
pub(super) fn since(condition: &ConditionRow) -> String {
    let ConditionRow { since_ms, message, until_ms, .. } = condition;
    let until = until_ms.map(|at| format!(" until {}", output::time(at))).unwrap_or_default();
    format!("since {}{until}: {message}", output::time(*since_ms))
}

/// What a look at the disk found, in words; `None`: what the journal says.
pub(super) fn found(audit: &Audit) -> Option<String> {
    let counts: Vec<String> =
        [(audit.changed, "changed"), (audit.unseen, "new"), (audit.gone, "gone")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
    let examples = |wanted: &dyn Fn(Finding) -> bool, word: bool| -> String {
        let wanted = audit.examples.iter().filter(|(finding, _)| wanted(*finding));
        let said: Vec<String> = wanted
            .map(|(finding, path)| match word {
                true => format!("{path} ({})", finding.as_str()),
                false => path.to_string(),
            })
            .collect();
        match said.is_empty() {
            true => String::new(),
            false => format!(", e.g. {}", said.join(", ")),
        }
    };
    let mut found = Vec::new();
    if !counts.is_empty() {
        let examples = examples(&|finding| finding != Finding::Unreadable, true);
        found.push(format!("on disk and not seen yet: {}{examples}", counts.join(", ")));
    }
    if audit.unreadable > 0 {
        let entries = counted(audit.unreadable, "entry");
        let examples = examples(&|finding| finding == Finding::Unreadable, false);
        found.push(format!("{entries} on disk cannot be read{examples}"));
    }
    (!found.is_empty()).then(|| found.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Counts, KnownMirror, MirrorId, MirrorStatus};

    fn status() -> MirrorStatus {
        MirrorStatus {
            known: KnownMirror {
                id: MirrorId(1),
                name: "docs".into(),
                local: b"/docs".to_vec(),
                target: "t".into(),
                root: None,
            },
            scanned_at_ms: Some(1),
            dirty: false,
            watched: 1,
            polled: 0,
            overflows: 0,
            missed: 0,
            counts: Counts::default(),
            oldest_pending_ms: None,
            last_trouble: None,
            last_trouble_path: None,
            conditions: Vec::new(),
            holds: Vec::new(),
        }
    }

    fn with(change: impl FnOnce(&mut MirrorStatus)) -> MirrorStatus {
        let mut status = status();
        change(&mut status);
        status
    }

    fn check(status: &MirrorStatus, works: bool, audit: Option<&Audit>, expected: &str) {
        let worker = if works { Worker::Daemon } else { Worker::Nobody };
        let evidence = Evidence { status: Some(status), same: true, worker, audit };
        assert_eq!(state(&evidence), expected);
        assert_eq!(reasons(&evidence).is_empty(), expected == "current", "{status:?}");
        // Only a pause takes the word away and not what it means.
        assert!(is_current(&evidence) == (expected == "current") || expected == "paused");
    }

    #[test]
    fn a_pause_is_said_and_hides_nothing_worse() {
        let paused = |change: fn(&mut MirrorStatus)| {
            with(|s| {
                s.conditions.push(ConditionRow {
                    mirror: Some(MirrorId(1)),
                    kind: ConditionKind::Paused,
                    since_ms: 1,
                    message: "m".into(),
                    until_ms: Some(7_000),
                });
                change(s);
            })
        };
        let is_current = |status: &MirrorStatus| {
            let worker = Worker::Daemon;
            is_current(&Evidence { status: Some(status), same: true, worker, audit: None })
        };
        let nothing_waits = paused(|_| {});
        check(&nothing_waits, true, None, "paused");
        assert!(is_current(&nothing_waits));
        for change in [
            (|s| s.counts.pending = 1) as fn(&mut MirrorStatus),
            |s| s.counts.blocked = 1,
            |s| s.dirty = true,
            |s| s.scanned_at_ms = None,
        ] {
            check(&paused(change), true, None, "paused");
            assert!(!is_current(&paused(change)));
        }
        let offline = paused(|s| s.conditions[0].kind = ConditionKind::Offline);
        check(&offline, true, None, "offline");
        let evidence = Evidence {
            status: Some(&nothing_waits),
            same: true,
            worker: Worker::Daemon,
            audit: None,
        };
        let said = "paused since 1970-01-01T00:00:00Z until 1970-01-01T00:00:07Z: m";
        assert_eq!(reasons(&evidence), [said]);
    }

    #[test]
    fn every_word_has_its_evidence() {
        let condition = |kind| {
            with(|s| {
                let message = "m".to_owned();
                let until_ms = None;
                s.conditions.push(ConditionRow {
                    mirror: None,
                    kind,
                    since_ms: 1,
                    message,
                    until_ms,
                });
            })
        };
        check(&status(), true, None, "current");
        check(&condition(ConditionKind::Root), true, None, "held");
        check(&condition(ConditionKind::Auth), true, None, "auth");
        check(&condition(ConditionKind::Offline), true, None, "offline");
        check(&condition(ConditionKind::Quota), true, None, "behind");
        for kind in [ConditionKind::Throttled, ConditionKind::Rebuilding, ConditionKind::Clock] {
            check(&condition(kind), true, None, "current");
        }
        check(&with(|s| s.scanned_at_ms = None), true, None, "unknown");
        check(&with(|s| s.counts.blocked = 1), true, None, "behind");
        check(&with(|s| s.counts.retrying = 1), true, None, "behind");
        for change in [
            (|s| s.counts.pending = 1) as fn(&mut MirrorStatus),
            |s| s.counts.uploading = 1,
            |s| s.counts.pending_directories = 1,
            |s| s.dirty = true,
        ] {
            check(&with(change), true, None, "syncing");
            // Nobody works: nothing is under way.
            check(&with(change), false, None, "behind");
        }
        let failed = with(|s| {
            s.counts.pending_directories = 1;
            s.counts.retrying_directories = 1;
        });
        check(&failed, true, None, "behind");
    }

    #[test]
    fn what_lies_on_the_disk_has_the_last_word() {
        let audit = |change: fn(&mut Audit)| {
            let mut audit = Audit::default();
            change(&mut audit);
            audit
        };
        check(&status(), false, Some(&Audit::default()), "current");
        check(&status(), false, Some(&audit(|a| a.changed = 1)), "behind");
        check(&status(), true, Some(&audit(|a| a.unseen = 1)), "syncing");
        check(&status(), true, Some(&audit(|a| a.gone = 1)), "syncing");
        check(&status(), true, Some(&audit(|a| a.unreadable = 1)), "behind");
        check(&status(), true, Some(&audit(|a| a.root = Some("r".into()))), "held");
    }

    #[test]
    fn what_the_word_is_about_is_the_first_reason() {
        let condition = |kind| ConditionRow {
            mirror: None,
            kind,
            since_ms: 1,
            message: "m".into(),
            until_ms: None,
        };
        let status = with(|s| {
            s.conditions = [ConditionKind::Quota, ConditionKind::Root].map(condition).to_vec();
        });
        let evidence =
            Evidence { status: Some(&status), same: true, worker: Worker::Daemon, audit: None };
        let said = reasons(&evidence);
        let began = ["held since 1970", "quota since 1970"];
        assert!(said.iter().zip(began).all(|(said, began)| said.starts_with(began)), "{said:?}");
    }

    #[test]
    fn what_cannot_be_read_is_not_called_unseen() {
        let path = |name: &str| crate::relpath::RelPath::from_bytes(name.into());
        let mut audit = Audit { unreadable: 1, ..Audit::default() };
        audit.examples.push((Finding::Unreadable, path("d")));
        assert_eq!(found(&audit).as_deref(), Some("1 entry on disk cannot be read, e.g. d"));
        audit.gone = 2;
        audit.examples.push((Finding::Gone, path("a")));
        let said = "on disk and not seen yet: 2 gone, e.g. a (gone); 1 entry on disk cannot be read, e.g. d";
        assert_eq!(found(&audit).as_deref(), Some(said));
    }

    #[test]
    fn a_journal_that_is_not_written_proves_nothing() {
        let status = status();
        for worker in [Worker::Stuck, Worker::Hangs] {
            let evidence = Evidence { status: Some(&status), same: true, worker, audit: None };
            assert_eq!((state(&evidence), reasons(&evidence).len()), ("behind", 1));
        }
    }

    #[test]
    fn a_journal_of_something_else_says_nothing() {
        let status = status();
        let other =
            Evidence { status: Some(&status), same: false, worker: Worker::Daemon, audit: None };
        assert_eq!(state(&other), "unknown");
        assert_eq!(reasons(&other).len(), 1);
        let nothing = Evidence { status: None, same: false, worker: Worker::Daemon, audit: None };
        assert_eq!(state(&nothing), "unknown");
        assert_eq!(reasons(&nothing).len(), 1);
    }
}
