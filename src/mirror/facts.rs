//! What the shell tells the engine, what the engine asks of the shell, and what people may hear of it.

use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::step::{Failure, Outcome, Step};
use crate::config::{BandwidthLimit, Delete, MaxDelete, Names, WatchMode};
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::journal::RootIdentity;
use crate::relpath::RelPath;
use crate::tree::{Absent, Found, Kind, RootError, RootId, Watching};

/// Position of a mirror in the configuration.
pub(super) type MirrorIndex = usize;
/// Names a transfer within one run.
pub(super) type TransferId = u64;
/// Names the creation of a directory within one run.
pub(super) type DirJobId = u64;
/// Names a removal or a move of a directory within one run.
pub(super) type JobId = u64;

/// Something that happened.
#[derive(Debug)]
pub enum Fact {
    /// The root was looked at.
    Root {
        /// Whose.
        mirror: MirrorIndex,
        /// What it is, and whether it is empty.
        seen: Result<(RootId, bool), RootError>,
    },
    /// A page of a listing.
    Page {
        /// Whose.
        mirror: MirrorIndex,
        /// Of which directory.
        dir: RelPath,
        /// Entries, sorted.
        entries: Vec<Found>,
        /// Whether it is the last one.
        last: bool,
        /// Whether the directory is watched.
        watched: Watching,
    },
    /// A listing ended early.
    ListFailed {
        /// Whose.
        mirror: MirrorIndex,
        /// Of which directory.
        dir: RelPath,
        /// Why.
        why: Absent,
    },
    /// A single path was looked at.
    Looked {
        /// Whose.
        mirror: MirrorIndex,
        /// Which.
        path: RelPath,
        /// What it is.
        what: Result<Kind, Absent>,
    },
    /// Paths may have changed.
    Hints {
        /// Whose.
        mirror: MirrorIndex,
        /// Which.
        paths: Vec<RelPath>,
    },
    /// Hints were lost: every mirror must be scanned.
    Overflow,
    /// The number of directories that are watched changed.
    Watched {
        /// Whose.
        mirror: MirrorIndex,
        /// How many there are now.
        directories: u64,
    },
    /// A step of a transfer is over.
    Step {
        /// Which transfer.
        transfer: TransferId,
        /// What came of it.
        outcome: Outcome,
    },
    /// A directory was made, or was there.
    Directory {
        /// Which job.
        job: DirJobId,
        /// How it went.
        result: Result<(), Failure>,
    },
    /// The remote was asked what it holds in a directory.
    RemoteListed {
        /// Which job.
        job: DirJobId,
        /// How it went.
        result: Result<RemoteListing, Failure>,
    },
    /// A copy was to be deleted.
    Removed {
        /// Which job.
        job: JobId,
        /// How it went.
        result: Result<Removed, Failure>,
    },
    /// The copy of a directory was to be moved.
    Relocated {
        /// Which job.
        job: JobId,
        /// How it went.
        result: Result<Relocated, Failure>,
    },
    /// An upload that belongs to no mirror any more was cancelled, or not.
    Cancelled {
        /// Names it.
        confirm_key: String,
        /// What came of it.
        result: Result<(), Failure>,
    },
    /// Whether the library has a recycle bin.
    Bin(Result<bool, Failure>),
    /// A person decided about a hold.
    Answer(Answer),
    /// The probe came back.
    Probe(Result<(), Failure>),
    /// How far the clock of the service is ahead of ours, in milliseconds, when that is worth saying.
    ClockSkew(i64),
    /// A person wants something to be tried again.
    Retry(Retry),
    /// A person sets the limit of the bandwidth; `None`: that of the configuration holds again.
    Limit(Option<BandwidthLimit>),
    /// A person wants copies to be proven anew.
    Repair(Repair),
    /// A person wants nothing new to be sent for a mirror.
    Pause(Pause),
    /// A person wants a mirror to go on.
    Resume(Resume),
    /// A person wants something to be looked at now.
    Rescan(Rescan),
    /// Take no new work.
    Stop,
}

