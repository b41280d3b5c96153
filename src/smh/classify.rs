//! From a refusal or a broken connection to a class (pure): the tables of sheet sections 4 and 11.

use super::operation::Operation;
use crate::failure::Class;

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
    ("IncompleteBody", Class::Defect),
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
pub(super) fn classify(
    operation: Operation,
    status: u16,
    code: Option<&str>,
    message: &str,
) -> Class {
    let at_cos = matches!(operation, Operation::Post | Operation::Part | Operation::Download);
    let table = if at_cos { COS_CODES } else { CODES };
    // The signing data expired, not the token (sheet section 13).
    if status == 403 && message.to_ascii_lowercase().contains("request has expired") {
        return Class::Stale;
    }
    if let Some((_, class)) = code.and_then(|code| table.iter().find(|(known, _)| *known == code)) {
        return *class;
    }
    match status {
        429 => Class::Throttled,
        // The same as a refused token (sheet section 2).
        401 => Class::Auth,
        // COS refuses a form or an address, whatever it calls that: only another can help (sheet section 4).
        // COS does not know the upload of a part any more; what it calls that is not in the sheet.
        404 if operation == Operation::Part => Class::Stale,
        403 if at_cos => Class::Stale,
        // The object went, or is shorter than it was: what is known of the file is old (sheet section 9).
        404 | 416 if operation == Operation::Download => Class::Stale,
        408 | 425 | 500.. => Class::Transient,
        // Also a 403 with a code that nobody knows: it concerns one call. Taking it for a refusal of
        // who asks would stop all mirrors for one file.
        _ => Class::Defect,
    }
}

/// How the transport failed, when there was no answer to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The name of the host is not known.
    Dns,
    /// Nobody listens there.
    Refused,
    /// There is no way to the host.
    NoRoute,
    /// No secure connection: another certificate than a trusted one, or no TLS at all.
    Tls,
    /// The connection could not be made, for another reason or within the time.
    Connect,
    /// This process has no descriptor or port left to connect with.
    Shortage,
    /// The connection was there, and no answer came in time.
    TimedOut,
    /// The connection ended in the middle.
    Broken,
    /// The answer is larger than any honest one.
    TooLarge,
    /// The request could not be built: an address of the service makes no sense.
    Unsendable,
}

impl Transport {
    /// What it means: no connection at all is offline, one that broke is transient.
    pub(super) fn class(self) -> Class {
        match self {
            Transport::Dns
            | Transport::Refused
            | Transport::NoRoute
            | Transport::Tls
            | Transport::Connect => Class::Offline,
            Transport::Shortage | Transport::TimedOut | Transport::Broken => Class::Transient,
            Transport::TooLarge | Transport::Unsendable => Class::Defect,
        }
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
