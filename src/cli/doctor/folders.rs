//! The folders that are mirrored: readable, on which filesystem, and whether the kernel can watch them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::time::Duration;

use super::check::Check;
use super::filesystem::{self, Filesystem};
use crate::clock::{Clock, to_ms};
use crate::config::{Mirror, Names, Problem, WatchMode};
use crate::relpath::{RelPath, printable};
use crate::tree::{
    Absent, Kind, Lister, Watcher, fd_gives_hints, remote_name, watch_budget, watch_limit,
    watches_of_others,
};
use crate::wording::counted;

/// Counting stops here: no kernel is asked for more watches.
const MOST_DIRECTORIES: u64 = 2_000_000;
/// All counting together stops after this: a person waits.
const LONGEST: Duration = Duration::from_secs(20);

/// What was found below a root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Directories that the rules do not leave out, the root included.
    pub(super) directories: u64,
    /// Those of them that lie on filesystems that tell of changes.
    pub(super) telling: u64,
    /// Directories that could not be listed.
    pub(super) unreadable: u64,
    /// The first of them, and why.
    pub(super) first: Option<String>,
    /// Entries whose name is that of another in the same folder but for the case of letters.
    pub(super) alike: u64,
    /// The first of them, with the other.
    pub(super) first_alike: Option<String>,
    /// Whether everything was seen.
    pub(super) complete: bool,
}

/// What the kernel allows, and what it is to be shared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    /// Watches for the user of the daemon; `None`: that cannot be read.
    pub(super) limit: Option<u64>,
    /// Those that other programs of that user hold.
    pub(super) others: Option<u64>,
}

impl Allowed {
    /// `daemon`: the process that runs, if one does.
    pub(super) fn now(daemon: Option<u32>) -> Allowed {
        let limit = watch_limit();
        Allowed { limit, others: watches_of_others(daemon) }
    }
}

/// Directories that are to be watched.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    /// Within the budget.
    pub(super) sensible: u64,
    /// Whatever it costs.
    pub(super) insisted: u64,
    /// Counting came to its end.
    pub(super) complete: bool,
}

/// Whether the kernel gives out another set of watches now.
pub(super) fn can_watch(clock: Clock) -> bool {
    Watcher::new(clock, &[]).is_ok()
}

/// Counts the directories of a mirror as the daemon would list them, until `deadline_ms`.
pub(super) fn count(mirror: &Mirror, clock: Clock, deadline_ms: i64) -> Count {
    let lister = Lister::of(mirror);
    let mut count = Count::default();
    let mut open = vec![RelPath::root()];
    while let Some(dir) = open.pop() {
        if count.directories >= MOST_DIRECTORIES || clock.now().mono_ms >= deadline_ms {
            return count;
        }
        count.directories += 1;
        let mut telling = false;
        let listed = lister.list_opened(
            &dir,
            |_, fd| telling = fd_gives_hints(fd),
            |_| {},
            |found, _| {
                let directories = found.iter().filter(|entry| entry.kind.is_dir());
                open.extend(directories.map(|entry| dir.join(&entry.name)));
                let mirrored =
                    found.iter().filter(|entry| matches!(entry.kind, Kind::File(_) | Kind::Dir(_)));
                let mirrored = mirrored.map(|entry| entry.name.as_slice());
                for (one, other) in alike(mirror.names, mirrored) {
                    count.alike += 1;
                    count.first_alike.get_or_insert_with(|| {
                        let one = dir.join(one);
                        format!("{}/{one} and {}", mirror.local.display(), printable(other))
                    });
                }
                clock.now().mono_ms < deadline_ms
            },
        );
        count.telling += u64::from(telling);
        match listed {
            // Removed since its parent was listed.
            Ok(()) | Err(Absent::Gone) => {}
            Err(Absent::Root(why) | Absent::Unreadable(why) | Absent::Short(why)) => {
                count.unreadable += 1;
                let shown = mirror.local.display();
                count.first.get_or_insert_with(|| format!("{shown}/{dir}: {why}"));
            }
        }
    }
    count.complete = clock.now().mono_ms < deadline_ms;
    count
}

/// Names whose copies have one name when the case of letters does not count: each with the first that it is like. Looked for in one
/// page of a listing: that is nearly every folder, and needs little memory in the others.
fn alike<'a>(rule: Names, names: impl Iterator<Item = &'a [u8]>) -> Vec<(&'a [u8], &'a [u8])> {
    let mut known: HashMap<String, &[u8]> = HashMap::new();
    let mut found = Vec::new();
    for name in names {
        let Some(copy) = remote_name(rule, name) else { continue };
        match known.entry(copy.to_lowercase()) {
            Entry::Occupied(first) => found.push((*first.get(), name)),
            Entry::Vacant(free) => {
                free.insert(name);
            }
        }
    }
    found
}

/// When counting that begins now has to end.
pub(super) fn deadline_ms(clock: Clock) -> i64 {
    clock.now().mono_ms.saturating_add(to_ms(LONGEST))
}

