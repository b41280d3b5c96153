//! Downloads (shell): what a file of the library is and where its content lies, and the content itself. Sheet
//! section 9.
//!
//! The address is signed for about two hours and is as secret as a token. It is never kept: whoever needs it again
//! asks again.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderMap, RANGE};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::classify::Transport;
use super::client::{Client, parse};
use super::error::{Error, Refusal};
use super::http::{self, Answer};
use super::operation::Operation;
use super::path::RemotePath;
use super::reply::{self, Info};
use crate::failure::Class;

/// A download that brings no byte for this long is given up.
const STALL: Duration = Duration::from_secs(60);
/// Values of an address of this length and more are taken for secrets.
const SECRET_LEN: usize = 16;

/// A file of the library, and where its content can be had.
#[derive(Clone)]
pub struct Offer {
    /// What it is.
    pub info: Info,
    /// When its content was last changed, milliseconds since the Unix epoch: as the one who uploaded it said, else when
    /// it was uploaded.
    pub modified_at_ms: Option<i64>,
    /// The signed address; `None` for a directory.
    address: Option<String>,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer").field("info", &self.info).finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for Offer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Offer, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            #[serde(flatten)]
            info: Info,
            #[serde(default)]
            cos_url: Option<String>,
            #[serde(default)]
            modification_time: Option<String>,
            #[serde(default)]
            local_modification_time: Option<String>,
        }
        let raw = Raw::deserialize(deserializer)?;
        let time = |text: Option<String>| {
            text?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
        };
        Ok(Offer {
            info: raw.info,
            modified_at_ms: time(raw.local_modification_time)
                .or_else(|| time(raw.modification_time)),
            address: raw.cos_url,
        })
    }
}

/// A content that is on its way.
pub struct Download {
    response: Response,
    from: u64,
    /// CRC-64 of the whole object as COS says, if it says.
    pub crc64: Option<u64>,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Client {
    /// What is at `path` and where its content lies; `None`: nothing.
    ///
    /// # Errors
    /// The service refused or could not be understood.
    pub async fn offer(&self, path: &RemotePath) -> Result<Option<Offer>, Error> {
        let request = self.place.file_info(path);
        match self.call(&request, &[200]).await {
            Ok(answer) => parse(Operation::Info, &answer).map(Some),
            Err(error) if error.says_nothing_is_there() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks COS for the content of an offer from the byte `from` on. It may begin earlier: see [`Download::from`].
    ///
    /// # Errors
    /// COS refused, or the connection broke. An address that ended, and an object that is not there any more, is stale:
    /// a new offer tells.
    pub async fn download(&self, offer: &Offer, from: u64) -> Result<Download, Error> {
        let operation = Operation::Download;
        let url = offer.address.as_deref().ok_or("the service gave no address for it");
        let url = url
            .and_then(|text| address(text, self.api.scheme()))
            .map_err(|message| Error::local(operation, Class::Defect, message))?;
        let mut request = self.api.http.get(url.clone());
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = tokio::time::timeout(STALL, request.send())
            .await
            .map_err(|_| stalled())?
            .map_err(|error| http::transport(operation, error))?;
        let starts = match response.status() {
            StatusCode::OK => Some(0),
            StatusCode::PARTIAL_CONTENT => {
                // A range that was not asked for would be put in the wrong place.
                Some(
                    first_byte(response.headers())
                        .filter(|first| from > 0 && *first == from)
                        .ok_or_else(|| {
                            Error::local(
                                operation,
                                Class::Defect,
                                "COS sent another range than was asked for",
                            )
                        })?,
                )
            }
            _ => None,
        };
        let Some(from) = starts else {
            let answer = http::read(operation, response).await?;
            return Err(refused(&answer, &url));
        };
        let crc64 = response
            .headers()
            .get("x-cos-hash-crc64ecma")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse().ok());
        Ok(Download { response, from, crc64 })
    }
}

impl Download {
    /// The byte that it begins with: the one that was asked for, or the first.
    #[must_use]
    pub fn from(&self) -> u64 {
        self.from
    }

    /// The next bytes; `None`: that was all.
    ///
    /// # Errors
    /// The connection broke, or brings nothing any more.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        tokio::time::timeout(STALL, self.response.chunk())
            .await
            .map_err(|_| stalled())?
            .map_err(|error| http::transport(Operation::Download, error))
    }
}

fn stalled() -> Error {
    Error::transport(Operation::Download, Transport::TimedOut, "the connection stalled")
}

fn refused(answer: &Answer, url: &Url) -> Error {
    let refusal: Refusal = answer.complete(reply::cos_refusal(answer.status, &answer.body));
    // COS repeats signatures when it refuses them. Short values name what anybody may know.
    url.query_pairs()
        .filter(|(_, value)| value.len() >= SECRET_LEN)
        .fold(refusal.into_error(Operation::Download), |error, (_, value)| error.without(&value))
}

/// Takes a signed address: over TLS only, unless the endpoint itself is plain, which it may be on loopback alone; then
/// the address must be there too.
fn address(text: &str, scheme: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "the address that the service gave makes no sense")?;
    let host = url.host_str().ok_or("the address that the service gave names no host")?;
    let loopback = || {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if scheme == "http" && loopback() => Ok(url),
        _ => Err("the address that the service gave is not https; nothing is fetched from there"),
    }
}

