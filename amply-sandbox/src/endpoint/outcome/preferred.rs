//! `POST /outcome`.

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode},
};
use serde::Serialize;

use super::{report, route_id};
use crate::{
    endpoint::{
        exchange::ReceivedBody,
        fields::Fields,
        reply::{self, KEYED, Stamp},
    },
    outcomes::{Receipt, Verdict},
    state::Shared,
};

/// [our] a year, in milliseconds.
const LATENCY_AT_MOST: f64 = 31_536_000_000.0;
/// The longest error code, in bytes.
const CODE_AT_MOST: usize = 64;

const ROUTE_ID: &str = "route_id is required (1 to 64 characters)";
const SUCCESS: &str = "success must be true or false";
const LATENCY: &str = "actual_latency_ms must be a number from 0 to 31536000000 when provided";
const ERROR_CODE: &str = "error_code must be 1–64 chars when provided: a–z, digits, . _ : -";

pub(in crate::endpoint) async fn post(
    State(state): State<Shared>,
    headers: HeaderMap,
    Extension(body): Extension<ReceivedBody>,
) -> Response<Body> {
    let stamp = Stamp::new(&state);
    match report(&state, &headers, &body, read) {
        Ok(receipt) => {
            stamp.on(stamp.compute_ms(), reply::json(StatusCode::OK, KEYED, &OutcomeBody::of(receipt)))
        }
        Err(problem) => problem.reply(&stamp, KEYED),
    }
}

#[derive(Serialize)]
struct OutcomeBody {
    received: bool,
    credits_awarded: u32,
    /// [our] there when it is true.
    #[serde(skip_serializing_if = "is_false")]
    duplicate: bool,
}

impl OutcomeBody {
    fn of(receipt: Receipt) -> Self {
        OutcomeBody {
            received: true,
            credits_awarded: receipt.credits_awarded,
            duplicate: receipt.is_duplicate,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// [our] what is refused. Nothing is turned into something else: who reports `"false"` does not mean false.
fn read(fields: &Fields<'_>) -> Result<(String, Verdict), &'static str> {
    let route_id = route_id(fields, "route_id").ok_or(ROUTE_ID)?;
    let success = match fields.get("success").map(|value| value.get()) {
        Some("true") => true,
        Some("false") => false,
        _ => return Err(SUCCESS),
    };
    let actual_latency_ms = match fields.get("actual_latency_ms") {
        None => None,
        Some(value) => Some(latency(value.get()).ok_or(LATENCY)?),
    };
    let error_code = match fields.get("error_code") {
        None => None,
        Some(_) => Some(fields.text("error_code").filter(|code| is_error_code(code)).ok_or(ERROR_CODE)?),
    };
    Ok((route_id, Verdict::Outcome { success, actual_latency_ms, error_code }))
}

fn latency(json: &str) -> Option<f64> {
    let number: f64 = serde_json::from_str(json).ok()?;
    (0.0..=LATENCY_AT_MOST).contains(&number).then_some(number)
}

fn is_error_code(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.:-".contains(&b);
    (1..=CODE_AT_MOST).contains(&text.len()) && text.bytes().all(is_allowed)
}
