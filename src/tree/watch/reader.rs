//! The thread that reads events (shell): what the kernel tells becomes hints, and what is of no use is given back to it.

use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, Reader};
use rustix::io::Errno;

use super::mounts::Mounts;
use super::{Shared, touched};
use crate::relpath::RelPath;

/// Bytes read at once.
const BUFFER: usize = 1 << 16;
/// Watches given back before events are read again: the kernel tells of each, and its queue is finite.
const RELEASES: usize = 8;
/// Reading failed so often in a row: it will not work any more.
const FAILURES_MAX: u32 = 16;
/// What changes when something is mounted, as seen by this process.
const MOUNTS: &str = "/proc/self/mountinfo";

pub(super) fn start(shared: Arc<Shared>) -> std::io::Result<()> {
    let work = move || {
        let ending = Ending(&shared);
        Thread { shared: &shared, table_of_mounts: TableOfMounts::open(), failures: 0 }.run();
        drop(ending);
    };
    std::thread::Builder::new().name("watch".to_owned()).spawn(work).map(|_| ())
}

/// However the thread ends: when that was not asked for, nobody hears anything any more, and that must be known.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.0.stop.load(Ordering::Acquire) {
            self.0.dead.store(true, Ordering::Release);
            {
                let mut table = self.0.table();
                for tree in 0..self.0.trees.len() {
                    table.drop_below(tree, &RelPath::root());
                }
            }
            self.0.hints.add([], true);
            tracing::error!(
                "the watcher ended unexpectedly; all folders are polled until the next start"
            );
        }
    }
}

struct Thread<'a> {
    shared: &'a Shared,
    table_of_mounts: Option<TableOfMounts>,
    /// Failures to read, in a row.
    failures: u32,
}

struct TableOfMounts {
    file: std::fs::File,
    mounts: Mounts,
}

impl TableOfMounts {
    /// Opened first, then read: what changes in between is told again.
    fn open() -> Option<TableOfMounts> {
        let mut file = std::fs::File::open(MOUNTS).ok()?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).ok()?;
        Some(TableOfMounts { file, mounts: Mounts::parse(&text) })
    }
}

impl Thread<'_> {
    fn run(&mut self) {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        loop {
            let mounts_changed = match self.wait() {
                Ok(changed) => changed,
                Err(Errno::INTR) => continue,
                Err(errno) => {
                    let error = std::io::Error::from(errno);
                    tracing::error!(%error, "cannot wait for what the kernel tells of folders: {error}");
                    return;
                }
            };
            if self.shared.stop.load(Ordering::Acquire) {
                return;
            }
            if mounts_changed {
                self.mounts_changed();
            }
            loop {
                self.read_all(&mut buffer);
                if self.failures > FAILURES_MAX || !self.release() {
                    break;
                }
            }
            if self.failures > FAILURES_MAX {
                return;
            }
        }
    }

    /// Waits until there is something to do. Whether mounts changed.
    fn wait(&mut self) -> Result<bool, Errno> {
        let mut fds = vec![
            PollFd::new(&self.shared.inotify, PollFlags::IN),
            PollFd::new(&self.shared.wake, PollFlags::IN),
        ];
        if let Some(table) = &self.table_of_mounts {
            fds.push(PollFd::from_borrowed_fd(table.file.as_fd(), PollFlags::PRI));
        }
        poll(&mut fds, None)?;
        let fired = |nth: usize| fds.get(nth).is_some_and(|fd| !fd.revents().is_empty());
        if fired(1) {
            let mut count = [0_u8; 8];
            let _ = rustix::io::read(&self.shared.wake, &mut count);
        }
        Ok(fired(2))
    }

    /// Reads what there is.
    fn read_all(&mut self, buffer: &mut [MaybeUninit<u8>]) {
        let mut reader = Reader::new(&self.shared.inotify, buffer);
        let mut over = false;
        while !over {
            let mut hints = Vec::new();
            let mut lost = false;
            {
                // Whoever adds a watch holds this until the table knows it: no event comes before that.
                let mut table = self.shared.table();
                loop {
                    match reader.next() {
                        Ok(event) => {
                            self.failures = 0;
                            let name = event.file_name().map(|name| name.to_bytes());
                            let heard = table.heard(event.wd(), event.events(), name);
                            if heard.lost {
                                tracing::debug!(
                                    ?event,
                                    "events were lost, or one is not understood"
                                );
                            }
                            hints.extend(heard.hints.into_iter().map(|hint| (hint, heard.closed)));
                            lost |= heard.lost;
                        }
                        Err(Errno::INTR) => {}
                        Err(Errno::AGAIN) => {
                            over = true;
                            break;
                        }
                        Err(errno) => {
                            let error = std::io::Error::from(errno);
                            tracing::warn!(%error, "the watcher failed: {error}; a scan looks for what it missed");
                            self.failures += 1;
                            lost = true;
                            over = true;
                            break;
                        }
                    }
                    if reader.is_buffer_empty() {
                        break;
                    }
                }
            }
            self.shared.hints.add_heard(hints, lost);
        }
    }

    /// Gives some watches back. Whether there were any: the kernel answers with events.
    fn release(&self) -> bool {
        for _ in 0..RELEASES {
            // Under the lock: nobody may want it again in between.
            let mut table = self.shared.table();
            let Some(wd) = table.next_release() else { return table.wants_release() };
            if inotify::remove_watch(&self.shared.inotify, wd).is_err() {
                table.released_already(wd);
            }
        }
        true
    }

    /// What was mounted, or is not any more, covers or uncovers directories that nobody lists otherwise.
    fn mounts_changed(&mut self) {
        let Some(before) = &mut self.table_of_mounts else { return };
        let Some(now) = TableOfMounts::open() else {
            self.shared.hints.add([], true);
            self.table_of_mounts = None;
            return;
        };
        let points = now.mounts.changed_since(&before.mounts);
        *before = now;
        let mut hints = Vec::new();
        let mut table = self.shared.table();
        table.forget_devices();
        for (tree, root) in self.shared.trees.iter().enumerate() {
            let real = root.real.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // A root that is missing has no other name.
            let names = [Some(root.path.clone()), real];
            for point in &points {
                for path in names.iter().flatten().filter_map(|name| touched(point, name)) {
                    table.drop_below(tree, &path);
                    hints.push((tree, path));
                }
            }
        }
        drop(table);
        self.shared.hints.add(hints, false);
    }
}
