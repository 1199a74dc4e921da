//! `GET /agent`: the manifest by which a machine finds its way from nothing to a route and its outcome.

use axum::{body::Body, extract::State, http::Response, http::StatusCode};
use serde::Serialize;

use super::{
    BASE,
    manifest::{AgentSignup, PRINCIPAL_HEADERS, RateLimit, TOS_VERSION, X402},
    reply::{self, PUBLIC, Stamp},
};
use crate::{outcomes::ReportedVia, settings::Settings, state::Shared};

pub(super) async fn get(State(state): State<Shared>) -> Response<Body> {
    let stamp = Stamp::new(&state);
    let settings = &state.settings;
    let steps: Vec<StepBody> = STEPS.iter().filter_map(|step| StepBody::of(step, settings)).collect();
    let body = Manifest {
        ok: true,
        tos_version_for_signup: TOS_VERSION,
        autonomous_credential_path: format!("{BASE}/signup/agent"),
        workflow: Workflow {
            schema: "amply.agent_workflow_manifest/1",
            version: settings.release.version(),
            auth_mode: settings.auth_mode(),
            credential_before_catalog: true,
            bootstrap_sequence: steps.iter().map(|step| step.id).collect(),
            principal_binding_policy: PrincipalBindingPolicy {
                summary: "A user key (amply_sk_…) binds a route to its principal; a server key authenticates and binds nobody.",
                check_response_field: "integration.principal_attached",
                check_response_headers: PRINCIPAL_HEADERS,
                recommended_machine_flow: FLOW
                    .iter()
                    .filter_map(|flow| FlowBody::of(flow, settings))
                    .collect(),
            },
            route_rate_limit: RateLimit::of(settings),
            agent_signup: AgentSignup::of(settings),
            x402: X402::of(settings),
            steps,
        },
        commercial: Commercial {
            pricing_url: "https://www.useamply.com/pricing",
            provider_catalog_intent: CatalogIntent {
                summary: "Providers who want to be listed write to this address",
                email: "providers@example.com",
            },
        },
    };
    stamp.on(stamp.compute_ms(), reply::json(StatusCode::OK, PUBLIC, &body))
}

// The order of these fields is the order of the documentation. [our] all texts.

#[derive(Serialize)]
struct Manifest {
    ok: bool,
    tos_version_for_signup: &'static str,
    autonomous_credential_path: String,
    workflow: Workflow,
    commercial: Commercial,
}

#[derive(Serialize)]
struct Workflow {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    auth_mode: &'static str,
    credential_before_catalog: bool,
    bootstrap_sequence: Vec<&'static str>,
    principal_binding_policy: PrincipalBindingPolicy,
    route_rate_limit: RateLimit,
    agent_signup: AgentSignup,
    x402: X402,
    steps: Vec<StepBody>,
}

#[derive(Serialize)]
struct PrincipalBindingPolicy {
    summary: &'static str,
    check_response_field: &'static str,
    check_response_headers: [&'static str; 4],
    recommended_machine_flow: Vec<FlowBody>,
}

#[derive(Serialize)]
struct FlowBody {
    step: u32,
    method: &'static str,
    path: String,
    goal: &'static str,
}

impl FlowBody {
    fn of(flow: &(u32, &'static str, &'static str, &'static str), settings: &Settings) -> Option<Self> {
        let (step, method, path, goal) = *flow;
        Some(FlowBody { step, method, path: path_on(path, settings)?, goal })
    }
}

/// The path on this server, which may report outcomes elsewhere; `None` when it has no such endpoint.
fn path_on(path: &'static str, settings: &Settings) -> Option<String> {
    let is_report = path == ReportedVia::Outcome.path();
    let path = if is_report { settings.reported_via()?.path() } else { path };
    Some(format!("{BASE}{path}"))
}

const FLOW: [(u32, &str, &str, &str); 4] = [
    (1, "POST", "/signup/agent", "get a user key of one's own"),
    (2, "GET", "/billing/status", "see that the wallet behind it can pay for a route"),
    (3, "POST", "/route", "route with it and check that a principal is attached"),
    (4, "POST", "/outcome", "report how it went"),
];

#[derive(Serialize)]
struct StepBody {
    id: &'static str,
    method: &'static str,
    path: String,
    purpose: &'static str,
    auth: &'static str,
}

struct Step {
    id: &'static str,
    method: &'static str,
    path: &'static str,
    purpose: &'static str,
    needs: Needs,
}

#[derive(Clone, Copy)]
enum Needs {
    Nothing,
    Key,
    /// A key, where the server requires one.
    KeyIfRequired,
    SignupSecretIfSet,
}

impl StepBody {
    fn of(step: &Step, settings: &Settings) -> Option<Self> {
        let auth = match step.needs {
            Needs::Nothing => "none",
            Needs::Key => "bearer",
            Needs::KeyIfRequired if settings.require_api_key => "bearer",
            Needs::KeyIfRequired => "optional_bearer",
            Needs::SignupSecretIfSet if settings.agent_signup_secret.is_some() => "shared_secret",
            Needs::SignupSecretIfSet => "none",
        };
        Some(StepBody {
            id: step.id,
            method: step.method,
            path: path_on(step.path, settings)?,
            purpose: step.purpose,
            auth,
        })
    }
}

const fn step(
    id: &'static str,
    method: &'static str,
    path: &'static str,
    purpose: &'static str,
    needs: Needs,
) -> Step {
    Step { id, method, path, purpose, needs }
}

const STEPS: [Step; 8] = [
    step("discover", "GET", "/agent", "read this manifest", Needs::Nothing),
    step("health", "GET", "/status", "see that the server is up and how its catalog is", Needs::Nothing),
    step("schema", "GET", "/openapi", "read what requests and answers look like", Needs::Nothing),
    step("credential", "POST", "/signup/agent", "get a key", Needs::SignupSecretIfSet),
    step("catalog", "GET", "/providers", "see the providers", Needs::Nothing),
    step("route", "POST", "/route", "ask which provider should run a task", Needs::KeyIfRequired),
    step("outcome", "POST", "/outcome", "report how it went", Needs::KeyIfRequired),
    step("audit", "GET", "/route/audit", "fetch the proof of a route", Needs::Key),
];

#[derive(Serialize)]
struct Commercial {
    pricing_url: &'static str,
    provider_catalog_intent: CatalogIntent,
}

#[derive(Serialize)]
struct CatalogIntent {
    summary: &'static str,
    email: &'static str,
}