/// What the remote holds in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteListing {
    /// A page of it.
    Page {
        /// Its entries.
        entries: Vec<RemoteEntry>,
        /// Whether it is the last one.
        last: bool,
    },
    /// There is no such directory.
    Nothing,
}

/// An entry of a remote directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteEntry {
    /// Its name.
    pub name: String,
    /// Bytes of a file, if the service says; `None` for a directory.
    pub size: Option<u64>,
    /// CRC-64 of a file, if the service says; `None` for a directory.
    pub crc64: Option<u64>,
}

/// What is to be tried again: everything that failed at a path and below it, or in all mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retry {
    /// Everything.
    All,
    /// What lies there.
    Below {
        /// Name of the mirror.
        mirror: String,
        /// The path; the root for the whole mirror.
        path: RelPath,
    },
}

/// A limit of the bandwidth as a person sets it; `None`: that of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRequest(pub Option<BandwidthLimit>);

/// Copies that are not what the journal says, as far as `verify` can tell: they are compared, or sent, again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Name of the mirror.
    pub mirror: String,
    /// Files, and directories with everything below them.
    pub paths: Vec<RelPath>,
}

/// Nothing new is to be sent for a mirror; what is under way is brought to its end, and the folder is still watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Name of the mirror.
    pub mirror: String,
    /// When it ends by itself, milliseconds since the Unix epoch; `None`: a person ends it.
    pub until_ms: Option<i64>,
}

/// A mirror is not to be paused any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Name of the mirror.
    pub mirror: String,
}

/// What is to be looked at now, with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescan {
    /// Name of the mirror.
    pub mirror: String,
    /// The path; the root for the whole mirror.
    pub path: RelPath,
}

/// What became of a copy that was to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// It lies in the recycle bin.
    Recycled,
    /// It is gone for good.
    ForGood,
    /// There was none.
    Nothing,
    /// Something that is not ours is there, and was left alone.
    Foreign(String),
    /// The entry is on disk again: nothing was asked.
    Present,
    /// The folder is not what it was: nothing was asked.
    Doubtful(String),
}

/// What became of the copy of a directory that was to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relocated {
    /// It was moved.
    Moved,
    /// It is not where it was, and something is where it was to go.
    Perhaps,
    /// There was none.
    Nothing,
    /// Something has the name that it was to get.
    Taken,
    /// The folder is not what it was: nothing was asked.
    Elsewhere,
}

/// What a person decided about a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Number of the hold.
    pub hold: i64,
    /// The deletes are meant; otherwise the copies are kept.
    pub approve: bool,
    /// When the person was asked, milliseconds since the Unix epoch: only what was gone by then is approved.
    pub asked_ms: i64,
}

/// The nearest directory above something that is gone: it has to be what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The root.
    pub root: RootIdentity,
    /// The directory.
    pub path: RelPath,
    /// Its inode; 0: not known.
    pub inode: u64,
    /// Something was mounted there.
    pub mounted: bool,
}

