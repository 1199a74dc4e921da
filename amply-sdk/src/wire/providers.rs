//! What `GET /providers` answers.

use indexmap::IndexMap;
use serde_json::Value;

use super::fields::{Fields, FromFields};
use super::json::Extra;
use crate::money::Usd;

/// The providers that a server ranks (API documentation, `GET /providers`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Providers {
    /// The providers, in the catalog's order.
    pub providers: Vec<Provider>,
    /// The weight of each component of the score for a task without hints; they sum to 1.
    pub default_scoring_weights: IndexMap<String, f64>,
    /// How old the catalog is: null, text or an object, as the server has it.
    pub catalog_freshness: Option<Value>,
    /// Where the metrics came from.
    pub metrics_source: Option<Value>,
    /// When the metrics were measured.
    pub measured_at: Option<Value>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for Providers {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            providers: fields.take("providers").unwrap_or_default(),
            default_scoring_weights: fields.take("default_scoring_weights").unwrap_or_default(),
            catalog_freshness: fields.take("catalog_freshness"),
            metrics_source: fields.take("metrics_source"),
            measured_at: fields.take("measured_at"),
            extra: fields.rest(),
        })
    }
}

/// One provider of the catalog. Rates and scores are shares from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Provider {
    /// The provider's id, as routes name it.
    pub id: Option<String>,
    /// Its name for people.
    pub display_name: Option<String>,
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
    /// How it came into the catalog, for example `organic` or `featured`; without effect on its score.
    pub catalog_listing: Option<String>,
    /// What the server says about paid placement.
    pub placement_disclosure: Option<String>,
    /// Its score for a task without hints.
    pub live_composite_score: Option<f64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for Provider {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            id: fields.take("id"),
            display_name: fields.take("display_name"),
            p99_latency_ms: fields.take("p99_latency_ms"),
            cost_per_1m_dims_usd: fields.take("cost_per_1m_dims_usd"),
            success_rate_last_24h: fields.take("success_rate_last_24h"),
            success_rate_last_7d: fields.take("success_rate_last_7d"),
            win_rate: fields.take("win_rate"),
            catalog_listing: fields.take("catalog_listing"),
            placement_disclosure: fields.take("placement_disclosure"),
            live_composite_score: fields.take("live_composite_score"),
            extra: fields.rest(),
        })
    }
}
