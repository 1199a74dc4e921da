//! One JSON object of an answer, taken apart field by field.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::str::Utf8Error;

use bytes::Bytes;
use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{Extra, FromJson, Part, RawJson};
use super::shape::{Known, Shape};

/// The deepest nesting that is accepted in an answer; what is deeper would overflow the stack of a naive reader.
const MAX_DEPTH: usize = 128;

/// The text of a body. A byte order mark before it is no part of it.
pub(crate) fn text_of(body: &[u8]) -> Result<&str, Utf8Error> {
    std::str::from_utf8(body).map(|text| text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A type that is read from the fields of one object.
pub(crate) trait FromFields: Sized {
    /// Takes what it knows; what is left is the caller's or goes into `extra`.
    ///
    /// The error says which field is missing without which the answer is of no use.
    fn from_fields(fields: Fields<'_>) -> Result<Self, String>;
}

/// The fields of an object that nobody has taken yet. A name that comes twice counts as it came last.
pub(crate) struct Fields<'a> {
    body: &'a Bytes,
    entries: Vec<(Cow<'a, str>, &'a str)>,
    /// Where it is written down what is asked for, instead of giving it.
    asked: Option<&'a RefCell<Vec<Known>>>,
}

impl<'a> Fields<'a> {
    /// Takes an object apart.
    ///
    /// # Errors
    /// When the text is not one JSON object.
    pub(crate) fn parse(body: &'a Bytes, text: &'a str) -> Result<Self, serde_json::Error> {
        let Entries(entries) = serde_json::from_str(text)?;
        Ok(Self { body, entries, asked: None })
    }

    /// Fields that write down what is asked of them, and give samples.
    pub(crate) fn asking(body: &'a Bytes, asked: &'a RefCell<Vec<Known>>) -> Self {
        Self { body, entries: Vec::new(), asked: Some(asked) }
    }

    /// Takes a field that has another name at some servers.
    pub(crate) fn take_either<T: FromJson>(&mut self, name: &str, other: &str) -> Option<T> {
        match self.asked {
            Some(asked) => {
                asked.borrow_mut().push(Known::new(&[name, other], T::shape()));
                T::sample()
            }
            None => self.take(name).or_else(|| self.take(other)),
        }
    }

    /// Takes a field that some server may have, and that no documentation knows. // [our]
    pub(crate) fn take_guess<T: FromJson>(&mut self, name: &str) -> Option<T> {
        if let Some(asked) = self.asked {
            asked.borrow_mut().push(Known::new(&[name], T::shape()).guess());
            return T::sample();
        }
        self.take(name)
    }

    /// Takes a field; `None` when it is missing, null, or of a type that cannot be read.
    pub(crate) fn take<T: FromJson>(&mut self, name: &str) -> Option<T> {
        if let Some(asked) = self.asked {
            asked.borrow_mut().push(Known::new(&[name], T::shape()));
            return T::sample();
        }
        let (_, text) = self.entries.iter().rev().find(|(known, _)| known == name)?;
        let value = match *text {
            "null" => None,
            text => T::from_json(Part { body: self.body, text }),
        };
        // A value that could not be read stays, and so ends up in `extra`.
        if value.is_some() || *text == "null" {
            self.entries.retain(|(known, _)| known != name);
        }
        value
    }

    /// The rest, as it came.
    pub(crate) fn rest(self) -> Extra {
        let body = self.body;
        self.entries.into_iter().map(|(name, text)| (name.into_owned(), Part { body, text }.keep())).collect()
    }
}

/// The fields of a kept object; `None` when it is none.
pub(crate) fn raw_fields(raw: &RawJson) -> Option<Fields<'_>> {
    Fields::parse(raw.bytes(), raw.text()).ok()
}

impl<T: FromFields> FromJson for T {
    fn from_json(part: Part<'_>) -> Option<Self> {
        T::from_fields(Fields::parse(part.body, part.text).ok()?).ok()
    }

    fn shape() -> Shape {
        Shape::of::<T>().0
    }

    fn sample() -> Option<Self> {
        Shape::of::<T>().1.ok()
    }
}

/// An object whose names are data.
impl<T: FromJson> FromJson for IndexMap<String, T> {
    fn from_json(part: Part<'_>) -> Option<Self> {
        let fields = Fields::parse(part.body, part.text).ok()?;
        let mut map = Self::with_capacity(fields.entries.len());
        for (name, text) in fields.entries {
            match T::from_json(Part { text, ..part }) {
                Some(value) => map.insert(name.into_owned(), value),
                // The last of two equal names counts, also when it cannot be read.
                None => map.shift_remove(&*name),
            };
        }
        Some(map)
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }
}

/// Refuses JSON that is nested deeper than [`MAX_DEPTH`]; says how deep it is allowed to be.
pub(crate) fn check_depth(text: &str) -> Result<(), String> {
    // Most answers open fewer objects and lists in all. Counting them is many times quicker than telling texts apart.
    let opened = |bytes: &[u8]| bytes.iter().map(|byte| u8::from(matches!(byte, b'{' | b'['))).sum::<u8>();
    // As many bytes at a time as a `u8` can count.
    if text.as_bytes().chunks(255).map(|bytes| usize::from(opened(bytes))).sum::<usize>() <= MAX_DEPTH {
        return Ok(());
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Reads a kept answer again, from JSON text (`serde_json::from_str`) or from a `serde_json::Value`.
macro_rules! deserialize_by_fields {
    ($($answer:ty),+) => {$(
        impl<'de> serde::Deserialize<'de> for $answer {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
                $crate::wire::fields::from_text(raw.get()).map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use deserialize_by_fields;

/// Reads an object from its text.
pub(crate) fn from_text<T: FromFields>(text: &str) -> Result<T, String> {
    let body = Bytes::copy_from_slice(text.as_bytes());
    let text = text_of(&body).map_err(|error| error.to_string())?;
    check_depth(text)?;
    T::from_fields(Fields::parse(&body, text).map_err(|error| error.to_string())?)
}

struct Entries<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::with_capacity(32);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    entries.push((name, value.get()));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A name, borrowed from the text unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_borrowed_bytes<E>(self, name: &'de [u8]) -> Result<Name<'de>, E> {
                Ok(Name(String::from_utf8_lossy(name)))
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(String::from_utf8_lossy(name).into_owned())))
            }
        }

        // Not `deserialize_str`: it refuses half a surrogate pair (`"\ud83d"`), which JavaScript writes, and with it
        // the whole answer.
        deserializer.deserialize_bytes(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_equal_names_counts_and_an_unreadable_value_is_kept() {
        let body = Bytes::from_static(br#"{"a":1,"b":{"x":1e400},"a":"2","c":null}"#);
        let mut fields = Fields::parse(&body, std::str::from_utf8(&body).unwrap()).unwrap();
        assert_eq!(fields.take::<u64>("a"), Some(2));
        assert_eq!(fields.take::<u64>("b"), None);
        assert_eq!(fields.take::<u64>("c"), None);
        let rest = fields.rest();
        assert_eq!(rest.len(), 1);
        assert_eq!(rest["b"].text(), r#"{"x":1e400}"#);
    }

    #[test]
    fn the_last_of_two_equal_names_counts_where_names_are_data_too() {
        let read = |text: &'static str| {
            let body = Bytes::from_static(text.as_bytes());
            IndexMap::<String, f64>::from_json(Part { body: &body, text }).unwrap()
        };
        assert_eq!(read(r#"{"a":1,"b":2,"a":3}"#), IndexMap::from([("a".into(), 3.0), ("b".into(), 2.0)]));
        assert_eq!(read(r#"{"a":1,"b":2,"a":{}}"#), IndexMap::from([("b".into(), 2.0)]));
    }

    #[test]
    fn half_a_surrogate_pair_in_a_name_does_not_cost_the_other_fields() {
        let body = Bytes::from_static(br#"{"\ud83d":1,"\ud83d\ude80":2,"b":3,"\u0061":4}"#);
        let mut fields = Fields::parse(&body, std::str::from_utf8(&body).unwrap()).unwrap();
        assert_eq!(fields.take::<u64>("a"), Some(4));
        assert_eq!(fields.take::<u64>("b"), Some(3));
        assert_eq!(fields.take::<u64>("\u{1f680}"), Some(2));
        assert_eq!(fields.rest().len(), 1);
    }

    #[test]
    fn depth_is_counted_outside_of_texts() {
        assert!(check_depth(r#"{"a":"[[[[\"[["}"#).is_ok());
        assert!(check_depth(&"[".repeat(MAX_DEPTH)).is_ok());
        assert!(check_depth(&"[".repeat(MAX_DEPTH + 1)).is_err());
    }
}
