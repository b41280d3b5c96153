//! Which configuration file is meant (shell).

use std::path::{Path, PathBuf};

use super::{Config, ConfigError, Environment};

/// The place for the whole machine.
pub const SYSTEM_CONFIG: &str = "/etc/smh-mirror/config.toml";

impl Config {
    /// The file that was named, else this user's, else the machine's.
    ///
    /// # Errors
    ///
    /// When none was named and none exists; the message names the places.
    pub fn locate(explicit: Option<&Path>, env: &Environment) -> Result<PathBuf, ConfigError> {
        locate_among(explicit, env, Path::new(SYSTEM_CONFIG))
    }
}

fn locate_among(
    explicit: Option<&Path>,
    env: &Environment,
    system: &Path,
) -> Result<PathBuf, ConfigError> {
    if let Some(path) = explicit.filter(|path| !path.as_os_str().is_empty()) {
        return Ok(path.to_path_buf());
    }
    let mut looked_at = Vec::new();
    for place in env.user_config().into_iter().chain([system.to_path_buf()]) {
        // A file that cannot be looked at is there: loading it says why it cannot be read, whereas
        // passing over it would start with the wrong configuration.
        if place.try_exists().unwrap_or(true) {
            return Ok(place);
        }
        looked_at.push(place);
    }
    Err(ConfigError::NotFound { looked_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_file_wins_then_the_users_then_the_machines() {
        let dir = tempfile::tempdir().unwrap();
        let system = dir.path().join("system.toml");
        let env =
            Environment { xdg_config_home: Some(dir.path().join("xdg")), ..Environment::default() };
        let named = Path::new("/named.toml");
        assert_eq!(locate_among(Some(named), &env, &system).unwrap(), named);

        let none = locate_among(None, &env, &system).unwrap_err().to_string();
        assert!(none.contains("xdg/smh-mirror/config.toml"), "{none}");
        assert!(none.contains("system.toml"), "{none}");
        assert!(none.contains("smh-mirror config init"), "{none}");

        std::fs::write(&system, "").unwrap();
        assert_eq!(locate_among(None, &env, &system).unwrap(), system);

        let user = env.user_config().unwrap();
        std::fs::create_dir_all(user.parent().unwrap()).unwrap();
        std::fs::write(&user, "").unwrap();
        assert_eq!(locate_among(None, &env, &system).unwrap(), user);
        assert_eq!(locate_among(Some(Path::new("")), &env, &system).unwrap(), user);
    }
}
