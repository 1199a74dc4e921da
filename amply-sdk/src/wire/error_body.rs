//! What a refusal says: the error object, and what a 402 adds to it.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use super::fields::{Fields, FromFields, text_of};
use super::json::RawJson;
use crate::error::Failure;
use crate::money::Usd;
use crate::text::one_line;

/// The JSON object of an error. An error that is no such object (HTML of a proxy, nothing) has none.
pub(crate) struct ErrorBody {
    pub(crate) detail: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after_sec: Option<f64>,
    balance_usd: Option<Usd>,
    shortfall_usd: Option<Usd>,
    top_up_url: Option<String>,
    x402: Option<RawJson>,
}

impl ErrorBody {
    pub(crate) fn parse(body: &Bytes) -> Option<Self> {
        Self::from_fields(Fields::parse(body, text_of(body).ok()?).ok()?).ok()
    }
}

impl FromFields for ErrorBody {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        // Servers of this family that validate with 422 send a list: its text serves as the message.
        let detail = match fields.take("detail") {
            Some(Value::String(detail)) => Some(detail),
            Some(other) => Some(other.to_string()),
            None => fields.take("message"),
        };
        Ok(Self {
            detail,
            code: fields.take("error"),
            request_id: fields.take("request_id"),
            retry_after_sec: fields.take("retry_after_sec"),
            balance_usd: fields.take("balance_usd"),
            shortfall_usd: fields.take("shortfall_usd"),
            top_up_url: fields.take("top_up_url"),
            x402: fields.take("x402"),
        })
    }
}

/// What a 402 asks for. Nothing was charged for the call that it answers.
///
/// Payments are not guaranteed v1 contracts of the API unless documented as shipped, so every field may be missing.
#[derive(Debug)]
#[non_exhaustive]
pub struct PaymentChallenge {
    /// How much is missing for this call, in USD.
    pub shortfall_usd: Option<Usd>,
    /// What the wallet holds, in USD.
    pub balance_usd: Option<Usd>,
    /// Where a person can top up the wallet. It is the server's word: show it, send nothing to it.
    pub top_up_url: Option<String>,
    /// The `x402` object as it came.
    pub x402: Option<RawJson>,
    failure: Failure,
}

impl PaymentChallenge {
    pub(crate) fn new(body: Option<ErrorBody>, failure: Failure) -> Self {
        let (shortfall_usd, balance_usd, top_up_url, x402) = match body {
            Some(body) => (body.shortfall_usd, body.balance_usd, body.top_up_url, body.x402),
            None => (None, None, None, None),
        };
        Self { shortfall_usd, balance_usd, top_up_url, x402, failure }
    }

    /// The page of the server's own words where the wallet can be topped up, safe to show.
    pub(crate) fn page_of(body: &ErrorBody) -> Option<String> {
        body.top_up_url.as_deref().map(|url| one_line(url, 200))
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
            _ => write!(f, "the call must be paid for: {}", self.failure.detail()),
        }
    }
}
