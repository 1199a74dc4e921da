//! JSON that is kept as it came, and how single values are read from it.
//!
//! Each field of an answer is read by itself from its own text. A value of another type than expected is then
//! `None`, never an error for its neighbours: `1e400`, a number in quotes, an object where a text was.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::shape::Shape;
use crate::money::Usd;

/// A JSON value as the server wrote it: a view into the answer, parsed when asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Bytes);

/// The fields that a type has no name for, in the server's order.
pub type Extra = IndexMap<String, RawJson>;

impl RawJson {
    /// The JSON text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// JSON that this crate has written.
    pub(crate) fn written(json: Bytes) -> Self {
        Self(json)
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Reads the value as any type.
    ///
    /// # Errors
    /// serde_json's, when the value is not of that type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text())
    }
}

/// Written as it came.
impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.text()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// One value within an answer's body.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) body: &'a Bytes,
    pub(crate) text: &'a str,
}

impl Part<'_> {
    /// The value as a share of the body's own buffer, or as a copy where it is none of it: an answer that may have been paid for
    /// is not lost to that.
    pub(crate) fn keep(&self) -> RawJson {
        let (body, text) = (self.body.as_ptr_range(), self.text.as_bytes().as_ptr_range());
        match body.start <= text.start && text.end <= body.end {
            true => RawJson(self.body.slice_ref(self.text.as_bytes())),
            false => RawJson(Bytes::copy_from_slice(self.text.as_bytes())),
        }
    }

    /// The text within the quotes, or a number's own text.
    fn scalar_text(&self) -> Option<Cow<'_, str>> {
        match self.text.as_bytes().first()? {
            b'"' => serde_json::from_str(self.text).ok().map(Cow::Owned),
            b'-' | b'0'..=b'9' => Some(Cow::Borrowed(self.text)),
            _ => None,
        }
    }
}

/// A value made from its text.
#[cfg(test)]
pub(crate) fn raw(text: &str) -> RawJson {
    RawJson(Bytes::copy_from_slice(text.as_bytes()))
}

/// Reads a kept value as one of this crate's types.
pub(crate) fn read<T: FromJson>(raw: &RawJson) -> Option<T> {
    T::from_json(Part { body: &raw.0, text: raw.text() })
}

/// An amount to pay by: to the digit as it was written, or none.
pub(crate) fn exact_usd(raw: &RawJson) -> Option<Usd> {
    Part { body: &raw.0, text: raw.text() }.scalar_text()?.parse().ok()
}

/// How a value of an answer is read; `None` where it cannot be.
pub(crate) trait FromJson: Sized {
    fn from_json(part: Part<'_>) -> Option<Self>;

    /// What is read within such a value.
    fn shape() -> Shape {
        Shape::Value
    }

    /// Any such value, for a type that reads on only when it has one.
    fn sample() -> Option<Self> {
        None
    }
}

impl FromJson for RawJson {
    fn from_json(part: Part<'_>) -> Option<Self> {
        Some(part.keep())
    }
}

impl FromJson for Value {
    fn from_json(part: Part<'_>) -> Option<Self> {
        serde_json::from_str(part.text).ok()
    }
}

impl FromJson for String {
    fn from_json(part: Part<'_>) -> Option<Self> {
        part.scalar_text().map(Cow::into_owned)
    }

