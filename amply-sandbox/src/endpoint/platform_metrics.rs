//! `GET /platform-metrics`: how many routes were answered, and how many went to providers that pay for their listing.

use axum::{body::Body, extract::State, http::Response, http::StatusCode};
use serde::Serialize;

use super::reply::{self, PUBLIC, Stamp};
use crate::{
    js::{JsNumber, round_to},
    state::Shared,
};

const METHODOLOGY: &str = "Each count is one successful POST /api/v1/route response (HTTP 200). \"Listed\" decisions are those where the winning provider had a paid catalog tier (catalog_listing other than organic) at routing time. Category is taken from the live catalog row. Optional body.referral_tag on POST /api/v1/route stores an attribution token (e.g. campaign or ?ref=) for future breakdowns.";
/// The only one seen.
const CATEGORY: &str = "vector_db";

pub(super) async fn get(State(state): State<Shared>) -> Response<Body> {
    let stamp = Stamp::new(&state);
    let (decisions, to_listed) = state.decisions.so_far();
    let compute_ms = stamp.compute_ms();
    let category = Category { category: CATEGORY, decisions, decisions_to_listed: to_listed };
    let body = PlatformMetricsBody {
        ok: true,
        methodology: METHODOLOGY,
        methodology_url: &format!("{}{}/platform-metrics", state.origin, super::BASE),
        // A sandbox counts in memory and always can; a server without a database says false.
        telemetry_ready: true,
        decisions_last_7d: decisions,
        decisions_last_30d: decisions,
        decisions_to_listed_providers_last_30d: to_listed,
        pct_decisions_to_listed_providers_last_30d: percent(to_listed, decisions),
        by_category_last_30d: if decisions > 0 { vec![category] } else { Vec::new() },
        error_code: None,
        as_of: state.control.clock().now().to_millis_text(),
        request_id: &stamp.request_id,
        compute_ms,
    };
    stamp.on(compute_ms, reply::json(StatusCode::OK, PUBLIC, &body))
}

/// [our] null was seen for no decisions at all and 0 for none of two; one decimal is a guess.
fn percent(part: u64, whole: u64) -> Option<JsNumber> {
    (whole > 0).then(|| JsNumber(round_to(part as f64 / whole as f64 * 100.0, 10.0)))
}

// The order of these fields is the order on the wire.

#[derive(Serialize)]
struct PlatformMetricsBody<'a> {
    ok: bool,
    methodology: &'a str,
    methodology_url: &'a str,
    telemetry_ready: bool,
    decisions_last_7d: u64,
    decisions_last_30d: u64,
    decisions_to_listed_providers_last_30d: u64,
    pct_decisions_to_listed_providers_last_30d: Option<JsNumber>,
    by_category_last_30d: Vec<Category>,
    error_code: Option<&'a str>,
    as_of: String,
    request_id: &'a str,
    compute_ms: u64,
}

#[derive(Serialize)]
struct Category {
    category: &'static str,
    decisions: u64,
    decisions_to_listed: u64,
}
