//! Holds: deletes wait for a person because something looks wrong. Design section 7.

use super::{Core, Work};
use crate::config::Delete;
use crate::journal::{Activity, Approval, DirRow, HoldKind, HoldRow, JournalError};
use crate::mirror::brakes::{self, Brake};
use crate::mirror::events::Event;
use crate::mirror::requests::Answer;
use crate::relpath::RelPath;
use crate::wording::{counted, verb};

/// Holds that are about all deletes of a mirror. They end when nothing is to be deleted any more.
const OF_THE_MIRROR: &[HoldKind] =
    &[HoldKind::TooMany, HoldKind::Emptied, HoldKind::Replaced, HoldKind::NoRecycleBin];

impl Core {
    /// Deletes of a mirror wait. Said once.
    pub(super) fn put_hold(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        kind: HoldKind,
        path: &RelPath,
        message: &str,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get(index) else { return Ok(()) };
        let now_ms = work.now.unix_ms;
        if work.turn.put_hold(state.id, kind, path, message, now_ms)? {
            work.turn.record(now_ms, state.id, path, Activity::Held, message)?;
            work.out
                .events
                .push(Event::Held { mirror: self.name_of(index), message: message.to_owned() });
        }
        Ok(())
    }

    /// Whether nothing speaks against deleting what is gone.
    pub(super) fn brakes_are_off(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
    ) -> Result<bool, JournalError> {
        let (Some(state), Some(settings)) =
            (self.mirrors.get(index), self.settings.mirrors.get(index))
        else {
            return Ok(false);
        };
        let id = state.id;
        if !work.turn.holds(id)?.is_empty() {
            return Ok(false);
        }
        // Counted anew only when something went since.
        if state.brakes_are_off {
            return Ok(true);
        }
        let planned = work.turn.planned_deletes(id, Approval::Delete)?;
        let limits = settings.max_delete;
        let all = match limits.percent {
            Some(_) if planned > 1 => work.turn.confirmed_files(id)?,
            _ => 0,
        };
        let (kind, message) = match brakes::judge(planned, all, work.turn.has_files(id)?, limits) {
            None => {
                self.set_brakes(index, true);
                return Ok(true);
            }
            Some(Brake::Emptied) => (
                HoldKind::Emptied,
                format!(
                    "nothing was left in the folder: {} {} gone",
                    counted(planned, "file"),
                    verb(planned, "was", "were")
                ),
            ),
            Some(Brake::TooMany) => {
                let files = match all {
                    0 => counted(planned, "file"),
                    all => format!("{planned} of {}", counted(all, "file")),
                };
                let message = format!("{files} were gone at once, more than max_delete allows");
                (HoldKind::TooMany, message)
            }
        };
        self.put_hold(work, index, kind, &RelPath::root(), &message)?;
        Ok(false)
    }

    /// A dry run deletes nothing, and so is nowhere asked whether too much would be deleted. What was only renamed counts
    /// as gone here: that it was moved shows itself when the new names are read.
    pub(super) fn foresee_holds(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        for index in 0..self.mirrors.len() {
            let deletes =
                self.settings.mirrors.get(index).is_some_and(|m| m.delete != Delete::Keep);
            let looked_at = self.mirrors.get(index).is_some_and(|m| !m.scan.is_held());
            let Some(id) = self.mirrors.get(index).map(|mirror| mirror.id) else { continue };
            if !deletes || !looked_at {
                continue;
            }
            if !work.turn.due_file_deletes(id, work.now.unix_ms, None, 1)?.is_empty() {
                self.brakes_are_off(work, index)?;
            }
        }
        Ok(())
    }

    /// Something went, or a person decided: what was found about the deletes of a mirror is not true any more.
    pub(super) fn set_brakes(&mut self, index: usize, off: bool) {
        if let Some(state) = self.mirrors.get_mut(index) {
            state.brakes_are_off = off;
        }
    }

    /// The root is another directory, or lies on another filesystem, than at the last scan. What is missing there may
    /// just not be there yet.
    pub(super) fn root_replaced(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
    ) -> Result<(), JournalError> {
        let deletes =
            self.settings.mirrors.get(index).is_some_and(|mirror| mirror.delete != Delete::Keep);
        let Some(state) = self.mirrors.get(index) else { return Ok(()) };
        if !deletes || !work.turn.has_files(state.id)? {
            return Ok(());
        }
        let message = "the folder is another directory than before, or lies on another filesystem";
        self.put_hold(work, index, HoldKind::Replaced, &RelPath::root(), message)
    }

    /// After a full scan: what looked wrong may be right again.
    pub(super) fn review_holds(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get(index) else { return Ok(()) };
        let id = state.id;
        let holds = work.turn.holds(id)?;
        if holds.is_empty() {
            return Ok(());
        }
        if work.turn.planned_deletes(id, Approval::Delete)? > 0 {
            return Ok(());
        }
        let mut over = false;
        for hold in holds {
            if hold.kind.is_some_and(|kind| OF_THE_MIRROR.contains(&kind)) {
                work.turn.remove_hold_by_id(hold.id)?;
                let why = "nothing is to be deleted any more";
                work.turn.record(work.now.unix_ms, id, &hold.path, Activity::Released, why)?;
                over = true;
            }
        }
        if over {
            work.out.events.push(Event::Released { mirror: self.name_of(index) });
        }
        Ok(())
    }

