//! The headers of x402: their names, and JSON in base64 as both sides write it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderValue, InvalidHeaderValue};

use crate::wire::check_depth;

/// Offers of version 2; those of version 1 are in the body.
pub(crate) const OFFERS: &str = "payment-required";

/// The payment, version 1.
pub(crate) const PAYMENT_V1: &str = "x-payment";

/// The payment, version 2.
pub(crate) const PAYMENT_V2: &str = "payment-signature";

/// Where a receipt may be. A server that speaks both versions is not trusted to use the name that fits, since a
/// receipt that is overlooked makes a settled payment look like an unknown one.
pub(crate) const RECEIPTS: [&str; 2] = ["payment-response", "x-payment-response"];

/// The longest header that is read, in base64.
const MAX_HEADER: usize = 64 * 1024;

/// A header that is not JSON in base64, or that came more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The JSON of a header that may come once; `None` when it did not come.
pub(crate) fn single(headers: &HeaderMap, name: &str) -> Result<Option<Bytes>, Unreadable> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => decode(value.as_bytes()).map(Some),
        // Which of two would count is for the server to know, and a payment is nothing to guess about.
        (Some(_), Some(_)) => Err(Unreadable),
    }
}

/// The JSON text within a header's value: the standard alphabet, with padding or without, and nothing else.
pub(crate) fn decode(value: &[u8]) -> Result<Bytes, Unreadable> {
    if value.len() > MAX_HEADER {
        return Err(Unreadable);
    }
    let json = STANDARD_PAD_INDIFFERENT.decode(value).map_err(|_| Unreadable)?;
    let text = std::str::from_utf8(&json).map_err(|_| Unreadable)?;
    check_depth(text).map_err(|_| Unreadable)?;
    Ok(json.into())
}

/// A header's value for a JSON text. It is marked as a secret: whoever has a payment can spend it.
pub(crate) fn encode(json: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(STANDARD_PAD_INDIFFERENT.encode(json))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_with_padding_and_without() {
        for value in ["eyJhIjoxfQ==", "eyJhIjoxfQ"] {
            assert_eq!(decode(value.as_bytes()).unwrap(), r#"{"a":1}"#);
        }
    }

    #[test]
    fn what_is_not_standard_base64_on_one_line_is_refused() {
        for value in
            ["eyJhIjoi_-A_In0=", "eyJhIjox fQ==", "eyJh\nIjoxfQ==", "eyJhIjoxfQ===", "=", "%%%%", "eyJhI"]
        {
            assert_eq!(decode(value.as_bytes()), Err(Unreadable), "{value}");
        }
        assert_eq!(decode(b"gICA"), Err(Unreadable), "not UTF-8");
    }

    #[test]
    fn a_header_of_64_kib_is_read_and_a_longer_one_is_refused() {
        let longest = encode(&"x".repeat(48 * 1024)).unwrap();
        assert_eq!(longest.len(), MAX_HEADER);
        assert_eq!(decode(longest.as_bytes()).unwrap().len(), 48 * 1024);
        assert_eq!(decode(&vec![b'A'; MAX_HEADER + 4]), Err(Unreadable));
    }

    #[test]
    fn json_nested_beyond_reason_is_refused() {
        let deep = encode(&format!("{}{}", "[".repeat(5000), "]".repeat(5000))).unwrap();
        assert_eq!(decode(deep.as_bytes()), Err(Unreadable));
    }

    #[test]
    fn a_header_that_comes_twice_is_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(single(&headers, OFFERS), Ok(None));
        headers.append(OFFERS, HeaderValue::from_static("e30="));
        assert_eq!(single(&headers, OFFERS), Ok(Some(Bytes::from_static(b"{}"))));
        headers.append(OFFERS, HeaderValue::from_static("e30="));
        assert_eq!(single(&headers, OFFERS), Err(Unreadable));
    }

    #[test]
    fn an_encoded_payment_is_not_shown_in_debug_output() {
        assert_eq!(format!("{:?}", encode("{}").unwrap()), "Sensitive");
    }
}
