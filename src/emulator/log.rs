//! Every request with time and outcome. Tokens, keys and signatures never enter it.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::{Value, json};

/// Lines kept; the sums are exact all the same.
const LINES: usize = 200_000;

/// One request.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) at: String,
    pub(super) method: String,
    pub(super) route: String,
    pub(super) path: String,
    /// Absent: the connection was cut.
    pub(super) status: Option<u16>,
    pub(super) code: Option<String>,
    pub(super) milliseconds: i64,
    pub(super) fault: bool,
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: VecDeque<Line>,
    sums: BTreeMap<String, BTreeMap<String, u64>>,
    seq: u64,
}

impl Log {
    pub(super) fn add(&mut self, mut line: Line) {
        self.seq += 1;
        line.seq = self.seq;
        let status = line.status.map_or("reset".to_owned(), |status| status.to_string());
        *self.sums.entry(line.route.clone()).or_default().entry(status).or_default() += 1;
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(super) fn clear(&mut self) {
        *self = Log::default();
    }

    pub(super) fn lines(&self) -> Value {
        json!(self.lines)
    }

    /// Requests by route and status.
    pub(super) fn summary(&self) -> Value {
        json!(self.sums)
    }
}