    /// A person decided.
    pub(super) fn answered(
        &mut self,
        work: &mut Work<'_>,
        answer: Answer,
    ) -> Result<(), JournalError> {
        let Some(hold) = work.turn.hold(answer.hold)? else {
            tracing::warn!(
                hold = answer.hold,
                "there is no hold {} (any more): its answer means nothing",
                answer.hold
            );
            return Ok(());
        };
        let Some(index) = self.mirrors.iter().position(|state| state.id == hold.mirror) else {
            return Ok(());
        };
        let planned = work.turn.planned_deletes(hold.mirror, Approval::Delete)?;
        match hold.kind {
            Some(HoldKind::Unmounted) => {
                self.unmounted_answered(work, index, &hold, answer.approve)?
            }
            // A newer program made it, and knows what it means.
            None => return Ok(()),
            Some(kind) => {
                if answer.approve {
                    let approval = match kind {
                        HoldKind::NoRecycleBin => Approval::ForGood,
                        _ => Approval::Delete,
                    };
                    work.turn.approve_deletes(hold.mirror, answer.asked_ms, approval)?;
                } else {
                    work.turn.keep_what_is_gone(hold.mirror)?;
                }
                work.turn.remove_hold_by_id(hold.id)?;
            }
        }
        self.set_brakes(index, false);
        let what = if answer.approve { Activity::Approved } else { Activity::Rejected };
        let detail = decided(&hold, answer.approve, planned);
        work.turn.record(work.now.unix_ms, hold.mirror, &hold.path, what, &detail)?;
        work.out.events.push(Event::Released { mirror: self.name_of(index) });
        Ok(())
    }

    /// Nothing is mounted any more where a filesystem was: what lay on it is not known, and not gone.
    pub(super) fn unmounted(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &DirRow,
    ) -> Result<(), JournalError> {
        let message = format!(
            "the filesystem that was mounted at {} is not mounted any more: what lies on it is not known",
            dir.path
        );
        self.unreadable(work, index, dir.id, &dir.path, message.clone())?;
        self.put_hold(work, index, HoldKind::Unmounted, &dir.path, &message)?;
        if let Some(state) = self.mirrors.get_mut(index) {
            state.unmounted.insert(dir.path.clone());
        }
        Ok(())
    }

    /// It is mounted again.
    pub(super) fn mounted_again(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &DirRow,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        let id = state.id;
        if state.unmounted.remove(&dir.path)
            && work.turn.remove_hold(id, HoldKind::Unmounted, &dir.path)?
        {
            let why = "its filesystem is mounted again";
            work.turn.record(work.now.unix_ms, id, &dir.path, Activity::Released, why)?;
            work.out.events.push(Event::Released { mirror: self.name_of(index) });
        }
        Ok(())
    }

    /// Something else is mounted over a directory that holds mirrored files: those are hidden, not gone.
    pub(super) fn mounted_over(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &DirRow,
    ) -> Result<(), JournalError> {
        let keeps =
            self.settings.mirrors.get(index).is_none_or(|settings| settings.delete == Delete::Keep);
        if keeps || !work.turn.has_files_below(dir)? {
            return Ok(());
        }
        let message = format!(
            "another filesystem is mounted at {} now: the files that were mirrored from there are hidden",
            dir.path
        );
        self.put_hold(work, index, HoldKind::Replaced, &dir.path, &message)
    }

    /// The directory stays as it is now: what lay in it is gone, and its copies are deleted or kept.
    fn unmounted_answered(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        hold: &HoldRow,
        approve: bool,
    ) -> Result<(), JournalError> {
        work.turn.remove_hold_by_id(hold.id)?;
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        state.unmounted.remove(&hold.path);
        let Some(dir) = work.turn.dir_at(hold.mirror, &hold.path)? else { return Ok(()) };
        // What is there now is what is seen from now on.
        work.turn.set_dir_mark(dir.id, 0, false, 0)?;
        work.turn.remove_unreadable(dir.id)?;
        let at_ms = if approve { self.delete_at(work, index) } else { None };
        work.turn.children_gone(&dir, work.now.unix_ms, at_ms)?;
        if let Some(state) = self.mirrors.get_mut(index) {
            state.scan.relist(&hold.path);
            state.scan.hurry(work.now.mono_ms);
        }
        Ok(())
    }

    pub(super) fn name_of(&self, index: usize) -> String {
        self.settings.mirrors.get(index).map(|mirror| mirror.name.clone()).unwrap_or_default()
    }
}

/// What a decision means, for the history. `planned`: files whose copies waited for it.
fn decided(hold: &HoldRow, approve: bool, planned: u64) -> String {
    let copies = match hold.kind {
        Some(HoldKind::Unmounted) => "what was in it counts as gone, its copies".to_owned(),
        _ => format!(
            "the copies of {} that {} gone",
            counted(planned, "file"),
            verb(planned, "is", "are")
        ),
    };
    let then = if approve { "may be deleted" } else { "are kept" };
    format!("hold {}: {copies} {then}", hold.id)
}
