//! Files that are closed after they were read: what a program wrote through a shared map of the file meanwhile.
//!
//! The kernel moves the times of a file when a page of it is first stored to through a map, and tells nobody. It moves them
//! again only after that page was written to the disk: whatever is stored until then shows itself nowhere, but that the
//! last map and descriptor are closed at last. So a file that was read so soon after its times moved, and that is closed
//! later, is read and compared once more.

use super::{Core, Work};
use crate::clock::to_ms;
use crate::journal::{EntryId, JournalError};
use crate::mirror::events::Event;
use crate::relpath::RelPath;

/// A page is written to the disk within this time of the first store (`vm.dirty_expire_centisecs` is 30 s, and a busy disk
/// takes longer).
const DIRTY_MS: i64 = 120_000;
/// Names that are held until they are looked at, and files that were read so soon; beyond it they are forgotten, and
/// `verify --deep` is left to find what was missed.
const MOST: usize = 65_536;
const MOST_READ: usize = 4_096;

impl Core {
    /// Files were closed that somebody could have written to.
    pub(super) fn were_closed(&mut self, index: usize, paths: Vec<RelPath>) {
        let Some(state) = self.mirrors.get_mut(index) else { return };
        state.closed.extend(paths);
        if state.closed.len() > MOST {
            state.closed.clear();
        }
    }

    /// A file was looked at that was closed.
    pub(super) fn looked_at_closed(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        entry: &EntryId,
    ) -> Result<(), JournalError> {
        if self.transfers.values().any(|active| active.entry == *entry) {
            // It may have been read before.
            if self.closed_meanwhile.len() < MOST_READ {
                self.closed_meanwhile.insert(entry.clone());
            }
            return Ok(());
        }
        self.read_once_more(work, index, entry)
    }

    /// A file was confirmed that was begun to be read at `read_at_ms`.
    pub(super) fn was_read(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        entry: &EntryId,
        ctime_ns: i64,
        read_at_ms: i64,
    ) -> Result<(), JournalError> {
        let may_be_dirty = is_soon(ctime_ns, read_at_ms);
        match may_be_dirty && !is_soon(ctime_ns, work.now.unix_ms) {
            // The time of the confirm does not tell that any more.
            true if self.read_soon.len() < MOST_READ => _ = self.read_soon.insert(entry.clone()),
            true => {}
            false => _ = self.read_soon.remove(entry),
        }
        match self.closed_meanwhile.remove(entry) {
            true => self.read_once_more(work, index, entry),
            false => Ok(()),
        }
    }

    fn read_once_more(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        entry: &EntryId,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get(index) else { return Ok(()) };
        let Some(mut row) = work.turn.file(entry)? else { return Ok(()) };
        let Some(mut confirmed) = row.confirmed else { return Ok(()) };
        let soon = is_soon(row.seen.ctime_ns, confirmed.at_ms) || self.read_soon.contains(entry);
        if !soon || row.seen.size == 0 || !row.is_synced() || row.next_at_ms.is_some() {
            return Ok(());
        }
        // As if it had been touched: it is read, and sent only if its content is another one.
        confirmed.fingerprint.ctime_ns = 0;
        row.confirmed = Some(confirmed);
        row.changed_at_ms = Some(work.now.unix_ms);
        row.next_at_ms = Some(work.now.unix_ms.saturating_add(to_ms(state.rest.settle)));
        work.turn.put_file(&row)?;
        work.out.events.push(Event::Pending { bytes: row.seen.size });
        Ok(())
    }
}

/// Whether pages that were stored to when the times of the file moved may not have been on the disk at `at_ms`.
fn is_soon(ctime_ns: i64, at_ms: i64) -> bool {
    at_ms.saturating_sub(ctime_ns / 1_000_000) < DIRTY_MS
}
