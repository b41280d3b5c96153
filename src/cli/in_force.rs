//! The configuration that the work goes by: that of the file, or where that is wrong, the one that the daemon has.

use std::path::Path;
use std::time::Duration;

use super::ask::ask;
use super::daemon::Daemon;
use super::verdict::Worker;
use super::{Exit, Failure};
use crate::config::{Config, ConfigError, Environment};
use crate::service::{Answer, Ask};

/// A daemon that works answers at once; nobody waits long for another.
const PATIENCE: Duration = Duration::from_secs(5);

/// A configuration, and what is wrong with the file if it is not the one there.
pub(super) struct InForce {
    pub(super) config: Config,
    pub(super) refused: Option<String>,
}

/// Reads the file at `path`; when what it says is wrong, asks the daemon what it goes by.
///
/// # Errors
/// The file is wrong, and there is no daemon to ask, or it cannot be asked.
pub(super) fn in_force(path: &Path, env: &Environment) -> Result<InForce, Failure> {
    let wrong = match Config::load_without_secret(path, env) {
        Ok(config) => return Ok(InForce { config, refused: None }),
        Err(wrong @ ConfigError::Invalid(_)) => wrong,
        Err(error) => return Err(error.into()),
    };
    let daemon = Config::state_dir_at_least(path, env).map(|dir| Daemon::find_in(&dir));
    // Nobody works there, or nobody knows: the file has to be corrected.
    let Some(Ok(Some(daemon))) = daemon else { return Err(wrong.into()) };
    if daemon.worker() == Worker::Nobody {
        return Err(unasked(&wrong, "it is stopped by a signal"));
    }
    let text = match ask(&daemon, Ask::Configuration, PATIENCE) {
        Ok(Answer::Configuration(text)) => text,
        Ok(_) => return Err(unasked(&wrong, "it answers something else")),
        Err(error) => return Err(unasked(&wrong, &format!("{error:#}"))),
    };
    let config = Config::of_text(path, &text, env)?;
    let refused = format!(
        "{wrong}\nThe daemon works with the configuration that it read before; this answer goes by that one, too. Correct the file, then `smh-mirror reload`."
    );
    Ok(InForce { config, refused: Some(refused) })
}

fn unasked(wrong: &ConfigError, why: &str) -> Failure {
    let exit = Exit::from(wrong.kind());
    let said = format!(
        "{wrong}\nA daemon runs with the configuration that it read before, and cannot be asked for it ({why}): correct the file, and ask again"
    );
    Failure::new(exit, anyhow::anyhow!(said))
}
