//! Secrets that a request carries in its body: memory that clears itself, and what comes back without them.
//!
//! A server may repeat what it was sent, in an error of its own or of a proxy before it. Where a request names its secrets,
//! they are taken out of what came before anything else looks at it: a log, an error, the ledger.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use serde::{Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::transport::{Fault, HttpAnswer};

/// Stands where a secret stood.
pub(crate) const PLACE: &str = "[secret]";
/// A shorter one is taken out only where it stands alone: else it would be found in every second word.
const TELLING: usize = 4;

/// A secret of the caller. It is shown nowhere, and its memory is cleared with the last copy.
#[derive(Clone)]
pub(crate) struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    pub(crate) fn new(secret: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(secret.into())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A body with secrets in it, in memory that clears itself.
pub(crate) fn encode_secretly(body: &impl Serialize) -> Result<Bytes, Error> {
    // Measured first: a buffer that grows leaves copies behind.
    let mut length = Length(0);
    let written = serde_json::to_writer(&mut length, body);
    let mut buffer = Zeroizing::new(Vec::with_capacity(length.0));
    written
        .and_then(|()| serde_json::to_writer(&mut *buffer, body))
        .map_err(|error| Error::invalid("body", format!("the body cannot be written as JSON: {error}")))?;
    Ok(Bytes::from_owner(buffer))
}

struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What must not be seen of a request in what comes back.
#[derive(Clone, Default)]
pub(crate) struct Concealed {
    secrets: Vec<Secret>,
    in_answers: bool,
}

impl Concealed {
    /// Taken out of failures. An answer reaches the caller whole: it may have been paid for.
    pub(crate) fn in_failures(secrets: Vec<Secret>) -> Self {
        Self { secrets, in_answers: false }
    }

    /// Taken out of answers too.
    pub(crate) fn everywhere(secret: Secret) -> Self {
        Self { secrets: vec![secret], in_answers: true }
    }

    /// What came, without the secrets.
    pub(crate) fn strip(&self, answered: Result<HttpAnswer, Fault>) -> Result<HttpAnswer, Fault> {
        if self.secrets.is_empty() {
            return answered;
        }
        match answered {
            Ok(answer) if answer.status.is_success() && !self.in_answers => Ok(answer),
            Ok(HttpAnswer { status, headers, body }) => {
                Ok(HttpAnswer { status, headers: self.headers(headers), body: self.body(body) })
            }
            Err(mut fault) => {
                fault.detail = self.line(&fault.detail);
                if let Some(head) = &mut fault.head {
                    head.1 = self.headers(std::mem::take(&mut head.1));
                }
                Err(fault)
            }
        }
    }

    fn body(&self, body: Bytes) -> Bytes {
        let text = String::from_utf8_lossy(&body);
        let clean = match serde_json::from_str::<Value>(&text) {
            Ok(mut value) => self.value(&mut value).then(|| value.to_string()),
            Err(_) => {
                let clean = self
                    .secrets
                    .iter()
                    .fold(text.clone().into_owned(), |text, secret| without(secret.as_str(), PLACE, &text));
                (clean != text).then_some(clean)
            }
        };
        clean.map_or(body, Bytes::from)
    }

    /// Takes the secrets out of every text of a JSON value; whether there was one.
    fn value(&self, value: &mut Value) -> bool {
        match value {
            Value::Null | Value::Bool(_) => false,
            Value::Number(number) => {
                let text = number.to_string();
                let is_secret =
                    self.secrets.iter().any(|secret| secret.as_str() == text && is_telling(secret));
                if is_secret {
                    *value = PLACE.into();
                }
                is_secret
            }
            Value::String(text) => {
                let clean = self.line(text);
                let is_changed = clean != *text;
                *text = clean;
                is_changed
            }
            Value::Array(items) => {
                let mut is_changed = false;
                for item in items {
                    is_changed |= self.value(item);
                }
                is_changed
            }
            Value::Object(fields) => {
                let mut is_changed = false;
                for (name, mut value) in std::mem::take(fields) {
                    let clean = self.line(&name);
                    is_changed |= clean != name;
                    is_changed |= self.value(&mut value);
                    fields.insert(clean, value);
                }
                is_changed
            }
        }
    }

    fn line(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| match is_telling(secret) {
            true => without(secret.as_str(), PLACE, &text),
            false if text == secret.as_str() => PLACE.to_owned(),
            false => text,
        })
    }

    fn headers(&self, mut headers: HeaderMap) -> HeaderMap {
        for value in headers.values_mut() {
            let text = String::from_utf8_lossy(value.as_bytes());
            let clean = self.line(&text);
            if clean != text {
                *value = HeaderValue::from_str(&clean).unwrap_or_else(|_| HeaderValue::from_static(PLACE));
            }
        }
        headers
    }
}

