//! The way back: what the library holds of a mirror, into another folder. Knows nothing of the engine, and needs no
//! journal.
//!
//! Pure: `plan`, `retry`, `facts`. Shell: `run`, `list`, `fetch`, `target`, `partial`, `apart`, `times`.

mod apart;
mod facts;
mod fetch;
mod list;
mod local_error;
mod partial;
mod plan;
mod retry;
mod run;
mod target;
mod times;

pub use apart::apart;
pub use facts::{Ended, Event, Observer, Order, Sums};
pub use run::run;
pub use target::{Target, TargetError};
pub use times::Times;
