//! `run`: the daemon, in the foreground.

use super::{Exit, Failure, Global, runtime};
use crate::clock::Clock;
use crate::config::Environment;
use crate::mirror::RunError;
use crate::service::{
    Control, DaemonError, ServiceError, daemon, init_logging, prepare, reloads,
    stop_and_reload_on_signals,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(global: &Global, _args: &Args) -> Result<Exit, Failure> {
    let config = global.load()?;
    let log = init_logging(&config.log);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %config.file.display(),
        state_dir = %config.state_dir.display(),
        mirrors = config.mirrors.len(),
        "starting, as {} says",
        config.file.display()
    );
    let clock = Clock::start();
    let runtime = runtime()?;
    // Before the state is taken: whoever sees that it is may ask this process to stop.
    let (reload, asked) = reloads(log);
    let stop = runtime
        .block_on(async { stop_and_reload_on_signals(reload.clone()) })
        .map_err(anyhow::Error::from)?;
    let prepared = prepare(&config, clock)?;
    let ended = runtime.block_on(async {
        let control = Control::open(&config, &Environment::from_process(), &prepared, reload);
        let ended =
            daemon(config, &prepared, clock, stop, asked).await.map_err(|error| match error {
                DaemonError::Service(error) => Failure::from(error),
                DaemonError::Metrics(error) => Failure::from(error),
                DaemonError::Run(RunError::Journal(error)) => {
                    Failure::from(ServiceError::from(error))
                }
                DaemonError::Run(error) => Failure::from(anyhow::Error::from(error)),
            });
        if let Some(control) = control {
            control.close().await;
        }
        ended
    });
    // Uploads that still run are parked: the journal has their keys.
    runtime.shutdown_background();
    drop(prepared.lock);
    ended?;
    tracing::info!("stopped");
    Ok(Exit::Done)
}
