//! `GET /health`: what the latest probe found of each provider.

use axum::{
    body::Body,
    extract,
    http::{HeaderMap, Response, StatusCode},
};
use serde::Serialize;

use super::reply::{self, KEYED, Problem, Stamp};
use crate::{
    auth,
    catalog::Provider,
    js::JsNumber,
    probe::{INTERVAL_MINUTES, ProviderState},
    state::{Shared, State},
};

pub(super) async fn get(extract::State(state): extract::State<Shared>, headers: HeaderMap) -> Response<Body> {
    let stamp = Stamp::new(&state);
    // A key is needed even where a route needs none.
    if let Err(detail) = auth::check(&headers, &state.keys, true) {
        return Problem::new(StatusCode::UNAUTHORIZED, detail).reply(&stamp, KEYED);
    }
    let now = state.control.clock().now();
    let last_probe_at = now.whole_minutes(INTERVAL_MINUTES).to_seconds_text();
    let compute_ms = stamp.compute_ms();
    let body = HealthBody {
        ok: true,
        providers: state
            .catalog
            .providers()
            .iter()
            .filter_map(|provider| ProviderHealth::of(provider, &state, &last_probe_at))
            .collect(),
        probe_interval_minutes: INTERVAL_MINUTES,
        as_of: now.to_millis_text(),
        request_id: &stamp.request_id,
        compute_ms,
    };
    stamp.on(compute_ms, reply::json(StatusCode::OK, KEYED, &body))
}

// [our] all names and shapes; the documentation has the states and the five minutes.

#[derive(Serialize)]
struct HealthBody<'a> {
    /// Of the endpoint, as on `/status`: a provider may be down.
    ok: bool,
    providers: Vec<ProviderHealth<'a>>,
    probe_interval_minutes: i64,
    /// When the answer was made.
    as_of: String,
    request_id: &'a str,
    compute_ms: u64,
}

#[derive(Serialize)]
struct ProviderHealth<'a> {
    id: &'a str,
    display_name: &'a str,
    state: ProviderState,
    last_probe_at: &'a str,
    /// Null when there was no answer.
    latency_ms: Option<JsNumber>,
}

impl<'a> ProviderHealth<'a> {
    /// `None` when it was never probed.
    fn of(provider: &'a Provider, state: &State, last_probe_at: &'a str) -> Option<Self> {
        let found = state.control.probes().latest(&provider.id)?;
        Some(ProviderHealth {
            id: &provider.id,
            display_name: &provider.display_name,
            state: found,
            last_probe_at,
            // Nothing is called: a provider that answers is taken to be as fast as the catalog has it.
            latency_ms: (found != ProviderState::Down).then_some(JsNumber(provider.p99_latency_ms)),
        })
    }
}
