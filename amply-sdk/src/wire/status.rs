//! What `GET /status` answers.

use serde_json::Value;

use super::agent::AgentSignup;
use super::fields::{Fields, FromFields};
use super::json::{Extra, FromJson, Part};

/// How a server is set up and how it is (API documentation, `GET /status`).
///
/// `ok` alone does not say that the catalog is live: see [`data_mode`](Self::data_mode) and
/// [`Diagnostics::catalog_issue`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// Whether the service answers.
    pub ok: Option<bool>,
    /// The service's name.
    pub service: Option<String>,
    /// The server's release, for example `3.1.12`.
    pub version: Option<String>,
    /// Whether calls need a key.
    pub auth_mode: Option<AuthMode>,
    /// Whether the live catalog is ranked, or the built-in one.
    pub data_mode: Option<DataMode>,
    /// The limit on requests per address.
    pub rate_limit: Option<RateLimit>,
    /// How old the catalog is: null, text or an object, as the server has it.
    pub catalog_freshness: Option<Value>,
    /// Where the OpenAPI document is.
    pub openapi_url: Option<String>,
    /// When providers were last measured, RFC 3339 UTC.
    pub last_benchmark_at: Option<String>,
    /// The id of this request.
    pub request_id: Option<String>,
    /// Milliseconds of work on the server.
    pub compute_ms: Option<u64>,
    /// The server's view of itself.
    pub diagnostics: Option<Diagnostics>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for Status {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            ok: fields.take("ok"),
            service: fields.take("service"),
            version: fields.take("version"),
            auth_mode: fields.take("auth_mode"),
            data_mode: fields.take("data_mode"),
            rate_limit: fields.take("rate_limit"),
            catalog_freshness: fields.take("catalog_freshness"),
            openapi_url: fields.take("openapi_url"),
            last_benchmark_at: fields.take("last_benchmark_at"),
            request_id: fields.take("request_id"),
            compute_ms: fields.take("compute_ms"),
            diagnostics: fields.take("diagnostics"),
            extra: fields.rest(),
        })
    }
}

/// Whether calls need a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthMode {
    /// No key is needed (`none`).
    Open,
    /// A key is needed.
    ApiKey,
    /// A word that has no name here.
    Other(String),
}

impl AuthMode {
    /// The server's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Open => "none",
            Self::ApiKey => "api_key",
            Self::Other(word) => word,
        }
    }
}

impl FromJson for AuthMode {
    fn from_json(part: Part<'_>) -> Option<Self> {
        Some(match String::from_json(part)? {
            word if word == "none" => Self::Open,
            word if word == "api_key" => Self::ApiKey,
            word => Self::Other(word),
        })
    }
}

/// Which catalog a server ranks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataMode {
    /// The live catalog.
    Catalog,
    /// The catalog that the server has built in.
    Seeded,
    /// A word that has no name here.
    Other(String),
}

impl DataMode {
    /// The server's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Catalog => "catalog",
            Self::Seeded => "seeded",
            Self::Other(word) => word,
        }
    }
}

impl FromJson for DataMode {
    fn from_json(part: Part<'_>) -> Option<Self> {
        Some(match String::from_json(part)? {
            word if word == "catalog" => Self::Catalog,
            word if word == "seeded" => Self::Seeded,
            word => Self::Other(word),
        })
    }
}

/// The limit on requests per address.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RateLimit {
    /// Whether there is one.
    pub enabled: Option<bool>,
    /// Requests a minute for one IP address.
    pub requests_per_minute_per_ip: Option<u64>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for RateLimit {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            enabled: fields.take("enabled"),
            requests_per_minute_per_ip: fields.take("requests_per_minute_per_ip"),
            extra: fields.rest(),
        })
    }
}

/// A server's view of itself; most of it only on some servers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Diagnostics {
    /// The database behind the catalog; `none` without one.
    pub catalog_backend: Option<String>,
    /// Why the live catalog is not used, for example `query_failed`.
    pub catalog_issue: Option<String>,
    /// The database's words for it.
    pub catalog_error_code: Option<String>,
    /// The age of the catalog's metrics, in hours.
    pub catalog_metrics_age_hours: Option<f64>,
    /// Whether they are older than the server thinks right.
    pub catalog_metrics_stale: Option<bool>,
    /// Whether keys of users can be checked.
    pub user_api_keys_store_ready: Option<bool>,
    /// Whether a route needs a key that binds a principal.
    pub route_requires_principal_bound: Option<bool>,
    /// How many calls came without a principal, and more.
    pub principal_binding: Option<Value>,
    /// Whether and how an agent may sign up.
    pub agent_signup: Option<AgentSignup>,
    /// Fields that have no name here.
    pub extra: Extra,
}

impl FromFields for Diagnostics {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            catalog_backend: fields.take("catalog_backend"),
            catalog_issue: fields.take("catalog_issue"),
            catalog_error_code: fields.take("catalog_error_code"),
            catalog_metrics_age_hours: fields.take("catalog_metrics_age_hours"),
            catalog_metrics_stale: fields.take("catalog_metrics_stale"),
            user_api_keys_store_ready: fields.take("user_api_keys_store_ready"),
            route_requires_principal_bound: fields.take("route_requires_principal_bound"),
            principal_binding: fields.take("principal_binding"),
            agent_signup: fields.take("agent_signup"),
            extra: fields.rest(),
        })
    }
}
