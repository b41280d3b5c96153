//! One pass over bytes: full hash, beginning hash, crc64 (pure).

mod digester;
mod hash;

pub use digester::{BEGINNING_LEN, Crc64, Digest, Digester, crc64_of_joined};
pub use hash::{Hash, ParseHashError};
