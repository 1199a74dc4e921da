//! What answers share: JSON, the headers with request id and time, the access-control headers.

mod problem;

use std::time::Instant;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use serde::Serialize;

pub(super) use problem::Problem;

use crate::{release::Release, state::State};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amply-request-id");
const COMPUTE_MS: HeaderName = HeaderName::from_static("x-amply-compute-ms");

/// Which requests a browser may send to an endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    headers: &'static str,
    methods: &'static str,
}

/// For endpoints that read no key.
pub(super) const PUBLIC: Access = Access { headers: "Content-Type, Accept", methods: "GET, OPTIONS" };
/// For endpoints that do.
pub(super) const KEYED: Access =
    Access { headers: "Content-Type, Accept, Authorization", methods: "GET, POST, OPTIONS" };

/// For those whose things can be removed.
pub(super) const CREDENTIALS: Access =
    Access { headers: "Content-Type, Accept, Authorization", methods: "GET, POST, DELETE, OPTIONS" };

/// The id of an exchange and when it began.
#[derive(Debug)]
pub(super) struct Stamp {
    pub(super) request_id: String,
    began: Instant,
    release: Release,
}

impl Stamp {
    pub(super) fn new(state: &State) -> Self {
        Stamp { request_id: state.ids.next(), began: Instant::now(), release: state.settings.release }
    }

    /// Milliseconds of work so far, whole.
    pub(super) fn compute_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Sets the headers that repeat id and time of a body.
    pub(super) fn on(&self, compute_ms: u64, mut response: Response<Body>) -> Response<Body> {
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response.headers_mut().insert(COMPUTE_MS, HeaderValue::from(compute_ms));
        response
    }
}

/// `body` as JSON, keys in the order of its declaration.
pub(super) fn json(status: StatusCode, access: Access, body: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(body) {
        Ok(text) => json_text(status, access, text),
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// A body that already is JSON text.
pub(super) fn json_text(status: StatusCode, access: Access, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    allow(access, response)
}

pub(super) fn options(access: Access) -> Response<Body> {
    allow(access, empty(StatusCode::NO_CONTENT))
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn allow(access: Access, mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(access.headers));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(access.methods));
    response
}
