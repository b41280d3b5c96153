use super::*;
use crate::smh::error::{Error, Refusal};
use crate::smh::reply::{cos_refusal, is_error_envelope, refusal};
use std::time::Duration;

/// Section 11 of the sheet, copied line by line and independently of the table that is tested. Where
/// the sheet leaves the class to the call or to our judgement, all that it allows is listed.
const SHEET: &str = "
400 | BadRequest ParamInvalid InvalidConflictResolutionStrategy SpaceIdInvalid InvalidTimeFormat EmptyFileName EmptySpaceId EmptyAccessToken EmptyLibraryId | defect
400 | UploadIncomplete MultipartUploadIncomplete | transient
400 | MultipartUploadPartTooSmall BadCrc64 IncompleteBody | defect
400 | FileNameLengthExceed DirectoryNameLengthExceed IllegalFileName ExtnameNotAllowed FileTypeNotMatched DirectoryNotAllowed DirectoryLevelExceed UploadToRootDirectoryNotAllowed RootDirectoryNotAllowed OverwriteFileNotAllowed SymlinkOverwriteConflict SymlinkDepthLimitExceeded | permanent
400 | InvalidSpaceOrDirectoryPath | stale
400 | QuotaLimitReached | quota
400 | RecycleBinNotEnabled NotMultiSpaceLibrary FunctionNotEnabled TooManyItems NoItemsProvided | defect auth
403 | InvalidAccessToken AccessTokenVersionNotMatch | auth
403 | AccessTokenNotMatchLibrary AccessTokenNotMatchSpace NoPermission WriteForbidden ReadForbidden LoginRequired | auth
403 | LibraryServiceExpired SpaceBanned | auth
403 | LibraryInitializing | transient
404 | ConfirmKeyNotFound UploadNotFound CosObjectNonexistent | stale
404 | DirectoryNotFound PathNotFound | stale
404 | FileNotFound SourceFileNotFound SourceDirectoryNotFound | stale
404 | LibraryNotFound SpaceNotFound WrongLibraryIdOrSecret RouteNotFound | auth
404 | MarkerNotFound NoQuota QuotaNotFound | stale
408 | ReadRequestTimeout | transient
409 | UploadComplete | stale
409 | SameNameDirectoryOrFileExists | permanent
409 | PathConflict | transient
409 | RenameTooManyTimes CircleSymlink SpaceNotEmpty | permanent
413 | RequestEntityTooLarge | permanent
414 | URITooLong | permanent
431 | HeaderFieldsTooLarge | permanent
429 | RateLimitExceeded | throttled
451 | SensitiveContentRecognized | permanent
499 | ClientDisconnected | transient
500 | InternalServerError RequestTimeout | transient
503 | ServerOverloaded | throttled
";

/// Section 2: making a token.
const SHEET_TOKEN: &str = "
404 | WrongLibraryIdOrSecret | auth
400 | EmptyLibraryIdOrSecret EmptyLibrarySecret | auth
400 | EmptyLibraryId | defect
403 | InvalidAccessToken AccessTokenNotMatchLibrary AccessTokenNotMatchSpace NoPermission | auth
";

/// Section 4: what COS says. The sheet tells when, the class follows: a form that is too old or does
/// not fit is replaced, a body that did not arrive is sent again, what we built wrongly is a defect.
const SHEET_COS: &str = "
403 | AccessDenied | stale
403 | SignatureDoesNotMatch InvalidAccessKeyId | defect
403 | RequestTimeTooSkewed | stale
400 | MalformedPOSTRequest InvalidArgument | defect
400 | EntityTooLarge | permanent
400 | EntityTooSmall | defect
400 | RequestTimeout IncompleteBody | transient
411 | MissingContentLength | defect
404 | NoSuchBucket | stale
500 | InternalError | transient
503 | SlowDown ServiceUnavailable | throttled
";

const SMH_OPERATIONS: [Operation; 9] = [
    Operation::Token,
    Operation::CreateDirectory,
    Operation::Info,
    Operation::List,
    Operation::Start,
    Operation::Confirm,
    Operation::Status,
    Operation::Cancel,
    Operation::Delete,
];

