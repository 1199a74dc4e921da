//! One logical call, from the request to the typed answer: check → exchange → 402? have it paid, exchange once more → decode
//! → whose call was it?

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Method;
use http::header::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::Instrument;

use crate::answer::Answer;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::{Error, Failure};
use crate::event::Event;
use crate::exchange::{self, Reply, Request};
use crate::key::KeyKind;
use crate::payment::{Ask, Payment, pay_and_ask_again};
use crate::principal::{Binding, PrincipalBinding, PrincipalPolicy};
use crate::retry::{Repeat, Stake};
use crate::secret::{Concealed, encode_secretly};
use crate::text::one_line;
use crate::transport::{Fault, HttpAnswer, HttpRequest};
use crate::wire::{ExecuteRequest, Execution, Fields, FromFields, Route, RouteRequest, check_depth, text_of};

impl Client {
    /// `POST /route`, which may cost money and counts for a principal.
    pub(crate) async fn route(&self, request: &RouteRequest) -> Result<Answer<Route>, Error> {
        request.validate()?;
        self.refusal_for_want_of_a_principal().map_or(Ok(()), Err)?;
        let key = request.own_idempotency_key().map(str::to_owned);
        let body = encode(request)?;
        let reply = self.send_paid(&Endpoint::ROUTE, body, key, Concealed::default()).await?;
        let answer = decode(reply, typed)?;
        match self.require_principal(Answer::<Route>::principal, &answer) {
            None => Ok(answer),
            Some(binding) => Err(Error::PrincipalNotBound { binding, answer: Some(Box::new(answer)) }),
        }
    }

    /// `POST /route/execute`: a route, by the same rules, and its execution.
    pub(crate) async fn execution(&self, request: &ExecuteRequest) -> Result<Answer<Execution>, Error> {
        request.validate()?;
        self.refusal_for_want_of_a_principal().map_or(Ok(()), Err)?;
        let key = request.own_idempotency_key().map(str::to_owned);
        let body = encode_secretly(request)?;
        let concealed = Concealed::in_failures(request.secrets());
        let reply = self.send_paid(&Endpoint::EXECUTE, body, key, concealed).await?;
        let answer = decode(reply, typed)?;
        match self.require_principal(Answer::<Execution>::principal, &answer) {
            None => Ok(answer),
            // What came out of it is in the text, and among the fields that a route has no name for.
            Some(binding) => {
                let (execution, body, meta) = answer.into_parts();
                let route = text_of(&body).ok().and_then(|text| typed(&body, text).ok());
                let answer = Answer::new(route.unwrap_or(execution.route), body, meta);
                Err(Error::PrincipalNotBound { binding, answer: Some(Box::new(answer)) })
            }
        }
    }

    /// What is known to bind nobody is refused before it costs anything, where the policy requires a principal.
    pub(crate) fn refusal_for_want_of_a_principal(&self) -> Option<Error> {
        if self.options.principal != PrincipalPolicy::Require || self.key_kind() == Some(KeyKind::User) {
            return None;
        }
        let binding = PrincipalBinding::read(&HeaderMap::new(), None, self.key_kind());
        Some(Error::PrincipalNotBound { binding: Box::new(binding), answer: None })
    }

