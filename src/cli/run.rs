//! `run`: the daemon, in the foreground.

use super::{Exit, Failure, Global, runtime};
use crate::clock::Clock;
use crate::mirror::RunError;
use crate::service::{DaemonError, ServiceError, daemon, init_logging, prepare, stop_on_signals};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(global: &Global, _args: &Args) -> Result<Exit, Failure> {
    let config = global.load()?;
    init_logging(&config.log);
    let clock = Clock::start();
    let prepared = prepare(&config, clock)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let stop = stop_on_signals().map_err(anyhow::Error::from)?;
        daemon(&config, &prepared, clock, stop).await.map_err(|error| match error {
            DaemonError::Service(error) => Failure::from(error),
            DaemonError::Run(RunError::Journal(error)) => Failure::from(ServiceError::from(error)),
            DaemonError::Run(error) => Failure::from(anyhow::Error::from(error)),
        })
    });
    // Uploads that still run are parked: the journal has their keys.
    runtime.shutdown_background();
    drop(prepared.lock);
    ended?;
    tracing::info!("stopped");
    Ok(Exit::Done)
}
