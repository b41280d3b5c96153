//! Whether the root is what it was: a scan begins with that, and nothing is concluded without it.

use super::Phase;
use crate::journal::{ConditionKind, JournalError, RootIdentity};
use crate::mirror::engine::stack::{Reach, Wanted};
use crate::mirror::engine::{Core, Work};
use crate::mirror::events::Event;
use crate::relpath::RelPath;
use crate::tree::{RootError, RootId};

/// A held root is looked at again after this long.
const HELD_WAIT_MS: i64 = 15_000;
impl Core {
    pub(in crate::mirror::engine) fn root_seen(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        seen: Result<(RootId, bool), RootError>,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        if !matches!(state.scan.phase, Phase::Root) {
            return Ok(());
        }
        let mut changed = false;
        let problem = match seen {
            Err(RootError::Shortage(..)) if state.scan.short.wait(work.now.mono_ms) => {
                state.scan.phase = Phase::Idle;
                state.scan.next_full_at_ms = state.scan.short.until_ms();
                return work.turn.mark_dirty(state.id, false);
            }
            Err(error) => Some(error.to_string()),
            Ok((id, empty)) => {
                let id = RootIdentity { inode: id.inode, fsid: id.fsid };
                state.root = Some(id);
                let known = work.turn.mirror_root(state.id)?;
                // The number of a filesystem may change with a reboot; an empty folder in the place of
                // a full one is what a missing mount looks like.
                let replaced = known.is_some_and(|known| known.inode != id.inode);
                if replaced && empty && work.turn.has_files(state.id)? {
                    Some(
                        "the root is another, empty folder than before; is its filesystem mounted?"
                            .to_owned(),
                    )
                } else {
                    if known != Some(id) {
                        work.turn.set_root(state.id, id)?;
                        if known.is_some() {
                            changed = true;
                        }
                    }
                    None
                }
            }
        };
        match problem {
            Some(message) => self.hold(work, index, &message),
            None => {
                let name = self.settings.mirrors.get(index).map(|m| m.name.clone());
                if work.turn.remove_condition(Some(state.id), ConditionKind::Root)? {
                    work.out.events.push(Event::Resumed { mirror: name });
                }
                state.scan.short.over();
                state.scan.held = false;
                state.scan.full = true;
                state.scan.polls.give_up();
                state.scan.stack.clear();
                state.scan.stack.push(RelPath::root(), Wanted { reach: Reach::All });
                state.scan.current = None;
                state.scan.phase = Phase::Listing;
                if let Some(root) = work.turn.dir_at(state.id, &RelPath::root())? {
                    self.dir_seen_again(work, &root)?;
                }
                if changed {
                    self.root_replaced(work, index)?;
                }
                self.next_listing(work, index)
            }
        }
    }

    /// The root is not there: nothing below it is known, and nothing is done about it.
    pub(in crate::mirror::engine) fn hold(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        message: &str,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        work.turn.put_condition(Some(state.id), ConditionKind::Root, message, work.now.unix_ms)?;
        work.turn.mark_dirty(state.id, false)?;
        if !state.scan.held {
            let mirror = self.settings.mirrors.get(index).map(|m| m.name.clone());
            work.out.events.push(Event::Stopped { mirror, message: message.to_owned() });
        }
        state.root = None;
        let scan = &mut state.scan;
        scan.held = true;
        scan.passed = true;
        scan.stack.clear();
        scan.polls.give_up();
        scan.current = None;
        scan.again = false;
        scan.phase = Phase::Idle;
        scan.next_full_at_ms = (!self.settings.once).then_some(work.now.mono_ms + HELD_WAIT_MS);
        Ok(())
    }
}
