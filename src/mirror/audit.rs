//! Whether the disk is what the journal says it is (shell; what a difference means is pure).
//!
//! Reads both sides and writes neither, so that it can be asked while the daemon works, is down, or is
//! stopped. Each page is read from the disk first and from the journal after: whatever the daemon
//! writes in between makes the journal newer than the page, never the page newer than the journal.
//! The journal's own account of what waits is the business of its status; here is found what it does
//! not know.

use super::audit_page::{Finding, Page, compare};
use crate::journal::{DirId, JournalError, KnownMirror, Reader};
use crate::relpath::RelPath;
use crate::tree::{Absent, Lister};

/// Paths that are kept as examples.
const EXAMPLES: usize = 5;

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// The root is not there, or not the one that was mirrored: nothing below it is known.
    pub root: Option<String>,
    /// Entries that were compared.
    pub compared: u64,
    /// On disk, and not known to the journal.
    pub unseen: u64,
    /// Other than they were last seen or confirmed.
    pub changed: u64,
    /// Known to the journal, and not on disk. A folder counts once.
    pub gone: u64,
    /// Not to be looked at.
    pub unreadable: u64,
    /// A few of them.
    pub examples: Vec<(Finding, RelPath)>,
}

impl Audit {
    /// Whether the disk is what the journal says.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.root.is_none() && self.unseen + self.changed + self.gone + self.unreadable == 0
    }

    fn add(&mut self, finding: Finding, path: RelPath) {
        *match finding {
            Finding::Unseen => &mut self.unseen,
            Finding::Changed => &mut self.changed,
            Finding::Gone => &mut self.gone,
            Finding::Unreadable => &mut self.unreadable,
        } += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push((finding, path));
        }
    }
}

/// Compares everything at `path` and below it with the journal.
///
/// # Errors
/// What the journal says. What the disk says is a finding.
pub fn audit(
    reader: &Reader,
    mirror: &KnownMirror,
    lister: &Lister,
    path: &RelPath,
) -> Result<Audit, JournalError> {
    let mut audit = Audit::default();
    if let Some(message) = replaced(reader, mirror, lister)? {
        audit.root = Some(message);
        return Ok(audit);
    }
    let mut stack = vec![path.clone()];
    while let Some(dir) = stack.pop() {
        let Some(known) = reader.known_dir(mirror.id, &dir)?.filter(|known| !known.gone) else {
            // Below where it began, only folders that the journal knew a moment ago are looked into: the
            // daemon has noticed that this one went.
            if dir == *path {
                audit.add(Finding::Unseen, dir);
            }
            continue;
        };
        folder(reader, lister, &dir, known.id, &mut audit, &mut stack)?;
        if audit.root.is_some() {
            break;
        }
    }
    Ok(audit)
}

/// One folder, a page at a time.
fn folder(
    reader: &Reader,
    lister: &Lister,
    dir: &RelPath,
    id: DirId,
    audit: &mut Audit,
    stack: &mut Vec<RelPath>,
) -> Result<(), JournalError> {
    let mut failed = None;
    let mut after: Option<Vec<u8>> = None;
    let listed = lister.list(
        dir,
        |_| {},
        |entries, last| {
            let upto = if last { None } else { entries.last().map(|found| found.name.clone()) };
            let rows = rows(reader, dir, id, after.as_deref(), upto.as_deref());
            match rows {
                Err(error) => failed = Some(error),
                Ok((files, dirs)) => {
                    audit.compared += entries.len() as u64;
                    let page = Page { entries: &entries, files: &files, dirs: &dirs };
                    compare(&page, |finding, name| audit.add(finding, dir.join(name)));
                    descend(&page, dir, stack);
                }
            }
            after = upto;
            failed.is_none()
        },
    );
    if let Some(error) = failed {
        return Err(error);
    }
    match listed {
        Ok(()) => {}
        Err(Absent::Root(message)) => audit.root = Some(message),
        // It was there when the folder above was listed.
        Err(Absent::Gone) => audit.add(Finding::Gone, dir.clone()),
        Err(Absent::Unreadable(_) | Absent::Short(_)) => {
            audit.add(Finding::Unreadable, dir.clone())
        }
    }
    Ok(())
}

type Rows = (Vec<crate::journal::FileRow>, Vec<crate::journal::KnownDir>);

fn rows(
    reader: &Reader,
    dir: &RelPath,
    id: DirId,
    after: Option<&[u8]>,
    upto: Option<&[u8]>,
) -> Result<Rows, JournalError> {
    let files = reader.files_between(id, after, upto)?;
    let after = after.map(|name| dir.join(name));
    let upto = upto.map(|name| dir.join(name));
    Ok((files, reader.dirs_between(id, after.as_ref(), upto.as_ref())?))
}

/// Folders that the journal does not know were told with their page; what is in them is not counted
/// one by one.
fn descend(page: &Page<'_>, dir: &RelPath, stack: &mut Vec<RelPath>) {
    let known = |name: &[u8]| {
        let at = page.dirs.binary_search_by(|dir| dir.name.as_slice().cmp(name));
        at.ok().and_then(|at| page.dirs.get(at)).is_some_and(|dir| !dir.gone)
    };
    let children = page.entries.iter().rev().filter(|found| found.kind.is_dir());
    stack.extend(children.filter(|found| known(&found.name)).map(|found| dir.join(&found.name)));
}

/// An empty folder in the place of a full one is what a missing mount looks like: the same question
/// as before a scan, so that the answer is the same too.
pub(super) fn replaced(
    reader: &Reader,
    mirror: &KnownMirror,
    lister: &Lister,
) -> Result<Option<String>, JournalError> {
    let root = match lister.root() {
        Ok(root) => root,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let other = mirror.root.is_some_and(|known| known.inode != root.inode);
    if !other {
        return Ok(None);
    }
    let mut empty = false;
    let listed = lister.list(
        &RelPath::root(),
        |_| {},
        |entries, last| {
            empty = last && entries.is_empty();
            false
        },
    );
    let full = reader.below(mirror.id, &RelPath::root())?.is_some_and(|folder| folder.files > 0);
    Ok((listed.is_ok() && empty && full).then(|| {
        "the root is another, empty folder than before; is its filesystem mounted?".to_owned()
    }))
}
