//! Which file, which state folder, which secrets of the environment (shell: reads the environment once).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::error::ConfigError;

/// The variables that count.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `HOME`
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`
    pub xdg_config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`
    pub xdg_state_home: Option<PathBuf>,
    /// `STATE_DIRECTORY`, which systemd sets; the first of several.
    pub state_directory: Option<PathBuf>,
    /// `CREDENTIALS_DIRECTORY`, which systemd sets.
    pub credentials_directory: Option<PathBuf>,
    /// `SMH_MIRROR_LIBRARY_SECRET`
    pub library_secret: Option<SecretString>,
    /// `SMH_MIRROR_ACCESS_TOKEN`
    pub access_token: Option<SecretString>,
}

impl Environment {
    /// What this process was started with. Empty values count as absent.
    #[must_use]
    pub fn of_process() -> Environment {
        let value = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = |name: &str| value(name).map(PathBuf::from);
        let secret = |name: &str| {
            value(name).and_then(|value: OsString| value.into_string().ok()).map(SecretString::from)
        };
        Environment {
            home: path("HOME"),
            xdg_config_home: path("XDG_CONFIG_HOME"),
            xdg_state_home: path("XDG_STATE_HOME"),
            state_directory: std::env::var("STATE_DIRECTORY")
                .ok()
                .and_then(|list| list.split(':').next().map(PathBuf::from))
                .filter(|path| !path.as_os_str().is_empty()),
            credentials_directory: path("CREDENTIALS_DIRECTORY"),
            library_secret: secret("SMH_MIRROR_LIBRARY_SECRET"),
            access_token: secret("SMH_MIRROR_ACCESS_TOKEN"),
        }
    }

    /// The configuration of this user.
    #[must_use]
    pub fn user_file(&self) -> Option<PathBuf> {
        let base = self
            .xdg_config_home
            .clone()
            .or_else(|| self.home.as_ref().map(|home| home.join(".config")))?;
        Some(base.join("smh-mirror/config.toml"))
    }

    /// The state folder when the configuration names none.
    pub(super) fn default_state_dir(&self) -> Option<PathBuf> {
        self.state_directory.clone().or_else(|| {
            let base = self
                .xdg_state_home
                .clone()
                .or_else(|| self.home.as_ref().map(|home| home.join(".local/state")))?;
            Some(base.join("smh-mirror"))
        })
    }

    /// The configuration to use: the one that was named, else the user's, else the system's.
    ///
    /// # Errors
    /// There is none.
    pub fn locate(&self, named: Option<&Path>) -> Result<PathBuf, ConfigError> {
        if let Some(named) = named {
            return Ok(named.to_path_buf());
        }
        let mut looked: Vec<PathBuf> = self.user_file().into_iter().collect();
        looked.push(PathBuf::from("/etc/smh-mirror/config.toml"));
        match looked.iter().find(|path| path.exists()) {
            Some(found) => Ok(found.clone()),
            None => Err(ConfigError::NotFound { looked }),
        }
    }
}
