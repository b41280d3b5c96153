//! Opening the journal: the one writer, or a reader that cannot write (shell).
//!
//! Nobody here opens the file but SQLite, and who looks at its header and never closes it. The system takes all POSIX locks of a process on a file away as soon as the process
//! closes any descriptor of it (`fcntl(2)`, <https://sqlite.org/howtocorrupt.html>, section 2.2): without its lock, whoever
//! else reads the journal with SQLite and closes it takes the log away that the daemon writes to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io::{Read, Seek};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::owner::make_private;
use super::{JournalError, migrate};

/// Name of the journal in the state folder.
pub const JOURNAL_FILE: &str = "journal.db";
/// A reader in the middle of a query may hold the file for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the header of the file, and how it begins.
const HEADER: u64 = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Statements kept prepared: more than the writer has.
const STATEMENTS: usize = 256;
/// 16 MiB of pages, in the negative KiB of SQLite: enough that a scan in order never thrashes.
const CACHE_KIB: i64 = -16 * 1024;

/// Steps of SQLite between two signs of life while a journal is opened: some ten microseconds.
const STEPS: i32 = 1_000;

/// Called again and again while a journal is opened, as long as that gets on. `Break`: it is given up.
pub type Progress = Arc<dyn Fn() -> ControlFlow<()> + Send + Sync>;

/// The writing connection. There is one in the process and the engine owns it.
#[derive(Debug)]
pub struct Journal {
    pub(super) connection: Connection,
    /// Its file; `None`: it lives in memory.
    place: Option<Place>,
}

/// The files under their names: whether they are still those that were opened.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    file: Identity,
    log_path: PathBuf,
    log: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(path: &Path) -> std::io::Result<Identity> {
    fs::metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

impl Place {
    /// SQLite makes the log when the file is first read, and removes it when the last connection is closed.
    fn of(path: &Path) -> std::io::Result<Place> {
        let mut log_path = path.as_os_str().to_owned();
        log_path.push("-wal");
        let log_path = PathBuf::from(log_path);
        let (file, log) = (identity(path)?, identity(&log_path)?);
        Ok(Place { path: path.to_path_buf(), file, log_path, log })
    }
}

/// A damaged journal was put aside under this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

impl Journal {
    /// Opens or makes the journal in `state_dir`, which is made too (mode 0700). A damaged one is set
    /// aside with `stamp` in its name, and an empty one takes its place: the next scan fills it.
    ///
    /// # Errors
    /// The folder cannot be written, the journal belongs to a newer program, or it is locked.
    pub fn open(
        state_dir: &Path,
        stamp: &str,
    ) -> Result<(Journal, Option<SetAside>), JournalError> {
        Journal::open_telling(state_dir, stamp, None)
    }

    /// As [`Journal::open`]: all of a journal is read, or brought to the newest schema, and `progress` is told meanwhile.
    ///
    /// # Errors
    /// As [`Journal::open`]; also that it was given up.
    pub fn open_telling(
        state_dir: &Path,
        stamp: &str,
        progress: Option<&Progress>,
    ) -> Result<(Journal, Option<SetAside>), JournalError> {
        let path = prepare(state_dir)?;
        match Journal::open_file(&path, progress) {
            Err(JournalError::Damaged(reason)) => {
                let aside = set_aside(&path, stamp)?;
                let journal = Journal::open_file(&prepare(state_dir)?, progress)?;
                Ok((journal, Some(SetAside { path: aside, reason })))
            }
            other => other.map(|journal| (journal, None)),
        }
    }

    /// Sets aside what is in the state folder as damaged, with `stamp` in its name, and opens an empty one.
    /// For damage that shows itself only while the journal is used.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn replace(
        state_dir: &Path,
        stamp: &str,
        reason: String,
    ) -> Result<(Journal, SetAside), JournalError> {
        let path = prepare(state_dir)?;
        let aside = set_aside(&path, stamp)?;
        let journal = Journal::open_file(&prepare(state_dir)?, None)?;
        Ok((journal, SetAside { path: aside, reason }))
    }

    /// Makes sure that file and log are still those under their names. Deleted ones can be written as before, and all of
    /// it is lost at the end.
    ///
    /// # Errors
    /// They are others, or none.
    pub(super) fn is_in_place(&self) -> Result<(), JournalError> {
        let Some(place) = &self.place else { return Ok(()) };
        for (path, opened) in [(&place.path, place.file), (&place.log_path, place.log)] {
            match identity(path) {
                Ok(now) if now == opened => {}
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(JournalError::State { path: path.clone(), source: error });
                }
                _ => return Err(JournalError::TakenAway(path.clone())),
            }
        }
        Ok(())
    }

    pub(super) fn without_place(connection: Connection) -> Journal {
        Journal { connection, place: None }
    }

    /// A journal that lives in memory, empty.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn in_memory() -> Result<Journal, JournalError> {
        let mut connection = Connection::open_in_memory()?;
        settings(&connection)?;
        migrate::migrate(&mut connection)?;
        Ok(Journal::without_place(connection))
    }

    /// A copy in memory of the journal in `state_dir` (an empty one when there is none), to try things on.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn scratch_copy(state_dir: &Path) -> Result<Journal, JournalError> {
        let source = match open_reading(&state_dir.join(JOURNAL_FILE)) {
            Err(JournalError::Missing(_)) => return Journal::in_memory(),
            source => source?,
        };
        let mut connection = Connection::open_in_memory()?;
        {
            let backup = rusqlite::backup::Backup::new(&source, &mut connection)?;
            backup.run_to_completion(1024, Duration::ZERO, None)?;
        }
        settings(&connection)?;
        migrate::migrate(&mut connection)?;
        Ok(Journal::without_place(connection))
    }

    fn open_file(path: &Path, progress: Option<&Progress>) -> Result<Journal, JournalError> {
        header_is_whole(path)?;
        let mut connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        if let Some(progress) = progress.cloned() {
            connection.progress_handler(STEPS, Some(move || progress().is_break()))?;
        }
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(JournalError::Disk(format!(
                "{} cannot use a write-ahead log (mode {mode}); is the state folder on a network filesystem?",
                path.display()
            )));
        }
        settings(&connection)?;
        if migrate::version(&connection)? > migrate::newest() && shape_is_whole(&connection).is_ok()
        {
            // A newer program would have made other tables: the number alone is wrong.
            return Err(JournalError::Damaged("its version is not that of its tables".to_owned()));
        }
        migrate::migrate(&mut connection).map_err(|error| match error {
            // Steps of ours, tested on files that were saved: what they find there is not what was left there.
            JournalError::Sqlite(error) => {
                let error = error
                    .sqlite_error()
                    .map_or_else(|| "a step failed".to_owned(), ToString::to_string);
                JournalError::Damaged(format!("it cannot be brought to the newest schema: {error}"))
            }
            other => other,
        })?;
        shape_is_whole(&connection)?;
        content_is_whole(&connection)?;
        connection.progress_handler(0, None::<fn() -> bool>)?;
        let place = Place::of(path).map_err(|source| match source.kind() {
            // Since it was opened.
            std::io::ErrorKind::NotFound => JournalError::TakenAway(path.to_path_buf()),
            _ => JournalError::State { path: path.to_path_buf(), source },
        })?;
        Ok(Journal { connection, place: Some(place) })
    }

    /// Folds the write-ahead log back into the file, at the end of a run.
    ///
    /// # Errors
    /// What SQLite says; nothing is lost, the next start does it.
    pub fn checkpoint(&self) -> Result<(), JournalError> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

