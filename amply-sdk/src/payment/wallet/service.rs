//! A payer that asks a guarded top-up service: the customer's own, which holds the secret that moves money.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, StatusCode};
use reqwest::Url;
use serde::Serialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::payer::{Payer, TopUp, TopUpFuture, TopUpRequest};
use crate::base_url::BaseUrl;
use crate::error::Error;
use crate::key;
use crate::money::Usd;
use crate::payment::Receipt;
use crate::retry::Effect;
use crate::secret::{self, Concealed};
use crate::text::one_line;
use crate::tls;
use crate::transport::{HttpAnswer, HttpRequest, Settings, Transport};
use crate::wire::{Fields, RawJson, exact_usd, text_of};

/// How long a service of this kind keeps to one payment for one idempotency key.
const IDEMPOTENT_FOR: Duration = Duration::from_secs(12 * 3600);
/// Longer than a payer may take, so that the payer's own limit is what ends a request.
const LIMIT: Duration = Duration::from_secs(300);

/// Tops up by `POST` to a service that guards the money, the usual pattern in production: agents call the service, and only
/// the service holds the secret.
///
/// It is sent `{"amount_usd": "0.05", "principal_id": …, "idempotency_key": …, "reason": …}` with an `Idempotency-Key` and,
/// if there is a token, `Authorization: Bearer`. It answers `{"ok": true, "credited_usd": 0.05, "balance_usd": …,
/// "topup_id": …}`; the last two may be left out.
///
/// | the service answers | the payment is |
/// | --- | --- |
/// | 2xx with `ok: true` and a positive `credited_usd` | settled |
/// | 400, 401, 403, 404, 405, 422, 429; no connection could be made | rejected |
/// | anything else: 409, 5xx, 2xx without `ok`, a cut answer, silence | unknown |
///
/// It must pay once for one idempotency key, for 12 hours at least: an unknown payment is asked for again under its key, of
/// the service at the same URL.
pub struct TopUpService {
    transport: Transport,
    token: Option<Zeroizing<String>>,
}

impl TopUpService {
    /// A service at this URL: https, or http on this machine.
    ///
    /// # Errors
    /// [`Error::Config`] when the URL is none, has credentials or a query in it, or would send the token unencrypted.
    pub fn new(url: &str) -> Result<Self, Error> {
        let base = BaseUrl::of_service(url)?;
        let tls = if base.is_https() { tls::system_trust(Vec::new())? } else { tls::no_trust()? };
        let settings = Settings {
            base,
            authorization: None,
            signup_token: None,
            tls,
            connect_timeout: Duration::from_secs(5),
        };
        Ok(Self { transport: Transport::new(settings)?, token: None })
    }

    /// The token that the service asks for.
    ///
    /// # Errors
    /// [`Error::Config`] when it is empty or cannot be sent; it is not shown.
    pub fn token(mut self, token: impl Into<String>) -> Result<Self, Error> {
        let token = Zeroizing::new(token.into());
        let authorization = key::bearer(token.clone(), "the token of the top-up service")?;
        self.transport = self.transport.with_authorization(authorization)?;
        self.token = Some(token);
        Ok(self)
    }

    async fn ask(&self, request: &TopUpRequest) -> TopUp {
        let secret = self.token.as_ref().map(|token| token.as_str());
        let url = self.transport.base().url().clone();
        Asked { who: "the top-up service", transport: &self.transport, url, secret }.ask(request).await
    }
}

/// Somebody who tops up over HTTP, and the secret that they know us by.
pub(super) struct Asked<'a> {
    /// In words.
    pub(super) who: &'static str,
    pub(super) transport: &'a Transport,
    pub(super) url: Url,
    pub(super) secret: Option<&'a str>,
}

impl Asked<'_> {
    /// Asks once, by the closed list of [`TopUpService`].
    pub(super) async fn ask(self, request: &TopUpRequest) -> TopUp {
        let body = Body {
            amount_usd: request.amount_usd,
            principal_id: request.principal_id.as_deref(),
            idempotency_key: &request.idempotency_key,
            reason: &request.reason,
        };
        let (Ok(body), Ok(idempotency_key)) =
            (serde_json::to_vec(&body), HeaderValue::from_str(&request.idempotency_key))
        else {
            return TopUp::Rejected("the request for the top-up cannot be written".to_owned());
        };
        let http = HttpRequest {
            method: Method::POST,
            url: self.url,
            body: Some(Bytes::from(body)),
            idempotency_key: Some(idempotency_key),
            payment: None,
            // The answer is looked at here alone, and told on without the token.
            concealed: Concealed::default(),
        };
        match self.transport.send(&http, Instant::now() + LIMIT).await {
            Ok(answer) => judge(self.who, &answer, self.secret),
            Err(fault) if fault.effect == Effect::None => TopUp::Rejected(fault.detail),
            Err(fault) => TopUp::Unknown(fault.detail),
        }
    }
}

impl Payer for TopUpService {
    fn top_up<'a>(&'a self, request: &'a TopUpRequest) -> TopUpFuture<'a> {
        Box::pin(self.ask(request))
    }

    fn idempotent_for(&self) -> Option<Duration> {
        Some(IDEMPOTENT_FOR)
    }

    fn name(&self) -> String {
        format!("the top-up service {}", self.transport.base().as_str())
    }

    /// The service at its URL, whatever the token.
    fn identity(&self) -> Option<String> {
        Some(format!("top-up service {}", self.transport.base().as_str()))
    }
}

