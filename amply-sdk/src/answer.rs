//! An answer with everything that came: the typed value, the text, and what is known about the call.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::meta::Meta;

/// A typed answer, together with the JSON as the server sent it and the call's [`Meta`].
///
/// It dereferences to the typed value, so that fields are read directly: `route.recommended`. The text holds every
/// field, also those that this version does not know or could not read.
#[derive(Clone)]
pub struct Answer<T> {
    value: T,
    body: Bytes,
    meta: Meta,
}

impl<T> Answer<T> {
    pub(crate) fn new(value: T, body: Bytes, meta: Meta) -> Self {
        Self { value, body, meta }
    }

    /// Status, headers, attempts and time of the call.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The body exactly as the server sent it.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    /// The typed value, the body exactly as the server sent it, and what is known of the call.
    pub fn into_parts(self) -> (T, Bytes, Meta) {
        (self.value, self.body, self.meta)
    }

    /// The typed value alone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

/// Without headers and text: the typed value says what it is.
impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("value", &self.value)
            .field("status", &self.meta.status().map(|status| status.as_u16()))
            .field("request_id", &self.meta.request_id())
            .field("attempts", &self.meta.attempts())
            .finish_non_exhaustive()
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// What [`Client::request`](crate::Client::request) can return: any type that serde can read, alone or as an
/// [`Answer`] when the status and the headers matter too.
pub trait FromAnswer: sealed::Sealed + Sized {
    /// The type that the body is read as.
    #[doc(hidden)]
    type Body: DeserializeOwned;

    #[doc(hidden)]
    fn from_answer(answer: Answer<Self::Body>) -> Self;
}

impl<T: DeserializeOwned> FromAnswer for T {
    type Body = T;

    fn from_answer(answer: Answer<T>) -> T {
        answer.into_inner()
    }
}

impl<T: DeserializeOwned> FromAnswer for Answer<T> {
    type Body = T;

    fn from_answer(answer: Self) -> Self {
        answer
    }
}

mod sealed {
    pub trait Sealed {}
    impl<T: super::DeserializeOwned> Sealed for T {}
    impl<T: super::DeserializeOwned> Sealed for super::Answer<T> {}
}
