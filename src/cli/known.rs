//! What is known of one path: the journal, and a look at the disk, which has the last word.

use std::path::Path;

use serde_json::{Value, json};

use super::locate::{locate, whole};
use super::status_view::put_path;
use super::{Failure, output, request, unexpected, verdict};
use crate::clock::Clock;
use crate::config::{Config, Mirror};
use crate::journal::{
    ConditionKind, EntryState, FileRow, FileStatus, FolderStatus, KnownMirror, Reader, SkipReason,
    TroubleRow,
};
use crate::mirror::{Audit, audit};
use crate::relpath::RelPath;
use crate::tree::{Absent, Explained, Kind, Lister, Skip, remote_path};
use crate::wording::{counted, verb};

/// What is said of a copy that is known not to be what the journal says.
const DOUBTED: &str = "the library has something else here, as `verify` found; it waits to be compared and sent again";

/// One path, with everything that is known of it.
pub(super) struct Known<'c> {
    /// Where it is: in which mirror, and where there. `None`: in none.
    pub(super) place: Option<Place<'c>>,
    /// The path as it was asked for.
    asked: String,
    /// The word.
    pub(super) state: &'static str,
    /// More about the word.
    pub(super) note: String,
}

/// A path in a mirror.
pub(super) struct Place<'c> {
    pub(super) mirror: &'c Mirror,
    pub(super) path: RelPath,
    /// What is on disk, and which rule says so.
    pub(super) explained: Explained,
    /// What the journal knows of a file of this name.
    pub(super) file: Option<FileStatus>,
    /// What the journal knows of a folder of this name, and whether the disk is the same.
    pub(super) folder: Option<(FolderStatus, Audit)>,
    /// The number of the mirror, where the journal speaks of this folder and this target.
    pub(super) known: Option<KnownMirror>,
    /// Why nothing is concluded from what is missing in the folder: it is not the one that was there.
    root: Option<String>,
    /// Why nothing is sent now, for what waits.
    stops: Option<String>,
}

impl<'c> Known<'c> {
    /// Asks the journal and the disk about `path`.
    pub(super) fn of(
        config: &'c Config,
        reader: Option<&Reader>,
        path: &Path,
    ) -> Result<Known<'c>, Failure> {
        let asked = path.display().to_string();
        let Some((mirror, path)) = locate(config, path) else {
            let note = match path.is_absolute() {
                true => "it belongs to no mirror".to_owned(),
                false => format!("{} belongs to no mirror", whole(path).display()),
            };
            return Ok(Known { place: None, asked, state: "unknown", note });
        };
        let lister = Lister::of(mirror);
        let mut place = Place {
            mirror,
            explained: lister.explain(&path),
            path,
            file: None,
            folder: None,
            known: None,
            root: None,
            stops: None,
        };
        if let Some(reader) = reader {
            let now_ms = Clock::start().now().unix_ms;
            place.ask(config, reader, &lister, now_ms).map_err(unexpected)?;
        }
        let (state, note) = match place.judge() {
            ("synced", _) if place.is_doubted(config)? => ("pending", DOUBTED.to_owned()),
            judged => judged,
        };
        Ok(Known { place: Some(place), asked, state, note })
    }

    /// The path with its word.
    pub(super) fn heading(&self) -> String {
        let name = match &self.place {
            Some(place) => place.path.in_mirror(&place.mirror.name),
            None => self.asked.clone(),
        };
        let note = if self.note.is_empty() { String::new() } else { format!(", {}", self.note) };
        format!("{name}: {}{note}", self.state)
    }

    /// One line for people.
    pub(super) fn sentence(&self) -> String {
        let mut line = self.heading();
        if let Some(stops) = self.stops() {
            line.push_str(&format!(" ({stops})"));
        }
        let trouble = self.place.as_ref().and_then(Place::trouble);
        if let Some(trouble) = trouble {
            line.push_str(", ");
            line.push_str(&trouble.message);
        }
        line
    }

    /// Why it waits, where that is about more than itself.
    fn stops(&self) -> Option<&str> {
        let place = self.place.as_ref().filter(|_| self.state == "pending")?;
        place.stops.as_deref()
    }

    /// The object of a file of the contract.
    pub(super) fn to_json(&self) -> Value {
        let place = self.place.as_ref();
        let row = place.and_then(Place::row);
        let confirmed = row.and_then(|row| row.confirmed);
        let mut value = json!({
            "mirror": place.map(|place| place.mirror.name.clone()),
            "path": self.asked,
            "state": self.state,
            "size": row.map(|row| row.seen.size),
            "full_hash": confirmed.map(|c| c.full_hash.to_string()),
            "crc64": confirmed.map(|c| c.crc64.to_string()),
            "confirmed_at": confirmed.map(|c| output::time(c.at_ms)),
            "trouble": place.and_then(Place::trouble).map(trouble_json),
            "note": match (self.note.as_str(), self.stops()) {
                ("", stops) => stops.unwrap_or_default(),
                (note, _) => note,
            },
        });
        if let Some(place) = place {
            put_path(&mut value, &place.path);
        }
        if let Some((folder, audit)) = place.and_then(|place| place.folder.as_ref())
            && let Some(object) = value.as_object_mut()
        {
            object.insert("files".into(), folder.files.into());
            object.insert("skipped".into(), folder.skipped.into());
            object.insert("waiting".into(), folder.waiting.into());
            object.insert("blocked".into(), folder.blocked.into());
            object.insert("unreadable_folders".into(), folder.failed_directories.into());
            let unseen = audit.unseen + audit.changed + audit.gone + audit.unreadable;
            object.insert("not_seen_yet".into(), unseen.into());
        }
        value
    }
}

