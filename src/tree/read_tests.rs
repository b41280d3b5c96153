//! A file that changes while it is read is never complete.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::buffers::{Buffers, CHUNK};
use super::entry::fingerprint;
use super::read::{ReadError, open};
use crate::fingerprint::Fingerprint;
use crate::relpath::RelPath;

/// Several pieces, the last of them short.
const SIZE: usize = 2 * 256 * 1024 + 7;

/// A folder with one file in it.
struct Place {
    folder: TempDir,
    seen: Fingerprint,
}

impl Place {
    fn new(content: &[u8]) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, content).unwrap();
        let look = |path: &Path| fingerprint(&rustix::fs::stat(path).unwrap(), true);
        let seen = look(&path);
        // The clock of the filesystem is coarse: until it moved on, a change may bear the same time.
        let tick = folder.path().join("tick");
        loop {
            fs::write(&tick, "").unwrap();
            if look(&tick).ctime_ns > seen.ctime_ns {
                return Place { folder, seen };
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("f")
    }

    fn open(&self) -> Result<super::read::Reading, ReadError> {
        let path = RelPath::from_path(Path::new("f")).unwrap();
        open(self.folder.path(), false, &path, self.seen, &Buffers::default())
    }

    /// Reads, and has `meddle` do something after the piece number `after`. Gives the outcome and the bytes that
    /// were handed over.
    fn read(&self, after: usize, meddle: impl Fn(&Path)) -> (Result<u64, ReadError>, usize) {
        let (mut pieces, mut bytes) = (0, 0);
        let read = self.open().unwrap().pieces(|piece| {
            pieces += 1;
            bytes += piece.len();
            if pieces == after {
                meddle(&self.path());
            }
            true
        });
        (read.map(|digest| digest.size), bytes)
    }
}

fn append(path: &Path) {
    File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
}

fn truncate(path: &Path) {
    File::options().write(true).open(path).unwrap().set_len(300 * 1024).unwrap();
}

/// The same size, and the time set back: only the ctime tells.
fn rewrite_in_secret(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, vec![1; SIZE]).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

fn replace(path: &Path) {
    let beside = path.with_file_name("beside");
    fs::write(&beside, vec![2; SIZE]).unwrap();
    fs::rename(beside, path).unwrap();
}

#[test]
fn what_rests_is_read_whole() {
    for size in [0, 1, SIZE] {
        let place = Place::new(&vec![7; size]);
        assert_eq!(place.read(0, |_| {}), (Ok(size as u64), size));
        let (bytes, digest) = place.open().unwrap().whole().unwrap();
        assert_eq!((bytes.len(), digest.size), (size, size as u64));
        assert_eq!(place.open().unwrap().digest().unwrap(), digest);
    }
}

#[test]
fn what_changes_while_it_is_read_is_never_handed_over_whole() {
    let changes: [fn(&Path); 4] = [append, truncate, rewrite_in_secret, replace];
    for (number, change) in changes.into_iter().enumerate() {
        // After the first piece, and after the last but one: nothing of the file is left to be read but the end.
        for after in [1, SIZE.div_ceil(CHUNK) - 1] {
            let place = Place::new(&vec![7; SIZE]);
            let (read, bytes) = place.read(after, change);
            assert_eq!(read, Err(ReadError::Changed), "change {number} after {after}");
            assert!(bytes < SIZE, "change {number} after {after}: the last piece was handed over");
        }
    }
}

#[test]
fn what_changes_once_it_is_open_is_not_read_whole() {
    for change in [append, truncate, rewrite_in_secret, replace] {
        let place = Place::new(&vec![7; SIZE]);
        let reading = place.open().unwrap();
        change(&place.path());
        assert_eq!(reading.whole().unwrap_err(), ReadError::Changed);
    }
}

#[test]
fn what_changes_before_it_is_read_is_not_opened() {
    for change in [append, truncate, rewrite_in_secret, replace] {
        let place = Place::new(&vec![7; SIZE]);
        change(&place.path());
        assert_eq!(place.open().unwrap_err(), ReadError::Changed);
    }
    let place = Place::new(b"x");
    fs::remove_file(place.path()).unwrap();
    assert_eq!(place.open().unwrap_err(), ReadError::Vanished);
    // A link in its place is not followed.
    let elsewhere = place.folder.path().join("elsewhere");
    fs::write(&elsewhere, "x").unwrap();
    symlink(&elsewhere, place.path()).unwrap();
    assert!(place.open().is_err());
}

#[test]
fn the_beginning_of_what_changes_is_no_beginning() {
    let place = Place::new(&vec![7; SIZE]);
    let reading = place.open().unwrap();
    append(&place.path());
    assert_eq!(reading.digest_beginning(1024).unwrap_err(), ReadError::Changed);
    let place = Place::new(&vec![7; SIZE]);
    let digest = place.open().unwrap().digest_beginning(1024).unwrap();
    assert_eq!(digest.size, 1024);
}

#[test]
fn whoever_wants_no_more_ends_the_reading() {
    let place = Place::new(&vec![7; SIZE]);
    let read = place.open().unwrap().pieces(|_| false);
    assert_eq!(read.unwrap_err(), ReadError::Stopped);
}
