//! What the service answers (pure): tolerant of unknown fields, strict about what we rely on.

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::error::Refusal;
use super::skew::by_our_clock;

/// What a confirm or an instant upload says of the file (sheet section 5).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Confirmed {
    /// Where the file is; `None`: unreachable, its directory was deleted meanwhile.
    #[serde(default)]
    pub path: Option<Vec<String>>,
    /// Bytes, if the service says.
    #[serde(default, deserialize_with = "number")]
    pub size: Option<u64>,
    /// CRC-64 of the content, if the service says.
    #[serde(default, deserialize_with = "number")]
    pub crc64: Option<u64>,
}

/// A form for COS (sheet section 3). Its fields are a secret: no `Debug`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Form {
    pub(super) domain: String,
    #[serde(default = "slash")]
    pub(super) path: String,
    pub(super) form: Fields,
    /// Names the started upload.
    #[serde(rename = "confirmKey")]
    pub confirm_key: String,
    /// When the form becomes useless, ISO 8601 by the clock of the service, if it says.
    #[serde(default)]
    pub expiration: Option<String>,
    /// The same by our clock, in milliseconds since the Unix epoch.
    #[serde(skip)]
    pub expires_at_ms: Option<i64>,
}

impl Form {
    /// Tells the end of the form by our clock, which the service's is ahead of by so much: whoever
    /// compares it with the time of this machine need not know of the difference.
    pub(super) fn tell_by_our_clock(&mut self, skew_ms: i64) {
        self.expires_at_ms = self
            .expiration
            .as_deref()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(|at| by_our_clock(at.as_millisecond(), skew_ms));
    }

    /// How long the form can still be posted; zero when it cannot, `None` when nobody knows.
    #[must_use]
    pub fn expires_in_ms(&self, now_ms: i64) -> Option<i64> {
        self.expires_at_ms.map(|at| at.saturating_sub(now_ms).max(0))
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form").field("expiration", &self.expiration).finish_non_exhaustive()
    }
}

fn slash() -> String {
    "/".into()
}

/// The entries of a form in the order received.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of form fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Text>()? {
                    fields.push((name, value.0));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A field value: text, or a number or truth value as text.
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Text(text)),
            serde_json::Value::Number(number) => Ok(Text(number.to_string())),
            serde_json::Value::Bool(truth) => Ok(Text(truth.to_string())),
            _ => Err(de::Error::custom("a form field is neither text nor a number")),
        }
    }
}

/// How much a space may hold (sheet section 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Quota {
    /// Bytes that it may hold.
    #[serde(deserialize_with = "number")]
    pub capacity: Option<u64>,
    /// Bytes that it holds.
    #[serde(deserialize_with = "number")]
    pub size: Option<u64>,
}

/// State of a started upload (sheet section 6).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UploadState {
    /// Whether it was confirmed.
    #[serde(default)]
    pub confirmed: bool,
    /// What arrived of an upload in parts.
    #[serde(default)]
    pub parts: Vec<Arrived>,
}

/// A part that COS has (sheet section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Arrived {
    /// From 1.
    #[serde(rename = "PartNumber")]
    pub number: u32,
    /// Bytes, if the service says.
    #[serde(rename = "Size", default, deserialize_with = "number")]
    pub size: Option<u64>,
}

/// What an entry on the remote is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory or album.
    Directory,
    /// A file, image, video or link.
    File,
}

/// A file or directory on the remote (sheet section 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// What it is.
    pub kind: Kind,
    /// Bytes, if the service says.
    pub size: Option<u64>,
    /// CRC-64 of the content, if the service says.
    pub crc64: Option<u64>,
}

impl<'de> Deserialize<'de> for Info {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Info, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(rename = "type", default)]
            kind: String,
            #[serde(default, deserialize_with = "number")]
            size: Option<u64>,
            #[serde(default, deserialize_with = "number")]
            crc64: Option<u64>,
        }
        let raw = Raw::deserialize(deserializer)?;
        let kind = match raw.kind.as_str() {
            "dir" => Kind::Directory,
            "file" | "image" | "video" | "symlink" => Kind::File,
            other => return Err(de::Error::custom(format!("unknown type of entry {other:?}"))),
        };
        Ok(Info { kind, size: raw.size, crc64: raw.crc64 })
    }
}

