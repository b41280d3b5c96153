//! What the rows of the journal mean (pure).

use std::str::FromStr;

use crate::digest::Hash;
use crate::failure::Class;
use crate::fingerprint::Fingerprint;
use crate::relpath::RelPath;

/// "Never" as a time: the entry waits for a change, not for the clock.
pub const NEVER_MS: i64 = i64::MAX;

/// A mirror in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MirrorId(pub i64);

/// A directory in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirId(pub i64);

/// A file, or with an empty name the directory itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The directory that holds it.
    pub dir: DirId,
    /// Its name there.
    pub name: Vec<u8>,
}

/// What is known of one mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorRow {
    /// Its number.
    pub id: MirrorId,
    /// Its name in the configuration.
    pub name: String,
    /// Inode and filesystem of the root; `None` before the first scan.
    pub root: Option<RootIdentity>,
    /// End of the last complete scan.
    pub scanned_at_ms: Option<i64>,
    /// Something was missed and a scan must heal it.
    pub dirty: bool,
    /// The mirror is new to the journal: what the remote holds is compared before anything is sent.
    pub adopting: bool,
}

/// Tells one root from another that was mounted or moved into its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootIdentity {
    /// Inode of the root directory.
    pub inode: u64,
    /// Identifier of its filesystem, stable across reboots where the filesystem has one.
    pub fsid: u64,
}

/// A directory below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirRow {
    /// Its number.
    pub id: DirId,
    /// The mirror it belongs to.
    pub mirror: MirrorId,
    /// `None` for the root.
    pub parent: Option<DirId>,
    /// Where it is.
    pub path: RelPath,
    /// When the service acknowledged it.
    pub created_at_ms: Option<i64>,
    /// When to create it; `None`: nothing to do.
    pub next_at_ms: Option<i64>,
    /// Since when it is absent on disk.
    pub gone_at_ms: Option<i64>,
    /// When the remote was asked what it holds there; `None`: it was not.
    pub listed_at_ms: Option<i64>,
    /// Number of its inode as last seen; 0: not known.
    pub inode: u64,
    /// Something was mounted there when it was last seen.
    pub mounted: bool,
    /// The filesystem of that; 0: not known.
    pub fsid: u64,
}

/// What a listing of the remote showed of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteRow {
    /// Bytes of a file, if the service says.
    pub size: Option<u64>,
    /// CRC-64 of a file, if the service says.
    pub crc64: Option<u64>,
}

/// What the service acknowledged of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmedRow {
    /// The state of the file that was sent.
    pub fingerprint: Fingerprint,
    /// Its chained SHA-256.
    pub full_hash: Hash,
    /// Its CRC-64/XZ.
    pub crc64: u64,
    /// When the service said so.
    pub at_ms: i64,
}

/// A file below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Which one.
    pub id: EntryId,
    /// What was last seen on disk.
    pub seen: Fingerprint,
    /// What the service has; `None`: nothing yet.
    pub confirmed: Option<ConfirmedRow>,
    /// Since when it is not mirrored; `None`: it is.
    pub changed_at_ms: Option<i64>,
    /// When to act; `None`: nothing to do; [`NEVER_MS`]: blocked.
    pub next_at_ms: Option<i64>,
    /// Since when it is absent on disk.
    pub gone_at_ms: Option<i64>,
    /// An attempt that nobody heard the end of may have replaced what was confirmed.
    pub unsure: bool,
}

impl FileRow {
    /// Whether the service acknowledged exactly what is on disk.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.gone_at_ms.is_none()
            && !self.unsure
            && self.confirmed.is_some_and(|c| c.fingerprint == self.seen)
    }
}

/// A file that is due, with what an upload of it must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueFile {
    /// The file.
    pub file: FileRow,
    /// The mirror it belongs to.
    pub mirror: MirrorId,
    /// The path of its directory.
    pub dir_path: RelPath,
    /// Whether the directory is known to exist on the remote.
    pub dir_created: bool,
    /// The directory itself is blocked: nothing in it can be sent.
    pub dir_blocked: bool,
}

/// How far an upload got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadStage {
    /// The service handed out a confirm key; bytes may have left.
    Started,
    /// Every byte of one whole state of the file arrived on COS.
    Posted {
        /// Chained SHA-256 of what was sent.
        full_hash: Hash,
        /// CRC-64/XZ of what was sent.
        crc64: u64,
    },
}

/// A started upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRow {
    /// The file.
    pub id: EntryId,
    /// Names the upload on the service until it is confirmed, cancelled or expires.
    pub confirm_key: String,
    /// How far it got.
    pub stage: UploadStage,
    /// When it was started.
    pub started_at_ms: i64,
    /// When its form expires, as the service says.
    pub expires_at_ms: Option<i64>,
    /// The state of the file that is sent.
    pub fingerprint: Fingerprint,
    /// Bytes of each part but the last; `None`: one form takes all.
    pub part_size: Option<u64>,
    /// What was read of an upload in parts, by number; empty in lists of uploads.
    pub parts: Vec<PartRow>,
}

/// A part of an upload that was read. Which parts arrived is for the service to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRow {
    /// From 1.
    pub number: u32,
    /// CRC-64 of the part.
    pub crc64: u64,
    /// SMH's chained hash of the file up to the end of the part.
    pub full_hash: Hash,
}

