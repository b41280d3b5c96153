//! Deleting copies (shell): nothing is deleted that is not proven to be what a mirror put there.

use secrecy::SecretString;
use serde::Deserialize;

use super::client::{Client, acknowledged, parse};
use super::error::Error;
use super::http::Answer;
use super::issuer::Grant;
use super::operation::Operation;
use super::path::RemotePath;
use super::reply::{Info, Kind};
use super::request::Request;
use crate::failure::Class;

/// Both are a success: 204 without a recycle bin, 200 with one (sheet sections 8 and 9).
const DELETED: &[u16] = &[204, 200];
/// Our own code: what is there is not what the mirror put there.
pub const FOREIGN: &str = "NotOurs";

/// What became of something that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It lies in the recycle bin.
    Recycled,
    /// It is gone for good.
    ForGood,
    /// There was nothing.
    Nothing,
}

/// The answer to a delete with a recycle bin.
#[derive(Debug, Default, Deserialize)]
struct Bin {
    #[serde(rename = "recycledItemId")]
    item: Option<serde_json::Value>,
}

impl Client {
    /// Deletes the file at `path`, provided that it has this content and nothing else. That it is not there is a
    /// success.
    ///
    /// # Errors
    /// Something else is there and was left alone ([`FOREIGN`]), or the service refused.
    pub async fn delete_file(
        &self,
        path: &RemotePath,
        size: u64,
        crc64: u64,
        permanent: bool,
    ) -> Result<Deleted, Error> {
        if !self.is_ours(path, size, crc64).await? {
            return Ok(Deleted::Nothing);
        }
        deleted(self.call(&self.place.delete_file(path, permanent), DELETED).await)
    }

    /// Whether the file at `path` has this content; `false`: nothing is there.
    pub(super) async fn is_ours(
        &self,
        path: &RemotePath,
        size: u64,
        crc64: u64,
    ) -> Result<bool, Error> {
        let Some(found) = self.info(path).await? else { return Ok(false) };
        match not_the_copy(&found, size, crc64) {
            Some(why) => {
                let message = format!("{path} was left alone: {why}");
                let error = Error::local(Operation::Delete, Class::Permanent, message);
                Err(Error { code: Some(FOREIGN.to_owned()), ..error })
            }
            None => Ok(true),
        }
    }

    /// Deletes the directory at `path`, provided that nothing is in it. That it is not there is a success. The
    /// service knows no delete that fails for a directory with something in it (sheet section 8), so what somebody
    /// else puts there between the look and the delete goes with it.
    ///
    /// # Errors
    /// Something is in it, or it is a file ([`FOREIGN`]), or the service refused.
    pub async fn delete_directory(
        &self,
        path: &RemotePath,
        permanent: bool,
    ) -> Result<Deleted, Error> {
        let foreign = |why: &str| {
            let message = format!("{path} was left alone: {why}");
            let error = Error::local(Operation::Delete, Class::Permanent, message);
            Err(Error { code: Some(FOREIGN.to_owned()), ..error })
        };
        if path.is_root() {
            return foreign("it is the root of the space");
        }
        match self.info(path).await? {
            None => return Ok(Deleted::Nothing),
            Some(Info { kind: Kind::Directory, .. }) => {}
            Some(_) => return foreign("it is a file"),
        }
        let page = self.list(path, None).await?;
        if !page.contents.is_empty() || page.next_marker.is_some() {
            return foreign("something is in it that this mirror did not put there");
        }
        deleted(self.call(&self.place.delete_directory(path, permanent), DELETED).await)
    }

    /// Whether the library has a recycle bin (sheet section 10).
    ///
    /// # Errors
    /// The service does not say.
    pub async fn has_recycle_bin(&self) -> Result<bool, Error> {
        match self.call(&self.place.recycle_bin(), &[200]).await {
            Ok(answer) => parse::<serde_json::Value>(Operation::RecycleBin, &answer).map(|_| true),
            Err(error) if error.is("RecycleBinNotEnabled") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a copy that the service stored at `path` although another name was asked (sheet section
    /// 14), provided that it has this content and nothing else. That it is not there is a success.
    ///
    /// The token of a mirror may not allow that. With the library secret, another one that allows
    /// nothing else is made for it and deleted afterwards.
    ///
    /// # Errors
    /// Something else is there and was left alone, or the service refused.
    pub async fn delete_copy(&self, path: &RemotePath, size: u64, crc64: u64) -> Result<(), Error> {
        if !self.is_ours(path, size, crc64).await? {
            return Ok(());
        }
        let request = self.place.delete_file(path, false);
        let refused = match deleted(self.call(&request, DELETED).await) {
            Err(error) if error.is("NoPermission") => error,
            other => return other.map(|_| ()),
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
        deleted(self.once(request, token, DELETED).await).map(|_| ())
    }
}

/// What speaks against removing it; `None`: it is the copy. What the service does not say is not
/// taken for granted.
fn not_the_copy(found: &Info, size: u64, crc64: u64) -> Option<&'static str> {
    if found.kind != Kind::File {
        Some("it is a directory")
    } else if found.size != Some(size) || found.crc64 != Some(crc64) {
        Some("its content is not what this mirror put there")
    } else {
        None
    }
}

/// What the answer to a delete means.
fn deleted(answer: Result<Answer, Error>) -> Result<Deleted, Error> {
    match answer {
        Ok(answer) => {
            acknowledged(Operation::Delete, &answer)?;
            let bin: Bin = serde_json::from_slice(&answer.body).unwrap_or_default();
            Ok(if bin.item.is_some() { Deleted::Recycled } else { Deleted::ForGood })
        }
        Err(error)
            if ["FileNotFound", "DirectoryNotFound", "PathNotFound"]
                .iter()
                .any(|code| error.is(code)) =>
        {
            Ok(Deleted::Nothing)
        }
        Err(error) => Err(error),
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
