//! Secrets that a request carries in its body: memory that clears itself, and what comes back without them.
//!
//! A server may repeat what it was sent, in an error of its own or of a proxy before it. Where a request names its secrets,
//! they are taken out of what came before anything else looks at it: a log, an error, the ledger. The one exception is the answer
//! to an execution (2xx), which may have been paid for: it is handed out, and kept where it was paid for by x402, as it came; of
//! one that cannot be read the error's own words are without them, and its body is as it came.

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use memchr::memmem;
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

    /// Whether it is long enough to be known again within a text.
    pub(crate) fn is_telling(&self) -> bool {
        self.as_str().len() >= TELLING
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
    pub(crate) fn in_failures(mut secrets: Vec<Secret>) -> Self {
        // One may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.as_str().len()));
        Self { secrets, in_answers: false }
    }

    /// Taken out of answers too.
    pub(crate) fn everywhere(secret: Secret) -> Self {
        Self { secrets: vec![secret], in_answers: true }
    }

    /// What came, without the secrets.
    pub(crate) fn strip(&self, answered: Result<HttpAnswer, Fault>) -> Result<HttpAnswer, Fault> {
        let Some(search) = self.search() else { return answered };
        match answered {
            Ok(answer) if answer.status.is_success() && !self.in_answers => Ok(answer),
            Ok(HttpAnswer { status, headers, body }) => {
                Ok(HttpAnswer { status, headers: search.headers(headers), body: search.body(body) })
            }
            Err(mut fault) => {
                fault.detail = search.line(&fault.detail);
                if let Some(head) = &mut fault.head {
                    head.1 = search.headers(std::mem::take(&mut head.1));
                }
                Err(fault)
            }
        }
    }

    /// The looking for them; `None` where there are none.
    pub(crate) fn search(&self) -> Option<Search<'_>> {
        let sought = self.secrets.iter().map(|secret| Sought::of(secret.as_str()));
        (!self.secrets.is_empty()).then(|| Search(sought.collect()))
    }
}

/// Takes the secrets of a request out of what came.
pub(crate) struct Search<'a>(Vec<Sought<'a>>);

impl Search<'_> {
    pub(crate) fn body(&self, body: Bytes) -> Bytes {
        let text = String::from_utf8_lossy(&body);
        let clean = match serde_json::from_str::<Value>(&text) {
            Ok(mut value) => self.value(&mut value).then(|| value.to_string()),
            Err(_) => {
                let clean =
                    self.0.iter().fold(text.clone().into_owned(), |text, sought| sought.out_of(text, PLACE));
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
                let is_secret = self.0.iter().any(|sought| sought.secret == text && sought.is_telling());
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

    pub(crate) fn line(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, sought| match sought.is_telling() {
            true => sought.out_of(text, PLACE),
            false if text == sought.secret => PLACE.to_owned(),
            false => text,
        })
    }

    pub(crate) fn headers(&self, mut headers: HeaderMap) -> HeaderMap {
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

/// A text without a secret, however it is written there.
pub(crate) fn without(secret: &str, place: &str, text: &str) -> String {
    Sought::of(secret).out_of(text.to_owned(), place)
}

/// A secret, and what it is in base64.
struct Sought<'a> {
    secret: &'a str,
    in_base64: Vec<Zeroizing<String>>,
}

impl<'a> Sought<'a> {
    fn of(secret: &'a str) -> Self {
        let mut in_base64 = Vec::new();
        if secret.len() >= TELLING {
            // With its padding first, so that none is left behind.
            for form in [STANDARD, URL_SAFE, STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                in_base64.push(Zeroizing::new(form.encode(secret)));
            }
            in_base64.dedup();
        }
        Self { secret, in_base64 }
    }

    fn is_telling(&self) -> bool {
        self.secret.len() >= TELLING
    }

    /// A text without it. Each way of writing costs at most two passes over the text.
    fn out_of(&self, mut text: String, place: &str) -> String {
        // No way of writing is shorter than what is written.
        if self.secret.is_empty() || text.len() < self.secret.len() {
            return text;
        }
        for writing in Writing::ALL {
            if let Some(clean) = self.out_of_writing(writing, &text, place) {
                text = clean;
            }
        }
        text
    }

    /// The text without what means the secret in this way of writing; `None` where nothing does.
    fn out_of_writing(&self, writing: Writing, text: &str, place: &str) -> Option<String> {
        let bytes = text.as_bytes();
        let meant = match writing {
            Writing::Plain => Zeroizing::new(bytes.to_vec()),
            _ if !bytes.iter().any(|byte| writing.begins_with(*byte)) => return None,
            _ => {
                let mut meant = Zeroizing::new(Vec::with_capacity(bytes.len()));
                writing.read(bytes, |bytes, _| meant.extend_from_slice(bytes));
                meant
            }
        };
        let needles = std::iter::once(self.secret).chain(self.in_base64.iter().map(|form| form.as_str()));
        let mut found: Vec<Range<usize>> = needles
            .flat_map(|needle| {
                memmem::find_iter(&meant, needle).map(|at| at..at + needle.len()).collect::<Vec<_>>()
            })
            .collect();
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|found| (found.start, std::cmp::Reverse(found.end)));
        let (mut clean, mut kept_to) = (String::with_capacity(text.len()), 0);
        for place_of in writing.places(bytes, &found) {
            if place_of.start >= kept_to {
                clean.push_str(text.get(kept_to..place_of.start).unwrap_or_default());
                clean.push_str(place);
                kept_to = place_of.end;
            }
        }
        clean.push_str(text.get(kept_to..).unwrap_or_default());
        Some(clean)
    }
}

/// A way in which a text may be written within another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Plain,
    /// With the escapes of JSON, as many as the writer likes: some write a slash so, some all but ASCII, some `&`, `<` and `>`.
    Json,
    /// With bytes in percent, as in a URL.
    Percent,
    /// The same with `+` for a blank, as in a form.
    Form,
    /// With the entities that HTML needs, or with any in digits.
    Html,
}

