//! When a person is told that something is wrong, and that it is not any more (pure).
//!
//! It goes by what the journal says is wrong, not by events: a trouble is told once, however often it is seen, and what
//! was told is remembered over restarts. So an old trouble raises no second alarm, and one that was solved while the
//! daemon was down is told to be over.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A trouble has to last so long: what a second look solves is nobody's business, and of many files that fail
/// together the first call knows the number.
const GATHER_MS: i64 = 2_000;
/// A service that cannot be reached comes back by itself, as a rule.
const OFFLINE_MS: i64 = 5 * 60_000;
/// So long an entry is tried again and again before it is called a trouble.
pub(super) const FAILING_MS: i64 = 60 * 60_000;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The journal was lost, or cannot be written.
    Journal,
    /// The service refuses the credentials.
    Auth,
    /// A root is missing, or deletes wait for a person.
    Held,
    /// The service cannot be reached for minutes.
    Offline,
    /// The space is full.
    Quota,
    /// Entries wait for a change.
    Blocked,
    /// Entries fail for an hour.
    Failing,
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Name of the mirror; `None`: all of them.
    pub(super) mirror: Option<String>,
    pub(super) kind: Kind,
    pub(super) since_ms: i64,
    /// What the newest failure means, where it is about entries.
    pub(super) class: Option<&'static str>,
    /// The code of the service.
    pub(super) code: Option<String>,
    pub(super) message: String,
    /// Entries that it is about, or 1.
    pub(super) count: u64,
    /// Some of them.
    pub(super) paths: Vec<String>,
}

/// What is known at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Evidence {
    pub(super) troubles: Vec<Trouble>,
    /// The mirrors, and whether it is proven that they work: something of them succeeded, or all of them was looked at
    /// in this run and nothing waits. That nothing is known to be wrong proves nothing after a start.
    pub(super) works: BTreeMap<String, bool>,
}

/// A call to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Trouble(Trouble),
    /// All that was told of a mirror (`None`: of all of them) is over.
    Recovered {
        mirror: Option<String>,
        kinds: Vec<Kind>,
        since_ms: i64,
    },
}

/// What was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alarms {
    told: Vec<Told>,
    /// When a trouble was seen first, as long as it is seen.
    #[serde(skip)]
    seen: BTreeMap<Key, i64>,
}

type Key = (Option<String>, Kind);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    mirror: Option<String>,
    kind: Kind,
    since_ms: i64,
    told_at_ms: i64,
    count: u64,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// It lasts.
    Stands,
    /// It is over, but something else of the mirror is not, so nobody was told.
    Over,
    /// It was told to be over. Remembered so that it is not told again too soon.
    Closed,
}

impl Told {
    fn is(&self, mirror: Option<&str>, kind: Kind) -> bool {
        self.mirror.as_deref() == mirror && self.kind == kind
    }
}

impl Alarms {
    /// Whether something is to be told to be over one day, or is about to be told.
    pub(super) fn is_raised(&self) -> bool {
        !self.seen.is_empty() || self.told.iter().any(|told| told.stage != Stage::Closed)
    }

    /// What to tell now, and when to look again although nothing happens. No kind of trouble of a mirror is told twice
    /// within `interval_ms`. Times are milliseconds since the Unix epoch.
    pub(super) fn decide(
        &mut self,
        evidence: &Evidence,
        interval_ms: i64,
        now_ms: i64,
    ) -> (Vec<Call>, Option<i64>) {
        self.told.retain(|told| {
            let configured =
                told.mirror.as_ref().is_none_or(|mirror| evidence.works.contains_key(mirror));
            configured && (told.stage != Stage::Closed || now_ms < told.told_at_ms + interval_ms)
        });
        for told in &mut self.told {
            // A clock that was set back must not silence anything.
            told.told_at_ms = told.told_at_ms.min(now_ms);
        }
        let mut calls = Vec::new();
        let mut next: Option<i64> = None;
        for trouble in &evidence.troubles {
            let due_ms = self.due_ms(trouble, interval_ms, now_ms);
            match due_ms {
                Some(due_ms) if due_ms <= now_ms => {
                    self.tell(trouble, now_ms);
                    calls.push(Call::Trouble(trouble.clone()));
                }
                Some(due_ms) => next = Some(next.map_or(due_ms, |next| next.min(due_ms))),
                None => {}
            }
        }
        self.seen.retain(|(mirror, kind), _| is_there(evidence, mirror.as_deref(), *kind));
        calls.extend(self.recovered(evidence));
        (calls, next)
    }

