//! Uploads: start (form and simple), confirm, status, cancel, renew. Sheet sections 3, 5, 6 and 7.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::content::{self, MIB, Sums};
use super::library::{FileMeta, Path, check_names};
use super::multipart;
use super::policy;
use super::reply::{Answer, Refusal, Reply, refuse};
use super::store::{Inner, Kind, Op, Store, Upload, link, place};
use super::time::iso;

/// What a start asks for.
pub(super) struct StartRequest<'a> {
    pub(super) path: Path,
    pub(super) query: &'a HashMap<String, String>,
    pub(super) body: Value,
    pub(super) meta: BTreeMap<String, String>,
    pub(super) host: String,
}

fn text(body: &Value, name: &str) -> Option<String> {
    match body.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The strategy of a request, or the default of the call.
pub(super) fn strategy<'a>(
    query: &'a HashMap<String, String>,
    default: &'a str,
    allowed: &[&str],
) -> Result<&'a str, Refusal> {
    match query.get("conflict_resolution_strategy").map(String::as_str) {
        None | Some("") => Ok(default),
        Some(given) if allowed.contains(&given) => Ok(given),
        Some(_) => Err(refuse(400, "InvalidConflictResolutionStrategy", "unknown strategy")),
    }
}

/// Starts an upload of any kind.
pub(super) fn start(store: &Store, kind: Kind, request: StartRequest<'_>) -> Answer {
    let mut inner = store.lock();
    let inner = &mut *inner;
    let strategy = strategy(request.query, "rename", &["rename", "ask", "overwrite"])?.to_owned();
    let path = request.path;
    check_names(&path, false, inner.options.media)?;
    let Some((_, parent)) = path.split_last() else {
        return Err(refuse(400, "EmptyFileName", "a file needs a name"));
    };
    if inner.state.library.dir(parent).is_none() {
        return Err(refuse(404, "DirectoryNotFound", "the parent directory does not exist"));
    }
    conflict(inner, &path, &strategy)?;
    let size = text(&request.body, "size")
        .or_else(|| request.query.get("filesize").cloned())
        .map(|text| text.parse::<u64>())
        .transpose()
        .map_err(|_| refuse(400, "ParamInvalid", "size is not a number"))?;
    let extra = ["labels", "category", "localCreationTime", "localModificationTime"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), request.body.get(name)?.clone())))
        .collect::<BTreeMap<_, _>>();
    if let Some(size) = size.filter(|size| *size >= MIB) {
        if let Some(full) = text(&request.body, "fullHash")
            && let Some((from, known)) = holder(store, inner, &full.to_ascii_lowercase(), size)?
        {
            let sums = known.sums.clone();
            check_quota(inner, &path, &strategy, sums.size)?;
            let source = store.object(&from);
            let content = Landing { sums, source: Some(source), meta: request.meta, extra };
            return land(store, inner, &path, &strategy, content);
        }
        if text(&request.body, "fullHash").is_none()
            && text(&request.body, "beginningHash")
                .is_some_and(|hash| inner.state.knows_beginning(&hash.to_ascii_lowercase(), size))
        {
            return Ok(Reply::empty(202));
        }
    }
    let now_ms = inner.now_ms();
    let number = inner.number();
    let extension = path
        .last()
        .and_then(|name| name.rsplit_once('.'))
        .map(|(_, e)| e.to_owned())
        .unwrap_or_default();
    let confirm_key = format!("{:032x}{:016x}", fastrand::u128(..), now_ms);
    let safe: String = extension.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let upload = Upload {
        path,
        strategy,
        kind,
        cos_key: format!("{}/{now_ms:x}-{number:x}.{safe}", inner.options.library_id),
        upload_id: format!("{:032x}", fastrand::u128(..)),
        content_type: content_type(&extension).to_owned(),
        created_ms: now_ms,
        posted: None,
        parts: BTreeMap::new(),
        confirmed: false,
        meta: request.meta,
        extra,
    };
    let reply = handed_out(inner, &upload, &confirm_key, &request.host, &request.body)?;
    inner.apply(Op::Upload(confirm_key, Box::new(upload)))?;
    Ok(Reply::json(201, &reply))
}

