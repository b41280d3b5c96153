//! What is asked of SMH, without the secrets (pure). Sheet sections 2, 3, 5, 6, 8 and 9.

use std::ops::RangeInclusive;

use reqwest::Method;
use serde::Serialize;

use super::Operation;
use super::path::{RemotePath, encode};
use crate::digest::Hash;

/// One call below `/api/v1`, complete but for the token.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) method: Method,
    /// Encoded, with a leading slash.
    pub(super) path: String,
    /// Encoded, without `?`; may be empty.
    pub(super) query: String,
    pub(super) body: Option<String>,
}

/// The library and space that all calls go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) library_id: String,
    pub(super) space_id: String,
}

#[derive(Debug, Default, Serialize)]
struct StartBody {
    #[serde(rename = "fullHash", skip_serializing_if = "Option::is_none")]
    full_hash: Option<String>,
    #[serde(rename = "beginningHash", skip_serializing_if = "Option::is_none")]
    beginning_hash: Option<String>,
    /// A string: the service counts beyond the precision of JSON numbers.
    size: String,
    #[serde(rename = "partNumberRange", skip_serializing_if = "Option::is_none")]
    parts: Option<String>,
}

#[derive(Debug, Serialize)]
struct RenewBody {
    #[serde(rename = "partNumberRange")]
    parts: String,
}

#[derive(Debug, Serialize)]
struct ConfirmBody {
    crc64: String,
}

#[derive(Debug, Serialize)]
struct MoveBody {
    /// Not encoded: it is JSON, no URL.
    from: String,
}

impl Place {
    fn path(&self, kind: &str, rest: &str) -> String {
        format!("/{kind}/{}/{}/{rest}", encode(&self.library_id), encode(&self.space_id))
    }

    /// Section 8. `ask` makes an existing directory an answer of its own.
    pub(super) fn create_directory(&self, dir: &RemotePath) -> Request {
        Request {
            operation: Operation::CreateDirectory,
            method: Method::PUT,
            path: self.path("directory", &dir.encoded()),
            query: "conflict_resolution_strategy=ask".into(),
            body: None,
        }
    }

    /// Section 8: works for files and directories.
    pub(super) fn info(&self, path: &RemotePath) -> Request {
        Request {
            operation: Operation::Info,
            method: Method::GET,
            path: self.path("directory", &path.encoded()),
            query: "info".into(),
            body: None,
        }
    }

    /// Section 9: with a signed address of the content.
    pub(super) fn file_info(&self, path: &RemotePath) -> Request {
        Request {
            operation: Operation::Info,
            method: Method::GET,
            path: self.path("file", &path.encoded()),
            query: "info".into(),
            body: None,
        }
    }

    /// Section 8: pages of at most 1000 entries, directories first.
    pub(super) fn list(&self, dir: &RemotePath, marker: Option<&str>) -> Request {
        let mut query = "limit=1000".to_owned();
        if let Some(marker) = marker {
            query.push_str("&marker=");
            query.push_str(&encode(marker));
        }
        Request {
            operation: Operation::List,
            method: Method::GET,
            path: self.path("directory", &dir.encoded()),
            query,
            body: None,
        }
    }

    /// Section 3.
    pub(super) fn start_form(
        &self,
        path: &RemotePath,
        size: u64,
        beginning: Option<Hash>,
        full: Option<Hash>,
    ) -> Request {
        let body = StartBody {
            full_hash: full.map(|hash| hash.to_string()),
            beginning_hash: beginning.map(|hash| hash.to_string()),
            size: size.to_string(),
            parts: None,
        };
        Request {
            operation: Operation::Start,
            method: Method::POST,
            path: self.path("file", &path.encoded()),
            query: format!("conflict_resolution_strategy=overwrite&filesize={size}"),
            body: to_json(&body),
        }
    }

    /// Section 7. With a range of parts a service that speaks the new dialect signs each of them; one of the old
    /// dialect does not know the field.
    pub(super) fn start_parts(
        &self,
        path: &RemotePath,
        size: u64,
        beginning: Option<Hash>,
        full: Option<Hash>,
        parts: RangeInclusive<u32>,
    ) -> Request {
        let body = StartBody {
            full_hash: full.map(|hash| hash.to_string()),
            beginning_hash: beginning.map(|hash| hash.to_string()),
            size: size.to_string(),
            parts: Some(range(&parts)),
        };
        Request {
            query: format!("multipart&conflict_resolution_strategy=overwrite&filesize={size}"),
            body: to_json(&body),
            ..self.start_form(path, size, None, None)
        }
    }

    /// Section 7.
    pub(super) fn renew(&self, confirm_key: &str, parts: RangeInclusive<u32>) -> Request {
        Request {
            operation: Operation::Renew,
            method: Method::POST,
            path: self.path("file", &encode(confirm_key)),
            query: "renew".into(),
            body: to_json(&RenewBody { parts: range(&parts) }),
        }
    }

