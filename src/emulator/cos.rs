//! The bucket: form POST, PUT, parts, and signed downloads. Sheet sections 4, 7 and 9.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RANGE, TRANSFER_ENCODING};

use super::content::{Summing, Sums, write_piece};
use super::form_data::{FormData, Part};
use super::library::Path;
use super::multipart::{self, PARTS_MAX};
use super::policy::{self, Allowed};
use super::reply::{Body, CosRefusal, Reply, cos_refuse};
use super::route::{decode, encode};
use super::store::{Op, Store, place};

type Answer = Result<Reply, CosRefusal>;

/// Prefix of the keys under which finished files can be fetched.
const PUBLIC: &str = "objects/";
/// Most bytes beside the content in a form.
const FORM_EXTRA: u64 = 1 << 20;

/// The key of a library file for a signed GET.
pub(super) fn public_key(path: &Path) -> String {
    let names: Vec<String> = path.iter().map(|name| encode(name)).collect();
    format!("{PUBLIC}{}", names.join("/"))
}

/// The announced length; a body without one is refused (sheet section 14).
fn content_length(headers: &HeaderMap) -> Result<u64, CosRefusal> {
    let length =
        headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    match length {
        Some(length) if !headers.contains_key(TRANSFER_ENCODING) => Ok(length),
        _ => Err(cos_refuse(411, "MissingContentLength", "the request has no Content-Length")),
    }
}

async fn next_piece(body: &mut Incoming) -> Result<Option<Bytes>, CosRefusal> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => return Err(cos_refuse(400, "IncompleteBody", "the body ended early")),
        }
    }
}

/// Takes a form (sheet section 4), no more than `sip` bytes of it a second.
pub(super) async fn post(
    store: &Store,
    headers: &HeaderMap,
    body: &mut Incoming,
    sip: Option<u64>,
) -> Answer {
    let length = content_length(headers)?;
    let boundary = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .filter(|value| value.starts_with("multipart/form-data"))
        .and_then(|value| value.split("boundary=").nth(1))
        .map(|value| value.trim_matches('"').to_owned())
        .ok_or_else(|| cos_refuse(400, "MalformedPOSTRequest", "not multipart/form-data"))?;
    let scratch = {
        let number = store.lock().number();
        store.data.join("pending").join(format!("post-{number}"))
    };
    let taken = take_form(store, body, &boundary, length, &scratch, sip).await;
    if taken.is_err() {
        let _ = std::fs::remove_file(&scratch);
    }
    let (allowed, sums, status) = taken?;
    let mut inner = store.lock();
    let upload =
        inner.state.upload_of_cos_key(&allowed.key).map(|(key, u)| (key.clone(), u.confirmed));
    match upload {
        Some((key, false)) => {
            place(&scratch, &store.pending(&allowed.key, None))?;
            inner.apply(Op::Posted(key, sums.clone()))?;
        }
        // The upload was cancelled or confirmed: COS takes the object, nobody will ask for it.
        _ => {
            let _ = std::fs::remove_file(&scratch);
        }
    }
    drop(inner);
    Ok(stored(status, &sums).header("location", format!("/{}", allowed.key)))
}

fn stored(status: u16, sums: &Sums) -> Reply {
    Reply::empty(status)
        .header("etag", format!("\"{}\"", sums.md5))
        .header("x-cos-hash-crc64ecma", sums.crc64.to_string())
}

async fn take_form(
    store: &Store,
    body: &mut Incoming,
    boundary: &str,
    length: u64,
    scratch: &std::path::Path,
    sip: Option<u64>,
) -> Result<(Allowed, Sums, u16), CosRefusal> {
    let mut parser = FormData::new(boundary);
    let mut taking: Option<(Allowed, File, u16)> = None;
    let mut summing = Summing::new();
    let mut size = 0_u64;
    loop {
        match parser.next()? {
            Part::FileBegins(fields) => {
                let now_ms = store.lock().now_ms();
                let allowed = policy::check(&fields, now_ms)?;
                if length > allowed.largest.saturating_add(FORM_EXTRA) {
                    return Err(cos_refuse(400, "EntityTooLarge", "the content is too large"));
                }
                let status = fields
                    .iter()
                    .find(|(name, _)| name == "success_action_status")
                    .and_then(|(_, value)| value.parse().ok())
                    .filter(|status| [200, 201, 204].contains(status))
                    .unwrap_or(204);
                taking = Some((allowed, File::create(scratch)?, status));
            }
            Part::Content(piece) => {
                let Some((allowed, file, _)) = &mut taking else { continue };
                size += piece.len() as u64;
                if size > allowed.largest {
                    return Err(cos_refuse(400, "EntityTooLarge", "the content is too large"));
                }
                summing.add(&piece);
                write_piece(file, &piece)?;
            }
            Part::End => {
                if let Some((_, file, _)) = &mut taking {
                    file.set_len(size)?;
                }
            }
            Part::More => match take_piece(store, body, sip).await? {
                Some(_) if parser.is_done() => {}
                Some(piece) => parser.feed(piece),
                None => break,
            },
        }
    }
    let Some((allowed, ..)) = taking.as_ref() else {
        return Err(cos_refuse(400, "MalformedPOSTRequest", "the form has no file"));
    };
    if !parser.is_done() {
        return Err(cos_refuse(400, "IncompleteBody", "the form ended early"));
    }
    if size < allowed.smallest {
        return Err(cos_refuse(400, "EntityTooSmall", "the content is too small"));
    }
    taking
        .map(|(allowed, _, status)| (allowed, summing.done(), status))
        .ok_or_else(|| cos_refuse(400, "MalformedPOSTRequest", "the form has no file"))
}

