//! Which providers are out of the question: beyond a limit that a request sets.

use super::Scored;
use crate::validate::Limits;

/// A provider that is beyond a limit, and which.
#[derive(Clone, Debug)]
pub(crate) struct FilteredOut<'a> {
    pub(crate) scored: Scored<'a>,
    /// Never empty.
    pub(crate) reasons: Vec<&'static str>,
}

// [our] the words; the documentation has a list of reasons and no more.
const TOO_DEAR: &str = "cost_above_budget_usd_per_1m_ops";
const TOO_SLOW: &str = "p99_latency_above_slo_p99_ms";

/// Parts `scored` in two, each in the order it had. A provider right at a limit keeps it.
pub(super) fn apply<'a>(scored: &[Scored<'a>], limits: &Limits) -> (Vec<Scored<'a>>, Vec<FilteredOut<'a>>) {
    let (mut within, mut beyond) = (Vec::new(), Vec::new());
    for scored in scored {
        // [our] an operation is taken to cost what the catalog has for a dimension: there is no other price.
        let too_dear = is_beyond(scored.provider.cost_per_1m_dims_usd, limits.budget_usd_per_1m_ops);
        let too_slow = is_beyond(scored.provider.p99_latency_ms, limits.slo_p99_ms);
        let reasons: Vec<_> =
            [too_dear.then_some(TOO_DEAR), too_slow.then_some(TOO_SLOW)].into_iter().flatten().collect();
        if reasons.is_empty() {
            within.push(*scored);
        } else {
            beyond.push(FilteredOut { scored: *scored, reasons });
        }
    }
    (within, beyond)
}

fn is_beyond(value: f64, limit: Option<f64>) -> bool {
    limit.is_some_and(|limit| value > limit)
}
