//! Whether there is any sense in asking the service (pure). One prober finds out; nobody burns a budget.

use crate::failure::Class;

/// Failures to connect in a row that mean offline.
const OFFLINE_AFTER: u32 = 3;
const OFFLINE_WAIT: (i64, i64) = (1_000, 60_000);
const AUTH_WAIT: (i64, i64) = (30_000, 600_000);

/// Why the gate is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Offline,
    Auth,
}

/// Open, or closed with the time of the next probe.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: Option<Shut>,
    refused_in_a_row: u32,
}

#[derive(Debug)]
struct Shut {
    why: Closed,
    probes: u32,
    wait_ms: i64,
    /// `None` while a probe is out.
    next_at_ms: Option<i64>,
}

impl Gate {
    pub(super) fn closed(&self) -> Option<Closed> {
        self.closed.as_ref().map(|shut| shut.why)
    }

    /// Probes that failed since it was closed.
    pub(super) fn probes(&self) -> u32 {
        self.closed.as_ref().map_or(0, |shut| shut.probes)
    }

    pub(super) fn next_probe_ms(&self) -> Option<i64> {
        self.closed.as_ref().and_then(|shut| shut.next_at_ms)
    }

    /// Whether to probe now; then the probe is out.
    pub(super) fn take_probe(&mut self, now_ms: i64) -> bool {
        match &mut self.closed {
            Some(shut) if shut.next_at_ms.is_some_and(|at| at <= now_ms) => {
                shut.next_at_ms = None;
                true
            }
            _ => false,
        }
    }

    /// The service answered. Whether that opened the gate.
    pub(super) fn success(&mut self) -> bool {
        self.refused_in_a_row = 0;
        self.closed.take().is_some()
    }

    /// A call failed. Whether that closed the gate, or closed it for another reason.
    pub(super) fn failure(&mut self, class: Class, now_ms: i64) -> bool {
        let why = match class {
            Class::Auth => Closed::Auth,
            Class::Offline => {
                self.refused_in_a_row += 1;
                if self.refused_in_a_row < OFFLINE_AFTER {
                    return false;
                }
                Closed::Offline
            }
            _ => return false,
        };
        if self.closed() == Some(why) {
            return false;
        }
        let (first, _) = range(why);
        self.closed =
            Some(Shut { why, probes: 0, wait_ms: first, next_at_ms: Some(now_ms + first) });
        true
    }

    /// The probe that was out failed: `class` tells how.
    pub(super) fn probe_failed(&mut self, class: Class, now_ms: i64) -> bool {
        let changed = match class {
            Class::Auth | Class::Offline => self.failure(class, now_ms),
            // The service answers, if only with an error: that is not offline, but do not hurry.
            _ => false,
        };
        if let Some(shut) = &mut self.closed {
            let (_, longest) = range(shut.why);
            shut.probes += 1;
            shut.wait_ms = (shut.wait_ms * 2).min(longest);
            shut.next_at_ms = Some(now_ms + shut.wait_ms);
        }
        changed
    }
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

    #[test]
    fn one_prober_until_the_service_answers() {
        let mut gate = Gate::default();
        assert!(!gate.failure(Class::Offline, 0) && !gate.failure(Class::Offline, 0));
        assert_eq!(gate.closed(), None);
        assert!(gate.failure(Class::Offline, 0));
        assert!(!gate.take_probe(999));
        assert!(gate.take_probe(1000) && !gate.take_probe(1000));
        assert!(!gate.probe_failed(Class::Offline, 2000));
        assert_eq!(gate.next_probe_ms(), Some(4000));
        assert!(gate.success() && !gate.success());
        assert_eq!(gate.closed(), None);
    }

    #[test]
    fn refused_credentials_close_at_once() {
        let mut gate = Gate::default();
        assert!(gate.failure(Class::Auth, 0));
        assert_eq!(gate.closed(), Some(Closed::Auth));
    }
}
