//! What is known before a call: `Client.plan`, and why a route was recommended.

use amply_sdk::{Plan, Route};
use pyo3::prelude::*;

use crate::answer::ToPython;
use crate::core::Core;
use crate::desk::Pending;
use crate::error;
use crate::json;
use crate::route::Request;

/// What a route would send. Nothing is sent.
#[pyfunction]
pub(crate) fn plan(py: Python<'_>, core: &Core, request: Request) -> PyResult<Py<PyAny>> {
    let request = request.into_inner();
    core.ask(py, move |client| async move { client.plan(&request).await })
}

#[pyfunction]
pub(crate) fn plan_async(py: Python<'_>, core: &Core, request: Request) -> PyResult<Pending> {
    let request = request.into_inner();
    core.start(py, move |client| async move { client.plan(&request).await })
}

/// How the scores of a route were made, from its JSON.
#[pyfunction]
pub(crate) fn explain_route<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let route: Route = serde_json::from_str(text).map_err(|why| error::unreadable(&why))?;
    // Texts and numbers can always be written.
    json::parse(py, &serde_json::to_string(&route.explain()).unwrap_or_default())
}

impl ToPython for Plan {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(json::parse(py, &serde_json::to_string(&self).unwrap_or_default())?.unbind())
    }
}
