//! Where secrets come from, and reading them (shell). Nothing here ever prints one.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use secrecy::SecretString;

/// Secrets are a line; anything larger is not one.
const SECRET_MAX: u64 = 64 * 1024;
/// Time a command has to print a token.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
const COMMAND_LOOK: Duration = Duration::from_millis(20);

/// Where one secret comes from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// A file that only its owner (or systemd) can read. Read again whenever it is asked for.
    File(PathBuf),
    /// A command that prints it. Run again whenever it is asked for.
    Command(Vec<String>),
    /// Handed over in the environment.
    Value(SecretString),
}

/// A secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("the secret file {} can be read by others (mode {mode:04o}); run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// There is no secret in it.
    #[error("{origin} holds no secret: {problem}")]
    Useless {
        /// The file or command.
        origin: String,
        /// What is there instead.
        problem: &'static str,
    },
    /// The command failed.
    #[error("the command `{command}` gave no token: {problem}")]
    Command {
        /// Its program.
        command: String,
        /// What happened.
        problem: String,
    },
}

impl SecretSource {
    /// Reads the secret. Blocks: up to half a minute for a command.
    ///
    /// # Errors
    /// It cannot be had, others can read it, or it is no text.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            SecretSource::Value(secret) => Ok(secret.clone()),
            SecretSource::File(path) => read_file(path),
            SecretSource::Command(words) => run(words),
        }
    }
}

fn read_file(path: &Path) -> Result<SecretString, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    let origin = || format!("the file {}", path.display());
    if !meta.is_file() {
        return Err(SecretError::Useless { origin: origin(), problem: "it is not a regular file" });
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 && !is_credential(path) {
        return Err(SecretError::Exposed { path: path.to_path_buf(), mode });
    }
    let mut bytes = Vec::new();
    file.take(SECRET_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    clean(bytes, origin)
}

/// systemd hands credentials over in a folder of their own that others cannot enter, with mode 0440.
fn is_credential(path: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|dir| path.starts_with(dir))
}

fn clean(bytes: Vec<u8>, origin: impl Fn() -> String) -> Result<SecretString, SecretError> {
    let useless = |problem| SecretError::Useless { origin: origin(), problem };
    if bytes.len() as u64 > SECRET_MAX {
        return Err(useless("it is larger than 64 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| useless("it is not UTF-8 text"))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(useless("it is empty"));
    }
    if text.contains(char::is_control) {
        return Err(useless("it is more than one line"));
    }
    Ok(SecretString::from(text))
}

fn run(words: &[String]) -> Result<SecretString, SecretError> {
    let (program, arguments) = words.split_first().ok_or_else(|| SecretError::Command {
        command: String::new(),
        problem: "it is empty".into(),
    })?;
    let failed = |problem: String| SecretError::Command { command: program.clone(), problem };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Its complaints go where ours go; they are not repeated, they may hold a secret.
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let stdout = child.stdout.take().ok_or_else(|| failed("it has no output".into()))?;
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.take(SECRET_MAX + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let mut waited = Duration::ZERO;
    let status = loop {
        match child.try_wait().map_err(|error| failed(error.to_string()))? {
            Some(status) => break status,
            None if waited >= COMMAND_LIMIT => {
                // It may have ended by itself this moment; either way it is over.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("it did not end within {} s", COMMAND_LIMIT.as_secs())));
            }
            None => {
                std::thread::sleep(COMMAND_LOOK);
                waited += COMMAND_LOOK;
            }
        }
    };
    if !status.success() {
        return Err(failed(format!("it ended with {status}")));
    }
    let bytes = reader
        .join()
        .map_err(|_| failed("its output could not be read".into()))?
        .map_err(|error| failed(error.to_string()))?;
    clean(bytes, || format!("the output of `{program}`"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("secret");
        std::fs::write(&path, "hush\n").expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        let source = SecretSource::File(path.clone());
        assert!(matches!(source.read(), Err(SecretError::Exposed { mode: 0o644, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        assert_eq!(source.read().expect("readable").expose_secret(), "hush");
        std::fs::write(&path, "\n").expect("write");
        assert!(matches!(source.read(), Err(SecretError::Useless { .. })));
    }

    #[test]
    fn a_command_prints_a_token() {
        let words = |text: &[&str]| SecretSource::Command(text.iter().map(|w| (*w).into()).collect());
        assert_eq!(words(&["echo", "token"]).read().expect("runs").expose_secret(), "token");
        assert!(matches!(words(&["false"]).read(), Err(SecretError::Command { .. })));
        assert!(matches!(words(&["/no/such/program"]).read(), Err(SecretError::Command { .. })));
    }
}