/// Status, code and the classes that are right for it.
fn lines(sheet: &str) -> Vec<(u16, &str, Vec<Class>)> {
    let mut all = Vec::new();
    for line in sheet.lines().filter(|line| !line.is_empty()) {
        let mut cells = line.split('|').map(str::trim);
        let status = cells.next().unwrap().parse().unwrap();
        let codes = cells.next().unwrap();
        let classes: Vec<Class> =
            cells.next().unwrap().split(' ').map(|word| word.parse().unwrap()).collect();
        all.extend(codes.split(' ').map(|code| (status, code, classes.clone())));
    }
    all
}

#[test]
fn every_line_of_the_sheet() {
    for (status, code, classes) in lines(SHEET) {
        for operation in SMH_OPERATIONS {
            let class = classify(operation, status, Some(code), "");
            assert!(classes.contains(&class), "{operation:?} {status} {code}: {class}");
        }
    }
    for (status, code, classes) in lines(SHEET_TOKEN) {
        assert_eq!(vec![classify(Operation::Token, status, Some(code), "")], classes, "{code}");
    }
    for (status, code, classes) in lines(SHEET_COS) {
        assert_eq!(vec![classify(Operation::Post, status, Some(code), "")], classes, "{code}");
    }
}

#[test]
fn the_tables_hold_what_the_sheet_has_and_nothing_else() {
    let mut smh: Vec<&str> =
        lines(SHEET).into_iter().chain(lines(SHEET_TOKEN)).map(|(_, code, _)| code).collect();
    smh.sort_unstable();
    smh.dedup();
    let mut cos: Vec<&str> = lines(SHEET_COS).into_iter().map(|(_, code, _)| code).collect();
    cos.sort_unstable();
    for (table, sheet) in [(CODES, smh), (COS_CODES, cos)] {
        let mut known: Vec<&str> = table.iter().map(|(code, _)| *code).collect();
        known.sort_unstable();
        assert_eq!(known, sheet);
    }
}

