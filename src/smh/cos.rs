//! The form POST to COS (shell). Sheet section 4.
//!
//! The body is written by hand: the order of the fields and the exact length are part of the contract.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, stream};
use hyper::body::{Frame, SizeHint};
use reqwest::header::CONTENT_TYPE;

use super::api::Api;
use super::classify::Transport;
use super::error::Error;
use super::http;
use super::meter::Meter;
use super::operation::Operation;
use super::reply::{self, Form};
use super::throttle::Throttle;
use crate::clock::{Clock, to_ms};
use crate::failure::Class;

/// A post that moves no byte for this long is given up.
const STALL: Duration = Duration::from_secs(60);
/// After the last byte, COS may take this long to answer.
const ANSWER: Duration = Duration::from_secs(120);
/// Values of a form of this length and more are taken for secrets.
pub(super) const SECRET_LEN: usize = 16;
/// Room for the fields of a form, in bytes: some two kilobytes are usual.
const FIELDS: usize = 4096;
/// How often the watchdog looks.
const LOOK: Duration = Duration::from_secs(5);

/// A stream of file content.
pub type ContentStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send + Sync>>;

/// The content of a file.
pub enum Content {
    /// All of it.
    Bytes(Bytes),
    /// `len` bytes that come in pieces. A stream that errs or ends early breaks the post.
    Stream {
        /// Exact number of bytes.
        len: u64,
        /// The pieces.
        stream: ContentStream,
    },
}

/// What COS says of what arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// CRC-64 as COS computed it, if it says.
    pub crc64: Option<u64>,
}

/// Posts `form` with the content as the last field.
pub(super) async fn post(
    api: &Api,
    throttle: &Throttle,
    form: &Form,
    content: Content,
) -> Result<Posted, Error> {
    let operation = Operation::Post;
    let boundary = format!("smh-mirror-{:032x}", fastrand::u128(..));
    let prefix = prefix(form, &boundary)?;
    let suffix = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    // The fields of the form are bytes too; of many small files they are most.
    throttle.take((prefix.len() + suffix.len()) as u64).await;
    let progress = Arc::new(Progress::new(api.clock));
    let content = match content {
        Content::Bytes(bytes) if throttle.rate().is_some() => {
            Content::Stream { len: bytes.len() as u64, stream: Box::pin(stream::iter([Ok(bytes)])) }
        }
        other => other,
    };
    // Handed over in one piece: all of it leaves with the first answer, or hardly any.
    let mut whole_bytes = 0;
    let body = match content {
        Content::Bytes(bytes) => {
            let mut whole = BytesMut::with_capacity(prefix.len() + bytes.len() + suffix.len());
            whole.extend_from_slice(&prefix);
            whole.extend_from_slice(&bytes);
            whole.extend_from_slice(&suffix);
            progress.remaining.store(0, Ordering::Relaxed);
            whole_bytes = bytes.len() as u64;
            reqwest::Body::from(whole.freeze())
        }
        Content::Stream { len, stream } => {
            let remaining = prefix.len() as u64 + len + suffix.len() as u64;
            progress.remaining.store(remaining, Ordering::Relaxed);
            reqwest::Body::wrap(FormBody {
                prefix: Some(prefix),
                stream,
                stream_left: len,
                rest: Bytes::new(),
                waiting: None,
                throttle: throttle.clone(),
                suffix: Some(suffix),
                remaining,
                progress: Arc::clone(&progress),
                meter: Arc::clone(&api.meter),
            })
        }
    };
    let request = api
        .http
        .post(format!("{}://{}{}", api.scheme(), form.domain, form.path))
        .header(CONTENT_TYPE, format!("multipart/form-data; boundary={boundary}"))
        .body(body);
    let call = async {
        let response = request.send().await.map_err(|error| http::transport(operation, error))?;
        http::read(operation, response).await
    };
    let exchange = async {
        tokio::select! {
            answer = call => answer,
            () = progress.stalled() => {
                Err(Error::transport(
                    operation,
                    Transport::TimedOut,
                    "the connection stalled",
                ))
            }
        }
    };
    let answer = api.meter.request(api.clock, operation, exchange).await?;
    api.meter.sent(whole_bytes);
    if !(200..300).contains(&answer.status) {
        let refusal = answer.complete(reply::cos_refusal(answer.status, &answer.body));
        // COS repeats signatures and policies when it refuses them. Short values name what anybody may know.
        let secrets = form.form.0.iter().map(|(_, value)| value).filter(|v| v.len() >= SECRET_LEN);
        let error = refusal.into_error(operation);
        return Err(secrets.fold(error, |error, secret| error.without(secret)));
    }
    let crc64 = answer
        .headers
        .get("x-cos-hash-crc64ecma")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    Ok(Posted { crc64 })
}