/// What an escape means, and how long it is.
struct Escape {
    bytes: [u8; 4],
    meant: usize,
    length: usize,
}

impl Writing {
    const ALL: [Self; 5] = [Self::Plain, Self::Json, Self::Percent, Self::Form, Self::Html];

    /// Whether an escape may begin with this byte.
    fn begins_with(self, byte: u8) -> bool {
        match self {
            Self::Plain => false,
            Self::Json => byte == b'\\',
            Self::Percent => byte == b'%',
            Self::Form => byte == b'+',
            Self::Html => byte == b'&',
        }
    }

    /// Reads a text: what each piece of it means, and where the piece is. What is no escape means itself.
    fn read(self, text: &[u8], mut tell: impl FnMut(&[u8], Range<usize>)) {
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            match self.escape(rest) {
                Some(Escape { bytes, meant, length }) => {
                    tell(bytes.get(..meant).unwrap_or_default(), at..at + length);
                    at += length;
                }
                None => {
                    tell(rest.get(..1).unwrap_or_default(), at..at + 1);
                    at += 1;
                }
            }
        }
    }

    /// Where in the text these parts of its meaning are, which are in the order of their beginnings.
    fn places(self, text: &[u8], parts: &[Range<usize>]) -> Vec<Range<usize>> {
        if self == Self::Plain {
            return parts.to_vec();
        }
        let (mut places, mut begun) = (Vec::with_capacity(parts.len()), parts.iter().peekable());
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut read = 0;
        self.read(text, |bytes, piece| {
            let next = read + bytes.len();
            while let Some(part) = begun.next_if(|part| part.start < next) {
                open.push((piece.start, part.end));
            }
            open.retain(|(start, end)| {
                let has_ended = *end <= next;
                if has_ended {
                    places.push(*start..piece.end);
                }
                !has_ended
            });
            read = next;
        });
        places.sort_by_key(|place| (place.start, std::cmp::Reverse(place.end)));
        places
    }

    /// The escape that a text begins with.
    fn escape(self, text: &[u8]) -> Option<Escape> {
        let (first, rest) = text.split_first()?;
        match (self, first) {
            (Self::Json, b'\\') => json_escape(rest),
            (Self::Percent | Self::Form, b'%') => {
                let byte = u8::try_from(digits(rest.get(..2)?, 16)?).ok()?;
                Some(Escape { bytes: [byte, 0, 0, 0], meant: 1, length: 3 })
            }
            (Self::Form, b'+') => Some(Escape { bytes: [b' ', 0, 0, 0], meant: 1, length: 1 }),
            (Self::Html, b'&') => html_entity(rest),
            _ => None,
        }
    }
}