/// The file that has this content, if there is one.
fn holder(
    store: &Store,
    inner: &mut Inner,
    full_hash: &str,
    size: u64,
) -> std::io::Result<Option<(Path, FileMeta)>> {
    if let Some(found) = inner.state.with_full_hash(full_hash, size) {
        return Ok(Some(found));
    }
    for path in inner.state.unhashed(size) {
        let hash = content::full_hash(&store.object(&path))?;
        inner.state.hashed(&path, hash);
    }
    Ok(inner.state.with_full_hash(full_hash, size))
}

/// What a start or a renewal hands out.
pub(super) fn handed_out(
    inner: &Inner,
    upload: &Upload,
    confirm_key: &str,
    host: &str,
    body: &Value,
) -> Result<Value, Refusal> {
    let now_ms = inner.now_ms();
    let life_ms = i64::try_from(inner.options.form_life.as_millis()).unwrap_or(i64::MAX / 4);
    let mut reply = json!({
        "domain": host,
        "confirmKey": confirm_key,
        "expiration": iso(now_ms + life_ms),
        "availableDomainNum": 1,
    });
    match upload.kind {
        Kind::Form => {
            let fields = policy::form(&upload.cos_key, &upload.content_type, now_ms, life_ms);
            reply["path"] = json!("/");
            reply["form"] = fields.into_iter().map(|(name, value)| (name, json!(value))).collect();
        }
        Kind::Simple => {
            reply["path"] = json!(format!("/{}", upload.cos_key));
            reply["headers"] = policy::headers(&upload.cos_key, now_ms, life_ms);
        }
        Kind::Multipart => {
            reply["path"] = json!(format!("/{}", upload.cos_key));
            reply["uploadId"] = json!(upload.upload_id);
            let headers = policy::headers(&upload.cos_key, now_ms, life_ms);
            let numbers = multipart::part_numbers(body.get("partNumberRange"))?;
            match numbers.filter(|_| !inner.options.old_multipart) {
                None => reply["headers"] = headers,
                Some(numbers) => {
                    reply["parts"] = numbers
                        .into_iter()
                        .map(|n| (n.to_string(), json!({"headers": headers})))
                        .collect();
                }
            }
        }
    }
    Ok(reply)
}

fn content_type(extension: &str) -> &'static str {
    match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "txt" | "md" => "text/plain",
        "html" => "text/html",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

/// Refuses when something at `path` does not let this strategy through (sheet section 3).
fn conflict(inner: &Inner, path: &[String], strategy: &str) -> Result<(), Refusal> {
    let taken = || refuse(409, "SameNameDirectoryOrFileExists", "the name is taken");
    match strategy {
        "ask" if inner.state.library.node(path).is_some() => Err(taken()),
        "overwrite" if inner.state.library.dir(path).is_some() => Err(taken()),
        _ => Ok(()),
    }
}

fn check_quota(inner: &Inner, path: &[String], strategy: &str, size: u64) -> Result<(), Refusal> {
    let Some(quota) = inner.options.quota else { return Ok(()) };
    let replaced = match inner.state.library.file(path) {
        Some(old) if strategy == "overwrite" => old.sums.size,
        _ => 0,
    };
    if inner.state.library.used.saturating_sub(replaced) + size > quota {
        return Err(refuse(400, "QuotaLimitReached", "the space is full"));
    }
    Ok(())
}

/// Content on its way to its place.
struct Landing {
    sums: Sums,
    /// A library file to take it from; `None`: the caller has placed it.
    source: Option<std::path::PathBuf>,
    meta: BTreeMap<String, String>,
    extra: BTreeMap<String, Value>,
}

