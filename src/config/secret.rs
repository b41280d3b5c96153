//! Where secrets come from, and reading them (shell).

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::command;
use super::secret_error::{LONGEST, SecretError, SecretTrouble};

/// Where one secret comes from.
#[derive(Clone)]
pub enum SecretSource {
    /// A file that only its owner can read. Read again whenever it is asked for.
    File(PathBuf),
    /// A file in systemd's folder of credentials, which guards it by other means than its mode.
    Credential(PathBuf),
    /// A command that prints it. Run again whenever it is asked for.
    Command(Vec<String>),
    /// Handed over in the environment.
    Value(SecretString),
    /// Nothing names one. Only for commands that never talk to the service.
    Nowhere,
}

/// Arguments of a command may hold a secret, so only its name is shown.
impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::File(path) => f.debug_tuple("File").field(path).finish(),
            SecretSource::Credential(path) => f.debug_tuple("Credential").field(path).finish(),
            SecretSource::Command(words) => {
                f.debug_tuple("Command").field(&words.first()).finish_non_exhaustive()
            }
            SecretSource::Value(_) => f.write_str("Value([REDACTED])"),
            SecretSource::Nowhere => f.write_str("Nowhere"),
        }
    }
}

/// The same place, and for a value the same secret: what a secret is has no equality by itself.
impl PartialEq for SecretSource {
    fn eq(&self, other: &SecretSource) -> bool {
        match (self, other) {
            (SecretSource::File(a), SecretSource::File(b))
            | (SecretSource::Credential(a), SecretSource::Credential(b)) => a == b,
            (SecretSource::Command(a), SecretSource::Command(b)) => a == b,
            (SecretSource::Value(a), SecretSource::Value(b)) => {
                a.expose_secret() == b.expose_secret()
            }
            (SecretSource::Nowhere, SecretSource::Nowhere) => true,
            _ => false,
        }
    }
}

impl SecretSource {
    /// Reads the secret as it is now. Blocks: a command may take half a minute.
    ///
    /// # Errors
    ///
    /// When it cannot be had, or when others could have it too.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            SecretSource::File(path) => read_file(path, true),
            SecretSource::Credential(path) => read_file(path, false),
            SecretSource::Command(words) => {
                let place = self.place();
                let bytes = command::output(words, command::LIMIT)
                    .map_err(|trouble| SecretError::new(place.clone(), trouble))?;
                accept(bytes).map_err(|trouble| SecretError::new(place, trouble))
            }
            SecretSource::Value(secret) => accept(secret.expose_secret().as_bytes().to_vec())
                .map_err(|trouble| SecretError::new(self.place(), trouble)),
            SecretSource::Nowhere => Err(SecretError::new(self.place(), SecretTrouble::Nowhere)),
        }
    }

    /// Where it comes from, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            SecretSource::File(path) | SecretSource::Credential(path) => path.display().to_string(),
            SecretSource::Command(words) => {
                format!("the command {}", words.first().map_or("", String::as_str))
            }
            SecretSource::Value(_) => "the variable with the secret".to_owned(),
            SecretSource::Nowhere => "the way to be let in".to_owned(),
        }
    }
}

fn read_file(path: &Path, guarded_by_mode: bool) -> Result<SecretString, SecretError> {
    let wrong = |trouble| SecretError::new(path.display().to_string(), trouble);
    let io = |error: std::io::Error| {
        wrong(match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => SecretTrouble::Missing,
            ErrorKind::PermissionDenied => SecretTrouble::Denied,
            _ => SecretTrouble::Io(error),
        })
    };
    // Opened once and asked by descriptor: what is checked is what is read. Not blocking, because
    // opening a pipe would wait for someone to write into it.
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC).bits();
    let file =
        File::options().read(true).custom_flags(flags.cast_signed()).open(path).map_err(io)?;
    let facts = file.metadata().map_err(io)?;
    if !facts.is_file() {
        return Err(wrong(SecretTrouble::NotAFile));
    }
    let mode = facts.mode() & 0o7777;
    if guarded_by_mode && mode & 0o077 != 0 {
        return Err(wrong(SecretTrouble::Exposed(mode)));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(io)?;
    accept(bytes).map_err(wrong)
}

/// Takes what was read as a secret: one line of text. It ends up in headers and URLs, where a
/// control character would be more than a wrong password.
pub(super) fn accept(mut bytes: Vec<u8>) -> Result<SecretString, SecretTrouble> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err(SecretTrouble::TooLong);
    }
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    let text = String::from_utf8(bytes).map_err(|_| SecretTrouble::NotText)?;
    if text.trim().is_empty() {
        return Err(SecretTrouble::Empty);
    }
    if text.chars().any(|symbol| symbol.is_control() || symbol == char::REPLACEMENT_CHARACTER) {
        return Err(SecretTrouble::NotText);
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(bytes: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn reads_a_guarded_file_without_its_line_end() {
        let (_dir, path) = written(b"hunter2\n", 0o600);
        assert_eq!(SecretSource::File(path).read().unwrap().expose_secret(), "hunter2");
    }

    #[test]
    fn refuses_a_file_that_others_can_read_but_not_a_credential() {
        for mode in [0o640, 0o604, 0o644, 0o660] {
            let (_dir, path) = written(b"hunter2", mode);
            let error = SecretSource::File(path.clone()).read().unwrap_err();
            assert!(matches!(error.trouble, SecretTrouble::Exposed(found) if found == mode));
            assert!(error.to_string().contains("chmod 600"), "{error}");
            assert!(SecretSource::Credential(path).read().is_ok());
        }
    }

    #[test]
    fn refuses_what_is_no_secret() {
        let long = vec![b'a'; 70_000];
        let cases: [(&[u8], &str); 6] = [
            (b"", "empty"),
            (b"\n\n", "empty"),
            (b"two\nlines\n", "one line"),
            (b"\xff\xfe", "one line"),
            (b"a\0b", "one line"),
            (&long, "more than"),
        ];
        for (bytes, said) in cases {
            let (_dir, path) = written(bytes, 0o600);
            let error = SecretSource::File(path).read().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains("lines"), "shows what it read: {error}");
        }
    }

    #[test]
    fn names_what_is_missing_or_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = SecretSource::File(dir.path().join("none")).read().unwrap_err();
        assert!(matches!(error.trouble, SecretTrouble::Missing));
        let error = SecretSource::File(dir.path().to_path_buf()).read().unwrap_err();
        assert!(matches!(error.trouble, SecretTrouble::NotAFile));
    }

    #[test]
    fn debug_shows_neither_values_nor_arguments() {
        let command = SecretSource::Command(vec!["vault".into(), "hunter2".into()]);
        let value = SecretSource::Value(SecretString::from("hunter2"));
        let text = format!("{command:?} {value:?} {} {}", command.place(), value.place());
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("vault"), "{text}");
    }
}
