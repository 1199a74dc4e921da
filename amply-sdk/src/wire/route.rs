//! What `POST /route` answers.

use std::cmp::Ordering;

use indexmap::IndexMap;

use super::fields::{Fields, FromFields, raw_fields};
use super::json::{Extra, FromJson, Part, RawJson, read};
use super::ranking::{Ranking, RawMetrics};
use super::shape::{Known, Shape};
use crate::money::Usd;

/// The answer to "which provider should run this task?" (API documentation, `POST /route`).
///
/// Only [`recommended`](Self::recommended) is always there. Success rates and scores are shares from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// The id of the provider to use, for example `qdrant`.
    pub recommended: String,
    /// The composite score of the recommended provider, 0 to 1.
    pub score: Option<f64>,
    /// What the task is estimated to cost there, in USD.
    pub estimated_cost_usd: Option<Usd>,
    /// The expected 99th percentile of latency there, in ms.
    pub expected_p99_latency_ms: Option<f64>,
    /// The share of calls that succeeded there in the last 24 hours.
    pub success_rate_last_24h: Option<f64>,
    /// The share of calls that succeeded there in the last 7 days.
    pub success_rate_last_7d: Option<f64>,
    /// Why this provider: a sentence on the servers seen so far, but any JSON is kept. See [`why_text`](Self::why_text).
    pub why: Option<RawJson>,
    /// The id to report the outcome under; also the id of the request.
    pub route_id: Option<String>,
    /// Milliseconds of work on the server.
    pub compute_ms: Option<u64>,
    /// What this call cost, in USD, on a server that says so.
    pub estimated_charge_usd: Option<Usd>,
    /// The economics of this call.
    pub usage: Option<RawJson>,
    /// How to report the outcome of this route.
    pub agent_hints: Option<RawJson>,
    /// What the hard limits of the request did to the costs.
    pub cost_analysis: Option<RawJson>,
    /// The providers that the hard limits of the request ruled out. See [`ruled_out`](Self::ruled_out).
    pub filtered_out: Option<RawJson>,
    /// Whose wallet and history the call counted for, and links to them.
    pub integration: Option<RawJson>,
    /// Fields that have no name here.
    pub extra: Extra,
    rankings: Option<Vec<Ranking>>,
    raw_metrics: Option<RawJson>,
}

impl Route {
    /// The providers, best first.
    ///
    /// From the answer's `rankings`, by their rank; on a server that sends none (or no ranks), the recommended provider
    /// and then the others by their scores. Empty when the answer has neither `rankings` nor `raw_metrics`.
    pub fn rankings(&self) -> Vec<Ranking> {
        match &self.rankings {
            Some(rankings) if !rankings.is_empty() => self.ranked(rankings.clone()),
            _ => {
                let metrics = self.raw_metrics().map(|raw| raw.all_providers).unwrap_or_default();
                self.ranked(metrics.into_iter().map(|(id, metrics)| Ranking::derived(id, metrics)).collect())
            }
        }
    }

    /// The providers that the hard limits of the request ruled out, each with the reasons.
    pub fn ruled_out(&self) -> Vec<RuledOut> {
        self.filtered_out.as_ref().and_then(read).unwrap_or_default()
    }

    /// Everything the ranking was computed from. Decoded at each call: keep the result.
    pub fn raw_metrics(&self) -> Option<RawMetrics> {
        let raw = self.raw_metrics.as_ref()?;
        read(raw)
    }

    /// `raw_metrics` as the server wrote it.
    pub fn raw_metrics_json(&self) -> Option<&RawJson> {
        self.raw_metrics.as_ref()
    }

    /// Why this provider was recommended, in the server's words. How the scores were made is in
    /// [`explain`](Self::explain).
    pub fn why_text(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        if let Some(reasons) = read::<Vec<RawJson>>(why) {
            return Some(reasons.iter().map(words).collect::<Vec<_>>().join("; "));
        }
        if let Some(reasons) = read::<IndexMap<String, RawJson>>(why) {
            let reason = |(name, reason)| format!("{name}: {}", words(reason));
            return Some(reasons.iter().map(reason).collect::<Vec<_>>().join("; "));
        }
        Some(words(why))
    }

