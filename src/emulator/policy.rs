//! Policies and signatures of COS: made for forms, checked at the POST; and signed addresses. Sheet section 4.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::reply::{CosRefusal, cos_refuse};
use super::time::iso;

/// The bucket and its temporary key. They guard nothing but a folder on this machine.
pub(super) const BUCKET: &str = "emulator-1250000000";
const ACCESS_KEY: &str = "AKIDemulator0000000000000000000000";
const SECRET_KEY: &str = "emulator-cos-secret-key";
const SECURITY_TOKEN: &str = "emulator-security-token";
/// Largest object of one POST.
pub(super) const POST_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// The fields of a form, in order.
pub(super) fn form(
    key: &str,
    content_type: &str,
    now_ms: i64,
    life_ms: i64,
) -> Vec<(String, String)> {
    let start = now_ms / 1000;
    let end = (now_ms + life_ms) / 1000;
    let key_time = format!("{start};{end}");
    let policy = json!({
        "expiration": iso(now_ms + life_ms),
        "conditions": [
            {"acl": "default"},
            {"bucket": BUCKET},
            ["eq", "$key", key],
            {"Content-Type": content_type},
            {"q-sign-algorithm": "sha1"},
            {"q-ak": ACCESS_KEY},
            {"q-sign-time": key_time},
            ["content-length-range", 0, POST_MAX],
        ],
    })
    .to_string();
    let signature = sign(&key_time, &policy);
    [
        ("key", key.to_owned()),
        ("acl", "default".to_owned()),
        ("Content-Type", content_type.to_owned()),
        ("x-cos-security-token", SECURITY_TOKEN.to_owned()),
        ("policy", STANDARD.encode(policy)),
        ("q-sign-algorithm", "sha1".to_owned()),
        ("q-ak", ACCESS_KEY.to_owned()),
        ("q-key-time", key_time),
        ("q-signature", signature),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn hmac_hex(key: &[u8], text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn sign(key_time: &str, text: &str) -> String {
    let sign_key = hmac_hex(SECRET_KEY.as_bytes(), key_time);
    let digest = hex::encode(Sha1::digest(text.as_bytes()));
    hmac_hex(sign_key.as_bytes(), &digest)
}

/// What a POST may carry, as its policy says.
pub(super) struct Allowed {
    pub(super) key: String,
    pub(super) smallest: u64,
    pub(super) largest: u64,
}

/// Checks the fields of a POST; the content comes after them.
pub(super) fn check(fields: &[(String, String)], now_ms: i64) -> Result<Allowed, CosRefusal> {
    let field = |name: &str| {
        fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    let need = |name: &'static str| {
        field(name).ok_or_else(|| {
            cos_refuse(400, "InvalidArgument", format!("the form has no field {name}"))
        })
    };
    let key = need("key")?;
    let encoded = need("policy")?;
    if need("q-sign-algorithm")? != "sha1" {
        return Err(cos_refuse(400, "InvalidArgument", "unknown signature algorithm"));
    }
    if need("q-ak")? != ACCESS_KEY {
        return Err(cos_refuse(403, "InvalidAccessKeyId", "the access key does not exist"));
    }
    if field("x-cos-security-token") != Some(SECURITY_TOKEN) {
        return Err(cos_refuse(403, "AccessDenied", "the security token is missing or unknown"));
    }
    let policy = STANDARD
        .decode(encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| cos_refuse(400, "InvalidArgument", "the policy is not Base64"))?;
    let key_time = need("q-key-time")?;
    if need("q-signature")? != sign(key_time, &policy) {
        return Err(cos_refuse(403, "SignatureDoesNotMatch", "the signature does not match"));
    }
    let in_time = key_time
        .split_once(';')
        .and_then(|(start, end)| Some((start.parse::<i64>().ok()?, end.parse::<i64>().ok()?)))
        .is_some_and(|(start, end)| (start * 1000..=end * 1000 + 999).contains(&now_ms));
    if !in_time {
        return Err(cos_refuse(403, "AccessDenied", "Request has expired"));
    }
    let policy: Value = serde_json::from_str(&policy)
        .map_err(|_| cos_refuse(400, "InvalidArgument", "the policy is not JSON"))?;
    let expired = policy["expiration"]
        .as_str()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .is_none_or(|at| at.as_millisecond() < now_ms);
    if expired {
        return Err(cos_refuse(403, "AccessDenied", "the policy has expired"));
    }
    conditions(&policy, key, field)
}

fn conditions<'a>(
    policy: &Value,
    key: &str,
    field: impl Fn(&str) -> Option<&'a str>,
) -> Result<Allowed, CosRefusal> {
    let denied = |what: &str| {
        cos_refuse(403, "AccessDenied", format!("a condition of the policy is not met: {what}"))
    };
    let mut allowed = Allowed { key: key.to_owned(), smallest: 0, largest: POST_MAX };
    let Some(conditions) = policy["conditions"].as_array() else {
        return Err(cos_refuse(400, "InvalidArgument", "the policy has no conditions"));
    };
    for condition in conditions {
        match condition {
            Value::Object(pairs) => {
                for (name, wanted) in pairs {
                    let wanted = wanted.as_str().unwrap_or_default();
                    let given = match name.as_str() {
                        "bucket" => Some(BUCKET),
                        "q-sign-time" => field("q-key-time"),
                        other => field(other),
                    };
                    if given != Some(wanted) {
                        return Err(denied(name));
                    }
                }
            }
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(op), Value::String(name), Value::String(wanted)] => {
                    let given = field(name.trim_start_matches('$')).unwrap_or_default();
                    let met = match op.as_str() {
                        "eq" => given == wanted,
                        "starts-with" => given.starts_with(wanted.as_str()),
                        _ => false,
                    };
                    if !met {
                        return Err(denied(name));
                    }
                }
                [Value::String(op), smallest, largest] if op == "content-length-range" => {
                    allowed.smallest = smallest.as_u64().unwrap_or(0);
                    allowed.largest = largest.as_u64().unwrap_or(0).min(POST_MAX);
                }
                _ => return Err(denied("unknown condition")),
            },
            _ => return Err(denied("unknown condition")),
        }
    }
    Ok(allowed)
}

