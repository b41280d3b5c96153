//! Where the socket lies: in a folder of its own that nobody else may enter, made before the socket is. So there is no
//! moment in which another user can connect.

use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::Environment;

/// Name of the socket in its folder.
const SOCKET: &str = "socket";

/// The folders that may hold it, the best first. Each state has its own, so that two daemons of one user that share a
/// runtime folder do not meet.
pub(super) fn candidates(env: &Environment, state_dir: &Path) -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let hash = Sha256::digest(state_dir.as_os_str().as_bytes());
    let name = format!("control-{}", hex::encode(hash.get(..4).unwrap_or_default()));
    let xdg = env.xdg_runtime_dir.as_ref().map(|folder| folder.join("smh-mirror"));
    [env.runtime_directory.clone(), xdg, Some(state_dir.to_path_buf())]
        .into_iter()
        .flatten()
        .map(|folder| folder.join(&name))
        .collect()
}

/// Makes the folder and listens in it. A socket that an earlier process left there is replaced: whoever holds the state
/// is the only one who may have one.
pub(super) fn listen(folder: &Path) -> Result<(UnixListener, PathBuf), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let meta = fs::symlink_metadata(folder)?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::new(ErrorKind::PermissionDenied, "it is not a folder of this user"));
    }
    // It may be older than this process, and have been opened to others.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let socket = folder.join(SOCKET);
    match fs::symlink_metadata(&socket) {
        Ok(meta) if meta.file_type().is_socket() => fs::remove_file(&socket)?,
        Ok(_) => return Err(Error::new(ErrorKind::AlreadyExists, "something else is there")),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok((listener, socket))
}

/// Takes the socket and its folder away.
pub(super) fn remove(socket: &Path) {
    let folder = socket.parent();
    let removed = fs::remove_file(socket).and_then(|()| folder.map_or(Ok(()), fs::remove_dir));
    if let Err(error) = removed {
        // The next process replaces it.
        tracing::debug!("cannot remove the control socket {}: {error}", socket.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_folder_is_that_of_the_service() {
        let state = Path::new("/var/lib/smh-mirror");
        let mut env = Environment::default();
        let all = candidates(&env, state);
        assert_eq!(all.len(), 1);
        assert!(all[0].starts_with(state));
        env.xdg_runtime_dir = Some("/run/user/1000".into());
        env.runtime_directory = Some("/run/smh-mirror".into());
        let all = candidates(&env, state);
        assert!(all[0].starts_with("/run/smh-mirror"));
        assert!(all[1].starts_with("/run/user/1000/smh-mirror"));
        assert_ne!(candidates(&env, Path::new("/other"))[0], all[0]);
    }

    #[test]
    fn a_stale_socket_is_replaced_and_anything_else_is_left_alone() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path().join("a/b");
        let (first, socket) = listen(&folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&socket), mode(&folder)), (0o600, 0o700));
        drop(first);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let (_second, again) = listen(&folder).unwrap();
        assert_eq!((again.clone(), mode(&folder)), (socket, 0o700));
        assert!(std::os::unix::net::UnixStream::connect(&again).is_ok());
        remove(&again);
        assert!(!folder.exists());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(SOCKET), "precious").unwrap();
        assert_eq!(listen(&folder).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(folder.join(SOCKET)).unwrap(), b"precious");
    }
}