/// Makes a content visible at `path`, or beside it.
fn land(
    store: &Store,
    inner: &mut Inner,
    path: &[String],
    strategy: &str,
    content: Landing,
) -> Answer {
    let taken = inner.state.library.node(path).is_some();
    let target = if taken && strategy == "rename" {
        inner.state.library.free_name(path)
    } else {
        path.to_vec()
    };
    if let Some(source) = &content.source {
        let number = inner.number();
        let scratch = store.data.join("pending").join(format!("link-{number}"));
        if *source != store.object(&target) {
            link(source, &store.object(&target), &scratch)?;
        }
    }
    finish(inner, &target, taken && strategy == "overwrite", content)
}

fn finish(inner: &mut Inner, target: &[String], overwritten: bool, content: Landing) -> Answer {
    let now_ms = inner.now_ms();
    let created_ms = match inner.state.library.file(target) {
        Some(old) => old.created_ms,
        None => now_ms,
    };
    let extension = target.last().and_then(|n| n.rsplit_once('.')).map_or("", |(_, e)| e);
    let file = FileMeta {
        sums: content.sums,
        content_type: content_type(extension).to_owned(),
        created_ms,
        modified_ms: now_ms,
        meta: content.meta,
        extra: content.extra,
    };
    let mut reply = describe(&file, target, inner.options.media);
    reply["path"] = json!(target);
    reply["isOverwritten"] = json!(overwritten);
    inner.apply(Op::Put(target.to_vec(), Box::new(file)))?;
    Ok(Reply::json(200, &reply))
}

/// A file as replies show it.
pub(super) fn describe(file: &FileMeta, path: &[String], media: bool) -> Value {
    let kind = match file.content_type.split('/').next() {
        Some("image") if media => "image",
        Some("video") if media => "video",
        _ => "file",
    };
    let mut value = json!({
        "name": path.last(),
        "type": kind,
        "creationTime": iso(file.created_ms),
        "modificationTime": iso(file.modified_ms),
        "contentType": file.content_type,
        "size": file.sums.size.to_string(),
        "eTag": format!("\"{}\"", file.sums.md5),
        "crc64": file.sums.crc64.to_string(),
        "previewByDoc": false,
        "previewByCI": false,
        "previewAsIcon": false,
        "fileType": kind,
    });
    if !file.meta.is_empty() {
        value["metaData"] = json!(file.meta);
    }
    for (name, extra) in &file.extra {
        value[name.as_str()] = extra.clone();
    }
    value
}

/// Makes an upload visible (sheet section 5).
pub(super) fn confirm(
    store: &Store,
    key: &str,
    query: &HashMap<String, String>,
    body: &Value,
    rename: bool,
) -> Answer {
    let parts = {
        let inner = store.lock();
        let upload = inner
            .upload(key)
            .ok_or_else(|| refuse(404, "ConfirmKeyNotFound", "the confirm key is not known"))?;
        (upload.kind == Kind::Multipart && !upload.confirmed).then(|| upload.clone())
    };
    // Joining parts takes time: not under the lock.
    let joined = match &parts {
        Some(upload) => Some(multipart::join(store, upload)?),
        None => None,
    };
    let mut inner = store.lock();
    let inner = &mut *inner;
    let upload = inner
        .upload(key)
        .cloned()
        .ok_or_else(|| refuse(404, "ConfirmKeyNotFound", "the confirm key is not known"))?;
    if upload.confirmed {
        return Err(refuse(409, "UploadComplete", "the upload was confirmed before"));
    }
    let strategy = if rename {
        "rename".to_owned()
    } else {
        strategy(query, &upload.strategy, &["rename", "ask", "overwrite"])?.to_owned()
    };
    let sums = joined
        .or(upload.posted.clone())
        .ok_or_else(|| refuse(400, "UploadIncomplete", "the content has not arrived"))?;
    if let Some(crc64) = text(body, "crc64")
        && crc64 != sums.crc64.to_string()
    {
        return Err(refuse(400, "BadCrc64", "the crc64 of the content is another one"));
    }
    conflict(inner, &upload.path, &strategy)?;
    check_quota(inner, &upload.path, &strategy, sums.size)?;
    let mut extra = upload.extra.clone();
    for name in ["labels", "category", "localCreationTime", "localModificationTime"] {
        if let Some(value) = body.get(name) {
            extra.insert(name.to_owned(), value.clone());
        }
    }
    let pending = store.pending(&upload.cos_key, None);
    let content = Landing { sums, source: None, meta: upload.meta.clone(), extra };
    let parent_len = upload.path.len().saturating_sub(1);
    if inner.state.library.dir(upload.path.get(..parent_len).unwrap_or_default()).is_none() {
        // Its directory was deleted meanwhile: confirmed, and nowhere (sheet section 5).
        store.drop_pending(&upload);
        inner.apply(Op::Confirmed(key.to_owned()))?;
        let now_ms = inner.now_ms();
        let file = FileMeta {
            sums: content.sums,
            content_type: upload.content_type,
            created_ms: now_ms,
            modified_ms: now_ms,
            meta: content.meta,
            extra: content.extra,
        };
        let mut reply = describe(&file, &upload.path, inner.options.media);
        reply["path"] = Value::Null;
        reply["isOverwritten"] = json!(false);
        return Ok(Reply::json(200, &reply));
    }
    let taken = inner.state.library.node(&upload.path).is_some();
    let target = if rename || taken && strategy == "rename" {
        inner.state.library.free_name(&upload.path)
    } else {
        upload.path.clone()
    };
    place(&pending, &store.object(&target))?;
    store.drop_pending(&upload);
    let reply = finish(inner, &target, taken && strategy == "overwrite", content)?;
    inner.apply(Op::Confirmed(key.to_owned()))?;
    Ok(reply)
}

