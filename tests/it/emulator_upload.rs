//! Uploads to the emulator: forms, policies, confirms, simple and multipart uploads. Sheet sections 3 to 7.

use std::fs;
use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::emulator::Library;

const MIB: usize = 1 << 20;

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

fn key(form: &Value) -> &str {
    form["confirmKey"].as_str().unwrap()
}

/// SHA-256 of a content of up to 1 MiB, which is both of its hashes.
fn sha256(content: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(content))
}

#[test]
fn a_form_upload_end_to_end() {
    let library = Library::new(&[]);
    library.dir("d");
    let (_, form) = library.start("d/a.txt", "overwrite", json!({"size": "9"}));
    let early = library.confirm(key(&form), json!({}));
    assert_eq!(code(&early), (400, "UploadIncomplete"));
    let (status, headers) = library.bed.post(&form, b"123456789");
    assert_eq!(status, 204);
    assert_eq!(headers["x-cos-hash-crc64ecma"], "11051210869376104954");
    assert_eq!(headers["etag"], "\"25f9e794323b453885f5181f1b624d0b\"");
    assert!(
        !library.bed.path("library/objects/d/a.txt").exists(),
        "nothing is visible before the confirm"
    );
    let bad = library.confirm(key(&form), json!({"crc64": "1"}));
    assert_eq!(code(&bad), (400, "BadCrc64"));
    let (status, reply) = library.confirm(key(&form), json!({"crc64": "11051210869376104954"}));
    assert_eq!(status, 200);
    assert_eq!(reply["path"], json!(["d", "a.txt"]));
    assert_eq!((&reply["size"], &reply["isOverwritten"]), (&json!("9"), &json!(false)));
    assert_eq!(fs::read(library.bed.path("library/objects/d/a.txt")).unwrap(), b"123456789");
    let second = library.confirm(key(&form), json!({}));
    assert_eq!(code(&second), (409, "UploadComplete"));
    let (_, state) =
        library.call("GET", &format!("file/smhemulator/-/{}?upload", key(&form)), Value::Null);
    assert_eq!(state["confirmed"], true);
}

#[test]
fn forms_are_refused_for_what_is_wrong_with_them() {
    let library = Library::new(&[]);
    let (_, good) = library.start("a", "overwrite", Value::Null);
    let changed = |name: &str, value: Value| {
        let mut form = good.clone();
        if value.is_null() {
            form["form"].as_object_mut().unwrap().remove(name);
        } else {
            form["form"][name] = value;
        }
        form
    };
    let cases = [
        (changed("q-signature", json!("00")), 403, "SignatureDoesNotMatch"),
        (changed("policy", json!("e30=")), 403, "SignatureDoesNotMatch"),
        (changed("q-ak", json!("other")), 403, "InvalidAccessKeyId"),
        (changed("x-cos-security-token", Value::Null), 403, "AccessDenied"),
        (changed("key", json!("other/key")), 403, "AccessDenied"),
        (changed("acl", json!("public-read")), 403, "AccessDenied"),
        (changed("key", Value::Null), 400, "InvalidArgument"),
        (changed("policy", Value::Null), 400, "InvalidArgument"),
    ];
    for (form, status, code) in cases {
        let (got, headers) = library.bed.post(&form, b"x");
        assert_eq!((got, headers["xml-code"].as_str()), (status, Some(code)));
    }
    library.bed.call("POST", "/_emulator/clock", Some(json!({"shift_seconds": 700})));
    let (status, headers) = library.bed.post(&good, b"x");
    assert_eq!((status, headers["xml-code"].as_str()), (403, Some("AccessDenied")), "expired");
}

