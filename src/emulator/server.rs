//! The listener (shell): takes requests apart, applies faults, answers, logs.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::context::Context;
use super::faults::{Effect, Reset};
use super::log::Line;
use super::reply::{Body, Pieces, Refusal, Reply, refuse};
use super::route;
use super::store::Store;
use super::time::{http_date, iso, system_ms};
use super::{Options, control, cos, dispatch};

/// Largest JSON body.
const JSON_MAX: usize = 1 << 20;

/// The emulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The control routes know no password.
    #[error("the emulator listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The address cannot be used.
    #[error(
        "cannot listen on {0}: {1}; name another address as --listen, with port 0 for a free one"
    )]
    Listen(SocketAddr, std::io::Error),
    /// The data folder cannot be used.
    #[error("cannot use the data folder {0}: {1}")]
    Data(std::path::PathBuf, std::io::Error),
    /// Certificate or key cannot be used.
    #[error("cannot use the certificate or key: {0}")]
    Tls(String),
}

/// An emulator that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    https: bool,
    accepting: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The endpoint for a client.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.addr)
    }

    /// Stops listening. What was answered is on disk.
    pub fn stop(self) {
        self.accepting.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Starts an emulator on the current runtime.
///
/// # Errors
/// The address, the data folder, or the certificate cannot be used.
pub async fn start(options: Options) -> Result<Running, StartError> {
    if !options.listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(options.listen));
    }
    let acceptor = match &options.tls {
        None => None,
        Some(tls) => Some(acceptor(tls).map_err(StartError::Tls)?),
    };
    let listen = options.listen;
    let data = options.data.clone();
    let store = Store::open(options).map_err(|error| StartError::Data(data, error))?;
    let listener =
        TcpListener::bind(listen).await.map_err(|error| StartError::Listen(listen, error))?;
    let addr = listener.local_addr().map_err(|error| StartError::Listen(listen, error))?;
    let https = acceptor.is_some();
    let server = Arc::new(Server { store, https });
    let accepting = tokio::spawn(accept(listener, acceptor, server));
    Ok(Running { addr, https, accepting })
}

fn acceptor(tls: &super::Tls) -> Result<TlsAcceptor, String> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{}: {error}", tls.certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| format!("{}: {error}", tls.key.display()))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| error.to_string())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, server: Arc<Server>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: others will be closed.
                tracing::warn!(%error, "the emulator cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let server = Arc::clone(&server);
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor {
                None => serve(TokioIo::new(stream), server).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(TokioIo::new(stream), server).await;
                    }
                }
            }
        });
    }
}

async fn serve<T>(io: T, server: Arc<Server>)
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { server.answer(request).await }
    });
    // A connection that breaks is the client's business.
    let _ = http1::Builder::new().half_close(false).serve_connection(io, service).await;
}

/// The connection is to be cut without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut on purpose")]
struct Cut;

type Out = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>>;

struct Server {
    store: Store,
    https: bool,
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Result<Out, Cut> {
        let began_ms = system_ms();
        let (parts, body) = request.into_parts();
        let raw_path = parts.uri.path().to_owned();
        let query = route::query(parts.uri.query().unwrap_or_default());
        let method = parts.method.as_str().to_owned();
        let host = parts
            .headers
            .get(hyper::header::HOST)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("127.0.0.1")
            .to_owned();
        let request_id = format!("{:032x}", fastrand::u128(..));
        if let Some(what) = raw_path.strip_prefix("/_emulator/") {
            let reply = match json_body(body).await {
                Ok(json) => control::handle(&self.store, &method, what, &query, &json),
                Err(refusal) => Err(refusal),
            };
            return Ok(self.send(
                reply.unwrap_or_else(|r| r.reply(&request_id)),
                &request_id,
                None,
            ));
        }
        let context = Context { parts, query, host, request_id, method, raw_path };
        let (route, path, reply, fault) = match context.raw_path.strip_prefix("/api/v1/") {
            Some(rest) => self.smh(&context, rest, body).await,
            None => self.cos(&context, body).await,
        };
        let reset = fault.as_ref().and_then(|fault| fault.reset);
        let truncated = fault.as_ref().is_some_and(|fault| fault.truncate.is_some());
        // Of an answer without a body, what is cut off is the answer.
        let cut = match &reply {
            Some(reply) => reset == Some(Reset::After) || truncated && reply.body.is_empty(),
            None => true,
        };
        if let (Some(reply), Some(Effect { drip: Some(_), .. })) = (&reply, &fault)
            && reply.body.is_empty()
        {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let (status, code) = match &reply {
            Some(reply) if !cut => (Some(reply.status), reply.code.clone()),
            _ => (None, None),
        };
        {
            let mut inner = self.store.lock();
            let now_ms = inner.now_ms();
            inner.log.add(Line {
                seq: 0,
                at: iso(now_ms),
                method: context.method.clone(),
                route: route.to_owned(),
                path,
                status,
                code,
                milliseconds: system_ms() - began_ms,
                fault: fault.is_some(),
            });
        }
        match reply {
            Some(reply) if !cut => Ok(self.send(reply, &context.request_id, fault.as_ref())),
            _ => Err(Cut),
        }
    }

    /// The fault that hits this request, after its delay; and the refusal it asks for.
    async fn fault(&self, context: &Context, route: &'static str, path: &str) -> Option<Effect> {
        let fault = self.store.lock().faults.pick(route, &context.method, path)?;
        if fault.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        }
        Some(fault)
    }

