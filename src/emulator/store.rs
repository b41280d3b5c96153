//! Everything the emulator remembers: in memory, on a log that is replayed at start, and content as files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::Options;
use super::content::Sums;
use super::faults::Faults;
use super::joined::Joined;
use super::library::{FileMeta, Library, Node, Path};
use super::log::Log;
use super::time::system_ms;

/// What kind of upload was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Form,
    Simple,
    Multipart,
}

/// A started upload (sheet sections 3, 6, 7).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) path: Path,
    pub(super) strategy: String,
    pub(super) kind: Kind,
    pub(super) cos_key: String,
    pub(super) upload_id: String,
    pub(super) content_type: String,
    pub(super) created_ms: i64,
    pub(super) posted: Option<Sums>,
    pub(super) parts: BTreeMap<u32, (Sums, i64)>,
    pub(super) confirmed: bool,
    pub(super) meta: BTreeMap<String, String>,
    pub(super) extra: BTreeMap<String, serde_json::Value>,
}

/// An access token (sheet section 2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Token {
    pub(super) period_ms: i64,
    pub(super) expires_ms: i64,
    pub(super) grants: Vec<String>,
}

/// Something in the recycle bin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Recycled {
    pub(super) path: Path,
    pub(super) node: Node,
    pub(super) at_ms: i64,
}

/// A change of what is remembered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Op {
    Token(String, Token),
    TokenGone(String),
    Mkdir(Path, i64),
    Put(Path, Box<FileMeta>),
    Take(Path),
    Move(Path, Path),
    Upload(String, Box<Upload>),
    Posted(String, Sums),
    Part(String, u32, Sums, i64),
    Confirmed(String),
    UploadGone(String),
    Recycle(u64, Path, i64),
    Restore(u64, Path),
    RecycledGone(u64),
}

/// The remembered state.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) tokens: HashMap<String, Token>,
    pub(super) library: Library,
    pub(super) uploads: HashMap<String, Upload>,
    pub(super) recycled: BTreeMap<u64, Recycled>,
    #[serde(skip)]
    by_cos_key: HashMap<String, String>,
    #[serde(skip)]
    by_full_hash: HashMap<String, Path>,
    #[serde(skip)]
    by_beginning: HashMap<(String, u64), Path>,
    /// By size, what has no full hash yet.
    #[serde(skip)]
    unhashed: HashMap<u64, BTreeSet<Path>>,
}