#[test]
fn the_shape_of_a_post_is_checked() {
    let library = Library::new(&[]);
    let (_, form) = library.start("a", "overwrite", Value::Null);
    let body = crate::bed::form_body(&form, b"x", "B");
    let late = String::from_utf8(body.clone()).unwrap().replace(
        "\r\n--B--\r\n",
        "\r\n--B\r\nContent-Disposition: form-data; name=\"late\"\r\n\r\nx\r\n--B--\r\n",
    );
    let no_file = body[..body.len() / 3].to_vec();
    let cases: [(&str, Vec<u8>, usize, &str); 4] = [
        ("a field after the file", late.clone().into_bytes(), late.len(), "MalformedPOSTRequest"),
        (
            "no file",
            [
                &no_file[..no_file.windows(4).rposition(|w| w == b"\r\n--").unwrap()],
                b"\r\n--B--\r\n",
            ]
            .concat(),
            0,
            "MalformedPOSTRequest",
        ),
        ("no closing delimiter", body[..body.len() - 9].to_vec(), body.len() - 9, "IncompleteBody"),
        ("no length", body.clone(), usize::MAX, "MissingContentLength"),
    ];
    let address = library.bed.endpoint.trim_start_matches("http://").to_owned();
    for (what, body, length, code) in cases {
        let length = if length == 0 { body.len() } else { length };
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        let head = if length == usize::MAX {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {length}")
        };
        let mut request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary=B\r\n{head}\r\n\r\n"
        )
        .into_bytes();
        if length == usize::MAX {
            request.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        }
        request.extend_from_slice(&body);
        if length == usize::MAX {
            request.extend_from_slice(b"\r\n0\r\n\r\n");
        }
        stream.write_all(&request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(code), "{what}: {answer}");
    }
}

#[test]
fn starts_are_refused_where_the_service_refuses_them() {
    let library = Library::new(&["--quota", "100"]);
    library.dir("dir");
    library.put("file", b"x");
    let cases = [
        ("no/parent", "overwrite", 404, "DirectoryNotFound"),
        ("a%3Fb", "overwrite", 400, "IllegalFileName"),
        (&*"n".repeat(256), "overwrite", 400, "FileNameLengthExceed"),
        ("dir", "overwrite", 409, "SameNameDirectoryOrFileExists"),
        ("file", "ask", 409, "SameNameDirectoryOrFileExists"),
        ("a", "whatever", 400, "InvalidConflictResolutionStrategy"),
    ];
    for (path, strategy, status, expected) in cases {
        assert_eq!(code(&library.start(path, strategy, Value::Null)), (status, expected), "{path}");
    }
    let (_, form) = library.start("large", "overwrite", Value::Null);
    library.bed.post(&form, &[0; 200]);
    assert_eq!(code(&library.confirm(key(&form), json!({}))), (400, "QuotaLimitReached"));
}

#[test]
fn a_cancelled_or_unknown_upload_is_gone() {
    let library = Library::new(&[]);
    let (_, form) = library.start("a", "overwrite", Value::Null);
    let path = format!("file/smhemulator/-/{}?upload", key(&form));
    assert_eq!(library.call("DELETE", &path, Value::Null).0, 204);
    assert_eq!(code(&library.call("GET", &path, Value::Null)), (404, "UploadNotFound"));
    assert_eq!(code(&library.confirm(key(&form), json!({}))), (404, "ConfirmKeyNotFound"));
    // COS takes the object all the same; nobody will see it.
    assert_eq!(library.bed.post(&form, b"x").0, 204);
    // A key lives for a day.
    let (_, form) = library.start("a", "overwrite", Value::Null);
    library.bed.post(&form, b"x");
    library.bed.call("POST", "/_emulator/clock", Some(json!({"shift_seconds": 3600})));
    assert_eq!(
        library.call("GET", &format!("file/smhemulator/-/{}?upload", key(&form)), Value::Null).0,
        200
    );
    library.bed.call("POST", "/_emulator/options", Some(json!({"key_life_seconds": 60})));
    assert_eq!(code(&library.confirm(key(&form), json!({}))), (404, "ConfirmKeyNotFound"));
}

