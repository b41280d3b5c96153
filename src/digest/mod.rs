//! One pass over bytes: full hash, beginning hash, crc64 (pure).

mod digester;
mod hash;

pub use digester::{BEGINNING_LEN, Digest, Digester};
pub use hash::{Hash, ParseHashError};
