//! smh-mirror
pub mod cli;
pub mod config;
pub mod digest;
pub mod emulator;
pub mod journal;
pub mod mirror;
pub mod service;
pub mod smh;
pub mod tree;
