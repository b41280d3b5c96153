//! What the kernel allows, and what others hold of it (shell).

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How `/proc/PID/fdinfo/FD` begins a line for each watch.
const WATCH_LINE: &[u8] = b"inotify wd:";
/// Where the link of a descriptor of watches leads.
const INOTIFY: &str = "anon_inode:inotify";

/// A limit of the kernel for watching; `None`: it cannot be read.
#[must_use]
pub fn inotify_limit(name: &str) -> Option<u64> {
    number(&format!("/proc/sys/fs/inotify/{name}"))
}

/// Watches that the kernel allows to a user: on the machine, or less in the user namespace of a container.
#[must_use]
pub fn watch_limit() -> Option<u64> {
    let here = number("/proc/sys/user/max_inotify_watches");
    let machine = inotify_limit("max_user_watches");
    [machine, here].into_iter().flatten().min()
}

fn number(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Watches that the other processes of a user hold, as far as `/proc` tells; `None`: it tells nothing. The user is that
/// of the process `daemon`, which is not counted, or else of this one, which never is.
#[must_use]
pub fn watches_of_others(daemon: Option<u32>) -> Option<u64> {
    let of = |process: String| fs::metadata(format!("/proc/{process}")).ok();
    // A limit of a user namespace is shared by those in it.
    let space = |process: &Path| fs::read_link(process.join("ns/user")).ok();
    let confined =
        match (number("/proc/sys/user/max_inotify_watches"), inotify_limit("max_user_watches")) {
            (Some(here), Some(machine)) if here < machine => space(Path::new("/proc/self")),
            _ => None,
        };
    let user = daemon.and_then(|pid| of(pid.to_string())).or_else(|| of("self".into()))?.uid();
    let own = [Some(std::process::id()), daemon];
    let mut held = 0_u64;
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that ended meanwhile, or of somebody else, holds nothing of ours.
        if !own.contains(&Some(pid))
            && process.metadata().is_ok_and(|meta| meta.uid() == user)
            && (confined.is_none() || space(&process.path()) == confined)
        {
            held = held.saturating_add(held_by(&process.path()));
        }
    }
    Some(held)
}

/// Watches of one process; none when it cannot be looked into.
fn held_by(process: &Path) -> u64 {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return 0 };
    descriptors
        .flatten()
        .filter(|entry| {
            fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == INOTIFY)
        })
        .map(|entry| watches_in(&process.join("fdinfo").join(entry.file_name())))
        .sum()
}

/// The lines are counted as they come: there may be half a million.
fn watches_in(info: &Path) -> u64 {
    let Ok(file) = fs::File::open(info) else { return 0 };
    let mut lines = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    let mut count = 0;
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return count,
            Ok(_) if line.starts_with(WATCH_LINE) => count += 1,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::inotify;

    #[test]
    fn watches_are_counted_by_process() {
        let own = format!("/proc/{}", std::process::id());
        let before = held_by(Path::new(&own));
        let dir = tempfile::tempdir().unwrap();
        let set = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        for name in ["a", "b", "c"] {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            inotify::add_watch(&set, path, inotify::WatchFlags::CREATE).unwrap();
        }
        // Other tests of this process watch too.
        assert!(held_by(Path::new(&own)) >= before.min(3));
        assert!(held_by(Path::new(&own)) >= 3);
        assert_eq!(held_by(Path::new("/proc/0")), 0);
    }
}
