//! What no client of the API can ask of a sandbox or do to it: see the calls, make some of them fail, move the clock, set
//! what probes find. What there is to see and do of money is in `payments` and, of that of others, in `x402`; reports are in
//! `outcomes`, credentials in `credentials`.

mod credentials;
pub(crate) mod log;
mod outcomes;
pub(crate) mod payments;
pub(crate) mod x402;

use std::{sync::Arc, time::Duration};

use log::{Call, Log};

use crate::{
    calls::Planned,
    challenge::Challenges,
    clock::Clock,
    credentials::Credentials,
    crediting::Crediting,
    fault::{Fault, Faults},
    keys::Keys,
    outcomes::Outcomes,
    probe::{Probes, ProviderState},
    wallet::Wallets,
    x402::Books,
};

/// A handle to a running sandbox. Cheap to clone; goes on working after the sandbox has stopped.
#[derive(Clone, Debug)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    challenges: Challenges,
    clock: Clock,
    credentials: Credentials,
    creditings: Planned<Crediting>,
    faults: Faults,
    keys: Arc<Keys>,
    log: Log,
    outcomes: Outcomes,
    probes: Probes,
    wallets: Wallets,
    x402: Books,
}

impl Control {
    pub(crate) fn new(clock: Clock, keys: Arc<Keys>, credentials: Credentials) -> Self {
        Control(Arc::new(Shared {
            challenges: Challenges::default(),
            clock,
            credentials,
            creditings: Planned::default(),
            faults: Faults::default(),
            keys,
            log: Log::default(),
            outcomes: Outcomes::default(),
            probes: Probes::default(),
            wallets: Wallets::default(),
            x402: Books::default(),
        }))
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

    /// Makes calls fail from now on. Of several faults for one call the one that was added first happens; all of them count it.
    ///
    /// ```
    /// use amply_sandbox::{Fault, Sandbox};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sandbox = Sandbox::builder().start().await?;
    /// let control = sandbox.control();
    /// control.fault(Fault::on("/route").first(2).status(503).header("Retry-After", "1"));
    /// control.fault(Fault::on("/route").nth(3).after_effect().reset_before_headers());
    /// # Ok(()) }
    /// ```
    ///
    /// Over HTTP the same is `POST /__sandbox/faults` with the admin secret as Bearer and, say,
    /// `{"path": "/route", "calls": {"first": 2}, "kind": {"status": {"status": 503, "headers": {"Retry-After": "1"}}}}`.
    pub fn fault(&self, fault: Fault) {
        self.0.faults.add(fault);
    }

    /// Nothing fails from now on.
    pub fn clear_faults(&self) {
        self.0.faults.clear();
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

    pub(crate) fn challenges(&self) -> &Challenges {
        &self.0.challenges
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// How the next top-up is credited; counts it.
    pub(crate) fn next_crediting(&self) -> Crediting {
        self.0.creditings.of_call(|_| true).unwrap_or_else(Crediting::as_asked)
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    pub(crate) fn log(&self) -> &Log {
        &self.0.log
    }

    pub(crate) fn probes(&self) -> &Probes {
        &self.0.probes
    }

    pub(crate) fn wallets(&self) -> &Wallets {
        &self.0.wallets
    }

    pub(crate) fn x402(&self) -> &Books {
        &self.0.x402
    }
}
