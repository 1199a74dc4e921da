//! What a 402 asks for, and whether it may be paid.
//!
//! This file decides and does no I/O. A challenge is read whole, for a person who pays by hand; what is wrong with it is
//! found at once, so that nothing is ever paid on an amount that was guessed.

use std::fmt;

use crate::error::Failure;
use crate::key::KeyKind;
use crate::money::Usd;
use crate::principal::PrincipalBinding;
use crate::text::one_line;
use crate::wire::{ErrorBody, Fields, RawJson, exact_usd, raw_fields, text_of};

/// The form of a challenge that this client knows (API documentation, x402 shaping).
const SPEC: &str = "amply.x402/1";

/// What a 402 asks for. Nothing was charged for the call that it answers.
///
/// Body, headers and the `x402` object, read leniently for people: every field may be missing. [`refusals`](Self::refusals)
/// says why the client would not pay it. Payments are not guaranteed v1 contracts of the API unless documented as shipped.
#[derive(Debug)]
#[non_exhaustive]
pub struct PaymentChallenge {
    /// How much is missing for this call, in USD; as it was written, never through a double.
    pub shortfall_usd: Option<Usd>,
    /// What the wallet holds, in USD.
    pub balance_usd: Option<Usd>,
    /// What the server suggests to top up, in USD. It never raises what is paid.
    pub amount_usd: Option<Usd>,
    /// The currency of the amounts, where it is said.
    pub currency: Option<String>,
    /// When the challenge ends, RFC 3339, where it is said.
    pub expires_at: Option<String>,
    /// The challenge's own id.
    pub challenge_id: Option<String>,
    /// The form of the challenge: `amply.x402/1`. None for a plain 402.
    pub spec: Option<String>,
    /// Where a person can top up the wallet. It is the server's word: show it, send nothing to it.
    pub top_up_url: Option<String>,
    /// Offers of the open x402 protocol, as they came.
    pub offers: Vec<RawJson>,
    /// The `x402` object as it came.
    pub x402: Option<RawJson>,
    refusals: Vec<Refusal>,
    expires_ms: Option<i64>,
    failure: Failure,
}

/// Why a challenge is not paid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It names no amount.
    NoAmount,
    /// An amount is none that can be paid: not a number, not above zero, or not exact. The field, and what it says.
    InvalidAmount(&'static str, String),
    /// It asks for less than what is missing.
    AmountBelowShortfall,
    /// It is in another currency.
    CurrencyNotUsd(String),
    /// Its time is over.
    Expired,
    /// It names a time that is none.
    InvalidExpiry(String),
    /// A path in it leads away from the server.
    PathLeavesOrigin(String),
    /// It is of a form that this client does not know.
    UnknownSpec(String),
    /// The server says that the call is bound to no principal: there is no wallet to top up.
    NotBound,
    /// The call has no key, or one that belongs to no wallet.
    NoWallet,
    /// Whose wallet it is cannot be found out, and why.
    PayeeUnknown(String),
    /// An offer of the open x402 protocol is not acceptable.
    #[non_exhaustive]
    Offer {
        /// Its place in the server's list, from 0.
        index: usize,
        /// The stable name of the reason.
        code: &'static str,
        /// The reason in words.
        words: String,
    },
    /// The offers of the open x402 protocol are not acceptable as a whole.
    #[non_exhaustive]
    OpenChallenge {
        /// The stable name of the reason.
        code: &'static str,
        /// The reason in words.
        words: String,
    },
    /// This server has refused payment after payment on this network; its last reason. Nothing is signed for it for a while.
    OriginKeepsRejecting(String),
}

