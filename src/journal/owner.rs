//! Whose it is what lies in the state folder (shell).
//!
//! Root may work in the state folder of another user, as that of the units is: what it makes there belongs to that user,
//! who could not use it otherwise. Nothing is given away but what was just made: a link of that user may lie in its place.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Opens a file in the state folder `folder` for reading and writing; where there is none, it is made for the owner of
/// the folder alone.
///
/// # Errors
/// What the system says; also that a link lies in its place, wherever it leads.
pub(super) fn open_private(path: &Path, folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            options.create(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)
        }
        made => {
            let made = made?;
            hand_over(&made, folder)?;
            Ok(made)
        }
    }
}

/// Makes a file in the state folder `folder`, or keeps others out of the one that is there, without opening that: whoever
/// closes it takes the locks of this process away.
///
/// # Errors
/// What the system says; also that a link lies in its place, wherever it leads.
pub(super) fn make_private(path: &Path, folder: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).mode(0o600).create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = std::fs::symlink_metadata(path)?;
            if found.is_symlink() {
                return Err(rustix::io::Errno::LOOP.into());
            }
            if found.mode() & 0o777 == 0o600 {
                return Ok(());
            }
            // Closing such a handle takes no lock away.
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let handle = rustix::fs::open(path, flags, Mode::empty())?;
            let itself = format!("/proc/self/fd/{}", handle.as_raw_fd());
            std::fs::set_permissions(itself, Permissions::from_mode(0o600))
        }
        made => hand_over(&made?, folder),
    }
}

/// Makes a folder in the state folder, for its owner alone; it may be there already.
///
/// # Errors
/// What the system says.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => {
            made?;
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            hand_over(&rustix::fs::open(folder, flags, Mode::empty())?.into(), parent)
        }
    }
}

/// Gives what root just made in `folder` to the owner of the folder. Whoever is not root can give nothing away, and keeps
/// it.
///
/// # Errors
/// What the system says.
pub fn hand_over(made: &File, folder: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = std::fs::metadata(folder)?;
    if made.metadata()?.uid() == owner.uid() {
        return Ok(());
    }
    fchown(made, Some(owner.uid()), Some(owner.gid()))
}