/// State of an upload task (sheet section 6).
pub(super) fn status(
    store: &Store,
    key: &str,
    query: &HashMap<String, String>,
    host: &str,
) -> Answer {
    let inner = store.lock();
    let upload =
        inner.upload(key).ok_or_else(|| refuse(404, "UploadNotFound", "no such upload"))?;
    let parent_len = upload.path.len().saturating_sub(1);
    let reachable =
        inner.state.library.dir(upload.path.get(..parent_len).unwrap_or_default()).is_some();
    let mut reply = json!({
        "confirmed": upload.confirmed,
        "path": if reachable { json!(upload.path) } else { Value::Null },
        "type": "file",
        "creationTime": iso(upload.created_ms),
        "conflictResolutionStrategy": upload.strategy,
        "force": upload.strategy == "overwrite",
        "availableDomainNum": 1,
    });
    if upload.kind == Kind::Multipart {
        reply["uploadId"] = json!(upload.upload_id);
        reply["parts"] = multipart::describe(upload);
        if !query.contains_key("no_upload_part_info") {
            let mut info = handed_out(&inner, upload, key, host, &Value::Null)?;
            if let Some(info) = info.as_object_mut() {
                info.remove("confirmKey");
            }
            reply["uploadPartInfo"] = info;
        }
    }
    Ok(Reply::json(200, &reply))
}

/// Cancels an upload (sheet section 6).
pub(super) fn cancel(store: &Store, key: &str) -> Answer {
    let mut inner = store.lock();
    let upload = inner
        .upload(key)
        .cloned()
        .ok_or_else(|| refuse(404, "UploadNotFound", "no such upload"))?;
    if upload.confirmed {
        return Err(refuse(409, "UploadComplete", "the upload was confirmed before"));
    }
    store.drop_pending(&upload);
    inner.apply(Op::UploadGone(key.to_owned()))?;
    Ok(Reply::empty(204))
}

/// Hands out fresh signing data (sheet section 7).
pub(super) fn renew(store: &Store, key: &str, body: &Value, host: &str) -> Answer {
    let inner = store.lock();
    let upload =
        inner.upload(key).ok_or_else(|| refuse(404, "UploadNotFound", "no such upload"))?;
    if upload.confirmed {
        return Err(refuse(409, "UploadComplete", "the upload was confirmed before"));
    }
    Ok(Reply::json(200, &handed_out(&inner, upload, key, host, body)?))
}
