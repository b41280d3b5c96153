//! The recycle bin, quota and size. Sheet section 10.

use std::fs;

use serde_json::{Value, json};

use super::library::Node;
use super::reply::{Answer, Reply, refuse};
use super::store::{Op, Store, place};
use super::time::iso;

pub(super) fn list(store: &Store) -> Answer {
    let inner = store.lock();
    if !inner.options.recycle_bin {
        return Err(refuse(400, "RecycleBinNotEnabled", "the library has no recycle bin"));
    }
    let contents: Vec<Value> = inner
        .state
        .recycled
        .iter()
        .map(|(id, item)| {
            json!({
                "recycledItemId": id,
                "originalPath": item.path,
                "name": item.path.last(),
                "type": if matches!(item.node, Node::Dir(_)) { "dir" } else { "file" },
                "size": item.node.bytes().to_string(),
                "removalTime": iso(item.at_ms),
            })
        })
        .collect();
    Ok(Reply::json(200, &json!({"totalNum": contents.len(), "contents": contents})))
}

pub(super) fn restore(store: &Store, id: &str) -> Answer {
    let mut inner = store.lock();
    let found = id
        .parse::<u64>()
        .ok()
        .and_then(|id| Some((id, inner.state.recycled.get(&id)?.path.clone())));
    let Some((id, path)) = found else {
        return Err(refuse(404, "RecycledItemNotFound", "no such item"));
    };
    let parents = path.get(..path.len().saturating_sub(1)).unwrap_or_default().to_vec();
    if inner.state.library.file_in_the_way(&parents) {
        return Err(refuse(409, "SameNameDirectoryOrFileExists", "a file is in the way"));
    }
    let now_ms = inner.now_ms();
    inner.apply(Op::Mkdir(parents, now_ms))?;
    let target = match inner.state.library.node(&path) {
        Some(_) => inner.state.library.free_name(&path),
        None => path,
    };
    place(&store.recycled(id), &store.object(&target))?;
    inner.apply(Op::Restore(id, target.clone()))?;
    Ok(Reply::json(200, &json!({"path": target})))
}

pub(super) fn delete(store: &Store, id: &str) -> Answer {
    let mut inner = store.lock();
    let Some(id) = id.parse::<u64>().ok().filter(|id| inner.state.recycled.contains_key(id)) else {
        return Err(refuse(404, "RecycledItemNotFound", "no such item"));
    };
    let at = store.recycled(id);
    let gone = if at.is_dir() { fs::remove_dir_all(&at) } else { fs::remove_file(&at) };
    gone?;
    inner.apply(Op::RecycledGone(id))?;
    Ok(Reply::empty(204))
}

pub(super) fn quota(store: &Store) -> Answer {
    let inner = store.lock();
    match inner.options.quota {
        None => Err(refuse(404, "NoQuota", "the space has no quota")),
        Some(capacity) => Ok(Reply::json(
            200,
            &json!({"capacity": capacity.to_string(), "size": inner.state.library.used.to_string()}),
        )),
    }
}

pub(super) fn size(store: &Store) -> Answer {
    let inner = store.lock();
    Ok(Reply::json(200, &json!({"size": inner.state.library.used.to_string()})))
}
