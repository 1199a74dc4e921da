//! Any other call: a method, a path, and JSON both ways.

use std::sync::Arc;

use amply_sdk::{Client, Error, Method};
use pyo3::prelude::*;
use serde_json::value::RawValue;

use crate::answer::{AnyJson, Plain};
use crate::core::Core;
use crate::desk::Pending;
use crate::error;

/// Makes any call; `body` is JSON text.
#[pyfunction]
#[pyo3(signature = (core, method, path, body))]
pub(crate) fn request(
    py: Python<'_>,
    core: &Core,
    method: &str,
    path: String,
    body: Option<&str>,
) -> PyResult<Py<PyAny>> {
    let (method, body) = (verb(py, method)?, json(py, body)?);
    core.ask(py, move |client| asked(client, method, path, body))
}

#[pyfunction]
#[pyo3(signature = (core, method, path, body))]
pub(crate) fn request_async(
    py: Python<'_>,
    core: &Core,
    method: &str,
    path: String,
    body: Option<&str>,
) -> PyResult<Pending> {
    let (method, body) = (verb(py, method)?, json(py, body)?);
    core.start(py, move |client| asked(client, method, path, body))
}

async fn asked(
    client: Arc<Client>,
    method: Method,
    path: String,
    body: Option<Box<RawValue>>,
) -> Result<Plain, Error> {
    let answer: AnyJson = client.request(method, &path, body.as_deref()).await?;
    Ok(answer.into())
}

fn verb(py: Python<'_>, method: &str) -> PyResult<Method> {
    Method::from_bytes(method.to_ascii_uppercase().as_bytes()).map_err(|_| {
        let method = amply_sdk::printable(method);
        error::invalid(py, &format!("`{method}` is no HTTP method; use one such as GET or POST"))
    })
}

fn json(py: Python<'_>, body: Option<&str>) -> PyResult<Option<Box<RawValue>>> {
    let read = |text: &str| {
        RawValue::from_string(text.to_owned())
            .map_err(|why| error::invalid(py, &format!("the body cannot be sent as JSON: {why}")))
    };
    body.map(read).transpose()
}
