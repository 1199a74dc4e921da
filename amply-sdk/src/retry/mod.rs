//! When a call is sent again.
//!
//! First question, always: can the server have seen it? Then whether the call may be repeated at all, whether the
//! budget allows it, and how long to wait. Nothing here does I/O; time and answers are handed in.

mod budget;
mod effect;
mod schedule;

pub(crate) use budget::Budget;
pub(crate) use effect::{Effect, Repeat, Stake};
pub(crate) use schedule::{delays, delays_within, retry_after};

/// How often, and after which failures, a call is sent again.
///
/// | failure | has it had an effect? | `GET` | `POST /route` | other raw requests |
/// | --- | --- | --- | --- | --- |
/// | no connection (DNS, refused, proxy, TLS, any time limit while connecting) | no | again | again | again |
/// | 429 `rate_limited` | no | again | again | again |
/// | 402, 429 `quota_exceeded`, any other 4xx | no | – | – | – |
/// | 5xx, 408 | unknown | again | only by [`repeat_ambiguous`](Self::repeat_ambiguous) | – |
/// | cut off, timeout of one attempt | unknown | again | only by `repeat_ambiguous` | – |
/// | an answer that is no Amply answer, a refused redirect | – | – | – | – |
///
/// After an unknown effect it is the endpoint that decides:
///
/// | endpoint | sent again | why |
/// | --- | --- | --- |
/// | `GET /agent`, `GET /billing/status`, `GET /credentials`, `GET /health`, `GET /openapi`, `GET /platform-metrics`, `GET /providers`, `GET /route/audit`, `GET /status` | again | it only reads |
/// | `POST /report` | again | it only reads |
/// | `POST /outcome`, `POST /route/outcome` | again | the server counts a route once |
/// | `DELETE /credentials/{id}` | again | what is gone stays gone |
/// | `POST /route` | only by `repeat_ambiguous` | it debits the wallet |
/// | `POST /route/execute` | – | it debits the wallet, and a provider may have begun |
/// | `POST /billing/topup` | – | it credits the wallet with somebody's money |
/// | `POST /signup/agent` | – | it may have made a key |
/// | `POST /credentials` | – | it may have stored a secret |
/// | any other by [`Client::request`](crate::Client::request) | `GET`, `HEAD`, `OPTIONS`: again; else – | nobody knows what it does |
///
/// `POST /route` debits the wallet, so a repeat of one that may have arrived may be charged twice. Waits grow from
/// 100 ms to 5 s with jitter; `Retry-After` is honoured when it ends before the call's limit, else the error comes
/// at once. All calls of a client share a budget, so that an outage is not made worse. A call that was repeated after an
/// unknown effect counts as perhaps charged, whatever its last attempt says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    max_attempts: u32,
    repeat_ambiguous: bool,
}

impl RetryPolicy {
    /// Never send anything twice.
    pub fn never() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// At most this many HTTP requests for one call, the first included; 3 unless set. 0 counts as 1.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// Also repeat a `POST /route` that the server may have seen. It may then be charged more than once.
    pub fn repeat_ambiguous(mut self, repeat: bool) -> Self {
        self.repeat_ambiguous = repeat;
        self
    }

    pub(crate) fn repeats_ambiguous(&self) -> bool {
        self.repeat_ambiguous
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.max_attempts
    }

    pub(crate) fn allows(&self, repeat: Repeat, effect: Effect) -> bool {
        match (effect, repeat) {
            (Effect::Done, _) => false,
            (Effect::None, _) | (Effect::Unknown, Repeat::Always) => true,
            (Effect::Unknown, Repeat::OptIn) => self.repeat_ambiguous,
            (Effect::Unknown, Repeat::NeverWhenUnknown) => false,
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 3, repeat_ambiguous: false }
    }
}
