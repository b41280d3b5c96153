//! A folder that exists only in memory: names, contents, fingerprints, and every state that ever was whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::{BEGINNING_LEN, Digest, Hash, crc64_of_joined};
use crate::fingerprint::Fingerprint;
use crate::mirror::step::Part;
use crate::relpath::RelPath;
use crate::tree::{Absent, DirMark, Found, Kind, Skip};

/// A content: which one, and how long. Equal numbers are equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Content {
    pub(super) id: u64,
    pub(super) size: u64,
}

impl Content {
    pub(super) fn new(id: u64, size: u64) -> Content {
        // There is one empty content.
        Content { id: if size == 0 { 0 } else { id }, size }
    }

    pub(super) fn crc64(self) -> u64 {
        mix(self.id ^ mix(self.size))
    }

    /// Chained hash up to the end of a part, and crc64 of the part. Together the parts make the digest of the whole.
    pub(super) fn part(self, part: Part) -> (Hash, u64) {
        let salted = |number: u32| mix(self.crc64() ^ mix(u64::from(number)));
        if part.number < part.of {
            let other = Content { id: salted(part.number) ^ part.len, size: 1 };
            return (other.digest().full, salted(part.number));
        }
        let each = part.offset / u64::from((part.of - 1).max(1));
        let before = (1..part.of).fold(0, |crc64, n| crc64_of_joined(crc64, salted(n), each));
        (self.digest().full, self.crc64() ^ crc64_of_joined(before, 0, part.len))
    }

    pub(super) fn digest(self) -> Digest {
        let hash = |salt: u64| {
            let mut bytes = [0; 32];
            for (at, part) in bytes.chunks_mut(8).enumerate() {
                part.copy_from_slice(&mix(self.crc64() ^ salt ^ at as u64).to_le_bytes());
            }
            Hash::from_bytes(bytes)
        };
        let full = hash(1);
        let beginning = if self.size <= BEGINNING_LEN { full } else { hash(2) };
        Digest { size: self.size, beginning, full, crc64: self.crc64() }
    }
}

/// SplitMix64: every bit of the input moves every bit of the output.
fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Dir { readable: bool, inode: u64 },
    File { content: Content, print: Fingerprint, readable: bool },
    Link,
}

/// The folder.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) nodes: BTreeMap<RelPath, Node>,
    /// Every content that was ever at a path, whole.
    pub(super) ever: BTreeSet<(RelPath, Content)>,
    /// The root is there; another one may be in its place.
    pub(super) root: Option<u64>,
    next_inode: u64,
    next_content: u64,
    /// Changes of one file are never within one tick of the kernel's clock: the settle time sees to that.
    last_ns: i64,
}

impl Disk {
    pub(super) fn new() -> Disk {
        Disk {
            nodes: BTreeMap::new(),
            ever: BTreeSet::new(),
            root: Some(2),
            next_inode: 10,
            next_content: 1,
            last_ns: 0,
        }
    }

    fn stamp(&mut self, now_ms: i64) -> i64 {
        self.last_ns = (now_ms * 1_000_000).max(self.last_ns + 1);
        self.last_ns
    }

    pub(super) fn fresh_content(&mut self, size: u64) -> Content {
        self.next_content += 1;
        Content::new(self.next_content, size)
    }

    pub(super) fn file(&self, path: &RelPath) -> Option<(Content, Fingerprint, bool)> {
        self.root?;
        match self.nodes.get(path)? {
            Node::File { content, print, readable } => Some((*content, *print, *readable)),
            Node::Dir { .. } | Node::Link => None,
        }
    }

    pub(super) fn is_dir(&self, path: &RelPath) -> bool {
        path.is_root() || matches!(self.nodes.get(path), Some(Node::Dir { .. }))
    }

