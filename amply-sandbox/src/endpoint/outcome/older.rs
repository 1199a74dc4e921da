//! `POST /route/outcome`, the way of older clients.

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode},
};
use serde::Serialize;

use super::{report, route_id};
use crate::{
    catalog::Catalog,
    endpoint::{
        exchange::ReceivedBody,
        fields::Fields,
        reply::{self, KEYED, Stamp},
    },
    outcomes::Verdict,
    state::Shared,
};

/// [our] the documentation says that there is an enumeration, and not of what.
const OUTCOMES: [&str; 4] = ["success", "failure", "timeout", "error"];

const REQUEST_ID: &str = "request_id is required (1 to 64 characters)";
const PROVIDER: &str = "provider_id must be the id of a provider of this server";
const OUTCOME: &str = "outcome must be success, failure, timeout, or error";

pub(in crate::endpoint) async fn post(
    State(state): State<Shared>,
    headers: HeaderMap,
    Extension(body): Extension<ReceivedBody>,
) -> Response<Body> {
    let stamp = Stamp::new(&state);
    match report(&state, &headers, &body, |fields| read(fields, &state.catalog)) {
        // [our] the same whether or not the route was reported before, and no word of credits.
        Ok(_) => {
            stamp.on(stamp.compute_ms(), reply::json(StatusCode::OK, KEYED, &Received { received: true }))
        }
        Err(problem) => problem.reply(&stamp, KEYED),
    }
}

#[derive(Serialize)]
struct Received {
    received: bool,
}

/// [our] what is refused, and that the provider may be another than the one that was recommended.
fn read(fields: &Fields<'_>, catalog: &Catalog) -> Result<(String, Verdict), &'static str> {
    let route_id = route_id(fields, "request_id").ok_or(REQUEST_ID)?;
    let is_known = |id: &String| catalog.providers().iter().any(|provider| provider.id == *id);
    let provider_id = fields.text("provider_id").filter(is_known).ok_or(PROVIDER)?;
    let is_outcome = |word: &String| OUTCOMES.contains(&word.as_str());
    let outcome = fields.text("outcome").filter(is_outcome).ok_or(OUTCOME)?;
    Ok((route_id, Verdict::RouteOutcome { provider_id, outcome }))
}
