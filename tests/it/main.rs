//! Black-box tests

mod bed;
mod config;
mod failing;
mod mirroring;
mod rooms;