    /// When a trouble is to be told; `None`: it was.
    fn due_ms(&mut self, trouble: &Trouble, interval_ms: i64, now_ms: i64) -> Option<i64> {
        let key = (trouble.mirror.clone(), trouble.kind);
        let seen_ms = *self.seen.entry(key).or_insert(now_ms);
        let lasts_ms = match trouble.kind {
            Kind::Offline => trouble.since_ms.min(now_ms) + OFFLINE_MS,
            _ => seen_ms.min(now_ms) + GATHER_MS,
        };
        let told =
            self.told.iter_mut().find(|told| told.is(trouble.mirror.as_deref(), trouble.kind));
        let Some(told) = told else { return Some(lasts_ms) };
        let again_ms = told.told_at_ms + interval_ms;
        if told.stage == Stage::Closed {
            return Some(lasts_ms.max(again_ms));
        }
        // Nobody heard that it was over.
        told.stage = Stage::Stands;
        (trouble.count > told.count).then_some(again_ms)
    }

    fn tell(&mut self, trouble: &Trouble, now_ms: i64) {
        let Trouble { mirror, kind, since_ms, count, .. } = trouble;
        self.told.retain(|told| !told.is(mirror.as_deref(), *kind));
        self.told.push(Told {
            mirror: mirror.clone(),
            kind: *kind,
            since_ms: *since_ms,
            told_at_ms: now_ms,
            count: *count,
            stage: Stage::Stands,
        });
    }

    fn recovered(&mut self, evidence: &Evidence) -> Vec<Call> {
        let works = |mirror: Option<&str>| match mirror {
            Some(mirror) => evidence.works.get(mirror).copied().unwrap_or(false),
            None => evidence.works.values().any(|works| *works),
        };
        for told in &mut self.told {
            let mirror = told.mirror.as_deref();
            let stands = told.stage == Stage::Stands;
            if stands && works(mirror) && !is_there(evidence, mirror, told.kind) {
                told.stage = Stage::Over;
            }
        }
        let mirrors: BTreeSet<Option<String>> =
            self.told.iter().map(|told| told.mirror.clone()).collect();
        let mut calls = Vec::new();
        for mirror in mirrors {
            let open: Vec<&mut Told> = self
                .told
                .iter_mut()
                .filter(|told| told.mirror == mirror && told.stage != Stage::Closed)
                .collect();
            let wrong = evidence.troubles.iter().any(|trouble| trouble.mirror == mirror);
            if wrong || open.is_empty() || open.iter().any(|told| told.stage == Stage::Stands) {
                continue;
            }
            let since_ms = open.iter().map(|told| told.since_ms).min().unwrap_or_default();
            let mut kinds = Vec::new();
            for told in open {
                told.stage = Stage::Closed;
                kinds.push(told.kind);
            }
            calls.push(Call::Recovered { mirror, kinds, since_ms });
        }
        calls
    }
}

fn is_there(evidence: &Evidence, mirror: Option<&str>, kind: Kind) -> bool {
    evidence
        .troubles
        .iter()
        .any(|trouble| trouble.mirror.as_deref() == mirror && trouble.kind == kind)
}

#[cfg(test)]
#[path = "alarms_tests.rs"]
mod tests;
