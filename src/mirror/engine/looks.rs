//! Single paths: hints that something may have changed there, and what a look says.

use super::observe::Rows;
use super::scan::OVERFLOW_WAIT_MS;
use super::stack::{Reach, Wanted};
use super::{Core, Work};
use crate::failure::Class;
use crate::journal::{EntryId, JournalError, NEVER_MS, RootIdentity, TroubleRow};
use crate::mirror::facts::Effect;
use crate::relpath::RelPath;
use crate::tree::{Absent, IGNORE_FILE, Kind, RootError, RootId};

/// Paths looked at in one effect.
const LOOKS: usize = 512;
/// Paths that are being looked at. What comes meanwhile is held, each path once.
const LOOKING: usize = 4 * LOOKS;
/// Hints of one mirror that are held; beyond it they are dropped for one full scan.
const HINTS: usize = 65_536;
/// After a hint on a root that is there, a scan waits so long for others.
const ROOT_WAIT_MS: i64 = 1_000;

impl Core {
    /// Paths may have changed.
    pub(super) fn hinted(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        paths: Vec<RelPath>,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        state.hints.extend(paths);
        if state.hints.len() > HINTS {
            state.hints.clear();
            work.turn.mark_dirty(state.id, true)?;
            state.scan.hurry(work.now.mono_ms + OVERFLOW_WAIT_MS);
        }
        Ok(())
    }

    /// A file has names that nobody knows of: a scan finds those that lie in the folder.
    pub(super) fn names_unknown(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        listed: bool,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        // One that is under way comes by the others, too; but for those that it passed before a name was made.
        if state.scan.held || listed && state.scan.is_full() {
            return Ok(());
        }
        work.turn.mark_dirty(state.id, false)?;
        state.scan.hurry_gently(work.now.mono_ms);
        Ok(())
    }

