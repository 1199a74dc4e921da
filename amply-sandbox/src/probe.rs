//! What the latest probe found of each provider.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

/// How a provider was when it was last probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderState {
    /// It answers as its catalog entry says.
    Healthy,
    /// It answers, slowly or not always.
    Degraded,
    /// It does not answer.
    Down,
}

/// Minutes between two probes of a provider.
pub(crate) const INTERVAL_MINUTES: i64 = 5;

/// What was set otherwise than by default: every provider healthy.
#[derive(Debug, Default)]
pub(crate) struct Probes(Mutex<HashMap<String, Option<ProviderState>>>);

impl Probes {
    /// `None` for a provider that was never probed.
    pub(crate) fn set(&self, provider_id: &str, found: Option<ProviderState>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(provider_id.to_owned(), found);
    }

    pub(crate) fn latest(&self, provider_id: &str) -> Option<ProviderState> {
        let set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.get(provider_id).copied().unwrap_or(Some(ProviderState::Healthy))
    }
}
