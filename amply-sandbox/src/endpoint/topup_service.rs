//! `POST /topup`: a guarded top-up service. It is no part of Amply: it stands for what a customer runs to hold the admin
//! secret, so that agents can top up and need not know it.

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, Response, StatusCode},
};

use super::{
    billing::order,
    exchange::ReceivedBody,
    reply::{KEYED, Problem, Stamp},
};
use crate::{auth, state::Shared, wallet::Via};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(super) async fn post(
    State(state): State<Shared>,
    headers: HeaderMap,
    Extension(body): Extension<ReceivedBody>,
) -> Response<Body> {
    let stamp = Stamp::new(&state);
    if !auth::may_top_up(&headers, &state.keys) {
        let detail = "Missing or invalid token of the top-up service";
        return Problem::new(StatusCode::UNAUTHORIZED, detail).reply(&stamp, KEYED);
    }
    let key = headers.get(IDEMPOTENCY_KEY).map(|key| String::from_utf8_lossy(key.as_bytes()));
    order::carry_out(&state, &stamp, &body, key.as_deref(), Via::Service)
        .unwrap_or_else(|problem| problem.reply(&stamp, KEYED))
}
