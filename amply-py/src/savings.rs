//! `POST /report`: what routes cost and saved.

use amply_sdk::Period;
use pyo3::prelude::*;

use crate::answer::Plain;
use crate::core::Core;
use crate::desk::Pending;
use crate::error;
use crate::route::text;

#[pyfunction]
pub(crate) fn savings_report(py: Python<'_>, core: &Core, period: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let period = read(&period)?;
    core.ask(py, move |client| async move { client.savings_report(period).await.map(Plain::from) })
}

#[pyfunction]
pub(crate) fn savings_report_async(
    py: Python<'_>,
    core: &Core,
    period: Bound<'_, PyAny>,
) -> PyResult<Pending> {
    let period = read(&period)?;
    core.start(py, move |client| async move { client.savings_report(period).await.map(Plain::from) })
}

fn read(period: &Bound<'_, PyAny>) -> PyResult<Period> {
    text("period", period)?.parse().map_err(|error| error::raised(period.py(), error))
}
