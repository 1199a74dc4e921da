//! One logical call, from the request to the typed answer: check → exchange → decode → whose call was it?

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Method;
use http::header::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer::Answer;
use crate::client::Client;
use crate::error::{Error, Failure};
use crate::exchange::{Reply, Request};
use crate::key::KeyKind;
use crate::principal::{Binding, PrincipalBinding, PrincipalPolicy};
use crate::retry::Repeat;
use crate::text::one_line;
use crate::wire::{Fields, FromFields, Route, RouteRequest, check_depth, text_of};

impl Client {
    /// `POST /route`, which may cost money and counts for a principal.
    pub(crate) async fn route(&self, request: &RouteRequest) -> Result<Answer<Route>, Error> {
        request.validate()?;
        // What is known to bind nobody is refused before it costs anything.
        if self.options.principal == PrincipalPolicy::Require && self.key_kind() != Some(KeyKind::User) {
            let binding = PrincipalBinding::read(&HeaderMap::new(), None, self.key_kind());
            return Err(Error::PrincipalNotBound { binding: Box::new(binding), answer: None });
        }
        let answer = self.post("/route", request, Repeat::OptIn).await?;
        self.check_principal(answer)
    }

    /// Applies the policy to an answer. It is never lost: an error carries it.
    fn check_principal(&self, answer: Answer<Route>) -> Result<Answer<Route>, Error> {
        if self.options.principal == PrincipalPolicy::Ignore {
            return Ok(answer);
        }
        let binding = answer.principal();
        match (self.options.principal, binding.binding) {
            (_, Binding::Bound) => Ok(answer),
            (PrincipalPolicy::Require, _) => {
                Err(Error::PrincipalNotBound { binding: Box::new(binding), answer: Some(Box::new(answer)) })
            }
            (_, Binding::NotBound) if self.key_kind().is_some() => {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!("{}: it counts for no wallet and no history", binding.words());
                }
                Ok(answer)
            }
            _ => Ok(answer),
        }
    }

    /// A `GET` that anybody may repeat.
    pub(crate) async fn get<T: FromFields>(&self, path: &str) -> Result<Answer<T>, Error> {
        let reply = self.send(Method::GET, path, None, Repeat::Always).await?;
        decode(reply, typed)
    }

    /// A `POST` with a JSON body that was checked before.
    async fn post<T: FromFields>(
        &self,
        path: &str,
        body: &impl Serialize,
        repeat: Repeat,
    ) -> Result<Answer<T>, Error> {
        let reply = self.send(Method::POST, path, Some(encode(body)?), repeat).await?;
        decode(reply, typed)
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
        let repeat = match method {
            Method::GET | Method::HEAD | Method::OPTIONS => Repeat::Always,
            _ => Repeat::NeverWhenUnknown,
        };
        let reply = self.send(method, path, body, repeat).await?;
        decode(reply, |body, text| {
            // An empty answer (204, a HEAD) reads as null.
            let text = if body.is_empty() { "null" } else { text };
            serde_json::from_str(text)
                .map_err(|error| format!("it is not the JSON that was expected ({error})"))
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        repeat: Repeat,
    ) -> Result<Reply, Error> {
        use tracing::Instrument;

        let url = self.exchange.transport().base().join(path)?;
        let span = tracing::info_span!("amply.call", http.request.method = %method, url.path = url.path());
        self.exchange.send(Request { method, url, body, repeat }, &self.options).instrument(span).await
    }
}

pub(crate) fn encode<T: Serialize + ?Sized>(body: &T) -> Result<Bytes, Error> {
    serde_json::to_vec(body)
        .map(Bytes::from)
        .map_err(|error| Error::invalid("body", format!("the body cannot be written as JSON: {error}")))
}

fn typed<T: FromFields>(body: &Bytes, text: &str) -> Result<T, String> {
    let fields = Fields::parse(body, text).map_err(|error| format!("it is not a JSON object ({error})"))?;
    T::from_fields(fields)
}

/// Reads a 2xx answer. What cannot be read is kept whole in the error: it may have been paid for.
fn decode<T>(reply: Reply, read: impl FnOnce(&Bytes, &str) -> Result<T, String>) -> Result<Answer<T>, Error> {
    let Reply { body, mut meta, request, may_have_been_charged } = reply;
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
            let shown = one_line(&String::from_utf8_lossy(&body), 200);
            let came =
                if shown.is_empty() { "nothing came".to_owned() } else { format!("it begins `{shown}`") };
            let detail = format!("the answer to {request} is not one of the Amply API: {why}; {came}");
            let hint = match may_have_been_charged {
                true => "the call may have been charged; the whole answer is in this error",
                false => "check the base URL, and whether a proxy answers in the server's place",
            };
            meta.body_request_id = body_request_id(&body);
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
