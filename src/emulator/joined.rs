//! What is known of parts that were joined already.

use md5::{Digest, Md5};

use super::content::{Joining, Sums};

/// The parts of an upload that lie in one file already: the first, and those that follow it without a gap.
pub(super) struct Joined {
    pub(super) chained: Joining,
    /// Of each part: one that comes again, and is another, makes what was joined useless.
    pub(super) parts: Vec<Sums>,
}

impl Default for Joined {
    fn default() -> Joined {
        Joined { chained: Joining::new(), parts: Vec::new() }
    }
}

impl Joined {
    /// What the library knows of it.
    pub(super) fn sums(&self) -> Sums {
        // What COS gives for the ETag of such a content is not its MD5.
        let mut md5 = Md5::new();
        for part in &self.parts {
            md5.update(&part.md5);
        }
        self.chained.clone().done(format!("{}-{}", hex::encode(md5.finalize()), self.parts.len()))
    }
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}
