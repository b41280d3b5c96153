//! The heart: what to do about a difference between disk and library, and doing it.
//!
//! Pure: `plan`, `transfer`, `step`, `backoff`, `brakes`, `limiter`, `gate`, `queue`, `quota`, `audit_page`,
//! `verdict`. Deterministic: `engine`.
//! Shell: `shell`, `run`, `audit`. The way back is a room of its own: [`restore`].

mod audit;
mod audit_page;
mod backoff;
mod brakes;
mod engine;
mod events;
mod facts;
mod gate;
mod limiter;
mod plan;
mod queue;
mod quota;
mod requests;
pub mod restore;
mod run;
mod settings;
mod shell;
#[cfg(test)]
mod simulation;
mod step;
mod transfer;
pub mod verdict;
mod verify;

pub use audit::{Audit, audit};
pub use audit_page::Finding;
pub use engine::Engine;
pub use events::{Event, Sent};
pub use facts::{Fact, Finished, Load};
pub use requests::{Answer, LimitRequest, Pause, Repair, Rescan, Resume, Retry, Untaken};
pub use run::{Observer, RunError, run};
pub use settings::{MirrorSettings, Settings};
pub use shell::{PartsSent, Progress, Sending, Shell, untaken};
pub use verify::{
    Difference, Extra, Listed, Report, Subject, Tally, Told, VerifyError, Waiting, Why, verify,
};