/// How changes in a folder on such a filesystem are seen.
fn is_watched(mode: WatchMode, gives_hints: bool) -> bool {
    match mode {
        WatchMode::Auto => gives_hints,
        WatchMode::Inotify => true,
        WatchMode::Poll => false,
    }
}

/// The folder of one mirror.
pub(super) fn folder(mirror: &Mirror, problem: Option<&Problem>) -> Vec<Check> {
    let name = format!("mirror.{}", mirror.name);
    match problem {
        Some(problem) => vec![Check::of(name, problem)],
        None => {
            vec![judge_folder(&name, &mirror.local, mirror.watch, filesystem::of(&mirror.local))]
        }
    }
}

fn judge_folder(
    name: &str,
    local: &Path,
    mode: WatchMode,
    filesystem: Option<Filesystem>,
) -> Check {
    let shown = local.display();
    let Some(Filesystem { name: kind, gives_hints, .. }) = filesystem else {
        return Check::warning(
            name,
            format!("{shown} can be read, but not on which filesystem it lies"),
            "see that it is still mounted",
        );
    };
    match (mode, gives_hints) {
        (WatchMode::Inotify, false) => Check::warning(
            name,
            format!("{shown} is on {kind}, where the kernel does not see what others change"),
            "set watch = \"auto\", so that it is polled",
        ),
        (mode, gives_hints) if is_watched(mode, gives_hints) => {
            Check::ok(name, format!("{shown} can be read, on {kind}"))
        }
        _ => {
            Check::ok(name, format!("{shown} can be read, on {kind}; changes are found by polling"))
        }
    }
}

/// What counting said about what can be read.
pub(super) fn unreadable(mirror: &str, count: &Count) -> Option<Check> {
    let first = count.first.as_ref()?;
    let name = format!("mirror.{mirror}");
    let message = match count.unreadable {
        1 => format!("one folder cannot be read, {first}"),
        many => format!("{many} folders cannot be read, the first is {first}"),
    };
    let hint = "let the user of the service read it, by an ACL (`setfacl -R -m u:smh-mirror:rX FOLDER`) or a group (`SupplementaryGroups=` in the unit), or leave it out with `exclude`";
    Some(Check::warning(name, message, hint))
}

/// What counting said about names that may be one to the service.
pub(super) fn alike_names(mirror: &str, count: &Count) -> Option<Check> {
    let first = count.first_alike.as_ref()?;
    let message = match count.alike {
        1 => format!(
            "the copies of two entries have names that differ only in the case of letters: {first}"
        ),
        many => format!(
            "the copies of {many} entries have names that differ from another only in the case of letters, as {first}"
        ),
    };
    let hint = "it is not documented whether the service tells them apart: see `smh-mirror errors`, or rename one";
    Some(Check::warning(format!("mirror.{mirror}"), message, hint))
}

/// All directories against the watches that may be taken.
pub(super) fn judge_watches(wanted: Wanted, allowed: Allowed) -> Check {
    const NAME: &str = "watches";
    let Some(limit) = allowed.limit else {
        return Check::warning(
            NAME,
            "the limit of watches cannot be read; folders may be polled",
            "see /proc/sys/fs/inotify/max_user_watches",
        );
    };
    let directories = wanted.sensible.saturating_add(wanted.insisted);
    let others = allowed.others.unwrap_or(0);
    let budget = watch_budget(allowed.limit, allowed.others);
    let least = if wanted.complete { "" } else { "at least " };
    let facts = format!(
        "{least}{} to watch; the kernel allows {limit} watches to this user, others hold {others}, the budget is half of the rest: {budget}",
        counted(directories, "directory")
    );
    // Room to grow, and for others.
    let enough = directories.saturating_mul(2).saturating_add(others);
    let raise = format!(
        "raise it: `sysctl -w fs.inotify.max_user_watches={}`, and in /etc/sysctl.d to keep it",
        enough.max(65_536).checked_next_power_of_two().unwrap_or(u64::MAX)
    );
    if wanted.insisted > 0 && directories > limit.saturating_sub(others) {
        let text = "watch = \"inotify\" asks for more than there is, and the rest is polled";
        Check::warning(NAME, format!("{facts}; {text}"), raise)
    } else if wanted.sensible > 0 && directories > budget {
        Check::warning(NAME, format!("{facts}; the rest is polled"), raise)
    } else if wanted.complete {
        Check::ok(NAME, facts)
    } else {
        let seconds = LONGEST.as_secs();
        Check::warning(
            NAME,
            format!(
                "{facts}; counting stopped after {seconds} s or {MOST_DIRECTORIES} directories"
            ),
            "see the numbers of `smh-mirror status --json` once the daemon has scanned everything",
        )
    }
}

