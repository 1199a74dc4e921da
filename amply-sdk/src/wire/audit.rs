//! What `GET /route/audit` answers.

use super::fields::{Fields, FromFields};
use super::json::Extra;
use crate::money::Usd;

/// What the server knows of a route, with a proof that it is what it was (API documentation, `GET /route/audit`).
///
/// The documentation says that there is a bundle and a proof hash; the names within are as a server was seen to send them,
/// so every field may be missing, and the whole text is in [`Answer::text`](crate::Answer::text).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Audit {
    /// Whether there is such a route.
    pub ok: Option<bool>,
    /// The id of the route.
    pub route_id: Option<String>,
    /// What was recommended, and what it cost.
    pub route: Option<AuditedRoute>,
    /// How it was reported to have gone; `None` until it was reported.
    pub outcome: Option<AuditedOutcome>,
    /// What proves the rest.
    pub proof: Option<AuditProof>,
    /// Fields that have no name here.
    pub extra: Extra,
}

/// A route as it is kept for an audit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AuditedRoute {
    /// Whose route it was.
    pub principal_id: Option<String>,
    /// The id of the provider that was recommended.
    pub recommended: Option<String>,
    /// Its composite score, 0 to 1.
    pub score: Option<f64>,
    /// What the route cost, in USD.
    pub charged_usd: Option<Usd>,
    /// When it was answered: RFC 3339, UTC.
    pub served_at: Option<String>,
    /// Fields that have no name here, among them the hash of the task.
    pub extra: Extra,
}

/// How a route was reported to have gone.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AuditedOutcome {
    /// The provider that did the task.
    pub provider_id: Option<String>,
    /// Whether the task was done.
    pub success: Option<bool>,
    /// How long it took there, in ms.
    pub actual_latency_ms: Option<f64>,
    /// The kind of error.
    pub error_code: Option<String>,
    /// How many credits the report brought.
    pub credits_awarded: Option<u64>,
    /// When it was reported: RFC 3339, UTC.
    pub reported_at: Option<String>,
    /// Fields that have no name here.
    pub extra: Extra,
}

/// What proves an audit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AuditProof {
    /// The hash function.
    pub algorithm: Option<String>,
    /// The hash, in hexadecimal digits.
    pub hash: Option<String>,
    /// What is hashed, in the server's words.
    pub over: Option<String>,
    /// Fields that have no name here.
    pub extra: Extra,
}

// [our] every name below, but for the id's
impl FromFields for Audit {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            ok: fields.take("ok"),
            route_id: fields.take("request_id"),
            route: fields.take("route"),
            outcome: fields.take("outcome"),
            proof: fields.take("proof"),
            extra: fields.rest(),
        })
    }
}

impl FromFields for AuditedRoute {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            principal_id: fields.take("principal_id"),
            recommended: fields.take("recommended"),
            score: fields.take("score"),
            charged_usd: fields.take("charged_usd"),
            served_at: fields.take("served_at"),
            extra: fields.rest(),
        })
    }
}

impl FromFields for AuditedOutcome {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            provider_id: fields.take("provider_id"),
            success: fields.take("success"),
            actual_latency_ms: fields.take("actual_latency_ms"),
            error_code: fields.take("error_code"),
            credits_awarded: fields.take("credits_awarded"),
            reported_at: fields.take("reported_at"),
            extra: fields.rest(),
        })
    }
}

impl FromFields for AuditProof {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            algorithm: fields.take("algorithm"),
            hash: fields.take("hash"),
            over: fields.take("over"),
            extra: fields.rest(),
        })
    }
}
