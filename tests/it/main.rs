//! Black-box tests: the real binary, and the emulator over its wire.

#![allow(clippy::unwrap_used, reason = "a surprise ends the test")]

mod asking;
mod bed;
mod bounds;
mod client;
mod config;
mod crash;
mod doctor;
mod emulator;
mod emulator_upload;
mod failing;
mod matrix;
mod mirroring;
mod outage;
mod rooms;
mod secrets;
mod state;
mod tokens;
mod watching;
