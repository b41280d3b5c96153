//! smh-mirror keeps local folders mirrored, one way, in a Tencent Cloud SMH media library.

pub mod cli;
pub mod clock;
pub mod config;
pub mod digest;
pub mod emulator;
pub mod failure;
pub mod fingerprint;
pub mod journal;
pub mod mirror;
pub mod relpath;
pub mod service;
pub mod smh;
pub mod tree;
