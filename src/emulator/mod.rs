//! An SMH library and its COS bucket on loopback: for demonstrations, for tests, and for people who
//! test their own clients. Faithful to the fact sheet; where the sheet marks something unknown, the
//! emulator's column of section 14 decides.
//!
//! Shares no code with the client, so that bugs cannot cancel out.

mod batch;
mod content;
mod context;
mod control;
mod cos;
mod directory;
mod dispatch;
mod faults;
mod file;
mod flat;
mod form_data;
mod joined;
mod library;
mod log;
mod multipart;
mod policy;
mod recycled;
mod reply;
mod route;
mod server;
mod store;
mod time;
mod token;
mod upload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use server::{Running, StartError, start};

/// How the emulator behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one. Only loopback: the control routes know no password.
    pub listen: SocketAddr,
    /// Where everything lies; content as plain files under `objects`.
    pub data: PathBuf,
    /// Certificate and key, to serve HTTPS.
    pub tls: Option<Tls>,
    /// The one library there is.
    pub library_id: String,
    /// Its secret.
    pub library_secret: String,
    /// The one space there is; `-` as in a single-tenant library.
    pub space_id: String,
    /// Whether deleted things go to a recycle bin.
    pub recycle_bin: bool,
    /// Bytes that fit into the space.
    pub quota: Option<u64>,
    /// A media library: one level of albums, only media files.
    pub media: bool,
    /// How long a form can be posted (sheet section 3: ten minutes).
    pub form_life: Duration,
    /// How long the signed address of a download is good (sheet section 9: about two hours).
    pub address_life: Duration,
    /// How long a confirm key is known (sheet section 14: a day).
    pub key_life: Duration,
    /// Longest period of a token, whatever is asked for (sheet section 2: 30 minutes were seen).
    pub token_life: Option<Duration>,
    /// Speaks the old dialect of uploads in parts, whatever is asked for (sheet section 7).
    pub old_multipart: bool,
}

/// Certificate and key in PEM files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Options {
    /// A library that keeps its data in `data`, on a free port of 127.0.0.1.
    #[must_use]
    pub fn new(data: PathBuf) -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data,
            tls: None,
            library_id: "smhemulator".to_owned(),
            library_secret: "emulator-secret".to_owned(),
            space_id: "-".to_owned(),
            recycle_bin: false,
            quota: None,
            media: false,
            form_life: Duration::from_secs(600),
            address_life: Duration::from_secs(7_200),
            key_life: Duration::from_secs(86_400),
            token_life: None,
            old_multipart: false,
        }
    }
}