    /// Section 6: with what is needed to send parts.
    pub(super) fn upload_info(&self, confirm_key: &str) -> Request {
        Request { query: "upload".into(), ..self.upload_status(confirm_key) }
    }

    /// Section 5. The strategy is given again, as most clients do (section 13).
    pub(super) fn confirm(&self, confirm_key: &str, crc64: u64) -> Request {
        Request {
            operation: Operation::Confirm,
            method: Method::POST,
            path: self.path("file", &encode(confirm_key)),
            query: "confirm&conflict_resolution_strategy=overwrite".into(),
            body: to_json(&ConfirmBody { crc64: crc64.to_string() }),
        }
    }

    /// Section 6.
    pub(super) fn upload_status(&self, confirm_key: &str) -> Request {
        Request {
            operation: Operation::Status,
            method: Method::GET,
            path: self.path("file", &encode(confirm_key)),
            query: "upload&no_upload_part_info=1".into(),
            body: None,
        }
    }

    /// Section 6.
    pub(super) fn cancel_upload(&self, confirm_key: &str) -> Request {
        Request {
            operation: Operation::Cancel,
            method: Method::DELETE,
            path: self.path("file", &encode(confirm_key)),
            query: "upload".into(),
            body: None,
        }
    }

    /// Section 9. To the recycle bin where the library has one, unless `permanent`.
    pub(super) fn delete_file(&self, path: &RemotePath, permanent: bool) -> Request {
        self.delete("file", path, permanent)
    }

    /// Section 8: with everything in it.
    pub(super) fn delete_directory(&self, path: &RemotePath, permanent: bool) -> Request {
        self.delete("directory", path, permanent)
    }

    fn delete(&self, kind: &str, path: &RemotePath, permanent: bool) -> Request {
        Request {
            operation: Operation::Delete,
            method: Method::DELETE,
            path: self.path(kind, &path.encoded()),
            query: format!("permanent={}", u8::from(permanent)),
            body: None,
        }
    }

    /// Section 9. `ask`: what has the name keeps it.
    pub(super) fn move_file(&self, from: &RemotePath, to: &RemotePath) -> Request {
        self.relocate("file", from, to)
    }

    /// Section 8: makes the missing parents of the target.
    pub(super) fn move_directory(&self, from: &RemotePath, to: &RemotePath) -> Request {
        self.relocate("directory", from, to)
    }

    fn relocate(&self, kind: &str, from: &RemotePath, to: &RemotePath) -> Request {
        Request {
            operation: Operation::Move,
            method: Method::PUT,
            path: self.path(kind, &to.encoded()),
            query: "conflict_resolution_strategy=ask".into(),
            body: to_json(&MoveBody { from: from.segments().join("/") }),
        }
    }

    /// Section 10: the way to ask before a first delete.
    pub(super) fn recycle_bin(&self) -> Request {
        let path = self.path("recycled", "");
        Request {
            operation: Operation::RecycleBin,
            method: Method::GET,
            path: path.trim_end_matches('/').to_owned(),
            query: "limit=1".into(),
            body: None,
        }
    }

    /// Section 10.
    pub(super) fn quota(&self) -> Request {
        let path = self.path("quota", "");
        Request {
            operation: Operation::Quota,
            method: Method::GET,
            path: path.trim_end_matches('/').to_owned(),
            query: String::new(),
            body: None,
        }
    }
}

/// As the service writes it (section 7).
fn range(parts: &RangeInclusive<u32>) -> String {
    format!("{}-{}", parts.start(), parts.end())
}

/// Strings and options of strings always have a JSON form.
fn to_json(body: &impl Serialize) -> Option<String> {
    serde_json::to_string(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { library_id: "smh1".into(), space_id: "-".into() }
    }

    #[test]
    fn a_start_asks_for_overwrite_and_gives_the_size_as_text() {
        let hash = Hash::from_bytes([0xab; 32]);
        let request =
            place().start_form(&RemotePath::from_segments(["a b", "c.txt"]), 7, Some(hash), None);
        assert_eq!(request.path, "/file/smh1/-/a%20b/c.txt");
        assert_eq!(request.query, "conflict_resolution_strategy=overwrite&filesize=7");
        assert_eq!(
            request.body.as_deref(),
            Some(format!(r#"{{"beginningHash":"{}","size":"7"}}"#, "ab".repeat(32)).as_str())
        );
    }

    #[test]
    fn a_confirm_key_is_one_encoded_segment() {
        let request = place().confirm("a/b?c", u64::MAX);
        assert_eq!(request.path, "/file/smh1/-/a%2Fb%3Fc");
        assert_eq!(request.body.as_deref(), Some(r#"{"crc64":"18446744073709551615"}"#));
    }
}