/// The next piece of a content, no sooner than `sip` bytes a second allow.
async fn take_piece(
    store: &Store,
    body: &mut Incoming,
    sip: Option<u64>,
) -> Result<Option<Bytes>, CosRefusal> {
    let piece = next_piece(body).await?;
    let len = piece.as_ref().map_or(0, |piece| piece.len() as u64);
    store.received.fetch_add(len, Ordering::Relaxed);
    if let (Some(sip), true) = (sip, len > 0) {
        let ms = len.saturating_mul(1000) / sip.max(1);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    Ok(piece)
}

/// Takes the content of a simple upload, or one part (sheet section 7).
pub(super) async fn put(
    store: &Store,
    key: &str,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
    body: &mut Incoming,
    sip: Option<u64>,
) -> Answer {
    let length = content_length(headers)?;
    let authorization =
        headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let pair = |name: &str| {
        authorization
            .split('&')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    };
    let now_ms = store.lock().now_ms();
    policy::check_signed("put", key, pair, now_ms)?;
    if length > policy::POST_MAX {
        return Err(cos_refuse(400, "EntityTooLarge", "the content is too large"));
    }
    let part = match query.get("partNumber") {
        None => None,
        Some(text) => {
            let number = text.parse::<u32>().ok().filter(|n| (1..=PARTS_MAX).contains(n));
            Some(number.ok_or_else(|| cos_refuse(400, "InvalidArgument", "bad part number"))?)
        }
    };
    let (confirm_key, cos_key, scratch) = {
        let mut inner = store.lock();
        let number = inner.number();
        let (confirm_key, upload) = inner
            .state
            .upload_of_cos_key(key)
            .ok_or_else(|| cos_refuse(404, "NoSuchUpload", "the upload is not known"))?;
        if part.is_some() && query.get("uploadId") != Some(&upload.upload_id) {
            return Err(cos_refuse(404, "NoSuchUpload", "the upload is not known"));
        }
        (
            confirm_key.clone(),
            upload.cos_key.clone(),
            store.data.join("pending").join(format!("put-{number}")),
        )
    };
    let mut summing = Summing::new();
    let mut file = File::create(&scratch)?;
    let mut size = 0;
    while let Some(piece) = take_piece(store, body, sip).await? {
        size += piece.len() as u64;
        summing.add(&piece);
        write_piece(&mut file, &piece)?;
    }
    file.set_len(size)?;
    if size != length {
        return Err(cos_refuse(400, "IncompleteBody", "the body ended early"));
    }
    let sums = summing.done();
    let mut inner = store.lock();
    place(&scratch, &store.pending(&cos_key, part))?;
    inner.apply(match part {
        None => Op::Posted(confirm_key, sums.clone()),
        Some(part) => Op::Part(confirm_key, part, sums.clone(), now_ms),
    })?;
    let upload = inner.state.upload_of_cos_key(key).map(|(_, upload)| upload);
    let joinable = upload.filter(|upload| part.is_some() && !upload.confirmed).cloned();
    drop(inner);
    if let Some(upload) = joinable {
        tokio::task::block_in_place(|| multipart::join_some(store, &upload));
    }
    Ok(stored(200, &sums))
}

/// Sends a file of the library from a signed address.
pub(super) fn get(
    store: &Store,
    key: &str,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
) -> Answer {
    let now_ms = store.lock().now_ms();
    policy::check_signed("get", key, |name| query.get(name).cloned(), now_ms)?;
    let missing = || cos_refuse(404, "NoSuchKey", "the object does not exist");
    let names: Option<Path> =
        key.strip_prefix(PUBLIC).ok_or_else(missing)?.split('/').map(decode).collect();
    let path = names.ok_or_else(missing)?;
    let sums = store.lock().state.library.file(&path).ok_or_else(missing)?.sums.clone();
    let mut file = File::open(store.object(&path))?;
    let range = headers.get(RANGE).and_then(|v| v.to_str().ok()).and_then(|text| {
        let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
        let from: u64 = from.parse().ok()?;
        let to = to.parse().unwrap_or(u64::MAX).min(sums.size.checked_sub(1)?);
        Some((from, to))
    });
    let (status, from, len) = match range {
        None => (200, 0, sums.size),
        Some((from, to)) if from <= to => (206, from, to - from + 1),
        Some(_) => return Err(cos_refuse(416, "InvalidRange", "the range lies beyond the object")),
    };
    file.seek(SeekFrom::Start(from))?;
    let pieces = futures_util::stream::unfold((file, len), |(mut file, left)| async move {
        if left == 0 {
            return None;
        }
        let mut buffer = vec![0; usize::try_from(left.min(256 * 1024)).unwrap_or(0)];
        let read = file.read_exact(&mut buffer).map(|()| Bytes::from(buffer));
        let taken = read.as_ref().map_or(left, |bytes| bytes.len() as u64);
        Some((read, (file, left - taken)))
    });
    let mut reply = stored(status, &sums);
    if status == 206 {
        reply =
            reply.header("content-range", format!("bytes {from}-{}/{}", from + len - 1, sums.size));
    }
    reply.body = Body::Stream(len, Box::pin(pieces));
    Ok(reply)
}

/// Reads the rest of a body that nobody wants, up to a limit, so that the client hears the answer.
pub(super) async fn drain(body: &mut Incoming) {
    let mut left: u64 = 8 << 20;
    while !body.is_end_stream() {
        match next_piece(body).await {
            Ok(Some(piece)) if (piece.len() as u64) < left => left -= piece.len() as u64,
            _ => return,
        }
    }
}