/// What is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doomed {
    /// A file, provided that it has this content.
    File {
        /// Bytes.
        size: u64,
        /// CRC-64.
        crc64: u64,
    },
    /// A directory, provided that nothing is in it.
    Directory,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Look at the root: a full scan begins.
    Root(MirrorIndex),
    /// A full scan is complete: what it did not come to is not watched any more.
    Sweep(MirrorIndex),
    /// A directory is left out from now on: it is not watched any more, and nothing below it.
    Unwatch {
        /// Whose.
        mirror: MirrorIndex,
        /// Which directory.
        dir: RelPath,
    },
    /// A change in a watched directory was found and not told.
    Missed {
        /// Whose.
        mirror: MirrorIndex,
        /// Which directory.
        dir: RelPath,
    },
    /// Watch (in a daemon), then list.
    List {
        /// Whose.
        mirror: MirrorIndex,
        /// Which directory.
        dir: RelPath,
    },
    /// Look at single paths.
    Look {
        /// Whose.
        mirror: MirrorIndex,
        /// Which.
        paths: Vec<RelPath>,
    },
    /// A step of a transfer.
    Step {
        /// Which transfer.
        transfer: TransferId,
        /// Whose.
        mirror: MirrorIndex,
        /// The local file.
        path: RelPath,
        /// Where it has to be.
        target: Vec<String>,
        /// The state of the file.
        fingerprint: Fingerprint,
        /// What to do.
        step: Step,
    },
    /// The transfer is over: forget its form.
    Forget(TransferId),
    /// Make a directory.
    Directory {
        /// Which job.
        job: DirJobId,
        /// Where.
        target: Vec<String>,
    },
    /// Ask what the remote holds in a directory.
    ListRemote {
        /// Which job.
        job: DirJobId,
        /// Where.
        target: Vec<String>,
    },
    /// Delete a copy, if what it is the copy of is still gone.
    Remove {
        /// Which job.
        job: JobId,
        /// Whose.
        mirror: MirrorIndex,
        /// What is gone.
        path: RelPath,
        /// What has to be there.
        anchor: Anchor,
        /// Where the copy is.
        target: Vec<String>,
        /// What the copy is.
        what: Doomed,
        /// For good, past the recycle bin.
        permanent: bool,
    },
    /// Move the copy of a directory, if that is still renamed.
    Relocate {
        /// Which job.
        job: JobId,
        /// Whose.
        mirror: MirrorIndex,
        /// Where the directory was.
        from: RelPath,
        /// Where it is.
        to: RelPath,
        /// The root.
        root: RootIdentity,
        /// The inode of the directory.
        inode: u64,
        /// Where the copy is.
        source: Vec<String>,
        /// Where it has to be.
        target: Vec<String>,
    },
    /// No more than this may be sent from now on.
    Limit(BandwidthLimit),
    /// Ask whether the library has a recycle bin.
    AskForBin,
    /// Cancel an upload that belongs to no mirror any more.
    Cancel {
        /// Names it.
        confirm_key: String,
    },
    /// Ask whether the service lets us in.
    Probe,
}

impl Effect {
    /// What the journal says must not be forgotten in a power cut once this was done.
    pub(super) fn must_be_remembered(&self) -> bool {
        matches!(
            self,
            Effect::Remove { .. }
                | Effect::Relocate { .. }
                | Effect::Step { step: Step::Move { .. }, .. }
        )
    }
}

/// How content came to the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was sent.
    Uploaded,
    /// The library had it.
    Instant,
    /// An upload of an earlier run was completed.
    Recovered,
    /// Its copy was moved: it was renamed.
    Moved,
    /// The library held it already, under its path.
    Adopted,
    /// Nothing was sent: the content is the known one.
    Unchanged,
}

