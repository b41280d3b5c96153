//! The name of an entry: its path relative to the root of its mirror (pure). Bytes, not text.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path below a root: segments joined by `/`, no leading slash; empty is the root itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// The root of a mirror.
    #[must_use]
    pub fn root() -> RelPath {
        RelPath::default()
    }

    /// Takes bytes that came from the journal or from [`RelPath::join`].
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> RelPath {
        RelPath(bytes)
    }

    /// Takes a relative path of the system. `None` when it is absolute or contains `.` or `..`.
    #[must_use]
    pub fn from_path(path: &Path) -> Option<RelPath> {
        let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !plain {
            return None;
        }
        let mut rel = RelPath::root();
        for part in path.components() {
            rel = rel.join(part.as_os_str().as_bytes());
        }
        Some(rel)
    }

    /// The bytes as they stand in the journal.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The entry `name` in this directory.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> RelPath {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        RelPath(bytes)
    }

    /// The directory and the name in it; `None` for the root.
    #[must_use]
    pub fn split(&self) -> Option<(RelPath, &[u8])> {
        if self.is_root() {
            return None;
        }
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(at) => {
                let (dir, name) = self.0.split_at(at);
                Some((RelPath(dir.to_vec()), name.get(1..).unwrap_or_default()))
            }
            None => Some((RelPath::root(), &self.0)),
        }
    }

    /// The directory that holds this entry; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<RelPath> {
        self.split().map(|(dir, _)| dir)
    }

    /// The names on the way from the root.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty())
    }

    /// Whether this path is `dir` or lies below it.
    #[must_use]
    pub fn is_within(&self, dir: &RelPath) -> bool {
        dir.is_root()
            || self.0 == dir.0
            || (self.0.starts_with(&dir.0) && self.0.get(dir.0.len()) == Some(&b'/'))
    }

    /// Where it lies on disk when the root is `root`.
    #[must_use]
    pub fn below(&self, root: &Path) -> PathBuf {
        if self.is_root() { root.to_path_buf() } else { root.join(self.as_path()) }
    }

    /// For people who have several mirrors: its name in the mirror `name`; the root is the mirror itself.
    #[must_use]
    pub fn in_mirror(&self, name: &str) -> String {
        if self.is_root() { name.to_owned() } else { format!("{name}/{self}") }
    }

    /// The same path in the type of the system.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

/// For people: bytes that are not UTF-8 appear as `\xe9`, control characters as `\u{1b}` or `\n`.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Bytes of a name as text that cannot steer a terminal, and that tells names apart that are not UTF-8.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for symbol in chunk.valid().chars() {
            if symbol.is_control() {
                text.extend(symbol.escape_default());
            } else {
                text.push(symbol);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn splits_and_joins() {
        assert_eq!(RelPath::root().join(b"a").join(b"b"), rel("a/b"));
        assert_eq!(rel("a/b").split(), Some((rel("a"), b"b".as_slice())));
        assert_eq!(rel("a").split(), Some((RelPath::root(), b"a".as_slice())));
        assert_eq!(RelPath::root().split(), None);
    }

    #[test]
    fn knows_what_lies_below() {
        assert!(rel("a/b").is_within(&rel("a")));
        assert!(rel("a").is_within(&rel("a")));
        assert!(!rel("ab").is_within(&rel("a")));
        assert!(rel("a").is_within(&RelPath::root()));
    }

    #[test]
    fn refuses_what_leaves_the_root() {
        assert_eq!(RelPath::from_path(Path::new("../a")), None);
        assert_eq!(RelPath::from_path(Path::new("/a")), None);
        assert_eq!(RelPath::from_path(Path::new("a/b")), Some(rel("a/b")));
    }

    #[test]
    fn the_root_is_called_by_the_name_of_its_mirror() {
        assert_eq!(rel("a/b").in_mirror("docs"), "docs/a/b");
        assert_eq!(RelPath::root().in_mirror("docs"), "docs");
    }

    #[test]
    fn a_printed_name_cannot_steer_a_terminal() {
        assert_eq!(rel("a\u{1b}[2Jb").to_string(), "a\\u{1b}[2Jb");
    }

    #[test]
    fn printed_names_that_are_not_text_differ() {
        let shown = |bytes: &[u8]| RelPath::from_bytes(bytes.to_vec()).to_string();
        assert_eq!(shown(b"caf\xe9/x"), "caf\\xe9/x");
        assert_eq!(shown(b"caf\xe8/x"), "caf\\xe8/x");
    }
}
