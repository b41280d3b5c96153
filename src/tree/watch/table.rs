//! Which directory each watch is of (pure), and what an event means. A watch follows its directory wherever that is
//! renamed to; names do not, so what is renamed, covered or replaced is dropped here with all that lies below, and
//! a hint has it listed, and watched, anew.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rustix::fs::inotify::ReadFlags;

use super::device::Devices;
use crate::relpath::RelPath;

/// What this program asks for, and what the kernel adds to it.
const UNDERSTOOD: ReadFlags = ReadFlags::ATTRIB
    .union(ReadFlags::CREATE)
    .union(ReadFlags::DELETE)
    .union(ReadFlags::MODIFY)
    .union(ReadFlags::CLOSE_WRITE)
    .union(ReadFlags::MOVED_FROM)
    .union(ReadFlags::MOVED_TO)
    .union(ReadFlags::DELETE_SELF)
    .union(ReadFlags::MOVE_SELF)
    .union(ReadFlags::ISDIR);
/// The name does not lead to that entry any more.
const LEFT: ReadFlags = ReadFlags::MOVED_FROM.union(ReadFlags::DELETE);
/// The directory itself is not where it was.
const LEFT_ITSELF: ReadFlags = ReadFlags::MOVE_SELF.union(ReadFlags::DELETE_SELF);

/// All watches.
#[derive(Debug, Default)]
pub(super) struct Table {
    trees: Vec<Tree>,
    watches: HashMap<i32, Watch>,
    devices: Devices,
    /// Watches of directories on the way to a root: the names in them that lead there, each with its tree.
    anchors: HashMap<i32, BTreeSet<(usize, Vec<u8>)>>,
    /// Of no use any more, and still known to the kernel, or their end was not read yet.
    releasing: HashSet<i32>,
    /// Those of them that the kernel has still to be told of.
    to_release: Vec<i32>,
}

#[derive(Debug, Default)]
struct Tree {
    paths: BTreeMap<Arc<[u8]>, Entry>,
    /// Which full scan runs, or was the last.
    scan: u32,
    /// Where watches were dropped, with all below, since a full scan began, and nobody asked since. Whatever watches
    /// that path again by then does not watch what is below it.
    broken: HashSet<RelPath>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    wd: i32,
    /// The full scan that saw it last.
    scan: u32,
}

/// One directory. The kernel has one watch for it, by whatever names it is reached: bind mounts give it several.
#[derive(Debug)]
struct Watch {
    place: Place,
    #[expect(clippy::box_collection, reason = "almost always absent, and there may be a million")]
    more: Option<Box<Vec<Place>>>,
    device: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    tree: u32,
    path: Arc<[u8]>,
}

/// What came of adding a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// It was there.
    Kept,
    /// Nobody watched that path.
    Begun,
    /// Another directory was watched under that path. What lies below is not watched any more.
    Replaced,
}

/// What an event means.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Look there.
    pub(super) hints: Vec<(usize, RelPath)>,
    /// A file there that somebody could have written to was closed.
    pub(super) closed: bool,
    /// More may have happened, and nobody knows what.
    pub(super) lost: bool,
}

impl Table {
    pub(super) fn new(trees: usize) -> Table {
        Table { trees: (0..trees).map(|_| Tree::default()).collect(), ..Table::default() }
    }

    /// Directories of a tree that are watched.
    pub(super) fn count(&self, tree: usize) -> u64 {
        self.trees.get(tree).map_or(0, |tree| tree.paths.len() as u64)
    }

    /// Watches that the kernel holds for us; those that are anchors too count twice.
    pub(super) fn held(&self) -> u64 {
        (self.watches.len() + self.anchors.len() + self.releasing.len()) as u64
    }

    /// Watches on the way to roots.
    #[cfg(test)]
    pub(super) fn anchored(&self) -> u64 {
        self.anchors.len() as u64
    }

    pub(super) fn is_watched(&self, tree: usize, path: &RelPath) -> bool {
        self.trees.get(tree).is_some_and(|tree| tree.paths.contains_key(path.as_bytes()))
    }

    /// Whether it is watched, with all that was listed below it. Whoever is told that it is not has it listed: the
    /// next time the answer may be another one.
    pub(super) fn is_whole(&mut self, tree: usize, path: &RelPath) -> bool {
        let broken = self.trees.get_mut(tree).is_none_or(|tree| tree.broken.remove(path));
        !broken && self.is_watched(tree, path)
    }

    pub(super) fn is_silent(&self, device: u64) -> bool {
        self.devices.is_silent(device)
    }

