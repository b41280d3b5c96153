//! What was seen is merged into the journal: pages of a listing, and single paths that were looked at.

use super::stack::{Reach, Wanted};
use super::{Core, MirrorState, Work};
use crate::clock::to_ms;
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::journal::{
    Activity, DirId, DirRow, EntryId, FileRow, JournalError, NEVER_MS, SkipReason, SkippedRow,
};
use crate::mirror::events::Event;
use crate::mirror::facts::Effect;
use crate::mirror::plan::{self, Seen, Vanished, Wrong};
use crate::relpath::RelPath;
use crate::tree::{DirMark, Found, Kind, Skip, Watching};
use crate::wording::counted;

/// A change older than this that only a scan found was missed by the watch, not merely ahead of it.
const MISSED_AFTER_NS: i64 = 10_000_000_000;

impl Core {
    pub(super) fn page(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &RelPath,
        entries: &[Found],
        last: bool,
        watched: Watching,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        let scan = &mut state.scan;
        if scan.under_way.as_ref() != Some(dir) {
            return Ok(());
        }
        if last {
            scan.under_way = None;
        }
        let Some(current) = scan.current.as_mut() else {
            // Given up meanwhile: what comes next was waiting for this.
            return if last { self.next_listing(work, index) } else { Ok(()) };
        };
        // Gone, or left out, since it was asked for: these names were read by the rules of before.
        if work.turn.dir(current.id)?.is_none_or(|dir| dir.gone_at_ms.is_some()) {
            if last {
                if let Some(mut ended) = scan.current.take() {
                    state.hints.append(&mut ended.touched);
                }
                return self.next_listing(work, index);
            }
            return Ok(());
        }
        if entries.is_empty() && !last {
            // All of this page vanished since it was read: it says nothing about names beyond it.
            return Ok(());
        }
        scan.doubted.remove(dir);
        scan.short.over();
        scan.seen += entries.len() as u64;
        let reach = current.wanted.reach;
        let id = current.id;
        scan.polls.put(id, watched != Watching::No);
        let after = current.after.clone();
        let upto = if last { None } else { entries.last().map(|found| found.name.clone()) };
        current.after.clone_from(&upto);
        current.unknown += entries.iter().filter(|f| f.kind == Kind::Unknown).count() as u64;
        let unknown = current.unknown;
        if last && let Some(mut ended) = scan.current.take() {
            state.hints.append(&mut ended.touched);
        }
        let count_missed = scan.full && !scan.first && scan.passed && watched == Watching::Kept;
        let range = Range { after: after.as_deref(), upto: upto.as_deref() };
        self.merge(work, index, dir, id, entries, range, reach, count_missed)?;
        if last {
            if self.mirrors.get_mut(index).is_some_and(|state| state.returned.remove(dir))
                && let Some(row) = work.turn.dir(id)?
            {
                work.turn.delete_later(&row, self.delete_at(work, index))?;
            }
            if unknown > 0 {
                let message = format!(
                    "{} in it cannot be looked at: let the user of the daemon enter the directory",
                    counted(unknown, "entry")
                );
                self.unreadable(work, index, id, dir, message)?;
            } else {
                work.turn.remove_unreadable(id)?;
            }
            self.next_listing(work, index)?;
        }
        Ok(())
    }

