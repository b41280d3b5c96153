//! The state folder: whose it is, how much room it has, the journal in it, and who works on it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::super::{Exit, output};
use super::check::Check;
use super::filesystem;
use crate::clock::to_ms;
use crate::config::{Mirror, Problem};
use crate::journal::{
    ConditionKind, Holder, JOURNAL_FILE, JournalError, LockError, Reader, StateLock,
};

/// With less room the journal cannot be written soon.
const TOO_LITTLE: u64 = 16 << 20;
/// A million files need 400 MB; less room than this is worth a word.
const LITTLE: u64 = 256 << 20;
/// A scan that is this many times older than it should be has not happened.
const LATE: u32 = 3;

/// What the system says of the state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    owner: u32,
    mode: u32,
    /// Bytes free for this user.
    free: Option<u64>,
    /// Whether its filesystem is the machine's own, and its name.
    local: Option<(bool, &'static str)>,
}

/// The state folder.
pub(super) fn folder(path: &Path, problem: Option<&Problem>) -> Vec<Check> {
    if let Some(problem) = problem {
        return vec![Check::of("state", problem)];
    }
    let Ok(meta) = std::fs::metadata(path) else {
        return vec![Check::ok("state", format!("{} will be made at the start", path.display()))];
    };
    let facts = Facts {
        owner: meta.uid(),
        mode: meta.mode() & 0o7777,
        free: rustix::fs::statvfs(path).ok().map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize)),
        local: filesystem::of(path).map(|filesystem| (filesystem.local, filesystem.name)),
    };
    judge_folder(path, facts, rustix::process::geteuid().as_raw())
}

fn judge_folder(path: &Path, facts: Facts, user: u32) -> Vec<Check> {
    const NAME: &str = "state";
    let shown = path.display();
    let mut found = Vec::new();
    if facts.owner != user {
        let message = format!("{shown} belongs to user {}, and this is user {user}", facts.owner);
        let hint =
            format!("run as its owner, as in `sudo -u '#{}' smh-mirror doctor`", facts.owner);
        found.push(if user == 0 {
            // The system lets it do everything: what it finds need not hold for the service.
            Check::warning(NAME, message, hint)
        } else {
            Check::problem(NAME, Exit::Permission, message, hint)
        });
    }
    if facts.mode & 0o077 != 0 {
        found.push(Check::warning(
            NAME,
            format!("others can look into {shown} (mode {:04o})", facts.mode),
            format!("`chmod 700 {shown}`"),
        ));
    }
    if let Some((false, kind)) = facts.local {
        found.push(Check::problem(
            NAME,
            Exit::Config,
            format!("{shown} is on {kind}, where the journal cannot be kept safely"),
            "name a folder on a local disk as state_dir",
        ));
    }
    match facts.free {
        Some(free) if free < TOO_LITTLE => found.push(Check::problem(
            NAME,
            Exit::Unexpected,
            format!("only {} are free in {shown}", output::bytes(free)),
            "make room: the journal is written there",
        )),
        Some(free) if free < LITTLE => found.push(Check::warning(
            NAME,
            format!("only {} are free in {shown}", output::bytes(free)),
            "make room: the journal takes up to 400 bytes for each file",
        )),
        _ => {}
    }
    if found.is_empty() {
        let kind = facts.local.map(|(_, kind)| format!(", on {kind}")).unwrap_or_default();
        let free =
            facts.free.map(|free| format!(", {} free", output::bytes(free))).unwrap_or_default();
        found.push(Check::ok(NAME, format!("{shown} is private{kind}{free}")));
    }
    found
}

