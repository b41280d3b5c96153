//! Folder, journal and library side by side (pure): what is equal, what differs, what only waits.
//!
//! The folder has the last word on what has to be mirrored, the journal on what is claimed to be. Only a claim can be
//! found to be wrong: what the journal does not call mirrored waits, whatever the library holds.

use crate::fingerprint::Fingerprint;
use crate::journal::{FileRow, KnownDir, NEVER_MS};
use crate::smh::{Info, Kind as RemoteKind};
use crate::tree::{Found, Kind};

/// What the library holds under one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Nothing,
    Directory,
    /// A file, with what the service says of its content.
    File {
        size: Option<u64>,
        crc64: Option<u64>,
    },
}

impl Held {
    pub(super) fn of(info: &Info) -> Held {
        match info.kind {
            RemoteKind::Directory => Held::Directory,
            RemoteKind::File => Held::File { size: info.size, crc64: info.crc64 },
        }
    }
}

/// What the library holds, by the name that it has here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldEntry {
    pub(super) name: Vec<u8>,
    pub(super) held: Held,
}

/// What the journal knows of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) file: Option<FileRow>,
    pub(super) dir: Option<KnownDir>,
}

impl Rows {
    fn refs(&self) -> RowRefs<'_> {
        RowRefs { file: self.file.as_ref(), dir: self.dir.as_ref() }
    }

    /// Whether the journal claims that the library has this.
    pub(super) fn claims(&self) -> bool {
        self.refs().claims()
    }
}

/// The same, where the rows belong to somebody else.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RowRefs<'a> {
    pub(super) file: Option<&'a FileRow>,
    pub(super) dir: Option<&'a KnownDir>,
}

impl RowRefs<'_> {
    fn claims(self) -> bool {
        self.file.is_some_and(FileRow::is_synced)
            || self.dir.is_some_and(|dir| !dir.gone && dir.created)
    }
}

/// What came of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    /// The library has it as it is here.
    Equal,
    /// It is here, and left out on purpose.
    LeftOut,
    /// The claim of the journal is wrong.
    Differs(Difference),
    /// The journal makes no claim.
    Waits(Waiting),
    /// It is in the library only.
    Extra(Extra),
    /// The service does not say enough to tell.
    Untold,
    /// It is here, and cannot be looked at.
    Unseeable,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The file is not in the library.
    Missing {
        /// Bytes that were confirmed.
        size: u64,
        /// When, milliseconds since the Unix epoch.
        confirmed_at_ms: i64,
    },
    /// The copy has another size.
    Size {
        /// Bytes that were confirmed.
        here: u64,
        /// Bytes of the copy.
        there: u64,
    },
    /// The copy has the same size and another CRC-64.
    Content {
        /// What was confirmed.
        here: u64,
        /// What the service says.
        there: u64,
    },
    /// In the place of the file, the library has a directory.
    DirectoryInTheWay,
    /// In the place of the directory, the library has a file.
    FileInTheWay,
    /// The directory is not in the library, and neither is what lies in it.
    DirectoryMissing {
        /// Files at and below it that are called mirrored.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The content here is not what was confirmed, although its fingerprint is.
    Rotten {
        /// The library still has what was confirmed.
        copy_is_good: bool,
    },
    /// It changed since it was mirrored, and nobody works who would notice.
    Changed,
    /// The journal does not know it, and nobody works who would notice it.
    Unseen,
}

impl Difference {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Difference::Missing { .. } => "missing",
            Difference::Size { .. } => "size",
            Difference::Content { .. } => "content",
            Difference::DirectoryInTheWay => "directory-in-the-way",
            Difference::FileInTheWay => "file-in-the-way",
            Difference::DirectoryMissing { .. } => "directory-missing",
            Difference::Rotten { .. } => "rotten",
            Difference::Changed => "changed",
            Difference::Unseen => "unseen",
        }
    }

    /// Whether the daemon can make it good. What is damaged here must not replace the copy: a person decides.
    #[must_use]
    pub fn is_repairable(&self) -> bool {
        !matches!(self, Difference::Rotten { .. })
    }
}

/// Why something is not mirrored yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiting {
    /// It is on disk, and the journal does not know it yet.
    Unseen,
    /// It changed since it was seen.
    Changed,
    /// It waits for rest, for its turn, or for another try.
    Pending,
    /// It was refused or cannot be read, and waits for a change.
    Blocked,
    /// What is known of it changed while it was looked at.
    UnderWay,
}

impl Waiting {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Waiting::Unseen => "unseen",
            Waiting::Changed => "changed",
            Waiting::Pending => "pending",
            Waiting::Blocked => "blocked",
            Waiting::UnderWay => "under-way",
        }
    }

    /// The same when nobody works: what nobody knows of will not become mirrored by itself.
    pub(super) fn unattended(self) -> Option<Difference> {
        match self {
            Waiting::Unseen => Some(Difference::Unseen),
            Waiting::Changed => Some(Difference::Changed),
            Waiting::Pending | Waiting::Blocked | Waiting::UnderWay => None,
        }
    }
}

/// Why something is in the library only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extra {
    /// The copy of something that is gone here: it is kept, or waits to be deleted.
    Gone,
    /// The copy of something that is left out by now.
    LeftOut,
    /// Nothing that this mirror put there.
    Stranger,
}

impl Extra {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Extra::Gone => "gone",
            Extra::LeftOut => "left-out",
            Extra::Stranger => "stranger",
        }
    }
}

