//! The money of a sandbox over HTTP: balances, credits, and what goes wrong with top-ups and 402s.

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{Response, StatusCode},
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{CallsBody, done, read, refused};
use crate::{
    calls::Calls,
    challenge::Challenge,
    crediting::Crediting,
    endpoint::reply::{self, KEYED},
    money::NanoUsd,
    state::Shared,
};

/// Tells a balance; sets it first if it is asked to.
pub(super) async fn balance(State(state): State<Shared>, body: Bytes) -> Response<Body> {
    let body: BalanceBody = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let of = body.of.unwrap_or_else(|| state.keys.principal.clone());
    if let Some(balance) = body.set_usd
        && let Err(error) = state.control.set_balance(&of, balance)
    {
        return refused(StatusCode::BAD_REQUEST, &error.to_string());
    }
    match state.keys.principal_of(&of).zip(state.control.balance(&of)) {
        Some((principal_id, balance_usd)) => {
            reply::json(StatusCode::OK, KEYED, &Balance { ok: true, principal_id, balance_usd })
        }
        None => {
            refused(StatusCode::BAD_REQUEST, "neither a user key of this sandbox nor the id of a principal")
        }
    }
}

pub(super) async fn credits(State(state): State<Shared>) -> Response<Body> {
    reply::json(StatusCode::OK, KEYED, &Credits { credits: state.control.credits() })
}

pub(super) async fn add_crediting(State(state): State<Shared>, body: Bytes) -> Response<Body> {
    read(&body, |body: CreditingBody| state.control.crediting(body.into()))
}

pub(super) async fn clear_creditings(State(state): State<Shared>) -> Response<Body> {
    state.control.clear_creditings();
    done()
}

pub(super) async fn add_challenge(State(state): State<Shared>, body: Bytes) -> Response<Body> {
    read(&body, |body: ChallengeBody| state.control.challenge(body.into()))
}

pub(super) async fn clear_challenges(State(state): State<Shared>) -> Response<Body> {
    state.control.clear_challenges();
    done()
}

/// `{"of": "amply_sk_…", "set_usd": "0.05"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BalanceBody {
    /// A user key or a principal's id; that of the built-in user key when absent.
    of: Option<String>,
    set_usd: Option<NanoUsd>,
}

#[derive(Serialize)]
struct Balance {
    ok: bool,
    principal_id: String,
    balance_usd: NanoUsd,
}

#[derive(Serialize)]
struct Credits {
    credits: Vec<crate::wallet::Credit>,
}

/// `{"calls": {"nth": 2}, "credit_usd": 0.04, "says": 0.05, "late": 3}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreditingBody {
    #[serde(default)]
    calls: CallsBody,
    /// As asked when absent.
    credit_usd: Option<NanoUsd>,
    says: Option<Box<RawValue>>,
    #[serde(default)]
    late: u32,
}

impl From<CreditingBody> for Crediting {
    fn from(body: CreditingBody) -> Self {
        let crediting = body.credit_usd.map_or_else(Crediting::as_asked, Crediting::of).late(body.late);
        let crediting = body.says.iter().fold(crediting, |crediting, json| crediting.says(json));
        match body.calls.into() {
            Calls::Always => crediting.always(),
            Calls::First(count) => crediting.first(count),
            Calls::Nth(number) => crediting.nth(number),
        }
    }
}

/// `{"calls": {"first": 1}, "even_if_covered": true, "set": {"/x402/currency": "EUR"}, "without": ["/balance_usd"]}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChallengeBody {
    #[serde(default)]
    calls: CallsBody,
    #[serde(default)]
    even_if_covered: bool,
    #[serde(default)]
    unbound: bool,
    #[serde(default)]
    expired: bool,
    #[serde(default)]
    set: IndexMap<String, Box<RawValue>>,
    #[serde(default)]
    without: Vec<String>,
}

impl From<ChallengeBody> for Challenge {
    fn from(body: ChallengeBody) -> Self {
        let given = |set: bool, challenge: Challenge, with: fn(Challenge) -> Challenge| {
            if set { with(challenge) } else { challenge }
        };
        let challenge = given(body.even_if_covered, Challenge::new(), Challenge::even_if_covered);
        let challenge = given(body.unbound, challenge, Challenge::unbound);
        let challenge = given(body.expired, challenge, Challenge::expired);
        let challenge = body.set.iter().fold(challenge, |challenge, (path, json)| challenge.set(path, json));
        let challenge = body.without.iter().fold(challenge, |challenge, path| challenge.without(path));
        match body.calls.into() {
            Calls::Always => challenge.always(),
            Calls::First(count) => challenge.first(count),
            Calls::Nth(number) => challenge.nth(number),
        }
    }
}
