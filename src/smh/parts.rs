//! Multipart uploads (shell): starting one, signatures and their renewal, sending a part to COS. Sheet section 7.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::Deserialize;

use super::api::Api;
use super::classify::Transport;
use super::client::{Client, parse};
use super::cos::{ContentStream, FormBody, Progress, SECRET_LEN};
use super::error::Error;
use super::http;
use super::operation::Operation;
use super::path::{RemotePath, encode};
use super::reply::{self, Confirmed, Fields};
use super::skew::by_our_clock;
use crate::digest::Hash;
use crate::failure::Class;

/// Parts that are signed at a time; the service signs at most 100.
const SIGNED: u32 = 50;
/// Signatures are renewed when less than this is left of them, as the SDKs do, in milliseconds; of short-lived ones
/// when a quarter is left.
const RENEW_MS: i64 = 5 * 60 * 1000;

/// Answer to the start of an upload in parts.
#[derive(Debug)]
pub enum StartParts {
    /// 201: send the parts, then confirm.
    Signed(Signing),
    /// 202: the library may have this content; start again with the full hash.
    NeedFullHash,
    /// 200: the library has this content, and the file exists now.
    Instant(Confirmed),
}

/// Where parts go, and what they are signed with. That is a secret: no `Debug`.
pub struct Signing {
    /// Names the started upload.
    pub confirm_key: String,
    /// When the signatures expire by our clock, milliseconds since the Unix epoch, if the service says.
    pub expires_at_ms: Option<i64>,
    /// How long they were good for when they came, in milliseconds.
    life_ms: i64,
    place: Place,
    signatures: Signatures,
}

/// The upload at COS.
#[derive(Clone)]
struct Place {
    domain: String,
    path: String,
    upload_id: String,
}

/// The two dialects of the service.
enum Signatures {
    /// One set of headers for all parts.
    Shared(Fields),
    /// One for each part that was asked for.
    Each(BTreeMap<u32, Fields>),
}

/// What the service hands out, at the start or again; at a renewal some of it may be missing.
#[derive(Deserialize)]
struct Raw {
    domain: Option<String>,
    path: Option<String>,
    #[serde(rename = "uploadId")]
    upload_id: Option<String>,
    headers: Option<Fields>,
    parts: Option<BTreeMap<u32, RawPart>>,
    #[serde(rename = "confirmKey")]
    confirm_key: Option<String>,
    expiration: Option<String>,
}

#[derive(Deserialize)]
struct RawPart {
    headers: Fields,
}

/// The state of an upload, as far as it tells where parts go (sheet section 6).
#[derive(Deserialize)]
struct RawState {
    #[serde(rename = "uploadId")]
    upload_id: Option<String>,
    #[serde(rename = "uploadPartInfo")]
    info: Option<RawPlace>,
}

#[derive(Deserialize)]
struct RawPlace {
    domain: Option<String>,
    path: Option<String>,
    #[serde(rename = "uploadId")]
    upload_id: Option<String>,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing")
            .field("expires_at_ms", &self.expires_at_ms)
            .finish_non_exhaustive()
    }
}

impl Signing {
    /// What a part is signed with, if that is known and lasts for a while.
    fn of(&self, number: u32, now_ms: i64) -> Option<&Fields> {
        let margin_ms = RENEW_MS.min(self.life_ms / 4);
        if self.expires_at_ms.is_some_and(|at| at.saturating_sub(now_ms) <= margin_ms) {
            return None;
        }
        match &self.signatures {
            Signatures::Shared(headers) => Some(headers),
            Signatures::Each(parts) => parts.get(&number),
        }
    }
}

/// The parts that are signed together with one, of `count`.
fn window(number: u32, count: u32) -> RangeInclusive<u32> {
    let last = number.saturating_add(SIGNED - 1).min(count);
    number..=last.max(number)
}

impl Client {
    /// Starts an upload in `parts` parts that overwrites.
    ///
    /// # Errors
    /// The service refused or could not be understood.
    pub async fn start_parts(
        &self,
        path: &RemotePath,
        size: u64,
        beginning: Option<Hash>,
        full: Option<Hash>,
        parts: u32,
    ) -> Result<StartParts, Error> {
        let request = self.place.start_parts(path, size, beginning, full, window(1, parts));
        let answer = self.call(&request, &[200, 201, 202]).await?;
        match answer.status {
            201 => {
                let raw: Raw = parse(Operation::Start, &answer)?;
                let confirm_key = raw
                    .confirm_key
                    .clone()
                    .ok_or_else(|| incomplete(Operation::Start, "a confirm key"))?;
                let place = place_of(&raw, None)
                    .ok_or_else(|| incomplete(Operation::Start, "where the parts go"))?;
                self.signing(Operation::Start, confirm_key, place, raw).map(StartParts::Signed)
            }
            202 => Ok(StartParts::NeedFullHash),
            _ => parse(Operation::Start, &answer).map(StartParts::Instant),
        }
    }

