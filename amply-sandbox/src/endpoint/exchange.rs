//! One exchange from outside: reads the body within its limit, takes the call down, and sets what all answers share.

use std::{future::poll_fn, pin::Pin};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use indexmap::IndexMap;
use serde_json::value::{RawValue, to_raw_value};

use super::{credentials, fault};
use crate::{control::log::Call, json, state::Shared};

/// [our] the server's own limit is not known.
const BODY_AT_MOST: usize = 1024 * 1024;
/// Beyond the limit this much more is read and thrown away, so that a client which first sends all sees the 413 and not a
/// broken connection.
const DRAINED_AT_MOST: usize = 64 * 1024 * 1024;
const VARY: HeaderValue = HeaderValue::from_static(
    "rsc, next-router-state-tree, next-router-prefetch, next-router-segment-prefetch",
);

/// A request's body, in the extensions of the request.
#[derive(Clone, Debug)]
pub(super) enum ReceivedBody {
    Whole(Bytes),
    TooLarge,
}

pub(super) async fn observe(State(state): State<Shared>, mut request: Request, next: Next) -> Response {
    let (body, read) = read(std::mem::take(request.body_mut())).await;
    let number = state.control.log().arrived(Call {
        method: request.method().to_string(),
        path: request.uri().path_and_query().map_or_else(|| request.uri().to_string(), ToString::to_string),
        headers: texts(request.headers()),
        body: if credentials::are_at(request.uri()) {
            without_secrets(&read)
        } else {
            String::from_utf8_lossy(&read).into_owned()
        },
        status: 0,
    });
    request.extensions_mut().insert(body);

    let (mut response, is_answered) = match state.control.faults().of_call(request.uri().path()) {
        Some(fault) => fault::carry_out(&fault, &state, request, next).await,
        None => (next.run(request).await, true),
    };
    let status = response.status();
    // The router adds it; the server does not send it.
    response.headers_mut().remove(header::ALLOW);
    if !matches!(status, StatusCode::NOT_FOUND | StatusCode::PERMANENT_REDIRECT) {
        response.headers_mut().insert(header::VARY, VARY);
    }
    if is_answered {
        state.control.log().answered(number, status.as_u16());
    }
    response
}

/// The body for the endpoint, and what was read of it for the record.
async fn read(mut body: Body) -> (ReceivedBody, Bytes) {
    let mut read = Vec::new();
    let mut total = 0_usize;
    // A client that breaks off leaves what came so far: an incomplete document, which the endpoint refuses as such.
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.into_data() else { continue };
        total = total.saturating_add(data.len());
        let room = BODY_AT_MOST.saturating_sub(read.len());
        read.extend_from_slice(data.get(..room).unwrap_or(&data));
        if total > DRAINED_AT_MOST {
            break;
        }
    }
    let read = Bytes::from(read);
    let body = if total > BODY_AT_MOST { ReceivedBody::TooLarge } else { ReceivedBody::Whole(read.clone()) };
    (body, read)
}

/// A body that may have a secret, as it may be seen: what is known to be none stays, and a body that cannot be read goes.
fn without_secrets(body: &Bytes) -> String {
    const REDACTED: &str = "(redacted)";
    if body.is_empty() {
        return String::new();
    }
    let fields: Result<IndexMap<String, Box<RawValue>>, _> = serde_json::from_str(&json::text_of_body(body));
    let shown = fields.ok().and_then(|mut fields| {
        for (name, value) in &mut fields {
            if !credentials::READABLE.contains(&name.as_str()) {
                *value = to_raw_value(REDACTED).ok()?;
            }
        }
        serde_json::to_string(&fields).ok()
    });
    shown.unwrap_or_else(|| REDACTED.to_owned())
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