/// The first byte of a partial answer, as in `bytes 5-9/10`.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smh::reply::Kind;

    #[test]
    fn addresses_are_secure_or_on_loopback() {
        for (text, scheme, good) in [
            ("https://b.cos.ap-beijing.myqcloud.com/k?q-signature=1", "https", true),
            ("https://b.cos.ap-beijing.myqcloud.com/k", "http", true),
            ("http://127.0.0.1:8787/k", "http", true),
            ("http://[::1]:8787/k", "http", true),
            ("http://127.0.0.1:8787/k", "https", false),
            ("http://b.cos.ap-beijing.myqcloud.com/k", "http", false),
            ("http://127.0.0.1.example.com/k", "http", false),
            ("file:///etc/passwd", "http", false),
            ("objects/k", "https", false),
            ("", "https", false),
        ] {
            assert_eq!(address(text, scheme).is_ok(), good, "{text} {scheme}");
        }
    }

    #[test]
    fn the_time_of_who_uploaded_it_comes_first() {
        let offer = |text: &str| serde_json::from_str::<Offer>(text).unwrap();
        let both = offer(
            r#"{"type":"file","size":"7","crc64":"9","cosUrl":"https://x/?q-signature=secret",
                "modificationTime":"2021-07-24T10:34:32.000Z","localModificationTime":"2020-01-01T00:00:00.500Z"}"#,
        );
        assert_eq!(both.info, Info { kind: Kind::File, size: Some(7), crc64: Some(9) });
        assert_eq!(both.modified_at_ms, Some(1_577_836_800_500));
        assert!(!format!("{both:?}").contains("secret"));
        let one = offer(r#"{"type":"file","modificationTime":"1970-01-01T00:00:01.000Z"}"#);
        assert_eq!(one.modified_at_ms, Some(1_000));
        // A time that cannot be read is no reason to restore nothing.
        assert_eq!(offer(r#"{"type":"file","modificationTime":"?"}"#).modified_at_ms, None);
    }

    #[test]
    fn a_range_tells_where_it_begins() {
        let first = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            first_byte(&headers)
        };
        assert_eq!(first("bytes 5-9/10"), Some(5));
        assert_eq!(first("bytes 5-9/*"), Some(5));
        assert_eq!(first("bytes */10"), None);
        assert_eq!(first("5-9"), None);
        assert_eq!(first_byte(&HeaderMap::new()), None);
    }
}