/// Judges one name. `None`: there is nothing to say of it.
pub(super) fn judge(disk: Option<Kind>, rows: RowRefs<'_>, held: Held) -> Option<Judged> {
    let file = rows.file.filter(|row| row.gone_at_ms.is_none());
    let dir = rows.dir.filter(|dir| !dir.gone);
    Some(match disk {
        Some(Kind::File(seen)) => judge_file(seen, file, held),
        Some(Kind::Dir(_)) => judge_dir(dir, held),
        Some(Kind::Unknown) => Judged::Unseeable,
        Some(Kind::Skipped(_)) => match held {
            Held::Nothing => Judged::LeftOut,
            Held::Directory | Held::File { .. } => Judged::Extra(Extra::LeftOut),
        },
        None => {
            let ours = match held {
                Held::Nothing => return None,
                Held::File { .. } => rows.file.is_some_and(|row| row.confirmed.is_some()),
                Held::Directory => rows.dir.is_some_and(|dir| dir.created),
            };
            Judged::Extra(if ours { Extra::Gone } else { Extra::Stranger })
        }
    })
}

fn judge_file(seen: Fingerprint, row: Option<&FileRow>, held: Held) -> Judged {
    let Some(row) = row else { return Judged::Waits(Waiting::Unseen) };
    if row.seen != seen {
        return Judged::Waits(Waiting::Changed);
    }
    let Some(confirmed) = row.confirmed.filter(|_| row.is_synced()) else {
        let blocked = row.next_at_ms == Some(NEVER_MS);
        return Judged::Waits(if blocked { Waiting::Blocked } else { Waiting::Pending });
    };
    let here = confirmed.fingerprint.size;
    match held {
        Held::Nothing => {
            Judged::Differs(Difference::Missing { size: here, confirmed_at_ms: confirmed.at_ms })
        }
        Held::Directory => Judged::Differs(Difference::DirectoryInTheWay),
        Held::File { size: Some(there), .. } if there != here => {
            Judged::Differs(Difference::Size { here, there })
        }
        Held::File { crc64: Some(there), .. } if there != confirmed.crc64 => {
            Judged::Differs(Difference::Content { here: confirmed.crc64, there })
        }
        Held::File { size: Some(_), crc64: Some(_) } => Judged::Equal,
        Held::File { .. } => Judged::Untold,
    }
}

fn judge_dir(dir: Option<&KnownDir>, held: Held) -> Judged {
    match (dir, held) {
        (None, _) => Judged::Waits(Waiting::Unseen),
        (Some(dir), _) if !dir.created => Judged::Waits(Waiting::Pending),
        (Some(_), Held::Directory) => Judged::Equal,
        (Some(_), Held::File { .. }) => Judged::Differs(Difference::FileInTheWay),
        (Some(_), Held::Nothing) => {
            Judged::Differs(Difference::DirectoryMissing { files: 0, bytes: 0 })
        }
    }
}

/// Whether a first judgement has to be made again with newer eyes: the three sides were not seen at one moment.
pub(super) fn is_doubtful(judged: &Judged) -> bool {
    match judged {
        Judged::Differs(_) | Judged::Untold => true,
        Judged::Waits(waiting) => matches!(waiting, Waiting::Unseen | Waiting::Changed),
        Judged::Equal | Judged::LeftOut | Judged::Extra(_) | Judged::Unseeable => false,
    }
}

/// Judges with newer eyes: the journal was read before and after disk and library. When it says the same both times and
/// claims something, nothing was on its way in between: a transfer marks its file before anything can become visible.
pub(super) fn judge_again(
    disk: Option<Kind>,
    before: &Rows,
    held: Held,
    after: &Rows,
) -> Option<Judged> {
    if before != after {
        return Some(Judged::Waits(Waiting::UnderWay));
    }
    judge(disk, after.refs(), held)
}

/// One range of names of one directory from all sides, each in order.
pub(super) struct Page<'a> {
    pub(super) entries: &'a [Found],
    pub(super) files: &'a [FileRow],
    pub(super) dirs: &'a [KnownDir],
    pub(super) held: &'a [HeldEntry],
}

/// Judges every name that is on disk or in the library.
pub(super) fn compare(
    page: &Page<'_>,
    mut tell: impl FnMut(&[u8], Option<Kind>, RowRefs<'_>, Held, Judged),
) {
    let mut held = page.held.iter().peekable();
    let mut one = |name: &[u8], disk: Option<Kind>, held: Held| {
        let rows = RowRefs {
            file: find(page.files, |row| row.id.name.as_slice(), name),
            dir: find(page.dirs, |dir| dir.name.as_slice(), name),
        };
        if let Some(judged) = judge(disk, rows, held) {
            tell(name, disk, rows, held, judged);
        }
    };
    for found in page.entries {
        let name = found.name.as_slice();
        while let Some(extra) = held.next_if(|held| held.name.as_slice() < name) {
            one(&extra.name, None, extra.held);
        }
        let same = held.next_if(|held| held.name == name);
        one(name, Some(found.kind), same.map_or(Held::Nothing, |same| same.held));
    }
    for extra in held {
        one(&extra.name, None, extra.held);
    }
}

fn find<'a, T>(all: &'a [T], name_of: impl Fn(&T) -> &[u8], name: &[u8]) -> Option<&'a T> {
    let at = all.binary_search_by(|one| name_of(one).cmp(name)).ok()?;
    all.get(at)
}

/// The entries of a listing whose names lie after `after` and up to `upto`.
pub(super) fn range<'a>(
    held: &'a [HeldEntry],
    after: Option<&[u8]>,
    upto: Option<&[u8]>,
) -> &'a [HeldEntry] {
    let from = after.map_or(0, |after| held.partition_point(|one| one.name.as_slice() <= after));
    let to =
        upto.map_or(held.len(), |upto| held.partition_point(|one| one.name.as_slice() <= upto));
    held.get(from..to).unwrap_or_default()
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
