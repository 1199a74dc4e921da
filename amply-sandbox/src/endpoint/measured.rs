//! Where figures come from and when they were taken: what 3.1.13 adds to `/providers` and to `raw_metrics`.

use serde::Serialize;

use crate::{catalog::Catalog, clock::Timestamp};

#[derive(Serialize)]
pub(super) struct Measured {
    metrics_source: &'static str,
    /// RFC 3339; null when the catalog does not say.
    measured_at: Option<String>,
}

impl Measured {
    pub(super) fn of(catalog: &Catalog) -> Self {
        Measured {
            // [our] the words.
            metrics_source: if catalog.is_live() { "catalog" } else { "seed" },
            measured_at: measured_at(catalog).map(Timestamp::to_millis_text),
        }
    }
}

/// When the figures of the catalog were taken, if it says so in a form that is known.
pub(super) fn measured_at(catalog: &Catalog) -> Option<Timestamp> {
    let freshness: serde_json::Value = serde_json::from_str(catalog.freshness().get()).ok()?;
    Timestamp::parse(freshness.get("metrics_as_of").unwrap_or(&freshness).as_str()?)
}
