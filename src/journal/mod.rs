//! SQLite: schema, migrations, the one writer, read-only queries (deterministic).
//!
//! All SQL of the program is in this room. The journal keeps observations; work is derived from them.

mod dirs;
mod error;
mod files;
mod gone;
mod holds;
#[cfg(test)]
mod inspect;
mod lock;
mod meta;
mod migrate;
mod mirrors;
mod moves;
mod notes;
mod open;
mod owner;
mod pauses;
#[cfg(test)]
mod plans;
mod query;
mod remote;
mod retry;
mod rows;
mod unreadable;
mod uploads;
mod write;

pub use error::JournalError;
pub use files::{LARGE, Share};
pub use gone::{Approval, GoneFile};
pub use holds::{HoldKind, HoldRow};
pub use lock::{Holder, LockError, StateLock};
pub use meta::Kept;
pub use migrate::newest;
pub use open::{JOURNAL_FILE, Journal, Progress, SetAside};
pub use owner::{hand_over, make_folder};
pub use pauses::Pause;
pub use query::{
    Counts, Doomed, EntryState, Failing, FileStatus, FolderStatus, Happened, KnownDir, KnownMirror,
    MirrorStatus, MirrorWrong, OpenUpload, PartsDone, PendingFile, Reader, SkippedPath,
    TroublePath, Troubles,
};
pub use rows::{
    ConditionKind, ConditionRow, ConfirmedRow, DirId, DirRow, DueFile, EntryId, FileRow, MirrorId,
    MirrorRow, NEVER_MS, PartRow, RemoteRow, RootIdentity, SkipReason, SkippedRow, TroubleRow,
    UnreadableRow, UploadRow, UploadStage,
};
pub use write::{Activity, Turn};
