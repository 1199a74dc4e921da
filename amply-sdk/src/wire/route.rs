//! What `POST /route` answers.

use std::cmp::Ordering;

use indexmap::IndexMap;
use serde_json::Value;

use super::fields::{Fields, FromFields};
use super::json::{Extra, FromJson, Part, RawJson, read};
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
    /// Why this provider: a sentence on the servers seen so far, but any JSON is kept. See [`explain`](Self::explain).
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

    /// Why this provider was recommended, in words.
    pub fn explain(&self) -> Option<String> {
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

/// One provider's place in the ranking of a [`Route`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ranking {
    /// The provider's id.
    pub provider_id: String,
    /// Its place, 1 is best.
    pub rank: Option<u64>,
    /// Its composite score, 0 to 1.
    pub score: Option<f64>,
    /// The score's components.
    pub components: Option<Components>,
    /// Its 99th percentile of latency, in ms.
    pub p99_latency_ms: Option<f64>,
    /// Its price in USD for a million dimensions.
    pub cost_per_1m_dims_usd: Option<Usd>,
    /// The share of calls that succeeded in the last 24 hours.
    pub success_rate_last_24h: Option<f64>,
    /// The share of calls that succeeded in the last 7 days.
    pub success_rate_last_7d: Option<f64>,
    /// The share of comparisons that it won.
    pub win_rate: Option<f64>,
    /// Where the figures come from: `catalog`, `probe`, `outcome`.
    pub confidence_sources: Option<Vec<String>>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl Ranking {
    fn derived(provider_id: String, metrics: ProviderMetrics) -> Self {
        Self {
            provider_id,
            rank: None,
            score: metrics.composite_score,
            components: metrics.components,
            p99_latency_ms: metrics.p99_latency_ms,
            cost_per_1m_dims_usd: metrics.cost_per_1m_dims_usd,
            success_rate_last_24h: metrics.success_rate_last_24h,
            success_rate_last_7d: metrics.success_rate_last_7d,
            win_rate: metrics.win_rate,
            confidence_sources: None,
            extra: metrics.extra,
        }
    }
}

impl FromFields for Ranking {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            provider_id: fields.take("provider_id").ok_or("a ranking without `provider_id`")?,
            rank: fields.take("rank"),
            score: fields.take("score"),
            components: fields.take("components"),
            p99_latency_ms: fields.take("p99_latency_ms"),
            cost_per_1m_dims_usd: fields.take("cost_per_1m_dims_usd"),
            success_rate_last_24h: fields.take("success_rate_last_24h"),
            success_rate_last_7d: fields.take("success_rate_last_7d"),
            win_rate: fields.take("win_rate"),
            confidence_sources: fields.take("confidence_sources"),
            extra: fields.rest(),
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
}

/// What a ranking was computed from (`raw_metrics` of the answer).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RawMetrics {
    /// Every provider's figures, in the catalog's order.
    pub all_providers: IndexMap<String, ProviderMetrics>,
    /// The weight of each component of the score; they sum to 1.
    pub weights: IndexMap<String, f64>,
    /// How many dimension units the task was understood to need.
    pub dim_units_estimate: Option<f64>,
    /// How many dimension units the cost was quoted for.
    pub cost_quote_dim_units: Option<f64>,
    /// The budget as understood, in USD.
    pub budget_usd: Option<Usd>,
    /// The latency target as understood, in ms.
    pub latency_target_ms: Option<f64>,
    /// Where the catalog came from; `seed` is the server's built-in one.
    pub catalog_source: Option<String>,
    /// The database behind the catalog.
    pub catalog_backend: Option<String>,
    /// How old the catalog is: null, text or an object, as the server has it.
    pub catalog_freshness: Option<Value>,
    /// Where the metrics came from.
    pub metrics_source: Option<Value>,
    /// When the metrics were measured.
    pub measured_at: Option<Value>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for RawMetrics {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            all_providers: fields.take("all_providers").unwrap_or_default(),
            weights: fields.take("weights").unwrap_or_default(),
            dim_units_estimate: fields.take("dim_units_estimate"),
            cost_quote_dim_units: fields.take("cost_quote_dim_units"),
            budget_usd: fields.take("budget_usd"),
            latency_target_ms: fields.take("latency_target_ms"),
            catalog_source: fields.take("catalog_source"),
            catalog_backend: fields.take("catalog_backend"),
            catalog_freshness: fields.take("catalog_freshness"),
            metrics_source: fields.take("metrics_source"),
            measured_at: fields.take("measured_at"),
            extra: fields.rest(),
        })
    }
}

/// One provider's figures within [`RawMetrics`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProviderMetrics {
    /// The composite score, 0 to 1.
    pub composite_score: Option<f64>,
    /// The score's components.
    pub components: Option<Components>,
    /// The 99th percentile of latency, in ms.
    pub p99_latency_ms: Option<f64>,
    /// The price in USD for a million dimensions.
    pub cost_per_1m_dims_usd: Option<Usd>,
    /// The share of calls that succeeded in the last 24 hours.
    pub success_rate_last_24h: Option<f64>,
    /// The share of calls that succeeded in the last 7 days.
    pub success_rate_last_7d: Option<f64>,
    /// The share of comparisons that it won.
    pub win_rate: Option<f64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for ProviderMetrics {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            composite_score: fields.take("composite_score"),
            components: fields.take("components"),
            p99_latency_ms: fields.take("p99_latency_ms"),
            cost_per_1m_dims_usd: fields.take("cost_per_1m_dims_usd"),
            success_rate_last_24h: fields.take("success_rate_last_24h"),
            success_rate_last_7d: fields.take("success_rate_last_7d"),
            win_rate: fields.take("win_rate"),
            extra: fields.rest(),
        })
    }
}

/// The components of a score, each 0 to 1, higher is better.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Components {
    /// How often calls succeed.
    pub success: Option<f64>,
    /// How fast it is, compared with the others.
    pub latency: Option<f64>,
    /// How cheap it is, compared with the others.
    pub cost: Option<f64>,
    /// How often it won.
    pub reliability: Option<f64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for Components {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            success: fields.take("success"),
            latency: fields.take("latency"),
            cost: fields.take("cost"),
            reliability: fields.take("reliability"),
            extra: fields.rest(),
        })
    }
}
