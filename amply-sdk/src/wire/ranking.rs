//! The ranking of a route, and what it was computed from.

use indexmap::IndexMap;
use serde_json::Value;

use super::fields::{Fields, FromFields};
use super::json::Extra;
use crate::money::Usd;

/// One provider's place in the ranking of a [`Route`](crate::Route).
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
    pub(super) fn derived(provider_id: String, metrics: ProviderMetrics) -> Self {
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
