//! The providers that are scored, with the figures that the score is made of.
//!
//! A [`Catalog`] always has at least one provider, and every figure in it is finite and within its range.

mod default;
mod error;
mod read;

use serde_json::value::RawValue;

pub use error::CatalogError;

/// What the sandbox knows of vector database providers.
///
/// [`Catalog::default`] is the one that release 3.1.12 falls back to when it has no database: Qdrant, Pinecone, Weaviate,
/// Chroma and Supabase. [`Catalog::from_json`] reads another.
#[derive(Clone, Debug)]
pub struct Catalog {
    providers: Vec<Provider>,
    source: String,
    backend: String,
    freshness: Box<RawValue>,
}

/// One provider. Shares are 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) display_name: String,
    pub(crate) p99_latency_ms: f64,
    pub(crate) cost_per_1m_dims_usd: f64,
    pub(crate) success_rate_last_24h: f64,
    pub(crate) success_rate_last_7d: f64,
    pub(crate) win_rate: f64,
    pub(crate) revenue_captured_usd: Option<f64>,
    pub(crate) missed_opportunity_usd: Option<f64>,
    pub(crate) listing: String,
    pub(crate) placement_disclosure: String,
}

impl Provider {
    /// Whether the provider pays for its place in the catalog, which has no part in its score.
    pub(crate) fn is_listed(&self) -> bool {
        self.listing != ORGANIC
    }
}

const ORGANIC: &str = "organic";

/// What the server says of a listing that the catalog says nothing about.
fn disclosure_of(listing: &str) -> &'static str {
    if listing == ORGANIC {
        "Metrics only; no paid placement."
    } else {
        "Paid catalog placement. Routing scores still use the same published metrics."
    }
}

impl Catalog {
    /// Reads a catalog from JSON.
    ///
    /// An object with a list `providers`; unknown fields are ignored. Per provider:
    ///
    /// | field | value | |
    /// | --- | --- | --- |
    /// | `id` | text | required, unique |
    /// | `display_name` | text | default: the `id` |
    /// | `p99_latency_ms` | milliseconds, at least 0 | required |
    /// | `cost_per_1m_dims_usd` | USD per million dimensions, at least 0 | required |
    /// | `success_rate_last_24h`, `success_rate_last_7d`, `win_rate` | share from 0 to 1 | required |
    /// | `revenue_captured_usd`, `missed_opportunity_usd` | USD or null | default null |
    /// | `catalog_listing` | `organic`, or the name of a paid tier | default `organic` |
    /// | `placement_disclosure` | text | default: the server's own words for the listing |
    ///
    /// Beside `providers`: `version` (1), `catalog_source` (text, default `seed`; any other is a live catalog),
    /// `catalog_backend` (text, default `none`), `catalog_freshness` (any JSON, default null). They come back in answers.
    ///
    /// Of two providers with equal scores the earlier one wins, so the order of the file counts. Ids that are whole numbers
    /// come first, in ascending order, as on the server, which keeps its providers in a JavaScript object. A server with a
    /// database has its rows ordered by id.
    ///
    /// # Errors
    /// [`CatalogError`] says what is wrong and with which provider.
    ///
    /// ```
    /// use amply_sandbox::Catalog;
    ///
    /// let error = Catalog::from_json(r#"{"providers": [{"id": "mine", "p99_latency_ms": "fast"}]}"#).unwrap_err();
    /// assert_eq!(error.to_string(), "provider 1 (`mine`): `p99_latency_ms` must be a number, 0 or more, not \"fast\"");
    /// ```
    pub fn from_json(text: &str) -> Result<Self, CatalogError> {
        read::catalog(text)
    }

    pub(crate) fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// `seed` for the built-in kind, else the name of the database it stands for.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether the catalog stands for one in a database.
    pub(crate) fn is_live(&self) -> bool {
        self.source != SEED
    }

    pub(crate) fn backend(&self) -> &str {
        &self.backend
    }

    /// Whether there is a database behind the server, though it may be empty or down.
    pub(crate) fn has_backend(&self) -> bool {
        self.backend != NO_BACKEND
    }

    /// Null, a text or an object: data for the caller.
    pub(crate) fn freshness(&self) -> &RawValue {
        &self.freshness
    }
}

const SEED: &str = "seed";
const NO_BACKEND: &str = "none";

#[cfg(test)]
mod tests;
