//! What the routes of a principal came to.

use super::{ReportedOutcome, Served};
use crate::money::NanoUsd;

/// Sums over routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Savings {
    pub(crate) routes: u64,
    pub(crate) reported: u64,
    /// Of those that were reported.
    pub(crate) successes: u64,
    pub(crate) charged: NanoUsd,
    pub(crate) estimated: NanoUsd,
    pub(crate) baseline: NanoUsd,
    pub(crate) credits: u64,
}

impl Savings {
    pub(super) fn add(&mut self, route: &Served, report: Option<&ReportedOutcome>) {
        self.routes += 1;
        self.charged = self.charged.saturating_add(route.charge);
        self.estimated = self.estimated.saturating_add(route.costs.estimated);
        self.baseline = self.baseline.saturating_add(route.costs.baseline);
        if let Some(report) = report {
            self.reported += 1;
            self.successes += u64::from(report.success);
            self.credits += u64::from(report.credits_awarded);
        }
    }

    /// Never below zero.
    pub(crate) fn saved(&self) -> NanoUsd {
        NanoUsd(self.baseline.0.saturating_sub(self.estimated.0).max(0))
    }

    /// 0 to 1; `None` of nothing that was reported.
    pub(crate) fn success_rate(&self) -> Option<f64> {
        (self.reported > 0).then(|| self.successes as f64 / self.reported as f64)
    }
}
