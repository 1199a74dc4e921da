//! A top-up from its body to its answer, whichever way it came and whoever was let in.

use std::collections::HashMap;

use axum::{
    body::Body,
    http::{Response, StatusCode},
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    endpoint::{
        exchange::ReceivedBody,
        reply::{self, KEYED, Problem, Stamp},
    },
    js, json,
    keys::Keys,
    money::NanoUsd,
    state::State,
    wallet::{TopUp, TopUpRefusal, Via},
};

/// [our] the most that one top-up may credit: a million dollars.
const AT_MOST: NanoUsd = NanoUsd::from_nanos(1_000_000_000_000_000);
/// [our] the longest idempotency key, in bytes.
const KEY_AT_MOST: usize = 255;

/// Credits the wallet that `body` names. `key` is the idempotency key of the request's headers.
pub(in crate::endpoint) fn carry_out(
    state: &State,
    stamp: &Stamp,
    body: &ReceivedBody,
    key: Option<&str>,
    via: Via,
) -> Result<Response<Body>, Problem> {
    let ReceivedBody::Whole(body) = body else {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"));
    };
    let top_up =
        read(body, key, via, &state.keys).map_err(|detail| Problem::new(StatusCode::BAD_REQUEST, detail))?;
    let receipt = state
        .control
        .wallets()
        .top_up(top_up, || state.control.next_crediting(), || state.ids.next())
        .map_err(|refusal| match refusal {
            TopUpRefusal::KeyTaken => Problem::new(
                StatusCode::CONFLICT,
                "idempotency_key was used for a top-up of another amount or principal",
            ),
            TopUpRefusal::TooMuch => Problem::new(StatusCode::BAD_REQUEST, "The wallet cannot hold as much"),
        })?;
    // Neither an id of the request nor its time: what is asked again gets the same answer to the last byte.
    let body = TopUpBody {
        ok: true,
        balance_usd: receipt.balance,
        credited_usd: RawValue::from_string(receipt.credited).ok(),
        topup_id: &receipt.topup_id,
    };
    Ok(stamp.on(stamp.compute_ms(), reply::json(StatusCode::OK, KEYED, &body)))
}

/// [our] all names.
#[derive(Serialize)]
struct TopUpBody<'a> {
    ok: bool,
    balance_usd: NanoUsd,
    credited_usd: Option<Box<RawValue>>,
    topup_id: &'a str,
}

/// A body as a top-up, or what is wrong with it. [our] every check: the documentation has no fields.
fn read(body: &[u8], key: Option<&str>, via: Via, keys: &Keys) -> Result<TopUp, &'static str> {
    let text = json::text_of_body(body);
    let fields: HashMap<String, &RawValue> = serde_json::from_str(&text).map_err(|_| "Invalid JSON body")?;
    let field = |name: &str| fields.get(name).copied().filter(|value| value.get() != "null");

    let amount = field("amount_usd").and_then(|amount| NanoUsd::of_json(amount).ok());
    let amount = amount
        .filter(|amount| (NanoUsd::from_nanos(1)..=AT_MOST).contains(amount))
        .ok_or("amount_usd must be an amount above 0 and up to 1000000, with at most 9 decimals")?;
    let principal_id = match field("principal_id") {
        // [our] whom the built-in user key is bound to.
        None => keys.principal.clone(),
        Some(id) => text_of(id)
            .filter(|id| keys.is_principal(id))
            .ok_or("principal_id must be the id of a principal of this server when provided")?,
    };
    let idempotency_key = match (field("idempotency_key").map(text_of), key) {
        (None, None) => None,
        (None, Some(key)) => Some(key.to_owned()),
        (Some(of_body), None) => of_body,
        (Some(of_body), Some(key)) => Some(
            of_body.filter(|of_body| of_body == key).ok_or("idempotency_key must equal Idempotency-Key")?,
        ),
    };
    let idempotency_key = idempotency_key
        .filter(|key| !js::trim(key).is_empty() && key.len() <= KEY_AT_MOST)
        .ok_or("idempotency_key is required (1 to 255 bytes)")?;
    if field("reason").is_some_and(|reason| text_of(reason).is_none()) {
        return Err("reason must be a string when provided");
    }
    Ok(TopUp { principal_id, amount, idempotency_key, via })
}

fn text_of(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}
