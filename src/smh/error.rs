//! What the service said no with, and what that means (pure). Sheet sections 4 and 11.

use std::fmt;
use std::time::Duration;

use crate::failure::Class;

/// The call that failed: an answer can only be understood by what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Make or renew an access token.
    Token,
    /// Make a directory.
    CreateDirectory,
    /// Look at a file or directory.
    Info,
    /// List a directory.
    List,
    /// Ask for an upload form.
    Start,
    /// Post the form to COS.
    Post,
    /// Make the file visible.
    Confirm,
    /// Ask for the state of an upload.
    Status,
    /// Cancel an upload.
    Cancel,
    /// Delete a file.
    Delete,
}

impl Operation {
    /// For messages: what was tried.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Operation::Token => "get an access token",
            Operation::CreateDirectory => "create the directory",
            Operation::Info => "look at the remote file",
            Operation::List => "list the remote directory",
            Operation::Start => "start the upload",
            Operation::Post => "send the content",
            Operation::Confirm => "confirm the upload",
            Operation::Status => "ask for the state of the upload",
            Operation::Cancel => "cancel the upload",
            Operation::Delete => "delete the remote file",
        }
    }
}

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
        }
    }

    /// Whether the service said this code.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
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
            class: classify(operation, self.status, self.code.as_deref(), &self.message),
            operation,
            status: Some(self.status),
            code: self.code,
            message: self.message,
            request_id: self.request_id,
            retry_after: self.retry_after,
        }
    }
}

/// Codes of SMH (sheet section 11) and of COS (section 4) and their class.
const CODES: &[(&str, Class)] = &[
    // We sent nonsense.
    ("BadRequest", Class::Defect),
    ("ParamInvalid", Class::Defect),
    ("InvalidConflictResolutionStrategy", Class::Defect),
    ("SpaceIdInvalid", Class::Defect),
    ("InvalidTimeFormat", Class::Defect),
    ("EmptyFileName", Class::Defect),
    ("EmptySpaceId", Class::Defect),
    ("EmptyAccessToken", Class::Defect),
    ("EmptyLibraryId", Class::Defect),
    // Not (all) there yet, or another operation on the same path.
    ("UploadIncomplete", Class::Transient),
    ("MultipartUploadIncomplete", Class::Transient),
    ("PathConflict", Class::Transient),
    ("LibraryInitializing", Class::Transient),
    ("ReadRequestTimeout", Class::Transient),
    ("ClientDisconnected", Class::Transient),
    ("InternalServerError", Class::Transient),
    ("RequestTimeout", Class::Transient),
    // The bytes that arrived are not the bytes that were sent.
    ("MultipartUploadPartTooSmall", Class::Defect),
    ("BadCrc64", Class::Defect),
    ("IncompleteBody", Class::Transient),
    // Refused until the file or the library changes.
    ("FileNameLengthExceed", Class::Permanent),
    ("DirectoryNameLengthExceed", Class::Permanent),
    ("IllegalFileName", Class::Permanent),
    ("ExtnameNotAllowed", Class::Permanent),
    ("FileTypeNotMatched", Class::Permanent),
    ("DirectoryNotAllowed", Class::Permanent),
    ("DirectoryLevelExceed", Class::Permanent),
    ("UploadToRootDirectoryNotAllowed", Class::Permanent),
    ("RootDirectoryNotAllowed", Class::Permanent),
    ("OverwriteFileNotAllowed", Class::Permanent),
    ("SymlinkOverwriteConflict", Class::Permanent),
    ("SymlinkDepthLimitExceeded", Class::Permanent),
    ("SameNameDirectoryOrFileExists", Class::Permanent),
    ("RenameTooManyTimes", Class::Permanent),
    ("CircleSymlink", Class::Permanent),
    ("SpaceNotEmpty", Class::Permanent),
    ("RequestEntityTooLarge", Class::Permanent),
    ("URITooLong", Class::Permanent),
    ("HeaderFieldsTooLarge", Class::Permanent),
    ("SensitiveContentRecognized", Class::Permanent),
    // Remembered, and no longer there.
    ("InvalidSpaceOrDirectoryPath", Class::Stale),
    ("ConfirmKeyNotFound", Class::Stale),
    ("UploadNotFound", Class::Stale),
    ("CosObjectNonexistent", Class::Stale),
    ("DirectoryNotFound", Class::Stale),
    ("PathNotFound", Class::Stale),
    ("FileNotFound", Class::Stale),
    ("SourceFileNotFound", Class::Stale),
    ("SourceDirectoryNotFound", Class::Stale),
    ("UploadComplete", Class::Stale),
    ("QuotaLimitReached", Class::Quota),
    ("RecycleBinNotEnabled", Class::Defect),
    ("NotMultiSpaceLibrary", Class::Auth),
    ("FunctionNotEnabled", Class::Auth),
    ("TooManyItems", Class::Defect),
    ("NoItemsProvided", Class::Defect),
    // The credentials, their rights, or the library they are for.
    ("InvalidAccessToken", Class::Auth),
    ("AccessTokenVersionNotMatch", Class::Auth),
    ("AccessTokenNotMatchLibrary", Class::Auth),
    ("AccessTokenNotMatchSpace", Class::Auth),
    ("NoPermission", Class::Auth),
    ("WriteForbidden", Class::Auth),
    ("ReadForbidden", Class::Auth),
    ("LoginRequired", Class::Auth),
    ("LibraryServiceExpired", Class::Auth),
    ("SpaceBanned", Class::Auth),
    ("LibraryNotFound", Class::Auth),
    ("SpaceNotFound", Class::Auth),
    ("WrongLibraryIdOrSecret", Class::Auth),
    ("EmptyLibraryIdOrSecret", Class::Auth),
    ("EmptyLibrarySecret", Class::Auth),
    ("RouteNotFound", Class::Auth),
    ("MarkerNotFound", Class::Stale),
    ("NoQuota", Class::Stale),
    ("QuotaNotFound", Class::Stale),
    ("RateLimitExceeded", Class::Throttled),
    ("ServerOverloaded", Class::Throttled),
];

