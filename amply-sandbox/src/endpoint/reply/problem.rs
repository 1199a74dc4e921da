//! Errors as JSON: what 3.1.12 was seen to send, and the code that 3.1.13 adds.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use serde::Serialize;

use super::{Access, Stamp, json};

/// An error before it is sent.
#[derive(Clone, Debug)]
pub(in crate::endpoint) struct Problem {
    status: StatusCode,
    detail: String,
    code: Option<Cow<'static, str>>,
    retry_after_sec: Option<u64>,
}

impl Problem {
    pub(in crate::endpoint) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem { status, detail: detail.into(), code: None, retry_after_sec: None }
    }

    /// For machines. Sent since 3.1.13, and only where the documentation has a word.
    pub(in crate::endpoint) fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    pub(in crate::endpoint) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_sec = Some(seconds);
        self
    }

    pub(in crate::endpoint) fn reply(self, stamp: &Stamp, access: Access) -> Response<Body> {
        let body = ErrorBody {
            detail: &self.detail,
            retry_after_sec: self.retry_after_sec,
            request_id: &stamp.request_id,
            error: self.code.as_deref().filter(|_| stamp.release.is_documented()),
        };
        let mut response = json(self.status, access, &body);
        if let Some(seconds) = self.retry_after_sec {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        stamp.on(stamp.compute_ms(), response)
    }
}

/// The order of these fields is the order on the wire.
#[derive(Serialize)]
struct ErrorBody<'a> {
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_sec: Option<u64>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}
