//! The machine is short of something (pure): descriptors, memory. Nothing is wrong with the folder, so what was to be
//! looked at is looked at again a little later; only when that goes on is it said of the entry.

/// What could not be looked at is looked at again after this long.
const WAIT_MS: i64 = 5_000;
/// So often in a row.
const TRIES: u32 = 10;

/// How it goes.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    tries: u32,
    until_ms: Option<i64>,
}

impl Shortage {
    /// Something could be looked at.
    pub(super) fn over(&mut self) {
        *self = Shortage::default();
    }

    /// Something could not. Whether it is worth waiting.
    pub(super) fn wait(&mut self, now_ms: i64) -> bool {
        if !self.waits(now_ms) {
            self.tries = self.tries.saturating_add(1);
            self.until_ms = Some(now_ms.saturating_add(WAIT_MS));
        }
        self.tries <= TRIES
    }

    /// Nothing should be looked at now.
    pub(super) fn waits(&self, now_ms: i64) -> bool {
        self.tries <= TRIES && self.until_ms.is_some_and(|until| now_ms < until)
    }

    /// Until when.
    pub(super) fn until_ms(&self) -> Option<i64> {
        self.until_ms.filter(|_| self.tries <= TRIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_waited_for_some_time_and_then_said() {
        let mut short = Shortage::default();
        let mut now_ms = 0;
        while short.wait(now_ms) {
            assert!(short.waits(now_ms));
            assert!(short.wait(now_ms), "many paths at once are one try");
            now_ms += WAIT_MS;
            assert!(!short.waits(now_ms));
            assert!(now_ms < 120_000);
        }
        assert!(now_ms >= 30_000);
        assert!(!short.waits(now_ms), "nothing is held back for ever");
        short.over();
        assert!(short.wait(now_ms));
    }
}
