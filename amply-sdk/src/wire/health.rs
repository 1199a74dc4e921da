//! What `GET /health` answers.

use super::fields::{Fields, FromFields};
use super::json::{Extra, FromJson, Part};

/// How the providers are, by probes every five minutes (API documentation, `GET /health`). It needs a key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// Whether the service answers.
    pub ok: Option<bool>,
    /// The providers, in the catalog's order.
    pub providers: Vec<ProviderHealth>,
    /// When this was put together, RFC 3339 UTC.
    pub as_of: Option<String>,
    /// The id of this request.
    pub request_id: Option<String>,
    /// Milliseconds of work on the server.
    pub compute_ms: Option<u64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for Health {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            ok: fields.take("ok"),
            providers: fields.take("providers").unwrap_or_default(),
            as_of: fields.take_guess("as_of"),
            request_id: fields.take("request_id"),
            compute_ms: fields.take("compute_ms"),
            extra: fields.rest(),
        })
    }
}

/// How one provider is.
// [our] the documentation names the endpoint and not these fields
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProviderHealth {
    /// The provider's id, as routes name it.
    pub id: Option<String>,
    /// How it is.
    pub state: Option<HealthState>,
    /// When it was last probed, RFC 3339 UTC.
    pub last_probe_at: Option<String>,
    /// How long the probe took, in ms.
    pub latency_ms: Option<f64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for ProviderHealth {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            id: fields.take_either("id", "provider_id"),
            state: fields.take_either("state", "status"),
            last_probe_at: fields.take("last_probe_at"),
            latency_ms: fields.take("latency_ms"),
            extra: fields.rest(),
        })
    }
}

/// How a provider is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HealthState {
    /// It answers as it should.
    Healthy,
    /// It answers, but slowly or not always.
    Degraded,
    /// It does not answer.
    Down,
    /// A word that has no name here.
    Other(String),
}

impl HealthState {
    /// The server's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Other(word) => word,
        }
    }
}

impl FromJson for HealthState {
    fn from_json(part: Part<'_>) -> Option<Self> {
        Some(match String::from_json(part)? {
            word if word == "healthy" => Self::Healthy,
            word if word == "degraded" => Self::Degraded,
            word if word == "down" => Self::Down,
            word => Self::Other(word),
        })
    }
}