/// What is wrong with an entry, in JSON.
pub(super) fn trouble_json(trouble: &TroubleRow) -> Value {
    json!({
        "class": trouble.class.as_str(),
        "code": trouble.code,
        "message": trouble.message,
        "request_id": trouble.request_id,
        "attempts": trouble.attempts,
        "blocked": trouble.blocked,
        "since": output::time(trouble.first_at_ms),
        "at": output::time(trouble.last_at_ms),
    })
}

impl Place<'_> {
    fn ask(
        &mut self,
        config: &Config,
        reader: &Reader,
        lister: &Lister,
        now_ms: i64,
    ) -> Result<(), crate::journal::JournalError> {
        let known = reader.known_mirrors()?.into_iter().find(|known| {
            known.name == self.mirror.name && verdict::is_same(config, self.mirror, known)
        });
        let Some(known) = known else { return Ok(()) };
        for condition in reader.conditions(known.id)? {
            match condition.kind {
                ConditionKind::Root => self.root = Some(condition.message),
                ConditionKind::Offline | ConditionKind::Auth | ConditionKind::Paused
                    if !condition.is_over(now_ms) =>
                {
                    self.stops.get_or_insert(verdict::stopped(&condition));
                }
                _ => {}
            }
        }
        self.file = Some(reader.file(known.id, &self.path)?);
        if self.explained.kind.as_ref().is_ok_and(|kind| kind.is_dir())
            && reader.below(known.id, &self.path)?.is_some()
        {
            // The disk first: what is written down meanwhile makes the journal newer, not older.
            let audit = audit(reader, &known, lister, &self.path)?;
            self.folder = reader.below(known.id, &self.path)?.map(|folder| (folder, audit));
        }
        self.known = Some(known);
        Ok(())
    }

    /// What the journal knows of a file of this name.
    pub(super) fn row(&self) -> Option<&FileRow> {
        self.file.as_ref().and_then(|file| file.row.as_ref())
    }

    /// Where its copy is, or has to be, in the library; `None`: it is left out.
    pub(super) fn remote(&self) -> Option<Vec<String>> {
        if matches!(self.explained.kind, Ok(Kind::Skipped(_))) {
            return None;
        }
        remote_path(self.mirror.names, &self.mirror.remote, &self.path)
    }

    /// Whether `verify` found that the library has something else here or below, and nobody took that up yet.
    fn is_doubted(&self, config: &Config) -> Result<bool, Failure> {
        let untaken = request::untaken(config)?;
        let is_about = |path: &RelPath| path.is_within(&self.path) || self.path.is_within(path);
        Ok(untaken.repairs(&self.mirror.name).any(is_about))
    }

    fn trouble(&self) -> Option<&TroubleRow> {
        self.file.as_ref().and_then(|file| file.trouble.as_ref())
    }

    fn judge(&self) -> (&'static str, String) {
        if let Some((folder, audit)) = &self.folder {
            return judge_folder(folder, audit);
        }
        let state = self.file.as_ref().map_or(EntryState::Unknown, |file| file.state);
        let row = self.row();
        let itself = self.explained.at == self.path;
        match (&self.root, &self.explained.kind) {
            // Another folder stands in the place of the root, as where a filesystem is not mounted.
            (Some(message), Err(Absent::Gone)) => ("unknown", message.clone()),
            (_, kind) => judge_file(state, row, kind, itself),
        }
    }
}

