//! What the journal says, read again only when it was written since: to count a million files takes a quarter of a second,
//! and a scraper asks every few seconds for ever.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::failure::Class;
use crate::journal::{JOURNAL_FILE, JournalError, Kept, MirrorStatus, Reader};

/// What is asked of the journal, in one state of it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Every mirror that it speaks of, and how many entries have which class of trouble.
    pub(super) mirrors: Vec<(MirrorStatus, Vec<(Class, u64)>)>,
    /// The limit of the bandwidth that a person set.
    pub(super) bandwidth: Option<String>,
}

/// What was read last, and how to find out whether that still holds.
#[derive(Debug, Default)]
pub(super) struct Memory(Option<Last>);

#[derive(Debug)]
struct Last {
    reader: Reader,
    /// Device and inode of the journal: another one may have been set in its place.
    file: (u64, u64),
    version: i64,
    known: Known,
}

impl Memory {
    /// What the journal in `state_dir` says now.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn ask(&mut self, state_dir: &Path) -> Result<Known, JournalError> {
        // Without a file there is nothing to remember; opening it says what is wrong.
        let file = fs::metadata(state_dir.join(JOURNAL_FILE)).ok().map(|m| (m.dev(), m.ino()));
        // Whatever goes wrong below is asked anew next time.
        let last = self.0.take().filter(|last| Some(last.file) == file);
        let (reader, before) = match last {
            Some(last) => (last.reader, Some((last.version, last.known))),
            None => (Reader::open(state_dir)?, None),
        };
        // Before anything is read: what is written meanwhile is read twice, not never.
        let version = reader.data_version()?;
        let known = match before {
            Some((then, known)) if then == version => known,
            _ => read(&reader)?,
        };
        if let Some(file) = file.filter(|_| reader.follows()) {
            self.0 = Some(Last { reader, file, version, known: known.clone() });
        }
        Ok(known)
    }
}

fn read(reader: &Reader) -> Result<Known, JournalError> {
    reader.snapshot(|reader| {
        let mut mirrors = Vec::new();
        for status in reader.mirrors()? {
            let troubles = reader.troubles_by_class(status.known.id)?;
            mirrors.push((status, troubles));
        }
        Ok(Known { mirrors, bandwidth: reader.kept(Kept::BandwidthLimit)? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    fn names(memory: &mut Memory, state_dir: &Path) -> Vec<String> {
        let known = memory.ask(state_dir).expect("an answer");
        known.mirrors.into_iter().map(|(status, _)| status.known.name).collect()
    }

    fn adopt(journal: &mut Journal, name: &str) {
        let turn = journal.turn().expect("a turn");
        turn.adopt_mirror(name, b"/m", "t").expect("a mirror");
        turn.commit().expect("committed");
    }

    #[test]
    fn whatever_is_written_is_known_and_another_journal_is_another() {
        let tmp = tempfile::tempdir().expect("a folder");
        let mut memory = Memory::default();
        assert!(memory.ask(tmp.path()).is_err(), "there is none");
        let (mut journal, _) = Journal::open(tmp.path(), "now").expect("a journal");
        assert_eq!(names(&mut memory, tmp.path()), Vec::<String>::new());
        for _ in 0..2 {
            assert_eq!(names(&mut memory, tmp.path()), Vec::<String>::new());
        }
        adopt(&mut journal, "a");
        assert_eq!(names(&mut memory, tmp.path()), ["a"]);
        assert!(memory.0.is_some(), "it is remembered");
        adopt(&mut journal, "b");
        assert_eq!(names(&mut memory, tmp.path()), ["a", "b"]);
        // Set aside, as a damaged one is.
        drop(journal);
        for entry in fs::read_dir(tmp.path()).expect("entries") {
            fs::remove_file(entry.expect("an entry").path()).expect("removed");
        }
        let (mut journal, _) = Journal::open(tmp.path(), "then").expect("a journal");
        adopt(&mut journal, "c");
        assert_eq!(names(&mut memory, tmp.path()), ["c"]);
    }
}
