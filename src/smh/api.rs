//! One call of SMH (shell): sent, timed, read whole, judged. Never tried twice.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client as Http, Method, Url};

use super::error::Error;
use super::http::{self, Answer, CALL};
use super::meter::Meter;
use super::operation::Operation;
use super::reply;
use super::skew;
use crate::clock::{Clock, Now};

/// No clock is that far off: the skew was never measured.
const UNKNOWN: i64 = i64::MIN;

/// The service at one endpoint.
pub(super) struct Api {
    pub(super) http: Http,
    /// Scheme, host and port. To parse them anew for each call would cost more than to write its path.
    base: Url,
    pub(super) clock: Clock,
    skew_ms: AtomicI64,
    pub(super) meter: Arc<Meter>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Api {
    pub(super) fn new(http: Http, base: Url, clock: Clock, meter: Arc<Meter>) -> Api {
        Api { http, base, clock, skew_ms: AtomicI64::new(UNKNOWN), meter }
    }

    /// The scheme that forms are posted with: plain only where the endpoint is (loopback).
    pub(super) fn scheme(&self) -> &'static str {
        if self.base.scheme() == "http" { "http" } else { "https" }
    }

    /// How far the clock of the service is ahead of ours, by the last answer that told.
    pub(super) fn skew_ms(&self) -> Option<i64> {
        Some(self.skew_ms.load(Ordering::Relaxed)).filter(|skew| *skew != UNKNOWN)
    }

    /// Calls `target`, which is what follows `/api/v1`, encoded; it carries a secret and is never said.
    ///
    /// # Errors
    /// No answer, or one whose status is not among `good`.
    pub(super) async fn call(
        &self,
        operation: Operation,
        method: Method,
        target: &str,
        body: Option<String>,
        good: &[u16],
    ) -> Result<Answer, Error> {
        let mut call = self.http.request(method, self.address(target));
        call = call.timeout(CALL);
        if let Some(body) = body {
            call = call.header(CONTENT_TYPE, "application/json").body(body);
        }
        let sent = self.clock.now();
        let mut received = sent;
        let exchange = async {
            let response = call.send().await.map_err(|error| http::transport(operation, error))?;
            received = self.clock.now();
            http::read(operation, response).await
        };
        let answer = self.meter.request(self.clock, operation, exchange).await?;
        let envelope = answer.status == 200 && reply::is_error_envelope(&answer.body);
        if !envelope && good.contains(&answer.status) {
            self.measure(&answer, sent, received);
            return Ok(answer);
        }
        let refusal = answer.complete(reply::refusal(answer.status, &answer.body));
        // Somebody in between speaks HTTP too, but no code of SMH.
        if refusal.code.is_some() {
            self.measure(&answer, sent, received);
        }
        Err(refusal.into_error(operation))
    }

    fn address(&self, target: &str) -> Url {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let mut url = self.base.clone();
        url.set_path(&format!("/api/v1{path}"));
        url.set_query(query);
        url
    }

    fn measure(&self, answer: &Answer, sent: Now, received: Now) {
        if let Some(skew_ms) =
            answer.date_ms().and_then(|date_ms| skew::skew_ms(sent, received, date_ms))
        {
            self.skew_ms.store(skew_ms, Ordering::Relaxed);
            self.meter.clock_is_off(skew_ms);
        }
    }
}
