//! The remote side: tokens, directories, uploads and files of SMH, and the form POST to COS.
//! Knows nothing of journals or folders, and never tries anything twice but a call whose token was refused.

mod api;
mod bucket;
mod classify;
mod client;
mod cos;
mod download;
mod error;
mod http;
mod issuer;
mod listing;
mod meter;
mod operation;
mod parts;
mod path;
mod probe;
mod relocate;
mod remove;
mod reply;
mod request;
mod rounds;
mod skew;
mod throttle;
mod token;

pub use classify::Transport;
pub use client::{Client, DirectoryMade, Start};
pub use cos::{Content, ContentStream, Posted};
pub use download::{Download, Offer};
pub use error::Error;
pub use issuer::{Grant, Rights};
pub use meter::Meter;
pub use operation::Operation;
pub use parts::{Signing, StartParts};
pub use path::RemotePath;
pub use relocate::{DirectoryMoved, is_foreign};
pub use remove::{Deleted, FOREIGN};
pub use reply::{Arrived, Confirmed, Entry, Form, Info, Kind, Page, Quota, UploadState};
pub use rounds::Rounds;
pub use throttle::Throttle;