    pub(super) fn paths(&self, wanted: impl Fn(&Node) -> bool) -> Vec<RelPath> {
        self.nodes.iter().filter(|(_, node)| wanted(node)).map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn put(&mut self, path: &RelPath, node: Node) {
        if let Node::File { content, .. } = node {
            self.ever.insert((path.clone(), content));
        }
        self.nodes.insert(path.clone(), node);
    }

    /// Makes a directory, in the place of whatever is there.
    pub(super) fn make_dir(&mut self, path: &RelPath) {
        self.next_inode += 1;
        let inode = self.next_inode;
        self.remove(path);
        self.put(path, Node::Dir { readable: true, inode });
    }

    /// Which directory is at a path.
    pub(super) fn dir_inode(&self, path: &RelPath) -> Option<u64> {
        let root = self.root?;
        if path.is_root() {
            return Some(root);
        }
        match self.nodes.get(path)? {
            Node::Dir { inode, .. } => Some(*inode),
            Node::File { .. } | Node::Link => None,
        }
    }

    /// Writes a file: in place, or as a new inode (an atomic save). `keep_mtime`: somebody sets the time back.
    pub(super) fn write(
        &mut self,
        path: &RelPath,
        content: Content,
        in_place: bool,
        keep_mtime: bool,
        now_ms: i64,
    ) {
        let before = self.file(path);
        let ns = self.stamp(now_ms);
        let inode = match before {
            Some((_, print, _)) if in_place => print.inode,
            _ => {
                self.next_inode += 1;
                self.next_inode
            }
        };
        let mtime_ns = match before {
            Some((_, print, _)) if keep_mtime => print.mtime_ns,
            _ => ns,
        };
        let print = Fingerprint { size: content.size, mtime_ns, ctime_ns: ns, inode };
        self.remove(path);
        self.put(path, Node::File { content, print, readable: true });
    }

    pub(super) fn set_readable(&mut self, path: &RelPath, now_readable: bool, now_ms: i64) {
        let ns = self.stamp(now_ms);
        match self.nodes.get_mut(path) {
            Some(Node::File { print, readable, .. }) => {
                *readable = now_readable;
                print.ctime_ns = ns;
            }
            Some(Node::Dir { readable, .. }) => *readable = now_readable,
            Some(Node::Link) | None => {}
        }
    }

    /// Removes an entry with everything below it.
    pub(super) fn remove(&mut self, path: &RelPath) -> bool {
        let there = self.nodes.remove(path).is_some();
        let below: Vec<RelPath> =
            self.nodes.keys().filter(|other| is_below(other, path)).cloned().collect();
        for other in below {
            self.nodes.remove(&other);
        }
        there
    }

    /// Renames an entry, over whatever is there. What lies in a directory keeps its times.
    pub(super) fn rename(&mut self, from: &RelPath, to: &RelPath, now_ms: i64) {
        if from == to || is_below(to, from) || is_below(from, to) {
            return;
        }
        let Some(mut node) = self.nodes.remove(from) else { return };
        let below: Vec<(RelPath, Node)> = self
            .nodes
            .iter()
            .filter(|(path, _)| is_below(path, from))
            .map(|(path, node)| (path.clone(), *node))
            .collect();
        for (path, _) in &below {
            self.nodes.remove(path);
        }
        let ns = self.stamp(now_ms);
        if let Node::File { print, .. } = &mut node {
            print.ctime_ns = ns;
        }
        self.remove(to);
        self.put(to, node);
        // What was once at a place of a directory was once at that place of it, whatever it is called.
        let earlier: Vec<(RelPath, Content)> = self
            .ever
            .iter()
            .filter(|(path, _)| is_below(path, from))
            .map(|(path, content)| {
                let rest = path.as_bytes().get(from.as_bytes().len() + 1..).unwrap_or_default();
                (to.join(rest), *content)
            })
            .collect();
        if matches!(node, Node::Dir { .. }) {
            self.ever.extend(earlier);
        }
        for (path, node) in below {
            let rest = path.as_bytes().get(from.as_bytes().len() + 1..).unwrap_or_default();
            self.put(&to.join(rest), node);
        }
    }

    /// What a look says.
    pub(super) fn look(&self, path: &RelPath) -> Result<Kind, Absent> {
        if self.root.is_none() {
            return Err(Absent::Root("the root is not there".into()));
        }
        if path.is_root() {
            return Ok(Kind::Dir(DirMark { inode: 1, mounted: false, bound: false, fsid: 0 }));
        }
        self.nodes.get(path).map(kind).ok_or(Absent::Gone)
    }

    /// Names in a directory, in order.
    pub(super) fn names(&self, dir: &RelPath) -> Result<Vec<Vec<u8>>, Absent> {
        if self.root.is_none() {
            return Err(Absent::Root("the root is not there".into()));
        }
        if !dir.is_root() {
            match self.nodes.get(dir) {
                Some(Node::Dir { readable: true, .. }) => {}
                Some(Node::Dir { readable: false, .. }) => {
                    return Err(Absent::Unreadable("permission denied".into()));
                }
                _ => return Err(Absent::Gone),
            }
        }
        Ok(self
            .nodes
            .keys()
            .filter_map(|path| {
                let (parent, name) = path.split()?;
                (parent == *dir).then(|| name.to_vec())
            })
            .collect())
    }

    /// What entries are now, of names that were listed before.
    pub(super) fn stat(&self, dir: &RelPath, names: &[Vec<u8>]) -> Vec<Found> {
        names
            .iter()
            .filter_map(|name| {
                let node = self.nodes.get(&dir.join(name))?;
                Some(Found { name: name.clone(), kind: kind(node) })
            })
            .collect()
    }
}

fn kind(node: &Node) -> Kind {
    match node {
        Node::Dir { inode, .. } => {
            Kind::Dir(DirMark { inode: *inode, mounted: false, bound: false, fsid: 0 })
        }
        Node::File { print, .. } => Kind::File(*print),
        Node::Link => Kind::Skipped(Skip::Symlink),
    }
}

pub(super) fn is_below(path: &RelPath, dir: &RelPath) -> bool {
    dir.is_root() && !path.is_root()
        || path
            .as_bytes()
            .strip_prefix(dir.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b'/'))
}
