//! The heart: what to do about a difference between disk and library, and doing it.
//!
//! Pure: `plan`, `transfer`, `step`, `backoff`, `brakes`, `limiter`, `gate`, `quota`, `audit_page`,
//! `verdict`. Deterministic: `engine`.
//! Shell: `shell`, `run`, `audit`. The way back is a room of its own: [`restore`].

mod audit;
mod audit_page;
mod backoff;
mod brakes;
mod engine;
mod facts;
mod gate;
mod limiter;
mod plan;
mod quota;
pub mod restore;
mod run;
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
pub use facts::{
    Answer, Event, Fact, Finished, LimitRequest, Load, MirrorSettings, Pause, Repair, Rescan,
    Resume, Retry, Sent, Settings,
};
pub use run::{Observer, RunError, run};
pub use shell::{Progress, Sending, Shell};
pub use verify::{
    Difference, Extra, Listed, Report, Subject, Tally, Told, VerifyError, Waiting, Why, verify,
};
