//! The body of a request as the fields of one object, read as they are: nothing is turned into something else.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::value::RawValue;

use super::{exchange::ReceivedBody, reply::Problem};
use crate::json;

/// The fields of an object; null is none.
pub(super) struct Fields<'a>(HashMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    pub(super) fn of(text: &'a str) -> Result<Self, &'static str> {
        serde_json::from_str(text).map(Fields).map_err(|_| "Invalid JSON body")
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|value| value.get() != "null")
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// The fields of the object that is in this one; `None` of anything else.
    pub(super) fn object(&self, name: &str) -> Option<Fields<'a>> {
        Fields::of(self.get(name)?.get()).ok()
    }
}

impl ReceivedBody {
    /// Reads the body by `read`, which says in the server's words what is wrong with it.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Fields<'_>) -> Result<T, &'static str>,
    ) -> Result<T, Problem> {
        let ReceivedBody::Whole(body) = self else {
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"));
        };
        let text = json::text_of_body(body);
        let read = Fields::of(&text).and_then(|fields| read(&fields));
        read.map_err(|detail| Problem::new(StatusCode::BAD_REQUEST, detail))
    }
}
