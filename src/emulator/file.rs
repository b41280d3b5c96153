//! Files: look, download, move, copy, delete, update. Sheet section 9.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::cos;
use super::directory::remove;
use super::library::{Node, Path, check_names};
use super::policy;
use super::reply::{Answer, Reply, refuse};
use super::store::{Op, Store, link, place};
use super::time::iso;
use super::upload::strategy;

pub(super) fn head(store: &Store, path: &Path) -> Answer {
    let inner = store.lock();
    let file = inner
        .state
        .library
        .file(path)
        .ok_or_else(|| refuse(404, "FileNotFound", "no such file"))?;
    let mut reply = Reply::empty(200)
        .header("x-smh-type", "file")
        .header("x-smh-creation-time", iso(file.created_ms))
        .header("x-smh-content-type", file.content_type.clone())
        .header("x-smh-size", file.sums.size.to_string())
        .header("x-smh-etag", format!("\"{}\"", file.sums.md5))
        .header("x-smh-crc64", file.sums.crc64.to_string());
    for (name, value) in &file.meta {
        reply = reply.header(name, value.clone());
    }
    Ok(reply)
}

/// A redirect to the signed address.
pub(super) fn download(store: &Store, path: &Path, host: &str, scheme: &str) -> Answer {
    let inner = store.lock();
    if inner.state.library.file(path).is_none() {
        return Err(refuse(404, "FileNotFound", "no such file"));
    }
    let key = cos::public_key(path);
    let query = policy::signed_query(&key, inner.now_ms(), inner.address_life_ms());
    Ok(Reply::empty(302).header("location", format!("{scheme}://{host}/{key}?{query}")))
}

/// Moves or copies a file; does not create parents.
pub(super) fn move_to(
    store: &Store,
    path: &Path,
    query: &HashMap<String, String>,
    from: &Path,
    copy: bool,
) -> Answer {
    let strategy = strategy(query, "rename", &["ask", "rename", "overwrite"])?;
    let mut inner = store.lock();
    check_names(path, false, inner.options.media)?;
    let Some(file) = inner.state.library.file(from).cloned() else {
        return Err(refuse(404, "SourceFileNotFound", "no such file"));
    };
    let parents = path.get(..path.len().saturating_sub(1)).unwrap_or_default();
    if inner.state.library.dir(parents).is_none() {
        return Err(refuse(404, "DirectoryNotFound", "the parent directory does not exist"));
    }
    let there = inner.state.library.node(path);
    let blocked = matches!((there, strategy), (Some(_), "ask") | (Some(Node::Dir(_)), "overwrite"));
    if blocked {
        return Err(refuse(409, "SameNameDirectoryOrFileExists", "the name is taken"));
    }
    let target = match there {
        Some(_) if strategy == "rename" && path != from => inner.state.library.free_name(path),
        _ => path.clone(),
    };
    if target != *from {
        if copy {
            let number = inner.number();
            let scratch = store.data.join("pending").join(format!("copy-{number}"));
            link(&store.object(from), &store.object(&target), &scratch)?;
            inner.apply(Op::Put(target.clone(), Box::new(file)))?;
        } else {
            place(&store.object(from), &store.object(&target))?;
            inner.apply(Op::Move(from.clone(), target.clone()))?;
        }
    }
    Ok(Reply::json(200, &json!({"path": target})))
}

pub(super) fn delete(store: &Store, path: &Path, permanent: bool) -> Answer {
    let mut inner = store.lock();
    if inner.state.library.file(path).is_none() {
        return Err(refuse(404, "FileNotFound", "no such file"));
    }
    remove(store, &mut inner, path, permanent)
}

/// Labels, category, local times.
pub(super) fn update(store: &Store, path: &Path, body: &Value) -> Answer {
    let mut inner = store.lock();
    let Some(mut file) = inner.state.library.file(path).cloned() else {
        return Err(refuse(404, "FileNotFound", "no such file"));
    };
    for name in ["labels", "category", "localCreationTime", "localModificationTime"] {
        if let Some(value) = body.get(name) {
            file.extra.insert(name.to_owned(), value.clone());
        }
    }
    inner.apply(Op::Put(path.clone(), Box::new(file)))?;
    Ok(Reply::empty(204))
}