    /// The kernel watches the directory at `path` as `wd`.
    pub(super) fn added(&mut self, tree: usize, path: &RelPath, wd: i32, device: u64) -> Added {
        // It was to be given back, and is wanted again.
        self.releasing.remove(&wd);
        let Some(known) = self.trees.get_mut(tree) else { return Added::Begun };
        let scan = known.scan;
        let mut added = Added::Begun;
        if let Some(entry) = known.paths.get_mut(path.as_bytes()) {
            entry.scan = scan;
            if entry.wd == wd {
                return Added::Kept;
            }
            self.breaks(tree, path);
            added = Added::Replaced;
        }
        let key: Arc<[u8]> = Arc::from(path.as_bytes());
        if let Some(known) = self.trees.get_mut(tree) {
            known.paths.insert(Arc::clone(&key), Entry { wd, scan });
        }
        let place = Place { tree: u32::try_from(tree).unwrap_or(u32::MAX), path: key };
        let device = self.devices.index(device);
        match self.watches.get_mut(&wd) {
            Some(watch) => {
                watch.device = device;
                watch.more.get_or_insert_default().push(place);
            }
            None => {
                self.watches.insert(wd, Watch { place, more: None, device });
            }
        }
        added
    }

    /// What is at `path` now is another one, or was somewhere else meanwhile.
    fn breaks(&mut self, tree: usize, path: &RelPath) {
        self.drop_below(tree, path);
        if let Some(tree) = self.trees.get_mut(tree) {
            tree.broken.insert(path.clone());
        }
    }

    /// Forgets the watches at `path` and below it.
    pub(super) fn drop_below(&mut self, tree: usize, path: &RelPath) {
        let Some(known) = self.trees.get_mut(tree) else { return };
        let dropped: Vec<(Arc<[u8]>, i32)> = if path.is_root() {
            std::mem::take(&mut known.paths)
                .into_iter()
                .map(|(path, entry)| (path, entry.wd))
                .collect()
        } else {
            // From `path/` up to, not including, `path0`: the byte after the slash.
            let bound = |end: u8| -> Arc<[u8]> { [path.as_bytes(), &[end]].concat().into() };
            let mut keys: Vec<Arc<[u8]>> = known
                .paths
                .range(bound(b'/')..bound(b'/' + 1))
                .map(|(key, _)| key.clone())
                .collect();
            keys.extend(known.paths.get_key_value(path.as_bytes()).map(|(key, _)| key.clone()));
            keys.into_iter()
                .filter_map(|key| {
                    let entry = known.paths.remove(&key)?;
                    Some((key, entry.wd))
                })
                .collect()
        };
        for (path, wd) in dropped {
            self.unmap(tree, &path, wd);
        }
    }

    /// A full scan of a tree begins.
    pub(super) fn begin_scan(&mut self, tree: usize) {
        if let Some(tree) = self.trees.get_mut(tree) {
            tree.scan = tree.scan.wrapping_add(1);
            // It comes to everything.
            tree.broken.clear();
        }
    }

    /// A full scan of a tree is complete: what it did not come to is watched for nothing.
    pub(super) fn end_scan(&mut self, tree: usize) {
        let Some(known) = self.trees.get_mut(tree) else { return };
        let scan = known.scan;
        let stale: Vec<(Arc<[u8]>, i32)> = known
            .paths
            .iter()
            .filter(|(_, entry)| entry.scan != scan)
            .map(|(path, entry)| (Arc::clone(path), entry.wd))
            .collect();
        for (path, wd) in stale {
            if let Some(known) = self.trees.get_mut(tree) {
                known.paths.remove(&path);
            }
            self.unmap(tree, &path, wd);
        }
    }

    /// One name less leads to a watched directory.
    fn unmap(&mut self, tree: usize, path: &[u8], wd: i32) {
        let Some(watch) = self.watches.get_mut(&wd) else { return };
        let is_it = |place: &Place| place.tree as usize == tree && *place.path == *path;
        if let Some(more) = &mut watch.more {
            more.retain(|place| !is_it(place));
        }
        if is_it(&watch.place) {
            match watch.more.as_mut().and_then(|more| more.pop()) {
                Some(other) => watch.place = other,
                None => {
                    self.watches.remove(&wd);
                    self.release(wd);
                }
            }
        }
    }

    fn release(&mut self, wd: i32) {
        if !self.anchors.contains_key(&wd) && self.releasing.insert(wd) {
            self.to_release.push(wd);
        }
    }

    /// A watch that is to be given back to the kernel now.
    pub(super) fn next_release(&mut self) -> Option<i32> {
        while let Some(wd) = self.to_release.pop() {
            if self.releasing.contains(&wd) {
                return Some(wd);
            }
        }
        None
    }

    pub(super) fn wants_release(&self) -> bool {
        !self.to_release.is_empty()
    }

    /// The kernel did not know it: its end is not going to be read.
    pub(super) fn released_already(&mut self, wd: i32) {
        self.releasing.remove(&wd);
    }

    /// The directories on the way to the root of a tree: the watch of each, and the name in it that leads on.
    pub(super) fn set_anchors(&mut self, tree: usize, anchors: Vec<(i32, Vec<u8>)>) {
        let before: Vec<i32> = self.anchors.keys().copied().collect();
        for names in self.anchors.values_mut() {
            names.retain(|(other, _)| *other != tree);
        }
        for (wd, name) in anchors {
            self.releasing.remove(&wd);
            self.anchors.entry(wd).or_default().insert((tree, name));
        }
        self.anchors.retain(|_, names| !names.is_empty());
        for wd in before {
            if !self.anchors.contains_key(&wd) && !self.watches.contains_key(&wd) {
                self.release(wd);
            }
        }
    }

