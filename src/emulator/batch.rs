//! Batches: many deletes or moves in one call, done at once. Sheet section 10.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::library::Path;
use super::reply::{Answer, Reply, refuse};
use super::store::Store;
use super::{directory, file};

const ITEMS_MAX: usize = 1000;

/// A path given as text or as a list of names.
pub(super) fn path_of(value: Option<&Value>) -> Option<Path> {
    match value? {
        Value::String(text) => {
            Some(text.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect())
        }
        Value::Array(names) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

pub(super) fn run(store: &Store, what: &str, body: &Value) -> Answer {
    let items = body
        .as_array()
        .filter(|items| !items.is_empty())
        .ok_or_else(|| refuse(400, "NoItemsProvided", "the list is empty"))?;
    if items.len() > ITEMS_MAX {
        return Err(refuse(400, "TooManyItems", "more than 1000 items"));
    }
    let result: Vec<Value> = items
        .iter()
        .map(|item| {
            let answer = if what == "delete" { delete(store, item) } else { move_one(store, item) };
            let (status, code) = match &answer {
                Ok(reply) => (reply.status, None),
                Err(refusal) => (refusal.status, Some(refusal.code.clone())),
            };
            let mut line = json!({"status": status});
            for name in ["path", "from", "to"] {
                if let Some(value) = item.get(name) {
                    line[name] = value.clone();
                }
            }
            if let Some(code) = code {
                line["code"] = json!(code);
            }
            line
        })
        .collect();
    Ok(Reply::json(200, &json!({"result": result})))
}

fn delete(store: &Store, item: &Value) -> Answer {
    let path = path_of(item.get("path")).ok_or_else(|| refuse(400, "ParamInvalid", "no path"))?;
    let permanent = item.get("permanent").and_then(Value::as_bool).unwrap_or(false);
    let is_dir = store.lock().state.library.dir(&path).is_some();
    if is_dir {
        directory::delete(store, &path, permanent)
    } else {
        file::delete(store, &path, permanent)
    }
}

fn move_one(store: &Store, item: &Value) -> Answer {
    let from = path_of(item.get("from")).ok_or_else(|| refuse(400, "ParamInvalid", "no from"))?;
    let to = path_of(item.get("to")).ok_or_else(|| refuse(400, "ParamInvalid", "no to"))?;
    let strategy = item.get("conflictResolutionStrategy").and_then(Value::as_str).unwrap_or("");
    let query = HashMap::from([("conflict_resolution_strategy".to_owned(), strategy.to_owned())]);
    let is_dir = store.lock().state.library.dir(&from).is_some();
    if is_dir {
        directory::move_to(store, &to, &query, &from)
    } else {
        file::move_to(store, &to, &query, &from, false)
    }
}
