//! Black-box tests

mod config;
mod bed;
mod failing;
mod mirroring;
mod rooms;
