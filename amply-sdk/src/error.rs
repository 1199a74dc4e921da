//! The one error of this crate, and the one place where an HTTP status becomes a variant.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use zeroize::{Zeroize, Zeroizing};

use crate::answer::Answer;
use crate::meta::Meta;
use crate::payment::{Cap, PaymentChallenge, PaymentProblem, Refusal};
use crate::principal::PrincipalBinding;
use crate::text::one_line;
use crate::wire::Route;

/// Why a call gave no answer.
///
/// Match on the variants, or ask: [`code`](Self::code), [`status`](Self::status),
/// [`request_id`](Self::request_id), [`is_retryable`](Self::is_retryable), [`is_timeout`](Self::is_timeout),
/// [`may_have_been_charged`](Self::may_have_been_charged). Displayed it is one line that says what happened and what
/// to do next; no secret is in it.
///
/// | variant | code | when |
/// | --- | --- | --- |
/// | `Config` | `config` | builder or environment; a closed client; a forked process that may not pay |
/// | `Invalid` | `invalid_request` | refused before it was sent |
/// | `Rejected` | `rejected` | 400, 413, 422 and any 4xx without a row of its own |
/// | `Unauthorized` | `unauthorized` | 401 |
/// | `PaymentRequired` | `payment_required` | 402, and nobody may pay |
/// | `SpendLimit` | `spend_limit` | a cap forbids the payment |
/// | `PaymentRefused` | `payment_refused` | what the 402 asks for is not acceptable; nothing was paid |
/// | `PaymentFailed` | `payment_failed` | the payer said no; no money moved |
/// | `PaymentUnknown` | `payment_unknown` | money may have moved; the payment's id is inside |
/// | `PaymentNotApplied` | `payment_not_applied` | money moved, and the server still asks |
/// | `PrincipalNotBound` | `principal_not_bound` | under `Require`: not (known to be) bound; the answer is inside |
/// | `Forbidden` | `forbidden` | 403 |
/// | `NotFound` | `not_found` | 404 with a JSON body |
/// | `Unsupported` | `unsupported` | 404 without one, 405: this server lacks the endpoint |
/// | `RateLimited` | `rate_limited` | 429 |
/// | `QuotaExceeded` | `quota_exceeded` | 429 with the code `quota_exceeded` |
/// | `Transport` | `transport` | no whole answer came |
/// | `Timeout` | `timeout` | no whole answer came in time |
/// | `Server` | `server` | 5xx |
/// | `Protocol` | `protocol` | not an Amply answer, a refused redirect |
/// | `Store` | `store` | the store cannot be read or written; nothing was paid, or no report was taken |
/// | `QueueFull` | `queue_full` | too many reports wait already |
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The client is not set up in a way that can work; nothing was sent.
    Config(String),
    /// The request cannot be right, so it was not sent.
    #[non_exhaustive]
    Invalid {
        /// The field that is wrong, as the API names it.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        message: String,
    },
    /// The server refused the request as invalid.
    Rejected(Box<Failure>),
    /// The key is missing, or the server does not know it.
    Unauthorized(Box<Failure>),
    /// The wallet's balance does not cover the call, which was not charged.
    PaymentRequired(Box<PaymentChallenge>),
    /// A cap of the [`SpendPolicy`](crate::SpendPolicy) forbids the payment that the call needs. Nothing was paid for it.
    #[non_exhaustive]
    SpendLimit {
        /// Which one.
        cap: Cap,
        /// The 402, and what is known.
        problem: Box<PaymentProblem>,
    },
    /// What the server asks for is not acceptable, whatever the policy allows. Nothing was paid.
    #[non_exhaustive]
    PaymentRefused {
        /// Everything that is wrong with it.
        reasons: Vec<Refusal>,
        /// The 402, and what is known.
        problem: Box<PaymentProblem>,
    },
    /// The payer said no. No money moved.
    PaymentFailed(Box<PaymentProblem>),
    /// Money may have moved. Nobody pays for this wallet until that is known.
    PaymentUnknown(Box<PaymentProblem>),
    /// Money moved, and the server still asks for it.
    PaymentNotApplied(Box<PaymentProblem>),
    /// A route is not bound to a principal, or not known to be, and the policy requires it.
    #[non_exhaustive]
    PrincipalNotBound {
        /// What says so.
        binding: Box<PrincipalBinding>,
        /// The whole answer, which may have been charged; `None` when the key is known to bind nobody, so that
        /// nothing was sent. That of an execution has all of it in its text, and is read again with
        /// `serde_json::from_str::<Execution>(answer.text())`.
        answer: Option<Box<Answer<Route>>>,
    },
    /// The key is known and may not do this.
    Forbidden(Box<Failure>),
    /// There is no such thing on this server.
    NotFound(Box<Failure>),
    /// This server lacks the endpoint.
    Unsupported(Box<Failure>),
    /// Too many requests from this address.
    #[non_exhaustive]
    RateLimited {
        /// How long the server asks to wait, if it said so.
        retry_after: Option<Duration>,
        /// What came.
        failure: Box<Failure>,
    },
    /// The day's quota of this principal is used up.
    QuotaExceeded(Box<Failure>),
    /// No whole answer came.
    Transport(Box<Failure>),
    /// No whole answer came within the limit.
    Timeout(Box<Failure>),
    /// The server failed.
    Server(Box<Failure>),
    /// What came is not an answer of the Amply API.
    Protocol(Box<Failure>),
    /// The store cannot be read or written. Nothing was paid, and the call was not charged; of a report: it was not taken.
    Store(String),
    /// As many reports wait to be delivered as are allowed to. This one was not taken.
    QueueFull(String),
}

