//! What a refusal says: the error object, and what a 402 adds to it.

use bytes::Bytes;
use serde_json::Value;

use super::fields::{Fields, FromFields, text_of};
use super::json::RawJson;
use crate::text::one_line;

/// The JSON object of an error. An error that is no such object (HTML of a proxy, nothing) has none.
pub(crate) struct ErrorBody {
    pub(crate) detail: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after_sec: Option<f64>,
    pub(crate) balance_usd: Option<RawJson>,
    pub(crate) shortfall_usd: Option<RawJson>,
    pub(crate) top_up_url: Option<String>,
    pub(crate) x402: Option<RawJson>,
}

impl ErrorBody {
    pub(crate) fn parse(body: &Bytes) -> Option<Self> {
        Self::from_fields(Fields::parse(body, text_of(body).ok()?).ok()?).ok()
    }

    /// The page of the server's own words where the wallet can be topped up, safe to show.
    pub(crate) fn top_up_page(&self) -> Option<String> {
        self.top_up_url.as_deref().map(|url| one_line(url, 200))
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