#[test]
fn known_content_is_there_at_once() {
    let library = Library::new(&[]);
    let content = vec![7; MIB];
    let hash = sha256(&content);
    library.dir("d");
    library.put("first", &content);
    let (status, _) = library.start(
        "d/second",
        "overwrite",
        json!({"size": MIB.to_string(), "beginningHash": hash}),
    );
    assert_eq!(status, 202);
    let both = json!({"size": MIB.to_string(), "beginningHash": hash, "fullHash": hash});
    let (status, reply) = library.start("d/second", "overwrite", both.clone());
    assert_eq!((status, &reply["path"]), (200, &json!(["d", "second"])));
    assert_eq!(fs::read(library.bed.path("library/objects/d/second")).unwrap(), content);
    let (_, again) = library.start("d/second", "overwrite", both);
    assert_eq!(again["isOverwritten"], true);
    // Another size, another hash, or less than 1 MiB: a form.
    let wrong = json!({"size": (MIB + 1).to_string(), "beginningHash": hash});
    assert_eq!(library.start("x", "overwrite", wrong).0, 201);
    let small = vec![7; MIB - 1];
    library.put("small", &small);
    let hash = sha256(&small);
    let body = json!({"size": (MIB - 1).to_string(), "beginningHash": hash, "fullHash": hash});
    assert_eq!(library.start("y", "overwrite", body).0, 201);
}

#[test]
fn strategies_decide_at_the_confirm() {
    let library = Library::new(&[]);
    library.put("a.txt", b"1");
    let (_, form) = library.start("a.txt", "rename", Value::Null);
    library.bed.post(&form, b"2");
    let (_, reply) = library.confirm(key(&form), json!({}));
    assert_eq!(reply["path"], json!(["a (1).txt"]));
    let reply = library.put("a.txt", b"3");
    assert_eq!((&reply["path"], &reply["isOverwritten"]), (&json!(["a.txt"]), &json!(true)));
    // Somebody takes the name between start and confirm.
    let (_, form) = library.start("b", "ask", Value::Null);
    library.bed.post(&form, b"x");
    library.put("b", b"y");
    assert_eq!(
        code(&library.confirm(key(&form), json!({}))),
        (409, "SameNameDirectoryOrFileExists")
    );
}

#[test]
fn a_confirm_into_a_deleted_directory_leads_nowhere() {
    let library = Library::new(&[]);
    library.dir("d");
    let (_, form) = library.start("d/a", "overwrite", Value::Null);
    library.bed.post(&form, b"x");
    library.call("DELETE", "directory/smhemulator/-/d", Value::Null);
    let (status, reply) = library.confirm(key(&form), json!({}));
    assert_eq!((status, &reply["path"]), (200, &Value::Null));
}

#[test]
fn a_simple_upload() {
    let library = Library::new(&[]);
    let (status, task) = library.call(
        "PUT",
        "file/smhemulator/-/a?conflict_resolution_strategy=overwrite&filesize=3",
        json!({}),
    );
    assert_eq!(status, 201, "{task}");
    let mut unsigned = task.clone();
    unsigned["headers"]["Authorization"] = json!("q-sign-time=1;2");
    assert_eq!(library.bed.put(&unsigned, "", b"abc"), 403);
    assert_eq!(library.bed.put(&task, "", b"abc"), 200);
    assert_eq!(library.confirm(key(&task), json!({})).0, 200);
    assert_eq!(fs::read(library.bed.path("library/objects/a")).unwrap(), b"abc");
}

