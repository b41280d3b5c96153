//! Access tokens with sliding expiry and grants. Sheet section 2.

use std::collections::HashMap;

use serde_json::json;

use super::reply::{Answer, Refusal, Reply, refuse};
use super::store::{Op, Store, Token};

const DEFAULT_PERIOD: i64 = 86_400;
const SHORTEST_PERIOD: i64 = 1_200;

/// Creates a token for the library secret.
pub(super) fn create(store: &Store, query: &HashMap<String, String>) -> Answer {
    let mut inner = store.lock();
    let id = query.get("library_id").map_or("", String::as_str);
    let secret = query.get("library_secret").map_or("", String::as_str);
    match (id.is_empty(), secret.is_empty()) {
        (true, true) => {
            return Err(refuse(
                400,
                "EmptyLibraryIdOrSecret",
                "library_id and library_secret are empty",
            ));
        }
        (true, false) => return Err(refuse(400, "EmptyLibraryId", "library_id is empty")),
        (false, true) => return Err(refuse(400, "EmptyLibrarySecret", "library_secret is empty")),
        _ => {}
    }
    if id != inner.options.library_id || secret != inner.options.library_secret {
        return Err(refuse(404, "WrongLibraryIdOrSecret", "wrong library id or secret"));
    }
    if let Some(spaces) = query.get("space_id").filter(|spaces| !spaces.is_empty())
        && !spaces.split(',').any(|space| space == inner.options.space_id)
    {
        return Err(refuse(404, "SpaceNotFound", "no such space"));
    }
    let period = match query.get("period").and_then(|text| text.parse::<i64>().ok()) {
        Some(period) if period > 0 => period.max(SHORTEST_PERIOD),
        _ => DEFAULT_PERIOD,
    };
    let longest = inner
        .options
        .token_life
        .map_or(i64::MAX, |life| i64::try_from(life.as_secs()).unwrap_or(i64::MAX));
    let period = period.min(longest);
    let grants = query
        .get("grant")
        .map(|grants| grants.split(',').filter(|g| !g.is_empty()).map(str::to_owned).collect())
        .unwrap_or_default();
    let name = format!("acctk{:032x}", fastrand::u128(..));
    let token =
        Token { period_ms: period * 1000, expires_ms: inner.now_ms() + period * 1000, grants };
    inner.apply(Op::Token(name.clone(), token))?;
    Ok(Reply::json(200, &json!({"accessToken": name, "expiresIn": period})))
}

/// Renews or deletes a token.
pub(super) fn change(store: &Store, library: &str, name: &str, delete: bool) -> Answer {
    let mut inner = store.lock();
    if library != inner.options.library_id {
        return Err(refuse(404, "LibraryNotFound", "no such library"));
    }
    let now_ms = inner.now_ms();
    let Some(token) = inner.state.tokens.get(name).filter(|t| t.expires_ms > now_ms).cloned()
    else {
        return Err(refuse(403, "InvalidAccessToken", "invalid access token"));
    };
    if delete {
        inner.apply(Op::TokenGone(name.to_owned()))?;
        return Ok(Reply::empty(204));
    }
    let renewed = Token { expires_ms: now_ms + token.period_ms, ..token };
    let period = renewed.period_ms / 1000;
    inner.apply(Op::Token(name.to_owned(), renewed))?;
    Ok(Reply::json(200, &json!({"accessToken": name, "expiresIn": period})))
}

/// Lets a call in: the token is good and allows one of `wanted` (nothing wanted: reading).
/// The use extends it; that is not logged, a restart gives every token its period again.
pub(super) fn admit(store: &Store, name: Option<&str>, wanted: &[&str]) -> Result<(), Refusal> {
    let mut inner = store.lock();
    let now_ms = inner.now_ms();
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(refuse(400, "EmptyAccessToken", "access_token is empty"));
    };
    let Some(token) = inner.state.tokens.get_mut(name).filter(|token| token.expires_ms > now_ms)
    else {
        return Err(refuse(403, "InvalidAccessToken", "invalid access token"));
    };
    let allowed = wanted.is_empty()
        || token.grants.iter().any(|grant| {
            grant == "admin" || grant == "space_admin" || wanted.contains(&grant.as_str())
        });
    if !allowed {
        return Err(refuse(403, "NoPermission", "the token does not grant this"));
    }
    token.expires_ms = now_ms + token.period_ms;
    Ok(())
}
