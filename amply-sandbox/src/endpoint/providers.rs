//! `GET /providers`: the catalog, each provider with the score it has when a request says nothing but its task.

use axum::{body::Body, extract::State, http::Response, http::StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    measured::Measured,
    reply::{self, PUBLIC},
    route::{WeightsBody, four_decimals},
};
use crate::{
    js::JsNumber,
    scoring::{Scored, Weights, score_all},
    state::Shared,
    validate::RouteInput,
};

pub(super) async fn get(State(state): State<Shared>) -> Response<Body> {
    let input = RouteInput::of_task("");
    let weights = Weights::of(input.workload, input.filter);
    let scored = score_all(state.catalog.providers(), &weights, &input);
    let body = ProvidersBody {
        providers: scored.iter().map(listed).collect(),
        default_scoring_weights: weights.into(),
        catalog_freshness: state.catalog.freshness(),
        measured: state.settings.release.is_documented().then(|| Measured::of(&state.catalog)),
    };
    reply::json(StatusCode::OK, PUBLIC, &body)
}

#[derive(Serialize)]
struct ProvidersBody<'a> {
    providers: Vec<ProviderBody<'a>>,
    default_scoring_weights: WeightsBody,
    catalog_freshness: &'a RawValue,
    #[serde(flatten)]
    measured: Option<Measured>,
}

#[derive(Serialize)]
struct ProviderBody<'a> {
    id: &'a str,
    display_name: &'a str,
    p99_latency_ms: JsNumber,
    cost_per_1m_dims_usd: JsNumber,
    success_rate_last_24h: JsNumber,
    success_rate_last_7d: JsNumber,
    win_rate: JsNumber,
    catalog_listing: &'a str,
    placement_disclosure: &'a str,
    live_composite_score: JsNumber,
}

fn listed<'a>(scored: &Scored<'a>) -> ProviderBody<'a> {
    let provider = scored.provider;
    ProviderBody {
        id: &provider.id,
        display_name: &provider.display_name,
        p99_latency_ms: JsNumber(provider.p99_latency_ms),
        cost_per_1m_dims_usd: JsNumber(provider.cost_per_1m_dims_usd),
        success_rate_last_24h: JsNumber(provider.success_rate_last_24h),
        success_rate_last_7d: JsNumber(provider.success_rate_last_7d),
        win_rate: JsNumber(provider.win_rate),
        catalog_listing: &provider.listing,
        placement_disclosure: &provider.placement_disclosure,
        live_composite_score: four_decimals(scored.composite),
    }
}