#[test]
fn multipart_uploads_in_both_dialects() {
    let library = Library::new(&[]);
    let parts = [vec![1; MIB], vec![2; MIB], vec![3; 5]];
    for (name, body) in [("old", json!({})), ("new", json!({"partNumberRange": "1-3"}))] {
        let path =
            format!("file/smhemulator/-/{name}?multipart&conflict_resolution_strategy=overwrite");
        let (status, task) = library.call("POST", &path, body);
        assert_eq!(status, 201, "{task}");
        let signed = |n: usize| {
            let mut one = task.clone();
            if name == "new" {
                one["headers"] = task["parts"][n.to_string()]["headers"].clone();
            }
            one
        };
        let upload_id = task["uploadId"].as_str().unwrap();
        let send = |n: usize| {
            let query = format!("?uploadId={upload_id}&partNumber={n}");
            assert_eq!(library.bed.put(&signed(n), &query, &parts[n - 1]), 200);
        };
        send(1);
        send(3);
        assert_eq!(
            code(&library.confirm(key(&task), json!({}))),
            (400, "MultipartUploadIncomplete")
        );
        let (_, state) =
            library.call("GET", &format!("file/smhemulator/-/{}?upload", key(&task)), Value::Null);
        let arrived: Vec<&Value> =
            state["parts"].as_array().unwrap().iter().map(|p| &p["PartNumber"]).collect();
        assert_eq!(arrived, [&json!(1), &json!(3)]);
        let (status, renewed) = library.call(
            "POST",
            &format!("file/smhemulator/-/{}?renew", key(&task)),
            json!({"partNumberRange": [2]}),
        );
        assert_eq!((status, renewed["parts"]["2"]["headers"].is_object()), (200, true));
        send(2);
        assert_eq!(library.confirm(key(&task), json!({})).0, 200);
        assert_eq!(
            fs::read(library.bed.path("library/objects").join(name)).unwrap(),
            parts.concat()
        );
    }
}

#[test]
fn a_small_part_in_the_middle_is_refused() {
    let library = Library::new(&[]);
    let (_, task) = library.call("POST", "file/smhemulator/-/a?multipart", json!({}));
    for (n, size) in [(1, 10), (2, 10)] {
        let query = format!("?uploadId={}&partNumber={n}", task["uploadId"].as_str().unwrap());
        assert_eq!(library.bed.put(&task, &query, &vec![0; size]), 200);
    }
    assert_eq!(code(&library.confirm(key(&task), json!({}))), (400, "MultipartUploadPartTooSmall"));
    let many =
        library.call("POST", "file/smhemulator/-/b?multipart", json!({"partNumberRange": "1-101"}));
    assert_eq!(code(&many), (400, "ParamInvalid"));
}

#[test]
fn a_file_is_downloaded_from_a_signed_address() {
    let library = Library::new(&[]);
    library.put("a b.txt", b"123456789");
    let (_, info) = library.call("GET", "file/smhemulator/-/a%20b.txt?info", Value::Null);
    let url = info["cosUrl"].as_str().unwrap();
    let path = url.strip_prefix(&library.bed.endpoint).unwrap();
    assert_eq!(
        library.bed.call("GET", path, None).1,
        json!(123_456_789),
        "the content, as a number"
    );
    let (status, _) = library.bed.call("GET", path.split('?').next().unwrap(), None);
    assert_eq!(status, 403, "unsigned");
}

#[test]
fn replies_are_lost_before_or_after_they_took_effect() {
    let library = Library::new(&[]);
    for (when, made) in [("before", 404), ("after", 200)] {
        library
            .bed
            .fault(json!({"route": "directory.create", "times": 1, "effect": {"reset": when}}));
        assert!(
            library
                .bed
                .try_call(
                    "PUT",
                    &format!(
                        "/api/v1/directory/smhemulator/-/{when}?access_token={}",
                        library.bed.admin()
                    )
                )
                .is_none()
        );
        assert_eq!(
            library.call("HEAD", &format!("directory/smhemulator/-/{when}"), Value::Null).0,
            made
        );
    }
    library.bed.fault(json!({"route": "directory.head", "nth": 2, "effect": {"status": 429, "code": "RateLimitExceeded", "retry_after": 3}}));
    let statuses: Vec<u16> = (0..3)
        .map(|_| library.call("HEAD", "directory/smhemulator/-/after", Value::Null).0)
        .collect();
    assert_eq!(statuses, [200, 429, 200]);
    let wrong = library.bed.call("POST", "/_emulator/faults", Some(json!({"effekt": {}})));
    assert_eq!(code(&wrong), (400, "BadRequest"));
}
