//! Days of trouble, told in a few calls.

use proptest::prelude::*;

use super::*;

const INTERVAL: i64 = 15 * 60_000;
const MINUTE: i64 = 60_000;

fn trouble(mirror: Option<&str>, kind: Kind, since_ms: i64, count: u64) -> Trouble {
    let mirror = mirror.map(str::to_owned);
    Trouble {
        mirror,
        kind,
        since_ms,
        class: None,
        code: None,
        message: "m".into(),
        count,
        paths: Vec::new(),
    }
}

fn blocked(count: u64) -> Trouble {
    trouble(Some("docs"), Kind::Blocked, 0, count)
}

/// A person with a clock, who writes down what is heard: `+` for a trouble, `-` for a recovery.
struct Person {
    alarms: Alarms,
    now_ms: i64,
    heard: Vec<String>,
}

impl Person {
    fn new() -> Person {
        Person { alarms: Alarms::default(), now_ms: 1_000_000_000, heard: Vec::new() }
    }

    fn look(&mut self, troubles: &[Trouble], works: bool) -> Option<i64> {
        let works = [("docs".to_owned(), works)].into();
        let evidence = Evidence { troubles: troubles.to_vec(), works };
        let (calls, next) = self.alarms.decide(&evidence, INTERVAL, self.now_ms);
        for call in calls {
            self.heard.push(match call {
                Call::Trouble(trouble) => format!("+{:?} {}", trouble.kind, trouble.count),
                Call::Recovered { kinds, .. } => format!("-{kinds:?}"),
            });
        }
        next
    }

    /// The same for so long, looking when it is wanted.
    fn lasts(&mut self, ms: i64, troubles: &[Trouble], works: bool) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            let next = self.look(troubles, works).unwrap_or(end);
            assert!(next > self.now_ms, "a look that is wanted at once is one without end");
            self.now_ms = next.min(end);
        }
        self.look(troubles, works);
    }

    fn restart(&mut self) {
        let text = serde_json::to_string(&self.alarms).unwrap();
        self.alarms = serde_json::from_str(&text).unwrap();
    }

    fn heard(&self, expected: &[&str]) {
        assert_eq!(self.heard, expected);
    }
}

#[test]
fn a_trouble_is_told_once_and_its_end_too() {
    let mut person = Person::new();
    person.lasts(10_000, &[blocked(1)], false);
    person.lasts(48 * 60 * MINUTE, &[blocked(1)], true);
    person.lasts(MINUTE, &[], true);
    person.lasts(60 * MINUTE, &[], true);
    person.heard(&["+Blocked 1", "-[Blocked]"]);
}

#[test]
fn what_a_second_look_solves_is_not_told() {
    let mut person = Person::new();
    person.lasts(GATHER_MS - 1_000, &[blocked(1)], false);
    person.lasts(MINUTE, &[], true);
    person.lasts(OFFLINE_MS - MINUTE, &[trouble(None, Kind::Offline, person.now_ms, 1)], false);
    person.lasts(MINUTE, &[], true);
    person.heard(&[]);
}

#[test]
fn many_files_that_fail_one_after_the_other_are_few_calls() {
    let mut person = Person::new();
    for count in 1..=50 {
        person.lasts(MINUTE, &[blocked(count)], false);
    }
    person.heard(&["+Blocked 1", "+Blocked 16", "+Blocked 31", "+Blocked 46"]);
}

#[test]
fn after_a_restart_an_old_trouble_is_not_told_again() {
    let mut person = Person::new();
    person.lasts(10_000, &[blocked(3)], false);
    for _ in 0..5 {
        person.restart();
        // Nothing was found to be wrong yet, which proves nothing.
        person.lasts(10_000, &[], false);
        person.lasts(60 * MINUTE, &[blocked(3)], false);
    }
    person.heard(&["+Blocked 3"]);
}

#[test]
fn what_was_solved_while_nobody_worked_is_told_after_the_start() {
    let mut person = Person::new();
    person.lasts(10_000, &[blocked(1)], false);
    person.restart();
    person.lasts(10_000, &[], false);
    person.heard(&["+Blocked 1"]);
    person.lasts(10_000, &[], true);
    person.heard(&["+Blocked 1", "-[Blocked]"]);
}

#[test]
fn a_recovery_is_told_when_all_of_a_mirror_is_over() {
    let mut person = Person::new();
    let held = trouble(Some("docs"), Kind::Held, 0, 1);
    person.lasts(MINUTE, &[held, blocked(1)], false);
    person.lasts(MINUTE, &[blocked(1)], true);
    person.heard(&["+Held 1", "+Blocked 1"]);
    person.lasts(MINUTE, &[], true);
    person.heard(&["+Held 1", "+Blocked 1", "-[Held, Blocked]"]);
}

#[test]
fn what_comes_and_goes_is_told_at_the_pace_that_was_asked_for() {
    let mut person = Person::new();
    for _ in 0..60 {
        person.lasts(30_000, &[blocked(1)], false);
        person.lasts(30_000, &[], true);
    }
    // An hour: four times at most, each with its end.
    assert_eq!(person.heard.len(), 8, "{:?}", person.heard);
}

#[test]
fn what_is_told_of_a_mirror_that_is_not_configured_any_more_is_forgotten() {
    let mut alarms = Alarms::default();
    let mut evidence = Evidence {
        troubles: vec![trouble(Some("other"), Kind::Blocked, 0, 1)],
        works: [("other".to_owned(), false)].into(),
    };
    alarms.decide(&evidence, INTERVAL, 0);
    assert_eq!(alarms.decide(&evidence, INTERVAL, GATHER_MS).0.len(), 1);
    evidence = Evidence { troubles: Vec::new(), works: [("docs".to_owned(), true)].into() };
    assert_eq!(alarms.decide(&evidence, INTERVAL, MINUTE).0, []);
    assert!(!alarms.is_raised());
}

#[test]
fn a_clock_that_is_set_back_silences_nothing() {
    let mut person = Person::new();
    person.lasts(MINUTE, &[blocked(1)], false);
    person.now_ms -= 24 * 60 * MINUTE;
    person.lasts(20 * MINUTE, &[blocked(2)], false);
    person.heard(&["+Blocked 1", "+Blocked 2"]);
}

proptest! {
    /// Whatever happens: no kind is told twice within the interval, and each recovery follows a trouble.
    #[test]
    fn calls_are_few_and_make_sense(steps in proptest::collection::vec((0_u64..4, any::<bool>(), 1_i64..2_000, any::<bool>()), 1..80)) {
        let mut person = Person::new();
        let mut told: Vec<i64> = Vec::new();
        let mut open = false;
        for (count, works, seconds, restart) in steps {
            if restart {
                person.restart();
            }
            let troubles = if count == 0 { Vec::new() } else { vec![blocked(count)] };
            person.look(&troubles, works);
            for heard in person.heard.drain(..) {
                if heard.starts_with('+') {
                    told.push(person.now_ms);
                    open = true;
                } else {
                    prop_assert!(open);
                    open = false;
                }
            }
            person.now_ms += seconds * 1000;
        }
        prop_assert!(told.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL));
    }
}
