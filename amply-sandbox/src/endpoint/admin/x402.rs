//! The open payments of a sandbox over HTTP: what was settled, what payers have, and what goes wrong.

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
    control::x402::SetPayerError,
    endpoint::reply::{self, KEYED},
    money::NanoUsd,
    state::Shared,
    x402::{
        authorization::Address,
        misbehaviour::{Offering, Settling},
        settle::Settlement,
    },
};

pub(super) async fn settlements(State(state): State<Shared>) -> Response<Body> {
    reply::json(StatusCode::OK, KEYED, &Settlements { settlements: state.control.settlements() })
}

/// Tells what an address can pay; limits it first if it is asked to.
pub(super) async fn payer(State(state): State<Shared>, body: Bytes) -> Response<Body> {
    let body: PayerBody = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let set = match body.set_usd {
        Some(balance) => state.control.set_payer_balance(&body.address, balance),
        None => Address::parse(&body.address).map(|_| ()).ok_or(SetPayerError::NotAnAddress),
    };
    if let Err(error) = set {
        return refused(StatusCode::BAD_REQUEST, &error.to_string());
    }
    let balance_usd = state.control.payer_balance(&body.address);
    reply::json(StatusCode::OK, KEYED, &Payer { ok: true, address: body.address, balance_usd })
}

pub(super) async fn add_offering(State(state): State<Shared>, body: Bytes) -> Response<Body> {
    read(&body, |body: OfferingBody| state.control.offering(body.into()))
}

pub(super) async fn clear_offerings(State(state): State<Shared>) -> Response<Body> {
    state.control.clear_offerings();
    done()
}

pub(super) async fn add_settling(State(state): State<Shared>, body: Bytes) -> Response<Body> {
    read(&body, |body: SettlingBody| state.control.settling(body.into()))
}

pub(super) async fn clear_settlings(State(state): State<Shared>) -> Response<Body> {
    state.control.clear_settlings();
    done()
}

#[derive(Serialize)]
struct Settlements {
    settlements: Vec<Settlement>,
}

/// `{"address": "0x…", "set_usd": "0.05"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayerBody {
    address: String,
    set_usd: Option<NanoUsd>,
}

#[derive(Serialize)]
struct Payer {
    ok: bool,
    address: String,
    balance_usd: Option<NanoUsd>,
}

/// `{"calls": {"nth": 1}, "set": {"/payTo": "0x…"}}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfferingBody {
    #[serde(default)]
    calls: CallsBody,
    #[serde(default)]
    changing_pay_to: bool,
    #[serde(default)]
    upfront: bool,
    amount: Option<Box<RawValue>>,
    #[serde(default)]
    set: IndexMap<String, Box<RawValue>>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    set_around: IndexMap<String, Box<RawValue>>,
}

impl From<OfferingBody> for Offering {
    fn from(body: OfferingBody) -> Self {
        let given = |set: bool, offering: Offering, with: fn(Offering) -> Offering| {
            if set { with(offering) } else { offering }
        };
        let offering = given(body.changing_pay_to, Offering::new(), Offering::changing_pay_to);
        let offering = given(body.upfront, offering, Offering::upfront);
        let offering = body.amount.iter().fold(offering, |offering, json| offering.amount(json));
        let offering = body.set.iter().fold(offering, |offering, (path, json)| offering.set(path, json));
        let offering = body.without.iter().fold(offering, |offering, path| offering.without(path));
        let offering =
            body.set_around.iter().fold(offering, |offering, (path, json)| offering.set_around(path, json));
        match body.calls.into() {
            Calls::Always => offering.always(),
            Calls::First(count) => offering.first(count),
            Calls::Nth(number) => offering.nth(number),
        }
    }
}

/// `{"calls": {"first": 1}, "money": {"late": 2}, "says": {"failed_with_transaction": "settlement_pending"}}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettlingBody {
    #[serde(default)]
    calls: CallsBody,
    #[serde(default)]
    money: MoneyBody,
    #[serde(default)]
    says: SaysBody,
    #[serde(default)]
    handler_fails: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum MoneyBody {
    #[default]
    Now,
    Late(u32),
    Never,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum SaysBody {
    #[default]
    Settled,
    Failed(String),
    FailedWithTransaction(String),
    Refused(String),
    Status(u16),
    Nothing,
    NoReceipt,
    GarbageReceipt,
    Receipt(Box<RawValue>),
}

impl From<SettlingBody> for Settling {
    fn from(body: SettlingBody) -> Self {
        let settling = match body.money {
            MoneyBody::Now => Settling::as_asked(),
            MoneyBody::Late(looks) => Settling::as_asked().late(looks),
            MoneyBody::Never => Settling::nothing(),
        };
        let settling = match body.says {
            SaysBody::Settled => settling,
            SaysBody::Failed(reason) => settling.says_failed(&reason),
            SaysBody::FailedWithTransaction(reason) => settling.says_failed_with_transaction(&reason),
            SaysBody::Refused(reason) => Settling::refused(&reason),
            SaysBody::Status(status) => settling.answers(status),
            SaysBody::Nothing => settling.never_answers(),
            SaysBody::NoReceipt => settling.without_receipt(),
            SaysBody::GarbageReceipt => settling.garbage_receipt(),
            SaysBody::Receipt(json) => settling.receipt(&json),
        };
        let settling = if body.handler_fails { settling.handler_fails() } else { settling };
        match body.calls.into() {
            Calls::Always => settling.always(),
            Calls::First(count) => settling.first(count),
            Calls::Nth(number) => settling.nth(number),
        }
    }
}
