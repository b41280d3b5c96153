//! Listing directories and looking at single paths (shell): a page at a time, entries sorted, rules applied.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::buffers::Buffers;
use super::entry::{Absent, DirMark, Found, Kind, Meaning, Skip, refusal};
use super::filter::{self, BaseRules, FileRules, IGNORE_FILE, Rule};
use super::follow::Lead;
use super::leads::Leads;
use super::names;
use super::read::{self, ReadError, Reading};
use super::root::{Root, RootError, RootId};
use super::twins::Twins;
use super::way::{Astray, Seen, Way};
use crate::config::{Mirror, Names, Symlinks};
use crate::fingerprint::Fingerprint;
use crate::relpath::RelPath;

/// Entries of one page: while one is compared with the journal, the next is looked at, so a directory of some hundred
/// entries should have several.
const PAGE: usize = 256;
/// An ignore file larger than this is a mistake.
const IGNORE_MAX: u64 = 1024 * 1024;

/// What of a folder is mirrored, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Rules of the configuration.
    pub exclude: Vec<String>,
    /// The names of temporary files are left out.
    pub exclude_temporary: bool,
    /// Symbolic links are mirrored as what they point to.
    pub follow: bool,
    /// What becomes of names that the service does not take.
    pub names: Names,
}

impl Selection {
    /// That of a mirror of the configuration.
    #[must_use]
    pub fn of(mirror: &Mirror) -> Selection {
        Selection {
            exclude: mirror.exclude.clone(),
            exclude_temporary: mirror.exclude_temporary,
            follow: mirror.symlinks == Symlinks::Follow,
            names: mirror.names,
        }
    }
}

/// Lists the directories of one mirror.
#[derive(Debug)]
pub struct Lister {
    local: PathBuf,
    rules: BaseRules,
    selection: Selection,
    /// Where the links lead that were followed.
    leads: Mutex<Leads>,
    /// Files that were seen under more than one name.
    twins: Mutex<Twins>,
    /// What files are read into.
    buffers: Buffers,
}

/// What decides whether an entry is mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The entry itself, or the directory above it that decides for everything in it.
    pub at: RelPath,
    /// What is there now, rules applied.
    pub kind: Result<Kind, Absent>,
    /// What is there now, rules aside.
    pub bare: Option<Kind>,
    /// The rule that matches, and whether it leaves the entry out.
    pub rule: Option<(Rule, bool)>,
    /// What it points to, if it is a link that is followed.
    pub target: Option<RelPath>,
}

impl Lister {
    /// For the root of a mirror, with what its configuration says.
    #[must_use]
    pub fn of(mirror: &Mirror) -> Lister {
        Lister::new(mirror.local.clone(), Selection::of(mirror))
    }

    /// For the root `local`.
    #[must_use]
    pub fn new(local: PathBuf, selection: Selection) -> Lister {
        let rules = BaseRules::new(&selection.exclude, selection.exclude_temporary);
        Lister {
            local,
            rules,
            selection,
            leads: Mutex::default(),
            twins: Mutex::default(),
            buffers: Buffers::default(),
        }
    }

    /// Which directory the root is now.
    ///
    /// # Errors
    /// It is missing, not a directory, or cannot be opened.
    pub fn root(&self) -> Result<RootId, RootError> {
        Root::open(&self.local).map(|root| root.id())
    }

    /// Hands over the entries of `dir`, sorted by name, in pages; `true` with the last one. Stops early
    /// when `page` says `false`. Names are held in memory, what they are is not. Before anything is looked at that
    /// lies where a link leads, `heed` is given the directory that holds it, so that it can be watched.
    ///
    /// # Errors
    /// Nothing is known of the directory beyond the pages that came. Only [`Absent::Gone`] means absent.
    pub fn list(
        &self,
        dir: &RelPath,
        heed: impl FnMut(&RelPath),
        page: impl FnMut(Vec<Found>, bool) -> bool,
    ) -> Result<(), Absent> {
        self.list_opened(dir, |_, _| {}, heed, page)
    }

