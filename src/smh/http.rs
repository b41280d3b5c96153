//! The HTTP client (shell): one place for TLS, limits and what a transport error means.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response};

use super::classify::Transport;
use super::error::{Error, Refusal};
use super::operation::Operation;
use super::reply::tame;
use crate::config::Remote;

/// Time to reach the service.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for a whole call that carries no file content.
pub(super) const CALL: Duration = Duration::from_secs(60);
/// An idle connection is closed by us before a middlebox forgets it.
const IDLE: Duration = Duration::from_secs(50);
/// A page of 1000 entries is below 1 MiB; nothing honest is larger than this.
const REPLY_MAX: usize = 8 * 1024 * 1024;
/// Longest wait that `Retry-After` can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Builds the client for the calls and for COS.
pub(super) fn build(remote: &Remote) -> Result<Client, String> {
    // The second call in a process finds a provider already there, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("smh-mirror/", env!("CARGO_PKG_VERSION")))
        // One retry policy: the engine's.
        .retry(reqwest::retry::never())
        // A redirect would carry the token elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true);
    if let Some(path) = &remote.ca_file {
        let pem = std::fs::read(path)
            .map_err(|error| format!("cannot read ca_file {}: {error}", path.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|error| format!("ca_file {}: {error}", path.display()))?;
        if certificates.is_empty() {
            return Err(format!("ca_file {} holds no certificate in PEM form", path.display()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder = match &remote.proxy {
        Some(url) => builder.proxy(
            reqwest::Proxy::all(url)
                .map_err(|error| format!("remote.proxy: {}", describe(error)))?,
        ),
        // The loopback is never behind a proxy of the environment.
        None if remote.endpoint.starts_with("http://") => builder.no_proxy(),
        None => builder,
    };
    builder.build().map_err(describe)
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Reads an answer to its end, within the limit.
pub(super) async fn read(operation: Operation, mut response: Response) -> Result<Answer, Error> {
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > REPLY_MAX => {
                return Err(Error::transport(
                    operation,
                    Transport::TooLarge,
                    format!("the answer is larger than {REPLY_MAX} bytes"),
                ));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(Answer { status, headers, body: body.freeze() }),
            Err(error) => return Err(transport(operation, error)),
        }
    }
}

impl Answer {
    /// What the headers add to a refusal (sheet section 1).
    pub(super) fn complete(&self, mut refusal: Refusal) -> Refusal {
        let text =
            |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).map(tame);
        refusal.request_id = refusal
            .request_id
            .or_else(|| text("x-request-id"))
            .or_else(|| text("x-smh-request-id"))
            .or_else(|| text("x-cos-request-id"));
        refusal.retry_after = self
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, self.date_ms()));
        refusal
    }

    /// The time of the service, milliseconds since the Unix epoch (sheet section 1).
    pub(super) fn date_ms(&self) -> Option<i64> {
        http_date_ms(self.headers.get(DATE)?.to_str().ok()?)
    }
}

/// How long `Retry-After` asks to wait: seconds, or a date by the clock of whoever answered. A date
/// without a `Date` to compare it with says nothing: the clock of this machine may be wrong.
fn retry_after(value: &str, date_ms: Option<i64>) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has is a long time too.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let wait_ms = http_date_ms(value)?.saturating_sub(date_ms?);
        Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

fn http_date_ms(text: &str) -> Option<i64> {
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond())
}

/// A failure of the transport, as an error that can be said aloud.
pub(super) fn transport(operation: Operation, error: reqwest::Error) -> Error {
    let transport = kind(&error);
    Error::transport(operation, transport, describe(error))
}

/// How the transport failed.
fn kind(error: &reqwest::Error) -> Transport {
    if error.is_builder() {
        return Transport::Unsendable;
    }
    // Out of descriptors is no state of the network, wherever it is noticed.
    if causes(error).any(|cause| cause.raw_os_error().is_some_and(is_shortage)) {
        return Transport::Shortage;
    }
    if !error.is_connect() {
        return if error.is_timeout() { Transport::TimedOut } else { Transport::Broken };
    }
    if error.is_dns() || is_lookup(error) {
        return Transport::Dns;
    }
    if chain(error).any(|cause| cause.is::<rustls::Error>()) {
        return Transport::Tls;
    }
    for cause in causes(error) {
        match cause.kind() {
            ErrorKind::ConnectionRefused => return Transport::Refused,
            ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => return Transport::NoRoute,
            _ => {}
        }
    }
    Transport::Connect
}

/// EMFILE, ENFILE, ENOBUFS, ENOMEM.
fn is_shortage(errno: i32) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|shortage| shortage.raw_os_error() == errno)
}

/// The system's resolver speaks through a type that the client library keeps to itself.
fn is_lookup(error: &reqwest::Error) -> bool {
    chain(error).any(|cause| cause.to_string() == "dns error")
}

/// The errors of the system in the chain of causes.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &std::io::Error> {
    chain(error).filter_map(|cause| cause.downcast_ref::<std::io::Error>())
}

/// The error and its causes. An error of the system that wraps another passes over it in `source`.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |cause| {
        match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn std::error::Error + 'static)),
            None => cause.source(),
        }
    })
}

/// The chain of causes without the URL, which carries the token: of it, only the host is said.
fn describe(error: reqwest::Error) -> String {
    let host = error.url().and_then(|url| {
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    });
    let connecting = error.is_connect();
    let timeout = error.is_timeout();
    let error = error.without_url();
    let mut causes: Vec<String> = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(inner) = cause {
        let said = inner.to_string();
        // The wrappers of the client library say nothing that a person could use.
        let wrapper = said.starts_with("error sending request") || said.starts_with("client error");
        if !wrapper && !causes.iter().any(|known| known.contains(&said)) {
            causes.push(said);
        }
        cause = inner.source();
    }
    let why = if causes.is_empty() { error.to_string() } else { causes.join(": ") };
    let what = match host {
        Some(host) if connecting => format!("cannot connect to {host}: {why}"),
        Some(host) if timeout => format!("no answer from {host} in time: {why}"),
        Some(host) => format!("the connection to {host} failed: {why}"),
        None => why,
    };
    tame(&what)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
