//! The local side: root identity, listing, watching, settling, filtering, reading. Never writes into a root.

mod buffers;
mod entry;
mod filesystem;
mod filter;
#[cfg(test)]
mod filter_tests;
mod follow;
mod leads;
mod list;
mod names;
mod read;
#[cfg(test)]
mod read_tests;
mod root;
mod settle;
#[cfg(test)]
mod settle_tests;
mod twins;
mod watch;
mod way;
#[cfg(test)]
mod way_tests;

pub use entry::{Absent, DirMark, Found, Kind, Skip};
pub use filesystem::fd_gives_hints;
pub use filter::{IGNORE_FILE, Rule};
pub use list::{Explained, Lister, Selection};
pub use names::{
    escape, forbidden, is_forbidden, local_name, local_path, remote_name, remote_path, unescape,
};
pub use read::{ReadError, Reading};
pub use root::{Root, RootError, RootId};
pub use settle::{CLOCK_GRAIN_MS, settle_due};
pub use watch::{
    Hints, News, WatchError, Watcher, Watching, Wish, inotify_limit, watch_budget, watch_limit,
    watches_of_others,
};
