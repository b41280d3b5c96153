//! Requests that commands leave for the daemon (shell): small files in a folder of the state, each taken once.
//!
//! A file is there whether the daemon runs, is stopped, or starts tomorrow; so no request is lost.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::Shell;
use crate::clock::Clock;
use crate::config::BandwidthLimit;
use crate::journal::hand_over;
use crate::mirror::facts::Fact;
use crate::mirror::requests::{
    Answer, LimitRequest, Pause, Repair, Rescan, Resume, Retry, Untaken,
};
use crate::relpath::RelPath;
use crate::tree::{Watching, Wish};

/// A request is a line; a larger file is not one.
const REQUEST_MAX: u64 = 64 * 1024;
/// Requests taken at a time.
const REQUESTS: usize = 4096;
/// How complete requests end; others are still being written.
const SUFFIX: &str = "json";
/// Bytes of the paths of one request: in hexadecimal, and with what stands around them, they fit.
const PATHS_MAX: usize = 24 * 1024;

/// A request as it lies in the folder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Retry {
        /// Name of a mirror; absent: all.
        mirror: Option<String>,
        /// Path below its root, in hexadecimal, since names are bytes.
        path: Option<String>,
    },
    Repair {
        /// Name of a mirror.
        mirror: String,
        /// Paths below its root, in hexadecimal.
        paths: Vec<String>,
    },
    Answer {
        /// Number of a hold.
        hold: i64,
        /// The deletes are meant.
        approve: bool,
        /// When the person was asked.
        asked_ms: i64,
    },
    Limit {
        /// In the words of the configuration; absent: what that says.
        limit: Option<String>,
    },
    Pause {
        /// Name of a mirror.
        mirror: String,
        /// When it ends by itself; absent: a person ends it.
        until_ms: Option<i64>,
    },
    Resume {
        /// Name of a mirror.
        mirror: String,
    },
    Rescan {
        /// Name of a mirror.
        mirror: String,
        /// Path below its root, in hexadecimal.
        path: String,
    },
}

impl Request {
    /// Leaves this in `folder` for the daemon.
    /// Those of one name are taken in the order in which they were left.
    fn leave(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let text = serde_json::to_vec(self)?;
        let at_ms = Clock::start().now().unix_ms;
        let name = format!("{at_ms:016}-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let unfinished = folder.join(&name);
        let finished = folder.join(format!("{name}.{SUFFIX}"));
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| {
                hand_over(&file, folder)?;
                file.write_all(&text)
            })
            .and_then(|()| fs::rename(&unfinished, &finished));
        if written.is_err() {
            // Nobody takes it, and on a full disk it is in the way.
            let _: std::io::Result<()> = fs::remove_file(&unfinished);
        }
        written.map(|()| finished)
    }
}

impl Answer {
    /// Leaves this in `folder` for the daemon.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn leave(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let Answer { hold, approve, asked_ms } = *self;
        Request::Answer { hold, approve, asked_ms }.leave(folder)
    }
}

impl LimitRequest {
    /// Leaves this in `folder` for the daemon.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn leave(&self, folder: &Path) -> std::io::Result<PathBuf> {
        Request::Limit { limit: self.0.as_ref().map(BandwidthLimit::to_string) }.leave(folder)
    }
}

impl Retry {
    /// Leaves this in `folder` for the daemon.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn leave(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let request = match self {
            Retry::All => Request::Retry { mirror: None, path: None },
            Retry::Below { mirror, path } => Request::Retry {
                mirror: Some(mirror.clone()),
                path: Some(hex::encode(path.as_bytes())),
            },
        };
        request.leave(folder)
    }
}

impl Repair {
    /// Leaves this in `folder` for the daemon, in as many requests as it takes. A path that is too long for one is
    /// asked for by a directory above it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn leave(&self, folder: &Path) -> std::io::Result<Vec<PathBuf>> {
        let mut left = Vec::new();
        let mut paths = Vec::new();
        let mut size = 0;
        for path in &self.paths {
            let path = shortened(path);
            // Whatever the length of the path, it takes some room.
            let more = path.as_bytes().len() + 8;
            if size + more > PATHS_MAX && !paths.is_empty() {
                left.push(self.request(std::mem::take(&mut paths)).leave(folder)?);
                size = 0;
            }
            size += more;
            paths.push(hex::encode(path.as_bytes()));
        }
        if !paths.is_empty() {
            left.push(self.request(paths).leave(folder)?);
        }
        Ok(left)
    }

    fn request(&self, paths: Vec<String>) -> Request {
        Request::Repair { mirror: self.mirror.clone(), paths }
    }
}

/// The path, or the nearest directory above it that fits into a request.
fn shortened(path: &RelPath) -> RelPath {
    let mut step = path.clone();
    while step.as_bytes().len() > PATHS_MAX {
        step = step.parent().unwrap_or_default();
    }
    step
}

