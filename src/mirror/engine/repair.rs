//! What `verify` found to differ: what is known of these copies is not believed any more, and proven anew.

use super::{Core, Work};
use crate::journal::{Activity, DirRow, EntryId, JournalError};
use crate::mirror::requests::Repair;
use crate::relpath::RelPath;

impl Core {
    /// A person wants copies to be compared, or sent, again. Nothing is deleted for it, here or there.
    pub(super) fn repair(
        &mut self,
        work: &mut Work<'_>,
        repair: &Repair,
    ) -> Result<(), JournalError> {
        let named = |settings: &crate::mirror::MirrorSettings| settings.name == repair.mirror;
        // It may have been taken out of the configuration since.
        let Some(index) = self.settings.mirrors.iter().position(named) else { return Ok(()) };
        self.gate.hurry(work.now.mono_ms);
        self.quota.forget();
        for path in &repair.paths {
            self.repair_one(work, index, path)?;
        }
        Ok(())
    }

    fn repair_one(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        path: &RelPath,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        let id = state.id;
        // What was found may be on the disk only, and not be seen yet.
        state.hints.insert(path.clone());
        let mut known = false;
        let is_there = |dir: &DirRow| dir.gone_at_ms.is_none();
        if let Some(dir) = work.turn.dir_at(id, path)?.filter(is_there) {
            known = true;
            self.doubt_directory(work, index, &dir)?;
        }
        if let Some((dir, name)) = path.split()
            && let Some(dir) = work.turn.dir_at(id, &dir)?
        {
            let entry = EntryId { dir: dir.id, name: name.to_vec() };
            if work.turn.file(&entry)?.is_some_and(|row| row.gone_at_ms.is_none()) {
                known = true;
                work.turn.set_unsure(&entry, work.now.unix_ms)?;
            }
        }
        // What runs has begun with what was believed then: its end proves nothing.
        let running = self.transfers.values().filter(|active| active.mirror == index);
        let doubted = running.filter(|active| active.path.is_within(path));
        self.overtaken.extend(doubted.map(|active| active.entry.clone()));
        work.turn.retry_below(id, path, work.now.unix_ms)?;
        if known {
            work.turn.record(work.now.unix_ms, id, path, Activity::Doubted, "")?;
        }
        Ok(())
    }

    /// It is made again if it is not there, and so is all below it. What the library holds of the files in it is
    /// listed, and only what is not there, or differs, is sent.
    fn doubt_directory(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &DirRow,
    ) -> Result<(), JournalError> {
        work.turn.dir_lost(dir.id, work.now.unix_ms)?;
        let is_space_root = dir.path.is_root()
            && self.settings.mirrors.get(index).is_some_and(|mirror| mirror.remote.is_empty());
        if is_space_root {
            work.turn.dir_created(dir.id, work.now.unix_ms)?;
        }
        self.compare_again(work, index)
    }
}
