//! How an outcome is reported, and what the server answers.

use serde::Serialize;

use super::fields::{Fields, FromFields};
use super::json::Extra;

/// The body of `POST /outcome`.
#[derive(Serialize)]
pub(crate) struct OutcomeBody<'a> {
    pub(crate) route_id: &'a str,
    pub(crate) success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actual_latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<&'a str>,
}

/// The body of `POST /route/outcome`, the older endpoint.
#[derive(Serialize)]
pub(crate) struct RouteOutcomeBody<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) provider_id: &'a str,
    // [our] the words: `success`, `failure`, `timeout`, `error`
    pub(crate) outcome: &'a str,
}

/// What a server answers to a report (API documentation, `POST /outcome`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutcomeReceipt {
    /// Whether the report was taken.
    pub received: Option<bool>,
    /// How many credits its sender got for it.
    pub credits_awarded: Option<u64>,
    /// Whether the route had been reported before.
    pub duplicate: Option<bool>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for OutcomeReceipt {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            received: fields.take("received"),
            credits_awarded: fields.take("credits_awarded"),
            // [our] the documentation has no word for a report that comes again
            duplicate: fields.take("duplicate"),
            extra: fields.rest(),
        })
    }
}
