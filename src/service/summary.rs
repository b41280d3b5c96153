//! What was done, in a line now and then: single files are for `debug`.

use std::time::Duration;

use crate::clock::{Clock, to_ms};
use crate::mirror::{Event, Observer};
use crate::wording::counted;

/// Work gathers so long before it is told.
const GATHER: Duration = Duration::from_secs(5);
/// A daemon that is busy for days says a line in this time.
const EVERY: Duration = Duration::from_secs(60);

/// Counts what was done since the last line.
pub(super) struct Summary {
    clock: Clock,
    done: Done,
    /// When what was done is told, monotonic milliseconds; `None`: there is nothing to tell.
    due_at_ms: Option<i64>,
    told_at_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Done {
    files: u64,
    bytes: u64,
    deleted: u64,
    failed: u64,
}

impl Summary {
    pub(super) fn new(clock: Clock) -> Summary {
        Summary { clock, done: Done::default(), due_at_ms: None, told_at_ms: None }
    }

    /// Tells what is left to be told.
    pub(super) fn finish(&mut self) {
        if self.due_at_ms.is_some() {
            self.tell(self.clock.now().mono_ms);
        }
    }

    fn tell(&mut self, now_ms: i64) {
        let Done { files, bytes, deleted, failed } = std::mem::take(&mut self.done);
        let said: Vec<String> = [
            (files, format!("mirrored {} ({})", counted(files, "file"), counted(bytes, "byte"))),
            (deleted, format!("deleted {}", counted(deleted, "copy"))),
            (failed, format!("{} failed", counted(failed, "try"))),
        ]
        .into_iter()
        .filter_map(|(count, words)| (count > 0).then_some(words))
        .collect();
        let said = said.join(", ");
        tracing::info!(files, bytes, deleted, failed, "{said}");
        self.due_at_ms = None;
        self.told_at_ms = Some(now_ms);
    }
}

/// When something that was done now is told.
fn due_at_ms(now_ms: i64, told_at_ms: Option<i64>) -> i64 {
    let soon = now_ms.saturating_add(to_ms(GATHER));
    told_at_ms.map_or(soon, |told| soon.max(told.saturating_add(to_ms(EVERY))))
}

impl Observer for Summary {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Synced { bytes, .. } => {
                self.done.files += 1;
                self.done.bytes += bytes;
            }
            Event::Moved { files, .. } => self.done.files += files,
            Event::Deleted { .. } => self.done.deleted += 1,
            Event::Trouble { .. } => self.done.failed += 1,
            _ => return,
        }
        let now_ms = self.clock.now().mono_ms;
        self.due_at_ms.get_or_insert_with(|| due_at_ms(now_ms, self.told_at_ms));
    }

    fn alive(&mut self) {
        let now_ms = self.clock.now().mono_ms;
        if self.due_at_ms.is_some_and(|due| due <= now_ms) {
            self.tell(now_ms);
        }
    }

    fn beat(&self) -> Option<Duration> {
        let left_ms = self.due_at_ms?.saturating_sub(self.clock.now().mono_ms).max(1);
        Some(Duration::from_millis(left_ms.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_work_is_told_soon_and_more_of_it_once_a_minute() {
        assert_eq!(due_at_ms(1_000, None), 6_000);
        assert_eq!(due_at_ms(7_000, Some(6_000)), 66_000);
        assert_eq!(due_at_ms(65_000, Some(6_000)), 70_000);
        assert_eq!(due_at_ms(9_000_000, Some(6_000)), 9_005_000);
    }
}