    /// Compares a page with the journal's rows of the same range of names.
    #[expect(
        clippy::too_many_arguments,
        reason = "one range of one directory, seen from both sides"
    )]
    fn merge(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &RelPath,
        id: DirId,
        entries: &[Found],
        Range { after, upto }: Range<'_>,
        reach: Reach,
        count_missed: bool,
    ) -> Result<(), JournalError> {
        let files = work.turn.files_between(id, after, upto)?;
        let skipped = work.turn.skipped_between(id, after, upto)?;
        let after_path = after.map(|name| dir.join(name));
        let upto_path = upto.map(|name| dir.join(name));
        let dirs = work.turn.dirs_between(id, after_path.as_ref(), upto_path.as_ref())?;
        let mut files = files.into_iter().peekable();
        let mut skips = skipped.into_iter().peekable();
        let mut dirs = dirs.into_iter().peekable();
        let mut children = Vec::new();
        let mut missed = 0;
        for found in entries {
            let name = found.name.as_slice();
            while let Some(row) = files.next_if(|row| row.id.name.as_slice() < name) {
                self.file_absent(work, index, dir, &row)?;
            }
            while let Some(row) = skips.next_if(|row| row.id.name.as_slice() < name) {
                work.turn.remove_skipped(&row.id)?;
            }
            while let Some(row) = dirs.next_if(|row| dir_name(row) < name) {
                self.dir_absent(work, index, &row)?;
            }
            let file = files.next_if(|row| row.id.name == name);
            let skip = skips.next_if(|row| row.id.name == name);
            let child = dirs.next_if(|row| dir_name(row) == name);
            let new = child.as_ref().is_none_or(|row| row.gone_at_ms.is_some());
            if count_missed && let Kind::File(seen) = found.kind {
                let known = file.as_ref().is_some_and(|row| row.seen == seen);
                if !known && seen.ctime_ns < work.now.unix_ns().saturating_sub(MISSED_AFTER_NS) {
                    missed += 1;
                }
            }
            let entry = EntryId { dir: id, name: found.name.clone() };
            let listed =
                self.entry(work, index, dir, &entry, found.kind, Rows { file, skip, child })?;
            if listed && (new || reach == Reach::All) {
                children.push((dir.join(name), Wanted { reach: Reach::All }));
            }
        }
        for row in files {
            self.file_absent(work, index, dir, &row)?;
        }
        for row in skips {
            work.turn.remove_skipped(&row.id)?;
        }
        for row in dirs {
            self.dir_absent(work, index, &row)?;
        }
        if missed > 0 {
            work.out.effects.push(Effect::Missed { mirror: index, dir: dir.clone() });
        }
        if let Some(state) = self.mirrors.get_mut(index) {
            state.scan.missed += missed;
            // The first comes off the stack first.
            for (child, wanted) in children.into_iter().rev() {
                state.scan.stack.push(child, wanted);
            }
        }
        Ok(())
    }

    /// One entry that is on disk. Whether it is a directory that can be listed.
    pub(super) fn entry(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &RelPath,
        id: &EntryId,
        kind: Kind,
        rows: Rows,
    ) -> Result<bool, JournalError> {
        if kind == Kind::Unknown {
            return Ok(false);
        }
        if !matches!(kind, Kind::File(_))
            && let Some(row) = &rows.file
        {
            match kind {
                // Left out from now on: the copy stays, and is no longer ours to speak of.
                Kind::Skipped(_) => {
                    work.turn.remove_file(&row.id)?;
                    work.turn.remove_trouble(&row.id)?;
                    self.may_leave_orphans(work.now.mono_ms);
                }
                _ => self.file_absent(work, index, dir, row)?,
            }
        }
        if !kind.is_dir()
            && let Some(row) = &rows.child
        {
            match kind {
                Kind::Skipped(_) => {
                    // The kernel does not know of rules.
                    if row.gone_at_ms.is_none() {
                        let dir = row.path.clone();
                        work.out.effects.push(Effect::Unwatch { mirror: index, dir });
                    }
                    self.dir_left_out(work, index, row)?;
                }
                _ => self.dir_absent(work, index, row)?,
            }
        }
        if !matches!(kind, Kind::Skipped(_)) && rows.skip.is_some() {
            work.turn.remove_skipped(id)?;
        }
        match kind {
            Kind::File(seen) => {
                self.file_seen(work, index, id, rows.file.as_ref(), seen)?;
                Ok(false)
            }
            Kind::Dir(mark) => {
                self.dir_seen(work, index, id, &dir.join(&id.name), rows.child.as_ref(), mark)
            }
            Kind::Skipped(skip) => {
                let reason = reason(skip);
                if rows.skip.is_none_or(|row| row.reason != reason) {
                    work.turn.put_skipped(&SkippedRow { id: id.clone(), reason })?;
                }
                Ok(false)
            }
            Kind::Unknown => Ok(false),
        }
    }

    fn file_seen(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        id: &EntryId,
        row: Option<&FileRow>,
        seen: Fingerprint,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get(index) else { return Ok(()) };
        let known = row.is_some();
        let waits = row.is_some_and(|row| row.next_at_ms.is_some());
        let wrong = match row {
            Some(_) if waits => match work.turn.trouble(id)? {
                None => Wrong::Nothing,
                Some(trouble) if matches!(trouble.class, Class::Local | Class::Defect) => {
                    Wrong::AtScan
                }
                Some(_) => Wrong::Other,
            },
            _ => Wrong::Nothing,
        };
        let gone_before = row.is_some_and(|row| row.gone_at_ms.is_some());
        let now_ms = work.now.unix_ms;
        let since = self.restless.get(id).copied();
        match plan::file_seen(id, row, wrong, seen, state.rest, since, now_ms) {
            Seen::Nothing => {}
            Seen::Retry(row) => work.turn.put_file(&row)?,
            Seen::Put(row) => {
                let row = if known { row } else { rested_rules(row, state) };
                work.turn.put_file(&row)?;
                // What was wrong with deleting its copy is history too.
                if wrong != Wrong::Nothing || gone_before {
                    work.turn.remove_trouble(id)?;
                }
                if row.next_at_ms.is_some() && !waits {
                    work.out.events.push(Event::Pending { bytes: seen.size });
                }
            }
        }
        Ok(())
    }

    fn dir_seen(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        id: &EntryId,
        path: &RelPath,
        row: Option<&DirRow>,
        mark: DirMark,
    ) -> Result<bool, JournalError> {
        let Some(state) = self.mirrors.get(index) else { return Ok(false) };
        let due = work.now.unix_ms + to_ms(state.rest.settle);
        if let Some(row) = row.filter(|row| row.gone_at_ms.is_none()) {
            if row.mounted && !mark.mounted {
                self.unmounted(work, index, row)?;
                return Ok(false);
            }
            // One that is mounted over itself, as in the namespace of a service, is the one that was there.
            let itself = mark.bound && mark.inode == row.inode;
            let over = !row.mounted && row.inode != 0 && !itself;
            // The roots of many filesystems have the same number.
            let differ = |one: u64, other: u64| one != 0 && other != 0 && one != other;
            let another =
                row.mounted && (differ(row.fsid, mark.fsid) || differ(row.inode, mark.inode));
            if mark.mounted && (over || another) {
                self.mounted_over(work, index, row)?;
            }
        }
        if let Some(row) = row.filter(|_| mark.mounted) {
            self.mounted_again(work, index, row)?;
        }
        let Some(state) = self.mirrors.get(index) else { return Ok(false) };
        let state_id = state.id;
        match row {
            None => {
                let adopting = state.adopting;
                let new = work.turn.insert_dir(state.id, Some(id.dir), path, Some(due))?;
                if adopting {
                    self.inherit_listing(work, id, new)?;
                }
            }
            Some(row) if row.gone_at_ms.is_some() => {
                work.turn.dir_is_back(row.id, row.created_at_ms.is_none().then_some(due))?;
            }
            Some(row) => self.dir_seen_again(work, row)?,
        }
        if let Some(row) = row.filter(|row| row.gone_at_ms.is_some() || row.inode != mark.inode) {
            // It is back, or another one has its name: what is gone below may be there again, and go before it is listed.
            work.turn.delete_later(row, self.delete_at(work, index))?;
            if let Some(state) = self.mirrors.get_mut(index) {
                state.returned.insert(path.clone());
            }
        }
        let known = match row {
            Some(row) => Some(row.clone()),
            None => work.turn.dir_at(state_id, path)?,
        };
        if let Some(known) = known.filter(|known| {
            (known.inode, known.mounted, known.fsid) != (mark.inode, mark.mounted, mark.fsid)
        }) {
            work.turn.set_dir_mark(known.id, mark.inode, mark.mounted, mark.fsid)?;
            if known.created_at_ms.is_none() {
                self.may_be_moved(work, index, &known, mark.inode)?;
            }
        }
        Ok(true)
    }

    /// Answers that made no sense when the directory was to be made may make sense now.
    pub(super) fn dir_seen_again(
        &mut self,
        work: &mut Work<'_>,
        row: &DirRow,
    ) -> Result<(), JournalError> {
        if row.next_at_ms != Some(NEVER_MS) {
            return Ok(());
        }
        let own = EntryId { dir: row.id, name: Vec::new() };
        // One that is blocked and nobody knows why is tried too.
        if work.turn.trouble(&own)?.is_none_or(|t| t.class == Class::Defect) {
            work.turn.set_dir_next(row.id, Some(work.now.unix_ms))?;
        }
        Ok(())
    }

    pub(super) fn file_absent(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &RelPath,
        row: &FileRow,
    ) -> Result<(), JournalError> {
        self.may_leave_orphans(work.now.mono_ms);
        match plan::file_vanished(row, work.now.unix_ms) {
            Vanished::Nothing => return Ok(()),
            Vanished::Remove => work.turn.remove_file(&row.id)?,
            Vanished::Put(gone) => {
                work.turn.put_file(&gone)?;
                work.turn.set_file_delete(&gone.id, self.delete_at(work, index))?;
                self.set_brakes(index, false);
                if let Some(state) = self.mirrors.get(index) {
                    let path = dir.join(&row.id.name);
                    work.turn.record(work.now.unix_ms, state.id, &path, Activity::Gone, "")?;
                }
            }
        }
        work.turn.remove_trouble(&row.id)
    }

    /// Nothing at or below a directory is polled any more.
    fn not_polled(
        &mut self,
        work: &Work<'_>,
        index: usize,
        row: &DirRow,
    ) -> Result<(), JournalError> {
        if let Some(state) = self.mirrors.get_mut(index)
            && state.scan.polls.len() > 0
        {
            for gone in work.turn.dirs_at_and_below(row)? {
                state.scan.polls.remove(gone);
            }
        }
        Ok(())
    }

    /// Something above its files says that they are not mirrored: they did not go.
    fn dir_left_out(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        row: &DirRow,
    ) -> Result<(), JournalError> {
        if row.gone_at_ms.is_some() && row.created_at_ms.is_none() {
            return Ok(());
        }
        self.not_polled(work, index, row)?;
        self.may_leave_orphans(work.now.mono_ms);
        work.turn.tree_left_out(row.id, work.now.unix_ms)
    }

    pub(super) fn dir_absent(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        row: &DirRow,
    ) -> Result<(), JournalError> {
        if row.gone_at_ms.is_some() {
            return Ok(());
        }
        // What lay on a filesystem that is not there is not gone with its mount point, or with what that lies in.
        let mounted = work.turn.mounted_below(row)?;
        if !mounted.is_empty() {
            for dir in mounted {
                self.unmounted(work, index, &dir)?;
            }
            return Ok(());
        }
        self.set_brakes(index, false);
        self.may_leave_orphans(work.now.mono_ms);
        self.not_polled(work, index, row)?;
        let at_ms = self.delete_at(work, index);
        let files = work.turn.tree_gone(row.id, work.now.unix_ms, at_ms)?;
        if let Some(state) = self.mirrors.get(index) {
            // What went one by one before is told apart.
            let detail = match files {
                0 => "a directory that held no file by then".to_owned(),
                files => format!("a directory with {} still in it", counted(files, "file")),
            };
            work.turn.record(work.now.unix_ms, state.id, &row.path, Activity::Gone, &detail)?;
        }
        Ok(())
    }
}

