//! JSON as it was written: the order of fields, the digits of numbers, a name that comes twice.

use std::fmt;

use indexmap::IndexMap;
use serde_json::value::RawValue;

/// A JSON value. Written again without blanks, it is the text that it was read from without blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object. A name that comes twice counts as it came last.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text in which no object has a name twice.
    ///
    /// # Errors
    /// When it is not one JSON value.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let text = serde_json::from_str::<&RawValue>(text)?.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let fields: IndexMap<String, &RawValue> = serde_json::from_str(text)?;
                let read = |(name, value): (String, &RawValue)| Ok((name, Self::parse(value.get())?));
                Self::Object(fields.into_iter().map(read).collect::<Result<_, serde_json::Error>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                Self::List(items.into_iter().map(|item| Self::parse(item.get())).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(serde_json::from_str(text)?),
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Bool(text == "true"),
            _ => Self::Number(text.to_owned()),
        })
    }

    /// A field of an object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Self::Object(fields) => {
                fields.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The fields of an object, each name once; none for another value.
    pub fn fields(&self) -> IndexMap<&str, &Json> {
        match self {
            Self::Object(fields) => fields.iter().map(|(name, value)| (name.as_str(), value)).collect(),
            _ => IndexMap::new(),
        }
    }

    /// The objects of a list.
    pub fn objects(&self) -> Vec<&Json> {
        match self {
            Self::List(items) => items.iter().filter(|item| matches!(item, Self::Object(_))).collect(),
            _ => Vec::new(),
        }
    }

    /// The text of a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same without these fields of the outermost object.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        match self {
            Self::Object(fields) => Self::Object(
                fields.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect(),
            ),
            other => other.clone(),
        }
    }

    /// Whether both say the same to a reader who knows neither the order of fields nor the forms of a number.
    pub fn means(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => {
                one == other || one.parse::<f64>().is_ok_and(|one| other.parse() == Ok(one))
            }
            (Self::List(ours), Self::List(theirs)) => {
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| ours.means(theirs))
            }
            (Self::Object(_), Self::Object(_)) => {
                let (ours, theirs) = (self.fields(), other.fields());
                ours.len() == theirs.len()
                    && ours
                        .iter()
                        .all(|(name, value)| theirs.get(name).is_some_and(|other| value.means(other)))
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| serde_json::to_string(text).map_err(|_| fmt::Error);
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(text) => f.write_str(text),
            Self::Text(text) => f.write_str(&quoted(text)?),
            Self::List(items) => {
                f.write_str("[")?;
                for (number, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if number == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(fields) => {
                f.write_str("{")?;
                for (number, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{}:{value}", if number == 0 { "" } else { "," }, quoted(name)?)?;
                }
                f.write_str("}")
            }
        }
    }
}
