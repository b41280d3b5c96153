//! A call that did not succeed (pure): what was tried, what the service said, what it means.

use std::fmt;
use std::time::Duration;

use super::classify::{Transport, classify};
use super::operation::Operation;
use crate::failure::Class;

/// A call that did not succeed. Its text never contains a URL: a URL carries the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// What it means.
    pub class: Class,
    /// What was tried.
    pub operation: Operation,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The code of SMH or COS.
    pub code: Option<String>,
    /// What happened, for people.
    pub message: String,
    /// The request at the service, to ask its support.
    pub request_id: Option<String>,
    /// How long the service asks to wait.
    pub retry_after: Option<Duration>,
    /// How the transport failed, when there was no answer to read.
    pub transport: Option<Transport>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}:", self.operation.describe())?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if !self.message.is_empty() {
            write!(f, " {}", self.message)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl Error {
    /// A failure without an answer of the service.
    pub(super) fn local(operation: Operation, class: Class, message: impl Into<String>) -> Error {
        Error {
            class,
            operation,
            status: None,
            code: None,
            message: message.into(),
            request_id: None,
            retry_after: None,
            transport: None,
        }
    }

    /// A failure of the transport.
    pub(super) fn transport(
        operation: Operation,
        transport: Transport,
        message: impl Into<String>,
    ) -> Error {
        Error { transport: Some(transport), ..Error::local(operation, transport.class(), message) }
    }

    /// The same without a secret that the service repeated: whatever it says may be shown.
    #[must_use]
    pub(super) fn without(mut self, secret: &str) -> Error {
        if secret.is_empty() {
            return self;
        }
        let cut = |text: &mut String| {
            if text.contains(secret) {
                *text = text.replace(secret, "[redacted]");
            }
        };
        cut(&mut self.message);
        self.code.iter_mut().for_each(cut);
        self.request_id.iter_mut().for_each(cut);
        self
    }

    /// Whether the service said this code.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether the service says that there is nothing at a path.
    #[must_use]
    pub fn says_nothing_is_there(&self) -> bool {
        self.status == Some(404)
            && matches!(
                self.code.as_deref(),
                None | Some("FileNotFound" | "DirectoryNotFound" | "PathNotFound")
            )
    }

    /// Whether a new token may help.
    pub(super) fn wants_new_token(&self) -> bool {
        self.class == Class::Auth
            && (self.status == Some(401)
                || self.is("InvalidAccessToken")
                || self.is("AccessTokenVersionNotMatch"))
    }
}

/// An answer that is not a success, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: Option<String>,
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    pub(super) retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn into_error(self, operation: Operation) -> Error {
        Error {
            class: self.class(operation),
            operation,
            status: Some(self.status),
            code: self.code,
            message: self.message,
            request_id: self.request_id,
            retry_after: self.retry_after,
            transport: None,
        }
    }

    /// A server that is in trouble and says when to come back asks for less (design section 8).
    fn class(&self, operation: Operation) -> Class {
        match classify(operation, self.status, self.code.as_deref(), &self.message) {
            Class::Transient if self.status >= 500 && self.retry_after.is_some() => {
                Class::Throttled
            }
            class => class,
        }
    }
}
