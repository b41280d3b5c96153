//! The access token (shell): had from its source, kept while it is good, renewed once for all who wait.
//! Sheet section 2.

use std::sync::Arc;

use reqwest::Client as Http;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::error::{Error, Operation};
use super::http::{self, CALL};
use super::path::encode;
use super::reply::{self, TokenMade};
use crate::clock::Clock;
use crate::config::{Auth, Remote, SecretSource};
use crate::failure::Class;

/// Seconds a token lives after its last use, as we ask for it; the default of the service.
const PERIOD: u64 = 86_400;
/// A token that somebody else makes is looked for again after this long.
const RELOOK_MS: i64 = 30_000;

/// What the daemon is going to do, and so what its token must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Upload with overwrite and make directories.
    Mirror,
}

impl Grant {
    /// The narrowest list that is enough (sheet section 2).
    fn words(self) -> &'static str {
        match self {
            Grant::Mirror => "upload_file_force,create_directory",
        }
    }
}

/// The token of a client.
#[derive(Debug)]
pub(super) struct Tokens {
    http: Http,
    base: String,
    library_id: String,
    space_id: String,
    user_id: Option<String>,
    auth: Auth,
    grant: Grant,
    clock: Clock,
    /// Locked while one is had, so that all who need it wait for the same.
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    token: Arc<SecretString>,
    /// Monotonic time after which another is had before this one is used again.
    renew_at_ms: i64,
}

impl Tokens {
    pub(super) fn new(
        http: Http,
        base: String,
        remote: &Remote,
        grant: Grant,
        clock: Clock,
    ) -> Tokens {
        Tokens {
            http,
            base,
            library_id: remote.library_id.clone(),
            space_id: remote.space_id.clone(),
            user_id: remote.user_id.clone(),
            auth: remote.auth.clone(),
            grant,
            clock,
            held: Mutex::new(None),
        }
    }

    /// The token to use now.
    pub(super) async fn get(&self) -> Result<Arc<SecretString>, Error> {
        let mut held = self.held.lock().await;
        if let Some(held) = &*held
            && self.clock.now().mono_ms < held.renew_at_ms
        {
            return Ok(Arc::clone(&held.token));
        }
        let fresh = self.fetch().await?;
        let token = Arc::clone(&fresh.token);
        *held = Some(fresh);
        Ok(token)
    }

    /// Another token, after `refused` was refused. The first who asks has it made; the others find it.
    pub(super) async fn replace(&self, refused: &SecretString) -> Result<Arc<SecretString>, Error> {
        let mut held = self.held.lock().await;
        if let Some(held) = &*held
            && held.token.expose_secret() != refused.expose_secret()
        {
            return Ok(Arc::clone(&held.token));
        }
        let fresh = self.fetch().await?;
        let token = Arc::clone(&fresh.token);
        *held = Some(fresh);
        Ok(token)
    }

    async fn fetch(&self) -> Result<Held, Error> {
        match &self.auth {
            Auth::LibrarySecret(source) => {
                let secret = read(source.clone()).await?;
                self.make(&secret).await
            }
            Auth::AccessToken(source) => Ok(Held {
                token: Arc::new(read(source.clone()).await?),
                renew_at_ms: self.clock.now().mono_ms.saturating_add(RELOOK_MS),
            }),
        }
    }

    async fn make(&self, secret: &SecretString) -> Result<Held, Error> {
        let mut url = format!(
            "{}/api/v1/token?library_id={}&library_secret={}&period={PERIOD}&grant={}",
            self.base,
            encode(&self.library_id),
            encode(secret.expose_secret()),
            encode(self.grant.words()),
        );
        // Not needed for a single-tenant library, whose space is called `-`.
        if self.space_id != "-" {
            url.push_str("&space_id=");
            url.push_str(&encode(&self.space_id));
        }
        if let Some(user) = &self.user_id {
            url.push_str("&user_id=");
            url.push_str(&encode(user));
        }
        let asked_ms = self.clock.now().mono_ms;
        let operation = Operation::Token;
        let response = self
            .http
            .post(url)
            .timeout(CALL)
            .send()
            .await
            .map_err(|error| http::transport(operation, error))?;
        let answer = http::read(operation, response).await?;
        if answer.status != 200 || reply::is_error_envelope(&answer.body) {
            let refusal = answer.complete(reply::refusal(answer.status, &answer.body));
            return Err(refusal.into_error(operation));
        }
        let made: TokenMade = serde_json::from_slice(&answer.body).map_err(|_| {
            Error::local(
                operation,
                Class::Defect,
                "the answer is not a token; is `endpoint` the SMH service?",
            )
        })?;
        let period_ms = i64::try_from(made.expires_in.unwrap_or(PERIOD))
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        tracing::debug!(period_ms, "made an access token");
        Ok(Held {
            token: Arc::new(SecretString::from(made.access_token)),
            // Use extends it, but only calls that succeed: do not count on that.
            renew_at_ms: asked_ms.saturating_add(period_ms / 4 * 3),
        })
    }
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
