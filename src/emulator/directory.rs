//! Directories: create, look, list, move, delete. Sheet section 8.

use std::collections::HashMap;
use std::fs;

use serde_json::{Value, json};

use super::library::{Node, Path, check_names};
use super::policy;
use super::reply::{Answer, Reply, refuse};
use super::store::{Inner, Op, Store, place};
use super::time::iso;
use super::upload::{describe, strategy};

const PAGE_MAX: usize = 1000;
const PAGE_DEFAULT: usize = 20;

pub(super) fn create(store: &Store, path: &Path, query: &HashMap<String, String>) -> Answer {
    let strategy = strategy(query, "ask", &["ask", "rename"])?;
    let mut inner = store.lock();
    if path.is_empty() {
        return Err(refuse(400, "RootDirectoryNotAllowed", "the root exists"));
    }
    check_names(path, true, inner.options.media)?;
    let now_ms = inner.now_ms();
    let parents = path.get(..path.len() - 1).unwrap_or_default();
    let taken = inner.state.library.node(path).is_some();
    if inner.state.library.file_in_the_way(parents) || taken && strategy == "ask" {
        return Err(refuse(409, "SameNameDirectoryOrFileExists", "the name is taken"));
    }
    let target = if taken { inner.state.library.free_name(path) } else { path.clone() };
    fs::create_dir_all(store.object(&target))?;
    inner.apply(Op::Mkdir(target.clone(), now_ms))?;
    Ok(if strategy == "ask" {
        Reply::empty(201)
    } else {
        Reply::json(201, &json!({"path": target}))
    })
}

pub(super) fn head(store: &Store, path: &Path) -> Answer {
    let inner = store.lock();
    match inner.state.library.dir(path) {
        Some(_) => Ok(Reply::empty(200).header("x-smh-type", "dir")),
        None => Err(refuse(404, "DirectoryNotFound", "no such directory")),
    }
}

/// A directory or file as `info` shows it.
pub(super) fn info(store: &Store, path: &Path, host: &str, scheme: &str) -> Answer {
    let inner = store.lock();
    if let Some(file) = inner.state.library.file(path) {
        let mut value = describe(file, path, inner.options.media);
        value["path"] = json!(path);
        let key = super::cos::public_key(path);
        let signed = policy::signed_query(&key, inner.now_ms(), inner.address_life_ms());
        value["cosUrl"] = json!(format!("{scheme}://{host}/{key}?{signed}"));
        return Ok(Reply::json(200, &value));
    }
    match inner.state.library.dir(path) {
        Some(dir) => Ok(Reply::json(
            200,
            &json!({
                "path": path,
                "name": path.last().map_or("", String::as_str),
                "type": "dir",
                "creationTime": iso(dir.created_ms),
                "modificationTime": iso(dir.created_ms),
            }),
        )),
        None => Err(refuse(404, "PathNotFound", "nothing is there")),
    }
}