/// The headers of a signed PUT (simple upload, parts).
pub(super) fn headers(key: &str, now_ms: i64, life_ms: i64) -> Value {
    let key_time = format!("{};{}", now_ms / 1000, (now_ms + life_ms) / 1000);
    let signature = sign(&key_time, &format!("put\n{key}"));
    json!({
        "Authorization": format!("q-sign-algorithm=sha1&q-ak={ACCESS_KEY}&q-sign-time={key_time}&q-key-time={key_time}&q-header-list=&q-url-param-list=&q-signature={signature}"),
        "x-cos-security-token": SECURITY_TOKEN,
    })
}

/// The query of a signed GET.
pub(super) fn signed_query(key: &str, now_ms: i64, life_ms: i64) -> String {
    let key_time = format!("{};{}", now_ms / 1000, (now_ms + life_ms) / 1000);
    let signature = sign(&key_time, &format!("get\n{key}"));
    format!(
        "q-sign-algorithm=sha1&q-ak={ACCESS_KEY}&q-key-time={}&q-signature={signature}",
        key_time.replace(';', "%3B")
    )
}

/// Checks the signature of a PUT (`Authorization`) or GET (query), given as `name=value` pairs.
pub(super) fn check_signed(
    verb: &str,
    key: &str,
    pairs: impl Fn(&str) -> Option<String>,
    now_ms: i64,
) -> Result<(), CosRefusal> {
    let key_time =
        pairs("q-key-time").ok_or_else(|| cos_refuse(403, "AccessDenied", "not signed"))?;
    if pairs("q-signature") != Some(sign(&key_time, &format!("{verb}\n{key}"))) {
        return Err(cos_refuse(403, "SignatureDoesNotMatch", "the signature does not match"));
    }
    let in_time = key_time
        .split_once(';')
        .and_then(|(_, end)| end.parse::<i64>().ok())
        .is_some_and(|end| now_ms <= end * 1000 + 999);
    if in_time { Ok(()) } else { Err(cos_refuse(403, "AccessDenied", "Request has expired")) }
}