/// Codes of COS that mean something else than the same word of SMH, or that only COS says (sheet section 4).
const COS_CODES: &[(&str, Class)] = &[
    // The form is too old or was made for something else: a new one is the way on.
    ("AccessDenied", Class::Stale),
    ("SignatureDoesNotMatch", Class::Defect),
    ("InvalidAccessKeyId", Class::Defect),
    ("RequestTimeTooSkewed", Class::Stale),
    ("MalformedPOSTRequest", Class::Defect),
    ("InvalidArgument", Class::Defect),
    ("EntityTooLarge", Class::Permanent),
    ("EntityTooSmall", Class::Defect),
    ("RequestTimeout", Class::Transient),
    ("IncompleteBody", Class::Transient),
    ("MissingContentLength", Class::Defect),
    ("NoSuchBucket", Class::Stale),
    ("InternalError", Class::Transient),
    ("SlowDown", Class::Throttled),
    ("ServiceUnavailable", Class::Throttled),
];

/// What an answer means.
fn classify(operation: Operation, status: u16, code: Option<&str>, message: &str) -> Class {
    let table = if operation == Operation::Post { COS_CODES } else { CODES };
    // The signing data expired, not the token (sheet section 13).
    if status == 403 && message.to_ascii_lowercase().contains("request has expired") {
        return Class::Stale;
    }
    if let Some((_, class)) = code.and_then(|code| table.iter().find(|(known, _)| *known == code)) {
        return *class;
    }
    match status {
        429 => Class::Throttled,
        401 => Class::Auth,
        // COS refuses a form, SMH refuses who asks.
        403 if operation == Operation::Post => Class::Stale,
        403 => Class::Auth,
        408 | 425 | 500.. => Class::Transient,
        _ => Class::Defect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice() {
        for table in [CODES, COS_CODES] {
            for (at, (code, _)) in table.iter().enumerate() {
                assert!(!table.iter().skip(at + 1).any(|(other, _)| other == code), "{code} twice");
            }
        }
    }

    #[test]
    fn an_answer_is_understood_by_what_was_asked() {
        use Class::*;
        use Operation::*;
        let cases = [
            (Start, 403, Some("InvalidAccessToken"), "", Auth),
            (Start, 403, Some("AccessDenied"), "Request has expired", Stale),
            (Post, 403, Some("AccessDenied"), "", Stale),
            (Post, 403, None, "", Stale),
            (Post, 503, Some("SlowDown"), "", Throttled),
            (Post, 400, Some("EntityTooLarge"), "", Permanent),
            (Start, 400, Some("QuotaLimitReached"), "", Quota),
            (Start, 404, Some("DirectoryNotFound"), "", Stale),
            (Start, 400, Some("InvalidSpaceOrDirectoryPath"), "", Stale),
            (Start, 400, Some("NeverHeardOf"), "", Defect),
            (Start, 502, None, "", Transient),
            (Start, 429, None, "", Throttled),
            (Start, 401, None, "", Auth),
            (Start, 408, None, "", Transient),
            (Token, 404, Some("WrongLibraryIdOrSecret"), "", Auth),
        ];
        for (operation, status, code, message, class) in cases {
            assert_eq!(
                classify(operation, status, code, message),
                class,
                "{operation:?} {status} {code:?}"
            );
        }
    }
}
