//! smh-mirror keeps local folders mirrored, one way, in a Tencent Cloud SMH media library.
//!
//! # The map
//!
//! A room knows only rooms below it: [`cli`] → [`service`] → [`mirror`] → [`tree`], [`smh`], [`journal`] →
//! [`digest`], [`config`] → the ground ([`failure`], [`clock`], [`fingerprint`], [`relpath`], [`wording`]). The
//! [`emulator`] stands beside them and shares nothing.
//!
//! # How a change flows
//!
//! The watcher hints at a path, or a scan lists it ([`tree`]). The engine ([`mirror`]) merges what was seen into
//! the [`journal`], in one transaction a turn, and derives what is to be done: a file whose seen state is not the
//! confirmed one is uploaded ([`smh`]): start, post, confirm. Each outcome is a fact of a later turn.

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
pub mod wording;