/// What went wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TroubleRow {
    /// The entry; an empty name is the directory itself.
    pub id: EntryId,
    /// What it means.
    pub class: Class,
    /// The code of the service, if it gave one.
    pub code: Option<String>,
    /// What happened, for people.
    pub message: String,
    /// The request at the service.
    pub request_id: Option<String>,
    /// How often in a row.
    pub attempts: u32,
    /// Not tried again until something changes.
    pub blocked: bool,
    /// The first time in a row.
    pub first_at_ms: i64,
    /// The last time.
    pub last_at_ms: i64,
}

/// A directory that could not be read here, or not completely: what lies in it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// Which.
    pub dir: DirId,
    /// What happened, for people.
    pub message: String,
    /// How often in a row.
    pub attempts: u32,
    /// The first time in a row.
    pub first_at_ms: i64,
    /// The last time.
    pub last_at_ms: i64,
}

/// Why an entry on disk is not mirrored, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// A rule of the configuration or of a `.smh-mirrorignore` file.
    Excluded,
    /// The name of a file that an editor or a copy program is still writing.
    Temporary,
    /// A symbolic link.
    Symlink,
    /// A symbolic link to what lies outside of the root.
    SymlinkOutside,
    /// A symbolic link to nothing.
    SymlinkDangling,
    /// A symbolic link that leads back to where it came from, or behind too many others.
    SymlinkLoop,
    /// A directory that is mounted below itself.
    Loop,
    /// A socket, FIFO or device.
    Special,
    /// A name that the service cannot take.
    Name,
}

impl SkipReason {
    const ALL: [SkipReason; 9] = [
        SkipReason::Excluded,
        SkipReason::Temporary,
        SkipReason::Symlink,
        SkipReason::SymlinkOutside,
        SkipReason::SymlinkDangling,
        SkipReason::SymlinkLoop,
        SkipReason::Loop,
        SkipReason::Special,
        SkipReason::Name,
    ];

    /// The word in the journal and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::Excluded => "excluded",
            SkipReason::Temporary => "temporary",
            SkipReason::Symlink => "symlink",
            SkipReason::SymlinkOutside => "symlink-outside",
            SkipReason::SymlinkDangling => "symlink-dangling",
            SkipReason::SymlinkLoop => "symlink-loop",
            SkipReason::Loop => "loop",
            SkipReason::Special => "special",
            SkipReason::Name => "name",
        }
    }

    /// A sentence for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            SkipReason::Excluded => "excluded by a rule",
            SkipReason::Temporary => "the name of a temporary file",
            SkipReason::Symlink => "a symbolic link",
            SkipReason::SymlinkOutside => "a symbolic link to what lies outside of the folder",
            SkipReason::SymlinkDangling => "a symbolic link to nothing",
            SkipReason::SymlinkLoop => {
                "a symbolic link that leads back to where it came from, or behind too many others"
            }
            SkipReason::Loop => "a folder that is mounted below itself",
            SkipReason::Special => "a socket, FIFO or device",
            SkipReason::Name => "a name that the service does not take",
        }
    }
}

impl FromStr for SkipReason {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        SkipReason::ALL.into_iter().find(|reason| reason.as_str() == word).ok_or(())
    }
}

/// An entry on disk that is not mirrored, on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedRow {
    /// The entry.
    pub id: EntryId,
    /// Why.
    pub reason: SkipReason,
}

/// What stops more than one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The service cannot be reached.
    Offline,
    /// The service refuses the credentials.
    Auth,
    /// The space is full.
    Quota,
    /// The service asks for less.
    Throttled,
    /// The root of a mirror is missing, unreadable, or another one.
    Root,
    /// The journal was lost: what the remote holds is compared with the folder. Stops nothing.
    Rebuilding,
    /// The clocks of this machine and of the service differ by more than a minute. Stops nothing.
    Clock,
    /// Not everything is watched that was to be. It is polled, so this stops nothing.
    Watch,
    /// A person wants nothing new to be sent for a while.
    Paused,
}

impl ConditionKind {
    const ALL: [ConditionKind; 9] = [
        ConditionKind::Offline,
        ConditionKind::Auth,
        ConditionKind::Quota,
        ConditionKind::Throttled,
        ConditionKind::Root,
        ConditionKind::Rebuilding,
        ConditionKind::Clock,
        ConditionKind::Watch,
        ConditionKind::Paused,
    ];

    /// The word in the journal and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ConditionKind::Offline => "offline",
            ConditionKind::Auth => "auth",
            ConditionKind::Quota => "quota",
            ConditionKind::Throttled => "throttled",
            ConditionKind::Root => "root",
            ConditionKind::Rebuilding => "rebuilding",
            ConditionKind::Clock => "clock",
            ConditionKind::Watch => "watch",
            ConditionKind::Paused => "paused",
        }
    }
}

impl FromStr for ConditionKind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        ConditionKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or(())
    }
}

/// A condition as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionRow {
    /// The mirror it stops; `None`: all of them.
    pub mirror: Option<MirrorId>,
    /// What it is.
    pub kind: ConditionKind,
    /// Since when.
    pub since_ms: i64,
    /// What happened and what to do, for people.
    pub message: String,
    /// When it ends by itself, milliseconds since the Unix epoch, if that is known.
    pub until_ms: Option<i64>,
}

impl ConditionRow {
    /// Whether it ended by itself, although nobody was there to take it out of the journal.
    #[must_use]
    pub fn is_over(&self, now_ms: i64) -> bool {
        self.until_ms.is_some_and(|until_ms| until_ms <= now_ms)
    }
}