    /// Whether the server ranked a built-in catalog because its live one was not to be had.
    pub fn is_from_fallback_catalog(&self) -> bool {
        self.raw_metrics().and_then(|raw| raw.catalog_source).is_some_and(|source| source == "seed")
    }

    /// By rank where each has one. Else by score, and then sent scores are rounded and hard limits may have ruled out
    /// the best one: what is recommended comes first.
    fn ranked(&self, mut rankings: Vec<Ranking>) -> Vec<Ranking> {
        if rankings.iter().all(|ranking| ranking.rank.is_some()) {
            rankings.sort_by_key(|ranking| ranking.rank);
            return rankings;
        }
        rankings.sort_by(|a, b| {
            let is_other = |ranking: &Ranking| ranking.provider_id != self.recommended;
            let by_score = b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
            is_other(a).cmp(&is_other(b)).then(by_score)
        });
        for (rank, ranking) in (1..).zip(&mut rankings) {
            ranking.rank = Some(rank);
        }
        rankings
    }
}

impl Route {
    /// Where the server says that the outcome of this route is to be reported. // [our] the names within the hint
    pub(crate) fn report_endpoint(&self) -> Option<String> {
        let mut hints = raw_fields(self.agent_hints.as_ref()?)?;
        let report: RawJson = hints.take("report_outcome")?;
        raw_fields(&report)?.take("endpoint")
    }
}

/// A text without its quotes, anything else as it was written.
fn words(json: &RawJson) -> String {
    json.parse().unwrap_or_else(|_| json.text().to_owned())
}

impl FromFields for Route {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        let recommended: String = fields.take("recommended").unwrap_or_default();
        if recommended.trim().is_empty() {
            return Err("it does not say which provider is recommended (`recommended`)".to_owned());
        }
        Ok(Self {
            recommended,
            score: fields.take("score"),
            estimated_cost_usd: fields.take("estimated_cost_usd"),
            expected_p99_latency_ms: fields.take("expected_p99_latency_ms"),
            success_rate_last_24h: fields.take("success_rate_last_24h"),
            success_rate_last_7d: fields.take("success_rate_last_7d"),
            why: fields.take("why"),
            route_id: fields.take("request_id"),
            compute_ms: fields.take("compute_ms"),
            estimated_charge_usd: fields.take("estimated_charge_usd"),
            usage: fields.take("usage"),
            agent_hints: fields.take("agent_hints"),
            cost_analysis: fields.take("cost_analysis"),
            filtered_out: fields.take("filtered_out"),
            integration: fields.take("integration"),
            rankings: fields.take("rankings"),
            raw_metrics: fields.take("raw_metrics"),
            extra: fields.rest(),
        })
    }
}

/// Whose call it was, in the body (`integration`).
#[derive(Default)]
pub(crate) struct Integration {
    pub(crate) principal_attached: Option<bool>,
    pub(crate) economics_mode: Option<String>,
}

impl FromFields for Integration {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            principal_attached: fields.take("principal_attached"),
            economics_mode: fields.take("economics_mode"),
        })
    }
}

/// A provider that a hard limit of the request ruled out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuledOut {
    /// The provider's id.
    pub provider_id: String,
    /// Why, in the server's words.
    pub reasons: Vec<String>,
}

// [our] the documentation names the list and not what is in it: an object, or an id alone
impl FromJson for RuledOut {
    fn from_json(part: Part<'_>) -> Option<Self> {
        if let Some(provider_id) = String::from_json(part) {
            return Some(Self { provider_id, reasons: Vec::new() });
        }
        let mut fields = Fields::parse(part.body, part.text).ok()?;
        let reasons = fields.take("reasons").or_else(|| Some(vec![fields.take("reason")?]));
        Some(Self { provider_id: fields.take("provider_id")?, reasons: reasons.unwrap_or_default() })
    }

    fn shape() -> Shape {
        let known = [&["provider_id"][..], &["reasons", "reason"]];
        Shape::Object(known.map(|names| Known::new(names, Shape::Value)).into())
    }
}