    /// Applies the policy to an answer; whose it was, where that is not acceptable. The answer is then in the error, and never
    /// lost.
    fn require_principal<T>(
        &self,
        of: impl FnOnce(&Answer<T>) -> PrincipalBinding,
        answer: &Answer<T>,
    ) -> Option<Box<PrincipalBinding>> {
        if self.options.principal == PrincipalPolicy::Ignore {
            return None;
        }
        let binding = of(answer);
        match (self.options.principal, binding.binding) {
            (_, Binding::Bound) => None,
            (PrincipalPolicy::Require, _) => Some(Box::new(binding)),
            (_, Binding::NotBound) if self.key_kind().is_some() => {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!("{}: it counts for no wallet and no history", binding.words());
                    self.observer.tell(Event::PrincipalMissing);
                }
                None
            }
            _ => None,
        }
    }

    /// Asks an endpoint that has no body.
    pub(crate) async fn get<T: FromFields>(&self, endpoint: &Endpoint) -> Result<Answer<T>, Error> {
        self.ask(endpoint, "", None).await
    }

    /// Asks an endpoint; `tail` is what its path has besides: a segment or a query, encoded.
    pub(crate) async fn ask<T: FromFields>(
        &self,
        endpoint: &Endpoint,
        tail: &str,
        body: Option<Bytes>,
    ) -> Result<Answer<T>, Error> {
        let request = self.request_to(endpoint, tail, body, None)?;
        decode(self.send(request).await?, typed)
    }

    /// The same with secrets in the body.
    pub(crate) async fn ask_secretly<T: FromFields>(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        concealed: Concealed,
    ) -> Result<Answer<T>, Error> {
        let request = Request { concealed, ..self.request_to(endpoint, "", Some(body), None)? };
        decode(self.send(request).await?, typed)
    }

    /// Has something removed. `None` where it is not there and an attempt before may have removed it.
    pub(crate) async fn remove_at<T: FromFields>(
        &self,
        endpoint: &Endpoint,
        tail: &str,
    ) -> Result<Option<Answer<T>>, Error> {
        let request = self.request_to(endpoint, tail, None, None)?;
        let span = span_of(&request);
        let mut call = self.exchange.begin(request, &self.options);
        match call.send().instrument(span).await {
            Ok(reply) => decode(reply, typed).map(Some),
            Err(Error::NotFound(_)) if call.may_have_been_done_before() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Any method, any path, any body.
    pub(crate) async fn raw<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer<T>, Error> {
        // It would ask a proxy for a tunnel and not the server for an answer.
        if method == Method::CONNECT {
            return Err(Error::invalid("method", "the method CONNECT is not one of the API; use another"));
        }
        let (repeat, stake) = match method {
            Method::GET | Method::HEAD | Method::OPTIONS => (Repeat::Always, Stake::Nothing),
            // It may be any of the endpoints, or one that is not known here.
            _ => (Repeat::NeverWhenUnknown, Stake::Money),
        };
        self.check_open()?;
        let url = self.exchange.transport().base().join(path)?;
        let concealed = Concealed::default();
        let request = Request { method, url, body, repeat, stake, idempotency_key: None, concealed };
        decode(self.send(request).await?, |body, text| {
            // An empty answer (204, a HEAD) reads as null.
            let text = if body.is_empty() { "null" } else { text };
            serde_json::from_str(text)
                .map_err(|error| format!("it is not the JSON that was expected ({error})"))
        })
    }

    pub(crate) async fn send(&self, request: Request) -> Result<Reply, Error> {
        let span = span_of(&request);
        self.exchange.begin(request, &self.options).send().instrument(span).await
    }

    /// A `POST` that may be paid for, if the client has who pays.
    async fn send_paid(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        key: Option<String>,
        concealed: Concealed,
    ) -> Result<Reply, Error> {
        let request = Request { concealed, ..self.request_to(endpoint, "", Some(body), key)? };
        let span = span_of(&request);
        let mut call = self.exchange.begin(request, &self.options);
        let Some(payers) = &self.payers else { return call.send().instrument(span).await };
        async {
            let under_way = payers.call_under_way(call.deadline()).await;
            let answered = call.send().await;
            drop(under_way);
            match answered {
                // Few calls come here; the others need not carry the room for it.
                Err(Error::PaymentRequired(challenge)) => {
                    Box::pin(pay_and_ask_again(payers, challenge, &mut call)).await
                }
                answered => answered,
            }
        }
        .instrument(span)
        .await
    }

    pub(crate) fn request_to(
        &self,
        endpoint: &Endpoint,
        tail: &str,
        body: Option<Bytes>,
        idempotency_key: Option<String>,
    ) -> Result<Request, Error> {
        self.check_open()?;
        let url = self.exchange.transport().base().join(&format!("{}{tail}", endpoint.path))?;
        let Endpoint { method, repeat, stake, .. } = endpoint.clone();
        let concealed = Concealed::default();
        Ok(Request { method, url, body, repeat, stake, idempotency_key, concealed })
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        match self.is_closed.load(Ordering::Relaxed) {
            true => Err(Error::config("the client is closed; make a new one")),
            false => Ok(()),
        }
    }
}

/// A call that was refused for want of money is sent again as it was.
impl Ask for exchange::Call<'_> {
    async fn ask(&mut self) -> Result<Reply, Error> {
        self.send().await
    }

    fn paid(&mut self, payment: &Payment) {
        self.note_payment(&payment.id, payment.amount);
    }

    fn request(&self) -> HttpRequest {
        self.request()
    }

    fn accept(&mut self, answered: Result<HttpAnswer, Fault>) -> Result<Reply, Error> {
        self.accept(answered)
    }

    fn deadline(&self) -> Instant {
        self.deadline()
    }

    fn key(&self) -> &str {
        self.key()
    }
}

