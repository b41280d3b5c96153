//! Where access tokens come from (shell): made and renewed with the library secret, or left for us by
//! somebody else. Sheet section 2.

use std::fmt;
use std::sync::Arc;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};

use super::api::Api;
use super::error::Error;
use super::http::Answer;
use super::operation::Operation;
use super::path::encode;
use super::reply::TokenMade;
use crate::clock::Now;
use crate::config::{Auth, Config, Delete, Remote, SecretSource};
use crate::failure::Class;

/// Seconds a token lives after its last use, as we ask for it; the default of the service.
const PERIOD: u64 = 86_400;
/// The shortest period there is.
const SHORTEST_PERIOD: u64 = 1_200;
/// A token that somebody else leaves in a file is looked for again after this long.
const RELOOK_MS: i64 = 30_000;
/// A token that could not be renewed is used on, and its renewal tried again after this long.
const RETRY_MS: i64 = 60_000;

/// What a token is for, and so what it must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Upload with overwrite, make directories, move what was renamed, and delete if the configuration wants it.
    Mirror(Rights),
    /// Delete a file, to the recycle bin where there is one.
    DeleteFile,
    /// Look, list and download: an empty list of rights is enough.
    Read,
}

/// What the configuration wants beyond uploading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights {
    /// A mirror deletes copies, into the recycle bin.
    pub recycle: bool,
    /// A mirror deletes copies for good.
    pub permanent: bool,
}

impl Rights {
    /// What the mirrors of a configuration need.
    #[must_use]
    pub fn of(config: &Config) -> Rights {
        let any = |delete| config.mirrors.iter().any(|mirror| mirror.delete == delete);
        Rights { recycle: any(Delete::Recycle), permanent: any(Delete::Permanent) }
    }
}

impl Grant {
    /// The narrowest list that is enough (sheet section 2).
    pub(super) fn words(self) -> String {
        let rights = match self {
            Grant::Mirror(rights) => rights,
            Grant::DeleteFile => return "delete_file".to_owned(),
            Grant::Read => return String::new(),
        };
        let mut words = "upload_file_force,create_directory,move_file,move_directory".to_owned();
        if rights.recycle {
            words.push_str(",delete_file");
        }
        if rights.permanent {
            words.push_str(",delete_file_permanent");
        }
        if rights.recycle || rights.permanent {
            words.push_str(",delete_directory");
        }
        words
    }
}

/// A token and how long to use it, on the clock that never jumps.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) token: Arc<SecretString>,
    renew_at_ms: i64,
    /// Seconds.
    period: u64,
    /// When it ends, milliseconds since the Unix epoch, if it is not used; `None`: nobody said.
    ends_at_ms: Option<i64>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("renew_at_ms", &self.renew_at_ms).finish_non_exhaustive()
    }
}

impl Held {
    /// One that lives for `period` seconds from when it was asked for, at least. Each use that succeeds
    /// extends it; that is not counted on, because nothing tells which uses did.
    fn made(token: SecretString, asked: Now, period: u64) -> Held {
        let period_ms = i64::try_from(period.max(1)).unwrap_or(i64::MAX).saturating_mul(1000);
        let renew_at_ms = asked.mono_ms.saturating_add(period_ms / 4 * 3);
        let ends_at_ms = Some(asked.unix_ms.saturating_add(period_ms));
        Held { token: Arc::new(token), renew_at_ms, period, ends_at_ms }
    }

    /// One that somebody else answers for.
    fn handed(token: SecretString, look_again_ms: i64) -> Held {
        Held {
            token: Arc::new(token),
            renew_at_ms: look_again_ms,
            period: PERIOD,
            ends_at_ms: None,
        }
    }

    /// When it ends unless it is used, milliseconds since the Unix epoch.
    pub(super) fn ends_at_ms(&self) -> Option<i64> {
        self.ends_at_ms
    }

    /// Whether to renew it before its next use.
    pub(super) fn is_due(&self, now_ms: i64) -> bool {
        now_ms >= self.renew_at_ms
    }

