//! Directories that could not be listed: what lies in them is not known, and not gone.

use crate::failure::Class;
use crate::journal::{DirId, JournalError, UnreadableRow};
use crate::mirror::engine::{Core, Work};
use crate::mirror::events::Event;
use crate::relpath::RelPath;
use crate::tree::Absent;

impl Core {
    pub(in crate::mirror::engine) fn list_failed(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &RelPath,
        why: Absent,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        if state.scan.under_way.take_if(|listed| listed == dir).is_none() {
            return Ok(());
        }
        let Some(mut current) = state.scan.current.take() else {
            return self.next_listing(work, index);
        };
        state.hints.append(&mut current.touched);
        match why {
            Absent::Short(_) if state.scan.short.wait(work.now.mono_ms) => {
                state.scan.stack.push(current.path, current.wanted);
                return Ok(());
            }
            Absent::Root(message) => return self.hold(work, index, &message),
            // Its parent was listed a moment ago: what is there now?
            Absent::Gone if !dir.is_root() => {
                if state.scan.doubted.insert(dir.clone()) {
                    state.hints.insert(dir.clone());
                } else {
                    // It was there when it was looked at, and still does not open: asking on would go round.
                    let message = "it is there, and cannot be opened".to_owned();
                    self.unreadable(work, index, current.id, dir, message)?;
                }
            }
            Absent::Gone => return self.hold(work, index, "the root is not there"),
            Absent::Unreadable(message) | Absent::Short(message) => {
                let message = format!("cannot list the directory: {message}");
                self.unreadable(work, index, current.id, dir, message)?;
            }
        }
        self.next_listing(work, index)
    }

    /// What lies in this directory is not known. That is said until it can be listed again.
    pub(in crate::mirror::engine) fn unreadable(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: DirId,
        path: &RelPath,
        message: String,
    ) -> Result<(), JournalError> {
        let before = work.turn.unreadable(dir)?;
        let now_ms = work.now.unix_ms;
        // Nobody tells when it can be read again, if nobody tells of the directory that holds it.
        if let Some(state) = self.mirrors.get_mut(index)
            && let Some(row) = work.turn.dir(dir)?
            && row.parent.is_some_and(|parent| state.scan.polls.contains(parent))
        {
            state.scan.polls.put(dir, false);
        }
        if before.is_none() {
            work.out.events.push(Event::Trouble {
                mirror: self
                    .settings
                    .mirrors
                    .get(index)
                    .map(|m| m.name.clone())
                    .unwrap_or_default(),
                path: path.clone(),
                class: Class::Local,
                code: None,
                request_id: None,
                message: message.clone(),
                blocked: true,
            });
        }
        work.turn.put_unreadable(&UnreadableRow {
            dir,
            message,
            attempts: before.as_ref().map_or(1, |row| row.attempts.saturating_add(1)),
            first_at_ms: before.map_or(now_ms, |row| row.first_at_ms),
            last_at_ms: now_ms,
        })
    }
}
