//! Whether folder, journal and library are the same (shell; what a difference means is pure).
//!
//! Nothing is written, here or there, and no lock is taken: a daemon may work meanwhile. Each directory is listed in the
//! library first, then here, and the journal is read last, so each side is newer than the one before. What does not fit
//! together is looked at once more, with the journal read before and after: a listing may be old, and a file may be on
//! its way.
//!
//! Memory grows with the largest directory, not with the tree.

mod compare;
mod page;
mod recheck;
mod report;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::Names;
use crate::failure::Class;
use crate::journal::{JournalError, KnownMirror, Reader};
use crate::relpath::RelPath;
use crate::smh::{Client, Entry, Error, RemotePath};
use crate::tree::{Lister, local_name, remote_path};

pub use compare::{Difference, Extra, Waiting};
use compare::{Held, HeldEntry};
pub use report::{Listed, Report, Told, Why};

/// Directories that are compared at a time. A listing is a round trip, and the service has others to serve.
const DIRECTORIES: usize = 8;
/// The same when everything is read here: disks like it best from beginning to end, and others use them too.
const DIRECTORIES_READ: usize = 2;
/// Entries of one directory that are looked at once more at a time.
const AGAIN: usize = 8;
/// How often a call is made whose failure may pass.
const TRIES: u32 = 3;
/// The pause after the first failure; four times as long after each further one.
const PAUSE: Duration = Duration::from_millis(200);
/// No service is waited for longer, whatever it asks for.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often whoever waits hears how far it is.
const BEAT: Duration = Duration::from_millis(200);

/// The comparison cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A task panicked.
    #[error("the comparison failed unexpectedly; please report this")]
    Failed,
}

/// What is compared.
#[derive(Debug)]
pub struct Subject {
    /// The folder.
    pub lister: Lister,
    /// Where its copy is.
    pub remote: Vec<String>,
    /// How names are written there.
    pub names: Names,
    /// The mirror in the journal; `None`: the journal does not speak of this folder and target.
    pub known: Option<KnownMirror>,
    /// Every file that is called mirrored is read and compared.
    pub deep: bool,
    /// A daemon works: what it does not know yet, it will.
    pub attended: bool,
}

/// How far a comparison is.
#[derive(Debug, Default)]
pub struct Tally {
    files: AtomicU64,
    read_bytes: AtomicU64,
}

impl Tally {
    /// Files that were looked at.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Bytes that were read here.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }
}

/// Compares a whole mirror. `beat` hears how far it is, several times a second.
///
/// # Errors
/// The journal cannot be read. What disk and service say is part of the report.
pub async fn verify(
    client: Arc<Client>,
    reader: Option<Arc<Mutex<Reader>>>,
    subject: Subject,
    clock: Clock,
    mut beat: impl FnMut(&Tally),
) -> Result<Report, VerifyError> {
    let most = if subject.deep { DIRECTORIES_READ } else { DIRECTORIES };
    let reader = reader.filter(|_| subject.known.is_some());
    let work = Arc::new(Work { client, reader, subject, clock, tally: Tally::default() });
    let mut all = Report::default();
    if let Some(message) = work.replaced().await? {
        all.root = Some(message);
        return Ok(all);
    }
    let mut waiting = vec![Task { dir: RelPath::root(), library: Library::Unasked }];
    let mut running = JoinSet::new();
    loop {
        while running.len() < most
            && all.stopped.is_none()
            && all.root.is_none()
            && let Some(task) = waiting.pop()
        {
            running.spawn(Arc::clone(&work).directory(task));
        }
        beat(&work.tally);
        let ended = match tokio::time::timeout(BEAT, running.join_next()).await {
            Err(_) => continue,
            Ok(None) => break,
            Ok(Some(ended)) => ended.map_err(|_| VerifyError::Failed)??,
        };
        all.merge(ended.report);
        // The first comes off the stack first.
        waiting.extend(ended.children.into_iter().rev());
    }
    all.finish();
    Ok(all)
}

/// A directory that has to be compared.
#[derive(Debug)]
struct Task {
    dir: RelPath,
    library: Library,
}

/// What is known of a directory in the library before it is asked.
#[derive(Debug, Clone)]
enum Library {
    Unasked,
    /// It is not there, and was never claimed to be.
    Absent,
    /// It was there, or so the journal says, and it went.
    Lost(Arc<Lost>),
}

/// A directory that the library lost.
#[derive(Debug)]
struct Lost {
    top: RelPath,
    /// When that was found, milliseconds since the Unix epoch: what is confirmed later is there again.
    at_ms: i64,
}

/// What came of one directory.
#[derive(Debug, Default)]
struct Ended {
    report: Report,
    children: Vec<Task>,
}

/// What the library holds in a directory.
#[derive(Debug)]
enum Listing {
    /// These, in order.
    Held(Vec<HeldEntry>),
    /// There is no such directory.
    Nothing(Library),
    /// Nobody knows; that was said.
    Unknown,
    /// There is nothing here to compare any more.
    Over,
}

/// What all tasks share.
#[derive(Debug)]
struct Work {
    client: Arc<Client>,
    reader: Option<Arc<Mutex<Reader>>>,
    subject: Subject,
    clock: Clock,
    tally: Tally,
}

