//! What is counted of the requests to the service (shell): names of calls, codes and numbers; never a path, an
//! address or a token.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::classify::Transport;
use super::error::Error;
use super::http::Answer;
use super::operation::Operation;
use crate::clock::Clock;

/// Upper bounds of the duration of a call, in seconds. A call without content ends after a minute; the content of a
/// large file takes as long as the link needs.
const SECONDS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];
/// Not known yet.
const UNKNOWN: i64 = i64::MIN;

/// Counts the requests of every client that it is given to; it outlives them, so that its counters never go back.
#[derive(Debug)]
pub struct Meter {
    requests: Family<Request, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
    sent_bytes: Counter,
    token_ends_at_ms: AtomicI64,
    clock_skew_ms: AtomicI64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    code: Code,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Code {
    /// With an answer: its HTTP status.
    Status(u16),
    /// Without one: how the transport failed.
    Word(&'static str),
}

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Code::Status(status) => status.encode(encoder),
            Code::Word(word) => word.encode(encoder),
        }
    }
}

impl Default for Meter {
    fn default() -> Meter {
        Meter {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            sent_bytes: Counter::default(),
            token_ends_at_ms: AtomicI64::new(UNKNOWN),
            clock_skew_ms: AtomicI64::new(UNKNOWN),
        }
    }
}

impl Meter {
    /// Names what is counted, in a registry whose prefix is that of the program.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "requests",
            "Requests to the service and to COS, by call and HTTP status, or the way the transport failed",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time from the beginning of a request to the end of its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Content that left, whether or not it was confirmed in the end",
            Unit::Bytes,
            self.sent_bytes.clone(),
        );
    }

    /// When the token in use ends, milliseconds since the Unix epoch; `None`: there is none, or somebody else made it
    /// and did not say.
    #[must_use]
    pub fn token_ends_at_ms(&self) -> Option<i64> {
        known(&self.token_ends_at_ms)
    }

    /// How far the clock of the service is ahead of ours, in milliseconds, by the last answer that told.
    #[must_use]
    pub fn clock_skew_ms(&self) -> Option<i64> {
        known(&self.clock_skew_ms)
    }

    /// Counts and times one request until its answer is read. One that is abandoned half-way is not counted.
    pub(super) async fn request(
        &self,
        clock: Clock,
        operation: Operation,
        call: impl Future<Output = Result<Answer, Error>>,
    ) -> Result<Answer, Error> {
        let began_ms = clock.now().mono_ms;
        let answered = call.await;
        let took_ms = clock.now().mono_ms.saturating_sub(began_ms).max(0);
        let route = operation.name();
        let code = match &answered {
            Ok(answer) => Code::Status(answer.status),
            Err(error) => Code::Word(error.transport.map_or("no-answer", word)),
        };
        self.requests.get_or_create(&Request { route, code }).inc();
        self.durations.get_or_create(&Route { route }).observe(seconds(took_ms));
        answered
    }

    /// Content left.
    pub(super) fn sent(&self, bytes: u64) {
        self.sent_bytes.inc_by(bytes);
    }

    pub(super) fn token_ends(&self, at_ms: Option<i64>) {
        self.token_ends_at_ms.store(at_ms.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    pub(super) fn clock_is_off(&self, skew_ms: i64) {
        self.clock_skew_ms.store(skew_ms, Ordering::Relaxed);
    }
}

fn known(value: &AtomicI64) -> Option<i64> {
    Some(value.load(Ordering::Relaxed)).filter(|value| *value != UNKNOWN)
}

#[expect(clippy::cast_precision_loss, reason = "a duration in whole milliseconds")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Dns => "dns",
        Transport::Refused => "refused",
        Transport::NoRoute => "no-route",
        Transport::Tls => "tls",
        Transport::Connect => "connect",
        Transport::Shortage => "shortage",
        Transport::TimedOut => "timed-out",
        Transport::Broken => "broken",
        Transport::TooLarge => "too-large",
        Transport::Unsendable => "unsendable",
    }
}
