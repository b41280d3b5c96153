//! Adopting what the remote already holds: at a first run, and after the journal was lost.
//!
//! Before a file that the journal never saw confirmed is sent, the remote is asked what it holds in the file's
//! directory. What has the same size is compared by crc64, and not sent. Nothing is concluded from what a
//! listing does not show: it may lag behind (sheet section 14), so the file is sent, which replaces what is there.

use super::{Core, Work};
use crate::failure::Class;
use crate::journal::{
    ConditionKind, DirId, DirRow, DueFile, EntryId, FileRow, JournalError, RemoteRow,
};
use crate::mirror::events::Event;
use crate::mirror::facts::{DirJobId, Effect, RemoteListing};
use crate::mirror::gate::Blame;
use crate::mirror::step::Failure;

/// A directory that cannot be listed so often is not waited for: its files are sent.
const LISTING_TRIES: u32 = 3;
/// Looking whether a mirror is adopted reads everything that waits: not more often than this.
const CHECK_EVERY_MS: i64 = 10_000;

impl Core {
    /// Whether `due` waits for a listing. Takes it over if so.
    pub(super) fn wait_for_listing(
        &mut self,
        work: &mut Work<'_>,
        mirror: usize,
        dir: &DirRow,
        row: &FileRow,
        due: &DueFile,
    ) -> Result<bool, JournalError> {
        let adopting = self.mirrors.get(mirror).is_some_and(|state| state.adopting);
        if !adopting || row.confirmed.is_some() || dir.listed_at_ms.is_some() {
            return Ok(false);
        }
        // What was started before is settled by its key, not by a listing.
        if work.turn.upload(&row.id)?.is_some() {
            return Ok(false);
        }
        // From the top: below what is not there nothing needs to be asked.
        let Some(first) = work.turn.first_unlisted(dir.id)? else { return Ok(false) };
        if self.listing_tries.get(&first.id).is_some_and(|tries| *tries >= LISTING_TRIES) {
            work.turn.dir_listed(first.id, work.now.unix_ms)?;
            return self.wait_for_listing_below(work, mirror, row, due);
        }
        if !self.listings.values().any(|listed| *listed == first.id) {
            let Some(target) = self.target(mirror, &first.path) else { return Ok(false) };
            let job = self.number();
            self.listings.insert(job, first.id);
            work.out.effects.push(Effect::ListRemote { job, target });
        }
        self.unlisted.entry(first.id).or_default().push(due.clone());
        Ok(true)
    }

    fn wait_for_listing_below(
        &mut self,
        work: &mut Work<'_>,
        mirror: usize,
        row: &FileRow,
        due: &DueFile,
    ) -> Result<bool, JournalError> {
        match work.turn.dir(row.id.dir)? {
            Some(dir) => self.wait_for_listing(work, mirror, &dir, row, due),
            None => Ok(false),
        }
    }

    pub(super) fn remote_listed(
        &mut self,
        work: &mut Work<'_>,
        job: DirJobId,
        result: Result<RemoteListing, Failure>,
    ) -> Result<(), JournalError> {
        let Some(dir) = self.listings.get(&job).copied() else { return Ok(()) };
        let now_ms = work.now.unix_ms;
        match result {
            Ok(RemoteListing::Page { entries, last }) => {
                let mirror = self.mirror_of(work, dir)?;
                for entry in entries {
                    // What is the copy of no entry is nobody's business.
                    if let Some(id) =
                        mirror.and_then(|index| self.entry_of(index, dir, &entry.name))
                    {
                        let row = RemoteRow { size: entry.size, crc64: entry.crc64 };
                        work.turn.put_remote(&id, row)?;
                    }
                }
                if !last {
                    return Ok(());
                }
                self.service_answered(work)?;
                work.turn.dir_listed(dir, now_ms)?;
                work.turn.dir_created(dir, now_ms)?;
                self.list_missing_children(work, dir)?;
            }
            Ok(RemoteListing::Nothing) => {
                self.service_answered(work)?;
                work.turn.tree_listed(dir, now_ms)?;
            }
            Err(failure) => {
                let id = EntryId { dir, name: Vec::new() };
                if self.service_failed(work, &failure, &id)? == Blame::Entry {
                    *self.listing_tries.entry(dir).or_default() += 1;
                }
                if failure.class == Class::Permanent {
                    // A file is in the way: making the directory will say so.
                    work.turn.dir_listed(dir, now_ms)?;
                }
                for due in self.unlisted.get(&dir).into_iter().flatten() {
                    let wait_ms =
                        crate::mirror::backoff::delay_ms(Class::Transient, 1, None, self.rng.f64());
                    work.turn.set_file_next(&due.file.id, now_ms.saturating_add(wait_ms))?;
                }
            }
        }
        self.listings.remove(&job);
        for due in self.unlisted.remove(&dir).unwrap_or_default() {
            self.held.remove(&due.file.id);
        }
        Ok(())
    }

    fn mirror_of(&self, work: &Work<'_>, dir: DirId) -> Result<Option<usize>, JournalError> {
        let Some(row) = work.turn.dir(dir)? else { return Ok(None) };
        Ok(self.mirrors.iter().position(|state| state.id == row.mirror))
    }

    /// Directories that the listing of their parent does not show need no listing of their own.
    fn list_missing_children(
        &mut self,
        work: &mut Work<'_>,
        parent: DirId,
    ) -> Result<(), JournalError> {
        for child in work.turn.dirs_between(parent, None, None)? {
            if child.listed_at_ms.is_some() {
                continue;
            }
            let Some((_, name)) = child.path.split() else { continue };
            let id = EntryId { dir: parent, name: name.to_vec() };
            if work.turn.remote(&id)?.is_none() {
                work.turn.tree_listed(child.id, work.now.unix_ms)?;
            }
        }
        Ok(())
    }

    /// A directory that appears below one that was listed without it needs no listing.
    pub(super) fn inherit_listing(
        &mut self,
        work: &mut Work<'_>,
        entry: &EntryId,
        dir: DirId,
    ) -> Result<(), JournalError> {
        let parent = work.turn.dir(entry.dir)?;
        if parent.is_some_and(|parent| parent.listed_at_ms.is_some())
            && work.turn.remote(entry)?.is_none()
        {
            work.turn.dir_listed(dir, work.now.unix_ms)?;
        }
        Ok(())
    }

    /// Mirrors in which nothing waits for a listing any more are adopted.
    pub(super) fn end_adoptions(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        if !self.mirrors.iter().any(|state| state.adopting) {
            return Ok(());
        }
        // Idle or not for long: see the constant.
        if !self.held.is_empty() && work.now.mono_ms < self.adopt_check_at_ms {
            return Ok(());
        }
        self.adopt_check_at_ms = work.now.mono_ms.saturating_add(CHECK_EVERY_MS);
        for index in 0..self.mirrors.len() {
            let Some(state) = self.mirrors.get_mut(index) else { continue };
            let scan = &state.scan;
            if !state.adopting || !scan.had_a_pass() || scan.is_held() || scan.is_busy() {
                continue;
            }
            if work.turn.needs_listings(state.id)? {
                continue;
            }
            state.adopting = false;
            work.turn.adopted(state.id)?;
            self.listing_tries.clear();
            if work.turn.remove_condition(Some(state.id), ConditionKind::Rebuilding)?
                && let Some(settings) = self.settings.mirrors.get(index)
            {
                work.out.events.push(Event::Rebuilt { mirror: settings.name.clone() });
            }
        }
        Ok(())
    }
}