impl Work {
    /// The journal, and the number of the mirror in it.
    fn journal(&self) -> Option<(MutexGuard<'_, Reader>, &KnownMirror)> {
        let reader = self.reader.as_ref()?;
        Some((reader.lock().unwrap_or_else(PoisonError::into_inner), self.subject.known.as_ref()?))
    }

    async fn replaced(self: &Arc<Work>) -> Result<Option<String>, VerifyError> {
        blocking(self, |work| match work.journal() {
            Some((reader, known)) => {
                Ok(super::audit::replaced(&reader, known, &work.subject.lister)?)
            }
            None => Ok(work.subject.lister.root().err().map(|error| error.to_string())),
        })
        .await
    }

    fn target(&self, path: &RelPath) -> Option<RemotePath> {
        remote_path(self.subject.names, &self.subject.remote, path).map(RemotePath::from_segments)
    }

    async fn directory(self: Arc<Work>, task: Task) -> Result<Ended, VerifyError> {
        let Task { dir, library } = task;
        let mut ended = Ended::default();
        let listing = match library {
            Library::Unasked => self.ask(&dir, &mut ended.report).await?,
            known => Listing::Nothing(known),
        };
        if matches!(listing, Listing::Over) || ended.report.stopped.is_some() {
            return Ok(ended);
        }
        let compared = dir.clone();
        let page = blocking(&self, move |work| work.compare(&compared, &listing)).await?;
        ended.report.merge(page.report);
        ended.children = page.children;
        let again = page.doubts.into_iter().map(|path| Arc::clone(&self).again(path));
        let mut again = futures_util::stream::iter(again).buffer_unordered(AGAIN);
        while let Some(report) = again.next().await {
            ended.report.merge(report?);
        }
        Ok(ended)
    }

    /// Asks the library what it holds in a directory.
    async fn ask(
        self: &Arc<Work>,
        dir: &RelPath,
        report: &mut Report,
    ) -> Result<Listing, VerifyError> {
        // Only directories whose names the library takes are descended into.
        let Some(target) = self.target(dir) else { return Ok(Listing::Over) };
        match self.asked(|| self.list(dir, &target)).await {
            Ok((true, held, strangers)) => {
                for stranger in strangers {
                    report.extra.add(stranger, Extra::Stranger, None);
                }
                Ok(Listing::Held(held))
            }
            Ok((false, ..)) => self.not_listed(dir, report).await,
            Err(error) => {
                failed(report, dir, error);
                Ok(Listing::Unknown)
            }
        }
    }

    /// One listing. What has the name of no entry is told apart.
    async fn list(
        &self,
        dir: &RelPath,
        target: &RemotePath,
    ) -> Result<(bool, Vec<HeldEntry>, Vec<RelPath>), Error> {
        let mut held = Vec::new();
        let mut strangers = Vec::new();
        let there = self
            .client
            .list_all(target, |entries: Vec<Entry>| {
                for entry in entries {
                    match local_name(self.subject.names, &entry.name) {
                        Some(name) => held.push(HeldEntry { name, held: Held::of(&entry.info) }),
                        None => strangers.push(dir.join(entry.name.as_bytes())),
                    }
                }
            })
            .await?;
        held.sort_unstable_by(|one: &HeldEntry, other| one.name.cmp(&other.name));
        // What comes while the pages are counted may come twice.
        held.dedup_by(|one, other| one.name == other.name);
        Ok((there, held, strangers))
    }

    /// Makes a call again when its failure may pass.
    async fn asked<T, F>(&self, call: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut tries = 1;
        let mut pause = PAUSE;
        loop {
            match call().await {
                Err(error) if tries < TRIES && may_pass(error.class) => {
                    let wait = error.retry_after.unwrap_or(pause).max(pause).min(PAUSE_MAX);
                    tokio::time::sleep(wait).await;
                }
                other => return other,
            }
            tries += 1;
            pause *= 4;
        }
    }
}

/// Whether the same call may succeed a moment later. What the service says it does not know may be a lag, too.
fn may_pass(class: Class) -> bool {
    matches!(
        class,
        Class::Transient | Class::Throttled | Class::Offline | Class::Stale | Class::Defect
    )
}

/// The service did not tell what it holds there. When it tells nobody anything, the rest is not asked.
fn failed(report: &mut Report, path: &RelPath, error: Error) {
    let message = error.to_string();
    // Without a token nothing is told, whatever the reason.
    let class = match (error.operation, error.class) {
        (crate::smh::Operation::Token, Class::Defect | Class::Transient) => Class::Offline,
        (_, class) => class,
    };
    if matches!(class, Class::Offline | Class::Auth) {
        report.stopped = Some((class, message));
    } else {
        report.unknown.add(path.clone(), Why::Service(class), Some(message));
    }
}

/// Does what blocks where that is allowed.
async fn blocking<T: Send + 'static>(
    work: &Arc<Work>,
    job: impl FnOnce(&Work) -> Result<T, VerifyError> + Send + 'static,
) -> Result<T, VerifyError> {
    let work = Arc::clone(work);
    tokio::task::spawn_blocking(move || job(&work)).await.map_err(|_| VerifyError::Failed)?
}
