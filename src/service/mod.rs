//! Life of the process: putting the rooms together, signals, systemd, logs.

mod assemble;
mod daemon;
mod logging;
mod reporter;
mod signals;

pub use assemble::{
    Assembled, Mode, Opened, Prepared, ServiceError, assemble, open_journal, prepare,
    replace_journal, requests_dir, scratch,
};
pub use daemon::{DaemonError, daemon};
pub use logging::init as init_logging;
pub use signals::stop_on_signals;
