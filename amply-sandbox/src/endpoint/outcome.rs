//! How a route went, told to `POST /outcome` or to the older `POST /route/outcome`. Both feed the same record.

pub(super) mod older;
pub(super) mod preferred;

use std::collections::HashMap;

use axum::http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use super::{exchange::ReceivedBody, reply::Problem};
use crate::{
    auth, json,
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
    let ReceivedBody::Whole(body) = body else {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"));
    };
    let text = json::text_of_body(body);
    let read = Fields::of(&text).and_then(|fields| read(&fields));
    let (route_id, verdict) = read.map_err(|detail| Problem::new(StatusCode::BAD_REQUEST, detail))?;
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

/// The fields of a body; null is none.
struct Fields<'a>(HashMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Result<Self, &'static str> {
        serde_json::from_str(text).map(Fields).map_err(|_| "Invalid JSON body")
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|value| value.get() != "null")
    }

    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// What may be the id of a route.
    fn route_id(&self, name: &str) -> Option<String> {
        self.text(name).filter(|id| (1..=ROUTE_ID_AT_MOST).contains(&id.chars().count()))
    }
}
