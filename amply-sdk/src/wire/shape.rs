//! What a type reads of an answer: the names of its fields, and of the fields within them. It is found out by letting the
//! type read, so that no list of names can fall behind.

use std::cell::RefCell;

use bytes::Bytes;

use super::fields::{Fields, FromFields};

/// What is read within one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A value that is taken as it is.
    Value,
    Object(Vec<Known>),
    List(Box<Shape>),
    /// An object whose names are data.
    Map(Box<Shape>),
}

/// A field that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its name, and those that it has elsewhere.
    pub(crate) names: Vec<String>,
    /// Whether it is a guess of ours: a document without it is no news.
    pub(crate) is_guess: bool,
    pub(crate) shape: Shape,
}

impl Known {
    pub(crate) fn new(names: &[&str], shape: Shape) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), is_guess: false, shape }
    }

    pub(crate) fn guess(self) -> Self {
        Self { is_guess: true, ..self }
    }
}

impl Shape {
    /// What a type reads, and what it makes of samples: an error says that it did not read on to its end.
    pub(crate) fn of<T: FromFields>() -> (Self, Result<T, String>) {
        let (body, asked) = (Bytes::new(), RefCell::default());
        let read = T::from_fields(Fields::asking(&body, &asked));
        (Self::Object(asked.into_inner()), read)
    }

    /// An object with these fields, each taken as it is.
    pub(crate) fn object(names: &[&str]) -> Self {
        Self::Object(names.iter().map(|name| Known::new(&[name], Self::Value)).collect())
    }

    /// These fields alone.
    #[must_use]
    pub(crate) fn only(mut self, names: &[&str]) -> Self {
        if let Self::Object(known) = &mut self {
            known.retain(|field| field.names.iter().any(|name| names.contains(&&**name)));
        }
        self
    }

    /// The same, where a field is kept as it came and read when asked for.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, shape: Self) -> Self {
        if let Self::Object(known) = &mut self {
            for field in known.iter_mut().filter(|field| field.names.iter().any(|known| known == name)) {
                field.shape = shape.clone();
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Health, Ranking};

    #[test]
    fn a_type_tells_what_it_reads_and_within_what() {
        let (shape, read) = Shape::of::<Health>();
        assert!(read.is_ok());
        let Shape::Object(known) = shape else { panic!("{shape:?}") };
        let names: Vec<_> = known.iter().map(|known| known.names.join("|")).collect();
        assert_eq!(names, ["ok", "providers", "as_of", "request_id", "compute_ms"]);
        let Shape::List(provider) = &known[1].shape else { panic!("{known:?}") };
        let Shape::Object(provider) = &**provider else { panic!("{provider:?}") };
        assert_eq!(provider[0], Known::new(&["id", "provider_id"], Shape::Value));
    }

    #[test]
    fn one_that_needs_a_field_reads_on_with_a_sample() {
        assert!(Shape::of::<Ranking>().1.is_ok());
    }
}