pub(super) fn settings(connection: &Connection) -> Result<(), JournalError> {
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    plan_once(connection)
}

/// The plan of a statement does not depend on its parameters. Otherwise SQLite compares them with the conditions of
/// partial indexes, and prepares such a statement anew each time one is bound: three quarters of the time of a turn.
fn plan_once(connection: &Connection) -> Result<(), JournalError> {
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Looks at the numbers of the file format in the header (<https://sqlite.org/fileformat2.html>, section 1.3): with
/// others SQLite says that the disk is read only, or that it does not know the format, and means this file.
fn header_is_whole(path: &Path) -> Result<(), JournalError> {
    let header = match header(path) {
        // Set aside a moment ago: SQLite makes a new one.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(|source| JournalError::State { path: path.to_path_buf(), source })?,
    };
    let byte = |at: usize| header.get(at).copied().unwrap_or_default();
    let schema_format = header.get(44..48).unwrap_or_default();
    let known = matches!((byte(18), byte(19)), (1, 1) | (2, 2))
        && matches!(schema_format, [0, 0, 0, 0..=4])
        && header.starts_with(MAGIC);
    // An empty file is a new journal.
    if header.is_empty() || known {
        return Ok(());
    }
    Err(JournalError::Damaged("its header is not that of a journal".to_owned()))
}

/// The first bytes of the file. It stays open, once for each journal that this process has to do with: readers of it may
/// have it open, too, whose locks would go with the descriptor.
fn header(path: &Path) -> std::io::Result<Vec<u8>> {
    static OPEN: Mutex<BTreeMap<Identity, fs::File>> = Mutex::new(BTreeMap::new());
    // While it is open, no other file gets its number.
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let file = match open.entry(identity(path)?) {
        Entry::Occupied(held) => held.into_mut(),
        Entry::Vacant(place) => place.insert(fs::File::open(path)?),
    };
    let mut header = Vec::new();
    file.rewind()?;
    file.take(HEADER).read_to_end(&mut header)?;
    Ok(header)
}

/// Compares the schema with the one that the migrations make: a bit flipped there renames a column.
fn shape_is_whole(connection: &Connection) -> Result<(), JournalError> {
    let mut fresh = Connection::open_in_memory()?;
    migrate::migrate(&mut fresh)?;
    if shape(connection)? == shape(&fresh)? {
        Ok(())
    } else {
        Err(JournalError::Damaged("its tables are not those of a journal".to_owned()))
    }
}

fn shape(connection: &Connection) -> Result<Vec<(String, String)>, JournalError> {
    let mut statement = connection.prepare(
        "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads all of it, indexes too: a row that an index does not know would never be found to be pending. A third of
/// a second for a million files.
fn content_is_whole(connection: &Connection) -> Result<(), JournalError> {
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(JournalError::Damaged(verdict)) }
}

/// Opens the file so that a wrong write fails at once.
pub(super) fn open_reading(path: &Path) -> Result<Connection, JournalError> {
    // What nobody may look at is not missing. Asked without opening it: see above.
    match rustix::fs::access(path, rustix::fs::Access::READ_OK) {
        Err(rustix::io::Errno::NOENT) => return Err(JournalError::Missing(path.to_path_buf())),
        looked => looked.map_err(|errno| JournalError::State {
            path: path.to_path_buf(),
            source: errno.into(),
        })?,
    }
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .or_else(|_| {
        // Without the right to write, a reader can still look when no log is waiting.
        Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
    })?;
    let (connection, found) = match ready(connection) {
        // On a full disk not even the index of the log can be made. What was folded up can be read without it;
        // that the journal is not written now is said by the lock `stuck`.
        Err(JournalError::Disk(_)) => ready(open_immutable(path)?)?,
        other => other?,
    };
    if found > migrate::newest() {
        return Err(JournalError::Newer { found, known: migrate::newest() });
    }
    if found == 0 {
        return Err(JournalError::Missing(path.to_path_buf()));
    }
    Ok(connection)
}

/// A reading connection that answers, and the version of the schema.
fn ready(connection: Connection) -> Result<(Connection, i64), JournalError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    plan_once(&connection)?;
    let found = migrate::version(&connection)?;
    Ok((connection, found))
}

/// Opens the file alone, without its log and without any lock.
fn open_immutable(path: &Path) -> Result<Connection, JournalError> {
    use std::os::unix::ffi::OsStrExt;
    let encoded = percent_encoding::percent_encode(
        path.as_os_str().as_bytes(),
        percent_encoding::NON_ALPHANUMERIC,
    );
    Ok(Connection::open_with_flags(
        format!("file:{encoded}?immutable=1"),
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?)
}

/// Makes folder and file if they are not there and keeps others out of them: SQLite would let everybody read the file
/// that it makes, and what it puts beside it has the same mode.
fn prepare(state_dir: &Path) -> Result<PathBuf, JournalError> {
    let state = |path: &Path| {
        let path = path.to_path_buf();
        move |source| JournalError::State { path, source }
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
        .map_err(state(state_dir))?;
    let path = state_dir.join(JOURNAL_FILE);
    // SQLite gives what it puts beside it to the same user.
    make_private(&path, state_dir).map_err(state(&path))?;
    Ok(path)
}

/// Renames the journal and its log, so that a person can look at them later.
fn set_aside(path: &Path, stamp: &str) -> Result<PathBuf, JournalError> {
    let named = |suffix: &str, stamp: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        name.push(stamp);
        PathBuf::from(name)
    };
    let mut aside = named(".damaged-", stamp);
    let mut number = 1;
    // Never over an earlier one: somebody may want to look at it.
    while aside.exists() {
        number += 1;
        aside = named(".damaged-", &format!("{stamp}-{number}"));
    }
    for suffix in ["-wal", "-shm"] {
        let from = named(suffix, "");
        if from.exists() {
            let mut to = aside.as_os_str().to_owned();
            to.push(suffix);
            fs::rename(&from, &to)
                .map_err(|source| JournalError::State { path: from.clone(), source })?;
        }
    }
    fs::rename(path, &aside)
        .map_err(|source| JournalError::State { path: path.to_path_buf(), source })?;
    Ok(aside)
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
