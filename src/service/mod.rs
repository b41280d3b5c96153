//! Life of the process: putting the rooms together, signals, systemd, logs.

mod assemble;
mod daemon;
mod logging;
mod signals;

pub use assemble::{Assembled, Mode, Prepared, ServiceError, assemble, prepare, scratch};
pub use daemon::daemon;
pub use logging::init as init_logging;
pub use signals::stop_on_signals;