    pub(super) fn advance_looks(&mut self, work: &mut Work<'_>, index: usize) {
        let Some(state) = self.mirrors.get_mut(index) else { return };
        if state.scan.held {
            // Something happened to the root: it may be back.
            if state.hints.contains(&RelPath::root()) {
                state.scan.hurry(work.now.mono_ms + ROOT_WAIT_MS);
            }
            state.hints.clear();
            return;
        }
        if state.scan.short.waits(work.now.mono_ms) || state.looking.len() >= LOOKING {
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

    /// A single path was looked at.
    pub(super) fn looked(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        path: &RelPath,
        what: Result<Kind, Absent>,
        watched: bool,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        state.looking.remove(path);
        let closed = state.closed.remove(path);
        if !matches!(what, Err(Absent::Short(_))) {
            state.scan.short.over();
        }
        // What lay on a filesystem that is not mounted is not known, whatever the empty directory shows.
        if state.scan.held {
            return Ok(());
        }
        if state.unmounted.iter().any(|dir| path != dir && path.is_within(dir)) {
            return self.out_of_reach(work, index, path);
        }
        let Some((dir_path, name)) = path.split() else { return Ok(()) };
        let name = name.to_vec();
        let dir = work.turn.dir_at(state.id, &dir_path)?.filter(|dir| dir.gone_at_ms.is_none());
        let Some(dir) = dir else {
            // Below something that is not known (yet): list the nearest directory that is.
            if matches!(what, Ok(Kind::File(_) | Kind::Dir(_))) {
                self.relist_above(work, index, &dir_path)?;
            }
            return Ok(());
        };
        // The page of a listing that began before may be older than this look, and come after it.
        if matches!(what, Ok(_) | Err(Absent::Gone))
            && let Some(current) = self.mirrors.get_mut(index).and_then(|s| s.scan.current.as_mut())
            && current.path == dir_path
        {
            current.touched.insert(path.clone());
        }
        // Other rules hold from now on, in the whole subtree.
        if name == IGNORE_FILE.as_bytes()
            && let Some(state) = self.mirrors.get_mut(index)
        {
            state.rules_at_ms = work.now.unix_ms;
            state.scan.relist(&dir_path);
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
                let same = matches!((&child, kind), (Some(row), Kind::Dir(mark)) if row.gone_at_ms.is_none()
                    && row.inode != 0
                    && (row.inode, row.mounted) == (mark.inode, mark.mounted));
                let known = same && watched && self.all_is_read(work, index)?;
                let listed =
                    self.entry(work, index, &dir_path, &id, kind, Rows { file, skip, child })?;
                if kind.is_dir() {
                    self.is_in_its_place(index, path);
                } else if closed {
                    self.looked_at_closed(work, index, &id)?;
                }
                // A hint on a directory comes when it was made, renamed or given other rights, not when something
                // in it changes. It may be another one under a name that is known: nobody has listed that, and
                // nobody watches it. Of one that is the same and watched, what is below is known, unless something
                // could not be read, which its new rights may have changed.
                if listed && let Some(state) = self.mirrors.get_mut(index) {
                    match known {
                        true => state.scan.relist_itself(path),
                        false => state.scan.relist(path),
                    }
                }
                Ok(())
            }
            Err(Absent::Gone) => {
                if let Some(state) = self.mirrors.get_mut(index) {
                    state.scan.doubted.remove(path);
                }
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
            Err(Absent::Short(_)) => {
                if let Some(state) = self.mirrors.get_mut(index)
                    && state.scan.short.wait(work.now.mono_ms)
                {
                    state.hints.insert(path.clone());
                    if closed {
                        state.closed.insert(path.clone());
                    }
                    return Ok(());
                }
                self.relist_above(work, index, &dir_path)
            }
            // Nothing is known: listing its directory says what is wrong.
            Err(Absent::Unreadable(_)) => self.relist_above(work, index, &dir_path),
        }
    }

    /// Whether there is nothing in a mirror that could not be read here.
    fn all_is_read(&self, work: &Work<'_>, index: usize) -> Result<bool, JournalError> {
        match self.mirrors.get(index) {
            Some(state) => Ok(!work.turn.cannot_read_all(state.id)?),
            None => Ok(false),
        }
    }

    /// The root was looked at. Another one, or one that was away, is scanned: nobody watches what is in it. Whoever
    /// touches it again and again does not cause a scan each time.
    pub(super) fn root_looked(
        &mut self,
        work: &Work<'_>,
        index: usize,
        seen: Result<RootId, RootError>,
        watched: bool,
    ) -> Result<(), JournalError> {
        let known = watched && self.all_is_read(work, index)?;
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        let root = RelPath::root();
        state.looking.remove(&root);
        if state.scan.held {
            return Ok(());
        }
        match seen.map(|id| RootIdentity { inode: id.inode, fsid: id.fsid }) {
            Ok(id) if known && state.root == Some(id) => state.scan.relist_itself(&root),
            Ok(_) => state.scan.hurry(work.now.mono_ms + ROOT_WAIT_MS),
            Err(_) => state.scan.hurry(work.now.mono_ms),
        }
        Ok(())
    }

    /// A file on a filesystem that is not mounted waits until that is: it cannot be read.
    fn out_of_reach(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        path: &RelPath,
    ) -> Result<(), JournalError> {
        let (Some(state), Some((dir, name))) = (self.mirrors.get(index), path.split()) else {
            return Ok(());
        };
        let Some(dir) = work.turn.dir_at(state.id, &dir)? else { return Ok(()) };
        let id = EntryId { dir: dir.id, name: name.to_vec() };
        let waits = work.turn.file(&id)?.is_some_and(|row| {
            row.gone_at_ms.is_none() && row.next_at_ms.is_some_and(|at| at != NEVER_MS)
        });
        if !waits {
            return Ok(());
        }
        work.turn.set_file_next(&id, NEVER_MS)?;
        work.turn.put_trouble(&TroubleRow {
            id,
            class: Class::Local,
            code: None,
            message: "the filesystem that it lies on is not mounted".to_owned(),
            request_id: None,
            attempts: 1,
            blocked: true,
            first_at_ms: work.now.unix_ms,
            last_at_ms: work.now.unix_ms,
        })
    }

    /// Lists the nearest directory on the way to `path` that the journal knows, and what is new in it. Unless the
    /// journal knows that the way leads through what is left out: a directory that was watched before it was
    /// excluded is still watched, and nobody wants to hear of it.
    fn relist_above(
        &mut self,
        work: &mut Work<'_>,
        index: usize,
        path: &RelPath,
    ) -> Result<(), JournalError> {
        let Some(state) = self.mirrors.get_mut(index) else { return Ok(()) };
        let mut step = path.clone();
        let mut below: Option<Vec<u8>> = None;
        loop {
            let dir = work.turn.dir_at(state.id, &step)?.filter(|dir| dir.gone_at_ms.is_none());
            if let Some(dir) = dir {
                let left_out = match below {
                    Some(name) => work.turn.skipped(&EntryId { dir: dir.id, name })?.is_some(),
                    None => false,
                };
                if !left_out && !state.scan.stack.covers(&step) {
                    state.scan.stack.push(step, Wanted { reach: Reach::News });
                }
                return Ok(());
            }
            let Some((parent, name)) = step.split() else { return Ok(()) };
            below = Some(name.to_vec());
            step = parent;
        }
    }
}
