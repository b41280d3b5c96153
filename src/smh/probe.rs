//! Questions about the service itself, for who looks into a trouble (shell). They only read.

use super::Operation;
use super::client::{Client, parse};
use super::error::Error;
use super::path::RemotePath;
use super::reply::{Kinds, Quota};
use super::request::Request;

/// No upload has this key.
const NO_UPLOAD: &str = "smh-mirror-asks-for-no-upload";

impl Client {
    /// Makes sure that SMH answers at the endpoint, without credentials. It refuses, and that is the
    /// proof: whoever else listens there does not know its codes.
    ///
    /// # Errors
    /// Nobody answers, or somebody else does.
    pub async fn greet(&self) -> Result<(), Error> {
        let Request { operation, method, path, query, .. } = self.place.info(&RemotePath::root());
        match self.api.call(operation, method, &format!("{path}?{query}"), None, &[]).await {
            Err(error) if error.code.is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes sure that the service can be reached and lets us in.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self) -> Result<(), Error> {
        self.info(&RemotePath::from_segments([".smh-mirror-check"])).await.map(|_| ())
    }

    /// Whether the token allows uploads: the state of an upload is told to nobody else (sheet section
    /// 6). Whether it may overwrite and make directories cannot be asked without doing so.
    ///
    /// # Errors
    /// The service could not be asked.
    pub async fn may_upload(&self) -> Result<bool, Error> {
        match self.upload_status(NO_UPLOAD).await {
            Ok(_) => Ok(true),
            Err(error) if error.is("UploadNotFound") || error.is("ConfirmKeyNotFound") => Ok(true),
            Err(error) if error.is("NoPermission") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How much the space may hold; `None`: it has no quota (sheet section 10).
    ///
    /// # Errors
    /// The service does not say.
    pub async fn quota(&self) -> Result<Option<Quota>, Error> {
        match self.call(&self.place.quota(), &[200]).await {
            Ok(answer) => parse(Operation::Quota, &answer).map(Some),
            Err(error) if error.is("NoQuota") || error.is("QuotaNotFound") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the first page of a directory has images or videos: only a media library calls them
    /// that (sheet section 5). A directory that is not there has none.
    ///
    /// # Errors
    /// The service refused or could not be understood.
    pub async fn holds_media(&self, dir: &RemotePath) -> Result<bool, Error> {
        let request = self.place.list(dir, None);
        let page: Kinds = match self.call(&request, &[200]).await {
            Ok(answer) => parse(Operation::List, &answer)?,
            Err(error) if error.is("DirectoryNotFound") || error.is("PathNotFound") => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        Ok(page.contents.iter().any(|entry| matches!(entry.kind.as_str(), "image" | "video")))
    }

    /// Deletes the token that was made for these questions: it would live for another day.
    pub async fn leave(&self) {
        if let Err(error) = self.tokens.give_back().await {
            tracing::debug!(%error, "the token is left to end by itself");
        }
    }
}
