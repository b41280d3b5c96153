//! The remote side: tokens, directories, uploads and files of SMH, and the form POST to COS.
//! Knows nothing of journals or folders, and never tries anything twice but a call whose token was refused.

mod classify;
mod client;
mod cos;
mod error;
mod http;
mod path;
mod reply;
mod request;
mod token;

pub use classify::Transport;
pub use client::{Client, DirectoryMade, Start};
pub use cos::{Content, ContentStream, Posted};
pub use error::{Error, Operation};
pub use path::RemotePath;
pub use reply::{Confirmed, Entry, Form, Info, Kind, Page, UploadState};
pub use token::Grant;