/// What is known about a call that failed after it was sent, or while it was being sent.
#[non_exhaustive]
pub struct Failure {
    pub(crate) meta: Meta,
    /// Method and URL, for a person.
    pub(crate) request: String,
    /// What went wrong, in the server's words where it said anything.
    pub(crate) detail: String,
    pub(crate) code: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) body: Bytes,
    pub(crate) may_have_been_charged: bool,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Without headers and body: a program that ends with an error prints this, and either may be long or hold what is
/// nobody else's business.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("request", &self.request)
            .field("status", &self.meta.status().map(|status| status.as_u16()))
            .field("detail", &self.detail)
            .field("code", &self.code)
            .field("request_id", &self.meta.request_id())
            .field("attempts", &self.meta.attempts())
            .field("body_bytes", &self.body.len())
            .field("may_have_been_charged", &self.may_have_been_charged)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Failure {
    /// Status, headers, attempts and time.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Method and URL of the request.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// What went wrong, in the server's words where it said anything.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The server's machine-readable code (`error` of the body), where it sent one.
    pub fn server_code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The body as it came; empty when none came, and where it is [sealed](Self::expose_sealed_body).
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body of an answer to a signup that may hold a key: as it came, and shown by nothing else. `None` for every other
    /// failure.
    ///
    /// A key is made once. Where the answer with it cannot be read it is kept here, so that a person can still look for it.
    pub fn expose_sealed_body(&self) -> Option<&[u8]> {
        self.source.as_deref()?.downcast_ref::<Sealed>().map(|sealed| &**sealed.0)
    }

    /// Takes the body out of reach, but for [`expose_sealed_body`](Self::expose_sealed_body); `shown` is what is left of it.
    pub(crate) fn seal_body(&mut self, shown: Bytes) {
        let body = std::mem::replace(&mut self.body, shown);
        self.source = Some(Box::new(Sealed(Zeroizing::new(body.to_vec()))));
        forget(body);
    }
}

/// What may hold a secret. Its memory is cleared when it is dropped.
struct Sealed(Zeroizing<Vec<u8>>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is kept apart, as it may hold a secret")
    }
}

impl StdError for Sealed {}

/// Clears a body, where nobody else holds a share of its memory: the buffers of the HTTP library are its own.
pub(crate) fn forget(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.as_mut().zeroize();
    }
}

