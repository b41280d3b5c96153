//! Scans: when they run, and what is listed next.

mod root;
mod unreadable;

use std::collections::{BTreeSet, HashSet};

use super::polls::Polls;
use super::shortage::Shortage;
use super::stack::{Reach, Stack, Wanted};
use super::{Core, Work};
use crate::clock::to_ms;
use crate::config::WatchMode;
use crate::journal::{ConditionKind, DirId, JournalError};
use crate::mirror::events::Event;
use crate::mirror::facts::Effect;
use crate::relpath::RelPath;

/// After lost hints, a scan waits so long for others to be lost.
pub(super) const OVERFLOW_WAIT_MS: i64 = 1_000;
/// When hints are lost while scans run, again and again, the next one waits longer, up to this.
const OVERFLOW_WAIT_MAX_MS: i64 = 60_000;

/// Scans that nothing was lost for begin at least so many times as far apart as one takes, within these bounds.
const GENTLE_SHARE: i64 = 20;
const GENTLE_MS: (i64, i64) = (1_000, 600_000);

/// How far the scan of one mirror got.
#[derive(Debug)]
pub(super) struct ScanState {
    pub(super) phase: Phase,
    /// The one that runs begins at the root.
    pub(super) full: bool,
    /// When the next full scan begins, monotonic milliseconds; `None` while one runs. Whatever is listed in between
    /// does not move it.
    next_full_at_ms: Option<i64>,
    pub(super) stack: Stack,
    pub(super) current: Option<Current>,
    /// What the shell lists now. It may have been given up since: then its pages are nobody's, and the next listing
    /// waits for its end, so that the pages of two never mix.
    pub(super) under_way: Option<RelPath>,
    /// Directories whose last listing said that they are gone.
    pub(super) doubted: HashSet<RelPath>,
    /// The machine was short of something when it was last asked.
    pub(super) short: Shortage,
    /// No scan was ever complete.
    pub(super) first: bool,
    pub(super) passed: bool,
    pub(super) held: bool,
    /// Something was lost while a full scan ran.
    pub(super) again: bool,
    /// When the last full scan began, monotonic milliseconds.
    began_at_ms: i64,
    /// How long the last one took.
    took_ms: i64,
    /// How long the scan after such a one waits.
    again_wait_ms: i64,
    /// Directories that are watched, as the watcher says.
    pub(super) watched: u64,
    /// Those that are not.
    pub(super) polls: Polls,
    /// What the journal knows of both.
    told: Option<(u64, u64)>,
    pub(super) missed: u64,
    /// Entries that the full scan which runs has come to.
    pub(super) seen: u64,
}

#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    Root,
    Listing,
}

#[derive(Debug)]
pub(super) struct Current {
    pub(super) path: RelPath,
    pub(super) id: DirId,
    pub(super) wanted: Wanted,
    /// The last name that was merged.
    pub(super) after: Option<Vec<u8>>,
    pub(super) unknown: u64,
    /// Entries that were looked at meanwhile. The names may have been read before: a page that does not show what has
    /// appeared since, or shows what it was before, must not have the last word.
    pub(super) touched: BTreeSet<RelPath>,
}

impl ScanState {
    /// Due at once.
    pub(super) fn new(first: bool) -> ScanState {
        ScanState {
            phase: Phase::Idle,
            full: false,
            next_full_at_ms: Some(0),
            stack: Stack::default(),
            current: None,
            under_way: None,
            doubted: HashSet::new(),
            short: Shortage::default(),
            first,
            passed: false,
            held: false,
            again: false,
            began_at_ms: 0,
            took_ms: 0,
            again_wait_ms: OVERFLOW_WAIT_MS,
            watched: 0,
            polls: Polls::default(),
            told: None,
            missed: 0,
            seen: 0,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Idle) || !self.stack.is_empty()
    }

    /// A full scan ended, or was refused by its root, in this run.
    pub(super) fn had_a_pass(&self) -> bool {
        self.passed
    }