impl Pause {
    /// Leaves this in `folder` for the daemon.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn leave(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let Pause { mirror, until_ms } = self.clone();
        Request::Pause { mirror, until_ms }.leave(folder)
    }
}

impl Resume {
    /// Leaves this in `folder` for the daemon.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn leave(&self, folder: &Path) -> std::io::Result<PathBuf> {
        Request::Resume { mirror: self.mirror.clone() }.leave(folder)
    }
}

impl Rescan {
    /// Leaves this in `folder` for the daemon.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn leave(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let path = hex::encode(self.path.as_bytes());
        Request::Rescan { mirror: self.mirror.clone(), path }.leave(folder)
    }
}

impl Shell {
    /// The tree of the watcher that is the folder of requests: it comes after the mirrors.
    pub(in crate::mirror) fn requests_tree(&self) -> usize {
        self.inner.mirrors.len()
    }

    /// Watches the folder of requests. Whether hints will come.
    pub(in crate::mirror) fn watch_requests(&self) -> bool {
        match (&self.inner.watcher, &self.inner.requests) {
            (Some(watcher), Some(folder)) => fs::File::open(folder).is_ok_and(|dir| {
                let root = RelPath::root();
                watcher.watch(self.requests_tree(), &root, dir.as_fd(), Wish::Sensible)
                    != Watching::No
            }),
            _ => false,
        }
    }

    /// Whether anybody may leave requests.
    pub(in crate::mirror) fn takes_requests(&self) -> bool {
        self.inner.requests.is_some()
    }

    /// Takes what lies in the folder and was not taken yet, in the order in which it was left. It stays there until
    /// [`Shell::requests_kept`].
    pub(in crate::mirror) fn take_requests(&self) -> Vec<Fact> {
        let Some(folder) = &self.inner.requests else { return Vec::new() };
        let Ok(mut left) = left_in(folder) else { return Vec::new() };
        let mut taken = self.inner.taken.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|path| !taken.contains(path));
        left.truncate(REQUESTS);
        let mut facts = Vec::new();
        for path in left {
            match read(&path) {
                Ok(request) => {
                    facts.push(request);
                    taken.push(path);
                }
                Err(why) => {
                    tracing::warn!(path = %path.display(), why, "the request {} cannot be understood, and is removed: {why}", path.display());
                    remove(&path);
                }
            }
        }
        last_answers(facts)
    }

    /// What was taken is written down: the files go, which tells whoever left them.
    pub(in crate::mirror) fn requests_kept(&self) {
        let mut taken = self.inner.taken.lock().unwrap_or_else(PoisonError::into_inner);
        // One that cannot be removed is not taken a second time.
        taken.retain(|path| path.exists() && !remove(path));
    }
}

/// What lies in `folder` and no daemon took yet.
///
/// # Errors
/// The folder is there and cannot be read.
pub fn untaken(folder: &Path) -> std::io::Result<Untaken> {
    // One that cannot be read was taken a moment ago, or means nothing.
    let facts = left_in(folder)?.iter().filter_map(|path| read(path).ok()).collect();
    let mut untaken = Untaken::default();
    for fact in last_answers(facts) {
        if let Fact::Answer(answer) = fact {
            untaken.answers.push(answer);
        } else if let Fact::Repair(repair) = fact {
            untaken.repairs.push(repair);
        }
    }
    Ok(untaken)
}

/// The requests in `folder`, in the order in which they were left.
fn left_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut left = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == SUFFIX) {
            left.push(path);
        }
    }
    left.sort();
    Ok(left)
}

/// Of several answers to one hold the last one counts: a person thought again before anybody acted.
fn last_answers(facts: Vec<Fact>) -> Vec<Fact> {
    let mut answered = BTreeSet::new();
    let mut kept: Vec<Fact> = facts
        .into_iter()
        .rev()
        .filter(|fact| !matches!(fact, Fact::Answer(answer) if !answered.insert(answer.hold)))
        .collect();
    kept.reverse();
    kept
}

/// Whether it is gone.
fn remove(path: &Path) -> bool {
    match fs::remove_file(path) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot remove the request {}: {error}", path.display());
            false
        }
    }
}

