//! `POST /route`: which provider should run a task.

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode},
};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    exchange::ReceivedBody,
    reply::{self, KEYED, Stamp},
};
use crate::{
    auth,
    catalog::{Catalog, Provider},
    js::{JsNumber, round_to},
    scoring::{self, Components, Recommendation, Scored, Weights},
    state::Shared,
    validate::{self, Refusal, RouteInput},
};

pub(super) async fn post(
    State(state): State<Shared>,
    headers: HeaderMap,
    Extension(body): Extension<ReceivedBody>,
) -> Response<Body> {
    let stamp = Stamp::new(&state);
    // Before the body is looked at: a caller without a key learns nothing about its mistakes.
    if let Err(detail) = auth::check(&headers, &state.keys, state.settings.require_api_key) {
        return stamp.error(StatusCode::UNAUTHORIZED, KEYED, detail);
    }
    let ReceivedBody::Whole(body) = body else {
        return stamp.error(StatusCode::PAYLOAD_TOO_LARGE, KEYED, "Request body too large");
    };
    let input = match validate::route_input(&body) {
        Ok(input) => input,
        Err(Refusal::Detail(detail)) => return stamp.error(StatusCode::BAD_REQUEST, KEYED, detail),
        Err(Refusal::Null) => return reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let Some(answer) = scoring::recommend(&state.catalog, &input) else {
        return reply::empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    state.decisions.count(answer.best.provider.is_listed());

    let compute_ms = stamp.compute_ms();
    let body = RouteBody::of(&state.catalog, &input, &answer, &stamp.request_id, compute_ms);
    stamp.on(compute_ms, reply::json(StatusCode::OK, KEYED, &body))
}

// The order of these fields is the order on the wire.

#[derive(Serialize)]
struct RouteBody<'a> {
    recommended: &'a str,
    score: JsNumber,
    estimated_cost_usd: JsNumber,
    expected_p99_latency_ms: JsNumber,
    success_rate_last_24h: JsNumber,
    success_rate_last_7d: JsNumber,
    why: &'a str,
    raw_metrics: RawMetrics<'a>,
    request_id: &'a str,
    compute_ms: u64,
}

#[derive(Serialize)]
struct RawMetrics<'a> {
    /// In the order of the catalog, which is not the ranking.
    all_providers: IndexMap<&'a str, ProviderMetrics>,
    weights: WeightsBody,
    dim_units_estimate: JsNumber,
    cost_quote_dim_units: JsNumber,
    budget_usd: JsNumber,
    latency_target_ms: JsNumber,
    catalog_source: &'a str,
    catalog_backend: &'a str,
    catalog_freshness: &'a RawValue,
}

#[derive(Serialize)]
struct ProviderMetrics {
    composite_score: JsNumber,
    components: ComponentsBody,
    p99_latency_ms: JsNumber,
    cost_per_1m_dims_usd: JsNumber,
    success_rate_last_24h: JsNumber,
    success_rate_last_7d: JsNumber,
    win_rate: JsNumber,
    revenue_captured_usd: Option<JsNumber>,
    missed_opportunity_usd: Option<JsNumber>,
}

#[derive(Serialize)]
struct ComponentsBody {
    success: JsNumber,
    latency: JsNumber,
    cost: JsNumber,
    reliability: JsNumber,
}

/// Weights as they are sent: not rounded.
#[derive(Serialize)]
pub(super) struct WeightsBody {
    success: JsNumber,
    latency: JsNumber,
    cost: JsNumber,
    reliability: JsNumber,
}

impl From<Weights> for WeightsBody {
    fn from(weights: Weights) -> Self {
        WeightsBody {
            success: JsNumber(weights.success),
            latency: JsNumber(weights.latency),
            cost: JsNumber(weights.cost),
            reliability: JsNumber(weights.reliability),
        }
    }
}

impl<'a> RouteBody<'a> {
    fn of(
        catalog: &'a Catalog,
        input: &RouteInput,
        answer: &'a Recommendation<'a>,
        request_id: &'a str,
        compute_ms: u64,
    ) -> Self {
        let best: &Provider = answer.best.provider;
        RouteBody {
            recommended: &best.id,
            score: four_decimals(answer.best.composite),
            estimated_cost_usd: JsNumber(answer.estimated_cost_usd),
            // Cut off, not rounded: 12.99999 is sent as 12.
            expected_p99_latency_ms: JsNumber(best.p99_latency_ms.trunc()),
            success_rate_last_24h: JsNumber(best.success_rate_last_24h),
            success_rate_last_7d: JsNumber(best.success_rate_last_7d),
            why: &answer.why,
            raw_metrics: RawMetrics {
                all_providers: answer
                    .scored
                    .iter()
                    .map(|scored| (scored.provider.id.as_str(), metrics(scored)))
                    .collect(),
                weights: answer.weights.into(),
                dim_units_estimate: JsNumber(answer.dim_units_estimate),
                cost_quote_dim_units: JsNumber(answer.cost_quote_dim_units),
                budget_usd: JsNumber(input.budget_usd),
                latency_target_ms: JsNumber(input.latency_target_ms),
                catalog_source: catalog.source(),
                catalog_backend: catalog.backend(),
                catalog_freshness: catalog.freshness(),
            },
            request_id,
            compute_ms,
        }
    }
}

fn metrics(scored: &Scored<'_>) -> ProviderMetrics {
    let Provider { revenue_captured_usd, missed_opportunity_usd, .. } = *scored.provider;
    ProviderMetrics {
        composite_score: four_decimals(scored.composite),
        components: components(&scored.components),
        p99_latency_ms: JsNumber(scored.provider.p99_latency_ms),
        cost_per_1m_dims_usd: JsNumber(scored.provider.cost_per_1m_dims_usd),
        success_rate_last_24h: JsNumber(scored.provider.success_rate_last_24h),
        success_rate_last_7d: JsNumber(scored.provider.success_rate_last_7d),
        win_rate: JsNumber(scored.provider.win_rate),
        revenue_captured_usd: revenue_captured_usd.map(JsNumber),
        missed_opportunity_usd: missed_opportunity_usd.map(JsNumber),
    }
}

fn components(components: &Components) -> ComponentsBody {
    ComponentsBody {
        success: four_decimals(components.success),
        latency: four_decimals(components.latency),
        cost: four_decimals(components.cost),
        reliability: four_decimals(components.reliability),
    }
}

/// How scores are sent.
pub(super) fn four_decimals(x: f64) -> JsNumber {
    JsNumber(round_to(x, 1e4))
}
