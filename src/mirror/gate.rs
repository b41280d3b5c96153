//! Whether there is any sense in asking the service (pure). One prober finds out; nobody burns a budget.
//!
//! Closed: everything waits, and one small question is asked now and then. An answer opens the gate. If work
//! fails again although the question was answered, the answer is trusted less: from then on one piece of work
//! at a time goes through, until one succeeds.

use std::collections::BTreeSet;

use super::step::Failure;
use crate::failure::Class;
use crate::journal::EntryId;

/// Failures to connect in a row that mean offline.
const OFFLINE_AFTER: u32 = 3;
/// Entries that were all refused for want of rights, in a row: then it is not the entries.
const REFUSED_AFTER: usize = 3;
/// Entries that all failed, in a row, whatever the service says: then it is not the entries either.
const FAILING_AFTER: usize = 8;
const OFFLINE_WAIT: (i64, i64) = (1_000, 60_000);
const AUTH_WAIT: (i64, i64) = (30_000, 600_000);

/// Refusals that may concern one path only, by its access rights (sheet section 11).
const OF_ONE_PATH: &[&str] = &["NoPermission", "WriteForbidden", "ReadForbidden"];

/// Why the gate is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Offline,
    Auth,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The entry's: it waits by itself.
    Entry,
    /// Nobody's: the entry stays as it was, and the gate decides when it goes on.
    Service,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) blame: Blame,
    /// The gate closed, and nobody was told so yet.
    pub(super) closed: Option<Closed>,
}

/// Open, half open, or closed with the time of the next probe.
#[derive(Debug, Default)]
pub(super) struct Gate {
    shut: Option<Shut>,
    unreachable_in_a_row: u32,
    /// Entries that failed since the last success, up to the number that matters.
    failing: BTreeSet<EntryId>,
    refused: BTreeSet<EntryId>,
    /// Probes that failed, and closings, since the last success.
    cycles: u32,
    /// A probe was answered since the last success: the next answer opens only half.
    answered: bool,
}

#[derive(Debug)]
struct Shut {
    why: Closed,
    wait_ms: i64,
    door: Door,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Closed {
        next_at_ms: i64,
    },
    Probing,
    /// One piece of work at a time.
    Half,
    /// As if nothing had been, but remembered: the wait goes on growing when it closes again.
    Open,
}

impl Gate {
    /// Why nothing goes through now.
    pub(super) fn closed(&self) -> Option<Closed> {
        self.shut
            .as_ref()
            .filter(|shut| matches!(shut.door, Door::Closed { .. } | Door::Probing))
            .map(|shut| shut.why)
    }

    /// Most pieces of work at a time that may go through; `None`: as many as there are.
    pub(super) fn slots(&self) -> Option<usize> {
        match self.shut.as_ref().map(|shut| shut.door) {
            None | Some(Door::Open) => None,
            Some(Door::Half) => Some(1),
            Some(Door::Closed { .. } | Door::Probing) => Some(0),
        }
    }

    /// Probes that failed, and closings, since the last success.
    pub(super) fn cycles(&self) -> u32 {
        self.cycles
    }

    pub(super) fn next_probe_ms(&self) -> Option<i64> {
        match self.shut.as_ref()?.door {
            Door::Closed { next_at_ms } => Some(next_at_ms),
            Door::Probing | Door::Half | Door::Open => None,
        }
    }

    /// Whether to probe now; then the probe is out.
    pub(super) fn take_probe(&mut self, now_ms: i64) -> bool {
        match &mut self.shut {
            Some(shut) if matches!(shut.door, Door::Closed { next_at_ms } if next_at_ms <= now_ms) =>
            {
                shut.door = Door::Probing;
                true
            }
            _ => false,
        }
    }

    /// A person wants to know now.
    pub(super) fn hurry(&mut self, now_ms: i64) {
        if let Some(Shut { door: Door::Closed { next_at_ms }, .. }) = &mut self.shut {
            *next_at_ms = (*next_at_ms).min(now_ms);
        }
    }

