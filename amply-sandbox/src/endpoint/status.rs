//! `GET /status`: what kind of server this is, and how its catalog is.

mod additions;

use axum::{body::Body, extract::State, http::Response, http::StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use self::additions::{Additions, DiagnosticsAdditions};
use super::{
    manifest::RateLimit,
    measured::measured_at,
    reply::{self, PUBLIC, Stamp},
};
use crate::{
    clock::Timestamp,
    js::{JsNumber, round_to},
    state::{self, Shared},
};

const STALE_AFTER_HOURS: f64 = 24.0;

pub(super) async fn get(State(state): State<Shared>) -> Response<Body> {
    let stamp = Stamp::new(&state);
    let documented = state.settings.release.is_documented();
    let now = state.control.clock().now();
    let compute_ms = stamp.compute_ms();
    let body = StatusBody {
        ok: true,
        service: "amply",
        version: state.settings.release.version(),
        // [our] always seen on a quarter of an hour.
        last_benchmark_at: now.whole_minutes(15).to_seconds_text(),
        data_mode: if state.catalog.is_live() { "catalog" } else { "seeded" },
        catalog_freshness: state.catalog.freshness(),
        auth_mode: state.settings.auth_mode(),
        rate_limit: RateLimit::of(&state.settings),
        openapi_url: "/api/v1/openapi",
        request_id: &stamp.request_id,
        compute_ms,
        diagnostics: Diagnostics::of(&state, now),
        additions: documented.then(|| Additions::of(&state, now)),
    };
    stamp.on(compute_ms, reply::json(StatusCode::OK, PUBLIC, &body))
}

// The order of these fields is the order on the wire.

#[derive(Serialize)]
struct StatusBody<'a> {
    ok: bool,
    service: &'a str,
    version: &'a str,
    last_benchmark_at: String,
    data_mode: &'a str,
    catalog_freshness: &'a RawValue,
    auth_mode: &'a str,
    rate_limit: RateLimit,
    openapi_url: &'a str,
    request_id: &'a str,
    compute_ms: u64,
    diagnostics: Diagnostics<'a>,
    #[serde(flatten)]
    additions: Option<Additions>,
}

#[derive(Serialize)]
struct Diagnostics<'a> {
    has_supabase_url: bool,
    has_service_role_key: bool,
    has_database_url: bool,
    catalog_backend: &'a str,
    catalog_issue: Option<&'a str>,
    catalog_error_code: Option<&'a str>,
    catalog_metrics_age_hours: Option<JsNumber>,
    catalog_metrics_stale: bool,
    catalog_metrics_stale_after_hours: JsNumber,
    user_api_keys_store_ready: bool,
    route_auth_production_strict: bool,
    allow_anonymous_route_env: bool,
    amply_catalog_cache_ms: u32,
    #[serde(flatten)]
    additions: Option<DiagnosticsAdditions>,
}

impl<'a> Diagnostics<'a> {
    fn of(state: &'a state::State, now: Timestamp) -> Self {
        let (catalog, settings) = (&state.catalog, &state.settings);
        let has_backend = catalog.has_backend();
        let age_hours = age_hours(measured_at(catalog), now);
        Diagnostics {
            has_supabase_url: has_backend,
            has_service_role_key: has_backend,
            has_database_url: has_backend,
            catalog_backend: catalog.backend(),
            catalog_issue: match (catalog.is_live(), has_backend) {
                (true, _) => None,
                // [our] a database that gave nothing may also have been down; an empty one needs no error code.
                (false, true) => Some("empty_table"),
                (false, false) => Some("no_admin_client"),
            },
            catalog_error_code: None,
            catalog_metrics_age_hours: age_hours.map(JsNumber),
            catalog_metrics_stale: age_hours.is_some_and(|hours| hours > STALE_AFTER_HOURS),
            catalog_metrics_stale_after_hours: JsNumber(STALE_AFTER_HOURS),
            // The sandbox knows its user key with or without a database behind the catalog.
            user_api_keys_store_ready: true,
            route_auth_production_strict: settings.require_api_key,
            allow_anonymous_route_env: false,
            amply_catalog_cache_ms: 20_000,
            additions: settings.release.is_documented().then(|| DiagnosticsAdditions::of(state, now)),
        }
    }
}

/// Hours since the metrics were taken, one decimal; `None` when the catalog does not say.
fn age_hours(taken_at: Option<Timestamp>, now: Timestamp) -> Option<f64> {
    let hours = now.0.saturating_sub(taken_at?.0) as f64 / 3_600_000.0;
    // [our] metrics from the future are fresh.
    Some(round_to(hours, 10.0).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn age(freshness: &str, now: &str) -> Option<f64> {
        let catalog = format!(
            r#"{{"providers":[{{"id":"a","p99_latency_ms":1,"cost_per_1m_dims_usd":1,"success_rate_last_24h":1,"success_rate_last_7d":1,"win_rate":1}}],"catalog_freshness":{freshness}}}"#
        );
        age_hours(measured_at(&Catalog::from_json(&catalog).unwrap()), Timestamp::parse(now).unwrap())
    }

    #[test]
    fn the_age_of_the_metrics_is_that_of_the_recordings() {
        let recorded =
            r#"{"metrics_as_of":"2026-11-22T11:39:46.581Z","row_updated_at":"2026-11-23T17:59:24.200Z"}"#;
        assert_eq!(age(recorded, "2026-11-23T17:59:46.600Z"), Some(30.3));
        assert_eq!(age(r#""2026-11-23T17:59:24.200Z""#, "2026-11-23T17:59:46.600Z"), Some(0.0));
        assert_eq!(age(r#""2026-11-23T17:59:24.200Z""#, "2026-11-01T00:00:00.000Z"), Some(0.0));
        for unknown in ["null", "{}", "5", r#""yesterday""#] {
            assert_eq!(age(unknown, "2026-11-23T17:59:46.600Z"), None, "{unknown}");
        }
    }
}