    fn sample() -> Option<Self> {
        Some("-".to_owned())
    }
}

impl FromJson for bool {
    fn from_json(part: Part<'_>) -> Option<Self> {
        match part.text {
            "true" | "\"true\"" | "1" => Some(true),
            "false" | "\"false\"" | "0" => Some(false),
            _ => None,
        }
    }
}

impl FromJson for f64 {
    fn from_json(part: Part<'_>) -> Option<Self> {
        let text = part.scalar_text()?;
        // Rust also reads "inf" and "nan", which are no numbers of an answer.
        text.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }
}

impl FromJson for u64 {
    fn from_json(part: Part<'_>) -> Option<Self> {
        let text = part.scalar_text()?;
        if let Ok(whole) = text.trim().parse() {
            return Some(whole);
        }
        // 2^53: above it a double no longer tells neighbouring integers apart.
        let number = f64::from_json(part)?;
        (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
    }
}

impl FromJson for Usd {
    fn from_json(part: Part<'_>) -> Option<Self> {
        let text = part.scalar_text()?;
        // More digits than can be kept exactly: the nearest double's text, as the server's own language has it.
        text.trim().parse().ok().or_else(|| Usd::from_shortest(f64::from_json(part)?))
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(part: Part<'_>) -> Option<Self> {
        let items: Vec<&RawValue> = serde_json::from_str(part.text).ok()?;
        Some(items.into_iter().filter_map(|item| T::from_json(Part { text: item.get(), ..part })).collect())
    }

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn sample() -> Option<Self> {
        Some(T::sample().into_iter().collect())
    }
}

/// The first items of a list, this many at most: a long one takes no more room than its text.
#[cfg(feature = "x402-evm")]
pub(crate) struct First<const MOST: usize> {
    pub(crate) items: Vec<RawJson>,
    pub(crate) has_more: bool,
}

#[cfg(feature = "x402-evm")]
impl<const MOST: usize> FromJson for First<MOST> {
    fn from_json(part: Part<'_>) -> Option<Self> {
        let mut items = serde_json::Deserializer::from_str(part.text);
        let (first, has_more) = serde::Deserializer::deserialize_seq(&mut items, FirstItems::<MOST>).ok()?;
        items.end().ok()?;
        let items = first.into_iter().map(|item| Part { text: item.get(), ..part }.keep()).collect();
        Some(Self { items, has_more })
    }
}

#[cfg(feature = "x402-evm")]
struct FirstItems<const MOST: usize>;

#[cfg(feature = "x402-evm")]
impl<'de, const MOST: usize> serde::de::Visitor<'de> for FirstItems<MOST> {
    type Value = (Vec<&'de RawValue>, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut items, mut has_more) = (Vec::new(), false);
        while items.len() < MOST
            && let Some(item) = list.next_element()?
        {
            items.push(item);
        }
        while list.next_element::<serde::de::IgnoredAny>()?.is_some() {
            has_more = true;
        }
        Ok((items, has_more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: FromJson>(text: &str) -> Option<T> {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let text = std::str::from_utf8(&body).unwrap();
        T::from_json(Part { body: &body, text })
    }

    #[test]
    fn a_number_may_come_in_any_form() {
        for text in ["14", "14.0", "1.4e1", "\"14\"", "\" 14 \""] {
            assert_eq!(read::<f64>(text), Some(14.0), "{text}");
            assert_eq!(read::<u64>(text), Some(14), "{text}");
            assert_eq!(read::<Usd>(text), Some(Usd::dollars(14)), "{text}");
        }
        assert_eq!(read::<u64>("18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["1e400", "-1e400", "\"NaN\"", "\"inf\"", "\"\"", "true", "{}", "[1]"] {
            assert_eq!(read::<f64>(text), None, "{text}");
            assert_eq!(read::<u64>(text), None, "{text}");
            assert_eq!(read::<Usd>(text), None, "{text}");
        }
        assert_eq!(read::<u64>("-1"), None);
        assert_eq!(read::<u64>("1.5"), None);
        assert_eq!(read::<Usd>("1e308"), None);
    }

    #[test]
    fn a_value_that_is_no_part_of_the_body_is_copied() {
        let body = Bytes::from_static(b"[1]");
        let kept = Part { body: &body, text: "{\"api_key\":\"k\"}" }.keep();
        assert_eq!(kept.text(), "{\"api_key\":\"k\"}");
        let part = Part { body: &body, text: std::str::from_utf8(&body).unwrap() }.keep();
        assert_eq!(part.bytes().as_ptr(), body.as_ptr());
    }

    #[test]
    fn a_list_keeps_the_items_it_can_read() {
        assert_eq!(read::<Vec<f64>>("[1, {}, \"2\", null]"), Some(vec![1.0, 2.0]));
        assert_eq!(read::<Vec<f64>>("{}"), None);
    }
}