    /// What is mounted changed: a number may stand for another filesystem now.
    pub(super) fn forget_devices(&mut self) {
        self.devices.forget();
    }

    /// A full scan found a change in a watched directory that nobody told of. When nothing was ever heard from its
    /// filesystem, nobody ever will: then it is not watched any more. Gives what is to be looked at for that.
    pub(super) fn missed(&mut self, tree: usize, path: &RelPath) -> Vec<(usize, RelPath)> {
        let Some(known) = self.trees.get(tree) else { return Vec::new() };
        let wd = known.paths.get(path.as_bytes()).map(|entry| entry.wd);
        let Some(watch) = wd.and_then(|wd| self.watches.get(&wd)) else { return Vec::new() };
        let device = watch.device;
        if !self.devices.missed(device, (tree, known.scan)) {
            return Vec::new();
        }
        let places: Vec<Place> = self
            .watches
            .values()
            .filter(|watch| watch.device == device)
            .flat_map(|watch| {
                std::iter::once(&watch.place).chain(watch.more.iter().flat_map(|m| m.iter()))
            })
            .cloned()
            .collect();
        let silent: HashSet<(u32, &[u8])> =
            places.iter().map(|place| (place.tree, &*place.path)).collect();
        // Whoever lists the topmost comes to those below.
        let tops: Vec<(usize, RelPath)> = places
            .iter()
            .map(|place| (place.tree, RelPath::from_bytes(place.path.to_vec())))
            .filter(|(tree, path)| {
                path.parent().is_none_or(|above| !silent.contains(&(*tree, above.as_bytes())))
            })
            .map(|(tree, path)| (tree as usize, path))
            .collect();
        for place in &places {
            let tree = place.tree as usize;
            if let Some(entry) = self.trees.get_mut(tree).and_then(|t| t.paths.remove(&place.path))
            {
                self.unmap(tree, &place.path, entry.wd);
            }
        }
        tops
    }

    /// An event was read.
    pub(super) fn heard(&mut self, wd: i32, events: ReadFlags, name: Option<&[u8]>) -> Heard {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            // Ends may be among what was lost.
            self.releasing = self.to_release.iter().copied().collect();
            return Heard { hints: Vec::new(), closed: false, lost: true };
        }
        if events.intersects(ReadFlags::IGNORED | ReadFlags::UNMOUNT) {
            return self.ended(wd);
        }
        let closed = events.contains(ReadFlags::CLOSE_WRITE);
        let mut heard = Heard { hints: Vec::new(), closed, lost: !UNDERSTOOD.contains(events) };
        let anchored = self.anchors.get(&wd).cloned().unwrap_or_default();
        let places: Vec<Place> = match self.watches.get(&wd) {
            Some(watch) => {
                self.devices.heard(watch.device);
                let more = watch.more.iter().flat_map(|more| more.iter());
                std::iter::once(&watch.place).chain(more).cloned().collect()
            }
            None => Vec::new(),
        };
        if places.is_empty() && anchored.is_empty() {
            heard.lost |= !self.releasing.contains(&wd);
            return heard;
        }
        for (tree, leads) in anchored {
            if name == Some(&leads) && events.intersects(LEFT) {
                self.breaks(tree, &RelPath::root());
            }
            if name.is_none_or(|name| name == leads) {
                heard.hints.push((tree, RelPath::root()));
            }
        }
        for place in places {
            let tree = place.tree as usize;
            let mut path = RelPath::from_bytes(place.path.to_vec());
            let left = match name {
                Some(name) => {
                    path = path.join(name);
                    events.contains(ReadFlags::ISDIR) && events.intersects(LEFT)
                }
                None => events.intersects(LEFT_ITSELF),
            };
            if left {
                self.breaks(tree, &path);
            }
            heard.hints.push((tree, path));
        }
        heard
    }

    /// A watch is over: its directory was removed, or its filesystem unmounted, or we gave it back.
    fn ended(&mut self, wd: i32) -> Heard {
        self.releasing.remove(&wd);
        let mut hints = Vec::new();
        for (tree, _) in self.anchors.remove(&wd).unwrap_or_default() {
            hints.push((tree, RelPath::root()));
        }
        if let Some(watch) = self.watches.remove(&wd) {
            let more = watch.more.into_iter().flat_map(|more| more.into_iter());
            for place in std::iter::once(watch.place).chain(more) {
                let tree = place.tree as usize;
                if let Some(known) = self.trees.get_mut(tree) {
                    known.paths.remove(&place.path);
                }
                hints.push((tree, RelPath::from_bytes(place.path.to_vec())));
            }
        }
        Heard { hints, closed: false, lost: false }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