    async fn smh(
        &self,
        context: &Context,
        rest: &str,
        body: Incoming,
    ) -> (&'static str, String, Option<Reply>, Option<Effect>) {
        let id = &context.request_id;
        let json = match json_body(body).await {
            Ok(json) => json,
            Err(refusal) => return ("unknown", String::new(), Some(refusal.reply(id)), None),
        };
        let source =
            ["from", "copyFrom", "linkTo"].into_iter().find(|name| json.get(name).is_some());
        let source = if context.method == "PUT" { source } else { None };
        let Some(call) = route::smh(&context.method, rest, &context.query, source) else {
            let refusal = refuse(404, "RouteNotFound", "no such route");
            return ("unknown", String::new(), Some(refusal.reply(id)), None);
        };
        // A token or confirm key in the path is a secret. A rule knows an upload by the path it is for.
        let (shown, matched) = match call.route {
            "token.renew" | "token.delete" => ("[token]".to_owned(), String::new()),
            "file.confirm" | "file.status" | "file.cancel" | "file.renew" => {
                let key = call.path.first().map_or("", String::as_str);
                let inner = self.store.lock();
                let path = inner.upload(key).map(|upload| upload.path.join("/"));
                ("[confirm key]".to_owned(), path.unwrap_or_default())
            }
            _ => (call.path.join("/"), call.path.join("/")),
        };
        let fault = self.fault(context, call.route, &matched).await;
        let effect = fault.clone().unwrap_or_default();
        if effect.reset == Some(Reset::Before) {
            return (call.route, shown, None, fault);
        }
        let route = call.route;
        let handle = || dispatch::handle(&self.store, self.https, context, &call, &json, &effect);
        let answer = match effect.status {
            Some(status) if effect.reset.is_none() => Err(refuse(
                status,
                effect.code.as_deref().unwrap_or("InternalServerError"),
                effect.message.clone().unwrap_or_else(|| "a fault rule".to_owned()),
            )),
            // To join parts takes time, and others are to be answered meanwhile.
            _ if route == "file.confirm" => tokio::task::block_in_place(handle),
            _ => handle(),
        };
        let mut reply = answer.unwrap_or_else(|refusal| {
            if effect.envelope {
                let body = json!({"status": refusal.status, "code": refusal.code, "message": refusal.message, "requestId": id});
                return Reply { code: Some(refusal.code), ..Reply::json(200, &body) };
            }
            refusal.reply(id)
        });
        if let Some(seconds) = effect.retry_after {
            reply = reply.header("retry-after", seconds.to_string());
        }
        dispatch::spoil(&mut reply, &effect, self.store.lock().now_ms());
        (route, shown, Some(reply), fault)
    }

    async fn cos(
        &self,
        context: &Context,
        mut body: Incoming,
    ) -> (&'static str, String, Option<Reply>, Option<Effect>) {
        let key = context.raw_path.trim_start_matches('/');
        let route = match context.parts.method {
            Method::POST => "cos.post",
            Method::PUT if context.query.contains_key("partNumber") => "cos.part",
            Method::PUT => "cos.put",
            Method::GET | Method::HEAD => "cos.get",
            _ => "unknown",
        };
        let id = &context.request_id;
        // A rule knows a part by its number.
        let matched = match context.query.get("partNumber") {
            Some(number) => format!("{key}?partNumber={number}"),
            None => key.to_owned(),
        };
        let fault = self.fault(context, route, &matched).await;
        let effect = fault.clone().unwrap_or_default();
        if effect.reset == Some(Reset::Before) {
            return (route, key.to_owned(), None, fault);
        }
        let answer = match effect.status {
            Some(status) if effect.reset.is_none() => {
                let usual = match status {
                    403 => "AccessDenied",
                    404 => "NoSuchBucket",
                    503 => "SlowDown",
                    _ => "InternalError",
                };
                let code = effect.code.as_deref().unwrap_or(usual);
                let message = effect.message.clone().unwrap_or_else(|| "a fault rule".to_owned());
                Err(super::reply::cos_refuse(status, code, message))
            }
            _ => {
                let headers = &context.parts.headers;
                match route {
                    "cos.post" => cos::post(&self.store, headers, &mut body, effect.sip).await,
                    "cos.put" | "cos.part" => {
                        let (store, query) = (&self.store, &context.query);
                        cos::put(store, key, query, headers, &mut body, effect.sip).await
                    }
                    "cos.get" => cos::get(&self.store, key, &context.query, headers),
                    _ => Err(super::reply::cos_refuse(
                        405,
                        "MethodNotAllowed",
                        "not for this bucket",
                    )),
                }
            }
        };
        if answer.is_err() {
            cos::drain(&mut body).await;
        }
        let mut reply = answer
            .map(|reply| reply.header("x-cos-request-id", id.clone()))
            .unwrap_or_else(|refusal| refusal.reply(key, id));
        if let Some(seconds) = effect.retry_after {
            reply = reply.header("retry-after", seconds.to_string());
        }
        if effect.wrong_crc64 {
            for (name, value) in &mut reply.headers {
                if name == "x-cos-hash-crc64ecma" {
                    "1".clone_into(value);
                }
            }
        }
        dispatch::spoil(&mut reply, &effect, self.store.lock().now_ms());
        (route, key.to_owned(), Some(reply), fault)
    }

