//! Whose it is what lies in the state folder (shell).

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown};
use std::path::Path;

/// Makes a folder in the state folder, for its owner alone; it may be there already.
///
/// # Errors
/// What the system says.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match folder.parent() {
        Some(parent) => hand_over(&File::open(folder)?, parent),
        None => Ok(()),
    }
}

/// Gives what root made in `folder` to the owner of the folder: a daemon of another user, as that of the units is, could
/// not use it otherwise. Whoever is not root can give nothing away, and keeps it.
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
