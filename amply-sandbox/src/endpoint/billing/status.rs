//! `GET /billing/status`: the wallet of the principal behind a key.

use axum::{
    body::Body,
    extract,
    http::{HeaderMap, Response, StatusCode},
};
use serde::Serialize;

use crate::{
    endpoint::{
        gate,
        manifest::TOP_UP_PAGE,
        reply::{self, KEYED, Problem, Stamp},
    },
    money::NanoUsd,
    state::{Shared, State},
};

pub(in crate::endpoint) async fn get(
    extract::State(state): extract::State<Shared>,
    headers: HeaderMap,
) -> Response<Body> {
    let stamp = Stamp::new(&state);
    answer(&state, &headers, &stamp).unwrap_or_else(|problem| problem.reply(&stamp, KEYED))
}

fn answer(state: &State, headers: &HeaderMap, stamp: &Stamp) -> Result<Response<Body>, Problem> {
    let principal_id = gate::principal(state, headers, "wallet")?;
    let settings = &state.settings;
    let balance = state.control.wallets().look(&principal_id);
    let compute_ms = stamp.compute_ms();
    let body = BillingStatus {
        ok: true,
        principal_id: &principal_id,
        balance_usd: balance,
        currency: "USD",
        can_call: !settings.strict_wallet || !settings.metering || balance >= settings.charge_per_route,
        charge_per_route_usd: settings.charge_per_route,
        strict_wallet: settings.strict_wallet,
        top_up_url: format!("{}{TOP_UP_PAGE}", state.origin),
        request_id: &stamp.request_id,
        compute_ms,
    };
    Ok(stamp.on(compute_ms, reply::json(StatusCode::OK, KEYED, &body)))
}

/// [our] all names but `can_call`.
#[derive(Serialize)]
struct BillingStatus<'a> {
    ok: bool,
    principal_id: &'a str,
    balance_usd: NanoUsd,
    currency: &'static str,
    can_call: bool,
    charge_per_route_usd: NanoUsd,
    strict_wallet: bool,
    top_up_url: String,
    request_id: &'a str,
    compute_ms: u64,
}
