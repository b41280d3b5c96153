//! The variables that the configuration looks at (shell). A value, so that tests need no `setenv`.

use std::path::PathBuf;

use secrecy::SecretString;

/// What the process was told by its surroundings. Empty variables count as absent.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub xdg_state_home: Option<PathBuf>,
    /// The first folder in `STATE_DIRECTORY`.
    pub state_directory: Option<PathBuf>,
    /// The first folder in `RUNTIME_DIRECTORY`.
    pub runtime_directory: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `CREDENTIALS_DIRECTORY`.
    pub credentials_directory: Option<PathBuf>,
    /// `SMH_MIRROR_LIBRARY_SECRET`.
    pub library_secret: Option<SecretString>,
    /// `SMH_MIRROR_ACCESS_TOKEN`.
    pub access_token: Option<SecretString>,
}

/// Variable that may hold the library secret.
pub(super) const LIBRARY_SECRET: &str = "SMH_MIRROR_LIBRARY_SECRET";
/// Variable that may hold an access token.
pub(super) const ACCESS_TOKEN: &str = "SMH_MIRROR_ACCESS_TOKEN";

/// Variables that no other program may see.
pub const SECRET_VARIABLES: [&str; 2] = [LIBRARY_SECRET, ACCESS_TOKEN];

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn from_process() -> Environment {
        Environment {
            home: folder("HOME"),
            xdg_config_home: folder("XDG_CONFIG_HOME"),
            xdg_state_home: folder("XDG_STATE_HOME"),
            state_directory: first_folder("STATE_DIRECTORY"),
            runtime_directory: first_folder("RUNTIME_DIRECTORY"),
            xdg_runtime_dir: folder("XDG_RUNTIME_DIR"),
            credentials_directory: folder("CREDENTIALS_DIRECTORY"),
            library_secret: secret(LIBRARY_SECRET),
            access_token: secret(ACCESS_TOKEN),
        }
    }

    /// Where this user's configuration belongs; `None` without a home.
    #[must_use]
    pub fn user_config(&self) -> Option<PathBuf> {
        let base = match (&self.xdg_config_home, &self.home) {
            (Some(xdg), _) => xdg.clone(),
            (None, Some(home)) => home.join(".config"),
            (None, None) => return None,
        };
        Some(base.join("smh-mirror").join("config.toml"))
    }

    /// Where the journal lives when the file does not say so.
    #[must_use]
    pub fn default_state_dir(&self) -> Option<PathBuf> {
        if let Some(given) = &self.state_directory {
            return Some(given.clone());
        }
        let base = match (&self.xdg_state_home, &self.home) {
            (Some(xdg), _) => xdg.clone(),
            (None, Some(home)) => home.join(".local/state"),
            (None, None) => return None,
        };
        Some(base.join("smh-mirror"))
    }
}

/// The base directory specification says that relative values are to be ignored.
fn folder(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// systemd puts several folders into one variable, separated by colons.
fn first_folder(name: &str) -> Option<PathBuf> {
    let all = std::env::var_os(name)?;
    std::env::split_paths(&all).find(|path| path.is_absolute())
}

fn secret(name: &str) -> Option<SecretString> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    // Bytes that are not text become U+FFFD, which reading the secret refuses.
    Some(SecretString::from(value.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lives_where_systemd_says_then_xdg_then_home() {
        let mut env = Environment { home: Some("/home/a".into()), ..Environment::default() };
        assert_eq!(env.default_state_dir(), Some("/home/a/.local/state/smh-mirror".into()));
        env.xdg_state_home = Some("/x".into());
        assert_eq!(env.default_state_dir(), Some("/x/smh-mirror".into()));
        env.state_directory = Some("/var/lib/smh-mirror".into());
        assert_eq!(env.default_state_dir(), Some("/var/lib/smh-mirror".into()));
        assert_eq!(Environment::default().default_state_dir(), None);
    }

    #[test]
    fn debug_hides_secrets() {
        let env = Environment {
            library_secret: Some(SecretString::from("hunter2")),
            ..Environment::default()
        };
        assert!(!format!("{env:?}").contains("hunter2"));
    }
}