impl State {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Token(name, token) => {
                self.tokens.insert(name, token);
            }
            Op::TokenGone(name) => {
                self.tokens.remove(&name);
            }
            Op::Mkdir(path, at_ms) => {
                self.library.make_dirs(&path, at_ms);
            }
            Op::Put(path, file) => {
                self.index(&path, &file.sums.clone());
                self.library.put(&path, Node::File(*file));
            }
            Op::Take(path) => {
                self.library.take(&path);
            }
            Op::Move(from, to) => {
                if let Some(node) = self.library.take(&from) {
                    self.index_all(&to, &node);
                    self.library.put(&to, node);
                }
            }
            Op::Upload(key, upload) => {
                self.by_cos_key.insert(upload.cos_key.clone(), key.clone());
                self.uploads.insert(key, *upload);
            }
            Op::Posted(key, sums) => {
                if let Some(upload) = self.uploads.get_mut(&key) {
                    upload.posted = Some(sums);
                }
            }
            Op::Part(key, number, sums, at_ms) => {
                if let Some(upload) = self.uploads.get_mut(&key) {
                    upload.parts.insert(number, (sums, at_ms));
                }
            }
            Op::Confirmed(key) => {
                if let Some(upload) = self.uploads.get_mut(&key) {
                    upload.confirmed = true;
                }
            }
            Op::UploadGone(key) => {
                if let Some(upload) = self.uploads.remove(&key) {
                    self.by_cos_key.remove(&upload.cos_key);
                }
            }
            Op::Recycle(id, path, at_ms) => {
                if let Some(node) = self.library.take(&path) {
                    self.recycled.insert(id, Recycled { path, node, at_ms });
                }
            }
            Op::Restore(id, path) => {
                if let Some(item) = self.recycled.remove(&id) {
                    self.index_all(&path, &item.node);
                    self.library.put(&path, item.node);
                }
            }
            Op::RecycledGone(id) => {
                self.recycled.remove(&id);
            }
        }
    }

    fn index(&mut self, path: &[String], sums: &Sums) {
        match &sums.full_hash {
            Some(hash) => {
                self.by_full_hash.insert(hash.clone(), path.to_vec());
            }
            None => {
                self.unhashed.entry(sums.size).or_default().insert(path.to_vec());
            }
        }
        self.by_beginning.insert((sums.beginning_hash.clone(), sums.size), path.to_vec());
    }

    fn index_all(&mut self, path: &[String], node: &Node) {
        match node {
            Node::File(file) => self.index(path, &file.sums),
            Node::Dir(dir) => {
                for (name, child) in &dir.children {
                    let mut below = path.to_vec();
                    below.push(name.clone());
                    self.index_all(&below, child);
                }
            }
        }
    }

    /// A file that has this content.
    pub(super) fn with_full_hash(&self, full_hash: &str, size: u64) -> Option<(Path, FileMeta)> {
        let path = self.by_full_hash.get(full_hash)?;
        let file = self.library.file(path)?;
        (file.sums.full_hash.as_deref() == Some(full_hash) && file.sums.size == size)
            .then(|| (path.clone(), file.clone()))
    }

    /// Files of this size whose full hash nobody asked for yet.
    pub(super) fn unhashed(&mut self, size: u64) -> Vec<Path> {
        let State { unhashed, library, .. } = self;
        let Some(paths) = unhashed.get_mut(&size) else { return Vec::new() };
        paths.retain(|path| {
            let file = library.file(path);
            file.is_some_and(|file| file.sums.size == size && file.sums.full_hash.is_none())
        });
        paths.iter().cloned().collect()
    }

    /// The full hash of a file came out.
    pub(super) fn hashed(&mut self, path: &[String], full_hash: String) {
        if let Some(file) = self.library.file_mut(path) {
            file.sums.full_hash = Some(full_hash.clone());
            self.by_full_hash.insert(full_hash, path.to_vec());
        }
    }

    /// Whether some file has this beginning and size.
    pub(super) fn knows_beginning(&self, beginning_hash: &str, size: u64) -> bool {
        self.by_beginning
            .get(&(beginning_hash.to_owned(), size))
            .and_then(|path| self.library.file(path))
            .is_some_and(|file| {
                file.sums.beginning_hash == beginning_hash && file.sums.size == size
            })
    }

    pub(super) fn upload_of_cos_key(&self, cos_key: &str) -> Option<(&String, &Upload)> {
        let key = self.by_cos_key.get(cos_key)?;
        self.uploads.get_key_value(key)
    }
}

/// The emulator's memory, with its log.
#[derive(Debug)]
pub(super) struct Store {
    inner: Mutex<Inner>,
    pub(super) data: PathBuf,
    /// Bytes of content that came, whatever became of the request.
    pub(super) received: AtomicU64,
    /// By the key of the bucket: parts of uploads that are not confirmed yet, joined as they come.
    joined: Mutex<HashMap<String, Arc<Mutex<Joined>>>>,
    /// Held as long as this is here.
    _lock: File,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) state: State,
    pub(super) options: Options,
    pub(super) faults: Faults,
    pub(super) log: Log,
    pub(super) shift_ms: i64,
    file: File,
    number: u64,
}

