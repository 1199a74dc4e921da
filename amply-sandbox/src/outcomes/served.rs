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
    pub(crate) served_at: Timestamp,
}

impl Served {
    /// [our] a route without a principal is that of all who have none, and of nobody who has one.
    pub(crate) fn is_of(&self, principal: Option<&str>) -> bool {
        self.principal_id.as_deref() == principal
    }
}
