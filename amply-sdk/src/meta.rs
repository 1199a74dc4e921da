//! What is known about a call besides its answer.

use std::time::Duration;

use http::StatusCode;
use http::header::HeaderMap;

use crate::key::KeyKind;
use crate::money::Usd;

/// What is known about one call besides the answer's content: on every [`Answer`](crate::Answer), and on every
/// error of a call that was sent.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Meta {
    pub(crate) status: Option<StatusCode>,
    pub(crate) headers: HeaderMap,
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    pub(crate) body_request_id: Option<String>,
    pub(crate) key_kind: Option<KeyKind>,
    pub(crate) paid: Option<Box<(String, Usd)>>,
}

impl Meta {
    /// The HTTP status, `None` when no answer came.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The headers of the answer; empty when none came.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// How many HTTP requests this call took, retries included.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The time from the start of the call to its end, waits between attempts included.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// What the form of the key of this call says; `None` without a key.
    pub fn key_kind(&self) -> Option<KeyKind> {
        self.key_kind
    }

    /// The server's id of this request: the header `X-Amply-Request-Id`, else `request_id` of the body.
    pub fn request_id(&self) -> Option<&str> {
        self.header("x-amply-request-id").or(self.body_request_id.as_deref())
    }

    /// What the payment took that this call led, in USD; `None` when it led none. Other calls may have been served by it
    /// too.
    pub fn paid_usd(&self) -> Option<Usd> {
        self.paid.as_ref().map(|paid| paid.1)
    }

    /// The id of the payment that this call led, in the ledger.
    pub fn payment_id(&self) -> Option<&str> {
        self.paid.as_ref().map(|paid| paid.0.as_str())
    }

    /// Milliseconds of work on the server, without the way there and back (`X-Amply-Compute-Ms`).
    pub fn compute_ms(&self) -> Option<u64> {
        self.header("x-amply-compute-ms")?.parse().ok()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
    }
}