    fn send(&self, reply: Reply, request_id: &str, fault: Option<&Effect>) -> Out {
        let now_ms = self.store.lock().now_ms();
        let mut response =
            Response::builder().status(reply.status).header("date", http_date(now_ms));
        if !reply.headers.iter().any(|(name, _)| name == "x-cos-request-id") {
            response = response.header("x-request-id", request_id);
        }
        for (name, value) in &reply.headers {
            response = response.header(name, value);
        }
        let no_body = reply.status == 204 || reply.status == 304;
        let body = match reply.body {
            Body::Bytes(bytes) => match fault {
                Some(Effect { truncate: Some(keep), .. }) => {
                    // The length promises more than comes.
                    let whole = bytes.len();
                    let kept = bytes.slice(..whole.min(*keep));
                    let pieces = futures_util::stream::iter([
                        Ok(Frame::data(kept)),
                        Err(std::io::Error::other("cut on purpose")),
                    ]);
                    response = response.header("content-length", whole.to_string());
                    StreamBody::new(pieces).boxed_unsync()
                }
                Some(Effect { drip: Some(rate), .. }) => {
                    let step = usize::try_from(*rate).unwrap_or(1).max(1);
                    response = response.header("content-length", bytes.len().to_string());
                    let pieces = futures_util::stream::unfold(bytes, move |mut left| async move {
                        if left.is_empty() {
                            return None;
                        }
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        let piece = left.split_to(step.min(left.len()));
                        Some((Ok(Frame::data(piece)), left))
                    });
                    StreamBody::new(pieces).boxed_unsync()
                }
                _ => http_body_util::Full::new(bytes)
                    .map_err(|never: Infallible| match never {})
                    .boxed_unsync(),
            },
            Body::Stream(len, pieces) => {
                response = response.header("content-length", len.to_string());
                let pieces = match fault {
                    Some(Effect { truncate: Some(keep), .. }) => cut_after(pieces, *keep),
                    Some(Effect { drip: Some(rate), .. }) => slowly(pieces, *rate),
                    _ => pieces,
                };
                StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
            }
        };
        let body = if no_body {
            http_body_util::Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
        } else {
            body
        };
        response.body(body).unwrap_or_else(|_| {
            // A header that cannot be sent; the request names it.
            let empty = http_body_util::Empty::new().map_err(|never: Infallible| match never {});
            let mut response = Response::new(empty.boxed_unsync());
            *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}

/// The first `keep` bytes of a stream, then the end of the connection.
fn cut_after(pieces: Pieces, keep: usize) -> Pieces {
    let cut = futures_util::stream::unfold((pieces, Some(keep)), |(mut pieces, left)| async move {
        let left = left?;
        let cut = || Err(std::io::Error::other("cut on purpose"));
        match if left == 0 { None } else { pieces.next().await } {
            Some(Ok(mut bytes)) => {
                bytes.truncate(left);
                let left = left - bytes.len();
                Some((Ok(bytes), (pieces, Some(left))))
            }
            Some(Err(error)) => Some((Err(error), (pieces, None))),
            None => Some((cut(), (pieces, None))),
        }
    });
    Box::pin(cut)
}

/// At most `rate` bytes a second.
fn slowly(pieces: Pieces, rate: u64) -> Pieces {
    let step = usize::try_from(rate).unwrap_or(1).max(1);
    let slow = futures_util::stream::unfold(
        (pieces, Bytes::new()),
        move |(mut pieces, mut left)| async move {
            if left.is_empty() {
                left = match pieces.next().await? {
                    Ok(bytes) => bytes,
                    Err(error) => return Some((Err(error), (pieces, Bytes::new()))),
                };
            }
            let now = left.split_to(step.min(left.len()));
            let ms = (now.len() as u64).saturating_mul(1000) / rate.max(1);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Some((Ok(now), (pieces, left)))
        },
    );
    Box::pin(slow)
}

async fn json_body(body: Incoming) -> Result<Value, Refusal> {
    let bytes = Limited::new(body, JSON_MAX)
        .collect()
        .await
        .map_err(|_| refuse(413, "RequestEntityTooLarge", "the body is too large, or ended early"))?
        .to_bytes();
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|_| refuse(400, "BadRequest", "the body is not JSON"))
}
