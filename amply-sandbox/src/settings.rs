//! The switches of a sandbox, as its builder leaves them and its endpoints read them.

use std::fmt;

use crate::{money::NanoUsd, outcomes::ReportedVia, release::Release, x402::accept::OpenPayments};

/// How a server behaves; which catalog and which keys it has is elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) release: Release,
    pub(crate) require_api_key: bool,
    pub(crate) require_principal: bool,
    pub(crate) metering: bool,
    /// Requests per minute and client address.
    pub(crate) rate_limit: Option<u32>,
    /// Routes per UTC day and principal.
    pub(crate) daily_quota: Option<u32>,
    pub(crate) agent_signup: bool,
    pub(crate) agent_signup_secret: Option<Secret>,
    pub(crate) x402: bool,
    /// What the wallet of the built-in user key holds at the start.
    pub(crate) balance: NanoUsd,
    /// Not negative.
    pub(crate) charge_per_route: NanoUsd,
    pub(crate) strict_wallet: bool,
    /// With an address to pay to once the sandbox runs.
    pub(crate) open_payments: Option<OpenPayments>,
    pub(crate) outcome_endpoint: bool,
    pub(crate) route_outcome_endpoint: bool,
    /// The error code of every execution; `None` when they succeed.
    pub(crate) execution_fails: Option<String>,
}

impl Settings {
    /// As `/status` and `/agent` have it.
    pub(crate) fn auth_mode(&self) -> &'static str {
        if self.require_api_key { "api_key" } else { "none" }
    }

    /// Whether there is this endpoint for reports.
    pub(crate) fn has(&self, via: ReportedVia) -> bool {
        match via {
            ReportedVia::Outcome => self.outcome_endpoint,
            ReportedVia::RouteOutcome => self.route_outcome_endpoint,
        }
    }

    /// The one that callers are told to report to.
    pub(crate) fn reported_via(&self) -> Option<ReportedVia> {
        ReportedVia::ALL.into_iter().find(|via| self.has(*via))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            release: Release::default(),
            require_api_key: false,
            require_principal: false,
            metering: true,
            rate_limit: None,
            daily_quota: None,
            agent_signup: false,
            agent_signup_secret: None,
            x402: false,
            balance: NanoUsd::from_nanos(10_000_000_000),
            // [our] one cent: the documentation names no price.
            charge_per_route: NanoUsd::from_nanos(10_000_000),
            strict_wallet: false,
            open_payments: None,
            outcome_endpoint: true,
            route_outcome_endpoint: true,
            execution_fails: None,
        }
    }
}

/// Text that is not shown, not even of a sandbox: somebody may have given it a real one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
