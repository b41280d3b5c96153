//! What did not fit together is looked at once more (shell), each path by itself and with the journal before and after.

use std::sync::Arc;

use super::compare::{Difference, Held, Judged, Rows, Waiting, judge_again};
use super::report::{Report, Why};
use super::{Library, Listing, Lost, VerifyError, Work, blocking, failed};
use crate::journal::JournalError;
use crate::relpath::RelPath;
use crate::tree::{Absent, Kind};

impl Work {
    /// What the journal knows of a path now.
    pub(super) fn rows_of(&self, path: &RelPath) -> Result<Rows, JournalError> {
        let Some((reader, mirror)) = self.journal() else { return Ok(Rows::default()) };
        Ok(Rows {
            file: reader.file(mirror.id, path)?.row,
            dir: reader.known_dir(mirror.id, path)?,
        })
    }

    /// Looks at a path again, and writes down what is so.
    pub(super) async fn again(self: Arc<Work>, path: RelPath) -> Result<Report, VerifyError> {
        let mut report = Report::default();
        if let Some((disk, judged)) = self.judged(&path, &mut report).await? {
            self.note(path, disk, judged, &mut report)?;
        }
        Ok(report)
    }

    /// A path with newer eyes. `None`: there is nothing (more) to say of it.
    async fn judged(
        self: &Arc<Work>,
        path: &RelPath,
        report: &mut Report,
    ) -> Result<Option<(Option<Kind>, Judged)>, VerifyError> {
        let asked = path.clone();
        let before = blocking(self, move |work| Ok(work.rows_of(&asked)?)).await?;
        // The service is asked only about what it is claimed to have.
        let held = match self.target(path).filter(|_| before.claims()) {
            None => Held::Nothing,
            Some(target) => match self.asked(|| self.client.info(&target)).await {
                Ok(info) => info.as_ref().map_or(Held::Nothing, Held::of),
                Err(error) => {
                    failed(report, path, error);
                    return Ok(None);
                }
            },
        };
        let asked = path.clone();
        let (looked, after) = blocking(self, move |work| {
            // The disk first: what is written down meanwhile makes the journal newer, not older.
            let looked = work.subject.lister.look(&asked, |_| {});
            Ok((looked, work.rows_of(&asked)?))
        })
        .await?;
        let disk = match looked {
            Ok(kind) => Some(kind),
            Err(Absent::Gone) => None,
            Err(Absent::Root(message)) => {
                report.root = Some(message);
                return Ok(None);
            }
            Err(Absent::Unreadable(message) | Absent::Short(message)) => {
                let note = format!("it cannot be looked at here: {message}");
                report.unknown.add(path.clone(), Why::Local, Some(note));
                return Ok(None);
            }
        };
        Ok(judge_again(disk, &before, held, &after).map(|judged| (disk, judged)))
    }

    /// The library has no such directory, or something else in its place.
    pub(super) async fn not_listed(
        self: &Arc<Work>,
        dir: &RelPath,
        report: &mut Report,
    ) -> Result<Listing, VerifyError> {
        let at_ms = self.clock.now().unix_ms;
        let Some((_, judged)) = self.judged(dir, report).await? else {
            let known = report.unknown.total > 0 || report.stopped.is_some();
            return Ok(if known { Listing::Unknown } else { Listing::Over });
        };
        match judged {
            Judged::Differs(Difference::DirectoryMissing { .. }) => {
                report.lost.entry(dir.clone()).or_default();
                let lost = Lost { top: dir.clone(), at_ms };
                Ok(Listing::Nothing(Library::Lost(Arc::new(lost))))
            }
            Judged::Waits(waiting) => {
                // Of all others the directory above has told.
                if dir.is_root() {
                    let unattended = waiting.unattended().filter(|_| !self.subject.attended);
                    match unattended {
                        Some(difference) => report.differs.add(dir.clone(), difference, None),
                        None => report.waits(dir.clone(), waiting, None),
                    }
                }
                Ok(Listing::Nothing(Library::Absent))
            }
            // It is there after all: the listing lagged behind. What it holds is not known for that.
            Judged::Equal => {
                report.waits(dir.clone(), Waiting::UnderWay, None);
                Ok(Listing::Unknown)
            }
            Judged::Differs(difference) => {
                // What lies in it cannot be there.
                report.differs.add(dir.clone(), difference, None);
                Ok(Listing::Over)
            }
            Judged::LeftOut | Judged::Extra(_) | Judged::Untold | Judged::Unseeable => {
                Ok(Listing::Over)
            }
        }
    }
}
