//! Life of the process: putting the rooms together, signals, reloading, the control socket, systemd, logs, metrics.

mod alarms;
mod assemble;
mod control;
mod daemon;
mod hook_process;
mod hooks;
mod live;
mod logging;
mod metrics;
mod observers;
mod reload;
mod reporter;
mod signals;
mod status;
mod status_line;
mod summary;
mod systemd;

pub use assemble::{
    Assembled, Mode, Opened, Prepared, ServiceError, assemble, open_journal, prepare,
    replace_journal, requests_dir, scratch,
};
pub use control::{Answer, Ask, Control, Parts, REPLY_MAX, Reply, Request, Upload, VERSION};
pub use daemon::{DaemonError, daemon};
pub use logging::{LogLevel, init as init_logging};
pub use metrics::MetricsError;
pub use reload::{Applied, Refused, ReloadHandle, Reloads, reloads};
pub use signals::{stop_and_reload_on_signals, stop_on_signals};