impl Refusal {
    /// The stable name of this reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoAmount => "no_amount",
            Self::InvalidAmount(..) => "invalid_amount",
            Self::AmountBelowShortfall => "amount_below_shortfall",
            Self::CurrencyNotUsd(_) => "currency_not_usd",
            Self::Expired => "expired",
            Self::InvalidExpiry(_) => "invalid_expiry",
            Self::PathLeavesOrigin(_) => "path_leaves_origin",
            Self::UnknownSpec(_) => "unknown_spec",
            Self::NotBound => "not_bound",
            Self::NoWallet => "no_wallet",
            Self::PayeeUnknown(_) => "payee_unknown",
            Self::Offer { code, .. } | Self::OpenChallenge { code, .. } => code,
            Self::OriginKeepsRejecting(_) => "origin_keeps_rejecting",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAmount => f.write_str("it names no amount"),
            Self::InvalidAmount(field, said) => {
                write!(f, "its {field} `{said}` is no amount that can be paid")
            }
            Self::AmountBelowShortfall => f.write_str("it asks for less than what is missing"),
            Self::CurrencyNotUsd(currency) => write!(f, "it is in `{currency}`, not in USD"),
            Self::Expired => f.write_str("it has expired"),
            Self::InvalidExpiry(said) => write!(f, "its expires_at `{said}` is no time"),
            Self::PathLeavesOrigin(path) => write!(f, "its path `{path}` leads away from the server"),
            Self::UnknownSpec(spec) => write!(f, "its form `{spec}` is not known"),
            Self::NotBound => {
                f.write_str("the call is bound to no principal, so there is no wallet to top up")
            }
            Self::NoWallet => f.write_str("the call has no key that belongs to a wallet"),
            Self::Offer { index, words, .. } => write!(f, "its offer {}: {words}", index + 1),
            Self::OpenChallenge { words, .. } => f.write_str(words),
            Self::OriginKeepsRejecting(why) => {
                write!(f, "this server has refused payment after payment (last: {})", one_line(why, 100))
            }
            Self::PayeeUnknown(why) => write!(f, "whose wallet it is cannot be found out ({why})"),
        }
    }
}

impl PaymentChallenge {
    pub(crate) fn new(body: Option<ErrorBody>, failure: Failure, now_ms: i64) -> Self {
        let mut challenge = Self {
            shortfall_usd: None,
            balance_usd: None,
            amount_usd: None,
            currency: None,
            expires_at: None,
            challenge_id: None,
            spec: None,
            top_up_url: None,
            offers: Vec::new(),
            x402: None,
            refusals: Vec::new(),
            expires_ms: None,
            failure,
        };
        if let Some(body) = body {
            challenge.read(body);
        }
        if challenge.shortfall_usd.or(challenge.amount_usd).is_none()
            && !challenge.refusals.iter().any(|refusal| matches!(refusal, Refusal::InvalidAmount(..)))
        {
            challenge.refusals.push(Refusal::NoAmount);
        }
        if let (Some(amount), Some(shortfall)) = (challenge.amount_usd, challenge.shortfall_usd)
            && amount < shortfall
        {
            challenge.refusals.push(Refusal::AmountBelowShortfall);
        }
        if challenge.is_expired(now_ms) {
            challenge.refusals.push(Refusal::Expired);
        }
        challenge.check_principal();
        challenge
    }

    fn read(&mut self, body: ErrorBody) {
        self.shortfall_usd = self.positive("shortfall_usd", body.shortfall_usd);
        // It may be below zero, and may be missing; what it says must be an amount all the same.
        if let Some(raw) = body.balance_usd {
            self.balance_usd = exact_usd(&raw);
            if self.balance_usd.is_none() {
                self.refusals.push(Refusal::InvalidAmount("balance_usd", one_line(raw.text(), 40)));
            }
        }
        self.top_up_url = body.top_up_url;
        let Some(x402) = body.x402 else { return };
        match raw_fields(&x402) {
            Some(fields) => self.read_x402(fields),
            None => self.refusals.push(Refusal::UnknownSpec(one_line(x402.text(), 40))),
        }
        self.x402 = Some(x402);
    }