fn read(path: &Path) -> Result<Fact, String> {
    let meta = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() || meta.len() > REQUEST_MAX {
        return Err("it is not a small file".to_owned());
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    match serde_json::from_slice(&bytes).map_err(|error| error.to_string())? {
        Request::Answer { hold, approve, asked_ms } => {
            Ok(Fact::Answer(Answer { hold, approve, asked_ms }))
        }
        Request::Limit { limit } => {
            Ok(Fact::Limit(limit.as_deref().map(BandwidthLimit::parse).transpose()?))
        }
        Request::Repair { mirror, paths } => {
            let paths: Result<Vec<_>, _> = paths.iter().map(hex::decode).collect();
            let paths = paths.map_err(|error| error.to_string())?;
            let paths = paths.into_iter().map(RelPath::from_bytes).collect();
            Ok(Fact::Repair(Repair { mirror, paths }))
        }
        Request::Retry { mirror, path } => {
            let path = below(path.as_deref().unwrap_or_default())?;
            Ok(Fact::Retry(match mirror {
                None => Retry::All,
                Some(mirror) => Retry::Below { mirror, path },
            }))
        }
        Request::Pause { mirror, until_ms } => Ok(Fact::Pause(Pause { mirror, until_ms })),
        Request::Resume { mirror } => Ok(Fact::Resume(Resume { mirror })),
        Request::Rescan { mirror, path } => {
            Ok(Fact::Rescan(Rescan { mirror, path: below(&path)? }))
        }
    }
}

/// A path below a root, from hexadecimal.
fn below(path: &str) -> Result<RelPath, String> {
    let bytes = hex::decode(path).map_err(|error| error.to_string())?;
    Ok(RelPath::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = RelPath::from_bytes(b"a/\xff b".to_vec());
        for retry in [Retry::All, Retry::Below { mirror: "m".into(), path }] {
            let file = retry.leave(folder.path()).unwrap();
            assert!(matches!(read(&file), Ok(Fact::Retry(read)) if read == retry));
        }
    }

    #[test]
    fn an_answer_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let answer = Answer { hold: 7, approve: true, asked_ms: 5 };
        let file = answer.leave(folder.path()).unwrap();
        assert!(matches!(read(&file), Ok(Fact::Answer(read)) if read == answer));
    }

    #[test]
    fn the_last_answer_counts() {
        let folder = tempfile::tempdir().unwrap();
        let told = |hold, approve| {
            Answer { hold, approve, asked_ms: 5 }.leave(folder.path()).unwrap();
            // In the same millisecond chance decides which is the later one.
            let before = Clock::start().now().unix_ms;
            while Clock::start().now().unix_ms == before {}
        };
        told(1, true);
        told(2, false);
        told(1, false);
        let untaken = untaken(folder.path()).unwrap();
        assert_eq!((untaken.answer(1), untaken.answer(2)), (Some(false), Some(false)));
        assert_eq!((untaken.answers.len(), untaken.answer(3)), (2, None));
    }

    #[test]
    fn no_folder_holds_no_request_and_one_that_is_none_is_said() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(untaken(&folder.path().join("none")).unwrap(), Untaken::default());
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(untaken(&file).is_err());
    }

    #[test]
    fn a_limit_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for text in [None, Some("08:00 2MiB/s, 19:00 off")] {
            let limit = LimitRequest(text.map(|text| BandwidthLimit::parse(text).unwrap()));
            let file = limit.leave(folder.path()).unwrap();
            assert!(matches!(read(&file), Ok(Fact::Limit(read)) if read == limit.0));
        }
    }

    #[test]
    fn paths_to_repair_are_read_back_however_many_and_long() {
        let folder = tempfile::tempdir().unwrap();
        let long = RelPath::from_bytes([b"d/".repeat(10_000), vec![b'x'; 30_000]].concat());
        let mut paths: Vec<RelPath> =
            (0..3_000).map(|n| RelPath::from_bytes(format!("a/\u{e9}{n}").into_bytes())).collect();
        paths.push(long.clone());
        let repair = Repair { mirror: "m".into(), paths: paths.clone() };
        let mut back = Vec::new();
        for file in repair.leave(folder.path()).unwrap() {
            let Ok(Fact::Repair(read)) = read(&file) else { panic!("{}", file.display()) };
            assert_eq!(read.mirror, "m");
            back.extend(read.paths);
        }
        let last = back.pop().unwrap();
        assert!(long.is_within(&last) && last != long, "a directory above it stands for it");
        paths.pop();
        assert_eq!(back, paths);
        assert_eq!(
            Repair { mirror: "m".into(), paths: Vec::new() }.leave(folder.path()).unwrap().len(),
            0
        );
    }

    #[test]
    fn what_is_paused_and_looked_at_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for until_ms in [None, Some(7)] {
            let pause = Pause { mirror: "m".into(), until_ms };
            let file = pause.leave(folder.path()).unwrap();
            assert!(matches!(read(&file), Ok(Fact::Pause(read)) if read == pause));
        }
        let resume = Resume { mirror: "m".into() };
        let file = resume.leave(folder.path()).unwrap();
        assert!(matches!(read(&file), Ok(Fact::Resume(read)) if read == resume));
        let path = RelPath::from_bytes(b"a/\xff b".to_vec());
        let rescan = Rescan { mirror: "m".into(), path };
        let file = rescan.leave(folder.path()).unwrap();
        assert!(matches!(read(&file), Ok(Fact::Rescan(read)) if read == rescan));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        for text in [
            "",
            "{}",
            r#"{"retry":{"mirror":"m","path":"zz"}}"#,
            r#"{"remove":{}}"#,
            r#"{"limit":{"limit":"fast"}}"#,
        ] {
            fs::write(&file, text).unwrap();
            assert!(read(&file).is_err(), "{text}");
        }
    }
}