pub(super) fn list(
    store: &Store,
    path: &Path,
    query: &HashMap<String, String>,
    if_none_match: Option<&str>,
) -> Answer {
    let inner = store.lock();
    let dir = inner
        .state
        .library
        .dir(path)
        .ok_or_else(|| refuse(404, "DirectoryNotFound", "no such directory"))?;
    let mut contents: Vec<(bool, &String, &Node)> = dir
        .children
        .iter()
        .map(|(name, node)| (matches!(node, Node::File(_)), name, node))
        .collect();
    let dirs = contents.iter().filter(|(is_file, ..)| !is_file).count();
    let files = contents.len() - dirs;
    match query.get("filter").map(String::as_str) {
        Some("onlyDir") => contents.retain(|(is_file, ..)| !is_file),
        Some("onlyFile") => contents.retain(|(is_file, ..)| *is_file),
        _ => {}
    }
    let facts = |node: &Node| match node {
        Node::File(file) => (file.sums.size, file.created_ms, file.modified_ms),
        Node::Dir(dir) => (0, dir.created_ms, dir.created_ms),
    };
    let order = query.get("order_by").map_or("name", String::as_str);
    contents.sort_by(|a, b| {
        let by = match order {
            "size" => facts(a.2).0.cmp(&facts(b.2).0),
            "creationTime" => facts(a.2).1.cmp(&facts(b.2).1),
            "modificationTime" => facts(a.2).2.cmp(&facts(b.2).2),
            _ => a.1.cmp(b.1),
        };
        let by =
            if query.get("order_by_type").is_some_and(|t| t == "desc") { by.reverse() } else { by };
        a.0.cmp(&b.0).then(by)
    });
    let number = |name: &str| -> Result<Option<usize>, super::reply::Refusal> {
        query
            .get(name)
            .filter(|text| !text.is_empty())
            .map(|text| {
                text.parse()
                    .map_err(|_| refuse(400, "ParamInvalid", format!("{name} is not a number")))
            })
            .transpose()
    };
    let paged = query.contains_key("page") || query.contains_key("page_size");
    let (start, limit) = if paged {
        let size = number("page_size")?.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        (number("page")?.unwrap_or(1).saturating_sub(1).saturating_mul(size), size)
    } else {
        let marker = match query.get("marker").filter(|text| !text.is_empty()) {
            None => 0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|at| *at <= contents.len())
                .ok_or_else(|| refuse(404, "MarkerNotFound", "the marker is not known"))?,
        };
        (marker, number("limit")?.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX))
    };
    let total = contents.len();
    let page: Vec<Value> = contents
        .into_iter()
        .skip(start)
        .take(limit)
        .map(|(_, name, node)| match node {
            Node::File(file) => describe(file, std::slice::from_ref(name), inner.options.media),
            Node::Dir(dir) => json!({
                "name": name,
                "type": "dir",
                "creationTime": iso(dir.created_ms),
                "modificationTime": iso(dir.created_ms),
            }),
        })
        .collect();
    let etag = {
        use sha1::Digest as _;
        let text = Value::from(page.clone()).to_string();
        format!("\"{}\"", hex::encode(sha1::Sha1::digest(text.as_bytes())))
    };
    if if_none_match == Some(etag.as_str()) {
        return Ok(Reply::empty(304));
    }
    let mut reply = json!({
        "path": path,
        "fileCount": files,
        "subDirCount": dirs,
        "totalNum": total,
        "eTag": etag,
        "contents": page,
    });
    if !paged && start + limit < total {
        reply["nextMarker"] = json!(start + limit);
    }
    Ok(Reply::json(200, &reply))
}

pub(super) fn move_to(
    store: &Store,
    path: &Path,
    query: &HashMap<String, String>,
    from: &Path,
) -> Answer {
    let strategy = strategy(query, "ask", &["ask", "rename"])?;
    let mut inner = store.lock();
    if from.is_empty() || inner.state.library.dir(from).is_none() {
        return Err(refuse(404, "SourceDirectoryNotFound", "no such directory"));
    }
    if path.is_empty() {
        return Err(refuse(400, "RootDirectoryNotAllowed", "the root exists"));
    }
    check_names(path, true, inner.options.media)?;
    if path.starts_with(from) && path != from {
        return Err(refuse(
            400,
            "SourceDirectoryIsParentOfDestination",
            "a directory cannot go into itself",
        ));
    }
    let taken = inner.state.library.node(path).is_some();
    let parents = path.get(..path.len() - 1).unwrap_or_default().to_vec();
    if inner.state.library.file_in_the_way(&parents) || taken && strategy == "ask" {
        return Err(refuse(409, "SameNameDirectoryOrFileExists", "the name is taken"));
    }
    let target = if taken { inner.state.library.free_name(path) } else { path.clone() };
    let now_ms = inner.now_ms();
    inner.apply(Op::Mkdir(parents, now_ms))?;
    place(&store.object(from), &store.object(&target))?;
    inner.apply(Op::Move(from.clone(), target.clone()))?;
    Ok(if strategy == "ask" {
        Reply::empty(204)
    } else {
        Reply::json(200, &json!({"path": target}))
    })
}

pub(super) fn delete(store: &Store, path: &Path, permanent: bool) -> Answer {
    let mut inner = store.lock();
    if path.is_empty() {
        return Err(refuse(400, "RootDirectoryNotAllowed", "the root stays"));
    }
    if inner.state.library.dir(path).is_none() {
        return Err(refuse(404, "DirectoryNotFound", "no such directory"));
    }
    remove(store, &mut inner, path, permanent)
}

/// Removes what is at `path`: for good, or into the recycle bin.
pub(super) fn remove(store: &Store, inner: &mut Inner, path: &Path, permanent: bool) -> Answer {
    let object = store.object(path);
    if permanent || !inner.options.recycle_bin {
        let gone =
            if object.is_dir() { fs::remove_dir_all(&object) } else { fs::remove_file(&object) };
        gone?;
        inner.apply(Op::Take(path.clone()))?;
        return Ok(Reply::empty(204));
    }
    let now_ms = inner.now_ms();
    let id = inner.state.recycled.keys().next_back().map_or(1, |last| last + 1);
    place(&object, &store.recycled(id))?;
    inner.apply(Op::Recycle(id, path.clone(), now_ms))?;
    Ok(Reply::json(200, &json!({"recycledItemId": id})))
}