fn is_telling(secret: &Secret) -> bool {
    secret.as_str().len() >= TELLING
}

/// A text without a secret, as it is and as JSON may write it.
pub(crate) fn without(secret: &str, place: &str, text: &str) -> String {
    let in_json = Value::from(secret).to_string();
    let in_json = in_json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
    // Some write a slash with a backslash before it, and Python's servers write ASCII alone.
    let slashed = in_json.replace('/', "\\/");
    let (ascii, ascii_slashed) = (in_ascii(in_json), in_ascii(&slashed));
    let forms = [secret, in_json, &slashed, &ascii, &ascii_slashed];
    forms
        .iter()
        .filter(|form| !form.is_empty())
        .fold(text.to_owned(), |text, form| text.replace(*form, place))
}

fn in_ascii(json: &str) -> String {
    json.chars().fold(String::new(), |mut text, c| {
        let mut units = [0; 2];
        match c.is_ascii() {
            true => text.push(c),
            false => text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"))),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::retry::Effect;
    use crate::transport::FaultKind;

    const SECRET: &str = "s3cret/\"é🔑\nline";

    fn stripped(status: u16, body: &str) -> String {
        let answer = HttpAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        let concealed = Concealed::everywhere(Secret::new(SECRET));
        let answer = concealed.strip(Ok(answer)).unwrap_or_else(|fault| panic!("{}", fault.detail));
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    #[test]
    fn a_secret_is_taken_out_however_it_is_written() {
        let in_json = serde_json::to_string(SECRET).unwrap();
        let twice = serde_json::to_string(&format!("you sent {{\"secret\":{in_json}}}")).unwrap();
        let ascii = r#""s3cret\/\"\u00e9\ud83d\udd11\nline""#;
        for body in [
            format!("{{\"detail\":{twice}}}"),
            format!("{{\"detail\":[{{\"input\":{in_json}}}],\"request_id\":\"r\"}}"),
            format!("{{\"detail\":{ascii}}}"),
            format!("{{{in_json}:1}}"),
            format!("<html>{SECRET}</html>"),
            format!("<html>{ascii}</html>"),
            format!("{{\"x\":1e400,\"detail\":{in_json}}}"),
        ] {
            for status in [200, 400, 500] {
                let clean = stripped(status, &body);
                assert!(!clean.contains("s3cret") && clean.contains("[secret]"), "{status} {clean}");
            }
        }
    }

    #[test]
    fn an_answer_without_it_is_left_to_the_byte() {
        for body in [r#"{"b":1.50,"a":"s3cre"}"#, "", "<html>", "{\"a\": 1e400}"] {
            assert_eq!(stripped(200, body), body);
        }
    }

    #[test]
    fn a_short_secret_costs_no_other_word() {
        let concealed = Concealed::everywhere(Secret::new("1"));
        let body = Bytes::from_static(br#"{"attempts":1,"id":"cred_1","echo":"1"}"#);
        let clean = String::from_utf8(concealed.body(body).to_vec()).unwrap();
        let clean: Value = serde_json::from_str(&clean).unwrap();
        assert_eq!(clean, serde_json::json!({"attempts": 1, "id": "cred_1", "echo": "[secret]"}));
    }

    #[test]
    fn what_was_paid_for_is_left_alone_and_a_failure_is_not() {
        let concealed = Concealed::in_failures(vec![Secret::new("token-1"), Secret::new("token-2")]);
        let answer = |status: u16| HttpAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([(http::header::VIA, HeaderValue::from_static("token-1"))]),
            body: Bytes::from_static(br#"{"output":"token-1 token-2"}"#),
        };
        let body = |status| {
            concealed.strip(Ok(answer(status))).unwrap_or_else(|fault| panic!("{}", fault.detail)).body
        };
        assert_eq!(body(200), br#"{"output":"token-1 token-2"}"#[..]);
        assert_eq!(body(500), br#"{"output":"[secret] [secret]"}"#[..]);
        let fault = Fault {
            kind: FaultKind::Protocol,
            effect: Effect::Unknown,
            detail: "the answer is encoded (`token-2`)".to_owned(),
            head: Some(Box::new((StatusCode::OK, answer(200).headers))),
            source: None,
        };
        let Err(fault) = concealed.strip(Err(fault)) else { panic!("a fault stays one") };
        assert_eq!(fault.detail, "the answer is encoded (`[secret]`)");
        assert_eq!(fault.head.unwrap().1[http::header::VIA], "[secret]");
    }

    #[test]
    fn a_body_with_a_secret_takes_exactly_the_room_that_was_measured() {
        let body = serde_json::json!({"secret": SECRET});
        assert_eq!(encode_secretly(&body).unwrap(), body.to_string().as_bytes());
        assert_eq!(format!("{:?}", Secret::new(SECRET)), "redacted");
    }
}
