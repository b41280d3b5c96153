//! Answers: JSON and JSON errors of SMH, XML errors of COS, bodies that stream a file.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use serde_json::{Value, json};

pub(super) type Piece = std::io::Result<Bytes>;

/// A content as it is sent.
pub(super) type Pieces = Pin<Box<dyn Stream<Item = Piece> + Send>>;

/// What is answered, before faults.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
    /// The code of an error, for the log.
    pub(super) code: Option<String>,
}

pub(super) enum Body {
    Bytes(Bytes),
    /// `len` bytes in pieces.
    Stream(u64, Pieces),
}

impl Body {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Body::Bytes(bytes) => bytes.is_empty(),
            Body::Stream(len, _) => *len == 0,
        }
    }
}

impl Reply {
    pub(super) fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Body::Bytes(Bytes::new()), code: None }
    }

    pub(super) fn json(status: u16, value: &Value) -> Reply {
        Reply {
            status,
            headers: vec![("content-type".into(), "application/json; charset=utf-8".into())],
            body: Body::Bytes(Bytes::from(value.to_string())),
            code: None,
        }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A refusal of SMH (sheet sections 1 and 11).
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

pub(super) type Answer = Result<Reply, Refusal>;

/// Shorthand for a refusal.
pub(super) fn refuse(status: u16, code: &str, message: impl Into<String>) -> Refusal {
    Refusal { status, code: code.to_owned(), message: message.into() }
}

impl Refusal {
    pub(super) fn reply(self, request_id: &str) -> Reply {
        let body = json!({"code": self.code, "message": self.message, "requestId": request_id});
        Reply { code: Some(self.code), ..Reply::json(self.status, &body) }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Refusal {
        refuse(500, "InternalServerError", format!("the emulator's disk: {error}"))
    }
}

/// A refusal of COS (sheet section 4).
#[derive(Debug, Clone)]
pub(super) struct CosRefusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

pub(super) fn cos_refuse(
    status: u16,
    code: impl Into<String>,
    message: impl Into<String>,
) -> CosRefusal {
    CosRefusal { status, code: code.into(), message: message.into() }
}

impl CosRefusal {
    pub(super) fn reply(self, resource: &str, request_id: &str) -> Reply {
        let body = format!(
            "<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n<Code>{}</Code>\n<Message>{}</Message>\n\
             <Resource>{}</Resource>\n<RequestId>{request_id}</RequestId>\n<TraceId>{request_id}</TraceId>\n</Error>\n",
            escape(&self.code),
            escape(&self.message),
            escape(resource),
        );
        Reply {
            status: self.status,
            headers: vec![
                ("content-type".into(), "application/xml".into()),
                ("x-cos-request-id".into(), request_id.into()),
            ],
            body: Body::Bytes(Bytes::from(body)),
            code: Some(self.code),
        }
    }
}

impl From<std::io::Error> for CosRefusal {
    fn from(error: std::io::Error) -> CosRefusal {
        cos_refuse(500, "InternalError", format!("the emulator's disk: {error}"))
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
