//! The answer of `POST /route`: what release 3.1.12 was recorded to send. What 3.1.13 adds is in `additions`.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{additions::Additions, execute::ExecutionBody};
use crate::{
    catalog::{Catalog, Provider},
    endpoint::measured::Measured,
    js::{JsNumber, round_to},
    scoring::{Components, Recommendation, Scored, Weights},
    validate::RouteInput,
};

// The order of these fields is the order on the wire.

#[derive(Serialize)]
pub(super) struct RouteBody<'a> {
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
    #[serde(flatten)]
    additions: Option<Additions<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution: Option<ExecutionBody<'a>>,
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
    #[serde(flatten)]
    measured: Option<Measured>,
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
pub(super) struct ComponentsBody {
    success: JsNumber,
    latency: JsNumber,
    cost: JsNumber,
    reliability: JsNumber,
}

/// Weights as they are sent: not rounded.
#[derive(Serialize)]
pub(in crate::endpoint) struct WeightsBody {
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
    pub(super) fn of(
        catalog: &'a Catalog,
        input: &RouteInput,
        answer: &'a Recommendation<'a>,
        request_id: &'a str,
        compute_ms: u64,
        additions: Option<Additions<'a>>,
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
                measured: additions.is_some().then(|| Measured::of(catalog)),
            },
            request_id,
            compute_ms,
            additions,
            execution: None,
        }
    }

    pub(super) fn with(self, execution: Option<ExecutionBody<'a>>) -> Self {
        RouteBody { execution, ..self }
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

pub(super) fn components(components: &Components) -> ComponentsBody {
    ComponentsBody {
        success: four_decimals(components.success),
        latency: four_decimals(components.latency),
        cost: four_decimals(components.cost),
        reliability: four_decimals(components.reliability),
    }
}

/// How scores are sent.
pub(in crate::endpoint) fn four_decimals(x: f64) -> JsNumber {
    JsNumber(round_to(x, 1e4))
}
