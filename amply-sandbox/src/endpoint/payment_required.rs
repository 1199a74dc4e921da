//! The 402 of a route that is not paid: in the form of `amply.x402/1` where the server announces payments by x402, and with
//! open x402 offers where it takes them.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode},
};
use serde::Serialize;

use super::{
    BASE, gate,
    manifest::{TOP_UP_PAGE, X402_SPEC},
    open_payment::Demands,
    reply::{self, KEYED, Stamp},
    route::Asked,
};
use crate::{
    challenge::{Challenge, Document},
    clock::Timestamp,
    money::NanoUsd,
    state::State,
};

const PAYMENT_REQUIRED: HeaderName = HeaderName::from_static("x-amply-payment-required");
const SPEC: HeaderName = HeaderName::from_static("x-amply-x402-spec");

/// What a route would have cost, and what there was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortfall {
    pub(super) price: NanoUsd,
    /// `None` of a caller who has no wallet.
    pub(super) balance: Option<NanoUsd>,
}

impl Shortfall {
    fn amount(self) -> NanoUsd {
        let short = NanoUsd(self.price.0.saturating_sub(self.balance.unwrap_or_default().0));
        // A challenge may ask for money that is there: then for the price of one route.
        if short > NanoUsd::default() { short } else { self.price }
    }
}

pub(super) fn reply(
    asked: Asked,
    state: &State,
    stamp: &Stamp,
    shortfall: Shortfall,
    challenge: &Challenge,
    demands: Option<&Demands>,
) -> Response<Body> {
    let mut body = match demands {
        Some(demands) if !demands.are_beside_wallet() => Document::default(),
        _ => document(asked, state, stamp, shortfall, challenge, demands),
    };
    if let Some(demands) = demands {
        demands.put_into(&mut body);
    }
    challenge.edit(&mut body);
    let mut response = reply::json_text(StatusCode::PAYMENT_REQUIRED, KEYED, body.text());
    if body.has("/x402") {
        // [our] the value: the documentation says only when the header is there.
        response.headers_mut().insert(PAYMENT_REQUIRED, HeaderValue::from_static("1"));
        response.headers_mut().insert(SPEC, HeaderValue::from_static(X402_SPEC));
    }
    let response = stamp.on(stamp.compute_ms(), response);
    let response = match demands {
        Some(demands) => demands.put_onto(response),
        None => response,
    };
    if challenge.says_unbound() { gate::tell_unbound(response) } else { response }
}

/// As it should be. The names of the first part are [doc]; in `x402` all but `spec` is [our].
fn document(
    asked: Asked,
    state: &State,
    stamp: &Stamp,
    shortfall: Shortfall,
    challenge: &Challenge,
    demands: Option<&Demands>,
) -> Document {
    let Shortfall { price, balance } = shortfall;
    let amount = shortfall.amount();
    let mut body = Document::default();
    let mut set = |path: &str, value: &dyn Json| body.set(path, value.text());
    // [our] without a wallet: the documentation knows no such 402.
    let detail = match balance {
        Some(balance) => {
            format!("The wallet holds {balance} USD and a route costs {price} USD: {amount} USD are missing")
        }
        None => format!("A route costs {price} USD, and there is no wallet to take it from"),
    };
    set("/detail", &detail);
    set("/request_id", &stamp.request_id);
    set("/error", &"insufficient_balance");
    set("/shortfall_usd", &amount);
    if let Some(balance) = balance {
        set("/balance_usd", &balance);
    }
    set("/top_up_url", &format!("{}{TOP_UP_PAGE}", state.origin));
    if state.settings.x402 || demands.is_some_and(Demands::are_in_amply_object) {
        let now = state.control.clock().now();
        let expires_at = Timestamp(now.0.saturating_add(challenge.expires_in_ms()));
        set("/x402/spec", &X402_SPEC);
        set("/x402/challenge_id", &format!("chl_{}", state.ids.next()));
        set("/x402/amount_usd", &amount);
        set("/x402/currency", &"USD");
        set("/x402/expires_at", &expires_at.to_millis_text());
        if balance.is_some() {
            set("/x402/top_up/method", &"POST");
            set("/x402/top_up/path", &format!("{BASE}/billing/topup"));
        }
        set("/x402/retry/method", &"POST");
        set("/x402/retry/path", &format!("{BASE}{}", asked.path()));
        set("/x402/accepts", &[(); 0]);
        if let Some(demands) = demands.filter(|demands| demands.are_in_amply_object()) {
            body.set("/x402/accepts", demands.accepts());
        }
    }
    body
}

/// A value of a field, whatever its type.
trait Json {
    fn text(&self) -> String;
}

impl<T: Serialize> Json for T {
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned())
    }
}
