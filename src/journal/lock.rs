//! One daemon a state folder (shell): `flock`, and who holds it.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::owner::open_private;

const LOCK_FILE: &str = "lock";
/// Locked while the journal cannot be written. A lock needs no room on a full disk.
const STUCK_FILE: &str = "stuck";
/// A reader of `status` holds the lock for an instant to see whether it is free: try this often.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(25);
/// The holder's note is a line; a larger file is not ours.
const NOTE_MAX: u64 = 4096;

/// Who holds the state folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// Start of the process, milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Its control socket, as soon as it has one.
    #[serde(default)]
    pub socket: Option<PathBuf>,
}

/// The state folder cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another instance works on it.
    #[error("{} is in use by another smh-mirror{}; if that is the daemon, it does the work by itself: ask it with `smh-mirror status`, or stop it first", path.display(), holder.as_ref().map(|h| format!(" (pid {})", h.pid)).unwrap_or_default())]
    Held {
        /// The state folder.
        path: PathBuf,
        /// Who, if it could be read.
        holder: Option<Holder>,
    },
    /// The state folder was deleted or moved under the instance that held it.
    #[error("the state folder {} was taken away while it was in use; start smh-mirror again: it fills a new journal from a scan and a listing of the library", .0.display())]
    TakenAway(PathBuf),
    /// The lock file cannot be made or read.
    #[error("cannot lock the state folder {}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The state folder, taken until this is dropped. The kernel frees it when the process dies.
#[derive(Debug)]
pub struct StateLock {
    file: File,
    path: PathBuf,
    stuck: File,
}

impl StateLock {
    /// Takes the state folder and notes who holds it.
    ///
    /// # Errors
    /// Another instance has it, or the lock file cannot be used.
    pub fn take(state_dir: &Path, holder: &Holder) -> Result<StateLock, LockError> {
        let path = state_dir.join(LOCK_FILE);
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut file = open_private(&path, state_dir).map_err(io)?;
        let mut tries = 0;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(io(error.into()));
            }
            tries += 1;
            if tries == TRIES {
                return Err(LockError::Held {
                    path: state_dir.to_path_buf(),
                    holder: read_note(&mut file),
                });
            }
            std::thread::sleep(PAUSE);
        }
        let lock_path = path.clone();
        let path = state_dir.join(STUCK_FILE);
        let stuck =
            open_private(&path, state_dir).map_err(|source| LockError::Io { path, source })?;
        let lock = StateLock { file, path: lock_path, stuck };
        lock.note(holder);
        Ok(lock)
    }

    /// Makes sure that the lock is still the one that others would find.
    ///
    /// # Errors
    /// It is not, or cannot be looked at.
    pub fn is_in_place(&self) -> Result<(), LockError> {
        let io = |source| LockError::Io { path: self.path.clone(), source };
        let held = self.file.metadata().map_err(io)?;
        match std::fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (held.dev(), held.ino()) => Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(error)),
            _ => Err(LockError::TakenAway(
                self.path.parent().map(Path::to_path_buf).unwrap_or_default(),
            )),
        }
    }

    /// Notes who holds the state folder. The note is for people and for commands that ask the holder: a full disk takes
    /// it away, and nothing else.
    pub fn note(&self, holder: &Holder) {
        let written = serde_json::to_vec(holder).map_err(Into::into).and_then(|note| {
            // Written over the one before and then cut, so that no reader finds nothing.
            self.file.write_all_at(&note, 0)?;
            self.file.set_len(note.len() as u64)
        });
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), "cannot note who holds the state in {}: {error}", self.path.display());
        }
    }

    /// Tells readers whether the journal can be written: while it cannot, what it says is old.
    ///
    /// # Errors
    /// The system refuses the lock.
    pub fn set_stuck(&self, stuck: bool) -> std::io::Result<()> {
        let operation =
            if stuck { FlockOperation::NonBlockingLockExclusive } else { FlockOperation::Unlock };
        flock(&self.stuck, operation).map_err(Into::into)
    }

    /// Whether the holder of the state folder cannot write its journal now.
    #[must_use]
    pub fn is_stuck(state_dir: &Path) -> bool {
        // That nobody is stuck is the rule; a file that cannot be opened says nothing else.
        File::open(state_dir.join(STUCK_FILE)).is_ok_and(|file| {
            flock(&file, FlockOperation::NonBlockingLockShared)
                == Err(rustix::io::Errno::WOULDBLOCK)
        })
    }

    /// Who holds the state folder now; `None`: nobody does.
    ///
    /// # Errors
    /// The lock file exists and cannot be used.
    pub fn holder(state_dir: &Path) -> Result<Option<Option<Holder>>, LockError> {
        let path = state_dir.join(LOCK_FILE);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LockError::Io { path, source }),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(read_note(&mut file))),
            Err(error) => Err(LockError::Io { path, source: error.into() }),
        }
    }
}

fn read_note(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(NOTE_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
