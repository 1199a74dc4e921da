//! The sentence that says why a provider was recommended.

use crate::{
    catalog::Provider,
    js::{to_fixed_1, to_text},
    validate::{RouteInput, Workload},
};

/// What the figures are, then up to two things in which the runner-up is worse.
pub(crate) fn sentence(input: &RouteInput, best: &Provider, runner_up: Option<&Provider>) -> String {
    let dimension =
        input.dimension.map(|dimension| format!("{}-dim ", to_text(dimension))).unwrap_or_default();
    let workload = match input.workload {
        Workload::InsertHeavy => "insert-heavy",
        Workload::QueryHeavy => "query-heavy",
        Workload::Hybrid => "hybrid",
    };
    let figures = format!(
        "Top composite score for {dimension}{workload} vector workloads (p99 {} ms, ${}/1M dims, {}% success last 24h).",
        to_text(best.p99_latency_ms),
        to_text(best.cost_per_1m_dims_usd),
        percent(best.success_rate_last_24h),
    );
    let Some(runner_up) = runner_up else {
        return figures;
    };
    let worse = worse_in(best, runner_up);
    // It may have lost on its win rate, or by coming later in the catalog: the server then says nothing.
    if worse.is_empty() {
        return figures;
    }
    format!("{figures} vs runner-up {}: {}.", runner_up.display_name, worse.join("; "))
}

fn worse_in(best: &Provider, other: &Provider) -> Vec<String> {
    let latency = (other.p99_latency_ms > best.p99_latency_ms).then(|| {
        format!("slower p99 ({} ms vs {} ms)", to_text(other.p99_latency_ms), to_text(best.p99_latency_ms))
    });
    let cost = (other.cost_per_1m_dims_usd > best.cost_per_1m_dims_usd).then(|| {
        let (theirs, ours) = (to_text(other.cost_per_1m_dims_usd), to_text(best.cost_per_1m_dims_usd));
        format!("higher $/1M dims (${theirs} vs ${ours})")
    });
    let success = (other.success_rate_last_24h < best.success_rate_last_24h).then(|| {
        let (theirs, ours) = (percent(other.success_rate_last_24h), percent(best.success_rate_last_24h));
        format!("lower 24h success ({theirs}% vs {ours}%)")
    });
    [latency, cost, success].into_iter().flatten().take(2).collect()
}

fn percent(share: f64) -> String {
    to_fixed_1(share * 100.0)
}
