//! The tree of a library in memory: directories and files with their metadata. Sheet sections 8, 9, 12.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::content::Sums;
use super::reply::{Refusal, refuse};

/// Characters that names may not contain (sheet section 12).
const FORBIDDEN: &str = "\\/:*?\"<>|";
/// Bytes of UTF-8 in a name (sheet section 12: not published, 255 is what the emulator takes).
const NAME_MAX: usize = 255;
/// Longest path, in bytes. The service documents that there is a limit, not which.
const PATH_MAX: usize = 3500;
/// Extensions of a media library.
const MEDIA: &[&str] =
    &["jpg", "jpeg", "png", "gif", "webp", "heic", "mp4", "mov", "avi", "mkv", "mp3"];

pub(super) type Path = Vec<String>;

/// A file's metadata.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FileMeta {
    pub(super) sums: Sums,
    pub(super) content_type: String,
    pub(super) created_ms: i64,
    pub(super) modified_ms: i64,
    #[serde(default)]
    pub(super) meta: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) extra: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Dir {
    pub(super) created_ms: i64,
    pub(super) children: BTreeMap<String, Node>,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Dir(Dir),
    File(FileMeta),
}

impl Node {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Node::File(file) => file.sums.size,
            Node::Dir(dir) => dir.children.values().map(Node::bytes).sum(),
        }
    }
}

/// The tree.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Library {
    pub(super) root: Dir,
    /// Bytes of all files.
    pub(super) used: u64,
}

impl Library {
    pub(super) fn dir(&self, path: &[String]) -> Option<&Dir> {
        let mut dir = &self.root;
        for name in path {
            match dir.children.get(name)? {
                Node::Dir(child) => dir = child,
                Node::File(_) => return None,
            }
        }
        Some(dir)
    }

    fn dir_mut(&mut self, path: &[String]) -> Option<&mut Dir> {
        let mut dir = &mut self.root;
        for name in path {
            match dir.children.get_mut(name)? {
                Node::Dir(child) => dir = child,
                Node::File(_) => return None,
            }
        }
        Some(dir)
    }

    pub(super) fn node(&self, path: &[String]) -> Option<&Node> {
        let (name, parent) = path.split_last()?;
        self.dir(parent)?.children.get(name)
    }

    pub(super) fn file(&self, path: &[String]) -> Option<&FileMeta> {
        match self.node(path)? {
            Node::File(file) => Some(file),
            Node::Dir(_) => None,
        }
    }

    pub(super) fn file_mut(&mut self, path: &[String]) -> Option<&mut FileMeta> {
        let (name, parent) = path.split_last()?;
        match self.dir_mut(parent)?.children.get_mut(name)? {
            Node::File(file) => Some(file),
            Node::Dir(_) => None,
        }
    }

    /// Puts a node in its place; its parent must exist.
    pub(super) fn put(&mut self, path: &[String], node: Node) -> Option<Node> {
        let (name, parent) = path.split_last()?;
        let bytes = node.bytes();
        let old = self.dir_mut(parent)?.children.insert(name.clone(), node);
        self.used = (self.used + bytes).saturating_sub(old.as_ref().map_or(0, Node::bytes));
        old
    }

    pub(super) fn take(&mut self, path: &[String]) -> Option<Node> {
        let (name, parent) = path.split_last()?;
        let old = self.dir_mut(parent)?.children.remove(name)?;
        self.used = self.used.saturating_sub(old.bytes());
        Some(old)
    }

    /// Makes a directory and its missing parents. `false`: a file is in the way.
    pub(super) fn make_dirs(&mut self, path: &[String], now_ms: i64) -> bool {
        let mut dir = &mut self.root;
        for name in path {
            let child = dir.children.entry(name.clone()).or_insert_with(|| {
                Node::Dir(Dir { created_ms: now_ms, children: BTreeMap::new() })
            });
            match child {
                Node::Dir(child) => dir = child,
                Node::File(_) => return false,
            }
        }
        true
    }

    /// Whether a file stands where a directory would have to be.
    pub(super) fn file_in_the_way(&self, path: &[String]) -> bool {
        (1..=path.len()).any(|upto| path.get(..upto).is_some_and(|part| self.file(part).is_some()))
    }

    /// A name beside `path` that is free: `file (1).docx` (sheet section 3).
    pub(super) fn free_name(&self, path: &[String]) -> Path {
        let Some((name, parent)) = path.split_last() else { return path.to_vec() };
        let (stem, extension) = match name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
            _ => (name.as_str(), String::new()),
        };
        let mut number = 1;
        loop {
            let mut candidate = parent.to_vec();
            candidate.push(format!("{stem} ({number}){extension}"));
            if self.node(&candidate).is_none() {
                return candidate;
            }
            number += 1;
        }
    }

    /// Every file and directory, parents first.
    pub(super) fn walk(&self, mut see: impl FnMut(&[String], &Node)) {
        fn below(path: &mut Path, dir: &Dir, see: &mut impl FnMut(&[String], &Node)) {
            for (name, node) in &dir.children {
                path.push(name.clone());
                see(path, node);
                if let Node::Dir(child) = node {
                    below(path, child, see);
                }
                path.pop();
            }
        }
        below(&mut Vec::new(), &self.root, &mut see);
    }
}

/// Refuses what a name may not be (sheet section 12).
pub(super) fn check_names(path: &[String], is_dir: bool, media: bool) -> Result<(), Refusal> {
    // What is longer cannot be kept as a plain file either.
    if path.iter().map(|name| name.len() + 1).sum::<usize>() > PATH_MAX {
        return Err(refuse(414, "URITooLong", "the path is too long"));
    }
    for (at, name) in path.iter().enumerate() {
        let last = at + 1 == path.len();
        if name.is_empty() {
            return Err(refuse(400, "EmptyFileName", "a name is empty"));
        }
        if name.chars().any(|c| FORBIDDEN.contains(c) || c.is_control())
            || name == "."
            || name == ".."
        {
            return Err(refuse(400, "IllegalFileName", format!("illegal name at level {at}")));
        }
        if name.len() > NAME_MAX {
            let code =
                if last && !is_dir { "FileNameLengthExceed" } else { "DirectoryNameLengthExceed" };
            return Err(refuse(400, code, "a name is too long"));
        }
    }
    if media {
        let levels = if is_dir { path.len() } else { path.len().saturating_sub(1) };
        if levels > 1 {
            return Err(refuse(
                400,
                "DirectoryLevelExceed",
                "a media library has one level of albums",
            ));
        }
        let extension =
            path.last().and_then(|name| name.rsplit_once('.')).map(|(_, e)| e.to_ascii_lowercase());
        if !is_dir && !extension.is_some_and(|e| MEDIA.contains(&e.as_str())) {
            return Err(refuse(400, "ExtnameNotAllowed", "a media library takes media files only"));
        }
    }
    Ok(())
}
