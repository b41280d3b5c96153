//! What the service's answers mean for everybody: the gate, the limiter, the conditions that people read.

use super::{Core, MirrorState, Work};
use crate::failure::Class;
use crate::journal::{ConditionKind, EntryId, JournalError};
use crate::mirror::events::Event;
use crate::mirror::gate::{Blame, Closed};
use crate::mirror::limiter::Kind;
use crate::mirror::step::Failure;

/// Without another word of it for this long, the service no longer asks for less.
const CALM_MS: i64 = 10_000;
/// Clocks that differ by more than this are named: tokens and forms have times.
const SKEW_SAID_MS: i64 = 60_000;

/// Whose limit it concerns.
fn kind_of(failure: &Failure) -> Kind {
    if failure.of_content { Kind::Content } else { Kind::Call }
}

impl Core {
    /// Work succeeded.
    pub(super) fn service_answered(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        self.limits.of(Kind::Call).success();
        if self.gate.success() {
            self.goes_on(work)?;
        }
        Ok(())
    }

    /// Half open, with nothing left that could prove that it may open: the answered probe has to be enough.
    pub(super) fn mind_the_gate(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        let idle = self.gate.slots() == Some(1) && !self.is_busy();
        if idle && !self.anything_waits(work)? && self.gate.success() {
            self.goes_on(work)?;
        }
        Ok(())
    }

    /// Whether something is to be sent by itself. What is paused is not.
    fn anything_waits(&self, work: &Work<'_>) -> Result<bool, JournalError> {
        if !self.mirrors.iter().any(MirrorState::is_paused) {
            return work.turn.anything_waits();
        }
        for state in self.mirrors.iter().filter(|state| !state.is_paused()) {
            if work.turn.anything_waits_of(state.id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Throttling is named until it was quiet for a while.
    pub(super) fn mind_the_throttle(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        if self.calm_at_ms.take_if(|at| *at <= work.now.mono_ms).is_some() {
            work.turn.remove_condition(None, ConditionKind::Throttled)?;
        }
        Ok(())
    }

    fn goes_on(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        for kind in [ConditionKind::Offline, ConditionKind::Auth] {
            work.turn.remove_condition(None, kind)?;
        }
        work.out.events.push(Event::Resumed { mirror: None });
        Ok(())
    }

    /// A piece of work failed: whose fault that is, and what it means for everybody.
    pub(super) fn service_failed(
        &mut self,
        work: &mut Work<'_>,
        failure: &Failure,
        entry: &EntryId,
    ) -> Result<Blame, JournalError> {
        let judged = self.gate.failure(failure, Some(entry), work.now.mono_ms);
        if failure.class == Class::Transient {
            self.limits.of(kind_of(failure)).strained(work.now.mono_ms);
        }
        self.refused(work, failure, judged.closed)?;
        Ok(judged.blame)
    }

    pub(super) fn probed(
        &mut self,
        work: &mut Work<'_>,
        result: Result<(), Failure>,
    ) -> Result<(), JournalError> {
        match result {
            Ok(()) => {
                if self.gate.probe_answered() {
                    self.goes_on(work)?;
                }
                Ok(())
            }
            Err(failure) => {
                let closed = self.gate.probe_failed(failure.class, work.now.mono_ms);
                self.refused(work, &failure, closed)
            }
        }
    }

    fn refused(
        &mut self,
        work: &mut Work<'_>,
        failure: &Failure,
        closed: Option<Closed>,
    ) -> Result<(), JournalError> {
        if !matches!(failure.class, Class::Permanent | Class::Local | Class::Stale) {
            self.last_refusal.clone_from(&failure.message);
        }
        if let Some(closed) = closed {
            let (kind, other) = match closed {
                Closed::Auth => (ConditionKind::Auth, ConditionKind::Offline),
                Closed::Offline => (ConditionKind::Offline, ConditionKind::Auth),
            };
            work.turn.remove_condition(None, other)?;
            work.turn.put_condition(None, kind, &failure.message, work.now.unix_ms)?;
            work.out.events.push(Event::Stopped { mirror: None, message: failure.message.clone() });
        }
        if failure.class == Class::Throttled {
            let (now_ms, dice) = (work.now.mono_ms, self.rng.f64());
            let limiter = self.limits.of(kind_of(failure));
            limiter.throttled(now_ms, failure.retry_after, dice);
            let resumes = limiter.resumes_at_ms(now_ms);
            self.calm_at_ms = Some(resumes.unwrap_or(work.now.mono_ms).saturating_add(CALM_MS));
            let message = "the service asks for less; the daemon slows down";
            let kind = ConditionKind::Throttled;
            work.turn.put_condition(None, kind, message, work.now.unix_ms)?;
        }
        Ok(())
    }

    /// The clocks are compared with each answer; only a large difference, or its end, is told.
    pub(super) fn clock_skewed(
        &mut self,
        work: &mut Work<'_>,
        skew_ms: i64,
    ) -> Result<(), JournalError> {
        let seconds = skew_ms.unsigned_abs() / 1000;
        if skew_ms.abs() < SKEW_SAID_MS {
            if work.turn.remove_condition(None, ConditionKind::Clock)? {
                work.out.events.push(Event::ClockSkew(skew_ms));
            }
            return Ok(());
        }
        let side = if skew_ms > 0 { "behind" } else { "ahead of" };
        let message = format!(
            "the clock of this machine is {seconds} s {side} that of the service; set it (timedatectl set-ntp true)"
        );
        work.turn.put_condition(None, ConditionKind::Clock, &message, work.now.unix_ms)?;
        work.out.events.push(Event::ClockSkew(skew_ms));
        Ok(())
    }
}