impl fmt::Debug for TopUpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopUpService").field("url", &self.transport.base().as_str()).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    amount_usd: Usd,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_id: Option<&'a str>,
    idempotency_key: &'a str,
    reason: &'a str,
}

/// A closed list: what is on none of its lines is unknown. Nothing that is kept of the answer has the token in it, though the
/// service may repeat what it was sent.
fn judge(who: &str, answer: &HttpAnswer, token: Option<&str>) -> TopUp {
    let status = answer.status;
    let text = one_line(&without(token, &String::from_utf8_lossy(&answer.body)), 200);
    let said = match text.is_empty() {
        true => format!("{who} answered {}", status.as_u16()),
        false => format!("{who} answered {}: {text}", status.as_u16()),
    };
    match status {
        status if status.is_success() => match receipt(&answer.body, token) {
            Some(receipt) => TopUp::Settled(receipt),
            None => TopUp::Unknown(said),
        },
        StatusCode::BAD_REQUEST
        | StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::TOO_MANY_REQUESTS => TopUp::Rejected(said),
        _ => TopUp::Unknown(said),
    }
}

/// A text without the token, as it is and as JSON may write it.
fn without(token: Option<&str>, text: &str) -> String {
    token.map_or_else(|| text.to_owned(), |token| secret::without(token, "[token]", text))
}

fn receipt(body: &Bytes, token: Option<&str>) -> Option<Receipt> {
    let mut fields = Fields::parse(body, text_of(body).ok()?).ok()?;
    // Not read leniently: a text that says "true" is no promise.
    let is_ok = fields.take::<RawJson>("ok")?.text() == "true";
    let credited = exact_usd(&fields.take("credited_usd")?)?;
    (is_ok && credited.is_positive()).then_some(())?;
    let mut receipt = Receipt::new(credited);
    receipt.balance_usd = fields.take::<RawJson>("balance_usd").and_then(|raw| exact_usd(&raw));
    receipt.topup_id = fields.take::<String>("topup_id").map(|id| without(token, &id));
    Some(receipt)
}

#[cfg(test)]
mod tests {
    use http::header::HeaderMap;

    use super::*;

    fn judged(status: u16, body: &str) -> TopUp {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let status = StatusCode::from_u16(status).unwrap();
        judge(
            "the top-up service",
            &HttpAnswer { status, headers: HeaderMap::new(), body },
            Some("s3cret/token"),
        )
    }

    #[test]
    fn a_service_that_repeats_the_token_gets_it_into_no_error_and_no_receipt() {
        let long = format!("{}s3cret/token", "x".repeat(195));
        for body in [
            r#"{"error":"Bearer s3cret/token is not known"}"#,
            "s3cret/tokens3cret/token",
            r#""s3cret\/token""#,
            &long,
        ] {
            for status in [200, 401, 500] {
                let said = format!("{:?}", judged(status, body));
                assert!(!said.contains("s3cret"), "{said}");
            }
        }
        let echo = r#"{"ok":true,"credited_usd":1,"topup_id":"for s3cret/token"}"#;
        let TopUp::Settled(receipt) = judged(200, echo) else { panic!("not settled") };
        assert_eq!(receipt.topup_id.as_deref(), Some("for [token]"));
    }

    #[test]
    fn only_a_clear_yes_is_settled_and_only_a_clear_no_is_rejected() {
        let yes = r#"{"ok":true,"credited_usd":0.05,"balance_usd":"1.25","topup_id":"t1"}"#;
        assert_eq!(
            judged(200, yes),
            TopUp::Settled(
                Receipt::new("0.05".parse::<Usd>().unwrap())
                    .balance("1.25".parse::<Usd>().unwrap())
                    .topup_id("t1")
            )
        );
        for status in [400, 401, 403, 404, 405, 422, 429] {
            for body in [yes, "", "<html>"] {
                assert!(matches!(judged(status, body), TopUp::Rejected(_)), "{status} {body}");
            }
        }
        for status in [402, 408, 409, 410, 413, 418, 500, 502, 503, 504, 599] {
            for body in [yes, "", "<html>"] {
                assert!(matches!(judged(status, body), TopUp::Unknown(_)), "{status} {body}");
            }
        }
        for body in [
            "",
            "null",
            "<html>",
            r#"{"credited_usd":0.05}"#,
            r#"{"ok":false,"credited_usd":0.05}"#,
            r#"{"ok":"true","credited_usd":0.05}"#,
            r#"{"ok":true}"#,
            r#"{"ok":true,"credited_usd":0}"#,
            r#"{"ok":true,"credited_usd":-1}"#,
            r#"{"ok":true,"credited_usd":"NaN"}"#,
            r#"{"ok":true,"credited_usd":1e308}"#,
        ] {
            assert!(matches!(judged(200, body), TopUp::Unknown(_)), "{body}");
        }
    }

    #[test]
    fn a_service_that_would_get_the_token_unencrypted_is_refused_and_no_token_is_shown() {
        for (url, says) in [
            ("http://billing.example/topup", "unencrypted"),
            ("https://user:pw@billing.example/topup", "credentials"),
            ("billing.example/topup", "has no scheme"),
        ] {
            let error = TopUpService::new(url).unwrap_err().to_string();
            assert!(
                error.contains("the top-up URL") && error.contains(says) && !error.contains("pw"),
                "{error}"
            );
        }
        let service = TopUpService::new("http://127.0.0.1:9/topup").unwrap();
        let error = service.token("hid den").unwrap_err().to_string();
        assert!(error.contains("the token of the top-up service") && !error.contains("hid"), "{error}");
    }
}