impl Escape {
    fn of(c: char, length: usize) -> Self {
        let mut bytes = [0; 4];
        let meant = c.encode_utf8(&mut bytes).len();
        Self { bytes, meant, length }
    }
}

/// `rest` is what follows the backslash.
fn json_escape(rest: &[u8]) -> Option<Escape> {
    let c = match rest.first()? {
        c @ (b'"' | b'\\' | b'/') => char::from(*c),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = digits(rest.get(1..5)?, 16)?;
            if let Some(c) = char::from_u32(unit) {
                return Some(Escape::of(c, 6));
            }
            let second = rest.get(5..11)?.strip_prefix(b"\\u")?;
            let units = [u16::try_from(unit).ok()?, u16::try_from(digits(second, 16)?).ok()?];
            return Some(Escape::of(char::decode_utf16(units).next()?.ok()?, 12));
        }
        _ => return None,
    };
    Some(Escape::of(c, 2))
}

/// `rest` is what follows the `&`.
fn html_entity(rest: &[u8]) -> Option<Escape> {
    // As long as the longest in digits.
    let end = rest.iter().take(9).position(|byte| *byte == b';')?;
    let c = match rest.get(..end)? {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', hex @ ..] => char::from_u32(digits(hex, 16)?)?,
        [b'#', decimal @ ..] => char::from_u32(digits(decimal, 10)?)?,
        _ => return None,
    };
    Some(Escape::of(c, end + 2))
}

fn digits(text: &[u8], radix: u32) -> Option<u32> {
    let is_one = |byte: &u8| char::from(*byte).is_digit(radix);
    if !text.iter().all(is_one) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok()
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
    fn a_secret_is_taken_out_of_every_encoding() {
        let secret = "s3cret /\"é🔑&<b>+%41'\\";
        for written in [
            // Python and JavaScript, a form, Go, and any of them in small letters.
            "s3cret%20/%22%C3%A9%F0%9F%94%91%26%3Cb%3E%2B%2541%27%5C",
            "s3cret%20%2F%22%c3%a9%f0%9f%94%91%26%3cb%3e%2b%2541'%5c",
            "s3cret+%2F%22%C3%A9%F0%9F%94%91%26%3Cb%3E%2B%2541%27%5C",
            "s3cret /&quot;é🔑&amp;&lt;b&gt;+%41&#39;\\",
            "s3cret /&#34;&#233;&#x1F511;&amp;&lt;b&gt;&#43;%41&#x27;\\",
            r#"s3cret /\"é🔑\u0026\u003cb\u003e+%41'\\"#,
            r#"s3cret \/\"\u00E9\uD83D\uDD11&<b>+%41\u0027\\"#,
            // Base64, with padding or without, in either alphabet, and with its slashes escaped.
            "czNjcmV0IC8iw6nwn5SRJjxiPislNDEnXA==",
            "czNjcmV0IC8iw6nwn5SRJjxiPislNDEnXA",
        ] {
            let clean = without(secret, PLACE, &format!("before {written} and {written}"));
            assert_eq!(clean, "before [secret] and [secret]", "{written}");
            let body = serde_json::json!({"detail": [written], "request_id": "r"}).to_string();
            let concealed = Concealed::everywhere(Secret::new(secret));
            let clean = concealed.search().unwrap().body(Bytes::from(body));
            assert_eq!(clean, br#"{"detail":["[secret]"],"request_id":"r"}"#[..], "{written}");
        }
        for written in ["fn5+fj8/Pz8=", "fn5-fj8_Pz8", r"fn5+fj8\/Pz8="] {
            assert_eq!(without("~~~~????", PLACE, written), "[secret]", "{written}");
        }
        // What only looks like an escape means itself.
        for text in ["100% of \\u12 &amp &#xD800; \\ud83d %4", "&;&&;", "\\", "%", "&#99999999;"] {
            assert_eq!(without("secret", PLACE, text), text);
            assert_eq!(without(text, PLACE, &format!("a{text}b")), "a[secret]b");
        }
    }

    #[test]
    fn a_secret_within_another_leaves_nothing_of_the_longer_one() {
        let concealed = Concealed::in_failures(vec![Secret::new("token"), Secret::new("Bearer token-2")]);
        let clean = concealed.search().unwrap().line("Bearer token-2, token, token-2");
        assert_eq!(clean, "[secret], [secret], [secret]-2");
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
        let clean = String::from_utf8(concealed.search().unwrap().body(body).to_vec()).unwrap();
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
