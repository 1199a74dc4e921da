//! Attempts at one request, within a deadline, until there is an answer or an error.
//!
//! This file knows no money: it repeats what [`RetryPolicy`] allows and says for each failure whether the server may
//! have acted on it. A 402 is an error like any other; who pays is decided above.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use reqwest::Url;
use tokio::time::Instant;
use tracing::Instrument;

use crate::client::Options;
use crate::error::{Error, Failure};
use crate::key::KeyKind;
use crate::meta::Meta;
use crate::money::Usd;
use crate::payment::{Clock, PaymentChallenge};
use crate::retry::{Budget, Effect, Repeat, RetryPolicy, Stake, delays, retry_after};
use crate::secret::Concealed;
use crate::text::one_line;
use crate::transport::{Fault, FaultKind, HttpAnswer, HttpRequest, Transport};
use crate::wire::ErrorBody;

/// Sends requests of one client.
#[derive(Clone)]
pub(crate) struct Exchange {
    transport: Arc<Transport>,
    budget: Arc<Budget>,
    key_kind: Option<KeyKind>,
}

/// One call, before it is sent.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Option<Bytes>,
    pub(crate) repeat: Repeat,
    pub(crate) stake: Stake,
    /// The caller's own key; a `POST` without one gets a new one.
    pub(crate) idempotency_key: Option<String>,
    pub(crate) concealed: Concealed,
}

/// A 2xx answer.
pub(crate) struct Reply {
    pub(crate) body: Bytes,
    pub(crate) meta: Meta,
    /// For an error that is found in the answer's content.
    pub(crate) request: (Method, Url),
    pub(crate) may_have_been_charged: bool,
    /// What such an error must not show.
    pub(crate) concealed: Concealed,
}

/// Why an attempt is not the answer.
struct Setback {
    error: Error,
    effect: Effect,
    /// The wait that the server asks for.
    wait: Option<Duration>,
    after_timeout: bool,
}

impl Exchange {
    /// `key_kind` is that of the key that the transport sends.
    pub(crate) fn new(transport: Transport, key_kind: Option<KeyKind>) -> Self {
        Self { transport: Arc::new(transport), budget: Arc::default(), key_kind }
    }

    pub(crate) fn key_kind(&self) -> Option<KeyKind> {
        self.key_kind
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The same with connections of its own, for work on another runtime. The budget for repeats stays one.
    pub(crate) fn apart(&self) -> Result<Self, Error> {
        Ok(Self { transport: Arc::new(self.transport.apart()?), ..self.clone() })
    }

    /// The same with connections of its own and the same budget: the calls of one client on several runtimes.
    pub(crate) fn beside(&self) -> Result<Self, Error> {
        let transport = Arc::new(self.transport.apart()?);
        Ok(Self { transport, budget: Arc::clone(&self.budget), key_kind: self.key_kind })
    }

    /// The same without the key, and with the token of a signup where there is one.
    pub(crate) fn for_signup(&self, token: Option<HeaderValue>) -> Result<Self, Error> {
        let transport = Arc::new(self.transport.for_signup(token)?);
        Ok(Self { transport, budget: Arc::clone(&self.budget), key_kind: None })
    }

    /// A call, before it is sent. Its time runs from now.
    pub(crate) fn begin<'a>(&'a self, request: Request, options: &'a Options) -> Call<'a> {
        let start = Instant::now();
        let key = match request.method == Method::POST {
            true => request.idempotency_key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            false => String::new(),
        };
        let http = HttpRequest {
            // The API does not promise to heed it, so it never makes a repeat safe by itself. // [our]
            idempotency_key: HeaderValue::from_str(&key).ok().filter(|key| !key.is_empty()),
            method: request.method,
            url: request.url,
            body: request.body,
            payment: None,
            concealed: request.concealed,
        };
        Call {
            exchange: self,
            options,
            http,
            repeat: request.repeat,
            stake: request.stake,
            key,
            start,
            deadline: later(start, options.timeout),
            attempts: 0,
            ambiguous: false,
            paid: None,
        }
    }
}

/// One call, however often it is sent.
pub(crate) struct Call<'a> {
    exchange: &'a Exchange,
    options: &'a Options,
    http: HttpRequest,
    repeat: Repeat,
    stake: Stake,
    key: String,
    start: Instant,
    deadline: Instant,
    /// How many requests it has taken.
    attempts: u32,
    /// Whether the server may have acted on an attempt before this one.
    ambiguous: bool,
    /// The payment that this call led, and what it took.
    paid: Option<Box<(String, Usd)>>,
}