/// The journal: whole, its size, and how old what it knows is.
pub(super) fn journal(path: &Path, mirrors: &[Mirror], running: bool, now_ms: i64) -> Vec<Check> {
    const NAME: &str = "journal";
    // Without the right to look into the folder, it only seems that there is none.
    if let Err(error) = path.join(JOURNAL_FILE).try_exists() {
        let source = JournalError::State { path: path.to_path_buf(), source: error };
        return vec![judge_journal(&source)];
    }
    let known = Reader::open(path).and_then(|reader| {
        reader.check()?;
        reader.mirrors()
    });
    match known {
        Err(error) => vec![judge_journal(&error)],
        Ok(known) => {
            let size = |suffix: &str| {
                let file = path.join(format!("{JOURNAL_FILE}{suffix}"));
                std::fs::metadata(file).map_or(0, |meta| meta.len())
            };
            let size = output::bytes(size("").saturating_add(size("-wal")));
            let mut found = vec![Check::ok(NAME, format!("it is whole, and takes {size}"))];
            found.extend(mirrors.iter().map(|mirror| {
                let scanned = known.iter().find(|status| status.known.name == mirror.name);
                let scanned_ms = scanned.and_then(|status| status.scanned_at_ms);
                judge_age(&mirror.name, scanned_ms, mirror.rescan, running, now_ms)
            }));
            found
        }
    }
}

/// That the space was full when the daemon sent last, in its words. A journal that cannot be read has a check of its own.
pub(super) fn space_full(path: &Path) -> Option<String> {
    let mirrors = Reader::open(path).and_then(|reader| reader.mirrors()).ok()?;
    let mut conditions = mirrors.into_iter().flat_map(|mirror| mirror.conditions);
    conditions.find(|condition| condition.kind == ConditionKind::Quota).map(|found| found.message)
}

fn judge_journal(error: &JournalError) -> Check {
    const NAME: &str = "journal";
    let said = error.to_string();
    match error {
        JournalError::Missing(_) => {
            Check::ok(NAME, "there is none yet: `smh-mirror run` or `sync` makes it")
        }
        JournalError::Busy => {
            Check::warning(NAME, said, "ask again; if it stays so, see what else has it open")
        }
        JournalError::Newer { .. } => {
            Check::problem(NAME, Exit::Unexpected, said, "install the newer version again")
        }
        JournalError::Damaged(_) => Check::problem(
            NAME,
            Exit::Unexpected,
            said,
            "start the daemon, or restart it: then the journal is set aside, and a new one is filled by a scan",
        ),
        JournalError::State { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Check::problem(NAME, Exit::Permission, said, "run as the user of the service")
        }
        JournalError::State { .. }
        | JournalError::Disk(_)
        | JournalError::TakenAway(_)
        | JournalError::GivenUp
        | JournalError::Sqlite(_) => {
            Check::problem(NAME, Exit::Unexpected, said, "check the disk under state_dir")
        }
    }
}

fn judge_age(
    mirror: &str,
    scanned_ms: Option<i64>,
    rescan: Duration,
    running: bool,
    now_ms: i64,
) -> Check {
    const NAME: &str = "journal";
    let Some(scanned_ms) = scanned_ms else {
        return Check::ok(NAME, format!("{mirror} was never scanned completely yet"));
    };
    let ago = output::ago(scanned_ms, now_ms);
    let message = format!("the last complete scan of {mirror} ended {ago}");
    let late_ms = to_ms(rescan.saturating_mul(LATE));
    if running && now_ms.saturating_sub(scanned_ms) > late_ms {
        let hint =
            "see `smh-mirror status` and the log of the daemon for what keeps it from scanning";
        Check::warning(NAME, message, hint)
    } else {
        Check::ok(NAME, message)
    }
}

/// Who works on the state folder: the check, and whether anybody does.
pub(super) fn daemon(path: &Path) -> (Check, bool) {
    let holder = StateLock::holder(path);
    let running = matches!(holder, Ok(Some(_)));
    (judge_daemon(&holder), running)
}