    fn read_x402(&mut self, mut fields: Fields<'_>) {
        self.spec = fields.take("spec");
        if self.spec.as_deref() != Some(SPEC) {
            let spec = self.spec.as_deref().map_or("none", |spec| spec);
            self.refusals.push(Refusal::UnknownSpec(one_line(spec, 40)));
        }
        self.challenge_id = fields.take("challenge_id");
        let amount = fields.take("amount_usd");
        self.amount_usd = self.positive("amount_usd", amount);
        self.offers = fields.take("accepts").unwrap_or_default();
        if let Some(currency) = fields.take::<RawJson>("currency") {
            let word = serde_json::from_str::<String>(currency.text());
            let word = word.unwrap_or_else(|_| currency.text().to_owned());
            if word != "USD" {
                self.refusals.push(Refusal::CurrencyNotUsd(one_line(&word, 20)));
            }
            self.currency = Some(word);
        }
        if let Some(expiry) = fields.take::<RawJson>("expires_at") {
            let text = serde_json::from_str::<String>(expiry.text());
            let text = text.unwrap_or_else(|_| expiry.text().to_owned());
            match text.parse::<jiff::Timestamp>() {
                Ok(time) => self.expires_ms = Some(time.as_millisecond()),
                Err(_) => self.refusals.push(Refusal::InvalidExpiry(one_line(&text, 40))),
            }
            self.expires_at = Some(text);
        }
        for name in ["top_up", "retry"] {
            let Some(step) = fields.take::<RawJson>(name) else { continue };
            let path = raw_fields(&step).and_then(|mut step| step.take::<RawJson>("path"));
            let Some(path) = path else { continue };
            let path = serde_json::from_str::<String>(path.text()).unwrap_or_else(|_| path.text().to_owned());
            if leaves_origin(&path) {
                self.refusals.push(Refusal::PathLeavesOrigin(one_line(&path, 100)));
            }
        }
    }

    /// An amount that can be paid: exact, and above zero.
    fn positive(&mut self, field: &'static str, raw: Option<RawJson>) -> Option<Usd> {
        let raw = raw?;
        let amount = exact_usd(&raw).filter(|amount| amount.is_positive() && amount.to_nano_up().is_some());
        if amount.is_none() {
            self.refusals.push(Refusal::InvalidAmount(field, one_line(raw.text(), 40)));
        }
        amount
    }

    fn check_principal(&mut self) {
        let meta = self.failure.meta();
        let binding = PrincipalBinding::read(meta.headers(), None, meta.key_kind());
        if binding.header == Some(false) {
            self.refusals.push(Refusal::NotBound);
        } else if meta.key_kind() != Some(KeyKind::User) {
            self.refusals.push(Refusal::NoWallet);
        }
    }

    /// Where nothing was asked for: somebody ordered a top-up.
    #[cfg(feature = "operator")]
    pub(super) fn none(failure: Failure) -> Self {
        Self {
            shortfall_usd: None,
            balance_usd: None,
            amount_usd: None,
            currency: None,
            expires_at: None,
            challenge_id: None,
            spec: None,
            top_up_url: None,
            offers: Vec::new(),
            x402: None,
            refusals: Vec::new(),
            expires_ms: None,
            failure,
        }
    }

    /// Why this client would not pay it, whatever its policy allows; empty where it would.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Whether there are offers of the open x402 protocol in places of their own: of version 2 in its header, of version 1 in
    /// the body.
    fn has_open_offers(&self) -> bool {
        let body = &self.failure.body;
        let fields = text_of(body).ok().and_then(|text| Fields::parse(body, text).ok());
        self.failure.meta.headers().contains_key("payment-required")
            || fields.is_some_and(|mut fields| fields.take::<RawJson>("x402Version").is_some())
    }

    pub(crate) fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }

    pub(crate) fn expires_ms(&self) -> Option<i64> {
        self.expires_ms
    }

    pub(crate) fn into_failure(self) -> Failure {
        self.failure
    }

    /// What is known about the call.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl fmt::Display for PaymentChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.shortfall_usd, self.balance_usd) {
            (Some(short), Some(balance)) => {
                write!(f, "the wallet holds {balance} USD, {short} USD too little for this call")
            }
            (Some(short), None) => write!(f, "the wallet is {short} USD short for this call"),
            // What is in it is for programs.
            _ if self.has_open_offers() => f.write_str("the call must be paid for by x402"),
            _ => write!(f, "the call must be paid for: {}", self.failure.detail()),
        }
    }
}

