//! Where something lives in a space: names joined by `/` (pure). Sheet section 1.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters of a URL is encoded (sheet section 1).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Path of a file or directory in a space. The root is the empty path.
///
/// Names are taken as they are: what the service does not allow, the service refuses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RemotePath(Vec<String>);

impl RemotePath {
    /// The root directory of the space.
    #[must_use]
    pub const fn root() -> RemotePath {
        RemotePath(Vec::new())
    }

    /// The path that consists of these names.
    #[must_use]
    pub fn from_segments<I, S>(segments: I) -> RemotePath
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        RemotePath(segments.into_iter().map(Into::into).collect())
    }

    /// Reads `a/b`. Empty names (a slash at either end, two in a row) count for nothing.
    #[must_use]
    pub fn parse(text: &str) -> RemotePath {
        RemotePath::from_segments(text.split('/').filter(|name| !name.is_empty()))
    }

    /// The entry of this name in this directory.
    #[must_use]
    pub fn join(&self, name: &str) -> RemotePath {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend_from_slice(&self.0);
        segments.push(name.to_owned());
        RemotePath(segments)
    }

    /// The directory it lies in; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<RemotePath> {
        self.0.split_last().map(|(_, parents)| RemotePath(parents.to_vec()))
    }

    /// Its own name; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// All names, outermost first.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// Whether it is the root directory of the space.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// As it is written in a URL: each name encoded, no slash at the start.
    pub(super) fn encoded(&self) -> String {
        self.0.iter().map(|name| encode(name)).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// One name, confirm key or query value as it is written in a URL.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_unreserved_is_encoded() {
        let path = RemotePath::from_segments(["a b", "50%", "x/y", "日本", "-._~Az09", "#?&+="]);
        assert_eq!(path.encoded(), "a%20b/50%25/x%2Fy/%E6%97%A5%E6%9C%AC/-._~Az09/%23%3F%26%2B%3D");
    }

    #[test]
    fn parse_and_display() {
        assert_eq!(RemotePath::parse("a/b").to_string(), "a/b");
        assert_eq!(RemotePath::parse("/a//b/"), RemotePath::parse("a/b"));
        assert!(RemotePath::parse("/").is_root());
        assert_eq!(RemotePath::root().to_string(), "");
    }

    #[test]
    fn family() {
        let path = RemotePath::root().join("a").join("b");
        assert_eq!(path.segments(), ["a", "b"]);
        assert_eq!(path.name(), Some("b"));
        assert_eq!(path.parent(), Some(RemotePath::parse("a")));
        assert_eq!(RemotePath::parse("a").parent(), Some(RemotePath::root()));
        assert_eq!((RemotePath::root().parent(), RemotePath::root().name()), (None, None));
    }
}
