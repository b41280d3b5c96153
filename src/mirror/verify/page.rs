//! One directory from all sides (shell): listed here, a page at a time, and compared with the journal and the library.

use std::sync::atomic::Ordering;

use super::compare::{
    Difference, Held, Judged, Page, RowRefs, Waiting, compare, is_doubtful, range,
};
use super::report::{Report, Why};
use super::{Extra, Library, Listing, Task, VerifyError, Work};
use crate::digest::Digest;
use crate::fingerprint::Fingerprint;
use crate::journal::{ConfirmedRow, FileRow, JournalError, KnownDir};
use crate::relpath::RelPath;
use crate::tree::{Absent, Found, Kind, ReadError};

/// What came of the pages of one directory.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) report: Report,
    pub(super) children: Vec<Task>,
    /// What does not fit together, and has to be looked at once more.
    pub(super) doubts: Vec<RelPath>,
}

impl Work {
    /// Lists a directory here, and compares each page with what the journal knows of it then.
    pub(super) fn compare(
        &self,
        dir: &RelPath,
        listing: &Listing,
    ) -> Result<Compared, VerifyError> {
        let mut compared = Compared::default();
        let mut failed = None;
        let mut after: Option<Vec<u8>> = None;
        let known = match self.journal() {
            Some((reader, mirror)) => reader.known_dir(mirror.id, dir)?,
            None => None,
        };
        let listed = self.subject.lister.list(
            dir,
            |_| {},
            |entries, last| {
                if entries.is_empty() && !last {
                    // All of this page went since it was read: its names are those of the next one, too.
                    return true;
                }
                let upto = if last { None } else { entries.last().map(|found| found.name.clone()) };
                let range = Range { after: after.as_deref(), upto: upto.as_deref() };
                if let Err(error) =
                    self.page(dir, known.as_ref(), &entries, range, listing, &mut compared)
                {
                    failed = Some(error);
                }
                after = upto;
                failed.is_none() && compared.report.root.is_none()
            },
        );
        if let Some(error) = failed {
            return Err(error);
        }
        match listed {
            // It went since the directory above was listed: the daemon looks after that.
            Ok(()) | Err(Absent::Gone) => {}
            Err(Absent::Root(message)) => compared.report.root = Some(message),
            Err(Absent::Unreadable(message) | Absent::Short(message)) => {
                let message = format!("cannot list the folder: {message}");
                compared.report.unknown.add(dir.clone(), Why::Local, Some(message));
            }
        }
        compared.report.directories += 1;
        Ok(compared)
    }

    fn page(
        &self,
        dir: &RelPath,
        known: Option<&KnownDir>,
        entries: &[Found],
        span: Range<'_>,
        listing: &Listing,
        compared: &mut Compared,
    ) -> Result<(), VerifyError> {
        let held = match listing {
            Listing::Held(held) => range(held, span.after, span.upto),
            Listing::Nothing(_) => &[],
            Listing::Unknown | Listing::Over => {
                let dirs = entries.iter().filter(|found| found.kind.is_dir());
                let tasks = dirs
                    .map(|found| Task { dir: dir.join(&found.name), library: Library::Unasked });
                compared.children.extend(tasks);
                return Ok(());
            }
        };
        let (files, dirs) = self.rows(dir, known, span)?;
        let mut failed = None;
        let page = Page { entries, files: &files, dirs: &dirs, held };
        compare(&page, |name, disk, rows, held, judged| {
            if failed.is_some() || compared.report.root.is_some() {
                return;
            }
            let path = dir.join(name);
            let one = One { path, disk, rows, held };
            if let Err(error) = self.one(one, judged, listing, compared) {
                failed = Some(error);
            }
        });
        failed.map_or(Ok(()), Err)
    }

    fn rows(
        &self,
        dir: &RelPath,
        known: Option<&KnownDir>,
        span: Range<'_>,
    ) -> Result<(Vec<FileRow>, Vec<KnownDir>), JournalError> {
        let (Some((reader, _)), Some(known)) = (self.journal(), known) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let files = reader.files_between(known.id, span.after, span.upto)?;
        let after = span.after.map(|name| dir.join(name));
        let upto = span.upto.map(|name| dir.join(name));
        Ok((files, reader.dirs_between(known.id, after.as_ref(), upto.as_ref())?))
    }

