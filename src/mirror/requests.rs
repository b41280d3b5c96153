//! What people ask of a run.

use crate::config::BandwidthLimit;
use crate::relpath::RelPath;

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

/// What was left for a daemon, of what matters while none took it yet.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Untaken {
    /// Answers to holds, of each hold the last.
    pub answers: Vec<Answer>,
    /// Copies that are known not to be what the journal says.
    pub repairs: Vec<Repair>,
}

impl Untaken {
    /// What was answered to a hold: whether the deletes are meant.
    #[must_use]
    pub fn answer(&self, hold: i64) -> Option<bool> {
        self.answers.iter().find(|answer| answer.hold == hold).map(|answer| answer.approve)
    }

    /// The paths of a mirror that are to be compared or sent again.
    pub fn repairs(&self, mirror: &str) -> impl Iterator<Item = &RelPath> {
        let of_it = self.repairs.iter().filter(move |repair| repair.mirror == mirror);
        of_it.flat_map(|repair| &repair.paths)
    }
}
