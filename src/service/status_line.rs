//! The line for the service manager (pure): the words of `status` for every mirror, and the little that a person wants to
//! know with them.

use crate::config::Config;
use crate::journal::{ConditionRow, MirrorStatus};
use crate::mirror::verdict::{self, Evidence, State, Worker};

/// Mirrors that the line names; the others are counted.
const NAMED: usize = 3;
/// Characters of a message in the line; `status` has all of it.
const SHORT: usize = 160;

/// Everything in one line, from the journal, while a daemon works on it. A mirror that the journal does not know yet is
/// `unknown`.
pub(super) fn line(config: &Config, known: &[MirrorStatus]) -> String {
    let told: Vec<(&str, State, Option<String>)> = config
        .mirrors
        .iter()
        .map(|mirror| {
            let status = known.iter().find(|status| status.known.name == mirror.name);
            let same = status.is_some_and(|status| verdict::is_same(config, mirror, &status.known));
            let evidence = Evidence { status, same, worker: Worker::Daemon, audit: None };
            let word = verdict::state(&evidence);
            (mirror.name.as_str(), word, status.filter(|_| same).and_then(|s| detail(word, s)))
        })
        .collect();
    said(&told)
}

fn said(told: &[(&str, State, Option<String>)]) -> String {
    let others: Vec<_> = told.iter().filter(|(_, word, _)| *word != State::Current).collect();
    if others.is_empty() {
        return match told.len() {
            1 => "current".to_owned(),
            n => format!("all {n} mirrors current"),
        };
    }
    let mut parts: Vec<String> = others
        .iter()
        .take(NAMED)
        .map(|(name, word, detail)| {
            let name = if told.len() == 1 { String::new() } else { format!("{name} ") };
            let word = word.as_str();
            match detail {
                Some(detail) => format!("{name}{word}: {detail}"),
                None => format!("{name}{word}"),
            }
        })
        .collect();
    if others.len() > NAMED {
        parts.push(format!("{} more not current", others.len() - NAMED));
    }
    match told.len() - others.len() {
        0 => {}
        current => parts.push(format!("{current} of {} current", told.len())),
    }
    parts.join("; ")
}

/// What a person wants to know with the word.
fn detail(word: State, status: &MirrorStatus) -> Option<String> {
    let counts = &status.counts;
    let message = status
        .conditions
        .iter()
        .find(|condition| verdict::stops(condition) && means(condition) == word)
        .map(|condition| &condition.message);
    let text = match word {
        State::Syncing => match counts.pending + counts.uploading + counts.pending_directories {
            0 => "a scan looks for what was missed".to_owned(),
            n => format!("{n} waiting"),
        },
        State::Behind => {
            let retrying = counts.retrying + counts.retrying_directories;
            let failed: Vec<String> = [
                (counts.blocked, "blocked"),
                (retrying, "to be tried again"),
                (counts.failed_deletes, "not deleted"),
            ]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
            match message {
                Some(message) if failed.is_empty() => message.clone(),
                _ => format!("{}, see `smh-mirror errors`", failed.join(", ")),
            }
        }
        State::Held => {
            let hold = status.holds.first().map(|hold| hold.told(counts.planned_deletes));
            message.cloned().or(hold)?
        }
        State::Unknown => "no scan was complete yet".to_owned(),
        _ => message?.clone(),
    };
    Some(shortened(&text))
}

/// The state that a condition of this kind is the reason for.
fn means(condition: &ConditionRow) -> State {
    match condition.kind.as_str() {
        "root" => State::Held,
        "auth" => State::Auth,
        "offline" => State::Offline,
        "paused" => State::Paused,
        _ => State::Behind,
    }
}

/// One line, and not a long one.
fn shortened(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    match line.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(told: &[(&str, State, Option<&str>)], expected: &str) {
        let told: Vec<_> = told.iter().map(|(n, w, d)| (*n, *w, d.map(str::to_owned))).collect();
        assert_eq!(said(&told), expected);
    }

    #[test]
    fn one_line_says_what_is_not_current() {
        check(&[("a", State::Current, None)], "current");
        check(&[("a", State::Syncing, Some("12 waiting"))], "syncing: 12 waiting");
        check(&[("a", State::Current, None), ("b", State::Current, None)], "all 2 mirrors current");
        check(
            &[
                ("a", State::Current, None),
                ("b", State::Held, Some("gone")),
                ("c", State::Paused, None),
            ],
            "b held: gone; c paused; 1 of 3 current",
        );
        let many = ["a", "b", "c", "d", "e"].map(|name| (name, State::Offline, None));
        check(&many, "a offline; b offline; c offline; 2 more not current");
    }

    #[test]
    fn a_message_stays_one_short_line() {
        assert_eq!(shortened("two\nlines"), "two lines");
        assert_eq!(shortened(&"é".repeat(500)).chars().count(), SHORT + 1);
    }
}