    /// The root is not what it should be: nothing below is known.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    pub(super) fn next_at_ms(&self) -> Option<i64> {
        let (full, poll) = match self.phase {
            Phase::Idle => (self.next_full_at_ms, self.polls.next_at_ms()),
            // Its facts wake the engine.
            Phase::Root | Phase::Listing => (None, None),
        };
        [full, poll, self.short.until_ms()].into_iter().flatten().min()
    }

    /// A full scan runs: it began before whatever happens now.
    pub(super) fn is_full(&self) -> bool {
        match self.phase {
            Phase::Idle => false,
            Phase::Root => true,
            Phase::Listing => self.full,
        }
    }

    fn full_is_due(&self, now_ms: i64) -> bool {
        !self.is_full() && self.next_full_at_ms.is_some_and(|at| at <= now_ms)
    }

    /// Something at or below `path` is being listed, or will be.
    pub(super) fn is_looking_into(&self, path: &RelPath) -> bool {
        self.is_full()
            || self.stack.has_within(path)
            || self.current.as_ref().is_some_and(|current| current.path.is_within(path))
    }

    /// A scan that is not the first goes on, and did not for long: it may find out what is gone.
    pub(super) fn may_show_what_is_gone(&self, now_ms: i64, patience_ms: i64) -> bool {
        self.is_full()
            && !self.first
            && !self.held
            && now_ms.saturating_sub(self.began_at_ms) < patience_ms
    }

    /// A full scan as soon as possible, unless the last one began less than `ms` ago.
    pub(super) fn hurry_unless_recent(&mut self, now_ms: i64, ms: i64) {
        if now_ms.saturating_sub(self.began_at_ms) >= ms {
            self.hurry(now_ms);
        }
    }

    /// A full scan soon, but so that one after the other takes a small share of the time.
    pub(super) fn hurry_gently(&mut self, now_ms: i64) {
        let rest_ms = self.took_ms.saturating_mul(GENTLE_SHARE).clamp(GENTLE_MS.0, GENTLE_MS.1);
        self.hurry((now_ms + GENTLE_MS.0).max(self.began_at_ms.saturating_add(rest_ms)));
    }

    /// A full scan as soon as possible.
    pub(super) fn hurry(&mut self, at_ms: i64) {
        if self.is_full() {
            self.again = true;
        } else {
            self.next_full_at_ms = Some(self.next_full_at_ms.map_or(at_ms, |next| next.min(at_ms)));
        }
    }

    /// `path` is listed again, and below it what is new.
    pub(super) fn relist_itself(&mut self, path: &RelPath) {
        if !self.stack.covers(path) {
            self.stack.push(path.clone(), Wanted { reach: Reach::News });
        }
    }

    /// Everything at and below `path` is listed again.
    pub(super) fn relist(&mut self, path: &RelPath) {
        if !self.stack.covers(path) {
            self.stack.push(path.clone(), Wanted { reach: Reach::All });
        }
    }
}

impl Core {
    pub(super) fn advance_scans(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        for index in 0..self.mirrors.len() {
            self.advance_looks(work, index);
            let Some(state) = self.mirrors.get_mut(index) else { continue };
            let scan = &mut state.scan;
            if matches!(scan.phase, Phase::Idle) {
                let polls_due = scan.polls.is_due(work.now.mono_ms);
                if scan.full_is_due(work.now.mono_ms) {
                    begin_full(scan, work, index);
                } else if (polls_due || !scan.stack.is_empty()) && !scan.held {
                    scan.phase = Phase::Listing;
                    scan.full = false;
                }
            }
            self.next_listing(work, index)?;
            self.tell_watched(work, index)?;
        }
        Ok(())
    }

    /// Lists the next directory, or ends the scan.
    pub(super) fn next_listing(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
    ) -> Result<(), JournalError> {
        loop {
            let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
            let scan = &mut state.scan;
            if !matches!(scan.phase, Phase::Listing)
                || scan.current.is_some()
                || scan.under_way.is_some()
                || scan.short.waits(work.now.mono_ms)
            {
                return Ok(());
            }
            // Whatever waits to be listed, the full scan comes to it too.
            if scan.full_is_due(work.now.mono_ms) {
                begin_full(scan, work, index);
                return Ok(());
            }
            if !scan.full && scan.polls.is_due(work.now.mono_ms) {
                scan.polls.begin();
            }
            let (dir, path, wanted) = if let Some((path, wanted)) = scan.stack.pop() {
                (work.turn.dir_at(state.id, &path)?, path, wanted)
            } else if let Some(polled) = scan.polls.next() {
                let Some(dir) = work.turn.dir(polled)?.filter(|dir| dir.gone_at_ms.is_none())
                else {
                    scan.polls.remove(polled);
                    continue;
                };
                let path = dir.path.clone();
                // Known directories in it are watched, or polled like it.
                (Some(dir), path, Wanted { reach: Reach::News })
            } else {
                return self.scan_ended(work, index);
            };
            // Gone since it was put on the stack: whoever noticed wrote it down.
            let Some(dir) = dir.filter(|dir| dir.gone_at_ms.is_none()) else {
                continue;
            };
            scan.current = Some(Current {
                path: path.clone(),
                id: dir.id,
                wanted,
                after: None,
                unknown: 0,
                touched: BTreeSet::new(),
            });
            scan.under_way = Some(path.clone());
            work.out.effects.push(Effect::List { mirror: index, dir: path });
            return Ok(());
        }
    }

