//! `GET /route/audit?request_id=…`: what the server knows of a route, with a proof that it is what it was told to be.

use axum::{
    body::Body,
    extract,
    http::{HeaderMap, Response, StatusCode, Uri},
};
use serde::Serialize;

use super::{
    gate, outcome,
    reply::{self, KEYED, Problem, Stamp},
};
use crate::{
    js::JsNumber,
    money::NanoUsd,
    outcomes::{ReportedOutcome, ReportedVia, Served},
    proof::{self, Hash},
    state::{Shared, State},
};

pub(super) async fn get(
    extract::State(state): extract::State<Shared>,
    headers: HeaderMap,
    uri: Uri,
) -> Response<Body> {
    let stamp = Stamp::new(&state);
    match answer(&state, &headers, &uri) {
        Ok(response) => stamp.on(stamp.compute_ms(), response),
        Err(problem) => problem.reply(&stamp, KEYED),
    }
}

fn answer(state: &State, headers: &HeaderMap, uri: &Uri) -> Result<Response<Body>, Problem> {
    let principal = gate::principal(state, headers, "routes")?;
    let route_id = request_id(uri)
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "request_id is required in the query"))?;
    let (route, outcome) =
        state.control.reports().of_route(route_id, &principal).map_err(outcome::not_found)?;
    let bundle = Bundle {
        ok: true,
        request_id: route_id,
        route: RouteBody::of(&route, &principal),
        outcome: outcome.as_ref().map(OutcomeBody::of),
    };
    // Neither an id of the request nor its time: until there is an outcome the same question has the same answer.
    Ok(match Proof::of(&bundle) {
        Some(proof) => reply::json(StatusCode::OK, KEYED, &AuditBody { bundle, proof }),
        None => reply::empty(StatusCode::INTERNAL_SERVER_ERROR),
    })
}

/// The first one of the query. Not decoded: no id has a character that would need it.
fn request_id(uri: &Uri) -> Option<&str> {
    let mut pairs = uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix("request_id=")).filter(|id| !id.is_empty())
}

// [our] all of it: the documentation says that there is a bundle and a hash that proves it.
// The order of these fields is the order on the wire.

#[derive(Serialize)]
struct AuditBody<'a> {
    #[serde(flatten)]
    bundle: Bundle<'a>,
    proof: Proof,
}

#[derive(Serialize)]
struct Bundle<'a> {
    ok: bool,
    /// The route's, not that of this exchange.
    request_id: &'a str,
    route: RouteBody<'a>,
    outcome: Option<OutcomeBody<'a>>,
}

#[derive(Serialize)]
struct RouteBody<'a> {
    principal_id: &'a str,
    recommended: &'a str,
    score: JsNumber,
    task_sha3_256: Hash,
    charged_usd: NanoUsd,
    served_at: String,
}

impl<'a> RouteBody<'a> {
    fn of(route: &'a Served, principal_id: &'a str) -> Self {
        RouteBody {
            principal_id,
            recommended: &route.recommended,
            score: JsNumber(route.score),
            task_sha3_256: route.task_hash,
            charged_usd: route.charge,
            served_at: route.served_at.to_millis_text(),
        }
    }
}

/// Nothing that a repeated report changes: its proof must stay.
#[derive(Serialize)]
struct OutcomeBody<'a> {
    provider_id: &'a str,
    success: bool,
    outcome: Option<&'a str>,
    actual_latency_ms: Option<JsNumber>,
    error_code: Option<&'a str>,
    via: ReportedVia,
    credits_awarded: u32,
    reported_at: &'a str,
}

impl<'a> OutcomeBody<'a> {
    fn of(reported: &'a ReportedOutcome) -> Self {
        OutcomeBody {
            provider_id: &reported.provider_id,
            success: reported.success,
            outcome: reported.outcome.as_deref(),
            actual_latency_ms: reported.actual_latency_ms.map(JsNumber),
            error_code: reported.error_code.as_deref(),
            via: reported.via,
            credits_awarded: reported.credits_awarded,
            reported_at: &reported.reported_at,
        }
    }
}

#[derive(Serialize)]
struct Proof {
    algorithm: &'static str,
    /// What is hashed.
    over: &'static str,
    hash: Hash,
}

impl Proof {
    fn of(bundle: &Bundle<'_>) -> Option<Self> {
        let canonical = proof::canonical(&serde_json::value::to_raw_value(bundle).ok()?)?;
        Some(Proof {
            algorithm: proof::ALGORITHM,
            over: "this object without proof, the fields of each object sorted by name, no white space, numbers and texts as written",
            hash: Hash::of(&canonical),
        })
    }
}
