//! Removing what should not be there (shell): the one thing that a mirror ever deletes by itself.

use secrecy::SecretString;

use super::client::{Client, acknowledged};
use super::error::Error;
use super::issuer::Grant;
use super::operation::Operation;
use super::path::RemotePath;
use super::reply::{Info, Kind};
use super::request::Request;
use crate::failure::Class;

/// Both are a success: 204 without a recycle bin, 200 with one (sheet section 9).
const DELETED: &[u16] = &[204, 200];

impl Client {
    /// Removes a copy that the service stored at `path` although another name was asked (sheet section
    /// 14), provided that it has this content and nothing else. That it is not there is a success.
    ///
    /// The token of a mirror does not allow that. With the library secret, another one that allows
    /// nothing else is made for it and deleted afterwards.
    ///
    /// # Errors
    /// Something else is there and was left alone, or the service refused.
    pub async fn delete_copy(&self, path: &RemotePath, size: u64, crc64: u64) -> Result<(), Error> {
        let Some(found) = self.info(path).await? else { return Ok(()) };
        if let Some(why) = not_the_copy(&found, size, crc64) {
            let message = format!("{path} was left alone: {why}");
            return Err(Error::local(Operation::Delete, Class::Permanent, message));
        }
        let request = self.place.delete_file(path);
        let refused = match absent_is_good(
            self.call(&request, DELETED)
                .await
                .and_then(|answer| acknowledged(Operation::Delete, &answer)),
        ) {
            Err(error) if error.is("NoPermission") => error,
            other => return other,
        };
        let issuer = self.tokens.issuer();
        match issuer.one_off(Grant::DeleteFile).await? {
            None => Err(refused),
            Some(held) => {
                let deleted = self.delete_with(&request, &held.token).await;
                if let Err(error) = issuer.delete(&held.token).await {
                    // It allows one thing and ends by itself.
                    tracing::debug!(%error, "the token for one removal is left to end by itself");
                }
                deleted
            }
        }
    }

    async fn delete_with(&self, request: &Request, token: &SecretString) -> Result<(), Error> {
        absent_is_good(
            self.once(request, token, DELETED)
                .await
                .and_then(|answer| acknowledged(Operation::Delete, &answer)),
        )
    }
}

/// What speaks against removing it; `None`: it is the copy. What the service does not say is not
/// taken for granted.
fn not_the_copy(found: &Info, size: u64, crc64: u64) -> Option<&'static str> {
    if found.kind != Kind::File {
        Some("it is a directory")
    } else if found.size != Some(size) || found.crc64 != Some(crc64) {
        Some("its content is not what was stored")
    } else {
        None
    }
}

fn absent_is_good(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(error) if error.is("FileNotFound") || error.is("PathNotFound") => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_with_exactly_this_content_is_the_copy() {
        let info = |kind, size, crc64| Info { kind, size, crc64 };
        assert_eq!(not_the_copy(&info(Kind::File, Some(7), Some(1)), 7, 1), None);
        for other in [
            info(Kind::Directory, Some(7), Some(1)),
            info(Kind::File, Some(8), Some(1)),
            info(Kind::File, Some(7), Some(2)),
            info(Kind::File, None, Some(1)),
            info(Kind::File, Some(7), None),
        ] {
            assert!(not_the_copy(&other, 7, 1).is_some(), "{other:?}");
        }
    }
}
