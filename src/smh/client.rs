//! The calls a mirror makes (shell). One method a call; nothing is remembered but the token.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::api::Api;
use super::cos::{self, Content, Posted};
use super::error::Error;
use super::http::{self, Answer};
use super::issuer::{Grant, Issuer};
use super::meter::Meter;
use super::operation::Operation;
use super::path::{RemotePath, encode};
use super::reply::{Confirmed, Form, Info, Kind, Page, UploadState};
use super::request::{Place, Request};
use super::throttle::Throttle;
use super::token::Tokens;
use crate::clock::{Clock, to_ms};
use crate::config::Remote;
use crate::digest::Hash;
use crate::failure::Class;

/// A library of the service, and the right to work in it.
#[derive(Debug)]
pub struct Client {
    pub(super) api: Arc<Api>,
    pub(super) place: Place,
    user_id: Option<String>,
    pub(super) tokens: Tokens,
    pub(super) throttle: Throttle,
}

/// How a directory came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryMade {
    /// This call made it.
    New,
    /// It was there already.
    Existed,
}

/// Answer to the start of a form upload (sheet section 3).
#[derive(Debug)]
pub enum Start {
    /// 201: post this form, then confirm.
    Form(Form),
    /// 202: the library may have this content; start again with the full hash.
    NeedFullHash,
    /// 200: the library has this content, and the file exists now.
    Instant(Confirmed),
}

impl Client {
    /// A client for one space. Talks to nobody yet.
    ///
    /// # Errors
    /// A sentence about `ca_file`, `proxy` or the system's trust store.
    pub fn new(remote: &Remote, grant: Grant, clock: Clock) -> Result<Client, String> {
        Client::metered(remote, grant, clock, Arc::default())
    }

