//! Carries out a fault: another answer, a late one, or a script of bytes for the connection.

use std::{collections::VecDeque, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header},
    middleware::Next,
};

use super::{
    fallback,
    reply::{self, KEYED, Problem, Stamp},
};
use crate::{
    fault::{Effect, Fault, FaultAnswer, Kind},
    state::State,
    wire::{End, Peer, Script},
};

/// The answer of a call that has a fault, and whether there is one, though it may be lost on its way.
pub(super) async fn carry_out(
    fault: &Fault,
    state: &State,
    request: Request,
    next: Next,
) -> (Response<Body>, bool) {
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer.clone());
    let method = request.method().clone();
    let after = fault.effect() == Effect::After;
    if let Kind::Delay(by) = fault.kind() {
        if after {
            let response = next.run(request).await;
            tokio::time::sleep(by).await;
            return (response, true);
        }
        // Not within the call, which ends when the client goes away: a server that is slow works on, and what it credits or
        // charges then is what a client that gave up has to expect.
        let late = tokio::spawn(async move {
            tokio::time::sleep(by).await;
            next.run(request).await
        });
        let response = late.await.unwrap_or_else(|_| reply::empty(StatusCode::INTERNAL_SERVER_ERROR));
        return (response, true);
    }
    let done = if after { Some(next.run(request).await) } else { None };
    match fault.kind() {
        Kind::Status(status) => (error(status, &fault.answer, state), true),
        Kind::Html(status) => (with_headers(page(status), &fault.answer), true),
        kind => {
            let is_answered = done.is_some() || kind != Kind::ResetBeforeHeaders;
            let response = done.unwrap_or_else(|| error(503, &fault.answer, state));
            let status = response.status();
            if let Some(peer) = peer {
                peer.play(script(kind, &method, response).await);
            }
            // Never seen: the script is sent in its place.
            (reply::empty(status), is_answered)
        }
    }
}

fn error(status: u16, answer: &FaultAnswer, state: &State) -> Response<Body> {
    let status = status_code(status);
    let stamp = Stamp::new(state);
    let response = match &answer.body {
        Some(json) => stamp.on(stamp.compute_ms(), reply::json_text(status, KEYED, json.clone())),
        None => {
            let problem = Problem::new(status, status.canonical_reason().unwrap_or("Fault"));
            let problem = answer.code.iter().fold(problem, |problem, code| problem.code(code.clone()));
            problem.reply(&stamp, KEYED)
        }
    };
    with_headers(response, answer)
}

fn page(status: u16) -> Response<Body> {
    let mut response = fallback::page();
    *response.status_mut() = status_code(status);
    response
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn with_headers(mut response: Response<Body>, answer: &FaultAnswer) -> Response<Body> {
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The bytes that stand for `response`, spoiled.
async fn script(kind: Kind, method: &Method, response: Response<Body>) -> Script {
    let (parts, body) = response.into_parts();
    // Never fails: the bodies of a sandbox are in memory.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let more = if let Kind::WrongLength { more } = kind { more } else { 0 };
    let mut headers = parts.headers;
    if method != Method::HEAD {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len().saturating_add(more)));
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let head = head(parts.status, &headers);
    let first = |count: usize| body.slice(..count.min(body.len()));
    let at_once = |parts: Vec<Bytes>, end| Script { parts: parts.into(), every: Duration::ZERO, end };
    match kind {
        Kind::ResetBeforeHeaders => at_once(Vec::new(), End::Reset),
        Kind::ResetAfterHeaders => at_once(vec![head], End::Reset),
        Kind::Truncate { after_bytes } => at_once(vec![head, first(after_bytes)], End::Close),
        Kind::Drip { bytes_per_tick, every } => {
            let whole = [head, body].concat();
            let parts: VecDeque<Bytes> =
                whole.chunks(bytes_per_tick.max(1)).map(Bytes::copy_from_slice).collect();
            Script { parts, every, end: End::Close }
        }
        Kind::Status(_) | Kind::Html(_) | Kind::Delay(_) | Kind::WrongLength { .. } => {
            at_once(vec![head, body], End::Close)
        }
    }
}

fn head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut head =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default())
            .into_bytes();
    for (name, value) in headers {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head.into()
}
