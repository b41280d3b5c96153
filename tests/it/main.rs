//! Black-box tests: the real binary, and the emulator over its wire.

#![allow(clippy::unwrap_used, reason = "a surprise ends the test")]

mod asking;
mod bandwidth;
mod bed;
mod bounds;
mod client;
mod config;
mod control;
mod crash;
mod deletes;
mod doctor;
mod emulator;
mod emulator_upload;
mod failing;
mod hooks;
mod linking;
mod logs;
mod long_multipart;
mod matrix;
mod metrics;
mod mirroring;
mod moves;
mod multipart;
mod names;
mod outage;
mod packaging;
mod restore;
mod rooms;
mod rules;
mod scanning;
mod secrets;
mod service;
mod settling;
mod state;
mod tokens;
mod units;
mod verify;
mod watching;
