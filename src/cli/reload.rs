//! `reload`: has the daemon read its configuration again, and says what came of it.

use std::time::Duration;

use serde_json::json;

use super::ask::ask;
use super::daemon::Daemon;
use super::in_force::InForce;
use super::verdict::Worker;
use super::{Exit, Failure, Global, output};
use crate::service::{Answer, Ask};

/// Uploads get some seconds to end before the work begins anew.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(global: &Global, _args: &Args) -> Result<Exit, Failure> {
    // A wrong one is for the daemon to refuse, where there is one: it says so in its log and in its status.
    let InForce { config, .. } = global.load_in_force().map_err(|failure| {
        let said = "not reloaded; a daemon that runs keeps the configuration it has";
        Failure::new(failure.exit, failure.error.context(said))
    })?;
    let Some(daemon) = Daemon::find(&config)? else {
        return Err(Failure::new(
            Exit::Unexpected,
            anyhow::anyhow!(
                "no daemon works on {}, so there is nothing to reload: the next `smh-mirror run` reads {}; a daemon that was started with another state_dir keeps it until it is restarted",
                config.state_dir.display(),
                config.file.display()
            ),
        ));
    };
    if daemon.worker() == Worker::Nobody {
        let why = Daemon::idle(Some(&daemon)).unwrap_or_default();
        return Err(Failure::new(Exit::Unexpected, anyhow::anyhow!("not reloaded. {why}")));
    }
    let (exit, said) = match ask(&daemon, Ask::Reload, PATIENCE)? {
        Answer::Reloaded(said) => (Exit::Done, said),
        Answer::Refused(why) => (Exit::Config, why),
        other => return Err(anyhow::anyhow!("the daemon answers something else: {other:?}").into()),
    };
    if global.json {
        output::print_json(&json!({"schema": 1, "reloaded": exit == Exit::Done, "message": said}))?;
        return Ok(exit);
    }
    if exit == Exit::Done {
        output::print_line(&said)?;
        return Ok(exit);
    }
    Err(Failure::new(exit, anyhow::anyhow!(said)))
}