#[test]
fn an_error_in_an_envelope_is_the_same_error() {
    for (status, code, classes) in lines(SHEET) {
        let body =
            format!(r#"{{"status":{status},"code":"{code}","message":"m","requestId":"r"}}"#);
        assert!(is_error_envelope(body.as_bytes()), "{body}");
        let error = refusal(200, body.as_bytes()).into_error(Operation::Start);
        assert!(classes.contains(&error.class), "{body}: {}", error.class);
        assert_eq!((error.status, error.code.as_deref()), (Some(status), Some(code)));
        assert_eq!(error.request_id.as_deref(), Some("r"));
    }
    // Without a code, and with a code that is a number, as other services wrap it.
    for body in [r#"{"status":503,"message":"m"}"#, r#"{"status":503,"code":17,"message":"m"}"#] {
        assert!(is_error_envelope(body.as_bytes()), "{body}");
        let error = refusal(200, body.as_bytes()).into_error(Operation::Start);
        assert_eq!((error.class, error.status), (Class::Transient, Some(503)), "{body}");
    }
    // Successes that have a field of that name.
    for body in [r#"{"status":1,"path":[]}"#, r#"{"status":"finished"}"#, r#"[{"status":404}]"#] {
        assert!(!is_error_envelope(body.as_bytes()), "{body}");
    }
}

#[test]
fn unknown_codes_go_by_their_status() {
    for code in [None, Some("NeverHeardOf")] {
        for operation in SMH_OPERATIONS {
            for (status, class) in [
                (401, Class::Auth),
                (408, Class::Transient),
                (425, Class::Transient),
                (429, Class::Throttled),
                (500, Class::Transient),
                (502, Class::Transient),
                (503, Class::Transient),
                (504, Class::Transient),
                (599, Class::Transient),
                (400, Class::Defect),
                (403, Class::Defect),
                (404, Class::Defect),
                (405, Class::Defect),
                (409, Class::Defect),
                (418, Class::Defect),
                (451, Class::Defect),
                // Redirects are not followed, and nothing else is expected.
                (302, Class::Defect),
                (206, Class::Defect),
            ] {
                let found = classify(operation, status, code, "");
                assert_eq!(found, class, "{operation:?} {status} {code:?}");
            }
        }
        for (status, class) in [
            (403, Class::Stale),
            (429, Class::Throttled),
            (500, Class::Transient),
            (503, Class::Transient),
            (400, Class::Defect),
            (404, Class::Defect),
            (307, Class::Defect),
        ] {
            assert_eq!(classify(Operation::Post, status, code, ""), class, "{status} {code:?}");
        }
    }
}

#[test]
fn what_the_bucket_says_of_a_download() {
    for (status, code, class) in [
        (403, Some("AccessDenied"), Class::Stale),
        (403, Some("NeverHeardOf"), Class::Stale),
        (404, Some("NoSuchKey"), Class::Stale),
        (416, Some("InvalidRange"), Class::Stale),
        (403, Some("SignatureDoesNotMatch"), Class::Defect),
        (302, None, Class::Defect),
        (500, Some("InternalError"), Class::Transient),
        (503, Some("SlowDown"), Class::Throttled),
    ] {
        assert_eq!(classify(Operation::Download, status, code, ""), class, "{status} {code:?}");
    }
}

#[test]
fn expired_signing_data_is_not_an_expired_token() {
    let said = "Request has expired";
    for (operation, code) in [
        (Operation::Post, Some("AccessDenied")),
        (Operation::Post, None),
        (Operation::Start, Some("InvalidAccessToken")),
        (Operation::Confirm, None),
    ] {
        assert_eq!(classify(operation, 403, code, said), Class::Stale, "{operation:?} {code:?}");
    }
    assert_eq!(classify(Operation::Start, 500, None, said), Class::Transient);
    let xml = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    let error = cos_refusal(403, xml).into_error(Operation::Post);
    assert!(error.class == Class::Stale && !error.wants_new_token());
}

#[test]
fn one_word_of_two_services_means_two_things() {
    for (code, smh, cos) in [
        ("IncompleteBody", Class::Defect, Class::Transient),
        ("RequestTimeout", Class::Transient, Class::Transient),
        // Only COS says these: in an answer of SMH they are unknown.
        ("AccessDenied", Class::Defect, Class::Stale),
        ("SlowDown", Class::Defect, Class::Throttled),
    ] {
        assert_eq!(classify(Operation::Confirm, 400, Some(code), ""), smh, "{code}");
        assert_eq!(classify(Operation::Post, 400, Some(code), ""), cos, "{code}");
    }
}

#[test]
fn a_server_in_trouble_that_names_a_time_asks_for_less() {
    let refusal = |status, code: Option<&str>, wait: Option<u64>| Refusal {
        status,
        code: code.map(str::to_owned),
        retry_after: wait.map(Duration::from_secs),
        ..Refusal::default()
    };
    for (given, class) in [
        (refusal(503, None, Some(3)), Class::Throttled),
        (refusal(503, None, None), Class::Transient),
        (refusal(500, Some("InternalServerError"), Some(3)), Class::Throttled),
        // These concern one path, or are for good: the wait changes nothing about that.
        (refusal(409, Some("PathConflict"), Some(3)), Class::Transient),
        (refusal(400, Some("QuotaLimitReached"), Some(3)), Class::Quota),
    ] {
        assert_eq!(given.clone().into_error(Operation::Start).class, class, "{given:?}");
    }
}

#[test]
fn only_a_refused_token_asks_for_another() {
    for (status, code, wanted) in [
        (401, None, true),
        (401, Some("NeverHeardOf"), true),
        (403, Some("InvalidAccessToken"), true),
        (403, Some("AccessTokenVersionNotMatch"), true),
        (403, Some("NoPermission"), false),
        (403, Some("AccessTokenNotMatchSpace"), false),
        (403, None, false),
        (404, Some("WrongLibraryIdOrSecret"), false),
    ] {
        let refusal = Refusal { status, code: code.map(str::to_owned), ..Refusal::default() };
        let error = refusal.into_error(Operation::Start);
        assert_eq!(error.wants_new_token(), wanted, "{status} {code:?}");
    }
}

#[test]
fn what_a_broken_transport_means() {
    for (transport, class) in [
        (Transport::Dns, Class::Offline),
        (Transport::Refused, Class::Offline),
        (Transport::NoRoute, Class::Offline),
        (Transport::Tls, Class::Offline),
        (Transport::Connect, Class::Offline),
        (Transport::Shortage, Class::Transient),
        (Transport::TimedOut, Class::Transient),
        (Transport::Broken, Class::Transient),
        (Transport::TooLarge, Class::Defect),
        (Transport::Unsendable, Class::Defect),
    ] {
        assert_eq!(transport.class(), class, "{transport:?}");
        assert_eq!(Error::transport(Operation::Start, transport, "m").class, class);
    }
}
