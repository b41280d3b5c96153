//! The control socket: what only a living daemon can answer. What is to be *done* is left as a file instead
//! (`mirror/shell/requests.rs`), so that it is done whether the daemon runs now or starts tomorrow.

mod message;
mod place;
mod server;

pub use message::{Answer, Ask, Parts, REPLY_MAX, Reply, Request, Upload, VERSION};
pub use server::Control;
