//! The words of the file for each choice, used in both directions (pure).

use super::{Delete, LogFormat, Names, Symlinks, WatchMode};

pub(super) const WATCH: [(&str, WatchMode); 3] =
    [("auto", WatchMode::Auto), ("inotify", WatchMode::Inotify), ("poll", WatchMode::Poll)];
pub(super) const SYMLINKS: [(&str, Symlinks); 2] =
    [("skip", Symlinks::Skip), ("follow", Symlinks::Follow)];
pub(super) const NAMES: [(&str, Names); 2] = [("skip", Names::Skip), ("escape", Names::Escape)];
pub(super) const DELETE: [(&str, Delete); 3] =
    [("keep", Delete::Keep), ("recycle", Delete::Recycle), ("permanent", Delete::Permanent)];
pub(super) const LOG_FORMAT: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];

/// The word for a choice.
pub(super) fn of<T: PartialEq>(words: &[(&'static str, T)], choice: &T) -> &'static str {
    words.iter().find(|(_, meaning)| meaning == choice).map_or("", |(word, _)| word)
}
