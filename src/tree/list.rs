//! Listing directories and looking at single paths (shell): a page at a time, entries sorted, rules applied.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::io::Errno;

use super::entry::{Absent, DirMark, Found, Kind, Meaning, Skip, kind};
use super::filter::{self, BaseRules, FileRules, IGNORE_FILE, Rule};
use super::names;
use super::root::{Root, RootError, RootId};
use crate::relpath::RelPath;

/// Entries of one page.
pub const PAGE: usize = 4096;
/// An ignore file larger than this is a mistake.
const IGNORE_MAX: u64 = 1024 * 1024;

/// Lists the directories of one mirror.
#[derive(Debug, Clone)]
pub struct Lister {
    local: PathBuf,
    rules: BaseRules,
    exclude: Vec<String>,
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
}

impl Lister {
    /// For the root `local` with the `exclude` rules of its configuration.
    #[must_use]
    pub fn new(local: PathBuf, exclude: &[String]) -> Lister {
        Lister { local, rules: BaseRules::new(exclude), exclude: exclude.to_vec() }
    }

    /// Which directory the root is now.
    ///
    /// # Errors
    /// It is missing, not a directory, or cannot be opened.
    pub fn root(&self) -> Result<RootId, RootError> {
        Root::open(&self.local).map(|root| root.id())
    }

    /// Hands over the entries of `dir`, sorted by name, in pages; `true` with the last one. Stops early
    /// when `page` says `false`. Names are held in memory, what they are is not.
    ///
    /// # Errors
    /// Nothing is known of the directory beyond the pages that came. Only [`Absent::Gone`] means absent.
    pub fn list(
        &self,
        dir: &RelPath,
        page: impl FnMut(Vec<Found>, bool) -> bool,
    ) -> Result<(), Absent> {
        self.list_opened(dir, |_| {}, page)
    }

    /// The same; `opened` has the directory before anything is read of it.
    ///
    /// # Errors
    /// Those of [`Lister::list`].
    pub fn list_opened(
        &self,
        dir: &RelPath,
        opened: impl FnOnce(BorrowedFd<'_>),
        mut page: impl FnMut(Vec<Found>, bool) -> bool,
    ) -> Result<(), Absent> {
        let root = Root::open(&self.local).map_err(no_root)?;
        let fd = root.open_dir(dir).map_err(Absent::of)?;
        opened(fd.as_fd());
        let holder = rustix::fs::fstat(&fd).map_err(unreadable)?.st_dev;
        let files = self.ignore_files(&root, dir)?;
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
                match Root::stat_in(&fd, name) {
                    Ok(stat) => {
                        let kind =
                            self.judge(&files, dir, name, kind(&stat, root.is_stable(), holder));
                        found.push(Found { name: name.clone(), kind });
                    }
                    // Removed since it was listed.
                    Err(Errno::NOENT) => {}
                    Err(error) if Meaning::of(error) == Meaning::Shortage => {
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

    /// What is at `path` now, rules applied.
    ///
    /// # Errors
    /// It is gone, or nothing is known of it.
    pub fn look(&self, path: &RelPath) -> Result<Kind, Absent> {
        let root = Root::open(&self.local).map_err(no_root)?;
        let Some((dir, name)) = path.split() else { return Ok(Kind::Dir(root.mark())) };
        let kind = root.look(path)?;
        let files = self.ignore_files(&root, &dir)?;
        Ok(self.judge(&files, &dir, name, kind))
    }

    /// What is at `path` now and why it is mirrored or not: the first entry on the way from the root
    /// that is no directory, or is left out, decides.
    #[must_use]
    pub fn explain(&self, path: &RelPath) -> Explained {
        let mut step = RelPath::root();
        let top = Kind::Dir(DirMark::default());
        let mut last = Explained { at: step.clone(), kind: Ok(top), bare: Some(top), rule: None };
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
        let looked = root.look(&at).and_then(|bare| Ok((bare, self.ignore_texts(root, dir)?)));
        match looked {
            Err(absent) => Explained { at, kind: Err(absent), bare: None, rule: None },
            Ok((bare, texts)) => {
                let is_dir = bare.is_dir();
                let rule = filter::explain(&self.rules, &self.exclude, &texts, dir, name, is_dir);
                let files = rules_of(texts);
                let kind = Ok(self.judge(&files, dir, name, bare));
                Explained { at, kind, bare: Some(bare), rule }
            }
        }
    }

    fn judge(&self, files: &[FileRules], dir: &RelPath, name: &[u8], kind: Kind) -> Kind {
        let is_dir = kind.is_dir();
        if let Some(skip) = filter::left_out(&self.rules, files, dir, name, is_dir) {
            return Kind::Skipped(skip);
        }
        match kind {
            Kind::File(_) | Kind::Dir(_) if names::is_forbidden(name) => Kind::Skipped(Skip::Name),
            other => other,
        }
    }

    fn ignore_files(&self, root: &Root, dir: &RelPath) -> Result<Vec<FileRules>, Absent> {
        self.ignore_texts(root, dir).map(rules_of)
    }

    /// The ignore files that count in `dir`, outermost first. One that cannot be read makes the whole
    /// directory unknown: guessing would send what somebody wanted to keep.
    fn ignore_texts(&self, root: &Root, dir: &RelPath) -> Result<Vec<(RelPath, String)>, Absent> {
        let mut files = Vec::new();
        let mut step = RelPath::root();
        let mut segments = dir.segments();
        loop {
            let path = step.join(IGNORE_FILE.as_bytes());
            match root.open_file(&path) {
                Ok(file) if file.metadata().is_ok_and(|meta| meta.is_file()) => {
                    let mut text = Vec::new();
                    let read = file.take(IGNORE_MAX + 1).read_to_end(&mut text);
                    if let Err(error) = read {
                        return Err(Absent::Unreadable(format!("cannot read {path}: {error}")));
                    }
                    if text.len() as u64 > IGNORE_MAX {
                        return Err(Absent::Unreadable(format!("{path} is larger than 1 MiB")));
                    }
                    files.push((step.clone(), String::from_utf8_lossy(&text).into_owned()));
                }
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => {
                    let short = Meaning::of(error) == Meaning::Shortage;
                    let text = format!("cannot read {path}: {}", std::io::Error::from(error));
                    return Err(if short { Absent::Short(text) } else { Absent::Unreadable(text) });
                }
            }
            match segments.next() {
                Some(name) => step = step.join(name),
                None => return Ok(files),
            }
        }
    }
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
