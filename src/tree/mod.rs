//! The local side: root identity, listing, watching, settling, filtering, reading. Never writes into a root.

mod entry;
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
pub use filter::{IGNORE_FILE, Rule};
pub use list::{Explained, Lister, PAGE};
pub use names::{
    escape, forbidden, is_forbidden, local_name, local_path, remote_name, remote_path, unescape,
};
pub use read::{ReadError, Reading, open};
pub use root::{Root, RootError, RootId};
pub use settle::{CLOCK_GRAIN_MS, settle_due};
pub use watch::{Hints, WatchError, Watcher};
