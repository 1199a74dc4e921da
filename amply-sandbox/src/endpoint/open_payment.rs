//! Open x402 payments on the wire: offers in a 402, the payment of a request, the receipt of an answer.
//!
//! What a payment must be and whether it moves money is decided in `x402`.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use serde::Serialize;
use serde_json::json;

use super::{
    BASE,
    reply::{self, KEYED, Stamp},
    route::Asked,
};
use crate::{
    challenge::Document,
    money::NanoUsd,
    state::State,
    x402::{
        Version,
        accept::{OpenPayments, Place},
        misbehaviour::{Money, Says, Settling},
        offer::{Demand, Price},
        payment::{self, Facts, Payment},
        settle::Settlement,
    },
};

const X_PAYMENT: HeaderName = HeaderName::from_static("x-payment");
const PAYMENT_SIGNATURE: HeaderName = HeaderName::from_static("payment-signature");
const PAYMENT_REQUIRED: HeaderName = HeaderName::from_static("payment-required");
const X_PAYMENT_RESPONSE: HeaderName = HeaderName::from_static("x-payment-response");
const PAYMENT_RESPONSE: HeaderName = HeaderName::from_static("payment-response");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What one request that has to be paid is offered: once for each version that the server speaks.
pub(super) struct Demands {
    all: Vec<Demand>,
    place: Place,
}

impl Demands {
    /// The offers of the request that has come in; counts it.
    pub(super) fn of(asked: Asked, state: &State, open: &OpenPayments, price: NanoUsd) -> Self {
        let books = state.control.x402();
        books.settlements.look(now(state));
        let (offering, number) = books.next_offering();
        let pay_to = match &open.pay_to {
            Some(pay_to) if !offering.changes_pay_to() => pay_to.clone(),
            _ => open.other_address(number.saturating_add(1)),
        };
        let resource = format!("{}{BASE}{}", state.origin, asked.path());
        let price = Price { usd: price, pay_to: &pay_to, resource: &resource };
        let all = open.versions().map(|version| Demand::of(version, open, price, &offering));
        Demands { all: all.collect(), place: open.place }
    }

    /// Whether Amply's own words are in the body of a 402.
    pub(super) fn are_beside_wallet(&self) -> bool {
        self.place != Place::Own
    }

    /// Whether they need Amply's object to be in.
    pub(super) fn are_in_amply_object(&self) -> bool {
        self.place == Place::AmplyObject
    }

    /// The offers of all versions as a JSON array, for Amply's object.
    pub(super) fn accepts(&self) -> String {
        let texts: Vec<String> = self.all.iter().flat_map(Demand::texts).collect();
        format!("[{}]", texts.join(","))
    }

    /// Puts the offers of version 1 into the body of a 402, whose `error` stays if it has one.
    pub(super) fn put_into(&self, body: &mut Document) {
        if let Some(demand) = self.outside().find(|demand| demand.version == Version::V1) {
            body.add(demand.object(payment::nothing_paid(Version::V1)));
        }
    }

    /// Puts those of version 2 into its header.
    pub(super) fn put_onto(&self, response: Response<Body>) -> Response<Body> {
        match self.outside().find(|demand| demand.version == Version::V2) {
            Some(demand) => required(demand, payment::nothing_paid(Version::V2), response),
            None => response,
        }
    }

    fn outside(&self) -> impl Iterator<Item = &Demand> {
        self.all.iter().filter(|_| !self.are_in_amply_object())
    }
}

/// The payment header that a request has and this server reads.
pub(super) fn presented(headers: &HeaderMap, open: &OpenPayments) -> Option<(Version, String)> {
    open.versions().find_map(|version| {
        let name = match version {
            Version::V1 => X_PAYMENT,
            Version::V2 => PAYMENT_SIGNATURE,
        };
        headers.get(name).map(|value| (version, String::from_utf8_lossy(value.as_bytes()).into_owned()))
    })
}

/// A payment that is in order, on the way to its route.
pub(super) struct Verified {
    payment: Payment,
    demand: Demand,
    settling: Settling,
    settlement: Settlement,
}

/// Why there is no route for a payment.
pub(super) enum Stopped {
    Answered(Box<Response<Body>>),
    /// There is never to be an answer.
    Held,
}

impl Stopped {
    fn with(stamp: &Stamp, response: Response<Body>) -> Self {
        Stopped::Answered(Box::new(stamp.on(stamp.compute_ms(), response)))
    }
}

/// The payment of a request against the offers of the same, or the 402 that refuses it.
pub(super) fn verify(
    state: &State,
    stamp: &Stamp,
    demands: Demands,
    (version, header): (Version, String),
    headers: &HeaderMap,
) -> Result<Verified, Box<Response<Body>>> {
    let refused = |demand: &Demand, reason: &str, payer: Option<&str>| {
        Box::new(stamp.on(stamp.compute_ms(), refusal(demand, reason, payer)))
    };
    let demand = demands.all.into_iter().find(|demand| demand.version == version);
    let demand = demand.ok_or_else(|| Box::new(reply::empty(StatusCode::INTERNAL_SERVER_ERROR)))?;
    let books = state.control.x402();
    let facts = Facts {
        now: now(state),
        is_used: &|payment| books.settlements.is_used(payment),
        can_pay: &|payment| books.settlements.can_pay(payment),
    };
    let payment = payment::verify(&header, &demand, &facts)
        .map_err(|refusal| refused(&demand, &refusal.reason, refusal.payer.as_deref()))?;
    let settling = books.next_settling();
    if let Says::Refused(reason) = &settling.says {
        return Err(refused(&demand, reason, Some(&payment.payer)));
    }
    let idempotency_key = headers.get(IDEMPOTENCY_KEY);
    let idempotency_key = idempotency_key.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
    let settlement = Settlement::of(&payment, idempotency_key);
    Ok(Verified { payment, demand, settling, settlement })
}

