//! One report on its way: to the endpoint that the server named or the documented one, else to the older one.
//!
//! Repeating a report is always safe: the server counts a route once, and every repeat has the same idempotency key.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use reqwest::Url;
use tokio::time::Instant;
use tracing::Instrument;

use super::ticket::{Bound, endpoint};
use super::value::Outcome;
use crate::answer::Answer;
use crate::call::{decode, encode, span_of, typed};
use crate::client::Options;
use crate::endpoint::Endpoint;
use crate::error::{Error, Failure};
use crate::exchange::{Exchange, Request, later};
use crate::wire::{OutcomeBody, OutcomeReceipt, RouteOutcomeBody};

/// How long a server is taken to lack `/outcome`; it may be brought up to date while an agent runs.
const LACK_FOR: Duration = Duration::from_secs(600);

/// What is remembered of a server: since when it has been known to lack `/outcome`.
#[derive(Debug, Default)]
pub(crate) struct Lacks(Mutex<Option<Instant>>);

impl Lacks {
    fn preferred(&self) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < LACK_FOR)
    }

    fn note(&self, lacks: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lacks.then(Instant::now);
    }
}

/// Reports an outcome: where the server said, at `/outcome`, at `/route/outcome`, until one of them takes it.
///
/// # Errors
/// As any call has; `Invalid` where the server takes reports at the older endpoint alone, and the provider is not known.
pub(crate) async fn deliver(
    exchange: &Exchange,
    options: &Options,
    lacks: &Lacks,
    bound: &Bound,
    outcome: &Outcome,
) -> Result<Answer<OutcomeReceipt>, Error> {
    let until = later(Instant::now(), options.timeout);
    let base = exchange.transport().base();
    let (preferred, older) = (base.join(Endpoint::OUTCOME.path)?, base.join(Endpoint::ROUTE_OUTCOME.path)?);
    let documented = match lacks.preferred() {
        true => [older.clone(), preferred.clone()],
        false => [preferred.clone(), older.clone()],
    };
    let named = bound.endpoint.as_deref().and_then(|said| endpoint(base, said));
    let documented = documented.into_iter().filter(|url| Some(url) != named.as_ref());
    let mut refusal: Option<Error> = None;
    for url in named.clone().into_iter().chain(documented) {
        let options = options.clone().timeout(until.saturating_duration_since(Instant::now()));
        let is_preferred = url == preferred;
        match report_to(exchange, &options, url, bound, outcome).await {
            Err(error @ (Error::Unsupported(_) | Error::NotFound(_) | Error::Invalid { .. })) => {
                if is_preferred && matches!(error, Error::Unsupported(_)) {
                    lacks.note(true);
                }
                // The server knows the endpoint, and no such route.
                let is_final = error.failure().and_then(Failure::server_code) == Some("route_not_found");
                refusal = Some(match refusal {
                    Some(first) if weight(&first) > weight(&error) => first,
                    _ => error,
                });
                if is_final {
                    break;
                }
            }
            answered => {
                if is_preferred && answered.is_ok() {
                    lacks.note(false);
                }
                return answered;
            }
        }
    }
    Err(refusal.unwrap_or_else(|| Error::invalid("endpoint", "there is no endpoint to report to")))
}

/// Which of several refusals says most: one of the route, one that can be mended, one of the server.
fn weight(error: &Error) -> u8 {
    match error {
        Error::NotFound(_) => 3,
        Error::Invalid { .. } => 2,
        _ => 1,
    }
}

async fn report_to(
    exchange: &Exchange,
    options: &Options,
    url: Url,
    bound: &Bound,
    outcome: &Outcome,
) -> Result<Answer<OutcomeReceipt>, Error> {
    if !url.path().ends_with(Endpoint::ROUTE_OUTCOME.path) {
        let body = OutcomeBody {
            route_id: &bound.route_id,
            success: outcome.is_success(),
            actual_latency_ms: outcome.latency_ms(),
            error_code: outcome.error_code(),
        };
        return post(exchange, options, url, &body, bound).await;
    }
    let Some(provider_id) = bound.provider_id.as_deref() else {
        return Err(Error::invalid(
            "provider_id",
            "this server takes reports at /route/outcome alone, which wants to know the provider; name it, or use a ticket",
        ));
    };
    let body = RouteOutcomeBody { request_id: &bound.route_id, provider_id, outcome: outcome.word() };
    post(exchange, options, url, &body, bound).await
}

async fn post(
    exchange: &Exchange,
    options: &Options,
    url: Url,
    body: &impl serde::Serialize,
    bound: &Bound,
) -> Result<Answer<OutcomeReceipt>, Error> {
    // The older endpoint is the same in all but its path.
    let Endpoint { method, repeat, stake, .. } = Endpoint::OUTCOME;
    let request = Request {
        method,
        url,
        body: Some(encode(body)?),
        repeat,
        stake,
        idempotency_key: Some(idempotency_key(&bound.route_id)),
        concealed: Default::default(),
    };
    let name = format!("POST {}", request.url);
    let span = span_of(&request);
    let reply = exchange.begin(request, options).send().instrument(span).await?;
    let receipt: Answer<OutcomeReceipt> = decode(reply, typed)?;
    match receipt.received {
        Some(false) => Err(Error::Rejected(Box::new(Failure {
            meta: receipt.meta().clone(),
            request: name,
            detail: "the server says that it did not take the report".to_owned(),
            code: None,
            hint: None,
            body: receipt.text().to_owned().into(),
            may_have_been_charged: false,
            source: None,
        }))),
        _ => Ok(receipt),
    }
}

/// The same for every report of a route, from whichever process: a UUID made of the route's id.
pub(crate) fn idempotency_key(route_id: &str) -> String {
    let digest =
        ring::digest::digest(&ring::digest::SHA256, format!("amply outcome of {route_id}").as_bytes());
    let mut bytes = [0; 16];
    for (byte, of_digest) in bytes.iter_mut().zip(digest.as_ref()) {
        *byte = *of_digest;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}
