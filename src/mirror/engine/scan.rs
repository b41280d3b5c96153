//! Scans and looks: what is on disk is merged into the journal, a page at a time.

use super::{Core, Work};
use crate::clock::to_ms;
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::journal::{
    Activity, ConditionKind, DirId, DirRow, EntryId, FileRow, JournalError, RootIdentity,
    SkipReason, SkippedRow, TroubleRow,
};
use crate::mirror::facts::{Effect, Event};
use crate::mirror::plan::{self, Seen, Vanished, Wrong};
use crate::relpath::RelPath;
use crate::tree::{Absent, Found, IGNORE_FILE, Kind, RootError, RootId, Skip};

/// A held root is looked at again after this long.
const HELD_WAIT_MS: i64 = 15_000;
/// After lost hints, a scan waits so long for others to be lost.
const OVERFLOW_WAIT_MS: i64 = 1_000;
/// Paths looked at in one effect.
const LOOKS: usize = 512;
/// A change older than this that only a scan found was missed by the watch, not merely ahead of it.
const MISSED_AFTER_NS: i64 = 10_000_000_000;

/// How far the scan of one mirror got.
#[derive(Debug)]
pub(super) struct ScanState {
    phase: Phase,
    /// The one that runs begins at the root.
    full: bool,
    stack: Vec<RelPath>,
    current: Option<Current>,
    /// No scan was ever complete.
    first: bool,
    passed: bool,
    held: bool,
    /// Something was lost while a scan ran.
    again: bool,
    watched: u64,
    polled: u64,
    missed: u64,
}

#[derive(Debug)]
enum Phase {
    Idle { next_at_ms: Option<i64> },
    Root,
    Listing,
}

#[derive(Debug)]
struct Current {
    path: RelPath,
    id: DirId,
    /// The last name that was merged.
    after: Option<Vec<u8>>,
    unknown: u64,
}

impl ScanState {
    /// Due at once.
    pub(super) fn new(first: bool) -> ScanState {
        ScanState {
            phase: Phase::Idle { next_at_ms: Some(0) },
            full: false,
            stack: Vec::new(),
            current: None,
            first,
            passed: false,
            held: false,
            again: false,
            watched: 0,
            polled: 0,
            missed: 0,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Idle { .. }) || !self.stack.is_empty()
    }

    /// A full scan ended, or was refused by its root, in this run.
    pub(super) fn had_a_pass(&self) -> bool {
        self.passed
    }

    /// The root is not what it should be: nothing below is known.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    pub(super) fn next_at_ms(&self) -> Option<i64> {
        match self.phase {
            Phase::Idle { next_at_ms } => next_at_ms,
            _ => None,
        }
    }

    /// A full scan as soon as possible.
    pub(super) fn hurry(&mut self, at_ms: i64) {
        match &mut self.phase {
            Phase::Idle { next_at_ms } => {
                *next_at_ms = Some(next_at_ms.map_or(at_ms, |next| next.min(at_ms)));
            }
            _ => self.again = true,
        }
    }
}

impl Core {
    pub(super) fn advance_scans(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        for index in 0..self.mirrors.len() {
            self.advance_looks(work, index);
            let Some(state) = self.mirrors.get_mut(index) else { continue };
            let scan = &mut state.scan;
            match scan.phase {
                Phase::Idle { next_at_ms }
                    if next_at_ms.is_some_and(|at| at <= work.now.mono_ms) =>
                {
                    scan.phase = Phase::Root;
                    work.out.effects.push(Effect::Root(index));
                }
                Phase::Idle { .. } if !scan.stack.is_empty() && !scan.held => {
                    scan.phase = Phase::Listing;
                    scan.full = false;
                }
                _ => {}
            }
            self.next_listing(work, index)?;
        }
        Ok(())
    }

    fn advance_looks(&mut self, work: &mut Work<'_>, index: usize) {
        let Some(state) = self.mirrors.get_mut(index) else { return };
        if state.scan.held {
            state.hints.clear();
            return;
        }
        let paths: Vec<RelPath> = state
            .hints
            .iter()
            .filter(|path| !state.looking.contains(*path))
            .take(LOOKS)
            .cloned()
            .collect();
        if paths.is_empty() {
            return;
        }
        for path in &paths {
            state.hints.remove(path);
            state.looking.insert(path.clone());
        }
        work.out.effects.push(Effect::Look { mirror: index, paths });
    }

