//! Numbers for Prometheus: counted in memory while things happen (`counters`, and `smh::Meter` for the requests), and
//! read from the journal when somebody asks (`gauges`). Names, codes and numbers only: no path, no address, no secret.

mod counters;
mod gauges;
mod known;
mod process;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;
use crate::config::Config;
use crate::mirror::Observer;
use crate::smh::Meter;
use counters::{Counters, Counting};
use server::Scraper;

/// The numbers of the metrics cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics at {listen}: {source}; {}", next(.source))]
pub struct MetricsError {
    /// The address of the configuration.
    pub listen: SocketAddr,
    /// What the system said.
    pub source: std::io::Error,
}

fn next(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program listens there: end it, or name another port as metrics.listen"
        }
        std::io::ErrorKind::PermissionDenied => {
            "name a port from 1024 up as metrics.listen: lower ones need a right of their own"
        }
        _ => "name an address of this machine as metrics.listen",
    }
}

/// Everything that is counted in this process. It outlives runs and configurations, so that no counter goes back.
#[derive(Debug)]
pub(super) struct Metrics {
    counters: Arc<Counters>,
    meter: Arc<Meter>,
    /// Nobody waits for a scrape that is cut.
    _serving: Option<AbortOnDropHandle<()>>,
}

impl Metrics {
    /// Begins to count, and to tell about the mirrors of the configuration in force, if that says where. To be called
    /// in a runtime.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(super) fn serve(
        config: watch::Receiver<Arc<Config>>,
        clock: Clock,
    ) -> Result<Metrics, MetricsError> {
        let counters: Arc<Counters> = Arc::default();
        let meter: Arc<Meter> = Arc::default();
        let listen = config.borrow().metrics.listen;
        let serving = match listen {
            None => None,
            Some(listen) => {
                let failed = |source| MetricsError { listen, source };
                let listener = server::bind(listen).map_err(failed)?;
                let at = listener.local_addr().map_err(failed)?;
                let scraper =
                    Scraper::new(clock, Arc::clone(&counters), Arc::clone(&meter), config);
                tracing::info!("metrics are served at http://{at}/metrics");
                Some(AbortOnDropHandle::new(tokio::spawn(server::serve(
                    listener,
                    Arc::new(scraper),
                ))))
            }
        };
        Ok(Metrics { counters, meter, _serving: serving })
    }

    /// What counts the requests of a client.
    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// What counts the events of a run.
    pub(super) fn observer(&self) -> impl Observer + use<> {
        Counting(Arc::clone(&self.counters))
    }
}
