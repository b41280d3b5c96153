//! What the shell tells the engine, and what the engine asks of the shell.

use super::events::Event;
use super::requests::{Answer, Pause, Repair, Rescan, Resume, Retry};
use super::step::{Failure, Outcome, Step};
use crate::config::BandwidthLimit;
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
        /// It is a directory that is watched, with all that was ever listed below it.
        watched: bool,
    },
    /// A file that was looked at has other names, and some of them are not known: what happens to it is not seen there.
    NamesUnknown {
        /// Whose.
        mirror: MirrorIndex,
        /// It was found in a listing.
        listed: bool,
    },
    /// The root was looked at, since it may have changed.
    RootLooked {
        /// Whose.
        mirror: MirrorIndex,
        /// Which directory it is.
        seen: Result<RootId, RootError>,
        /// It is watched, and so is the way to it, with all that was ever listed below it.
        watched: bool,
    },
    /// Paths may have changed.
    Hints {
        /// Whose.
        mirror: MirrorIndex,
        /// Which.
        paths: Vec<RelPath>,
    },
    /// Files were closed that somebody could have written to. Their hints come after.
    Closed {
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
    /// The filesystem of that; 0: not known.
    pub fsid: u64,
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
