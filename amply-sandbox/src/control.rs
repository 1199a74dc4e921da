//! What no client of the API can ask of a sandbox or do to it: see the calls, move the clock, set what probes find.

pub(crate) mod log;

use std::{sync::Arc, time::Duration};

use log::{Call, Log};

use crate::{
    clock::Clock,
    probe::{ProviderState, Probes},
};

/// A handle to a running sandbox. Cheap to clone; goes on working after the sandbox has stopped.
#[derive(Clone, Debug)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    log: Log,
    probes: Probes,
}

impl Control {
    pub(crate) fn new(clock: Clock) -> Self {
        Control(Arc::new(Shared { clock, log: Log::default(), probes: Probes::default() }))
    }

    /// The calls seen so far, in the order of their arrival, those included that were refused or met no endpoint.
    /// The last 10,000 are remembered.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.0.log.calls()
    }

    /// Forgets the calls seen so far. Ids and counts of the server go on.
    pub fn clear(&self) {
        self.0.log.clear();
    }

    /// Moves the sandbox's clock ahead: rate limits and quotas end earlier, catalogs and probes age. No call waits for it.
    pub fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    /// Sets what the latest probe found of a provider, or that there was none. Without this every provider is healthy.
    ///
    /// It shows on `/health` and in the `confidence_sources` of rankings, and changes no score. A provider that the catalog
    /// does not have shows nowhere.
    pub fn set_probe(&self, provider_id: &str, found: Option<ProviderState>) {
        self.0.probes.set(provider_id, found);
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn log(&self) -> &Log {
        &self.0.log
    }

    pub(crate) fn probes(&self) -> &Probes {
        &self.0.probes
    }
}
