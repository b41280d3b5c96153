//! Files that are due: which of them are taken from the journal into memory, and which is next.

use super::dirs::DIRECTORY_BLOCKED;
use super::{Core, Work};
use crate::clock::Now;
use crate::failure::Class;
use crate::journal::{DueFile, JournalError, LARGE, MirrorId, NEVER_MS, Share, TroubleRow};
use crate::mirror::queue::Queue;

/// Files of a share taken from the journal at a time; more are taken when a quarter of them is left.
const WINDOW: usize = 1024;
/// Large files keep a quarter of the slots busy, so that neither kind waits for the other.
const LARGE_SHARE: usize = 4;
/// While not all that is due is in memory, so many of the newest are looked at, for mirrors that have nothing there.
const NEWEST: usize = 64;
/// Not more often than this: on a busy daemon it is hardly a row a turn.
const NEWEST_EVERY_MS: i64 = 1_000;
/// What is in memory is read again with what is due; with more than so many of it, not at every turn, but...
const REREAD: usize = WINDOW / 2;
/// ...after a millisecond for so many. A file that waits for a scan is read again some hundred times at most.
const REREAD_PER_MS: usize = 64;
/// Windows that one turn goes through without finding anything to start: the next turn follows at once.
const WINDOWS: usize = 4;

impl Core {
    /// Starts what can be started now. Gives whether more is due and was not looked at for want of time.
    pub(super) fn start_files(&mut self, work: &mut Work<'_>) -> Result<bool, JournalError> {
        for _ in 0..WINDOWS {
            let more = self.refill(work)?;
            self.begin_transfers(work)?;
            let waiting = !self.small.is_empty() || !self.large.is_empty();
            if !more || waiting || self.free_slots(work.now) == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// When the journal is asked for due files again, monotonic milliseconds; `None`: whenever there is room for them.
    pub(super) fn next_reread_ms(&self, now: Now) -> Option<i64> {
        let at = Some(self.reread_at_ms).filter(|at| *at > now.mono_ms);
        at.filter(|_| self.held.len() > REREAD)
    }

    /// Takes due files from the journal while few are left in memory. Whether there may be more.
    fn refill(&mut self, work: &mut Work<'_>) -> Result<bool, JournalError> {
        let mirrors: Vec<_> = self
            .mirrors
            .iter()
            .filter(|mirror| !mirror.scan.is_held() && !mirror.is_paused())
            .map(|mirror| mirror.id)
            .collect();
        // What is parked waits for something that may take long, and nobody else has to wait for that.
        let parked: usize = self.parked.values().map(Vec::len).sum();
        let mut more = false;
        let mut all = true;
        let waits = self.next_reread_ms(work.now).is_some();
        for share in [Share::Small, Share::Large] {
            let waiting = self.queue(share).len();
            if self.held.len().saturating_sub(parked) >= 8 * WINDOW {
                return Ok(more);
            }
            if waits || waiting >= WINDOW / 4 {
                all = false;
                continue;
            }
            let wait_ms = i64::try_from(self.held.len() / REREAD_PER_MS).unwrap_or(i64::MAX);
            self.reread_at_ms = work.now.mono_ms.saturating_add(wait_ms);
            // Those in memory are among those that wait longest.
            let limit = self.held.len() + WINDOW;
            let due = work.turn.due_files(&mirrors, share, work.now.unix_ms, limit)?;
            more |= due.len() == limit;
            self.take_due(work, share, due)?;
        }
        if !all || more {
            self.take_newest(work, &mirrors)?;
        }
        Ok(more)
    }

    /// Those that wait longest may all be of one mirror. Of a mirror that has nothing in memory meanwhile, what became
    /// due just now is taken too: it need not wait until all of the other is sent.
    fn take_newest(
        &mut self,
        work: &mut Work<'_>,
        mirrors: &[MirrorId],
    ) -> Result<(), JournalError> {
        let shares = [Share::Small, Share::Large].map(|share| {
            let lacking = mirrors.iter().copied().filter(|id| !self.queue(share).has(*id));
            (share, lacking.collect::<Vec<_>>())
        });
        let nobody_lacks = shares.iter().all(|(_, lacking)| lacking.is_empty());
        if mirrors.len() < 2 || nobody_lacks || work.now.mono_ms < self.newest_at_ms {
            return Ok(());
        }
        self.newest_at_ms = work.now.mono_ms.saturating_add(NEWEST_EVERY_MS);
        let mut newest = work.turn.newest_due(work.now.unix_ms, NEWEST)?;
        for (share, lacking) in shares {
            let wanted = newest.extract_if(.., |due| {
                Share::of(due.file.seen.size) == share && lacking.contains(&due.mirror)
            });
            let wanted = wanted.collect();
            self.take_due(work, share, wanted)?;
        }
        Ok(())
    }

    /// The line in memory of a share.
    fn queue(&self, share: Share) -> &Queue {
        match share {
            Share::Small => &self.small,
            Share::Large => &self.large,
        }
    }

    fn take_due(
        &mut self,
        work: &mut Work<'_>,
        share: Share,
        all: Vec<DueFile>,
    ) -> Result<(), JournalError> {
        for due in all {
            if self.held.contains(&due.file.id) {
                continue;
            }
            if due.dir_blocked && !due.dir_created {
                self.block_with_directory(work, due)?;
                continue;
            }
            self.held.insert(due.file.id.clone());
            match share {
                Share::Small => self.small.push(due),
                Share::Large => self.large.push(due),
            }
        }
        Ok(())
    }

    pub(super) fn block_with_directory(
        &mut self,
        work: &mut Work<'_>,
        due: DueFile,
    ) -> Result<(), JournalError> {
        work.turn.set_file_next(&due.file.id, NEVER_MS)?;
        work.turn.put_trouble(&TroubleRow {
            id: due.file.id,
            class: Class::Permanent,
            code: Some(DIRECTORY_BLOCKED.to_owned()),
            message: format!("its directory {} cannot be created on the remote", due.dir_path),
            request_id: None,
            attempts: 1,
            blocked: true,
            first_at_ms: work.now.unix_ms,
            last_at_ms: work.now.unix_ms,
        })
    }

    /// The file that is next.
    pub(super) fn next_due(&mut self, now: Now) -> Option<DueFile> {
        let slots = self.upload_slots(now);
        let large_running =
            self.transfers.values().filter(|a| a.transfer.fingerprint.size >= LARGE).count();
        if !self.large.is_empty() && large_running < (slots / LARGE_SHARE).max(1) {
            return self.large.take();
        }
        self.small.take().or_else(|| self.large.take())
    }
}