impl Call<'_> {
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The idempotency key, the same for every request of this call.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Whether the server may have acted on an attempt before the last one.
    pub(crate) fn may_have_been_done_before(&self) -> bool {
        self.ambiguous
    }

    /// The request as it is sent, but for what pays.
    pub(crate) fn request(&self) -> HttpRequest {
        self.http.clone()
    }

    /// Takes what came of the same request, sent elsewhere with a payment, as the answer to this call.
    pub(crate) fn accept(&mut self, answered: Result<HttpAnswer, Fault>) -> Result<Reply, Error> {
        self.attempts += 1;
        let judged = match answered {
            Ok(answer) => self.judge(answer, self.attempts),
            Err(fault) => Err(self.broken(fault, self.attempts)),
        };
        match judged {
            Ok((body, meta)) => {
                let request = (self.http.method.clone(), self.http.url.clone());
                let concealed = self.http.concealed.clone();
                Ok(Reply { body, meta, request, may_have_been_charged: self.charges(), concealed })
            }
            Err(setback) => Err(setback.error),
        }
    }

    /// Every answer from now on tells of this payment.
    pub(crate) fn note_payment(&mut self, id: &str, amount: Usd) {
        self.paid = Some(Box::new((id.to_owned(), amount)));
    }

    /// Sends the request, again where that is allowed and may help, until the call's limit.
    pub(crate) async fn send(&mut self) -> Result<Reply, Error> {
        let (budget, retry) = (&self.exchange.budget, &self.options.retry);
        let mut waits = None;
        let mut taken = None;
        let mut round = 1;
        loop {
            self.attempts += 1;
            let attempt = self.attempts;
            let limit = self.deadline.min(later(Instant::now(), self.options.attempt_timeout));
            let span = tracing::debug_span!("amply.attempt", attempt);
            let outcome = self.attempt(attempt, limit).instrument(span).await;
            let setback = match outcome {
                Ok((body, meta)) => {
                    budget.succeeded(taken);
                    let request = (self.http.method.clone(), self.http.url.clone());
                    let may_have_been_charged = self.charges();
                    let concealed = self.http.concealed.clone();
                    return Ok(Reply { body, meta, request, may_have_been_charged, concealed });
                }
                Err(setback) => setback,
            };
            if round >= retry.attempts() || !self.may_repeat(retry, setback.effect) {
                return Err(setback.error);
            }
            let next = waits.get_or_insert_with(delays).next().unwrap_or_default();
            let wait = setback.wait.unwrap_or(next);
            if self.deadline.saturating_duration_since(Instant::now()) <= wait {
                tracing::debug!(
                    "not tried again: the wait of {} ms ends after the call's limit",
                    wait.as_millis()
                );
                return Err(setback.error);
            }
            taken = budget.take(setback.after_timeout);
            if taken.is_none() {
                tracing::debug!("not tried again: too many calls have failed lately");
                return Err(setback.error);
            }
            self.ambiguous |= setback.effect == Effect::Unknown;
            round += 1;
            tracing::debug!("waiting {} ms before attempt {}", wait.as_millis(), self.attempts + 1);
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, attempt: u32, limit: Instant) -> Result<(Bytes, Meta), Setback> {
        let began = Instant::now();
        let sent = self.exchange.transport.send(&self.http, limit).await;
        let ms = began.elapsed().as_millis();
        match sent {
            Ok(answer) => {
                let status = answer.status.as_u16();
                tracing::debug!("attempt {attempt}: {} answered {status} after {ms} ms", self.name());
                self.judge(answer, attempt)
            }
            Err(fault) => {
                tracing::debug!("attempt {attempt}: {} failed after {ms} ms: {}", self.name(), fault.detail);
                Err(self.broken(fault, attempt))
            }
        }
    }

    /// Whether a setback with this effect may be followed by another attempt.
    fn may_repeat(&self, policy: &RetryPolicy, effect: Effect) -> bool {
        policy.allows(self.repeat, effect)
    }

    fn judge(&self, answer: HttpAnswer, attempt: u32) -> Result<(Bytes, Meta), Setback> {
        let HttpAnswer { status, headers, body } = answer;
        if status.is_success() {
            return Ok((body, self.meta(Some(status), headers, attempt)));
        }
        let effect = match status {
            StatusCode::TOO_MANY_REQUESTS => Effect::None,
            // A request that the server gave up waiting for was not acted on as a whole, but who knows.
            StatusCode::REQUEST_TIMEOUT => Effect::Unknown,
            status if status.is_server_error() => Effect::Unknown,
            _ => Effect::Done,
        };
        let words = ErrorBody::parse(&body);
        let is_quota = words.as_ref().and_then(|words| words.code.as_deref()) == Some("quota_exceeded");
        let wait = retry_after(&headers, SystemTime::now())
            .or_else(|| Duration::try_from_secs_f64(words.as_ref()?.retry_after_sec?).ok());
        let meta = self.meta(Some(status), headers, attempt);
        Err(Setback {
            error: self.refusal(status, meta, words, body, wait, effect),
            effect: if is_quota { Effect::Done } else { effect },
            wait,
            after_timeout: false,
        })
    }

    /// The one place where a status becomes an error.
    fn refusal(
        &self,
        status: StatusCode,
        mut meta: Meta,
        words: Option<ErrorBody>,
        body: Bytes,
        wait: Option<Duration>,
        effect: Effect,
    ) -> Error {
        let may_have_been_charged = self.may_have_charged(effect);
        let base = self.exchange.transport.base();
        let code = words.as_ref().and_then(|words| words.code.clone());
        let detail =
            words.as_ref().and_then(|words| words.detail.as_deref()).map(|detail| one_line(detail, 300));
        meta.body_request_id = words.as_ref().and_then(|words| words.request_id.clone());
        let is_quota = code.as_deref() == Some("quota_exceeded");
        let hint = match status.as_u16() {
            401 => Some(format!(
                "set AMPLY_API_KEY to a key of this server; keys are made at {}",
                base.page("/dashboard/api-keys")
            )),
            402 => {
                let page = words.as_ref().and_then(ErrorBody::top_up_page);
                let page = page.unwrap_or_else(|| base.page("/dashboard/billing"));
                Some(format!("top up the wallet at {page} and make the same call again"))
            }
            403 if code.as_deref() == Some("principal_required") => Some(format!(
                "use a key that belongs to an account (amply_sk_…), made at {}",
                base.page("/dashboard/api-keys")
            )),
            403 => Some("use a key that may".to_owned()),
            404 if code.as_deref() == Some("credential_not_found") => {
                Some("list the credentials, and use the id of one of them".to_owned())
            }
            404 | 405 if words.is_none() => Some(format!(
                "check the base URL `{}`: it should end in /api/v1, or this server is an older release",
                base.as_str()
            )),
            429 if is_quota => Some("wait for the next day (UTC), or ask for a larger quota".to_owned()),
            429 => Some("wait, then make the same call again; the limit counts per address".to_owned()),
            500..=599 => Some(self.stake_hint(effect).map(str::to_owned).unwrap_or_else(|| {
                format!("try again later; {} shows how the service is", base.page("/status"))
            })),
            _ => None,
        };
        let detail = detail.unwrap_or_else(|| without_words(status, &body));
        let request = self.name();
        let failure =
            Failure { meta, request, detail, code, hint, body, may_have_been_charged, source: None };
        match status.as_u16() {
            401 => Error::Unauthorized(Box::new(failure)),
            402 => Error::PaymentRequired(Box::new(PaymentChallenge::new(
                words,
                failure,
                Clock::System.now_ms(),
            ))),
            403 => Error::Forbidden(Box::new(failure)),
            404 if words.is_some() => Error::NotFound(Box::new(failure)),
            404 | 405 => Error::Unsupported(Box::new(failure)),
            429 if is_quota => Error::QuotaExceeded(Box::new(failure)),
            429 => Error::RateLimited { retry_after: wait, failure: Box::new(failure) },
            400..=499 => Error::Rejected(Box::new(failure)),
            500..=599 => Error::Server(Box::new(failure)),
            _ => Error::Protocol(Box::new(failure)),
        }
    }

    /// An attempt without a whole answer.
    fn broken(&self, fault: Fault, attempt: u32) -> Setback {
        let Fault { kind, effect, detail, head, source } = fault;
        let may_have_been_charged = self.may_have_charged(effect);
        let hint = match (kind, self.stake_hint(effect)) {
            (_, Some(at_stake)) => Some(at_stake),
            (FaultKind::Connection, None) if effect == Effect::None => {
                Some("check the base URL, the network and the proxy settings")
            }
            (FaultKind::Connection, None) => Some("try again"),
            (FaultKind::Certificate, None) => {
                Some("check the base URL, or name the server's authority by AMPLY_CA_BUNDLE or the builder")
            }
            (FaultKind::Timeout, None) => Some("try again, or allow more time"),
            (FaultKind::Protocol, None) => Some("check the base URL"),
        };
        let (status, headers) = head.map_or((None, HeaderMap::new()), |head| (Some(head.0), head.1));
        let failure = Box::new(Failure {
            meta: self.meta(status, headers, attempt),
            request: self.name(),
            detail,
            code: None,
            hint: hint.map(str::to_owned),
            body: Bytes::new(),
            may_have_been_charged,
            source: source.map(Into::into),
        });
        let (error, effect) = match kind {
            FaultKind::Connection | FaultKind::Certificate => (Error::Transport(failure), effect),
            FaultKind::Timeout => (Error::Timeout(failure), effect),
            // The same bytes would come again.
            FaultKind::Protocol => (Error::Protocol(failure), Effect::Done),
        };
        Setback { error, effect, wait: None, after_timeout: kind == FaultKind::Timeout }
    }

    fn meta(&self, status: Option<StatusCode>, headers: HeaderMap, attempts: u32) -> Meta {
        let (elapsed, key_kind) = (self.start.elapsed(), self.exchange.key_kind);
        let paid = self.paid.clone();
        Meta { status, headers, attempts, elapsed, key_kind, body_request_id: None, paid }
    }

    /// Whether the call has cost money, for all that is known after an attempt with this effect.
    fn may_have_charged(&self, effect: Effect) -> bool {
        self.charges() && self.may_have_acted(effect)
    }

    fn may_have_acted(&self, effect: Effect) -> bool {
        self.ambiguous || effect == Effect::Unknown
    }

    /// What to do about something that may have been done; `None` where nothing is at stake.
    fn stake_hint(&self, effect: Effect) -> Option<&'static str> {
        match self.stake {
            _ if !self.may_have_acted(effect) => None,
            Stake::Nothing => None,
            Stake::New(advice) => Some(advice),
            Stake::Money if self.ambiguous => Some(
                "it may have been charged, once for each attempt; check the balance before you repeat it",
            ),
            Stake::Money => {
                Some("it may have been charged, so it was not sent again; check the balance, then repeat it")
            }
        }
    }

    /// Whether this call can cost money.
    fn charges(&self) -> bool {
        self.stake == Stake::Money
    }

    /// Method and URL, for a person.
    fn name(&self) -> String {
        format!("{} {}", self.http.method, self.http.url)
    }
}

/// A time so far away that it cannot be told is one that never comes.
pub(crate) fn later(from: Instant, by: Duration) -> Instant {
    const AGES: Duration = Duration::from_secs(30 * 365 * 86_400);
    from.checked_add(by).or_else(|| from.checked_add(AGES)).unwrap_or(from)
}

/// What is said about a refusal whose body says nothing.
fn without_words(status: StatusCode, body: &[u8]) -> String {
    let shown = one_line(&String::from_utf8_lossy(body), 200);
    let name = status.canonical_reason().unwrap_or("unknown status");
    match shown {
        shown if shown.is_empty() => format!("{} {name}, without a word", status.as_u16()),
        shown if shown.starts_with('<') => format!("{} {name}, with a page for people", status.as_u16()),
        shown => format!("{} {name}: {shown}", status.as_u16()),
    }
}