/// Whether the kernel gives out sets of watches.
pub(super) fn judge_instances(can_watch: bool, limit: Option<u64>) -> Check {
    const NAME: &str = "inotify";
    let allowed =
        limit.map_or_else(|| "an unknown number of".to_owned(), |limit| limit.to_string());
    if can_watch {
        return Check::ok(
            NAME,
            format!("the kernel gives out watchers; {allowed} allowed to this user"),
        );
    }
    let wanted = limit.unwrap_or(0).saturating_mul(2).max(512);
    Check::warning(
        NAME,
        format!(
            "the kernel gives out no more watchers ({allowed} allowed); all folders are polled"
        ),
        format!("raise it: `sysctl -w fs.inotify.max_user_instances={wanted}`"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::Status;
    use super::*;

    #[test]
    fn watches_are_enough_when_the_budget_is() {
        for (sensible, insisted, complete, limit, others, status, said) in [
            (10, 0, true, Some(100), 0, Status::Ok, "10 directories"),
            (50, 0, true, Some(100), 0, Status::Ok, "allows 100"),
            (51, 0, true, Some(100), 0, Status::Warning, "the rest is polled"),
            (31, 0, true, Some(100), 40, Status::Warning, "of the rest: 30; the rest is polled"),
            (30, 0, true, Some(100), 40, Status::Ok, "others hold 40"),
            (0, 60, true, Some(100), 40, Status::Ok, "60 directories"),
            (0, 61, true, Some(100), 40, Status::Warning, "asks for more than there is"),
            (1, 50, true, Some(100), 0, Status::Warning, "the rest is polled"),
            (10, 0, false, Some(100), 0, Status::Warning, "at least 10 directories"),
            (101, 0, false, Some(100), 0, Status::Warning, "polled"),
            (10, 0, true, None, 0, Status::Warning, "cannot be read"),
        ] {
            let allowed = Allowed { limit, others: Some(others) };
            let check = judge_watches(Wanted { sensible, insisted, complete }, allowed);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.message.contains(said), "{check:?}");
        }
        let allowed = Allowed { limit: Some(8_192), others: None };
        let wanted = Wanted { sensible: 600_000, insisted: 0, complete: true };
        let hint = judge_watches(wanted, allowed).hint.unwrap();
        assert!(hint.contains("max_user_watches=2097152"), "{hint}");
    }

    #[test]
    fn watchers_may_be_used_up() {
        assert_eq!(judge_instances(true, Some(128)).status, Status::Ok);
        let none = judge_instances(false, Some(128));
        assert_eq!(none.status, Status::Warning);
        assert!(none.hint.unwrap().contains("max_user_instances=512"));
    }

    #[test]
    fn a_network_folder_is_polled_unless_somebody_insists() {
        let on = |name, local| Some(Filesystem { name, local, gives_hints: local });
        let path = Path::new("/srv/docs");
        for (mode, filesystem, status, said) in [
            (WatchMode::Auto, on("ext4", true), Status::Ok, "on ext4"),
            (WatchMode::Auto, on("nfs", false), Status::Ok, "polling"),
            (WatchMode::Poll, on("ext4", true), Status::Ok, "polling"),
            (WatchMode::Inotify, on("ext4", true), Status::Ok, "on ext4"),
            (WatchMode::Inotify, on("nfs", false), Status::Warning, "does not see"),
            (WatchMode::Auto, None, Status::Warning, "not on which"),
        ] {
            let check = judge_folder("mirror.docs", path, mode, filesystem);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.message.contains(said), "{check:?}");
        }
    }

    #[test]
    fn names_that_differ_only_in_case_are_found() {
        let of = |names: &[&'static str]| {
            alike(Names::Escape, names.iter().map(|name| name.as_bytes()))
                .into_iter()
                .map(|(one, other)| (String::from_utf8_lossy(one), String::from_utf8_lossy(other)))
                .map(|(one, other)| format!("{one} {other}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&["A", "B", "a", "ab", "\u{c9}", "\u{e9}"]), ["A a", "\u{c9} \u{e9}"]);
        assert_eq!(of(&["Ab", "aB", "ab", "b"]), ["Ab aB", "Ab ab"]);
        assert_eq!(of(&["%3A", "%3a", ":", "?A", "?a"]), ["%3a :", "?A ?a"]);
        let not_text = [b"\xff".as_slice(), b"\xfe"];
        assert!(alike(Names::Skip, not_text.into_iter()).is_empty());
        assert!(alike(Names::Escape, not_text.into_iter()).is_empty());
        let count = |alike, first: Option<&str>| Count {
            alike,
            first_alike: first.map(str::to_owned),
            ..Count::default()
        };
        assert_eq!(alike_names("docs", &count(0, None)), None);
        let one = alike_names("docs", &count(1, Some("/x/A and a"))).unwrap();
        assert!(one.message.contains("two entries") && one.message.contains("/x/A and a"));
        let many = alike_names("docs", &count(3, Some("/x/A and a"))).unwrap();
        assert!(many.message.contains("3 entries"), "{many:?}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let count = |unreadable, first: Option<&str>| Count {
            unreadable,
            first: first.map(str::to_owned),
            ..Count::default()
        };
        assert_eq!(unreadable("docs", &count(0, None)), None);
        assert!(
            unreadable("docs", &count(1, Some("a: no"))).unwrap().message.contains("one folder")
        );
        assert!(
            unreadable("docs", &count(3, Some("a: no"))).unwrap().message.contains("3 folders")
        );
    }
}
