//! Listing directories and looking at single paths (shell): a page at a time, entries sorted, rules applied.

use std::io::Read;
use std::path::PathBuf;

use rustix::io::Errno;

use super::entry::{Absent, Found, Kind, Skip, kind};
use super::filter::{self, BaseRules, FileRules, IGNORE_FILE};
use super::names;
use super::root::Root;
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
}

impl Lister {
    /// For the root `local` with the `exclude` rules of its configuration.
    #[must_use]
    pub fn new(local: PathBuf, exclude: &[String]) -> Lister {
        Lister { local, rules: BaseRules::new(exclude) }
    }

    /// Hands over the entries of `dir`, sorted by name, in pages; `true` with the last one. Stops early
    /// when `page` says `false`. Names are held in memory, what they are is not.
    ///
    /// # Errors
    /// Nothing is known of the directory beyond the pages that came. Only [`Absent::Gone`] means absent.
    pub fn list(
        &self,
        dir: &RelPath,
        mut page: impl FnMut(Vec<Found>, bool) -> bool,
    ) -> Result<(), Absent> {
        let root = Root::open(&self.local).map_err(|error| Absent::Root(error.to_string()))?;
        let fd = root.open_dir(dir).map_err(Absent::of)?;
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
                        let kind = self.judge(&files, dir, name, kind(&stat, root.is_stable()));
                        found.push(Found { name: name.clone(), kind });
                    }
                    // Removed since it was listed.
                    Err(Errno::NOENT) => {}
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
        let root = Root::open(&self.local).map_err(|error| Absent::Root(error.to_string()))?;
        let Some((dir, name)) = path.split() else { return Ok(Kind::Dir) };
        let kind = root.look(path)?;
        let files = self.ignore_files(&root, &dir)?;
        Ok(self.judge(&files, &dir, name, kind))
    }

    fn judge(&self, files: &[FileRules], dir: &RelPath, name: &[u8], kind: Kind) -> Kind {
        let is_dir = kind == Kind::Dir;
        if let Some(skip) = filter::left_out(&self.rules, files, dir, name, is_dir) {
            return Kind::Skipped(skip);
        }
        match kind {
            Kind::File(_) | Kind::Dir if names::is_forbidden(name) => Kind::Skipped(Skip::Name),
            other => other,
        }
    }

    /// The ignore files that count in `dir`, outermost first. One that cannot be read makes the whole
    /// directory unknown: guessing would send what somebody wanted to keep.
    fn ignore_files(&self, root: &Root, dir: &RelPath) -> Result<Vec<FileRules>, Absent> {
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
                    files.push(FileRules::new(step.clone(), &String::from_utf8_lossy(&text)));
                }
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => {
                    let error = std::io::Error::from(error);
                    return Err(Absent::Unreadable(format!("cannot read {path}: {error}")));
                }
            }
            match segments.next() {
                Some(name) => step = step.join(name),
                None => return Ok(files),
            }
        }
    }
}

fn unreadable(error: Errno) -> Absent {
    Absent::Unreadable(std::io::Error::from(error).to_string())
}
