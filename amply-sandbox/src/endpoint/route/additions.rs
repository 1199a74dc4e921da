//! What release 3.1.13 adds to the answer of `POST /route`. The names are [doc]; where a shape is ours it says so.

use serde::Serialize;

use super::{
    body::{ComponentsBody, components, four_decimals},
    charge::Charge,
};
use crate::{
    auth::Caller,
    endpoint::{BASE, gate, manifest},
    js::JsNumber,
    money::NanoUsd,
    outcomes::{CREDITS, ReportedVia},
    probe::Probes,
    scoring::{FilteredOut, Recommendation, Scored},
    state::State,
    validate::{Limits, RouteInput},
};

// The order of these fields is the order on the wire.

#[derive(Serialize)]
pub(super) struct Additions<'a> {
    rankings: Vec<Ranking<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_hints: Option<AgentHints<'a>>,
    usage: Usage,
    estimated_charge_usd: NanoUsd,
    #[serde(flatten)]
    constrained: Option<Constrained<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integration: Option<Integration>,
}

impl<'a> Additions<'a> {
    pub(super) fn of(
        state: &'a State,
        caller: &Caller,
        input: &RouteInput,
        charge: &Charge<'_>,
        answer: &'a Recommendation<'a>,
        route_id: &'a str,
    ) -> Self {
        Additions {
            rankings: answer.ranked.iter().zip(1..).map(|(s, rank)| Ranking::of(s, rank, state)).collect(),
            agent_hints: state
                .settings
                .reported_via()
                .map(|via| AgentHints { report_outcome: ReportOutcome::of(via, caller, route_id) }),
            usage: Usage {
                unit: "route",
                quantity: 1,
                unit_price_usd: charge.unit_price,
                billable: charge.is_billable(),
            },
            estimated_charge_usd: charge.amount(),
            constrained: (!input.limits.is_empty()).then(|| Constrained::of(&input.limits, answer)),
            integration: state.settings.metering.then(|| Integration::of(state, caller, route_id)),
        }
    }
}

/// A provider within the limits, the best first. [our] all names but `confidence_sources`.
#[derive(Serialize)]
struct Ranking<'a> {
    provider_id: &'a str,
    display_name: &'a str,
    rank: usize,
    score: JsNumber,
    p99_latency_ms: JsNumber,
    cost_per_1m_dims_usd: JsNumber,
    success_rate_last_24h: JsNumber,
    success_rate_last_7d: JsNumber,
    win_rate: JsNumber,
    components: ComponentsBody,
    confidence_sources: Vec<&'static str>,
}

impl<'a> Ranking<'a> {
    fn of(scored: &Scored<'a>, rank: usize, state: &State) -> Self {
        let provider = scored.provider;
        Ranking {
            provider_id: &provider.id,
            display_name: &provider.display_name,
            rank,
            score: four_decimals(scored.composite),
            p99_latency_ms: JsNumber(provider.p99_latency_ms),
            cost_per_1m_dims_usd: JsNumber(provider.cost_per_1m_dims_usd),
            success_rate_last_24h: JsNumber(provider.success_rate_last_24h),
            success_rate_last_7d: JsNumber(provider.success_rate_last_7d),
            win_rate: JsNumber(provider.win_rate),
            components: components(&scored.components),
            confidence_sources: confidence_sources(&provider.id, state.control.probes()),
        }
    }
}

fn confidence_sources(provider_id: &str, probes: &Probes) -> Vec<&'static str> {
    let probe = probes.latest(provider_id).map(|_| "probe");
    ["catalog"].into_iter().chain(probe).collect()
}

#[derive(Serialize)]
struct AgentHints<'a> {
    report_outcome: ReportOutcome<'a>,
}

/// [our] all names.
#[derive(Serialize)]
struct ReportOutcome<'a> {
    endpoint: String,
    method: &'static str,
    route_id: &'a str,
    expected_fields: &'static [&'static str],
    incentive: Incentive,
}

#[derive(Serialize)]
struct Incentive {
    credits: u32,
    description: &'static str,
}

