//! A route that was served, as far as reports and audits need it.

use crate::{clock::Timestamp, money::NanoUsd, proof::Hash};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Served {
    /// Who stood behind it; `None` of an operator's key and of a call without one.
    pub(crate) principal_id: Option<String>,
    /// The id of a provider.
    pub(crate) recommended: String,
    /// As it was sent.
    pub(crate) score: f64,
    /// Of the trimmed task, which itself is not kept.
    pub(crate) task_hash: Hash,
    /// What it cost its caller.
    pub(crate) charge: NanoUsd,
    pub(crate) costs: Costs,
    pub(crate) served_at: Timestamp,
}

/// What the task is estimated to cost at providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Costs {
    /// At the one that was recommended.
    pub(crate) estimated: NanoUsd,
    /// At the most expensive one of the catalog.
    pub(crate) baseline: NanoUsd,
}

impl Served {
    /// [our] a route without a principal is that of all who have none, and of nobody who has one.
    pub(crate) fn is_of(&self, principal: Option<&str>) -> bool {
        self.principal_id.as_deref() == principal
    }
}
