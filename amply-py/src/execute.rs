//! `POST /route/execute`: a route and its execution.

use amply_sdk::{ExecuteRequest, Target};
use pyo3::prelude::*;

use crate::answer::Plain;
use crate::core::Core;
use crate::desk::Pending;
use crate::error;
use crate::route::{Request, text};

/// Routes a task and has it executed; gives the answer and its source.
#[pyfunction]
#[pyo3(signature = (core, request, place, input))]
pub(crate) fn execute(
    py: Python<'_>,
    core: &Core,
    request: Request,
    place: At<'_>,
    input: Option<&str>,
) -> PyResult<Py<PyAny>> {
    core.check_pays_for_nobody(py)?;
    let request = place.of(py, request, input)?;
    core.ask(py, move |client| async move { client.execute(request).await.map(Plain::of_execution) })
}

#[pyfunction]
#[pyo3(signature = (core, request, place, input))]
pub(crate) fn execute_async(
    py: Python<'_>,
    core: &Core,
    request: Request,
    place: At<'_>,
    input: Option<&str>,
) -> PyResult<Pending> {
    core.check_pays_for_nobody(py)?;
    let request = place.of(py, request, input)?;
    core.start(py, move |client| async move { client.execute(request).await.map(Plain::of_execution) })
}

/// Where a task is executed, as `_execute.py` says it.
#[derive(FromPyObject)]
pub(crate) enum At<'py> {
    /// A URL, and headers.
    Target(Bound<'py, PyAny>, Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>),
    /// A stored credential.
    #[pyo3(transparent)]
    Credential(Bound<'py, PyAny>),
}

impl At<'_> {
    fn of(self, py: Python<'_>, request: Request, input: Option<&str>) -> PyResult<ExecuteRequest> {
        let request = request.into_inner();
        let request = match self {
            Self::Credential(id) => ExecuteRequest::with_credential(request, text("credential_ref", &id)?),
            Self::Target(url, headers) => {
                let mut target =
                    Target::new(text("target", &url)?).map_err(|error| error::raised(py, error))?;
                for (name, value) in headers {
                    let value = text("a header's value", &value)?;
                    target = target
                        .header(&text("a header's name", &name)?, value)
                        .map_err(|error| error::raised(py, error))?;
                }
                ExecuteRequest::at_target(request, target)
            }
        };
        let Some(input) = input else { return Ok(request) };
        request.input_json(input).map_err(|error| error::raised(py, error))
    }
}
