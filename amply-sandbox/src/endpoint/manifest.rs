//! What a server announces of itself, on `/status`, `/agent` and in the answers of routes alike.

use serde::Serialize;

use super::BASE;
use crate::{settings::Settings, x402::Version};

#[derive(Serialize)]
pub(super) struct RateLimit {
    enabled: bool,
    requests_per_minute_per_ip: Option<u32>,
}

impl RateLimit {
    pub(super) fn of(settings: &Settings) -> Self {
        RateLimit { enabled: settings.rate_limit.is_some(), requests_per_minute_per_ip: settings.rate_limit }
    }
}

/// [our] the version: the documentation says only that a signup must name it.
pub(super) const TOS_VERSION: &str = "2026-11-01";

/// [our] the number, per client address.
pub(super) const SIGNUPS_PER_HOUR: u32 = 5;

#[derive(Serialize)]
pub(super) struct AgentSignup {
    enabled: bool,
    requires_shared_secret: bool,
    tos_version: &'static str,
    max_signups_per_hour_per_ip: u32,
    path: String,
}

impl AgentSignup {
    pub(super) fn of(settings: &Settings) -> Self {
        AgentSignup {
            enabled: settings.agent_signup,
            requires_shared_secret: settings.agent_signup_secret.is_some(),
            tos_version: TOS_VERSION,
            max_signups_per_hour_per_ip: SIGNUPS_PER_HOUR,
            path: format!("{BASE}/signup/agent"),
        }
    }
}

/// The shape of a 402 that machines can answer.
pub(super) const X402_SPEC: &str = "amply.x402/1";

/// Where people top up, on the server's origin.
pub(super) const TOP_UP_PAGE: &str = "/dashboard/billing";

#[derive(Serialize)]
pub(super) struct X402 {
    enabled: bool,
    spec: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<OpenX402>,
}

/// [our] all of it: the documentation does not say how open payments are announced.
#[derive(Serialize)]
struct OpenX402 {
    versions: Vec<u8>,
    networks: Vec<&'static str>,
}

impl X402 {
    pub(super) fn of(settings: &Settings) -> Self {
        let open = settings.open_payments.as_ref().map(|open| OpenX402 {
            versions: open.versions().map(Version::number).collect(),
            networks: open.networks.iter().map(|network| network.name()).collect(),
        });
        X402 { enabled: settings.x402 || open.is_some(), spec: X402_SPEC, open }
    }
}

/// Headers of a route's answer that tell of its principal.
pub(super) const PRINCIPAL_HEADERS: [&str; 4] =
    ["X-Amply-Principal-Bound", "X-Amply-Auth-Source", "X-Amply-Metering", "X-Amply-Economics"];
