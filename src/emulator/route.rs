//! Which call a request is, and what right it needs. Sheet sections 2 to 10.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::library::Path;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One name, encoded for a URL.
pub(super) fn encode(name: &str) -> String {
    utf8_percent_encode(name, UNRESERVED).to_string()
}

/// One name, decoded; `None`: not UTF-8.
pub(super) fn decode(name: &str) -> Option<String> {
    percent_decode_str(name).decode_utf8().ok().map(|text| text.into_owned())
}

/// The query as a map; a flag without a value has an empty one.
pub(super) fn query(text: &str) -> HashMap<String, String> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

/// A request of SMH, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Stable name, for faults and log.
    pub(super) route: &'static str,
    pub(super) library: String,
    pub(super) space: Option<String>,
    /// Path, confirm key, token or id.
    pub(super) path: Path,
    /// Any of these rights; none: reading.
    pub(super) grants: &'static [&'static str],
}

const UPLOAD: &[&str] = &["upload_file", "upload_file_force", "begin_upload", "begin_upload_force"];
const UPLOAD_FORCE: &[&str] = &["upload_file_force", "begin_upload_force"];
const CONFIRM: &[&str] = &["upload_file", "upload_file_force", "confirm_upload"];
const TASK: &[&str] =
    &["upload_file", "upload_file_force", "begin_upload", "begin_upload_force", "confirm_upload"];

/// Reads `/api/v1/…`; `None`: there is no such route. `moving`: the body of a PUT names a source.
pub(super) fn smh(
    method: &str,
    rest: &str,
    query: &HashMap<String, String>,
    source: Option<&str>,
) -> Option<Call> {
    let mut raw = rest.split('/');
    let kind = raw.next()?;
    let mut parts: Path = Vec::new();
    for part in raw {
        parts.push(decode(part)?);
    }
    // The root directory is the empty path (sheet section 1).
    while parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    let has = |name: &str| query.contains_key(name);
    let overwrite =
        query.get("conflict_resolution_strategy").is_some_and(|strategy| strategy == "overwrite");
    let permanent = query.get("permanent").is_some_and(|value| value == "1");
    let upload = if overwrite { UPLOAD_FORCE } else { UPLOAD };
    let (route, grants): (&'static str, &'static [&'static str]) = match (kind, method) {
        ("token", "GET" | "POST") if parts.is_empty() => ("token.create", &[]),
        ("token", "POST") if parts.len() == 2 => ("token.renew", &[]),
        ("token", "DELETE") if parts.len() == 2 => ("token.delete", &[]),
        _ if parts.len() < 2 => return None,
        ("directory", "PUT") if source.is_some() => ("directory.move", &["move_directory"]),
        ("directory", "PUT") => ("directory.create", &["create_directory"]),
        ("directory", "HEAD") => ("directory.head", &[]),
        ("directory", "GET") if has("info") => ("directory.info", &[]),
        ("directory", "GET") => ("directory.list", &[]),
        ("directory", "DELETE") if permanent => {
            ("directory.delete", &["delete_directory_permanent"])
        }
        ("directory", "DELETE") => ("directory.delete", &["delete_directory"]),
        ("directory", "POST") if has("update") => ("file.update", UPLOAD),
        ("file", "POST") if has("confirm") => ("file.confirm", CONFIRM),
        ("file", "POST") if has("renew") => ("file.renew", TASK),
        ("file", "POST") if has("multipart") => ("file.multipart", upload),
        ("file", "POST") => ("file.start", upload),
        ("file", "GET") if has("upload") => ("file.status", TASK),
        ("file", "DELETE") if has("upload") => ("file.cancel", TASK),
        ("file", "PUT") if source == Some("from") && overwrite => {
            ("file.move", &["move_file_force"])
        }
        ("file", "PUT") if source == Some("from") => {
            ("file.move", &["move_file", "move_file_force"])
        }
        ("file", "PUT") if source == Some("copyFrom") && overwrite => {
            ("file.copy", &["copy_file_force"])
        }
        ("file", "PUT") if source == Some("copyFrom") => {
            ("file.copy", &["copy_file", "copy_file_force"])
        }
        ("file", "PUT") => ("file.simple", upload),
        ("file", "HEAD") => ("file.head", &[]),
        ("file", "GET") if has("info") => ("file.info", &[]),
        ("file", "GET") => ("file.download", &[]),
        ("file", "DELETE") if permanent => ("file.delete", &["delete_file_permanent"]),
        ("file", "DELETE") => ("file.delete", &["delete_file"]),
        ("batch", "POST") if has("delete") => {
            ("batch.delete", &["delete_file", "delete_directory"])
        }
        ("batch", "POST") if has("move") => {
            ("batch.move", &["move_file", "move_file_force", "move_directory"])
        }
        ("recycled", "GET") if parts.len() == 2 => ("recycled.list", &[]),
        ("recycled", "POST") if has("restore") => ("recycled.restore", &["restore_recycled"]),
        ("recycled", "DELETE") => ("recycled.delete", &["delete_recycled"]),
        ("quota", "GET") => ("quota", &[]),
        ("space", "GET") if parts.get(2).is_some_and(|part| part == "size") => ("space.size", &[]),
        ("task", "GET") => ("task", &[]),
        _ => return None,
    };
    let is_token = kind == "token";
    let mut parts = parts.into_iter();
    let library = parts.next().unwrap_or_default();
    let space = if is_token { None } else { parts.next() };
    Some(Call { route, library, space, path: parts.collect(), grants })
}
