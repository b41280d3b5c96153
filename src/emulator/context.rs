//! What is known of a request before its body.

use std::collections::HashMap;

/// What is known of a request before its body.
pub(super) struct Context {
    pub(super) parts: hyper::http::request::Parts,
    pub(super) query: HashMap<String, String>,
    pub(super) host: String,
    pub(super) request_id: String,
    pub(super) method: String,
    pub(super) raw_path: String,
}
