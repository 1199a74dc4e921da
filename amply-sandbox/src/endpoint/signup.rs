//! `POST /signup/agent`: a user key for a machine that accepts the terms.

use axum::{
    Extension,
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Response, StatusCode},
};
use serde::Serialize;

use super::{
    BASE,
    exchange::ReceivedBody,
    gate,
    manifest::{SIGNUPS_PER_HOUR, TOS_VERSION},
    reply::{self, KEYED, Problem, Stamp},
};
use crate::{
    json,
    settings::Secret,
    state::{self, Shared},
    wire::Peer,
};

const TOKEN: &str = "x-amply-agent-signup-token";

pub(super) async fn post(
    State(state): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    Extension(body): Extension<ReceivedBody>,
) -> Response<Body> {
    let stamp = Stamp::new(&state);
    if let Err(problem) = check(&state, &headers, &peer, &body) {
        return problem.reply(&stamp, KEYED);
    }
    let (api_key, principal_id) = state.keys.sign_up();
    let settings = &state.settings;
    let url = |path| format!("{}{BASE}{path}", state.origin);
    let compute_ms = stamp.compute_ms();
    let body = SignupBody {
        ok: true,
        api_key: &api_key,
        principal_id: &principal_id,
        tos_version: TOS_VERSION,
        quickstart: Quickstart {
            agent_url: url("/agent"),
            openapi_url: url("/openapi"),
            route_url: url("/route"),
            outcome_url: settings.reported_via().map(|via| url(via.path())),
        },
        request_id: &stamp.request_id,
        compute_ms,
    };
    stamp.on(compute_ms, reply::json(StatusCode::CREATED, KEYED, &body))
}

/// [our] the order of these, and every refusal: the documentation has the fields and no error.
fn check(state: &state::State, headers: &HeaderMap, peer: &Peer, body: &ReceivedBody) -> Result<(), Problem> {
    let settings = &state.settings;
    if !settings.agent_signup {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Agent signup is switched off on this server"));
    }
    let now = state.control.clock().now();
    let client = gate::client(headers, peer.address);
    state.hours.take_of_hour(&client, SIGNUPS_PER_HOUR, now).map_err(gate::too_many)?;
    if let Some(Secret(secret)) = &settings.agent_signup_secret
        && headers.get(TOKEN).is_none_or(|token| token.as_bytes() != secret.as_bytes())
    {
        let detail = "Missing or invalid X-Amply-Agent-Signup-Token header";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    }
    let ReceivedBody::Whole(body) = body else {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"));
    };
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let body: serde_json::Value =
        serde_json::from_str(&json::text_of_body(body)).map_err(|_| bad("Invalid JSON body".to_owned()))?;
    if body.get("accept_tos_version").and_then(serde_json::Value::as_str) != Some(TOS_VERSION) {
        return Err(bad(format!("accept_tos_version must be {TOS_VERSION}")));
    }
    Ok(())
}

// The order of these fields is the order on the wire. [our] all but `api_key`.

#[derive(Serialize)]
struct SignupBody<'a> {
    ok: bool,
    /// Shown here and never again.
    api_key: &'a str,
    principal_id: &'a str,
    tos_version: &'a str,
    quickstart: Quickstart,
    request_id: &'a str,
    compute_ms: u64,
}

#[derive(Serialize)]
struct Quickstart {
    agent_url: String,
    openapi_url: String,
    route_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome_url: Option<String>,
}