    /// Work succeeded. Whether that ended something that was said.
    pub(super) fn success(&mut self) -> bool {
        self.unreachable_in_a_row = 0;
        self.failing.clear();
        self.refused.clear();
        self.cycles = 0;
        self.answered = false;
        self.shut.take().is_some_and(|shut| shut.door != Door::Open)
    }

    /// The probe was answered. Whether that ended what was said: half open is not yet over.
    pub(super) fn probe_answered(&mut self) -> bool {
        self.unreachable_in_a_row = 0;
        self.failing.clear();
        self.refused.clear();
        let trusted = !std::mem::replace(&mut self.answered, true);
        match &mut self.shut {
            Some(shut) if matches!(shut.door, Door::Closed { .. } | Door::Probing) => {
                shut.door = if trusted { Door::Open } else { Door::Half };
                trusted
            }
            _ => false,
        }
    }

    /// The probe that was out failed. Gives the reason if nobody was told so yet.
    pub(super) fn probe_failed(&mut self, class: Class, now_ms: i64) -> Option<Closed> {
        let why = match class {
            Class::Auth => Closed::Auth,
            // The service answers, if only with an error: that is no better for us.
            _ => Closed::Offline,
        };
        self.close(why, now_ms)
    }

    /// A piece of work failed; `entry`: whose it was.
    pub(super) fn failure(
        &mut self,
        failure: &Failure,
        entry: Option<&EntryId>,
        now_ms: i64,
    ) -> Judgement {
        let half = self.shut.as_ref().is_some_and(|shut| shut.door == Door::Half);
        let (blame, why) = match failure.class {
            Class::Offline => {
                self.unreachable_in_a_row += 1;
                let enough = half || self.unreachable_in_a_row >= OFFLINE_AFTER;
                (Blame::Service, enough.then_some(Closed::Offline))
            }
            Class::Auth if failure.is(OF_ONE_PATH) => {
                let enough = note(&mut self.refused, entry, REFUSED_AFTER) || half;
                (Blame::Entry, enough.then_some(Closed::Auth))
            }
            Class::Auth => (Blame::Service, Some(Closed::Auth)),
            Class::Transient | Class::Defect => {
                let enough = note(&mut self.failing, entry, FAILING_AFTER) || half;
                (Blame::Entry, enough.then_some(Closed::Offline))
            }
            Class::Throttled => (Blame::Service, None),
            Class::Quota | Class::Stale | Class::Permanent | Class::Local => (Blame::Entry, None),
        };
        Judgement { blame, closed: why.and_then(|why| self.close(why, now_ms)) }
    }

    /// Gives the reason if nobody was told so yet.
    fn close(&mut self, why: Closed, now_ms: i64) -> Option<Closed> {
        let (first, longest) = range(why);
        let news = match &mut self.shut {
            // Those that were under way when it closed come back one by one.
            Some(Shut { why: before, door: Door::Closed { .. }, .. }) if *before == why => {
                return None;
            }
            Some(shut) => {
                let news = shut.door == Door::Open || shut.why != why;
                shut.wait_ms = shut.wait_ms.saturating_mul(2).clamp(first, longest);
                shut.why = why;
                shut.door = Door::Closed { next_at_ms: now_ms.saturating_add(shut.wait_ms) };
                news
            }
            None => {
                let door = Door::Closed { next_at_ms: now_ms.saturating_add(first) };
                self.shut = Some(Shut { why, wait_ms: first, door });
                true
            }
        };
        self.cycles += 1;
        news.then_some(why)
    }
}

/// Counts an entry that failed; whether that are `enough` different ones in a row.
fn note(seen: &mut BTreeSet<EntryId>, entry: Option<&EntryId>, enough: usize) -> bool {
    if let Some(entry) = entry
        && seen.len() < enough
    {
        seen.insert(entry.clone());
    }
    seen.len() >= enough
}

