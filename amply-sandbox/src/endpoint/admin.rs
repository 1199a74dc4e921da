//! `/__sandbox`: the control of a sandbox for those who cannot call its Rust handle. Needs the admin secret as `Bearer`.
//!
//! Not part of the API of Amply, so it lies outside of its path, is seen in no list of calls and has no faults.

mod outcomes;
mod payments;
mod x402;

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Response, StatusCode},
    middleware::{self, Next},
    routing::{get, post},
};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::reply::{self, KEYED};
use crate::{auth, calls::Calls, fault::Fault, probe::ProviderState, state::Shared};

pub(super) const BASE: &str = "/__sandbox";

pub(super) fn router(state: Shared) -> Router {
    Router::new()
        .route("/balance", post(payments::balance))
        .route("/calls", get(calls).delete(clear_calls))
        .route("/challenges", post(payments::add_challenge).delete(payments::clear_challenges))
        .route("/creditings", post(payments::add_crediting).delete(payments::clear_creditings))
        .route("/credentials", get(credentials))
        .route("/credits", get(payments::credits))
        .route("/faults", post(add_fault).delete(clear_faults))
        .route("/clock", post(advance))
        .route("/offerings", post(x402::add_offering).delete(x402::clear_offerings))
        .route("/outcomes", get(outcomes::outcomes))
        .route("/payers", post(x402::payer))
        .route("/probes", post(set_probe))
        .route("/settlements", get(x402::settlements))
        .route("/settlings", post(x402::add_settling).delete(x402::clear_settlings))
        .layer(middleware::from_fn_with_state(Shared::clone(&state), admins_only))
        .with_state(state)
}

async fn admins_only(State(state): State<Shared>, request: Request, next: Next) -> Response<Body> {
    if auth::is_admin(request.headers(), &state.keys) {
        next.run(request).await
    } else {
        refused(StatusCode::UNAUTHORIZED, "the control needs the sandbox's admin secret as Bearer")
    }
}

async fn calls(State(state): State<Shared>) -> Response<Body> {
    reply::json(StatusCode::OK, KEYED, &json!({ "calls": state.control.calls() }))
}

async fn credentials(State(state): State<Shared>) -> Response<Body> {
    reply::json(StatusCode::OK, KEYED, &json!({ "credentials": state.control.credentials() }))
}

async fn clear_calls(State(state): State<Shared>) -> Response<Body> {
    state.control.clear();
    done()
}

async fn add_fault(State(state): State<Shared>, body: Bytes) -> Response<Body> {
    read(&body, |body: FaultBody| state.control.fault(body.into()))
}

async fn clear_faults(State(state): State<Shared>) -> Response<Body> {
    state.control.clear_faults();
    done()
}

async fn advance(State(state): State<Shared>, body: Bytes) -> Response<Body> {
    read(&body, |body: ClockBody| state.control.advance(Duration::from_millis(body.advance_ms)))
}

async fn set_probe(State(state): State<Shared>, body: Bytes) -> Response<Body> {
    read(&body, |body: ProbeBody| state.control.set_probe(&body.provider_id, body.state))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8], then: impl FnOnce(T)) -> Response<Body> {
    match serde_json::from_slice(body) {
        Ok(read) => {
            then(read);
            done()
        }
        Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn done() -> Response<Body> {
    reply::json(StatusCode::OK, KEYED, &json!({ "ok": true }))
}

fn refused(status: StatusCode, detail: &str) -> Response<Body> {
    reply::json(status, KEYED, &json!({ "detail": detail }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockBody {
    advance_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeBody {
    provider_id: String,
    state: Option<ProviderState>,
}

/// `{"path": "/route", "calls": {"first": 2}, "effect": "after", "kind": {"status": {"status": 503}}}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultBody {
    path: Option<String>,
    #[serde(default)]
    calls: CallsBody,
    effect: Option<EffectBody>,
    kind: KindBody,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum CallsBody {
    #[default]
    Always,
    First(u64),
    Nth(u64),
}

impl From<CallsBody> for Calls {
    fn from(body: CallsBody) -> Self {
        match body {
            CallsBody::Always => Calls::Always,
            CallsBody::First(count) => Calls::First(count),
            CallsBody::Nth(number) => Calls::Nth(number),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum EffectBody {
    Before,
    After,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum KindBody {
    Status {
        status: u16,
        body: Option<Box<RawValue>>,
        #[serde(default)]
        headers: IndexMap<String, String>,
        code: Option<String>,
    },
    Html {
        status: u16,
    },
    Delay {
        ms: u64,
    },
    ResetBeforeHeaders,
    ResetAfterHeaders,
    Truncate {
        after_bytes: usize,
    },
    WrongLength {
        more: usize,
    },
    Drip {
        bytes_per_tick: usize,
        every_ms: u64,
    },
}

impl From<FaultBody> for Fault {
    fn from(body: FaultBody) -> Self {
        let fault = body.path.map_or_else(Fault::anywhere, |path| Fault::on(&path));
        let fault = match body.calls.into() {
            Calls::Always => fault.always(),
            Calls::First(count) => fault.first(count),
            Calls::Nth(number) => fault.nth(number),
        };
        let fault = match body.effect {
            None => fault,
            Some(EffectBody::Before) => fault.before_effect(),
            Some(EffectBody::After) => fault.after_effect(),
        };
        match body.kind {
            KindBody::Status { status, body, headers, code } => {
                let fault = body.iter().fold(fault.status(status), |fault, body| fault.body(body));
                let fault = code.iter().fold(fault, |fault, code| fault.code(code));
                headers.iter().fold(fault, |fault, (name, value)| fault.header(name, value))
            }
            KindBody::Html { status } => fault.html(status),
            KindBody::Delay { ms } => fault.delay(Duration::from_millis(ms)),
            KindBody::ResetBeforeHeaders => fault.reset_before_headers(),
            KindBody::ResetAfterHeaders => fault.reset_after_headers(),
            KindBody::Truncate { after_bytes } => fault.truncate(after_bytes),
            KindBody::WrongLength { more } => fault.wrong_length(more),
            KindBody::Drip { bytes_per_tick, every_ms } => {
                fault.drip(bytes_per_tick, Duration::from_millis(every_ms))
            }
        }
    }
}
