//! `POST /billing/topup`: credits a wallet. For who holds the admin secret.

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode},
};

use super::order;
use crate::{
    auth,
    endpoint::{
        exchange::ReceivedBody,
        reply::{KEYED, Problem, Stamp},
    },
    keys::Keys,
    state::Shared,
    wallet::Via,
};

pub(in crate::endpoint) async fn post(
    State(state): State<Shared>,
    headers: HeaderMap,
    Extension(body): Extension<ReceivedBody>,
) -> Response<Body> {
    let stamp = Stamp::new(&state);
    // [our] the key is in the body alone: the header that clients may send is not known to the server.
    let done = admit(&headers, &state.keys)
        .and_then(|()| order::carry_out(&state, &stamp, &body, None, Via::Billing));
    done.unwrap_or_else(|problem| problem.reply(&stamp, KEYED))
}

fn admit(headers: &HeaderMap, keys: &Keys) -> Result<(), Problem> {
    if auth::is_admin(headers, keys) {
        return Ok(());
    }
    // [our] a key that is known is told that it is the wrong one.
    Err(match auth::check(headers, keys, true) {
        Ok(_) => Problem::new(StatusCode::FORBIDDEN, "A top-up needs the admin secret, not an API key"),
        Err(detail) => Problem::new(StatusCode::UNAUTHORIZED, detail),
    })
}