/// Why an entry on disk is left out, in words.
pub(super) fn skipped(skip: Skip) -> &'static str {
    match skip {
        Skip::Excluded => SkipReason::Excluded,
        Skip::Temporary => SkipReason::Temporary,
        Skip::Symlink => SkipReason::Symlink,
        Skip::SymlinkOutside => SkipReason::SymlinkOutside,
        Skip::SymlinkDangling => SkipReason::SymlinkDangling,
        Skip::SymlinkLoop => SkipReason::SymlinkLoop,
        Skip::Loop => SkipReason::Loop,
        Skip::Special => SkipReason::Special,
        Skip::Name => SkipReason::Name,
    }
    .describe()
}

/// The word for a folder, from what the journal counts in it and from what a look at the disk found.
fn judge_folder(folder: &FolderStatus, audit: &Audit) -> (&'static str, String) {
    let waiting = folder.waiting;
    if let Some(message) = &audit.root {
        return ("unknown", message.clone());
    }
    let mut note = format!("a folder with {}", counted(folder.files, "file"));
    if waiting > 0 {
        note.push_str(&format!(", of which {waiting} {} not mirrored", verb(waiting, "is", "are")));
    }
    if folder.skipped > 0 {
        note.push_str(&format!(
            "; {} left out: see `smh-mirror status --skipped`",
            counted(folder.skipped, "entry")
        ));
    }
    if folder.blocked > 0 {
        note.push_str(&format!("; {} blocked: see `smh-mirror errors`", folder.blocked));
    }
    if let Some(found) = verdict::found(audit) {
        note.push_str("; ");
        note.push_str(&found);
    }
    if folder.failed_directories > 0 {
        note.push_str(&format!(
            "; {} could not be read or made: see `smh-mirror errors`",
            counted(folder.failed_directories, "folder")
        ));
    }
    let failed = folder.blocked + folder.failed_directories + audit.unreadable;
    let state = if failed > 0 {
        "blocked"
    } else if waiting + folder.pending_directories > 0 || !audit.is_clean() {
        "pending"
    } else {
        "synced"
    };
    (state, note)
}