/// A file that is new while rules were just written waits for these to rest too: whoever writes them begins with none,
/// and what they keep back would be sent.
fn rested_rules(row: FileRow, state: &MirrorState) -> FileRow {
    let rules_rest_ms = state.rules_at_ms.saturating_add(to_ms(state.rest.settle));
    FileRow { next_at_ms: row.next_at_ms.map(|at| at.max(rules_rest_ms)), ..row }
}

/// The names of a directory that a page speaks of: after the one, up to the other.
#[derive(Clone, Copy)]
struct Range<'a> {
    after: Option<&'a [u8]>,
    upto: Option<&'a [u8]>,
}

/// What the journal knows of one name.
pub(super) struct Rows {
    pub(super) file: Option<FileRow>,
    pub(super) skip: Option<SkippedRow>,
    pub(super) child: Option<DirRow>,
}

fn dir_name(row: &DirRow) -> &[u8] {
    match row.path.as_bytes().iter().rposition(|byte| *byte == b'/') {
        Some(at) => row.path.as_bytes().get(at + 1..).unwrap_or_default(),
        None => row.path.as_bytes(),
    }
}

fn reason(skip: Skip) -> SkipReason {
    match skip {
        Skip::Excluded => SkipReason::Excluded,
        Skip::Temporary => SkipReason::Temporary,
        Skip::Symlink => SkipReason::Symlink,
        Skip::SymlinkOutside => SkipReason::SymlinkOutside,
        Skip::SymlinkDangling => SkipReason::SymlinkDangling,
        Skip::SymlinkLoop => SkipReason::SymlinkLoop,
        Skip::Loop => SkipReason::Loop,
        Skip::Special => SkipReason::Special,
        Skip::Name => SkipReason::Name,
    }
}
