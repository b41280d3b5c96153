//! The local side: root identity, listing, watching, settling, filtering, reading. Never writes into a root.

mod entry;
mod filesystem;
mod filter;
mod list;
mod names;
mod read;
#[cfg(test)]
mod read_tests;
mod root;
mod settle;
mod watch;

pub use entry::{Absent, DirMark, Found, Kind, Skip};
pub use filesystem::fd_gives_hints;
pub use filter::{IGNORE_FILE, Rule};
pub use list::{Explained, Lister, PAGE};
pub use names::{forbidden, is_forbidden};
pub use read::{ReadError, Reading, open};
pub use root::{Root, RootError, RootId};
pub use settle::{CLOCK_GRAIN_MS, settle_due};
pub use watch::{
    Hints, News, WatchError, Watcher, Watching, Wish, inotify_limit, watch_budget, watch_limit,
    watches_of_others,
};