/// The word for a file. The journal is at worst behind: what is on disk at this moment has the last word.
/// `itself`: `now` is about the file and not about something above it.
fn judge_file(
    journal: EntryState,
    row: Option<&FileRow>,
    now: &Result<Kind, Absent>,
    itself: bool,
) -> (&'static str, String) {
    let confirmed = row.and_then(|row| row.confirmed);
    let said = |text: &str| text.to_owned();
    let absent = match now {
        Err(Absent::Gone) => true,
        // A file on the way to it: nothing can be below that.
        Ok(Kind::File(_)) => !itself,
        _ => false,
    };
    if absent && confirmed.is_some() {
        return ("gone", said("it is no longer on disk"));
    }
    match now {
        Err(Absent::Root(message)) => ("unknown", message.clone()),
        Err(Absent::Unreadable(message) | Absent::Short(message)) => {
            let word = if journal == EntryState::Blocked { "blocked" } else { "unknown" };
            (word, format!("it cannot be looked at: {message}"))
        }
        _ if absent => ("unknown", said("there is no such file")),
        Ok(Kind::Unknown) | Err(Absent::Gone) => ("unknown", said("it cannot be looked at")),
        Ok(Kind::Skipped(skip)) if itself => ("skipped", said(skipped(*skip))),
        Ok(Kind::Skipped(skip)) => {
            ("skipped", format!("something above it is left out: {}", skipped(*skip)))
        }
        Ok(Kind::Dir(_)) => ("pending", said("a folder that was not seen yet")),
        Ok(Kind::File(seen)) => {
            let Some(row) = row else { return ("pending", said("it was not seen yet")) };
            if row.gone_at_ms.is_some() {
                return ("pending", said("it is back, and was not seen yet"));
            }
            if row.seen != *seen {
                return match journal {
                    EntryState::Synced => ("pending", said("it changed since it was mirrored")),
                    _ => ("pending", said("it changed since it was seen")),
                };
            }
            match (journal, confirmed) {
                (EntryState::Synced, Some(confirmed)) => (
                    "synced",
                    format!(
                        "{} confirmed at {} (crc64 {})",
                        output::bytes(confirmed.fingerprint.size),
                        output::time(confirmed.at_ms),
                        confirmed.crc64
                    ),
                ),
                (state, _) => (state.as_str(), String::new()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Hash;
    use crate::fingerprint::Fingerprint;
    use crate::journal::{ConfirmedRow, DirId, EntryId};
    use crate::tree::DirMark;

    const DIR: Kind = Kind::Dir(DirMark { inode: 1, mounted: false, bound: false, fsid: 0 });

    fn print(size: u64) -> Fingerprint {
        Fingerprint { size, mtime_ns: 1, ctime_ns: 1, inode: 7 }
    }

    fn row(confirmed: bool) -> FileRow {
        FileRow {
            id: EntryId { dir: DirId(1), name: b"f".to_vec() },
            seen: print(1),
            confirmed: confirmed.then_some(ConfirmedRow {
                fingerprint: print(1),
                full_hash: Hash::from_bytes([0; 32]),
                crc64: 1,
                at_ms: 5,
            }),
            changed_at_ms: None,
            next_at_ms: None,
            gone_at_ms: None,
            unsure: false,
        }
    }

    #[test]
    fn the_disk_has_the_last_word_about_a_file() {
        let same = Ok(Kind::File(print(1)));
        let other = Ok(Kind::File(print(2)));
        let gone = Err(Absent::Gone);
        let unreadable = Err(Absent::Unreadable("EACCES".into()));
        let root = Err(Absent::Root("r".into()));
        let left_out = Ok(Kind::Skipped(Skip::Excluded));
        let synced = row(true);
        let fresh = row(false);
        let back = FileRow { gone_at_ms: Some(1), ..row(true) };
        for (journal, row, now, expected) in [
            (EntryState::Synced, Some(&synced), &same, "synced"),
            (EntryState::Synced, Some(&synced), &other, "pending"),
            (EntryState::Synced, Some(&synced), &gone, "gone"),
            (EntryState::Synced, Some(&synced), &unreadable, "unknown"),
            (EntryState::Synced, Some(&synced), &root, "unknown"),
            (EntryState::Synced, Some(&synced), &left_out, "skipped"),
            (EntryState::Synced, Some(&synced), &Ok(DIR), "pending"),
            (EntryState::Blocked, Some(&fresh), &same, "blocked"),
            (EntryState::Blocked, Some(&fresh), &other, "pending"),
            (EntryState::Blocked, Some(&fresh), &unreadable, "blocked"),
            (EntryState::Retrying, Some(&fresh), &same, "retrying"),
            (EntryState::Uploading, Some(&fresh), &same, "uploading"),
            (EntryState::Pending, Some(&fresh), &gone, "unknown"),
            (EntryState::Gone, Some(&back), &same, "pending"),
            (EntryState::Gone, Some(&back), &gone, "gone"),
            (EntryState::Skipped(SkipReason::Symlink), None, &same, "pending"),
            (EntryState::Unknown, None, &same, "pending"),
            (EntryState::Unknown, None, &gone, "unknown"),
        ] {
            assert_eq!(judge_file(journal, row, now, true).0, expected, "{journal:?} {now:?}");
        }
        // A file stands where a folder above it should be.
        assert_eq!(judge_file(EntryState::Unknown, None, &same, false).0, "unknown");
        assert_eq!(judge_file(EntryState::Synced, Some(&synced), &same, false).0, "gone");
    }

    #[test]
    fn a_folder_is_synced_only_when_both_sides_say_so() {
        let none = FolderStatus {
            files: 2,
            waiting: 0,
            blocked: 0,
            pending_directories: 0,
            failed_directories: 0,
            skipped: 0,
        };
        let clean = Audit::default();
        let check = |folder: FolderStatus, audit: &Audit| judge_folder(&folder, audit).0;
        assert_eq!(check(none, &clean), "synced");
        assert_eq!(check(FolderStatus { waiting: 1, ..none }, &clean), "pending");
        assert_eq!(check(FolderStatus { waiting: 1, blocked: 1, ..none }, &clean), "blocked");
        assert_eq!(check(FolderStatus { pending_directories: 1, ..none }, &clean), "pending");
        assert_eq!(check(FolderStatus { failed_directories: 1, ..none }, &clean), "blocked");
        assert_eq!(check(none, &Audit { changed: 1, ..Audit::default() }), "pending");
        assert_eq!(check(none, &Audit { unreadable: 1, ..Audit::default() }), "blocked");
        assert_eq!(check(none, &Audit { root: Some("r".into()), ..Audit::default() }), "unknown");
    }
}
