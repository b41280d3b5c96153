//! Which function answers a call, after the token was looked at; and answers made wrong on purpose.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use super::context::Context;
use super::faults::Effect;
use super::reply::{Answer, Body, Reply, refuse};
use super::route::Call;
use super::store::{Kind, Store};
use super::time::iso;
use super::upload::StartRequest;
use super::{batch, directory, file, recycled, token, upload};

/// Answers a call.
pub(super) fn handle(
    store: &Store,
    https: bool,
    context: &Context,
    call: &Call,
    json: &Value,
    effect: &Effect,
) -> Answer {
    let query = &context.query;
    let path = &call.path;
    match call.route {
        "token.create" => return token::create(store, query),
        "token.renew" | "token.delete" => {
            let name = path.first().map_or("", String::as_str);
            return token::change(store, &call.library, name, call.route == "token.delete");
        }
        _ => {}
    }
    let bearer = context
        .parts
        .headers
        .get(hyper::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let name = query.get("access_token").map(String::as_str).or(bearer);
    {
        let inner = store.lock();
        if call.library != inner.options.library_id {
            return Err(refuse(404, "LibraryNotFound", "no such library"));
        }
        if call.space.as_deref() != Some(inner.options.space_id.as_str()) {
            return Err(refuse(404, "SpaceNotFound", "no such space"));
        }
    }
    token::admit(store, name, call.grants)?;
    let key = path.first().map_or("", String::as_str);
    let host = context.host.as_str();
    let scheme = if https { "https" } else { "http" };
    let from =
        || batch::path_of(json.get("from").or_else(|| json.get("copyFrom"))).unwrap_or_default();
    let permanent = query.get("permanent").is_some_and(|value| value == "1");
    match call.route {
        "directory.create" => directory::create(store, path, query),
        "directory.head" => directory::head(store, path),
        "directory.info" | "file.info" => directory::info(store, path, host, scheme),
        "directory.list" => {
            let etag = context.parts.headers.get("if-none-match").and_then(|v| v.to_str().ok());
            directory::list(store, path, query, etag)
        }
        "directory.move" => directory::move_to(store, path, query, &from()),
        "directory.delete" => directory::delete(store, path, permanent),
        "file.start" | "file.simple" | "file.multipart" => {
            let kind = match call.route {
                "file.start" => Kind::Form,
                "file.simple" => Kind::Simple,
                _ => Kind::Multipart,
            };
            let meta: BTreeMap<String, String> = context
                .parts
                .headers
                .iter()
                .filter(|(name, _)| name.as_str().starts_with("x-smh-meta-"))
                .filter_map(|(name, value)| {
                    Some((name.to_string(), value.to_str().ok()?.to_owned()))
                })
                .collect();
            let request = StartRequest {
                path: call.path.clone(),
                query,
                body: json.clone(),
                meta,
                host: host.to_owned(),
            };
            upload::start(store, kind, request)
        }
        "file.confirm" => upload::confirm(store, key, query, json, effect.rename),
        "file.status" => upload::status(store, key, query, host),
        "file.cancel" => upload::cancel(store, key),
        "file.renew" => upload::renew(store, key, json, host),
        "file.head" => file::head(store, path),
        "file.download" => file::download(store, path, host, scheme),
        "file.move" | "file.copy" => {
            file::move_to(store, path, query, &from(), call.route == "file.copy")
        }
        "file.delete" => file::delete(store, path, permanent),
        "file.update" => file::update(store, path, json),
        "batch.delete" => batch::run(store, "delete", json),
        "batch.move" => batch::run(store, "move", json),
        "recycled.list" => recycled::list(store),
        "recycled.restore" => recycled::restore(store, key),
        "recycled.delete" => recycled::delete(store, key),
        "quota" => recycled::quota(store),
        "space.size" => recycled::size(store),
        // Everything is done at once: no task is ever open.
        "task" => Ok(Reply::json(200, &json!([]))),
        _ => Err(refuse(404, "RouteNotFound", "no such route")),
    }
}

/// Makes an answer wrong, as a fault rule asks.
pub(super) fn spoil(reply: &mut Reply, effect: &Effect, now_ms: i64) {
    // Whoever answers nonsense does so with a body.
    if reply.status == 204 && (effect.garbage || effect.huge) {
        reply.status = 200;
    }
    if effect.garbage {
        reply.body =
            Body::Bytes(Bytes::from_static(b"<html>this is not what you asked for</html>"));
        return;
    }
    if effect.huge {
        let mut huge = BytesMut::zeroed(64 << 20);
        huge.fill(b' ');
        reply.body = Body::Bytes(huge.freeze());
        return;
    }
    let Body::Bytes(bytes) = &reply.body else { return };
    let changes = effect.extra_fields
        || effect.path_null
        || effect.wrong_crc64
        || effect.lag_ms.is_some()
        || !effect.extra_entries.is_empty();
    if !changes {
        return;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return };
    if effect.extra_fields {
        value["somethingNew"] = json!({"nested": [1, 2, 3]});
    }
    if effect.path_null {
        value["path"] = Value::Null;
    }
    if effect.wrong_crc64 {
        match value.get_mut("contents").and_then(Value::as_array_mut) {
            Some(contents) => contents.iter_mut().for_each(|entry| entry["crc64"] = json!("1")),
            None => value["crc64"] = json!("1"),
        }
    }
    if let Some(lag_ms) = effect.lag_ms {
        let visible = iso(now_ms - lag_ms);
        if let Some(contents) = value["contents"].as_array_mut() {
            contents.retain(|entry| {
                entry["creationTime"].as_str().is_some_and(|at| at <= visible.as_str())
            });
        }
    }
    if let Some(contents) = value["contents"].as_array_mut() {
        contents.extend(effect.extra_entries.iter().cloned());
    }
    reply.body = Body::Bytes(Bytes::from(value.to_string()));
}