/// Whether what should be a path of the server is anything else.
fn leaves_origin(path: &str) -> bool {
    let dots = |part: &str| {
        let part = part.to_ascii_lowercase().replace("%2e", ".");
        part == ".."
    };
    !path.starts_with('/')
        || path.starts_with("//")
        || path.contains('\\')
        || path.chars().any(|c| c.is_control() || c.is_whitespace())
        || path.split(['/', '?', '#']).any(dots)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header::HeaderMap;

    use super::*;
    use crate::meta::Meta;

    /// 2026-01-01T00:00:00Z.
    const NOW: i64 = 1_767_225_600_000;

    fn challenge(body: &str, headers: &[(&'static str, &str)], key: Option<KeyKind>) -> PaymentChallenge {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let failure = Failure {
            meta: Meta { headers, key_kind: key, ..Meta::default() },
            request: "POST /route".to_owned(),
            detail: "too little".to_owned(),
            code: None,
            hint: None,
            body: body.clone(),
            may_have_been_charged: false,
            source: None,
        };
        PaymentChallenge::new(ErrorBody::parse(&body), failure, NOW)
    }

    fn codes(body: &str) -> Vec<&'static str> {
        challenge(body, &[], Some(KeyKind::User)).refusals().iter().map(Refusal::code).collect()
    }

    #[test]
    fn a_plain_challenge_and_one_of_the_known_form_are_accepted() {
        for body in [
            r#"{"shortfall_usd":0.01}"#,
            r#"{"shortfall_usd":"0.010","balance_usd":"-0.5"}"#,
            r#"{"shortfall_usd":0.010000000001,"balance_usd":0,"x402":null}"#,
            r#"{"shortfall_usd":1e-2,"x402":{"spec":"amply.x402/1"}}"#,
            r#"{"x402":{"spec":"amply.x402/1","amount_usd":"5.00","currency":"USD"}}"#,
            r#"{"shortfall_usd":1,"x402":{"spec":"amply.x402/1","amount_usd":5,"expires_at":"2026-01-01T00:00:01Z"}}"#,
            r#"{"shortfall_usd":1,"x402":{"spec":"amply.x402/1","expires_at":"2026-01-01T02:00:00+01:00"}}"#,
            r#"{"shortfall_usd":1,"x402":{"spec":"amply.x402/1","top_up":{"path":"/api/v1/billing/topup"},"retry":{"path":"/api/v1/route"}}}"#,
            r#"{"shortfall_usd":1,"top_up_url":"https://elsewhere.example/pay","new":{}}"#,
        ] {
            assert_eq!(codes(body), [""; 0], "{body}");
        }
    }

    #[test]
    fn nothing_is_paid_on_an_amount_that_is_none() {
        for amount in [
            "0", "-1", "\"NaN\"", "1e308", "1e400", "\"\"", "\"five\"", "{}", "[1]", "true", "-0.0",
            "\"0x10\"",
        ] {
            let alone = format!(r#"{{"shortfall_usd":{amount}}}"#);
            assert_eq!(codes(&alone), ["invalid_amount"], "{alone}");
            let beside =
                format!(r#"{{"shortfall_usd":1,"x402":{{"spec":"amply.x402/1","amount_usd":{amount}}}}}"#);
            assert_eq!(codes(&beside), ["invalid_amount"], "{beside}");
        }
        // A double would make 0.1 of it.
        let digits = r#"{"shortfall_usd":0.1000000000000000000000000000001}"#;
        assert_eq!(codes(digits), ["invalid_amount"]);
        assert_eq!(codes(r#"{"shortfall_usd":1,"balance_usd":"NaN"}"#), ["invalid_amount"]);
        for nothing in ["{}", "", "<html>", r#"{"balance_usd":0}"#, r#"{"x402":{"spec":"amply.x402/1"}}"#] {
            assert_eq!(codes(nothing), ["no_amount"], "{nothing}");
        }
    }

    #[test]
    fn a_challenge_that_contradicts_itself_or_leads_elsewhere_is_refused() {
        let x402 =
            |fields: &str| format!(r#"{{"shortfall_usd":1,"x402":{{"spec":"amply.x402/1",{fields}}}}}"#);
        for (fields, code) in [
            (r#""amount_usd":0.99"#, "amount_below_shortfall"),
            (r#""currency":"EUR""#, "currency_not_usd"),
            (r#""currency":"usd""#, "currency_not_usd"),
            (r#""currency":5"#, "currency_not_usd"),
            (r#""expires_at":"2026-01-01T00:00:00Z""#, "expired"),
            (r#""expires_at":"2025-12-31T23:59:59.999Z""#, "expired"),
            (r#""expires_at":"soon""#, "invalid_expiry"),
            (r#""expires_at":1767225700"#, "invalid_expiry"),
            (r#""top_up":{"path":"https://example.com/pay"}"#, "path_leaves_origin"),
            (r#""top_up":{"path":"//example.com/pay"}"#, "path_leaves_origin"),
            (r#""retry":{"path":"/api/v1/../../x"}"#, "path_leaves_origin"),
            (r#""retry":{"path":"/api/%2E%2e/x"}"#, "path_leaves_origin"),
            (r#""retry":{"path":"/\\evil.example"}"#, "path_leaves_origin"),
            (r#""retry":{"path":7}"#, "path_leaves_origin"),
        ] {
            assert_eq!(codes(&x402(fields)), [code], "{fields}");
        }
        for spec in [r#"{"spec":"amply.x402/2"}"#, r#"{"spec":1}"#, "{}", "true", "[]"] {
            assert_eq!(codes(&format!(r#"{{"shortfall_usd":1,"x402":{spec}}}"#)), ["unknown_spec"], "{spec}");
        }
    }

    #[test]
    fn one_that_is_for_programs_is_not_shown_as_it_came() {
        const OFFERS: (&str, &str) = ("payment-required", "eyJ4NDAyVmVyc2lvbiI6Mn0=");
        for (body, headers, says) in [
            ("{}", &[OFFERS][..], "by x402"),
            (r#"{"x402Version":1,"error":"X-PAYMENT header is required","accepts":[]}"#, &[], "by x402"),
            ("{}", &[], "too little"),
            (r#"{"shortfall_usd":1}"#, &[OFFERS], "1 USD short"),
        ] {
            let shown = challenge(body, headers, Some(KeyKind::User)).to_string();
            assert!(shown.contains(says) && !shown.contains("accepts"), "{shown}");
        }
    }

    #[test]
    fn there_must_be_a_wallet_that_is_ours() {
        const BOUND: &str = "x-amply-principal-bound";
        let body = r#"{"shortfall_usd":1}"#;
        let code = |headers: &[(&'static str, &str)], key| {
            challenge(body, headers, key).refusals().first().map(Refusal::code)
        };
        assert_eq!(code(&[], Some(KeyKind::User)), None);
        assert_eq!(code(&[(BOUND, "1")], Some(KeyKind::User)), None);
        assert_eq!(code(&[(BOUND, "0")], Some(KeyKind::User)), Some("not_bound"));
        assert_eq!(code(&[(BOUND, "1"), (BOUND, "0")], Some(KeyKind::User)), Some("not_bound"));
        assert_eq!(code(&[(BOUND, "1")], Some(KeyKind::Server)), Some("no_wallet"));
        assert_eq!(code(&[], Some(KeyKind::Server)), Some("no_wallet"));
        assert_eq!(code(&[], None), Some("no_wallet"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_cannot_act_on_a_terminal() {
        let body = r#"{"shortfall_usd":-1,"x402":{"spec":"amply.x402/1","currency":"E\u001b[31mR","expires_at":"never"}}"#;
        let challenge = challenge(body, &[], Some(KeyKind::User));
        let said: Vec<_> = challenge.refusals().iter().map(Refusal::to_string).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(!said.concat().contains('\u{1b}'), "{said:?}");
    }
}