fn judge_daemon(holder: &Result<Option<Option<Holder>>, LockError>) -> Check {
    const NAME: &str = "daemon";
    match holder {
        Ok(None) => Check::ok(NAME, "none runs on this state folder"),
        Ok(Some(None)) => Check::ok(NAME, "one is starting or ending now"),
        Ok(Some(Some(holder))) => {
            let Holder { pid, version, since_ms, .. } = holder;
            let since = output::time(*since_ms);
            let message = format!("one runs: pid {pid}, version {version}, since {since}");
            if version == env!("CARGO_PKG_VERSION") {
                Check::ok(NAME, message)
            } else {
                let hint = "restart it, so that it is the version that is installed";
                Check::warning(NAME, message, hint)
            }
        }
        Err(error) => {
            let denied = matches!(error, LockError::Io { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied);
            let exit = if denied { Exit::Permission } else { Exit::Unexpected };
            Check::problem(NAME, exit, error.to_string(), "run as the user of the service")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Status;
    use super::*;

    const GOOD: Facts =
        Facts { owner: 1000, mode: 0o700, free: Some(1 << 40), local: Some((true, "ext4")) };

    #[test]
    fn the_state_folder_is_private_local_and_has_room() {
        for (facts, user, status, exit, said) in [
            (GOOD, 1000, Status::Ok, Exit::Done, "is private, on ext4"),
            (GOOD, 0, Status::Warning, Exit::Done, "this is user 0"),
            (GOOD, 1001, Status::Problem, Exit::Permission, "belongs to user 1000"),
            (Facts { mode: 0o755, ..GOOD }, 1000, Status::Warning, Exit::Done, "mode 0755"),
            (
                Facts { local: Some((false, "nfs")), ..GOOD },
                1000,
                Status::Problem,
                Exit::Config,
                "is on nfs",
            ),
            (
                Facts { free: Some(1 << 20), ..GOOD },
                1000,
                Status::Problem,
                Exit::Unexpected,
                "only",
            ),
            (Facts { free: Some(100 << 20), ..GOOD }, 1000, Status::Warning, Exit::Done, "only"),
            (Facts { free: None, local: None, ..GOOD }, 1000, Status::Ok, Exit::Done, "private"),
        ] {
            let checks = judge_folder(Path::new("/s"), facts, user);
            assert_eq!(checks.len(), 1, "{checks:?}");
            assert_eq!((checks[0].status, checks[0].exit), (status, exit), "{checks:?}");
            assert!(checks[0].message.contains(said), "{checks:?}");
        }
        let all = Facts { mode: 0o777, free: Some(0), local: Some((false, "nfs")), ..GOOD };
        assert_eq!(judge_folder(Path::new("/s"), all, 1).len(), 4);
    }

    #[test]
    fn each_answer_of_a_journal_is_another() {
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        for (error, status, exit) in [
            (JournalError::Missing("/s".into()), Status::Ok, Exit::Done),
            (JournalError::Busy, Status::Warning, Exit::Done),
            (JournalError::Newer { found: 9, known: 1 }, Status::Problem, Exit::Unexpected),
            (JournalError::Damaged("x".into()), Status::Problem, Exit::Unexpected),
            (
                JournalError::State { path: "/s".into(), source: denied },
                Status::Problem,
                Exit::Permission,
            ),
            (JournalError::Disk("full".into()), Status::Problem, Exit::Unexpected),
        ] {
            let check = judge_journal(&error);
            assert_eq!((check.status, check.exit), (status, exit), "{check:?}");
        }
    }

    #[test]
    fn an_old_scan_is_odd_only_while_a_daemon_runs() {
        let rescan = Duration::from_secs(3600);
        let hour_ms = 3_600_000;
        for (scanned_ms, running, status) in [
            (None, true, Status::Ok),
            (Some(9 * hour_ms), true, Status::Ok),
            (Some(7 * hour_ms), true, Status::Ok),
            (Some(6 * hour_ms), true, Status::Warning),
            (Some(6 * hour_ms), false, Status::Ok),
        ] {
            let check = judge_age("docs", scanned_ms, rescan, running, 10 * hour_ms);
            assert_eq!(check.status, status, "{check:?}");
        }
    }

    #[test]
    fn an_older_daemon_is_to_be_restarted() {
        let held = |version: &str| {
            Ok(Some(Some(Holder {
                pid: 7,
                version: version.to_owned(),
                since_ms: 0,
                socket: None,
            })))
        };
        assert_eq!(judge_daemon(&Ok(None)).status, Status::Ok);
        assert_eq!(judge_daemon(&held(env!("CARGO_PKG_VERSION"))).status, Status::Ok);
        assert_eq!(judge_daemon(&held("0.0.1")).status, Status::Warning);
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = LockError::Io { path: "/s/lock".into(), source };
        assert_eq!(judge_daemon(&Err(error)).exit, Exit::Permission);
    }
}
