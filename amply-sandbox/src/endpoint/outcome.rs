//! How a route went, told to `POST /outcome` or to the older `POST /route/outcome`. Both feed the same record.

pub(super) mod older;
pub(super) mod preferred;

use axum::http::{HeaderMap, StatusCode};

use super::{exchange::ReceivedBody, fields::Fields, reply::Problem};
use crate::{
    auth,
    outcomes::{NoSuchRoute, Receipt, Told, Verdict},
    state::State,
};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// [our] the longest route id, in characters. Ours have 36; any other form is one that is not known.
const ROUTE_ID_AT_MOST: usize = 64;

/// Takes a report down. `read` is how the endpoint reads its fields: the route's id, and the verdict.
///
/// [our] the order of these, and every refusal: the documentation has the fields and no error.
fn report(
    state: &State,
    headers: &HeaderMap,
    body: &ReceivedBody,
    read: impl FnOnce(&Fields<'_>) -> Result<(String, Verdict), &'static str>,
) -> Result<Receipt, Problem> {
    // As of a route: an open server takes a report without a key, of a route without a principal.
    let caller = auth::check(headers, &state.keys, state.settings.require_api_key)
        .map_err(|detail| Problem::new(StatusCode::UNAUTHORIZED, detail))?;
    let (route_id, verdict) = body.read(read)?;
    // Noted and nothing more: it is the route that makes two reports the same.
    let key = headers.get(IDEMPOTENCY_KEY);
    let idempotency_key = key.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
    let told = Told { route_id, verdict, idempotency_key };
    let now = state.control.clock().now();
    state.control.reports().report(told, caller.principal(), now).map_err(not_found)
}

/// [our] the same of a route that there is not and of another's.
pub(super) fn not_found(_: NoSuchRoute) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "No route of yours has this id").code("route_not_found")
}

/// What may be the id of a route.
fn route_id(fields: &Fields<'_>, name: &str) -> Option<String> {
    fields.text(name).filter(|id| (1..=ROUTE_ID_AT_MOST).contains(&id.chars().count()))
}
