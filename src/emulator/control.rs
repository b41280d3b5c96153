//! The control routes: faults, log, tree, clock, options. Design section 12.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::content::{self, Sums};
use super::faults::Rule;
use super::library::Node;
use super::reply::{Answer, Reply, refuse};
use super::store::Store;

/// For whoever looks at the tree: what was not computed yet is computed now. Nothing if the content cannot be read.
fn full_hash(store: &Store, path: &[String], sums: &Sums) -> Option<String> {
    sums.full_hash.clone().or_else(|| content::full_hash(&store.object(path)).ok())
}

pub(super) fn handle(
    store: &Store,
    method: &str,
    what: &str,
    query: &HashMap<String, String>,
    body: &Value,
) -> Answer {
    let mut inner = store.lock();
    match (method, what) {
        ("POST", "faults") => {
            let list = if body.is_array() { body.clone() } else { json!([body]) };
            let rules: Vec<Rule> = serde_json::from_value(list)
                .map_err(|error| refuse(400, "BadRequest", format!("not a fault rule: {error}")))?;
            inner.faults.rules.extend(rules);
            Ok(Reply::empty(204))
        }
        ("GET", "faults") => Ok(Reply::json(200, &json!(inner.faults.rules))),
        ("DELETE", "faults") => {
            inner.faults.rules.clear();
            Ok(Reply::empty(204))
        }
        ("GET", "log") if query.contains_key("summary") => {
            Ok(Reply::json(200, &inner.log.summary()))
        }
        ("GET", "log") => Ok(Reply::json(200, &inner.log.lines())),
        ("DELETE", "log") => {
            inner.log.clear();
            Ok(Reply::empty(204))
        }
        ("GET", "tree") => {
            let mut entries = Vec::new();
            inner.state.library.walk(|path, node| {
                entries.push(match node {
                    Node::Dir(_) => json!({"path": path.join("/"), "type": "dir"}),
                    Node::File(file) => json!({
                        "path": path.join("/"),
                        "type": "file",
                        "size": file.sums.size,
                        "crc64": file.sums.crc64.to_string(),
                        "fullHash": full_hash(store, path, &file.sums),
                    }),
                });
            });
            let open = inner
                .state
                .uploads
                .keys()
                .filter_map(|key| inner.upload(key))
                .filter(|upload| !upload.confirmed)
                .count();
            Ok(Reply::json(200, &json!({"entries": entries, "openUploads": open})))
        }
        ("GET", "traffic") => {
            let received = store.received.load(std::sync::atomic::Ordering::Relaxed);
            Ok(Reply::json(200, &json!({"bytesReceived": received})))
        }
        ("POST", "clock") => {
            let seconds = body["shift_seconds"]
                .as_i64()
                .ok_or_else(|| refuse(400, "BadRequest", "shift_seconds is not a whole number"))?;
            inner.shift_ms = seconds.saturating_mul(1000);
            Ok(Reply::empty(204))
        }
        ("POST", "options") => {
            for (name, value) in body.as_object().into_iter().flatten() {
                let options = &mut inner.options;
                let done = match (name.as_str(), value) {
                    ("quota", Value::Null) => {
                        options.quota = None;
                        true
                    }
                    ("quota", value) => {
                        options.quota = value.as_u64();
                        options.quota.is_some()
                    }
                    ("recycle_bin", Value::Bool(on)) => {
                        options.recycle_bin = *on;
                        true
                    }
                    ("old_multipart", Value::Bool(old)) => {
                        options.old_multipart = *old;
                        true
                    }
                    ("form_life_seconds", value) => value
                        .as_u64()
                        .map(|seconds| options.form_life = Duration::from_secs(seconds))
                        .is_some(),
                    ("address_life_seconds", value) => value
                        .as_u64()
                        .map(|seconds| options.address_life = Duration::from_secs(seconds))
                        .is_some(),
                    ("key_life_seconds", value) => value
                        .as_u64()
                        .map(|seconds| options.key_life = Duration::from_secs(seconds))
                        .is_some(),
                    ("token_life_seconds", Value::Null) => {
                        options.token_life = None;
                        true
                    }
                    ("token_life_seconds", value) => value
                        .as_u64()
                        .map(|seconds| options.token_life = Some(Duration::from_secs(seconds)))
                        .is_some(),
                    ("library_secret", Value::String(secret)) => {
                        options.library_secret.clone_from(secret);
                        true
                    }
                    _ => false,
                };
                if !done {
                    return Err(refuse(
                        400,
                        "BadRequest",
                        format!("unknown option or value: {name}"),
                    ));
                }
            }
            Ok(Reply::empty(204))
        }
        ("DELETE", "tokens") => {
            // As if every token had expired.
            inner.state.tokens.clear();
            Ok(Reply::empty(204))
        }
        _ => Err(refuse(404, "RouteNotFound", "no such control route")),
    }
}