    /// Writes down what was judged of one name.
    fn one(
        &self,
        one: One<'_>,
        judged: Judged,
        listing: &Listing,
        compared: &mut Compared,
    ) -> Result<(), VerifyError> {
        let One { path, disk, rows, held } = one;
        let report = &mut compared.report;
        if let Some(Kind::File(seen)) = disk {
            report.files += 1;
            self.tally.files.fetch_add(1, Ordering::Relaxed);
            if self.subject.deep
                && let Some(confirmed) = claimed(rows.file, seen)
                && !self.read(&path, seen, &confirmed, judged == Judged::Equal, report)?
            {
                return Ok(());
            }
        }
        if disk.is_some_and(Kind::is_dir) {
            let library = match (listing, &judged) {
                (Listing::Nothing(library), _) => library.clone(),
                // Nobody said that it is there, and it is not listed.
                (_, Judged::Waits(_)) if held == Held::Nothing => Library::Absent,
                _ => Library::Unasked,
            };
            compared.children.push(Task { dir: path.clone(), library });
            // Whether the library lost it is found out when it is asked, or was found out above.
            if matches!(judged, Judged::Differs(_)) {
                return Ok(());
            }
        }
        if let (
            Listing::Nothing(Library::Lost(lost)),
            Judged::Differs(Difference::Missing { size, confirmed_at_ms }),
        ) = (listing, &judged)
            && *confirmed_at_ms < lost.at_ms
        {
            report.lost_with(&lost.top, *size);
            return Ok(());
        }
        if is_doubtful(&judged) {
            compared.doubts.push(path);
            return Ok(());
        }
        self.note(path, disk, judged, report)?;
        Ok(())
    }

    /// Adds a judgement to a report.
    pub(super) fn note(
        &self,
        path: RelPath,
        disk: Option<Kind>,
        judged: Judged,
        report: &mut Report,
    ) -> Result<(), JournalError> {
        match judged {
            Judged::Equal => {
                if let Some(Kind::File(seen)) = disk {
                    report.equal += 1;
                    report.equal_bytes += seen.size;
                }
            }
            Judged::LeftOut => report.left_out += 1,
            Judged::Differs(difference) => report.differs.add(path, difference, None),
            Judged::Waits(waiting) => {
                let unattended = waiting.unattended().filter(|_| !self.subject.attended);
                if let Some(difference) = unattended {
                    report.differs.add(path, difference, None);
                    return Ok(());
                }
                let note = match waiting {
                    Waiting::Pending | Waiting::Blocked if report.waits.has_room() => {
                        self.trouble(&path)?
                    }
                    _ => None,
                };
                report.waits(path, waiting, note);
            }
            Judged::Extra(extra) => {
                report.left_out += u64::from(extra == Extra::LeftOut);
                report.extra.add(path, extra, None);
            }
            Judged::Untold => {
                let note = "the service does not say its size and crc64".to_owned();
                report.unknown.add(path, Why::Untold, Some(note));
            }
            Judged::Unseeable => {
                let note = "it cannot be looked at here".to_owned();
                report.unknown.add(path, Why::Local, Some(note));
            }
        }
        Ok(())
    }

    /// What the journal says is wrong with a file.
    fn trouble(&self, path: &RelPath) -> Result<Option<String>, JournalError> {
        let Some((reader, mirror)) = self.journal() else { return Ok(None) };
        let trouble = reader.file(mirror.id, path)?.trouble;
        Ok(trouble.map(|trouble| trouble.message))
    }

    /// Reads a file that is called mirrored. Whether it is what was confirmed; if not, or if that cannot be told, it was
    /// written down.
    fn read(
        &self,
        path: &RelPath,
        seen: Fingerprint,
        confirmed: &ConfirmedRow,
        copy_is_good: bool,
        report: &mut Report,
    ) -> Result<bool, VerifyError> {
        let read = self.subject.lister.open(path, seen).and_then(|reading| {
            reading.pieces(|piece| {
                self.tally.read_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
                true
            })
        });
        match read {
            Ok(digest) => {
                report.read_bytes += digest.size;
                if is_confirmed(&digest, confirmed) {
                    return Ok(true);
                }
                // The journal may be newer than what was read of it.
                let rows = self.rows_of(path)?;
                let same = rows.file.as_ref().is_some_and(|row| {
                    row.is_synced() && row.seen == seen && row.confirmed == Some(*confirmed)
                });
                if same {
                    let rotten = Difference::Rotten { copy_is_good };
                    report.differs.add(path.clone(), rotten, None);
                } else {
                    report.waits(path.clone(), Waiting::UnderWay, None);
                }
            }
            // It is looked at by whoever looks at changes.
            Err(ReadError::Vanished | ReadError::Changed | ReadError::Stopped) => {
                report.waits(path.clone(), Waiting::UnderWay, None);
            }
            Err(ReadError::Root(message)) => report.root = Some(message),
            Err(error @ (ReadError::Local(_) | ReadError::Transient(_))) => {
                report.unknown.add(path.clone(), Why::Local, Some(error.to_string()));
            }
        }
        Ok(false)
    }
}

/// One name from all sides.
struct One<'a> {
    path: RelPath,
    disk: Option<Kind>,
    rows: RowRefs<'a>,
    held: Held,
}

/// The names of a directory that a page speaks of: after the one, up to the other.
#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    after: Option<&'a [u8]>,
    upto: Option<&'a [u8]>,
}

/// What the journal claims that the library has of a file in this state.
fn claimed(row: Option<&FileRow>, seen: Fingerprint) -> Option<ConfirmedRow> {
    row.filter(|row| row.is_synced() && row.seen == seen).and_then(|row| row.confirmed)
}

fn is_confirmed(digest: &Digest, confirmed: &ConfirmedRow) -> bool {
    digest.full == confirmed.full_hash
        && digest.crc64 == confirmed.crc64
        && digest.size == confirmed.fingerprint.size
}