    fn scan_ended(&mut self, work: &mut Work<'_>, index: usize) -> Result<(), JournalError> {
        let jitter = 0.9 + self.rng.f64() * 0.2;
        let (Some(state), Some(settings)) =
            (self.mirrors.get_mut(index), self.settings.mirrors.get(index))
        else {
            return Ok(());
        };
        let scan = &mut state.scan;
        let poll_at_ms = work.now.mono_ms.saturating_add(jittered(settings.poll_interval, jitter));
        let rescan_at_ms = work.now.mono_ms.saturating_add(jittered(settings.rescan, jitter));
        // When hardly anything is watched, a full scan is no more work than a round.
        let all_at_once = scan.polls.are_most(scan.watched);
        scan.phase = Phase::Idle;
        let was_full = scan.full;
        if scan.full {
            let again = std::mem::take(&mut scan.again);
            work.turn.scan_complete(state.id, work.now.unix_ms)?;
            if again {
                work.turn.mark_dirty(state.id, false)?;
            }
            scan.full = false;
            scan.first = false;
            scan.passed = true;
            scan.next_full_at_ms = match (self.settings.once, again) {
                (_, true) => Some(work.now.mono_ms + scan.again_wait_ms),
                (true, false) => None,
                (false, false) if all_at_once => Some(rescan_at_ms.min(poll_at_ms)),
                (false, false) => Some(rescan_at_ms),
            };
            scan.again_wait_ms = match again {
                true => scan.again_wait_ms.saturating_mul(2).min(OVERFLOW_WAIT_MAX_MS),
                false => OVERFLOW_WAIT_MS,
            };
            scan.took_ms = work.now.mono_ms.saturating_sub(scan.began_at_ms);
            work.out.events.push(Event::Scanned {
                mirror: settings.name.clone(),
                entries: scan.seen,
                took_ms: scan.took_ms,
            });
            if !self.settings.once {
                work.out.effects.push(Effect::Sweep(index));
            }
        } else if all_at_once && !self.settings.once {
            // Nobody tells what happens in a directory that could not be watched.
            scan.hurry(poll_at_ms);
        }
        if all_at_once || self.settings.once {
            scan.polls.give_up();
        } else {
            scan.polls.plan(poll_at_ms);
        }
        if was_full {
            let mirror = state.id;
            work.turn.retry_defect_deletes(mirror, work.now.unix_ms)?;
            self.may_leave_orphans(work.now.mono_ms);
            self.review_holds(work, index)?;
        }
        Ok(())
    }

    /// The watcher counted.
    pub(super) fn watched(&mut self, index: usize, directories: u64) {
        if let Some(state) = self.mirrors.get_mut(index) {
            state.scan.watched = directories;
        }
    }

    /// The journal is told how many directories are watched and polled, when nothing is being listed.
    fn tell_watched(&mut self, work: &mut Work<'_>, index: usize) -> Result<(), JournalError> {
        let (Some(state), Some(settings)) =
            (self.mirrors.get_mut(index), self.settings.mirrors.get(index))
        else {
            return Ok(());
        };
        let scan = &mut state.scan;
        let now = (scan.watched, scan.polls.len());
        let news = scan.told != Some(now) || scan.missed > 0;
        // Before the first scan, what an earlier run counted is nearer to the truth.
        if !matches!(scan.phase, Phase::Idle) || !news || !scan.passed {
            return Ok(());
        }
        scan.told = Some(now);
        let (watched, polled) = now;
        work.turn.set_watch(state.id, watched, polled, std::mem::take(&mut scan.missed))?;
        let kind = ConditionKind::Watch;
        if settings.watch == WatchMode::Inotify && polled > 0 && !self.settings.once {
            let message = format!(
                "{polled} of {} directories cannot be watched, as watch = \"inotify\" asks; they are listed every {} s instead; raise fs.inotify.max_user_watches, and see `smh-mirror doctor`",
                watched.saturating_add(polled),
                settings.poll_interval.as_secs(),
            );
            work.turn.put_condition(Some(state.id), kind, &message, work.now.unix_ms)?;
        } else {
            work.turn.remove_condition(Some(state.id), kind)?;
        }
        Ok(())
    }

    pub(super) fn overflow(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        for state in &mut self.mirrors {
            work.turn.mark_dirty(state.id, true)?;
            state.hints.clear();
            state.scan.hurry(work.now.mono_ms + OVERFLOW_WAIT_MS);
        }
        Ok(())
    }
}

fn begin_full(scan: &mut ScanState, work: &mut Work<'_>, index: usize) {
    scan.next_full_at_ms = None;
    scan.began_at_ms = work.now.mono_ms;
    scan.phase = Phase::Root;
    scan.seen = 0;
    work.out.effects.push(Effect::Root(index));
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "milliseconds of days at most"
)]
fn jittered(wait: std::time::Duration, jitter: f64) -> i64 {
    (to_ms(wait) as f64 * jitter) as i64
}
