//! Faults on demand: rules that make requests fail, late, lost, or wrong.

use serde::{Deserialize, Serialize};

/// When and how requests fail.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rule {
    /// Name of the route, as in the log; absent: every route.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// Part of the decoded path; of calls with a confirm key, of the path that the upload is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Only the n-th request that matches, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    /// Every n-th request that matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    /// So often at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    /// With this probability, thrown with `seed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    effect: Effect,
    /// Requests that matched, and those that it hit.
    #[serde(skip_deserializing)]
    matched: u64,
    #[serde(skip_deserializing)]
    hits: u64,
    #[serde(skip)]
    dice: Option<fastrand::Rng>,
}

/// When the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reset {
    /// The request has no effect.
    Before,
    /// It has its effect, and the answer is lost.
    After,
}

/// What goes wrong. Several may be combined.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Effect {
    pub(super) delay_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reset: Option<Reset>,
    /// Refuse with this status, code and message instead of working.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    /// Seconds in a `Retry-After` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<u64>,
    /// Send the refusal as HTTP 200 with a `status` field.
    pub(super) envelope: bool,
    /// Cut the answer after so many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) truncate: Option<usize>,
    /// Answer so many bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drip: Option<u64>,
    /// Take so many bytes of content a second, of each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sip: Option<u64>,
    /// Answer something that is not JSON.
    pub(super) garbage: bool,
    /// Answer 64 MiB.
    pub(super) huge: bool,
    /// Add fields that nobody knows.
    pub(super) extra_fields: bool,
    /// Answer `path: null`.
    pub(super) path_null: bool,
    /// Confirm under another name, although overwrite was asked.
    pub(super) rename: bool,
    /// Answer another crc64 than the content has.
    pub(super) wrong_crc64: bool,
    /// Show these in a listing too, word for word, wherever they may lead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) extra_entries: Vec<serde_json::Value>,
    /// Leave entries younger than this out of listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lag_ms: Option<i64>,
}

/// All rules, in the order given; the first that hits counts.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) rules: Vec<Rule>,
}

impl Faults {
    pub(super) fn pick(&mut self, route: &str, method: &str, path: &str) -> Option<Effect> {
        self.rules.iter_mut().find_map(|rule| rule.hit(route, method, path))
    }
}

impl Rule {
    fn hit(&mut self, route: &str, method: &str, path: &str) -> Option<Effect> {
        let fits = self.route.as_ref().is_none_or(|wanted| wanted == route)
            && self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(|wanted| path.contains(wanted.as_str()));
        if !fits {
            return None;
        }
        self.matched += 1;
        let matched = self.matched;
        let now = self.nth.is_none_or(|nth| nth == matched)
            && self.every.is_none_or(|every| every > 0 && matched.is_multiple_of(every))
            && self.times.is_none_or(|times| self.hits < times);
        if !now {
            return None;
        }
        if let Some(probability) = self.probability {
            let seed = self.seed.unwrap_or(0);
            let dice = self.dice.get_or_insert_with(|| fastrand::Rng::with_seed(seed));
            if dice.f64() >= probability {
                return None;
            }
        }
        self.hits += 1;
        Some(self.effect.clone())
    }
}