    /// The same; what it asks is counted by `meter`.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn metered(
        remote: &Remote,
        grant: Grant,
        clock: Clock,
        meter: Arc<Meter>,
    ) -> Result<Client, String> {
        let base = Url::parse(&remote.endpoint)
            .map_err(|error| format!("remote.endpoint {}: {error}", remote.endpoint))?;
        let api = Arc::new(Api::new(http::build(remote)?, base, clock, meter));
        Ok(Client {
            tokens: Tokens::new(Issuer::new(Arc::clone(&api), remote, grant)),
            api,
            place: Place {
                library_id: remote.library_id.clone(),
                space_id: remote.space_id.clone(),
            },
            user_id: remote.user_id.clone(),
            throttle: Throttle::new(clock),
        })
    }

    /// What all uploads of this client together may send; without a limit at first.
    #[must_use]
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// How far the clock of the service is ahead of ours, in milliseconds; 0 before the first answer.
    #[must_use]
    pub fn clock_skew_ms(&self) -> i64 {
        self.measured_skew_ms().unwrap_or(0)
    }

    /// The same; `None`: no answer told yet. Right to about a second (sheet section 1: `Date`).
    #[must_use]
    pub fn measured_skew_ms(&self) -> Option<i64> {
        self.api.skew_ms()
    }

    /// Makes a directory with all its missing parents. That it exists is a success when it is a directory.
    ///
    /// # Errors
    /// The service refused, or something else is in the way.
    pub async fn create_directory(&self, dir: &RemotePath) -> Result<DirectoryMade, Error> {
        let request = self.place.create_directory(dir);
        match self.acknowledged(&request, &[201, 200, 204]).await {
            Ok(()) => Ok(DirectoryMade::New),
            // The conflict does not say what is there (sheet section 8), so look.
            Err(error) if error.is("SameNameDirectoryOrFileExists") => {
                match self.info(dir).await? {
                    Some(Info { kind: Kind::Directory, .. }) => Ok(DirectoryMade::Existed),
                    Some(_) => Err(Error {
                        message: format!("a file is in the way of the directory {dir}"),
                        ..error
                    }),
                    // A parent is a file, or somebody removed it this moment.
                    None => Err(Error {
                        message: format!("a file is in the way of a parent of the directory {dir}"),
                        ..error
                    }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// What is at `path`; `None`: nothing.
    ///
    /// # Errors
    /// The service refused or could not be understood.
    pub async fn info(&self, path: &RemotePath) -> Result<Option<Info>, Error> {
        let request = self.place.info(path);
        match self.call(&request, &[200]).await {
            Ok(answer) => parse(Operation::Info, &answer).map(Some),
            Err(error) if error.says_nothing_is_there() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One page of a directory, from the beginning or from the marker of the page before. A listing may
    /// lag behind a confirm: what is missing from one is not proven to be gone (sheet section 14).
    ///
    /// # Errors
    /// The service refused or could not be understood.
    pub async fn list(&self, dir: &RemotePath, marker: Option<&str>) -> Result<Page, Error> {
        let request = self.place.list(dir, marker);
        parse(Operation::List, &self.call(&request, &[200]).await?)
    }

    /// Starts a form upload that overwrites.
    ///
    /// # Errors
    /// The service refused or could not be understood.
    pub async fn start_form(
        &self,
        path: &RemotePath,
        size: u64,
        beginning: Option<Hash>,
        full: Option<Hash>,
    ) -> Result<Start, Error> {
        let request = self.place.start_form(path, size, beginning, full);
        let answer = self.call(&request, &[200, 201, 202]).await?;
        match answer.status {
            201 => {
                let mut form: Form = parse(Operation::Start, &answer)?;
                form.tell_by_our_clock(self.clock_skew_ms());
                Ok(Start::Form(form))
            }
            202 => Ok(Start::NeedFullHash),
            _ => parse(Operation::Start, &answer).map(Start::Instant),
        }
    }

    /// How long the throttle makes the upload of so many bytes at least, when that is longer than the form is good for.
    #[must_use]
    pub fn outlasts(&self, form: &Form, bytes: u64) -> Option<Duration> {
        let needs = Duration::from_secs(bytes / self.throttle.rate()?.get());
        let left_ms = form.expires_in_ms(self.api.clock.now().unix_ms)?;
        (to_ms(needs) > left_ms).then_some(needs)
    }

    /// Posts the form to COS, no faster than the throttle allows.
    ///
    /// # Errors
    /// COS refused, or the connection broke; nothing is visible in the library.
    pub async fn post_form(&self, form: &Form, content: Content) -> Result<Posted, Error> {
        cos::post(&self.api, &self.throttle, form, content).await
    }

    /// Makes a posted file visible, overwriting; the service compares the crc64.
    ///
    /// # Errors
    /// The service refused or could not be understood.
    pub async fn confirm(&self, confirm_key: &str, crc64: u64) -> Result<Confirmed, Error> {
        let request = self.place.confirm(confirm_key, crc64);
        parse(Operation::Confirm, &self.call(&request, &[200]).await?)
    }

    /// State of a started upload.
    ///
    /// # Errors
    /// The service refused or could not be understood.
    pub async fn upload_status(&self, confirm_key: &str) -> Result<UploadState, Error> {
        let request = self.place.upload_status(confirm_key);
        parse(Operation::Status, &self.call(&request, &[200]).await?)
    }

    /// Cancels a started upload. That it is unknown is a success.
    ///
    /// # Errors
    /// The service refused.
    pub async fn cancel_upload(&self, confirm_key: &str) -> Result<(), Error> {
        let request = self.place.cancel_upload(confirm_key);
        match self.acknowledged(&request, &[204, 200]).await {
            Ok(()) => Ok(()),
            Err(error) if error.status == Some(404) || error.is("UploadComplete") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A call whose answer has nothing to say but that it is done.
    ///
    /// # Errors
    /// The service refused, or something that does not speak for it answered.
    async fn acknowledged(&self, request: &Request, good: &[u16]) -> Result<(), Error> {
        acknowledged(request.operation, &self.call(request, good).await?)
    }

    /// One call with the token; once more with another token if it was refused.
    pub(super) async fn call(&self, request: &Request, good: &[u16]) -> Result<Answer, Error> {
        let ticket = self.tokens.get().await?;
        match self.once(request, &ticket.token, good).await {
            Err(error) if error.wants_new_token() => {
                let fresh = self.tokens.replace(&ticket).await?;
                if fresh.is_same(&ticket) {
                    return Err(error);
                }
                self.once(request, &fresh.token, good).await
            }
            other => other,
        }
    }

    /// One call with this token.
    pub(super) async fn once(
        &self,
        request: &Request,
        token: &SecretString,
        good: &[u16],
    ) -> Result<Answer, Error> {
        // The query parameter is documented for every call (sheet section 1).
        let mut target = format!("{}?", request.path);
        if !request.query.is_empty() {
            target.push_str(&request.query);
            target.push('&');
        }
        target.push_str("access_token=");
        target.push_str(&encode(token.expose_secret()));
        if let Some(user) = &self.user_id {
            target.push_str("&user_id=");
            target.push_str(&encode(user));
        }
        let Request { operation, method, body, .. } = request;
        self.api
            .call(*operation, method.clone(), &target, body.clone(), good)
            .await
            // The service may repeat what it was told.
            .map_err(|error| error.without(token.expose_secret()))
    }
}

/// Nothing, or the JSON of the service: a page of somebody in between is no acknowledgement.
pub(super) fn acknowledged(operation: Operation, answer: &Answer) -> Result<(), Error> {
    if answer.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    parse::<serde_json::Map<String, serde_json::Value>>(operation, answer).map(|_| ())
}

pub(super) fn parse<T: DeserializeOwned>(
    operation: Operation,
    answer: &Answer,
) -> Result<T, Error> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        // The position tells enough; the content of an answer may be a secret.
        let refusal = answer.complete(super::error::Refusal {
            status: answer.status,
            message: format!(
                "the answer cannot be understood ({:?} at line {} column {})",
                error.classify(),
                error.line(),
                error.column()
            ),
            ..Default::default()
        });
        Error { class: Class::Defect, ..refusal.into_error(operation) }
    })
}