    /// Lists the next directory, or ends the scan.
    fn next_listing(&mut self, work: &mut Work<'_>, index: usize) -> Result<(), JournalError> {
        loop {
            let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
            let scan = &mut state.scan;
            if !matches!(scan.phase, Phase::Listing) || scan.current.is_some() {
                return Ok(());
            }
            let Some(path) = scan.stack.pop() else { return self.scan_ended(work, index) };
            // Gone since it was put on the stack: whoever noticed wrote it down.
            let Some(dir) =
                work.turn.dir_at(state.id, &path)?.filter(|dir| dir.gone_at_ms.is_none())
            else {
                continue;
            };
            scan.current =
                Some(Current { path: path.clone(), id: dir.id, after: None, unknown: 0 });
            work.out.effects.push(Effect::List { mirror: index, dir: path });
            return Ok(());
        }
    }

    fn scan_ended(&mut self, work: &mut Work<'_>, index: usize) -> Result<(), JournalError> {
        let jitter = 0.9 + self.rng.f64() * 0.2;
        let (Some(state), Some(settings)) =
            (self.mirrors.get_mut(index), self.settings.mirrors.get(index))
        else {
            return Ok(());
        };
        let scan = &mut state.scan;
        let missed = std::mem::take(&mut scan.missed);
        if scan.full {
            work.turn.scan_complete(state.id, work.now.unix_ms)?;
            if scan.again {
                work.turn.mark_dirty(state.id, false)?;
            }
            scan.first = false;
            scan.passed = true;
            work.out.events.push(Event::Scanned { mirror: settings.name.clone() });
        }
        work.turn.set_watch(state.id, scan.watched, scan.polled, missed)?;
        let wait = if settings.watch && scan.polled == 0 {
            settings.rescan
        } else {
            settings.poll_interval
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "milliseconds of days at most"
        )]
        let wait_ms = (to_ms(wait) as f64 * jitter) as i64;
        let next_at_ms = match (self.settings.once, std::mem::take(&mut scan.again)) {
            (_, true) => Some(work.now.mono_ms + OVERFLOW_WAIT_MS),
            (true, false) => None,
            (false, false) => Some(work.now.mono_ms.saturating_add(wait_ms)),
        };
        scan.phase = Phase::Idle { next_at_ms };
        Ok(())
    }

    pub(super) fn overflow(&mut self, work: &mut Work<'_>) -> Result<(), JournalError> {
        for state in &mut self.mirrors {
            work.turn.mark_dirty(state.id, true)?;
            state.hints.clear();
            state.scan.hurry(work.now.mono_ms + OVERFLOW_WAIT_MS);
        }
        Ok(())
    }

    pub(super) fn root_seen(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        seen: Result<(RootId, bool), RootError>,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        if !matches!(state.scan.phase, Phase::Root) {
            return Ok(());
        }
        let problem = match seen {
            Err(error) => Some(error.to_string()),
            Ok((id, empty)) => {
                let id = RootIdentity { inode: id.inode, fsid: id.fsid };
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
                state.scan.held = false;
                state.scan.full = true;
                state.scan.watched = 0;
                state.scan.polled = 0;
                state.scan.stack = vec![RelPath::root()];
                state.scan.current = None;
                state.scan.phase = Phase::Listing;
                self.next_listing(work, index)
            }
        }
    }

    /// The root is not there: nothing below it is known, and nothing is done about it.
    fn hold(
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
        let scan = &mut state.scan;
        scan.held = true;
        scan.passed = true;
        scan.stack.clear();
        scan.current = None;
        let again = (!self.settings.once).then_some(work.now.mono_ms + HELD_WAIT_MS);
        scan.phase = Phase::Idle { next_at_ms: again };
        Ok(())
    }

    pub(super) fn list_failed(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &RelPath,
        why: Absent,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        let Some(current) = state.scan.current.take_if(|current| current.path == *dir) else {
            return Ok(());
        };
        match why {
            Absent::Root(message) => return self.hold(work, index, &message),
            // Its parent was listed a moment ago: what is there now?
            Absent::Gone if !dir.is_root() => {
                state.hints.insert(dir.clone());
            }
            Absent::Gone => return self.hold(work, index, "the root is not there"),
            Absent::Unreadable(message) => {
                let message = format!("cannot list the directory: {message}");
                self.unreadable(work, index, current.id, dir, message)?;
            }
        }
        self.next_listing(work, index)
    }

    /// What lies in this directory is not known. That is said until it can be listed again.
    fn unreadable(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: DirId,
        path: &RelPath,
        message: String,
    ) -> Result<(), JournalError> {
        let id = EntryId { dir, name: Vec::new() };
        let before = work.turn.trouble(&id)?;
        let now_ms = work.now.unix_ms;
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
                message: message.clone(),
                blocked: true,
            });
        }
        work.turn.put_trouble(&TroubleRow {
            id,
            class: Class::Local,
            code: None,
            message,
            request_id: None,
            attempts: before.as_ref().map_or(1, |t| t.attempts.saturating_add(1)),
            blocked: true,
            first_at_ms: before.map_or(now_ms, |t| t.first_at_ms),
            last_at_ms: now_ms,
        })
    }

    pub(super) fn page(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &RelPath,
        entries: &[Found],
        last: bool,
        watched: bool,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        let scan = &mut state.scan;
        let Some(current) = scan.current.as_mut().filter(|current| current.path == *dir) else {
            return Ok(());
        };
        if current.after.is_none() {
            if watched {
                scan.watched += 1;
            } else {
                scan.polled += 1;
            }
        }
        let id = current.id;
        let after = current.after.clone();
        let upto = if last { None } else { entries.last().map(|found| found.name.clone()) };
        current.after.clone_from(&upto);
        current.unknown += entries.iter().filter(|f| f.kind == Kind::Unknown).count() as u64;
        let unknown = current.unknown;
        if last {
            scan.current = None;
        }
        let count_missed = scan.full && !scan.first && scan.passed && watched;
        self.merge(work, index, dir, id, entries, after.as_deref(), upto.as_deref(), count_missed)?;
        if last {
            if unknown > 0 {
                let message = format!(
                    "{unknown} entries cannot be looked at; does the directory lack the right to enter it?"
                );
                self.unreadable(work, index, id, dir, message)?;
            } else {
                let own = EntryId { dir: id, name: Vec::new() };
                if work.turn.trouble(&own)?.is_some_and(|t| t.class == Class::Local) {
                    work.turn.remove_trouble(&own)?;
                }
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
        after: Option<&[u8]>,
        upto: Option<&[u8]>,
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
            if found.kind == Kind::Dir {
                children.push(dir.join(name));
            }
            if count_missed && let Kind::File(seen) = found.kind {
                let known = file.as_ref().is_some_and(|row| row.seen == seen);
                if !known
                    && seen.ctime_ns < work.now.unix_ns().saturating_sub(MISSED_AFTER_NS)
                    && let Some(state) = self.mirrors.get_mut(index)
                {
                    state.scan.missed += 1;
                }
            }
            let entry = EntryId { dir: id, name: found.name.clone() };
            self.entry(work, index, dir, &entry, found.kind, Rows { file, skip, child })?;
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
        if let Some(state) = self.mirrors.get_mut(index) {
            // The first comes off the stack first.
            state.scan.stack.extend(children.into_iter().rev());
        }
        Ok(())
    }

    /// One entry that is on disk.
    fn entry(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &RelPath,
        id: &EntryId,
        kind: Kind,
        rows: Rows,
    ) -> Result<(), JournalError> {
        if kind == Kind::Unknown {
            return Ok(());
        }
        if !matches!(kind, Kind::File(_))
            && let Some(row) = &rows.file
        {
            match kind {
                // Left out from now on: the copy stays, and is no longer ours to speak of.
                Kind::Skipped(_) => {
                    work.turn.remove_file(&row.id)?;
                    work.turn.remove_upload(&row.id)?;
                    work.turn.remove_trouble(&row.id)?;
                }
                _ => self.file_absent(work, index, dir, row)?,
            }
        }
        if kind != Kind::Dir
            && let Some(row) = &rows.child
        {
            self.dir_absent(work, index, row)?;
        }
        if !matches!(kind, Kind::Skipped(_)) && rows.skip.is_some() {
            work.turn.remove_skipped(id)?;
        }
        match kind {
            Kind::File(seen) => self.file_seen(work, index, id, rows.file.as_ref(), seen),
            Kind::Dir => self.dir_seen(work, index, id, &dir.join(&id.name), rows.child.as_ref()),
            Kind::Skipped(skip) => {
                let reason = reason(skip);
                if rows.skip.is_none_or(|row| row.reason != reason) {
                    work.turn.put_skipped(&SkippedRow { id: id.clone(), reason })?;
                }
                Ok(())
            }
            Kind::Unknown => Ok(()),
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
        let waits = row.is_some_and(|row| row.next_at_ms.is_some());
        let wrong = match row {
            Some(_) if waits => match work.turn.trouble(id)? {
                None => Wrong::Nothing,
                Some(trouble) if trouble.class == Class::Local => Wrong::Local,
                Some(_) => Wrong::Other,
            },
            _ => Wrong::Nothing,
        };
        let now_ms = work.now.unix_ms;
        match plan::file_seen(id, row, wrong, seen, state.rest, now_ms) {
            Seen::Nothing => {}
            Seen::Retry(row) => work.turn.put_file(&row)?,
            Seen::Put(row) => {
                work.turn.put_file(&row)?;
                if wrong != Wrong::Nothing {
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
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get(index) else { return Ok(()) };
        let due = work.now.unix_ms + to_ms(state.rest.settle);
        match row {
            None => {
                work.turn.insert_dir(state.id, Some(id.dir), path, Some(due))?;
            }
            Some(row) if row.gone_at_ms.is_some() => {
                work.turn.dir_is_back(row.id, row.created_at_ms.is_none().then_some(due))?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn file_absent(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        dir: &RelPath,
        row: &FileRow,
    ) -> Result<(), JournalError> {
        match plan::file_vanished(row, work.now.unix_ms) {
            Vanished::Nothing => return Ok(()),
            Vanished::Remove => work.turn.remove_file(&row.id)?,
            Vanished::Put(gone) => {
                work.turn.put_file(&gone)?;
                if let Some(state) = self.mirrors.get(index) {
                    let path = dir.join(&row.id.name);
                    work.turn.record(work.now.unix_ms, state.id, &path, Activity::Gone, "")?;
                }
            }
        }
        work.turn.remove_trouble(&row.id)
    }

    fn dir_absent(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        row: &DirRow,
    ) -> Result<(), JournalError> {
        if row.gone_at_ms.is_some() {
            return Ok(());
        }
        let files = work.turn.tree_gone(row.id, work.now.unix_ms)?;
        if let Some(state) = self.mirrors.get(index) {
            let detail = format!("a directory with {files} files");
            work.turn.record(work.now.unix_ms, state.id, &row.path, Activity::Gone, &detail)?;
        }
        Ok(())
    }

    /// A single path was looked at.
    pub(super) fn looked(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        path: &RelPath,
        what: Result<Kind, Absent>,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        state.looking.remove(path);
        if state.scan.held {
            return Ok(());
        }
        let Some((dir_path, name)) = path.split() else {
            // Something about the root itself: the next scan looks at what it is.
            if what != Ok(Kind::Dir) {
                state.scan.hurry(work.now.mono_ms);
            }
            return Ok(());
        };
        let name = name.to_vec();
        let dir = work.turn.dir_at(state.id, &dir_path)?.filter(|dir| dir.gone_at_ms.is_none());
        let Some(dir) = dir else {
            // Below something that is not known (yet): list the nearest directory that is.
            if matches!(what, Ok(Kind::File(_) | Kind::Dir)) {
                self.relist_above(work, index, &dir_path)?;
            }
            return Ok(());
        };
        // Other rules hold from now on, in the whole subtree.
        if name == IGNORE_FILE.as_bytes()
            && let Some(state) = self.mirrors.get_mut(index)
        {
            state.scan.stack.push(dir_path.clone());
        }
        let id = EntryId { dir: dir.id, name };
        let file = work.turn.file(&id)?;
        let child = match &self.mirrors.get(index) {
            Some(state) => work.turn.dir_at(state.id, path)?,
            None => None,
        };
        let skip = work.turn.skipped(&id)?;
        match what {
            Ok(kind) => {
                let fresh = child.as_ref().is_none_or(|row| row.gone_at_ms.is_some());
                self.entry(work, index, &dir_path, &id, kind, Rows { file, skip, child })?;
                if kind == Kind::Dir
                    && fresh
                    && let Some(state) = self.mirrors.get_mut(index)
                {
                    state.scan.stack.push(path.clone());
                }
                Ok(())
            }
            Err(Absent::Gone) => {
                if let Some(row) = &file {
                    self.file_absent(work, index, &dir_path, row)?;
                }
                if let Some(row) = &child {
                    self.dir_absent(work, index, row)?;
                }
                if skip.is_some() {
                    work.turn.remove_skipped(&id)?;
                }
                Ok(())
            }
            Err(Absent::Root(message)) => self.hold(work, index, &message),
            // Nothing is known: listing its directory says what is wrong.
            Err(Absent::Unreadable(_)) => self.relist_above(work, index, &dir_path),
        }
    }

    /// Lists the nearest directory on the way to `path` that the journal knows.
    fn relist_above(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        path: &RelPath,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        let mut step = path.clone();
        loop {
            let known = work.turn.dir_at(state.id, &step)?.is_some_and(|d| d.gone_at_ms.is_none());
            if known {
                if !state.scan.stack.contains(&step) {
                    state.scan.stack.push(step);
                }
                return Ok(());
            }
            match step.parent() {
                Some(parent) => step = parent,
                None => return Ok(()),
            }
        }
    }
}

/// What the journal knows of one name.
struct Rows {
    file: Option<FileRow>,
    skip: Option<SkippedRow>,
    child: Option<DirRow>,
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
        Skip::Special => SkipReason::Special,
        Skip::Name => SkipReason::Name,
    }
}
