//! What `GET /platform-metrics` answers.

use super::fields::{Fields, FromFields};
use super::json::Extra;

/// Public totals of the whole platform (API documentation, `GET /platform-metrics`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlatformMetrics {
    /// Whether the service answers.
    pub ok: Option<bool>,
    /// How the figures are counted.
    pub methodology: Option<String>,
    /// Where that is described.
    pub methodology_url: Option<String>,
    /// Whether the counts are real; without a database they are 0.
    pub telemetry_ready: Option<bool>,
    /// Routes answered in the last 7 days.
    pub decisions_last_7d: Option<u64>,
    /// Routes answered in the last 30 days.
    pub decisions_last_30d: Option<u64>,
    /// Those of them that recommended a provider with a paid listing.
    pub decisions_to_listed_providers_last_30d: Option<u64>,
    /// Their share, in percent; none when nothing was routed.
    pub pct_decisions_to_listed_providers_last_30d: Option<f64>,
    /// The same by category.
    pub by_category_last_30d: Vec<CategoryDecisions>,
    /// Why the counts are not real, for example `no_db`.
    pub error_code: Option<String>,
    /// When this was counted, RFC 3339 UTC.
    pub as_of: Option<String>,
    /// The id of this request.
    pub request_id: Option<String>,
    /// Milliseconds of work on the server.
    pub compute_ms: Option<u64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for PlatformMetrics {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            ok: fields.take("ok"),
            methodology: fields.take("methodology"),
            methodology_url: fields.take("methodology_url"),
            telemetry_ready: fields.take("telemetry_ready"),
            decisions_last_7d: fields.take("decisions_last_7d"),
            decisions_last_30d: fields.take("decisions_last_30d"),
            decisions_to_listed_providers_last_30d: fields.take("decisions_to_listed_providers_last_30d"),
            pct_decisions_to_listed_providers_last_30d: fields
                .take("pct_decisions_to_listed_providers_last_30d"),
            by_category_last_30d: fields.take("by_category_last_30d").unwrap_or_default(),
            error_code: fields.take("error_code"),
            as_of: fields.take("as_of"),
            request_id: fields.take("request_id"),
            compute_ms: fields.take("compute_ms"),
            extra: fields.rest(),
        })
    }
}

/// How many routes fell into a category of providers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CategoryDecisions {
    /// The category, for example `vector_db`.
    pub category: Option<String>,
    /// Routes answered.
    pub decisions: Option<u64>,
    /// Those that recommended a provider with a paid listing.
    pub decisions_to_listed: Option<u64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for CategoryDecisions {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            category: fields.take("category"),
            decisions: fields.take("decisions"),
            decisions_to_listed: fields.take("decisions_to_listed"),
            extra: fields.rest(),
        })
    }
}
