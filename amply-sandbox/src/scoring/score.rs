//! The composite score of each provider.

use super::Weights;
use crate::{catalog::Provider, validate::RouteInput};

/// A provider with its score.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scored<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) composite: f64,
    pub(crate) components: Components,
}

/// Each 0 to 1, more is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Components {
    pub(crate) success: f64,
    pub(crate) latency: f64,
    pub(crate) cost: f64,
    pub(crate) reliability: f64,
}

/// Scores all of `providers`, in their order. How the catalog lists a provider plays no part.
pub(crate) fn score_all<'a>(
    providers: &'a [Provider],
    weights: &Weights,
    input: &RouteInput,
) -> Vec<Scored<'a>> {
    let latencies = Span::of(providers.iter().map(|provider| provider.p99_latency_ms));
    let costs = Span::of(providers.iter().map(|provider| provider.cost_per_1m_dims_usd));
    providers
        .iter()
        .map(|provider| {
            let components = Components {
                success: provider.success_rate_last_24h,
                latency: latencies.lower_is_better(provider.p99_latency_ms)
                    * penalty(provider.p99_latency_ms, 3.0, input.latency_target_ms, 0.9),
                cost: costs.lower_is_better(provider.cost_per_1m_dims_usd)
                    * penalty(provider.cost_per_1m_dims_usd, 50.0, input.budget_usd, 0.85),
                reliability: provider.win_rate,
            };
            Scored { provider, composite: composite(weights, &components), components }
        })
        .collect()
}

fn composite(weights: &Weights, components: &Components) -> f64 {
    // In this order: addition of doubles is not associative, and ties are broken by the last bit.
    weights.success * components.success
        + weights.latency * components.latency
        + weights.cost * components.cost
        + weights.reliability * components.reliability
}

/// `factor` for a value beyond `times` the limit, else 1. A limit of 0 is no limit.
fn penalty(value: f64, times: f64, limit: f64, factor: f64) -> f64 {
    if limit > 0.0 && value > times * limit { factor } else { 1.0 }
}

/// The range of one figure over the whole catalog.
struct Span {
    min: f64,
    max: f64,
}

impl Span {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let start = Span { min: f64::INFINITY, max: f64::NEG_INFINITY };
        values.fold(start, |span, value| Span { min: span.min.min(value), max: span.max.max(value) })
    }

    fn lower_is_better(&self, value: f64) -> f64 {
        if self.max > self.min { (self.max - value) / (self.max - self.min) } else { 1.0 }
    }
}