/// The errors that are a failed exchange and nothing more.
macro_rules! of_exchange {
    ($failure:ident) => {
        Self::Rejected($failure)
            | Self::Unauthorized($failure)
            | Self::Forbidden($failure)
            | Self::NotFound($failure)
            | Self::Unsupported($failure)
            | Self::RateLimited { failure: $failure, .. }
            | Self::QuotaExceeded($failure)
            | Self::Transport($failure)
            | Self::Timeout($failure)
            | Self::Server($failure)
            | Self::Protocol($failure)
    };
}

impl Error {
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }

    /// A forked child may not pay: it has its parent's locks, and none of its threads.
    pub(crate) fn forked() -> Self {
        Self::config(
            "this process was forked after its store was opened, and may not pay from it; make the client after the fork",
        )
    }

    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }

    /// The stable name of this kind of error, the same in Rust, Python and the command line's JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Invalid { .. } => "invalid_request",
            Self::Rejected(_) => "rejected",
            Self::Unauthorized(_) => "unauthorized",
            Self::PaymentRequired(_) => "payment_required",
            Self::SpendLimit { .. } => "spend_limit",
            Self::PaymentRefused { .. } => "payment_refused",
            Self::PaymentFailed(_) => "payment_failed",
            Self::PaymentUnknown(_) => "payment_unknown",
            Self::PaymentNotApplied(_) => "payment_not_applied",
            Self::PrincipalNotBound { .. } => "principal_not_bound",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::Unsupported(_) => "unsupported",
            Self::RateLimited { .. } => "rate_limited",
            Self::QuotaExceeded(_) => "quota_exceeded",
            Self::Transport(_) => "transport",
            Self::Timeout(_) => "timeout",
            Self::Server(_) => "server",
            Self::Protocol(_) => "protocol",
            Self::Store(_) => "store",
            Self::QueueFull(_) => "queue_full",
        }
    }

    /// What is known about the payment that this call needed; `None` where none was in question.
    pub fn payment_problem(&self) -> Option<&PaymentProblem> {
        match self {
            Self::SpendLimit { problem, .. }
            | Self::PaymentRefused { problem, .. }
            | Self::PaymentFailed(problem)
            | Self::PaymentUnknown(problem)
            | Self::PaymentNotApplied(problem) => Some(problem),
            _ => None,
        }
    }

    /// What the server's 402 asked for; `None` for an error that is none of payment, or of a top-up that no 402 asked for.
    pub fn challenge(&self) -> Option<&PaymentChallenge> {
        match self {
            Self::PaymentRequired(challenge) => Some(challenge),
            _ => {
                let challenge = self.payment_problem().map(|problem| &problem.challenge);
                challenge.filter(|challenge| challenge.failure().meta().status().is_some())
            }
        }
    }

    /// What is known about the failed exchange; `None` when nothing was sent, and for
    /// [`PrincipalNotBound`](Self::PrincipalNotBound), which has the whole answer.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Config(_)
            | Self::Invalid { .. }
            | Self::PrincipalNotBound { .. }
            | Self::Store(_)
            | Self::QueueFull(_) => None,
            Self::PaymentRequired(challenge) => Some(challenge.failure()),
            Self::SpendLimit { problem, .. }
            | Self::PaymentRefused { problem, .. }
            | Self::PaymentFailed(problem)
            | Self::PaymentUnknown(problem)
            | Self::PaymentNotApplied(problem) => Some(problem.failure()),
            of_exchange!(failure) => Some(failure),
        }
    }

    /// The same, taken out.
    pub(crate) fn into_failure(self) -> Option<Box<Failure>> {
        match self {
            Self::PaymentRequired(challenge) => Some(Box::new(challenge.into_failure())),
            of_exchange!(failure) => Some(failure),
            _ => None,
        }
    }

    /// The same where a payment was made for the call before: whatever this failure itself did, money has moved.
    pub(crate) fn after_a_payment(mut self) -> Self {
        if let Some(failure) = self.failure_mut() {
            failure.may_have_been_charged = true;
        }
        self
    }

    /// The failed exchange of an error that is none of payment, for whoever knows more of it.
    pub(crate) fn failure_mut(&mut self) -> Option<&mut Failure> {
        match self {
            of_exchange!(failure) => Some(failure),
            _ => None,
        }
    }

    /// Status, headers, attempts and time; `None` when nothing was sent.
    pub fn meta(&self) -> Option<&Meta> {
        match self {
            Self::PrincipalNotBound { answer, .. } => answer.as_deref().map(Answer::meta),
            _ => self.failure().map(Failure::meta),
        }
    }

    /// The HTTP status; `None` when no answer came.
    pub fn status(&self) -> Option<StatusCode> {
        self.meta()?.status()
    }

    /// The server's id of the request, for its support.
    pub fn request_id(&self) -> Option<&str> {
        self.meta()?.request_id()
    }

    /// The body of the answer as it came, if one came.
    pub fn body(&self) -> Option<&[u8]> {
        match self {
            Self::PrincipalNotBound { answer, .. } => {
                answer.as_deref().map(|answer| answer.text().as_bytes())
            }
            _ => self.failure().map(Failure::body).filter(|body| !body.is_empty()),
        }
    }

    /// Whether the same call may help when it is made again, and cannot be charged twice.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Transport(_) | Self::Timeout(_) | Self::Server(_) => {
                !self.may_have_been_charged()
            }
            _ => false,
        }
    }

    /// Whether the time ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// Whether money may have moved though no usable answer came: for the call itself, or by a payment for it.
    pub fn may_have_been_charged(&self) -> bool {
        match self {
            Self::PaymentUnknown(_) | Self::PaymentNotApplied(_) => true,
            Self::PrincipalNotBound { answer, .. } => answer.is_some(),
            _ => self.failure().is_some_and(|failure| failure.may_have_been_charged),
        }
    }

    /// What happened, without the advice: the first half of the displayed line.
    pub fn message(&self) -> String {
        let Some(failure) = self.failure() else {
            return match self {
                Self::Invalid { message, .. }
                | Self::Config(message)
                | Self::Store(message)
                | Self::QueueFull(message) => message.clone(),
                Self::PrincipalNotBound { binding, answer: None } => {
                    format!("{}, and this client requires one; nothing was sent", binding.words())
                }
                Self::PrincipalNotBound { binding, .. } => {
                    format!("{}, and this client requires that it is", binding.words())
                }
                _ => String::new(),
            };
        };
        if let Some(problem) = self.payment_problem() {
            return problem.message.clone();
        }
        let detail = &failure.detail;
        let request = &failure.request;
        match self {
            Self::Rejected(_) => format!("the server refused the request: {detail}"),
            Self::Unauthorized(_) => format!("the server did not accept the call: {detail}"),
            Self::PaymentRequired(challenge) => challenge.to_string(),
            Self::Forbidden(_) => format!("the server does not allow this call: {detail}"),
            Self::NotFound(_) => format!("the server has no such thing at {request}: {detail}"),
            Self::Unsupported(_) => format!("this server does not offer {request}: {detail}"),
            Self::RateLimited { retry_after: Some(wait), .. } => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                format!("too many requests: {detail}; the server asks to wait {seconds} s")
            }
            Self::RateLimited { .. } => format!("too many requests: {detail}"),
            Self::QuotaExceeded(_) => format!("the quota is used up: {detail}"),
            Self::Server(_) => format!("the server failed at {request}: {detail}"),
            _ => detail.clone(),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::PrincipalNotBound { answer: None, .. } => Some("use a key of an account (amply_sk_…)"),
            Self::PrincipalNotBound { .. } => Some(
                "the answer is in this error; use a key of an account (amply_sk_…), or a policy that only warns",
            ),
            _ => match self.payment_problem() {
                Some(problem) => Some(&problem.hint),
                None => self.failure()?.hint.as_deref(),
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        if let Some(hint) = self.hint() {
            write!(f, "; {hint}")?;
        }
        match self.request_id() {
            Some(id) => write!(f, " (request {})", one_line(id, 64)),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.failure()?.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
