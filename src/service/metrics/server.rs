//! `GET /metrics` on loopback. What is slow or many here waits, and nobody else does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE as TEXT;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::counters::Counters;
use super::gauges;
use super::known::Memory;
use crate::clock::Clock;
use crate::config::Config;
use crate::smh::Meter;

/// Connections at the same time; others wait to be accepted.
const CONNECTIONS: usize = 4;
/// A connection that is not done by then is cut: a scraper gives up after ten seconds, as a rule.
const PATIENCE: Duration = Duration::from_secs(30);
/// Out of descriptors, most likely: others will be closed.
const BREATHER: Duration = Duration::from_millis(200);
/// Who asks while others do gets what they get.
const FRESH_MS: i64 = 500;
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 16;

/// Listens at `address`. To be called in a runtime.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of the process before may still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers until it is aborted; then its connections end too.
pub(super) async fn serve(listener: TcpListener, scraper: Arc<Scraper>) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= CONNECTIONS {
            // What became of it is the business of who asked.
            let _ = connections.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(tokio::time::timeout(PATIENCE, answer(stream, scraper.clone())));
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection for metrics");
                tokio::time::sleep(BREATHER).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(stream: TcpStream, scraper: Arc<Scraper>) {
    let service = service_fn(move |request| {
        let scraper = Arc::clone(&scraper);
        async move { Ok::<_, std::convert::Infallible>(scraper.answer(&request).await) }
    });
    // One request each: whoever keeps a connection would keep others out.
    let served = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection for metrics broke");
    }
}

/// Makes the text that is served.
pub(super) struct Scraper {
    clock: Clock,
    began_ms: i64,
    counters: Arc<Counters>,
    meter: Arc<Meter>,
    config: watch::Receiver<Arc<Config>>,
    /// One at a time.
    last: Mutex<Last>,
}

/// The last scrape.
#[derive(Default)]
struct Last {
    /// What was made, and when, in monotonic milliseconds.
    text: Option<(i64, Bytes)>,
    memory: Memory,
}

impl Scraper {
    pub(super) fn new(
        clock: Clock,
        counters: Arc<Counters>,
        meter: Arc<Meter>,
        config: watch::Receiver<Arc<Config>>,
    ) -> Scraper {
        let began_ms = clock.now().unix_ms;
        Scraper { clock, began_ms, counters, meter, config, last: Mutex::default() }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, text) = match (request.uri().path(), request.method()) {
            ("/metrics", &Method::GET | &Method::HEAD) => match self.text().await {
                Some(text) => (StatusCode::OK, text),
                None => (StatusCode::INTERNAL_SERVER_ERROR, Bytes::from("see the log\n")),
            },
            ("/metrics", _) => (StatusCode::METHOD_NOT_ALLOWED, Bytes::from("ask with GET\n")),
            _ => (StatusCode::NOT_FOUND, Bytes::from("only /metrics is served here\n")),
        };
        let mut response = Response::new(Full::new(text));
        *response.status_mut() = status;
        let kind = if status == StatusCode::OK { TEXT } else { "text/plain; charset=utf-8" };
        response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
        }
        response
    }

    /// `None`: it cannot be made, and the log says why.
    async fn text(&self) -> Option<Bytes> {
        let mut last = self.last.lock().await;
        let now_ms = self.clock.now().mono_ms;
        if let Some((made_ms, text)) = &last.text
            && now_ms.saturating_sub(*made_ms) < FRESH_MS
        {
            return Some(text.clone());
        }
        let config = Arc::clone(&self.config.borrow());
        let (clock, began_ms) = (self.clock, self.began_ms);
        let (counters, meter) = (Arc::clone(&self.counters), Arc::clone(&self.meter));
        let mut memory = std::mem::take(&mut last.memory);
        let made = tokio::task::spawn_blocking(move || {
            let text = gauges::text(&config, clock, began_ms, &counters, &meter, &mut memory);
            (text, memory)
        })
        .await;
        let text = match made {
            Ok((Ok(text), memory)) => {
                last.memory = memory;
                Bytes::from(text)
            }
            Ok((Err(error), _)) => {
                tracing::error!(%error, "cannot write metrics; please report this");
                return None;
            }
            Err(error) => {
                tracing::error!(%error, "reading the metrics failed unexpectedly; please report this");
                return None;
            }
        };
        last.text = Some((now_ms, text.clone()));
        Some(text)
    }
}

impl std::fmt::Debug for Scraper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scraper").finish_non_exhaustive()
    }
}
