//! What `GET /openapi` answers.

use indexmap::IndexMap;

use super::fields::{Fields, FromFields};
use super::json::{Extra, RawJson, read};

/// A server's own description of what it serves, an OpenAPI 3 document (API documentation, `GET /openapi`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OpenApi {
    /// The version of the OpenAPI format.
    pub openapi: Option<String>,
    /// Title, version and description.
    pub info: Option<RawJson>,
    /// The operations, by path.
    pub paths: IndexMap<String, RawJson>,
    /// Fields that have no name here.
    pub extra: Extra,
}

/// One operation of an [`OpenApi`] document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// The HTTP method, in capitals.
    pub method: String,
    /// The path, as the document writes it.
    pub path: String,
    /// What it does, in a line.
    pub summary: Option<String>,
}

impl OpenApi {
    /// The version of the API that the document describes.
    pub fn version(&self) -> Option<String> {
        read(read::<IndexMap<String, RawJson>>(self.info.as_ref()?)?.get("version")?)
    }

    /// Every operation, in the document's order of paths.
    pub fn operations(&self) -> Vec<Operation> {
        const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
        let mut operations = Vec::new();
        for (path, item) in &self.paths {
            let Some(item) = read::<IndexMap<String, RawJson>>(item) else {
                continue;
            };
            for method in METHODS {
                let Some(operation) = item.get(method).and_then(read::<IndexMap<String, RawJson>>) else {
                    continue;
                };
                operations.push(Operation {
                    method: method.to_ascii_uppercase(),
                    path: path.clone(),
                    summary: operation.get("summary").and_then(read),
                });
            }
        }
        operations
    }
}

impl FromFields for OpenApi {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        Ok(Self {
            openapi: fields.take("openapi"),
            info: fields.take("info"),
            paths: fields.take("paths").unwrap_or_default(),
            extra: fields.rest(),
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_number_out_of_range_does_not_hide_the_operation_it_is_in() {
        let text = r#"{"paths":{"/a":{"get":{"summary":"A","x":1e400},"post":null,"put":7},"/b":1e400}}"#;
        let body = Bytes::from_static(text.as_bytes());
        let document = OpenApi::from_fields(Fields::parse(&body, text).unwrap()).unwrap();
        let expected = Operation { method: "GET".into(), path: "/a".into(), summary: Some("A".into()) };
        assert_eq!(document.operations(), [expected]);
    }
}