    fn postponed(self, now_ms: i64) -> Held {
        Held { renew_at_ms: now_ms.saturating_add(RETRY_MS), ..self }
    }
}

/// Makes, renews, reads and deletes tokens.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) api: Arc<Api>,
    library_id: String,
    space_id: String,
    user_id: Option<String>,
    auth: Auth,
    grant: Grant,
}

impl Issuer {
    pub(super) fn new(api: Arc<Api>, remote: &Remote, grant: Grant) -> Issuer {
        Issuer {
            api,
            library_id: remote.library_id.clone(),
            space_id: remote.space_id.clone(),
            user_id: remote.user_id.clone(),
            auth: remote.auth.clone(),
            grant,
        }
    }

    /// Whether tokens are made here, and not by somebody else.
    pub(super) fn holds_secret(&self) -> bool {
        matches!(self.auth, Auth::LibrarySecret(_))
    }

    fn now_ms(&self) -> i64 {
        self.api.clock.now().mono_ms
    }

    /// A token that was not used before, or the one that is in its place now.
    pub(super) async fn fetch(&self) -> Result<Held, Error> {
        match &self.auth {
            Auth::LibrarySecret(source) => {
                let secret = read(source.clone()).await?;
                self.make(&secret, self.grant, PERIOD).await
            }
            Auth::AccessToken(source) => {
                let token = read(source.clone()).await?;
                let again_ms = match source {
                    SecretSource::File(_) | SecretSource::Credential(_) => {
                        self.now_ms().saturating_add(RELOOK_MS)
                    }
                    // A command may be slow or ask another service: it is run again when the token is
                    // refused. A variable never changes.
                    SecretSource::Command(_) | SecretSource::Value(_) | SecretSource::Nowhere => {
                        i64::MAX
                    }
                };
                Ok(Held::handed(token, again_ms))
            }
        }
    }

    /// A token in place of `held`: renewed, else made or read anew. When neither can be done now, it
    /// stays in use: it may live on, and if it does not, its refusal says so.
    pub(super) async fn refresh(&self, held: Held) -> Held {
        let fresh = match &self.auth {
            Auth::LibrarySecret(_) => match self.renew(&held).await {
                // Nobody could answer, so nobody would make another either.
                Err(error)
                    if matches!(
                        error.class,
                        Class::Transient | Class::Throttled | Class::Offline
                    ) =>
                {
                    Err(error)
                }
                Err(error) => {
                    tracing::debug!(%error, "the access token cannot be renewed; making another");
                    self.fetch().await
                }
                Ok(renewed) => Ok(renewed),
            },
            Auth::AccessToken(_) => self.fetch().await,
        };
        fresh.unwrap_or_else(|error| {
            tracing::warn!(%error, "{error}; the old one is used on");
            held.postponed(self.now_ms())
        })
    }

    /// A short-lived token for one thing that the usual one does not allow. `None`: without the library
    /// secret there is none to be had.
    pub(super) async fn one_off(&self, grant: Grant) -> Result<Option<Held>, Error> {
        let Auth::LibrarySecret(source) = &self.auth else { return Ok(None) };
        let secret = read(source.clone()).await?;
        self.make(&secret, grant, SHORTEST_PERIOD).await.map(Some)
    }

    async fn make(&self, secret: &SecretString, grant: Grant, period: u64) -> Result<Held, Error> {
        let mut target = format!(
            "/token?library_id={}&library_secret={}&period={period}&grant={}",
            encode(&self.library_id),
            encode(secret.expose_secret()),
            encode(&grant.words()),
        );
        // Not needed for a single-tenant library, whose space is called `-`.
        if self.space_id != "-" {
            target.push_str("&space_id=");
            target.push_str(&encode(&self.space_id));
        }
        if let Some(user) = &self.user_id {
            target.push_str("&user_id=");
            target.push_str(&encode(user));
        }
        let asked = self.api.clock.now();
        let answer = self
            .api
            .call(Operation::Token, Method::POST, &target, None, &[200])
            .await
            .map_err(|error| error.without(secret.expose_secret()))?;
        let made = understood(&answer)?;
        let lives = made.expires_in.unwrap_or(period);
        tracing::debug!(grant = grant.words(), seconds = lives, "made an access token");
        Ok(Held::made(made.access_token.into(), asked, lives))
    }

