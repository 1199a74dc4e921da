//! Which provider is recommended for a task, with which figures: the arithmetic of release 3.1.12, to the last digit.
//!
//! Pure: a catalog and a request in, a [`Recommendation`] out. Nothing here rounds for the wire but where the server does.

mod limits;
mod score;
mod vectors;
mod weights;
mod why;

pub(crate) use limits::FilteredOut;
pub(crate) use score::{Components, Scored, score_all};
pub(crate) use weights::Weights;

use crate::{catalog::Catalog, js, validate::RouteInput, validate::Workload};

const DEFAULT_DIMENSION: f64 = 1536.0;
/// A quote never covers more than this many units, whatever the task needs.
const QUOTED_UNITS_AT_MOST: f64 = 25_000.0;
const LEAST_COST_USD: f64 = 0.0001;

/// The answer to a route request, unrounded unless said otherwise.
#[derive(Debug)]
pub(crate) struct Recommendation<'a> {
    /// In the order of the catalog, not of the ranking.
    pub(crate) scored: Vec<Scored<'a>>,
    pub(crate) best: Scored<'a>,
    /// Those within the limits, the best first.
    pub(crate) ranked: Vec<Scored<'a>>,
    pub(crate) filtered_out: Vec<FilteredOut<'a>>,
    pub(crate) weights: Weights,
    pub(crate) why: String,
    /// USD, 6 decimals.
    pub(crate) estimated_cost_usd: f64,
    /// The same quote at the provider that costs most.
    pub(crate) baseline_cost_usd: f64,
    /// 2 decimals; infinite when the task names an absurd number.
    pub(crate) dim_units_estimate: f64,
    pub(crate) cost_quote_dim_units: f64,
}

/// Scores every provider of `catalog` and recommends the best within the limits of the request; `None` when there is none.
pub(crate) fn recommend<'a>(catalog: &'a Catalog, input: &RouteInput) -> Option<Recommendation<'a>> {
    let weights = Weights::of(input.workload, input.filter);
    let scored = score_all(catalog.providers(), &weights, input);

    // [our] a provider beyond a limit still counts for how the others score: the figures are those without a limit.
    let (mut ranked, filtered_out) = limits::apply(&scored, &input.limits);
    // Stable, and by the unrounded score: of two equals the earlier in the catalog wins.
    ranked.sort_by(|a, b| b.composite.total_cmp(&a.composite));
    let best = *ranked.first()?;
    let runner_up = ranked.get(1);

    let load = match input.workload {
        Workload::InsertHeavy => 1.1,
        Workload::QueryHeavy => 0.35,
        Workload::Hybrid => 0.65,
    };
    let units = vectors::count(&input.task) * input.dimension.unwrap_or(DEFAULT_DIMENSION) * load;
    let quoted = units.min(QUOTED_UNITS_AT_MOST);
    let cost_at = |per_1m: f64| js::round_to((quoted / 1_000_000.0 * per_1m).max(LEAST_COST_USD), 1e6);
    let dearest =
        catalog.providers().iter().map(|provider| provider.cost_per_1m_dims_usd).fold(0.0, f64::max);

    Some(Recommendation {
        why: why::sentence(input, best.provider, runner_up.map(|scored| scored.provider)),
        estimated_cost_usd: cost_at(best.provider.cost_per_1m_dims_usd),
        baseline_cost_usd: cost_at(dearest),
        dim_units_estimate: js::round_to(units, 100.0),
        cost_quote_dim_units: quoted,
        scored,
        best,
        ranked,
        filtered_out,
        weights,
    })
}

#[cfg(test)]
mod tests;
