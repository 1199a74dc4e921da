//! How much each component counts, by workload and filter complexity.

use crate::validate::{Filter, Workload};

/// Shares that sum to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weights {
    pub(crate) success: f64,
    pub(crate) latency: f64,
    pub(crate) cost: f64,
    pub(crate) reliability: f64,
}

impl Weights {
    pub(crate) fn of(workload: Workload, filter: Filter) -> Self {
        let (mut success, mut latency, mut cost, reliability) = (0.4, 0.3, 0.2, 0.1);
        match workload {
            Workload::InsertHeavy => {
                latency *= 1.35;
                cost *= 0.9;
                success *= 0.95;
            }
            Workload::QueryHeavy => {
                latency *= 0.92;
                cost *= 1.12;
                success *= 1.02;
            }
            Workload::Hybrid => {}
        }
        match filter {
            Filter::Low => cost *= 1.08,
            Filter::Medium => {}
            Filter::High => {
                latency *= 1.15;
                success *= 1.05;
            }
        }
        // The order of this sum decides the last digit: 0.4 becomes 0.4000000000000001 even where nothing was changed.
        let sum: f64 = success + latency + cost + reliability;
        Weights {
            success: success / sum,
            latency: latency / sum,
            cost: cost / sum,
            reliability: reliability / sum,
        }
    }
}
