//! What stands before a route: the rate limit, then the key, then the daily quota. And the headers that tell who was let in.

use std::net::SocketAddr;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode},
};

use super::reply::Problem;
use crate::{auth, auth::Caller, state::State};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PRINCIPAL_BOUND: HeaderName = HeaderName::from_static("x-amply-principal-bound");
const AUTH_SOURCE: HeaderName = HeaderName::from_static("x-amply-auth-source");
const METERING: HeaderName = HeaderName::from_static("x-amply-metering");
const ECONOMICS: HeaderName = HeaderName::from_static("x-amply-economics");

/// Lets a request pass, whatever is in its body.
pub(super) fn enter(state: &State, headers: &HeaderMap, peer: SocketAddr) -> Result<Caller, Problem> {
    // The limit comes first, so that refused requests count: a key that is guessed at is slowed down too.
    if let Some(limit) = state.settings.rate_limit {
        let now = state.control.clock().now();
        state.minutes.take_of_minute(&client(headers, peer), limit, now).map_err(too_many)?;
    }
    auth::check(headers, &state.keys, state.settings.require_api_key)
        .map_err(|detail| Problem::new(StatusCode::UNAUTHORIZED, detail))
}

/// The principal behind a request to an endpoint that is there for one alone: a key is needed even where a route needs none.
/// `what` is what a server key does not have.
pub(super) fn principal(state: &State, headers: &HeaderMap, what: &str) -> Result<String, Problem> {
    let caller = auth::check(headers, &state.keys, true)
        .map_err(|detail| Problem::new(StatusCode::UNAUTHORIZED, detail))?;
    caller.principal().map(str::to_owned).ok_or_else(|| {
        let detail =
            format!("No principal stands behind a server key, and so no {what}; use a user key (amply_sk_…)");
        Problem::new(StatusCode::FORBIDDEN, detail).code("principal_required")
    })
}

/// Lets a valid request pass on account of who sends it, and takes one of the principal's routes of the day.
pub(super) fn spend(state: &State, caller: &Caller, sandbox_mode: bool) -> Result<(), Problem> {
    if !state.settings.release.is_documented() {
        return Ok(());
    }
    if state.settings.require_principal && !caller.is_bound() && !sandbox_mode {
        let detail =
            "This server routes only for a principal; use a user key (amply_sk_…) instead of a server key";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail).code("principal_required"));
    }
    // [our] a quota counts what was answered, and there is none where there is no principal to count it for.
    if let (Some(limit), Some(principal)) = (state.settings.daily_quota, caller.principal()) {
        let now = state.control.clock().now();
        state.days.take_of_day(principal, limit, now).map_err(|wait| {
            let detail = format!("Daily quota of {limit} routes is used up; it begins anew at 00:00 UTC");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).code("quota_exceeded").retry_after(wait)
        })?;
    }
    Ok(())
}

/// Gives back the route of the day that [`spend`] took, for a caller who then gets none.
pub(super) fn give_back(state: &State, caller: &Caller) {
    if let (Some(_), Some(principal)) = (state.settings.daily_quota, caller.principal()) {
        state.days.give_back(principal, state.control.clock().now());
    }
}

/// Sets the headers that say whether a principal stands behind the key, as 3.1.13 does.
///
/// [our] on every answer to a caller that is known, errors included; not on 401 and `rate_limited`, which are sent before
/// anybody knows.
pub(super) fn tell(state: &State, caller: &Caller, mut response: Response<Body>) -> Response<Body> {
    if !state.settings.release.is_documented() {
        return response;
    }
    let headers = response.headers_mut();
    let bound = if caller.is_bound() { "1" } else { "0" };
    // Unless the answer is made to say otherwise.
    headers.entry(PRINCIPAL_BOUND).or_insert(HeaderValue::from_static(bound));
    headers.insert(AUTH_SOURCE, HeaderValue::from_static(caller.source()));
    if state.settings.metering {
        headers.insert(METERING, HeaderValue::from_static("on"));
        headers.insert(ECONOMICS, HeaderValue::from_static(economics_mode(caller)));
    }
    response
}

/// Makes an answer say that no principal stands behind the key, whoever calls.
pub(super) fn tell_unbound(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(PRINCIPAL_BOUND, HeaderValue::from_static("0"));
    response
}

pub(super) fn economics_mode(caller: &Caller) -> &'static str {
    if caller.is_bound() { "settlement_eligible" } else { "recommendation_only_no_principal" }
}

/// Whole seconds until the client may call again.
pub(super) fn too_many(wait: u64) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests").code("rate_limited").retry_after(wait)
}

/// Whom the rate limit counts: the first that a proxy names, else the address of the connection.
pub(super) fn client(headers: &HeaderMap, peer: SocketAddr) -> String {
    let forwarded = headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok());
    let first = forwarded.and_then(|list| list.split(',').next()).map(str::trim).filter(|ip| !ip.is_empty());
    first.map_or_else(|| peer.ip().to_string(), str::to_owned)
}
