//! What is read of a file for its digests (shell).

use super::answers::reply;
use super::local::File;
use crate::digest::{BEGINNING_LEN, Digest, Hash};
use crate::mirror::step::{Hashes, Outcome, Part};
use crate::smh::Confirmed;
use crate::tree::Reading;

/// The hashes that a start sends; and the whole digest, if it came out.
pub(super) async fn hashed(
    file: &File,
    hashes: Hashes,
) -> Result<(Option<Hash>, Option<Hash>, Option<Digest>), Outcome> {
    match hashes {
        Hashes::None => {
            // Only whether it still is what it was.
            file.blocking(|_| Ok(())).await?;
            Ok((None, None, None))
        }
        Hashes::Beginning => {
            let digest = file.blocking(|r| r.digest_beginning(BEGINNING_LEN)).await?;
            let whole = file.fingerprint.size <= BEGINNING_LEN;
            Ok((Some(digest.beginning), None, whole.then_some(digest)))
        }
        Hashes::Full => {
            let digest = file.blocking(Reading::digest).await?;
            Ok((Some(digest.beginning), Some(digest.full), Some(digest)))
        }
    }
}

/// The library had the content: what was it?
pub(super) async fn instant(
    file: &File,
    digest: Option<Digest>,
    confirmed: Confirmed,
) -> Result<Outcome, Outcome> {
    let digest = match digest {
        Some(digest) => digest,
        None => file.blocking(Reading::digest).await?,
    };
    Ok(Outcome::Instant { digest, reply: reply(confirmed) })
}

/// Reads a part for its digests.
pub(super) async fn read_part(
    file: &File,
    part: Part,
    after: Option<Hash>,
) -> Result<Outcome, Outcome> {
    let digest = file.blocking(move |open| open.digest_part(part.offset, part.len, after)).await?;
    let Part { number, .. } = part;
    Ok(Outcome::PartRead { number, crc64: digest.crc64, full_hash: digest.full })
}