impl Verified {
    /// Runs the handler and settles, in the order that was offered.
    pub(super) fn run(
        self,
        state: &State,
        stamp: &Stamp,
        handler: impl FnOnce() -> Response<Body>,
    ) -> Result<Response<Body>, Stopped> {
        let fails = self.settling.handler_fails;
        let handle = || if fails { answer(500, &json!({ "detail": "handler failed" })) } else { handler() };
        if self.payment.is_upfront {
            self.settle(state, stamp)?;
            return Ok(self.receipt_on(handle()));
        }
        let response = handle();
        if !response.status().is_success() {
            return Err(Stopped::with(stamp, response));
        }
        self.settle(state, stamp)?;
        Ok(self.receipt_on(response))
    }

    /// Moves the money as it is set; `Err` with what is then said in place of the route.
    fn settle(&self, state: &State, stamp: &Stamp) -> Result<(), Stopped> {
        let settlements = &state.control.x402().settlements;
        let moved = match self.settling.money {
            Money::Now => settlements.settle(&self.payment, self.settlement.clone()),
            Money::AfterLooks(looks) => {
                settlements.settle_late(&self.payment, self.settlement.clone(), looks);
                Ok(())
            }
            Money::Never => Ok(()),
        };
        match (&self.settling.says, moved) {
            (Says::Settled, Err(reason)) => Err(Stopped::with(stamp, self.failure(reason, false))),
            (Says::Settled | Says::Receipt(_) | Says::Refused(_), _) => Ok(()),
            (Says::Failed { reason, with_transaction }, _) => {
                Err(Stopped::with(stamp, self.failure(reason, *with_transaction)))
            }
            (Says::Status(status), _) => {
                let words = "Facilitator settle returned invalid JSON: {\"success\":";
                Err(Stopped::with(stamp, answer(*status, &json!({ "error": words }))))
            }
            (Says::Nothing, _) => Err(Stopped::Held),
        }
    }

    /// The 402 after a payment that was in order and did not settle, true or not.
    fn failure(&self, reason: &str, with_transaction: bool) -> Response<Body> {
        match self.payment.version {
            // Against the specification there is no receipt.
            Version::V1 => refusal(&self.demand, reason, None),
            Version::V2 => {
                // Words in place of a code are the server's own: it knows neither the payer nor a code then.
                let words = reason.contains(' ');
                let receipt = Receipt {
                    success: false,
                    error_reason: Some(reason),
                    error_message: words.then_some(reason),
                    payer: (!words).then_some(&self.payment.payer),
                    transaction: if with_transaction { &self.settlement.transaction } else { "" },
                    network: &self.payment.network,
                };
                let mut response = answer(402, &json!({}));
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                with(response, PAYMENT_RESPONSE, &encoded(&receipt))
            }
        }
    }

    fn receipt_on(&self, mut response: Response<Body>) -> Response<Body> {
        let name = match self.payment.version {
            Version::V1 => X_PAYMENT_RESPONSE,
            Version::V2 => PAYMENT_RESPONSE,
        };
        if self.payment.version == Version::V2 {
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
        }
        match &self.settling.says {
            Says::Receipt(None) => response,
            Says::Receipt(Some(text)) => with(response, name, text),
            _ => {
                let receipt = Receipt {
                    success: true,
                    error_reason: None,
                    error_message: None,
                    payer: Some(&self.payment.payer),
                    transaction: &self.settlement.transaction,
                    network: &self.payment.network,
                };
                with(response, name, &encoded(&receipt))
            }
        }
    }
}

/// The order of these fields is the order on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Receipt<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payer: Option<&'a str>,
    transaction: &'a str,
    network: &'a str,
}

fn encoded(receipt: &Receipt<'_>) -> String {
    payment::encode(&serde_json::to_vec(receipt).unwrap_or_default())
}

/// A 402 with new offers, and why the payment was not taken.
///
/// [our] it has the form of the payment's version, wherever the offers of the first 402 were.
fn refusal(demand: &Demand, reason: &str, payer: Option<&str>) -> Response<Body> {
    match demand.version {
        Version::V1 => {
            let mut body = demand.object(reason);
            if let Some(payer) = payer {
                body.set("/payer", json!(payer).to_string());
            }
            reply::json_text(StatusCode::PAYMENT_REQUIRED, KEYED, body.text())
        }
        Version::V2 => required(demand, reason, answer(402, &json!({}))),
    }
}

/// Version 2 says all in a header.
fn required(demand: &Demand, reason: &str, mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    with(response, PAYMENT_REQUIRED, &payment::encode(demand.object(reason).text().as_bytes()))
}

fn with(mut response: Response<Body>, name: HeaderName, value: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

fn answer(status: u16, body: &serde_json::Value) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply::json_text(status, KEYED, body.to_string())
}

/// Seconds since 1970, whole ones.
fn now(state: &State) -> u64 {
    u64::try_from(state.control.clock().now().0 / 1000).unwrap_or(0)
}
