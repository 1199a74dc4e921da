//! The credentials that the server keeps: list, add, remove.

use amply_sdk::{NewCredential, RemovedCredential};
use pyo3::prelude::*;

use crate::answer::{Plain, ToPython};
use crate::core::Core;
use crate::desk::Pending;
use crate::route::text;

#[pyfunction]
pub(crate) fn credentials_list(py: Python<'_>, core: &Core) -> PyResult<Py<PyAny>> {
    core.ask(py, |client| async move { client.credentials().list().await.map(Plain::from) })
}

#[pyfunction]
pub(crate) fn credentials_list_async(py: Python<'_>, core: &Core) -> PyResult<Pending> {
    core.start(py, |client| async move { client.credentials().list().await.map(Plain::from) })
}

#[pyfunction]
#[pyo3(signature = (core, provider_id, secret, label))]
pub(crate) fn credentials_add(
    py: Python<'_>,
    core: &Core,
    provider_id: Bound<'_, PyAny>,
    secret: Bound<'_, PyAny>,
    label: Option<Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let new = new(&provider_id, &secret, label.as_ref())?;
    core.ask(py, move |client| async move { client.credentials().add(new).await.map(Plain::from) })
}

#[pyfunction]
#[pyo3(signature = (core, provider_id, secret, label))]
pub(crate) fn credentials_add_async(
    py: Python<'_>,
    core: &Core,
    provider_id: Bound<'_, PyAny>,
    secret: Bound<'_, PyAny>,
    label: Option<Bound<'_, PyAny>>,
) -> PyResult<Pending> {
    let new = new(&provider_id, &secret, label.as_ref())?;
    core.start(py, move |client| async move { client.credentials().add(new).await.map(Plain::from) })
}

/// Gives the server's answer and its source; None where it is gone, and an attempt before may have removed it.
#[pyfunction]
pub(crate) fn credentials_remove(py: Python<'_>, core: &Core, id: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let id = text("id", &id)?;
    core.ask(py, move |client| async move { client.credentials().remove(&id).await })
}

#[pyfunction]
pub(crate) fn credentials_remove_async(
    py: Python<'_>,
    core: &Core,
    id: Bound<'_, PyAny>,
) -> PyResult<Pending> {
    let id = text("id", &id)?;
    core.start(py, move |client| async move { client.credentials().remove(&id).await })
}

fn new(
    provider_id: &Bound<'_, PyAny>,
    secret: &Bound<'_, PyAny>,
    label: Option<&Bound<'_, PyAny>>,
) -> PyResult<NewCredential> {
    let new = NewCredential::new(text("provider_id", provider_id)?, text("secret", secret)?);
    Ok(match label {
        Some(label) => new.label(text("label", label)?),
        None => new,
    })
}

impl ToPython for RemovedCredential {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.receipt {
            Some(receipt) => Plain::from(receipt).to_python(py),
            None => Ok(py.None()),
        }
    }
}