impl Store {
    pub(super) fn open(options: Options) -> std::io::Result<Store> {
        let data = options.data.clone();
        for dir in ["objects", "pending", "recycled"] {
            fs::create_dir_all(data.join(dir))?;
        }
        let lock = taken(&data)?;
        let path = data.join("state.jsonl");
        let state = replay(&path)?;
        // Starts a log that holds the state as one line.
        let fresh = data.join("state.jsonl.new");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&fresh)?;
        let line = serde_json::to_string(&state).map_err(std::io::Error::other)?;
        writeln!(file, "{line}")?;
        fs::rename(&fresh, &path)?;
        Ok(Store {
            received: AtomicU64::new(0),
            joined: Mutex::default(),
            inner: Mutex::new(Inner {
                state,
                options,
                faults: Faults::default(),
                log: Log::default(),
                shift_ms: 0,
                file,
                number: 0,
            }),
            data,
            _lock: lock,
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the content of a path lies.
    pub(super) fn object(&self, path: &[String]) -> PathBuf {
        let mut at = self.data.join("objects");
        at.extend(path);
        at
    }

    /// Where the content of a started upload lies, or one part of it.
    pub(super) fn pending(&self, cos_key: &str, part: Option<u32>) -> PathBuf {
        let name: String =
            cos_key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        match part {
            None => self.data.join("pending").join(name),
            Some(part) => self.data.join("pending").join(format!("{name}.part{part}")),
        }
    }

    /// What is joined of the parts of an upload. It is locked only by who adds to it: that takes time.
    pub(super) fn joined(&self, cos_key: &str) -> Arc<Mutex<Joined>> {
        let mut all = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(cos_key.to_owned()).or_default())
    }

    /// Where a recycled thing lies.
    pub(super) fn recycled(&self, id: u64) -> PathBuf {
        self.data.join("recycled").join(id.to_string())
    }

    /// Removes what is kept of an upload that is over.
    pub(super) fn drop_pending(&self, upload: &Upload) {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).remove(&upload.cos_key);
        // Whatever is not there needs no removal.
        let _ = fs::remove_file(self.pending(&upload.cos_key, None));
        for part in upload.parts.keys() {
            let _ = fs::remove_file(self.pending(&upload.cos_key, Some(*part)));
        }
    }
}

impl Inner {
    pub(super) fn now_ms(&self) -> i64 {
        system_ms() + self.shift_ms
    }

    /// How long a signed address is good.
    pub(super) fn address_life_ms(&self) -> i64 {
        i64::try_from(self.options.address_life.as_millis()).unwrap_or(i64::MAX / 4)
    }

    /// Makes a change, here and in the log.
    pub(super) fn apply(&mut self, op: Op) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&op).map_err(std::io::Error::other)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.state.apply(op);
        Ok(())
    }

    /// A number nobody had before in this run, and by the clock in no other.
    pub(super) fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// An upload whose key is still known (sheet section 14).
    pub(super) fn upload(&self, key: &str) -> Option<&Upload> {
        let life_ms = i64::try_from(self.options.key_life.as_millis()).unwrap_or(i64::MAX);
        self.state
            .uploads
            .get(key)
            .filter(|upload| upload.created_ms.saturating_add(life_ms) > self.now_ms())
    }
}

/// Takes the folder: a second emulator would begin a new log, and what the first one does from then on would be lost.
fn taken(data: &FsPath) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(data.join("lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(std::io::Error::other(
            "another emulator works on it; stop that one, or name another folder as --data",
        )),
        Err(error) => Err(error.into()),
    }
}

/// The state as one line, then changes. A last line that was cut short did not happen.
fn replay(path: &FsPath) -> std::io::Result<State> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(error),
    };
    let mut lines = BufReader::new(file).lines();
    let mut state: State = match lines.next() {
        Some(line) => serde_json::from_str(&line?).map_err(std::io::Error::other)?,
        None => State::default(),
    };
    let uploads: Vec<(String, String)> =
        state.uploads.iter().map(|(key, upload)| (upload.cos_key.clone(), key.clone())).collect();
    state.by_cos_key.extend(uploads);
    let mut files = Vec::new();
    state.library.walk(|path, node| {
        if let Node::File(file) = node {
            files.push((path.to_vec(), file.sums.clone()));
        }
    });
    for (path, sums) in files {
        state.index(&path, &sums);
    }
    for line in lines {
        match serde_json::from_str::<Op>(&line?) {
            Ok(op) => state.apply(op),
            Err(_) => break,
        }
    }
    Ok(state)
}

/// Moves content into its place, over what is there.
pub(super) fn place(from: &FsPath, to: &FsPath) -> std::io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(from, to)
}

/// Gives content a second name; contents are never written in place, so a link is as good as a copy.
pub(super) fn link(from: &FsPath, to: &FsPath, scratch: &FsPath) -> std::io::Result<()> {
    let _ = fs::remove_file(scratch);
    if fs::hard_link(from, scratch).is_err() {
        fs::copy(from, scratch)?;
    }
    place(scratch, to)?;
    // Renaming one name of a file over another of the same file does nothing: the first stays.
    let _ = fs::remove_file(scratch);
    Ok(())
}