/// One page of a directory (sheet section 8).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Page {
    /// The entries, directories first.
    pub contents: Vec<Entry>,
    /// Where the next page begins; `None`: this is the last.
    #[serde(rename = "nextMarker", default, deserialize_with = "marker")]
    pub next_marker: Option<String>,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub info: Info,
}

/// What the entries of a directory are called, in the words of the service (sheet section 8).
#[derive(Deserialize)]
pub(super) struct Kinds {
    pub(super) contents: Vec<KindOf>,
}

/// The same of one entry.
#[derive(Deserialize)]
pub(super) struct KindOf {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
}

/// A marker is a number or a text (sheet section 8).
fn marker<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Text>::deserialize(deserializer)?
        .map(|text| text.0)
        .filter(|text| !text.is_empty()))
}

/// A new or renewed token (sheet section 2).
#[derive(Deserialize)]
pub(super) struct TokenMade {
    #[serde(rename = "accessToken")]
    pub(super) access_token: String,
    /// Seconds.
    #[serde(rename = "expiresIn", default, deserialize_with = "number")]
    pub(super) expires_in: Option<u64>,
}

/// Sizes and crc64 come as text, sometimes as numbers (sheet section 1).
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Option::<Either>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Either::Number(number)) => Ok(Some(number)),
        Some(Either::Text(text)) if text.is_empty() => Ok(None),
        Some(Either::Text(text)) => text.parse().map(Some).map_err(de::Error::custom),
    }
}

/// Longest text of the service that goes into a message.
const MESSAGE_MAX: usize = 300;

/// Takes an SMH error body apart (sheet section 1). Unreadable bodies give an empty refusal.
pub(super) fn refusal(status: u16, body: &[u8]) -> Refusal {
    #[derive(Deserialize, Default)]
    struct Raw {
        #[serde(default)]
        status: Option<u16>,
        #[serde(default)]
        code: Option<Text>,
        #[serde(default)]
        message: Option<String>,
        #[serde(rename = "requestId", default)]
        request_id: Option<String>,
        #[serde(rename = "smhRequestId", default)]
        smh_request_id: Option<String>,
    }
    let raw: Raw = serde_json::from_slice(body).unwrap_or_default();
    Refusal {
        status: if status == 200 { raw.status.unwrap_or(status) } else { status },
        code: raw.code.map(|code| tame(&code.0)).filter(|code| !code.is_empty()),
        message: raw.message.map(|text| tame(&text)).unwrap_or_default(),
        request_id: raw.request_id.or(raw.smh_request_id).map(|id| tame(&id)),
        retry_after: None,
    }
}

/// Whether an answer with status 200 is an error in an envelope (sheet sections 1 and 13). No success
/// has a field `status` with the number of a refusal, so that alone decides.
pub(super) fn is_error_envelope(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Raw {
        status: u16,
    }
    body.starts_with(b"{")
        && serde_json::from_slice::<Raw>(body).is_ok_and(|raw| (400..600).contains(&raw.status))
}

/// Takes a COS error apart (sheet section 4).
pub(super) fn cos_refusal(status: u16, body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(body);
    Refusal {
        status,
        code: element(&text, "Code"),
        message: element(&text, "Message").unwrap_or_default(),
        request_id: element(&text, "RequestId"),
        retry_after: None,
    }
}

/// The text of the first element of this name: COS errors are flat.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = inner
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&");
    Some(tame(&plain)).filter(|text| !text.is_empty())
}

/// Text from outside: short, on one line, unable to steer a terminal, and without a URL, which may carry a token.
pub(super) fn tame(text: &str) -> String {
    let mut kept: String =
        crate::relpath::printable(text.trim().as_bytes()).chars().take(MESSAGE_MAX).collect();
    for scheme in ["https://", "http://"] {
        while let Some(at) = kept.find(scheme) {
            let end = kept
                .get(at..)
                .and_then(|rest| rest.find(char::is_whitespace))
                .map_or(kept.len(), |n| at + n);
            kept.replace_range(at..end, "[url]");
        }
    }
    if let Some(at) = kept.find("access_token=") {
        kept.truncate(at);
        kept.push_str("[redacted]");
    }
    kept
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