    /// New signatures for `number` and the parts after it. `known`: those before, if this process had any.
    ///
    /// # Errors
    /// The service refused or could not be understood.
    pub async fn renew_parts(
        &self,
        confirm_key: &str,
        number: u32,
        parts: u32,
        known: Option<&Signing>,
    ) -> Result<Signing, Error> {
        let request = self.place.renew(confirm_key, window(number, parts));
        let raw: Raw = parse(Operation::Renew, &self.call(&request, &[200, 201]).await?)?;
        let place = match place_of(&raw, known.map(|known| &known.place)) {
            Some(place) => place,
            // Not said whether a renewal repeats it (sheet section 7): the state of the upload does.
            None => self.place_of_upload(confirm_key).await?,
        };
        self.signing(Operation::Renew, confirm_key.to_owned(), place, raw)
    }

    async fn place_of_upload(&self, confirm_key: &str) -> Result<Place, Error> {
        let request = self.place.upload_info(confirm_key);
        let state: RawState = parse(Operation::Status, &self.call(&request, &[200]).await?)?;
        let info = state.info.unwrap_or(RawPlace { domain: None, path: None, upload_id: None });
        match (info.domain, info.path, info.upload_id.or(state.upload_id)) {
            (Some(domain), Some(path), Some(upload_id)) => Ok(Place { domain, path, upload_id }),
            _ => Err(incomplete(Operation::Status, "where the parts go")),
        }
    }

    fn signing(
        &self,
        operation: Operation,
        confirm_key: String,
        place: Place,
        raw: Raw,
    ) -> Result<Signing, Error> {
        let signatures = match (raw.parts, raw.headers) {
            (Some(parts), _) => Signatures::Each(
                parts.into_iter().map(|(number, part)| (number, part.headers)).collect(),
            ),
            (None, Some(headers)) => Signatures::Shared(headers),
            (None, None) => return Err(incomplete(operation, "signatures")),
        };
        let expires_at_ms = raw
            .expiration
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(|at| by_our_clock(at.as_millisecond(), self.clock_skew_ms()));
        let now_ms = self.api.clock.now().unix_ms;
        let life_ms = expires_at_ms.map_or(0, |at| at.saturating_sub(now_ms).max(0));
        Ok(Signing { confirm_key, expires_at_ms, life_ms, place, signatures })
    }

    /// Whether `signing` still serves for a part.
    #[must_use]
    pub fn is_signed(&self, signing: &Signing, number: u32) -> bool {
        signing.of(number, self.api.clock.now().unix_ms).is_some()
    }

    /// Sends a part of `len` bytes. Gives its crc64 as COS computed it, if it says.
    ///
    /// # Errors
    /// COS refused, or the connection broke.
    pub async fn send_part(
        &self,
        signing: &Signing,
        number: u32,
        len: u64,
        stream: ContentStream,
    ) -> Result<Option<u64>, Error> {
        let operation = Operation::Part;
        let headers = signing.of(number, i64::MIN).ok_or_else(|| {
            incomplete(Operation::Renew, "a signature for one of the parts that were asked for")
        })?;
        let Place { domain, path, upload_id } = &signing.place;
        let url = format!(
            "{}://{domain}{path}?uploadId={}&partNumber={number}",
            self.api.scheme(),
            encode(upload_id)
        );
        let progress = Arc::new(Progress::new(self.api.clock));
        let body = FormBody::bare(
            len,
            stream,
            &self.throttle,
            Arc::clone(&self.api.meter),
            Arc::clone(&progress),
        );
        let mut request = self.api.http.put(url).body(reqwest::Body::wrap(body));
        for (name, value) in &headers.0 {
            // What the connection itself says is said once.
            if !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("content-length") {
                request = request.header(name, value);
            }
        }
        let exchange = async {
            let call = async {
                let sent = request.send().await;
                http::read(operation, sent.map_err(|error| http::transport(operation, error))?)
                    .await
            };
            tokio::select! {
                answer = call => answer,
                () = progress.stalled() => {
                    Err(Error::transport(operation, Transport::TimedOut, "the connection stalled"))
                }
            }
        };
        let Api { clock, meter, .. } = &*self.api;
        let answer = meter.request(*clock, operation, exchange).await?;
        if !(200..300).contains(&answer.status) {
            let refusal = answer.complete(reply::cos_refusal(answer.status, &answer.body));
            let secrets =
                headers.0.iter().map(|(_, value)| value).filter(|v| v.len() >= SECRET_LEN);
            let error = refusal.into_error(operation);
            return Err(secrets.fold(error, |error, secret| error.without(secret)));
        }
        Ok(answer
            .headers
            .get("x-cos-hash-crc64ecma")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse().ok()))
    }
}

/// Where parts go, by an answer and by what was known before.
fn place_of(raw: &Raw, known: Option<&Place>) -> Option<Place> {
    Some(Place {
        domain: raw.domain.clone().or_else(|| known.map(|known| known.domain.clone()))?,
        path: raw.path.clone().or_else(|| known.map(|known| known.path.clone()))?,
        upload_id: raw.upload_id.clone().or_else(|| known.map(|known| known.upload_id.clone()))?,
    })
}

fn incomplete(operation: Operation, what: &str) -> Error {
    Error::local(operation, Class::Defect, format!("the answer does not say {what}"))
}