/// News for people: logs and progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A file waits to be sent.
    Pending {
        /// Bytes.
        bytes: u64,
    },
    /// A file is mirrored.
    Synced {
        /// Name of the mirror.
        mirror: String,
        /// The file.
        path: RelPath,
        /// Bytes.
        bytes: u64,
        /// How.
        how: Sent,
        /// Time from its beginning to the acknowledgement, in milliseconds.
        took_ms: i64,
    },
    /// A directory was renamed, and its copy moved.
    Moved {
        /// Name of the mirror.
        mirror: String,
        /// Where it was.
        from: RelPath,
        /// Where it is.
        to: RelPath,
        /// Files in it that are mirrored by that.
        files: u64,
    },
    /// A copy was deleted.
    Deleted {
        /// Name of the mirror.
        mirror: String,
        /// What is gone.
        path: RelPath,
        /// Where the copy went.
        how: String,
    },
    /// The deletes of a mirror wait for a person.
    Held {
        /// Name of the mirror.
        mirror: String,
        /// What happened.
        message: String,
    },
    /// They do not wait any more.
    Released {
        /// Name of the mirror.
        mirror: String,
    },
    /// An entry failed.
    Trouble {
        /// Name of the mirror.
        mirror: String,
        /// The entry.
        path: RelPath,
        /// What it means.
        class: Class,
        /// The code of the service.
        code: Option<String>,
        /// The request at the service, to ask its support.
        request_id: Option<String>,
        /// What happened.
        message: String,
        /// Whether it waits for a change.
        blocked: bool,
    },
    /// Everything below a root was seen.
    Scanned {
        /// Name of the mirror.
        mirror: String,
        /// Entries that were seen, those that are left out too.
        entries: u64,
        /// How long it took, in milliseconds.
        took_ms: i64,
    },
    /// A journal that was lost is complete again.
    Rebuilt {
        /// Name of the mirror.
        mirror: String,
    },
    /// The clocks of this machine and of the service differ by this much, in milliseconds; small: not any more.
    ClockSkew(i64),
    /// Something stops a mirror, or all of them.
    Stopped {
        /// Name of the mirror; `None`: all.
        mirror: Option<String>,
        /// What happened.
        message: String,
    },
    /// What stopped is over.
    Resumed {
        /// Name of the mirror; `None`: all.
        mirror: Option<String>,
    },
}

/// What one turn decided.
#[derive(Debug, Default)]
pub struct Turned {
    /// What to do now.
    pub effects: Vec<Effect>,
    /// What people may hear.
    pub events: Vec<Event>,
    /// When to turn again without news, monotonic milliseconds.
    pub wake_at_ms: Option<i64>,
    /// Why the pass is over, if it is.
    pub finished: Option<Finished>,
    /// How busy the engine is now.
    pub load: Load,
}

/// How busy an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Files that are being sent, confirmed or asked about.
    pub transfers: usize,
    /// How many may be at the same time now: what the service bears, and none while it asks for a pause or is not
    /// reached.
    pub limit: usize,
}

/// Why a pass is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// Nothing is left to do.
    Drained,
    /// Everything that runs was stopped.
    Stopped,
    /// The service cannot be reached.
    Unreachable(String),
    /// The service refuses the credentials.
    Refused(String),
}

/// What the engine must know of one mirror.
#[derive(Debug, Clone)]
pub struct MirrorSettings {
    /// Its name.
    pub name: String,
    /// The root.
    pub local: PathBuf,
    /// The remote folder.
    pub remote: Vec<String>,
    /// Where the copies go, as one text: another target is another set of copies.
    pub target: String,
    /// How its names are written in the library.
    pub names: Names,
    /// Rest before a file is read.
    pub settle: std::time::Duration,
    /// When a restless file is read all the same.
    pub settle_max: std::time::Duration,
    /// Time between full scans.
    pub rescan: std::time::Duration,
    /// Time between listings of what is not watched.
    pub poll_interval: std::time::Duration,
    /// Which directories are to be watched.
    pub watch: WatchMode,
    /// What happens to the copies of what is gone.
    pub delete: Delete,
    /// How long something is gone before its copy is deleted.
    pub delete_grace: std::time::Duration,
    /// More deletes than this at once need a person.
    pub max_delete: MaxDelete,
}

/// How the engine works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The mirrors, in the order of the configuration.
    pub mirrors: Vec<MirrorSettings>,
    /// Most transfers at the same time.
    pub concurrency: usize,
    /// What all uploads together may send, as configured.
    pub bandwidth_limit: BandwidthLimit,
    /// The time zone of timetables.
    pub zone: TimeZone,
    /// Files from this size on, in bytes, are sent in parts.
    pub multipart_from: u64,
    /// One pass, then the end.
    pub once: bool,
    /// Decide, but send nothing.
    pub dry_run: bool,
    /// What happened to the journal, if it was lost: said until it is complete again.
    pub lost_journal: Option<String>,
}