/// Every entry of the form in the order received, and the head of the part `file`.
fn prefix(form: &Form, boundary: &str) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::with_capacity(FIELDS);
    for (name, value) in &form.form.0 {
        if name.contains(['"', '\r', '\n']) {
            return Err(Error::local(
                Operation::Post,
                Class::Defect,
                "the service handed out a form field whose name cannot be sent",
            ));
        }
        for piece in [
            "--",
            boundary,
            "\r\nContent-Disposition: form-data; name=\"",
            name,
            "\"\r\n\r\n",
            value,
            "\r\n",
        ] {
            bytes.put_slice(piece.as_bytes());
        }
    }
    bytes.put_slice(
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .as_bytes(),
    );
    Ok(bytes.freeze())
}

/// Whether bytes still move.
pub(super) struct Progress {
    clock: Clock,
    remaining: AtomicU64,
    moved_at_ms: AtomicI64,
    /// The limit of the bandwidth holds the next byte back: the connection is not to blame.
    held_back: AtomicBool,
}

impl Progress {
    pub(super) fn new(clock: Clock) -> Progress {
        Progress {
            clock,
            remaining: AtomicU64::new(0),
            moved_at_ms: AtomicI64::new(clock.now().mono_ms),
            held_back: AtomicBool::new(false),
        }
    }

    fn moved(&self, remaining: u64) {
        self.remaining.store(remaining, Ordering::Relaxed);
        self.held_back.store(false, Ordering::Relaxed);
        self.moved_at_ms.store(self.clock.now().mono_ms, Ordering::Relaxed);
    }

    /// Comes back when the post is stuck.
    pub(super) async fn stalled(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.held_back.load(Ordering::Relaxed) {
                continue;
            }
            let patience = if self.remaining.load(Ordering::Relaxed) == 0 { ANSWER } else { STALL };
            let quiet =
                self.clock.now().mono_ms.saturating_sub(self.moved_at_ms.load(Ordering::Relaxed));
            if quiet > to_ms(patience) {
                return;
            }
        }
    }
}

/// The form, or a part, as a body of known length.
pub(super) struct FormBody {
    prefix: Option<Bytes>,
    stream: ContentStream,
    stream_left: u64,
    /// What came from the stream and is still to be sent.
    rest: Bytes,
    /// A piece of it that waits for its turn.
    waiting: Option<(Bytes, Turn)>,
    throttle: Throttle,
    suffix: Option<Bytes>,
    remaining: u64,
    progress: Arc<Progress>,
    meter: Arc<Meter>,
}

/// Ends when a piece may be sent.
type Turn = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

impl FormBody {
    /// `len` bytes of a stream and nothing else.
    pub(super) fn bare(
        len: u64,
        stream: ContentStream,
        throttle: &Throttle,
        meter: Arc<Meter>,
        progress: Arc<Progress>,
    ) -> FormBody {
        progress.remaining.store(len, Ordering::Relaxed);
        FormBody {
            prefix: None,
            stream,
            stream_left: len,
            rest: Bytes::new(),
            waiting: None,
            throttle: throttle.clone(),
            suffix: Some(Bytes::new()),
            remaining: len,
            meter,
            progress,
        }
    }

    /// The next piece of what came from the stream; `None`: nothing is left of it.
    fn next_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.waiting.is_none() && !self.rest.is_empty() {
            let Some(most) = self.throttle.piece() else {
                return Poll::Ready(Some(std::mem::take(&mut self.rest)));
            };
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let piece = self.rest.split_to(most.min(self.rest.len()));
            let (throttle, bytes) = (self.throttle.clone(), piece.len() as u64);
            self.waiting = Some((piece, Box::pin(async move { throttle.take(bytes).await })));
        }
        let Some((_, turn)) = &mut self.waiting else { return Poll::Ready(None) };
        if turn.as_mut().poll(context).is_pending() {
            self.progress.held_back.store(true, Ordering::Relaxed);
            return Poll::Pending;
        }
        Poll::Ready(self.waiting.take().map(|(piece, _)| piece))
    }

    fn pass(&mut self, bytes: Bytes) -> Frame<Bytes> {
        self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        self.progress.moved(self.remaining);
        Frame::data(bytes)
    }
}

impl hyper::body::Body for FormBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        if let Some(prefix) = self.prefix.take() {
            return Poll::Ready(Some(Ok(self.pass(prefix))));
        }
        if self.suffix.is_none() {
            return Poll::Ready(None);
        }
        loop {
            match self.next_piece(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(piece)) => {
                    self.meter.sent(piece.len() as u64);
                    return Poll::Ready(Some(Ok(self.pass(piece))));
                }
                Poll::Ready(None) => {}
            }
            // The stream says that the file held still only at its very end: the suffix waits for that word.
            return match self.stream.as_mut().poll_next(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(bytes))) => {
                    let Some(left) = self.stream_left.checked_sub(bytes.len() as u64) else {
                        return Poll::Ready(Some(Err(std::io::Error::other(
                            "more content than announced",
                        ))));
                    };
                    self.stream_left = left;
                    self.rest = bytes;
                    continue;
                }
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(None) if self.stream_left > 0 => {
                    Poll::Ready(Some(Err(std::io::Error::other("less content than announced"))))
                }
                Poll::Ready(None) => {
                    let suffix = self.suffix.take().unwrap_or_default();
                    Poll::Ready(Some(Ok(self.pass(suffix))))
                }
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        self.suffix.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}