fn range(why: Closed) -> (i64, i64) {
    match why {
        Closed::Offline => OFFLINE_WAIT,
        Closed::Auth => AUTH_WAIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::DirId;

    fn entry(n: u8) -> EntryId {
        EntryId { dir: DirId(1), name: vec![n] }
    }

    fn fail(gate: &mut Gate, class: Class, code: Option<&str>, n: u8, now_ms: i64) -> Judgement {
        let failure = Failure { code: code.map(str::to_owned), ..Failure::new(class, "no") };
        gate.failure(&failure, Some(&entry(n)), now_ms)
    }

    #[test]
    fn one_prober_until_the_service_answers() {
        let mut gate = Gate::default();
        for n in 0..2 {
            let judged = fail(&mut gate, Class::Offline, None, n, 0);
            assert_eq!(judged, Judgement { blame: Blame::Service, closed: None });
        }
        assert_eq!(gate.closed(), None);
        assert_eq!(fail(&mut gate, Class::Offline, None, 3, 0).closed, Some(Closed::Offline));
        // Those that were under way say nothing new.
        assert_eq!(fail(&mut gate, Class::Offline, None, 4, 0).closed, None);
        assert!(!gate.take_probe(999));
        assert!(gate.take_probe(1000) && !gate.take_probe(1000));
        assert_eq!(gate.probe_failed(Class::Offline, 2000), None);
        assert_eq!((gate.next_probe_ms(), gate.cycles()), (Some(4000), 2));
        assert!(gate.take_probe(4000) && gate.probe_answered());
        assert_eq!((gate.closed(), gate.slots()), (None, None));
        assert!(!gate.success(), "it was said that all goes on");
    }

    #[test]
    fn an_answer_that_proved_nothing_opens_only_half() {
        let mut gate = Gate::default();
        let close = |gate: &mut Gate, now_ms| {
            for n in 0..9 {
                fail(gate, Class::Transient, None, n, now_ms);
            }
        };
        close(&mut gate, 0);
        assert_eq!(gate.closed(), Some(Closed::Offline));
        assert!(gate.take_probe(1_000) && gate.probe_answered());
        close(&mut gate, 1_000);
        assert_eq!(gate.next_probe_ms(), Some(3_000), "the wait grows");
        assert!(gate.take_probe(3_000));
        assert!(!gate.probe_answered(), "not yet over");
        assert_eq!(gate.slots(), Some(1));
        // One failure is enough now, and it is no news.
        assert_eq!(fail(&mut gate, Class::Transient, None, 1, 3_000).closed, None);
        assert_eq!(gate.closed(), Some(Closed::Offline));
        assert!(gate.take_probe(7_000) && !gate.probe_answered());
        assert!(gate.success(), "now it is over");
        assert_eq!(gate.slots(), None);
    }

    #[test]
    fn one_bad_entry_never_closes_the_gate() {
        let mut gate = Gate::default();
        for _ in 0..100 {
            for (class, code) in [
                (Class::Transient, None),
                (Class::Defect, None),
                (Class::Auth, Some("WriteForbidden")),
                (Class::Permanent, None),
                (Class::Local, None),
            ] {
                let judged = fail(&mut gate, class, code, 1, 0);
                assert_eq!(judged, Judgement { blame: Blame::Entry, closed: None }, "{class}");
            }
        }
        assert_eq!(gate.closed(), None);
    }

    #[test]
    fn refused_credentials_close_at_once_and_refused_paths_together() {
        let mut gate = Gate::default();
        let judged = fail(&mut gate, Class::Auth, Some("InvalidAccessToken"), 1, 0);
        assert_eq!(judged, Judgement { blame: Blame::Service, closed: Some(Closed::Auth) });
        let mut gate = Gate::default();
        assert_eq!(fail(&mut gate, Class::Auth, Some("NoPermission"), 1, 0).closed, None);
        assert_eq!(fail(&mut gate, Class::Auth, Some("NoPermission"), 2, 0).closed, None);
        let third = fail(&mut gate, Class::Auth, Some("NoPermission"), 3, 0);
        assert_eq!(third, Judgement { blame: Blame::Entry, closed: Some(Closed::Auth) });
        assert_eq!(gate.next_probe_ms(), Some(30_000));
        gate.hurry(5);
        assert_eq!(gate.next_probe_ms(), Some(5));
    }
}