    /// The same token for another period (sheet section 2).
    async fn renew(&self, held: &Held) -> Result<Held, Error> {
        let asked = self.api.clock.now();
        let target = in_path(&self.library_id, &held.token);
        let answer = self
            .api
            .call(Operation::Token, Method::POST, &target, None, &[200])
            .await
            .map_err(|error| error.without(held.token.expose_secret()))?;
        let made = understood(&answer)?;
        // The same period as at its creation, unless the answer says otherwise.
        let lives = made.expires_in.unwrap_or(held.period);
        tracing::debug!(seconds = lives, "renewed the access token");
        Ok(Held::made(made.access_token.into(), asked, lives))
    }

    /// Deletes a token that is not needed any more.
    ///
    /// # Errors
    /// The service did not; the token ends with its period.
    pub(super) async fn delete(&self, token: &SecretString) -> Result<(), Error> {
        let target = in_path(&self.library_id, token);
        self.api
            .call(Operation::Token, Method::DELETE, &target, None, &[204, 200])
            .await
            .map(|_| ())
            .map_err(|error| error.without(token.expose_secret()))
    }
}

/// The token stands in the path here, where it is as secret as in the query.
fn in_path(library_id: &str, token: &SecretString) -> String {
    format!("/token/{}/{}", encode(library_id), encode(token.expose_secret()))
}

fn understood(answer: &Answer) -> Result<TokenMade, Error> {
    serde_json::from_slice::<TokenMade>(&answer.body)
        .ok()
        .filter(|made| !made.access_token.is_empty())
        .ok_or_else(|| {
            Error::local(
                Operation::Token,
                Class::Defect,
                "the answer is not a token; is `endpoint` the SMH service?",
            )
        })
}

async fn read(source: SecretSource) -> Result<SecretString, Error> {
    let read = tokio::task::spawn_blocking(move || source.read()).await;
    match read {
        Ok(Ok(secret)) => Ok(secret),
        Ok(Err(error)) => Err(Error::local(Operation::Token, Class::Auth, error.to_string())),
        Err(_) => Err(Error::local(
            Operation::Token,
            Class::Defect,
            "reading the secret failed unexpectedly",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: i64) -> Now {
        Now { unix_ms: 1_000_000 + mono_ms, mono_ms }
    }

    #[test]
    fn a_token_is_renewed_when_three_quarters_of_its_period_are_over() {
        for (period, due_ms) in [
            (PERIOD, 64_800_000),
            // Shorter than we asked for.
            (1_800, 1_350_000),
            // Nonsense: a second is the least, or every call would make a token.
            (0, 750),
        ] {
            let held = Held::made("t".into(), at(5), period);
            let period_ms = i64::try_from(period.max(1)).unwrap() * 1000;
            assert_eq!(held.ends_at_ms(), Some(1_000_005 + period_ms));
            assert!(!held.is_due(due_ms + 4) && held.is_due(due_ms + 5), "{period}");
        }
        assert!(!Held::made("t".into(), at(5), u64::MAX).is_due(i64::MAX / 2));
        assert!(!Held::handed("t".into(), i64::MAX).is_due(i64::MAX - 1));
    }

    #[test]
    fn a_renewal_that_failed_is_tried_again_in_a_minute() {
        let held = Held::made("t".into(), at(0), 1_200).postponed(900_000);
        assert!(!held.is_due(959_999) && held.is_due(960_000));
    }

    #[test]
    fn a_token_in_a_path_is_one_encoded_segment() {
        let path = in_path("smh/1", &"a/b?c d%".into());
        assert_eq!(path, "/token/smh%2F1/a%2Fb%3Fc%20d%25");
    }

    #[test]
    fn debug_shows_no_token() {
        let said = format!("{:?}", Held::made("hunter2".into(), at(0), 1));
        assert!(!said.contains("hunter2"), "{said}");
    }
}
