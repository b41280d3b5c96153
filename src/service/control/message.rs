//! What is said over the control socket (pure): one line of JSON each way, with a version.

use serde::{Deserialize, Serialize};

use crate::mirror::Progress;
use crate::relpath::RelPath;

/// The version of this protocol. Another one is refused; what is added to a version may be ignored.
pub const VERSION: u32 = 1;
/// Bytes of a request, its line end included.
pub(super) const REQUEST_MAX: u64 = 4096;
/// Bytes of a reply: every upload that runs at once, with paths as long as they may be in practice.
pub const REPLY_MAX: u64 = 4 << 20;

/// A line that a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What it wants to know.
    pub ask: Ask,
}

/// What a client may want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// What is being sent now.
    Uploads,
    /// Read the configuration again, and say what came of it.
    Reload,
    /// The text of the configuration in force, for who finds a wrong one in the file.
    Configuration,
}

/// The line that the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// [`VERSION`].
    pub version: u32,
    /// The answer.
    pub answer: Answer,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What is being sent now.
    Uploads(Vec<Upload>),
    /// The configuration was read again: what that means, in words.
    Reloaded(String),
    /// The new configuration is refused: why, in words.
    Refused(String),
    /// The text of the configuration in force.
    Configuration(String),
    /// The daemon does not understand the request, or cannot answer it: why, in words.
    Failed(String),
}

/// An upload that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Name of the mirror.
    pub mirror: String,
    /// Path below its root, in hexadecimal, since names are bytes.
    pub path: String,
    /// Bytes sent.
    pub bytes: u64,
    /// Those of them that left before `since_ms`.
    pub before: u64,
    /// Bytes in all.
    pub total: u64,
    /// When the first byte left, milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// How long ago that was, milliseconds.
    pub elapsed_ms: i64,
    /// Of an upload in parts. A daemon of an earlier version does not tell.
    #[serde(default)]
    pub parts: Option<Parts>,
}

/// How far an upload in parts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Parts that arrived, by whichever run.
    pub arrived: u32,
    /// How many there are.
    pub of: u32,
}

impl Upload {
    /// The path in bytes; one that is no path of ours is the root.
    #[must_use]
    pub fn path(&self) -> RelPath {
        RelPath::from_bytes(hex::decode(&self.path).unwrap_or_default())
    }
}

impl From<Progress> for Upload {
    fn from(progress: Progress) -> Upload {
        Upload {
            mirror: progress.mirror,
            path: hex::encode(progress.path.as_bytes()),
            bytes: progress.sent,
            before: progress.before,
            total: progress.total,
            since_ms: progress.since_ms,
            elapsed_ms: progress.elapsed_ms,
            parts: progress.parts.map(|parts| Parts { arrived: parts.arrived, of: parts.of }),
        }
    }
}

/// What a line asks for.
///
/// # Errors
/// Why it asks for nothing, for whoever sent it.
pub(super) fn understood(line: &[u8]) -> Result<Ask, String> {
    /// A request of any version.
    #[derive(Deserialize)]
    struct Any {
        version: u32,
    }
    if !line.ends_with(b"\n") {
        return Err(format!("a request is one line of at most {REQUEST_MAX} bytes"));
    }
    let any: Any =
        serde_json::from_slice(line).map_err(|error| format!("this is no request: {error}"))?;
    if any.version != VERSION {
        return Err(format!(
            "this daemon ({}) speaks version {VERSION} of the protocol, not {}; use the program of the same version, or restart the daemon",
            env!("CARGO_PKG_VERSION"),
            any.version
        ));
    }
    serde_json::from_slice::<Request>(line)
        .map(|request| request.ask)
        .map_err(|error| format!("this is no request: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_understood() {
        for ask in [Ask::Uploads, Ask::Reload, Ask::Configuration] {
            let mut line = serde_json::to_vec(&Request { version: VERSION, ask }).unwrap();
            line.push(b'\n');
            assert_eq!(understood(&line), Ok(ask));
            // A line that was cut is no request.
            for upto in 0..line.len() {
                assert!(understood(&line[..upto]).is_err());
            }
        }
    }

    #[test]
    fn anything_else_is_refused_and_harms_nobody() {
        for (line, why) in [
            ("\n", "no request"),
            ("{}\n", "version"),
            ("{\"version\":2,\"ask\":\"more\"}\n", "speaks version 1"),
            ("{\"version\":1,\"ask\":\"format the disk\"}\n", "no request"),
            ("{\"version\":1,\"ask\":\"uploads\",\"and\":1}\n", "no request"),
            ("[[[[[[[[\n", "no request"),
        ] {
            let said = understood(line.as_bytes()).unwrap_err();
            assert!(said.contains(why), "{line}: {said}");
        }
        let mut dice = fastrand::Rng::with_seed(5);
        let good = b"{\"version\":1,\"ask\":\"uploads\"}\n";
        for _ in 0..20_000 {
            let mut line = good.to_vec();
            for _ in 0..dice.usize(1..6) {
                let at = dice.usize(..line.len());
                line[at] = dice.u8(..);
            }
            line.truncate(dice.usize(..=line.len()));
            // It may still make sense, and then it asks for something that there is.
            let _ = understood(&line);
        }
        assert!(understood(&[b'['; 4096]).is_err());
        assert!(understood(&[vec![b'['; 4000], vec![b'\n']].concat()).is_err());
    }
}
