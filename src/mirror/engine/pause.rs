//! What a person asks of a mirror: to send nothing new for a while, to go on, to look at everything now.
//!
//! A paused mirror is still watched and scanned, so that the journal knows what waits. What is under way when it is
//! paused is brought to its end: to break off an upload would send its bytes twice. Of an upload in parts only the parts
//! that are under way: the others wait.

use super::{Core, MirrorState, Work};
use crate::journal::{JournalError, Pause};
use crate::mirror::requests;

/// The end of a pause is a time of the clock that people set, which may be set or go on while the machine sleeps: it
/// is looked at so often at least.
const LOOK_MS: i64 = 60_000;

impl MirrorState {
    pub(super) fn is_paused(&self) -> bool {
        self.pause.is_some()
    }
}

impl Core {
    pub(super) fn is_paused(&self, mirror: usize) -> bool {
        self.mirrors.get(mirror).is_some_and(MirrorState::is_paused)
    }

    fn named(&self, name: &str) -> Option<usize> {
        let index = self.settings.mirrors.iter().position(|mirror| mirror.name == name);
        if index.is_none() {
            tracing::warn!(
                mirror = name,
                "a request is about {name}, which is no mirror (any more)"
            );
        }
        index
    }

    pub(super) fn pause(
        &mut self,
        work: &mut Work<'_>,
        asked: &requests::Pause,
    ) -> Result<(), JournalError> {
        let Some(index) = self.named(&asked.mirror) else { return Ok(()) };
        let pause = Pause { until_ms: asked.until_ms };
        // It was asked for while no daemon worked, and is over.
        if is_over(pause, work) {
            return self.go_on(work, index);
        }
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        let message = format!("nothing new is sent; `smh-mirror resume {}` ends it", asked.mirror);
        work.turn.pause(state.id, pause.until_ms, &message, work.now.unix_ms)?;
        state.pause = Some(pause);
        let id = state.id;
        // What waits in memory goes back to the journal.
        for waiting in [&mut self.small, &mut self.large] {
            for due in waiting.remove(id) {
                self.held.remove(&due.file.id);
            }
        }
        tracing::info!(mirror = asked.mirror, "{}: paused, nothing new is sent", asked.mirror);
        Ok(())
    }

    pub(super) fn resume(
        &mut self,
        work: &mut Work<'_>,
        asked: &requests::Resume,
    ) -> Result<(), JournalError> {
        match self.named(&asked.mirror) {
            Some(index) => self.go_on(work, index),
            None => Ok(()),
        }
    }

    /// Pauses end by themselves.
    pub(super) fn end_pauses(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        for index in 0..self.mirrors.len() {
            let pause = self.mirrors.get(index).and_then(|state| state.pause);
            if pause.is_some_and(|pause| is_over(pause, work)) {
                self.go_on(work, index)?;
            }
        }
        Ok(())
    }

    fn go_on(&mut self, work: &mut Work<'_>, index: usize) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        if state.pause.take().is_none() {
            return Ok(());
        }
        work.turn.resume(state.id)?;
        // The patience with what may have been moved counts from now on.
        for candidate in self.candidates.iter_mut().filter(|c| c.mirror == index) {
            candidate.since_ms = work.now.mono_ms;
        }
        self.may_leave_orphans(work.now.mono_ms);
        if let Some(settings) = self.settings.mirrors.get(index) {
            tracing::info!(mirror = settings.name, "{}: not paused any more", settings.name);
        }
        Ok(())
    }

    /// When the next pause may be over, monotonic milliseconds.
    pub(super) fn next_resume_ms(&self, work: &Work<'_>) -> Option<i64> {
        let until = self.mirrors.iter().filter_map(|state| state.pause?.until_ms).min()?;
        let wait_ms = until.saturating_sub(work.now.unix_ms).clamp(0, LOOK_MS);
        Some(work.now.mono_ms.saturating_add(wait_ms))
    }

    /// A person wants a mirror, or something in it, to be looked at now.
    pub(super) fn rescan(
        &mut self,
        work: &mut Work<'_>,
        asked: &requests::Rescan,
    ) -> Result<(), JournalError> {
        let Some(index) = self.named(&asked.mirror) else { return Ok(()) };
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        if asked.path.is_root() || state.scan.is_held() {
            // Until it is complete, nobody may say that everything was seen.
            work.turn.mark_dirty(state.id, false)?;
            state.scan.hurry(work.now.mono_ms);
        } else {
            // A directory that is looked at is listed, with everything below it.
            state.hints.insert(asked.path.clone());
        }
        Ok(())
    }
}

fn is_over(pause: Pause, work: &Work<'_>) -> bool {
    pause.until_ms.is_some_and(|until_ms| until_ms <= work.now.unix_ms)
}