impl<'a> ReportOutcome<'a> {
    fn of(via: ReportedVia, caller: &Caller, route_id: &'a str) -> Self {
        ReportOutcome {
            endpoint: format!("{BASE}{}", via.path()),
            method: "POST",
            route_id,
            expected_fields: via.fields(),
            incentive: if caller.is_bound() {
                Incentive {
                    credits: CREDITS,
                    description: "One credit for each route whose outcome is reported",
                }
            } else {
                Incentive { credits: 0, description: "Credits are for the routes of a principal" }
            },
        }
    }
}

/// The economics of this call. [our] its fields.
#[derive(Serialize)]
struct Usage {
    unit: &'static str,
    quantity: u32,
    unit_price_usd: NanoUsd,
    billable: bool,
}

/// Of a request with hard limits. [our] all that is within the two.
#[derive(Serialize)]
struct Constrained<'a> {
    cost_analysis: CostAnalysis<'a>,
    filtered_out: Vec<Filtered<'a>>,
}

#[derive(Serialize)]
struct CostAnalysis<'a> {
    budget_usd_per_1m_ops: Option<JsNumber>,
    slo_p99_ms: Option<JsNumber>,
    providers_considered: usize,
    providers_within_limits: usize,
    cheapest_provider_id: Option<&'a str>,
    recommended_cost_per_1m_usd: JsNumber,
}

#[derive(Serialize)]
struct Filtered<'a> {
    provider_id: &'a str,
    reasons: &'a [&'static str],
}

impl<'a> Constrained<'a> {
    fn of(limits: &Limits, answer: &'a Recommendation<'a>) -> Self {
        let cost = |scored: &Scored<'_>| scored.provider.cost_per_1m_dims_usd;
        // The earlier of two that cost the same: the better one.
        let cheapest = answer.ranked.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
        let filtered = |out: &'a FilteredOut<'a>| Filtered {
            provider_id: &out.scored.provider.id,
            reasons: &out.reasons,
        };
        Constrained {
            cost_analysis: CostAnalysis {
                budget_usd_per_1m_ops: limits.budget_usd_per_1m_ops.map(JsNumber),
                slo_p99_ms: limits.slo_p99_ms.map(JsNumber),
                providers_considered: answer.scored.len(),
                providers_within_limits: answer.ranked.len(),
                cheapest_provider_id: cheapest.map(|scored| scored.provider.id.as_str()),
                recommended_cost_per_1m_usd: JsNumber(cost(&answer.best)),
            },
            filtered_out: answer.filtered_out.iter().map(filtered).collect(),
        }
    }
}

/// What a machine needs to know to be billed and to go on.
#[derive(Serialize)]
struct Integration {
    principal_attached: bool,
    economics_mode: &'static str,
    alerts: Vec<Alert>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recommendation: Option<&'static str>,
    links: Links,
    x402: manifest::X402,
}

/// [our] its shape.
#[derive(Serialize)]
struct Alert {
    code: &'static str,
    message: &'static str,
}

/// [our] their names, and that they are paths of this server.
#[derive(Serialize)]
struct Links {
    billing_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// There for a principal alone: nobody else is shown the audit.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<String>,
}

impl Integration {
    fn of(state: &State, caller: &Caller, route_id: &str) -> Self {
        let alert = Alert {
            code: "no_principal",
            message: "No principal stands behind this call: it is a recommendation only and cannot be settled",
        };
        let bound = caller.is_bound();
        Integration {
            principal_attached: bound,
            economics_mode: gate::economics_mode(caller),
            alerts: if bound { Vec::new() } else { vec![alert] },
            recommendation: (!bound)
                .then_some("Call with a user key (amply_sk_…), so that the route is bound to a principal"),
            links: Links {
                billing_status: format!("{BASE}/billing/status"),
                outcome: state.settings.reported_via().map(|via| format!("{BASE}{}", via.path())),
                audit: bound.then(|| format!("{BASE}/route/audit?request_id={route_id}")),
            },
            x402: manifest::X402::of(&state.settings),
        }
    }
}
