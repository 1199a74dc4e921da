//! What release 3.1.13 adds to `/status`. The names that the documentation has are kept; what is within them is [our].

use serde::Serialize;

use crate::{
    clock::Timestamp,
    endpoint::manifest::{AgentSignup, PRINCIPAL_HEADERS},
    js::JsNumber,
    state::State,
};

/// At the end of the document.
#[derive(Serialize)]
pub(super) struct Additions {
    outcome_telemetry: OutcomeTelemetry,
    outcome_telemetry_target_hours: u32,
    probe_cycle_cron_path: &'static str,
}

#[derive(Serialize)]
struct OutcomeTelemetry {
    /// Whether there is an endpoint to report to.
    ready: bool,
    /// All that were in order; the three below are what came of them.
    reports_last_24h: u64,
    accepted: u64,
    duplicates: u64,
    route_not_found: u64,
}

impl Additions {
    pub(super) fn of(state: &State, now: Timestamp) -> Self {
        let reports = state.control.reports().last_24h(now);
        Additions {
            outcome_telemetry: OutcomeTelemetry {
                ready: state.settings.reported_via().is_some(),
                reports_last_24h: reports.all(),
                accepted: reports.accepted,
                duplicates: reports.duplicates,
                route_not_found: reports.not_found,
            },
            outcome_telemetry_target_hours: 24,
            probe_cycle_cron_path: "/api/cron/probe-cycle",
        }
    }
}

/// At the end of `diagnostics`.
#[derive(Serialize)]
pub(super) struct DiagnosticsAdditions {
    principal_binding: PrincipalBinding,
    route_requires_principal_bound: bool,
    route_daily_quota_per_principal: Option<u32>,
    agent_signup: AgentSignup,
}

#[derive(Serialize)]
struct PrincipalBinding {
    metering: bool,
    check_response_headers: [&'static str; 4],
    last_24h_metering_snapshot: Snapshot,
}

#[derive(Serialize)]
struct Snapshot {
    metered_routes: u64,
    no_principal_routes: u64,
    /// 0 to 100, one decimal; null when nothing was metered.
    no_principal_pct: Option<JsNumber>,
}

impl DiagnosticsAdditions {
    pub(super) fn of(state: &State, now: Timestamp) -> Self {
        let settings = &state.settings;
        let counts = state.metering.last_24h(now);
        DiagnosticsAdditions {
            principal_binding: PrincipalBinding {
                metering: settings.metering,
                check_response_headers: PRINCIPAL_HEADERS,
                last_24h_metering_snapshot: Snapshot {
                    metered_routes: counts.all,
                    no_principal_routes: counts.no_principal,
                    no_principal_pct: counts.no_principal_pct().map(JsNumber),
                },
            },
            route_requires_principal_bound: settings.require_principal,
            route_daily_quota_per_principal: settings.daily_quota,
            agent_signup: AgentSignup::of(settings),
        }
    }
}