pub(crate) fn span_of(request: &Request) -> tracing::Span {
    tracing::info_span!("amply.call", http.request.method = %request.method, url.path = request.url.path())
}

pub(crate) fn encode<T: Serialize + ?Sized>(body: &T) -> Result<Bytes, Error> {
    serde_json::to_vec(body)
        .map(Bytes::from)
        .map_err(|error| Error::invalid("body", format!("the body cannot be written as JSON: {error}")))
}

pub(crate) fn typed<T: FromFields>(body: &Bytes, text: &str) -> Result<T, String> {
    let fields = Fields::parse(body, text).map_err(|error| format!("it is not a JSON object ({error})"))?;
    T::from_fields(fields)
}

/// Reads a 2xx answer. What cannot be read is kept whole in the error: it may have been paid for. All else that the error tells is
/// without the secrets of the request.
pub(crate) fn decode<T>(
    reply: Reply,
    read: impl FnOnce(&Bytes, &str) -> Result<T, String>,
) -> Result<Answer<T>, Error> {
    let Reply { body, mut meta, request, may_have_been_charged, concealed } = reply;
    let value = match text_of(&body) {
        Ok(text) => check_depth(text).and_then(|()| read(&body, text)),
        Err(error) => Err(format!("it is not UTF-8 from byte {} on", error.valid_up_to())),
    };
    match value {
        Ok(value) => {
            if meta.request_id().is_none() {
                meta.body_request_id = body_request_id(&body);
            }
            Ok(Answer::new(value, body, meta))
        }
        Err(why) => {
            let request = format!("{} {}", request.0, request.1);
            let (mut told, mut why) = (body.clone(), why);
            if let Some(search) = concealed.search() {
                (told, why) = (search.body(told), search.line(&why));
                meta.headers = search.headers(meta.headers);
            }
            let shown = one_line(&String::from_utf8_lossy(&told), 200);
            let came =
                if shown.is_empty() { "nothing came".to_owned() } else { format!("it begins `{shown}`") };
            let detail = format!("the answer to {request} is not one of the Amply API: {why}; {came}");
            let hint = match may_have_been_charged {
                true => "the call may have been charged; the whole answer is in this error",
                false => "check the base URL, and whether a proxy answers in the server's place",
            };
            meta.body_request_id = body_request_id(&told);
            Err(Error::Protocol(Box::new(Failure {
                meta,
                request,
                detail,
                code: None,
                hint: Some(hint.to_owned()),
                body,
                may_have_been_charged,
                source: None,
            })))
        }
    }
}

fn body_request_id(body: &Bytes) -> Option<String> {
    Fields::parse(body, text_of(body).ok()?).ok()?.take("request_id")
}