    /// The same; `opened` has the directory, and where it really lies, before anything is read of it.
    ///
    /// # Errors
    /// Those of [`Lister::list`].
    pub fn list_opened(
        &self,
        dir: &RelPath,
        opened: impl FnOnce(&RelPath, BorrowedFd<'_>),
        mut heed: impl FnMut(&RelPath),
        mut page: impl FnMut(Vec<Found>, bool) -> bool,
    ) -> Result<(), Absent> {
        let root = Root::open(&self.local).map_err(no_root)?;
        let (way, texts) = self.way(&root, dir).map_err(|astray| match astray {
            // Whoever sees the link tells what stands there now.
            Astray::Barred(_) => Absent::Gone,
            Astray::Errno(errno) => Absent::of(errno),
        })?;
        let fd = way.open().map_err(Absent::of)?;
        opened(way.real(), fd.as_fd());
        let files = rules_of(texts?);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&fd).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        let mut chunks = names.chunks(PAGE).peekable();
        if chunks.peek().is_none() {
            page(Vec::new(), true);
        }
        while let Some(chunk) = chunks.next() {
            let mut found = Vec::with_capacity(chunk.len());
            for name in chunk {
                match self.see(&way, &dir.join(name), name, &mut heed) {
                    Ok(seen) => {
                        let kind = self.judge(&files, dir, name, seen.kind);
                        found.push(Found { name: name.clone(), kind });
                    }
                    // Removed since it was listed.
                    Err(Astray::Errno(Errno::NOENT)) => {}
                    Err(Astray::Errno(error)) if Meaning::of(error) == Meaning::Shortage => {
                        return Err(unreadable(error));
                    }
                    Err(_) => found.push(Found { name: name.clone(), kind: Kind::Unknown }),
                }
            }
            if !page(found, chunks.peek().is_none()) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What is at `path` now, rules applied. `heed` as in [`Lister::list`].
    ///
    /// # Errors
    /// It is gone, or nothing is known of it.
    pub fn look(&self, path: &RelPath, mut heed: impl FnMut(&RelPath)) -> Result<Kind, Absent> {
        let root = Root::open(&self.local).map_err(no_root)?;
        let Some((dir, name)) = path.split() else { return Ok(Kind::Dir(root.mark())) };
        let (way, texts) = self.way(&root, &dir)?;
        let seen = self.see(&way, path, name, &mut heed)?;
        Ok(self.judge(&rules_of(texts?), &dir, name, seen.kind))
    }

    /// Opens the file `path`, provided that it is still `expected`.
    ///
    /// # Errors
    /// It vanished, changed, or cannot be read.
    pub fn open(&self, path: &RelPath, expected: Fingerprint) -> Result<Reading, ReadError> {
        read::open(&self.local, self.selection.follow, path, expected, &self.buffers)
    }

    /// A scan begins: every name is looked at from now on.
    pub fn scan_begins(&self) {
        self.twins().scan_begins();
    }

    /// Whether the file `path`, as it was seen last, has other names that nobody knows of and that may lie in the folder.
    #[must_use]
    pub fn lacks_names(&self, path: &RelPath) -> bool {
        self.twins().lacks_some(path)
    }

    /// Whether one of the files of a page of `dir` does.
    #[must_use]
    pub fn lacks_names_in(&self, dir: &RelPath, page: &[Found]) -> bool {
        let twins = self.twins();
        !twins.is_empty() && page.iter().any(|found| twins.lacks_some(&dir.join(&found.name)))
    }

    /// A handle on a directory at its real place, to watch it by; `None`: it is not there, or not for us.
    #[must_use]
    pub fn handle(&self, real: &RelPath) -> Option<OwnedFd> {
        Root::open(&self.local).ok()?.open_dir(real).ok()
    }

    /// The other names that `path` has, through links that were followed and as another name of the same file.
    #[must_use]
    pub fn names_of(&self, path: &RelPath) -> Vec<RelPath> {
        let mut names = self.twins().names_of(path);
        let leads = self.leads();
        if !leads.is_empty() {
            let own: Vec<RelPath> = names.iter().flat_map(|name| leads.names_of(name)).collect();
            names.extend(own);
            names.extend(leads.names_of(path));
        }
        names
    }

    /// There are more links than can be remembered: what happens behind some is only seen by looking.
    #[must_use]
    pub fn forgets_links(&self) -> bool {
        self.leads().is_full()
    }

    /// What is at `path` now and why it is mirrored or not: the first entry on the way from the root
    /// that is no directory, or is left out, decides.
    #[must_use]
    pub fn explain(&self, path: &RelPath) -> Explained {
        let mut step = RelPath::root();
        let top = Kind::Dir(DirMark::default());
        let mut last = Explained {
            at: step.clone(),
            kind: Ok(top),
            bare: Some(top),
            rule: None,
            target: None,
        };
        let root = match Root::open(&self.local) {
            Ok(root) => root,
            Err(error) => {
                let kind = Err(no_root(error));
                return Explained { kind, bare: None, ..last };
            }
        };
        for name in path.segments() {
            let dir = step.clone();
            step = step.join(name);
            last = self.explain_one(&root, &dir, name);
            if !last.kind.as_ref().is_ok_and(|kind| kind.is_dir()) {
                break;
            }
        }
        last
    }

    fn explain_one(&self, root: &Root, dir: &RelPath, name: &[u8]) -> Explained {
        let at = dir.join(name);
        let looked = self
            .way(root, dir)
            .map_err(Absent::from)
            .and_then(|(way, texts)| Ok((self.see(&way, &at, name, &mut |_| {})?, texts?)));
        match looked {
            Err(absent) => {
                Explained { at, kind: Err(absent), bare: None, rule: None, target: None }
            }
            Ok((seen, texts)) => {
                let is_dir = seen.kind.is_dir();
                let exclude = &self.selection.exclude;
                let rule = filter::explain(&self.rules, exclude, &texts, dir, name, is_dir);
                let kind = Ok(self.judge(&rules_of(texts), dir, name, seen.kind));
                let target = seen.lead.and_then(|lead| lead.end.ok());
                Explained { at, kind, bare: Some(seen.kind), rule, target }
            }
        }
    }

    fn leads(&self) -> MutexGuard<'_, Leads> {
        self.leads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn twins(&self) -> MutexGuard<'_, Twins> {
        self.twins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at an entry, and remembers where it leads if it is a link.
    fn see(
        &self,
        way: &Way<'_>,
        path: &RelPath,
        name: &[u8],
        heed: &mut dyn FnMut(&RelPath),
    ) -> Result<Seen, Astray> {
        let seen = way.look(name, &mut |lead: &Lead| {
            self.leads().set(path, &lead.passed);
            for place in &lead.passed {
                heed(&place.parent().unwrap_or_default());
            }
        });
        if self.selection.follow {
            match &seen {
                Ok(Seen { lead: Some(_), kind, .. }) if kind.is_dir() => {}
                Ok(Seen { lead: Some(_), .. }) => self.leads().close(path),
                _ => self.leads().forget(path),
            }
        }
        self.twins().set(path, seen.as_ref().ok().and_then(|seen| seen.twin));
        seen
    }

    fn judge(&self, files: &[FileRules], dir: &RelPath, name: &[u8], kind: Kind) -> Kind {
        let is_dir = kind.is_dir();
        if let Some(skip) = filter::left_out(&self.rules, files, dir, name, is_dir) {
            return Kind::Skipped(skip);
        }
        match kind {
            Kind::File(_) | Kind::Dir(_)
                if names::remote_name(self.selection.names, name).is_none() =>
            {
                Kind::Skipped(Skip::Name)
            }
            other => other,
        }
    }

    /// The way to `dir`, and the texts of the ignore files that count there, outermost first. One that cannot be read
    /// makes the whole directory unknown: guessing would send what somebody wanted to keep.
    fn way<'r>(&self, root: &'r Root, dir: &RelPath) -> Result<(Way<'r>, Texts), Astray> {
        let mut way = Way::at_root(root, self.selection.follow)?;
        let mut texts = Vec::new();
        let mut failed = add_text(&way, &RelPath::root(), &mut texts).err();
        let mut step = RelPath::root();
        for name in dir.segments() {
            way.enter(name)?;
            step = step.join(name);
            if failed.is_none() {
                failed = add_text(&way, &step, &mut texts).err();
            }
        }
        Ok((way, failed.map_or(Ok(texts), Err)))
    }
}

/// Texts of ignore files, with the directories they lie in.
type Texts = Result<Vec<(RelPath, String)>, Absent>;

fn add_text(
    way: &Way<'_>,
    dir: &RelPath,
    texts: &mut Vec<(RelPath, String)>,
) -> Result<(), Absent> {
    let path = || dir.join(IGNORE_FILE.as_bytes());
    let file = match way.open_file(IGNORE_FILE.as_bytes()) {
        Ok(Some(file)) => file,
        Ok(None) | Err(Astray::Errno(Errno::NOENT)) => return Ok(()),
        // It leads somewhere: what stands there is not known.
        Err(Astray::Barred(_)) => {
            let text = format!("cannot read {}: it is a link that is not followed", path());
            return Err(Absent::Unreadable(text));
        }
        Err(Astray::Errno(error)) => {
            let short = Meaning::of(error) == Meaning::Shortage;
            let text = format!("cannot read {}: {}", path(), refusal(error, "read it"));
            return Err(if short { Absent::Short(text) } else { Absent::Unreadable(text) });
        }
    };
    let mut text = Vec::new();
    if let Err(error) = file.take(IGNORE_MAX + 1).read_to_end(&mut text) {
        return Err(Absent::Unreadable(format!("cannot read {}: {error}", path())));
    }
    if text.len() as u64 > IGNORE_MAX {
        return Err(Absent::Unreadable(format!("{} is larger than 1 MiB", path())));
    }
    texts.push((dir.clone(), String::from_utf8_lossy(&text).into_owned()));
    Ok(())
}

fn rules_of(texts: Vec<(RelPath, String)>) -> Vec<FileRules> {
    texts.into_iter().map(|(dir, text)| FileRules::new(dir, &text)).collect()
}

fn no_root(error: RootError) -> Absent {
    match error {
        RootError::Shortage(..) => Absent::Short(error.to_string()),
        RootError::Missing(_) | RootError::NotDirectory(_) | RootError::Unreadable(..) => {
            Absent::Root(error.to_string())
        }
    }
}

/// A directory that was opened cannot be read. It is not gone for that.
fn unreadable(error: Errno) -> Absent {
    let text = std::io::Error::from(error).to_string();
    match Meaning::of(error) {
        Meaning::Shortage => Absent::Short(text),
        Meaning::Vanished | Meaning::RootGone | Meaning::Refused => Absent::Unreadable(text),
    }
}
