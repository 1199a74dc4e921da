//! How a route went: tracked routes, tickets, reports, and the outbox.
//!
//! A report is made by its ticket, on whichever lane is free and in whichever process: a tracked route of the SDK would use
//! the connections of the call that it came from.

use std::sync::{Arc, Mutex, PoisonError};

use amply_sdk::{
    Answer, Client, Error, Flushed, HandedOver, OutboxEntry, Outcome, Reported, Route, Ticket, TrackedRoute,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::json;

use crate::answer::{self, Plain, ToPython};
use crate::aside;
use crate::core::{Core, seconds};
use crate::desk::Pending;
use crate::error;
use crate::json;
use crate::route::Request;

/// Asks for a route; gives the answer and its source, and the means to report.
#[pyfunction]
pub(crate) fn route_task_tracked(py: Python<'_>, core: &Core, request: Request) -> PyResult<Py<PyAny>> {
    core.check_pays_for_nobody(py)?;
    let request = request.into_inner();
    core.ask(py, move |client| async move { client.route_task_tracked(request).await })
}

#[pyfunction]
pub(crate) fn route_task_tracked_async(py: Python<'_>, core: &Core, request: Request) -> PyResult<Pending> {
    core.check_pays_for_nobody(py)?;
    let request = request.into_inner();
    core.start(py, move |client| async move { client.route_task_tracked(request).await })
}

/// The report that is still to be made. Dropped unreported it is counted.
#[pyclass(frozen, module = "amply_sdk._native")]
pub(crate) struct Tracked {
    process: u32,
    route: Mutex<Option<TrackedRoute>>,
}

#[pymethods]
impl Tracked {
    /// The ticket. Whoever has it reports.
    fn ticket(&self, py: Python<'_>) -> PyResult<String> {
        let route = self.route.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = route.as_ref().map(TrackedRoute::ticket);
        drop(route);
        match ticket {
            Some(Ok(ticket)) => Ok(ticket.to_string()),
            Some(Err(error)) => Err(error::raised(py, error)),
            None => Err(error::config(py, "the route is gone")),
        }
    }

    /// Lets go of the route, which tells that it was not reported if it was not.
    fn forget(&self, py: Python<'_>) {
        let route = self.route.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It may tell an observer, which is Python.
        py.detach(|| drop(route));
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let route = self.route.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        match self.process == std::process::id() {
            true => aside::quietly(|| drop(route)),
            // The parent's, with its store.
            false => std::mem::forget(route),
        }
    }
}

impl ToPython for TrackedRoute {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let route: Answer<Route> = (*self).clone();
        // First: it goes in a way that is safe here.
        let tracked = Tracked { process: std::process::id(), route: Mutex::new(Some(self)) };
        let answer = answer::route(py, route)?;
        Ok((answer, tracked).into_pyobject(py)?.into_any().unbind())
    }
}

/// An outcome as Python says it, with the ticket of its route.
struct Report {
    ticket: Ticket,
    outcome: Outcome,
}

impl Report {
    fn read(
        py: Python<'_>,
        ticket: &str,
        success: bool,
        latency_ms: Option<f64>,
        error_code: Option<&str>,
    ) -> PyResult<Self> {
        let latency_ms = match latency_ms {
            Some(ms) if ms.is_finite() && ms >= 0.0 => Some(ms.round() as u64),
            Some(ms) => {
                let message =
                    format!("actual_latency_ms is {ms}; it must be a number of milliseconds, 0 or more");
                return Err(error::invalid(py, &message));
            }
            None => None,
        };
        let mut outcome = json!({ "success": success });
        if let Some(fields) = outcome.as_object_mut() {
            if let Some(ms) = latency_ms {
                fields.insert("actual_latency_ms".to_owned(), ms.into());
            }
            if let Some(code) = error_code {
                fields.insert("error_code".to_owned(), code.into());
                if code == "timeout" {
                    fields.insert("timeout".to_owned(), true.into());
                }
            }
        }
        let outcome: Outcome = serde_json::from_value(outcome)
            .map_err(|why| error::invalid(py, &format!("this is no outcome: {why}")))?;
        let ticket = ticket.parse::<Ticket>().map_err(|error| error::raised(py, error))?;
        Ok(Self { ticket, outcome })
    }

    async fn at_once(self, client: Arc<Client>) -> Result<Reported, Error> {
        client.report(&self.ticket, self.outcome).await
    }

    async fn durable(self, client: Arc<Client>) -> Result<bool, Error> {
        client.report_durable(&self.ticket, self.outcome).await.map(is_on_its_way)
    }

    /// Committed where there is a file, else handed over in memory.
    async fn settled(self, client: Arc<Client>) -> Result<bool, Error> {
        match client.report_durable(&self.ticket, self.outcome.clone()).await {
            Err(Error::Config(_)) => {
                client.report_in_background(&self.ticket, self.outcome).map(is_on_its_way)
            }
            handed => handed.map(is_on_its_way),
        }
    }
}

fn is_on_its_way(handed: HandedOver) -> bool {
    !matches!(handed, HandedOver::AlreadyReported)
}

macro_rules! reports {
    ($($verb:ident, $verb_async:ident, $how:ident);+) => {$(
        #[pyfunction]
        #[pyo3(signature = (core, ticket, success, latency_ms, error_code))]
        pub(crate) fn $verb(
            py: Python<'_>,
            core: &Core,
            ticket: &str,
            success: bool,
            latency_ms: Option<f64>,
            error_code: Option<&str>,
        ) -> PyResult<Py<PyAny>> {
            let report = Report::read(py, ticket, success, latency_ms, error_code)?;
            core.ask(py, move |client| report.$how(client))
        }

        #[pyfunction]
        #[pyo3(signature = (core, ticket, success, latency_ms, error_code))]
        pub(crate) fn $verb_async(
            py: Python<'_>,
            core: &Core,
            ticket: &str,
            success: bool,
            latency_ms: Option<f64>,
            error_code: Option<&str>,
        ) -> PyResult<Pending> {
            let report = Report::read(py, ticket, success, latency_ms, error_code)?;
            core.start(py, move |client| report.$how(client))
        }
    )+};
}

reports!(
    report, report_async, at_once;
    report_durable, report_durable_async, durable;
    report_settled, report_settled_async, settled
);

/// Hands a report over in memory; it never waits.
#[pyfunction]
#[pyo3(signature = (core, ticket, success, latency_ms, error_code))]
pub(crate) fn report_in_background(
    py: Python<'_>,
    core: &Core,
    ticket: &str,
    success: bool,
    latency_ms: Option<f64>,
    error_code: Option<&str>,
) -> PyResult<bool> {
    let Report { ticket, outcome } = Report::read(py, ticket, success, latency_ms, error_code)?;
    let client = core.client(py)?;
    let handed = py.detach(|| client.report_in_background(&ticket, outcome));
    handed.map(is_on_its_way).map_err(|error| error::raised(py, error))
}

/// A ticket for a route whose id is known and nothing else.
#[pyfunction]
#[pyo3(signature = (core, route_id, provider_id))]
pub(crate) fn ticket(
    py: Python<'_>,
    core: &Core,
    route_id: &str,
    provider_id: Option<&str>,
) -> PyResult<String> {
    let ticket = core.client(py)?.ticket(route_id, provider_id);
    ticket.map(|ticket| ticket.to_string()).map_err(|error| error::raised(py, error))
}

/// None where the route had been reported before, so that nothing was sent.
impl ToPython for Reported {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.receipt {
            Some(receipt) => Plain::from(receipt).to_python(py),
            None => Ok(py.None()),
        }
    }
}

#[pyfunction]
pub(crate) fn audit(py: Python<'_>, core: &Core, route_id: String) -> PyResult<Py<PyAny>> {
    core.ask(py, move |client| async move { client.audit(&route_id).await.map(Plain::from) })
}

#[pyfunction]
pub(crate) fn audit_async(py: Python<'_>, core: &Core, route_id: String) -> PyResult<Pending> {
    core.start(py, move |client| async move { client.audit(&route_id).await.map(Plain::from) })
}

macro_rules! outbox {
    ($($verb:ident, $verb_async:ident, ($($argument:ident: $of:ty),*), |$outbox:ident| $work:expr);+) => {$(
        #[pyfunction]
        pub(crate) fn $verb(py: Python<'_>, core: &Core, $($argument: $of),*) -> PyResult<Py<PyAny>> {
            core.ask(py, move |client| async move { let $outbox = client.outbox(); $work })
        }

        #[pyfunction]
        pub(crate) fn $verb_async(py: Python<'_>, core: &Core, $($argument: $of),*) -> PyResult<Pending> {
            core.start(py, move |client| async move { let $outbox = client.outbox(); $work })
        }
    )+};
}

outbox!(
    outbox_list, outbox_list_async, (), |outbox| outbox.list().await;
    outbox_waiting, outbox_waiting_async, (), |outbox| outbox.waiting().await;
    outbox_retry, outbox_retry_async, (id: String), |outbox| outbox.retry(&id).await;
    outbox_discard, outbox_discard_async, (id: String), |outbox| outbox.discard(&id).await
);

/// Delivers all that waits; how many are left.
#[pyfunction]
pub(crate) fn outbox_flush(py: Python<'_>, core: &Core, limit_s: f64) -> PyResult<Py<PyAny>> {
    let limit = seconds(py, "timeout", limit_s)?;
    core.ask(py, move |client| async move { client.outbox().flush(limit).await })
}

#[pyfunction]
pub(crate) fn outbox_flush_async(py: Python<'_>, core: &Core, limit_s: f64) -> PyResult<Pending> {
    let limit = seconds(py, "timeout", limit_s)?;
    core.start(py, move |client| async move { client.outbox().flush(limit).await })
}

#[pyfunction]
pub(crate) fn outbox_counters<'py>(py: Python<'py>, core: &Core) -> PyResult<Bound<'py, PyDict>> {
    let counters = core.client(py)?.outbox().counters();
    let fields = PyDict::new(py);
    for (name, count) in [
        ("queued", counters.queued),
        ("delivered", counters.delivered),
        ("dead", counters.dead),
        ("dropped", counters.dropped),
        ("repeated", counters.repeated),
        ("unreported", counters.unreported),
        ("credits_awarded", counters.credits_awarded),
    ] {
        fields.set_item(name, count)?;
    }
    Ok(fields)
}

impl ToPython for Flushed {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.left.to_python(py)
    }
}

impl ToPython for u64 {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.into_pyobject(py)?.into_any().unbind())
    }
}

impl ToPython for OutboxEntry {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(entry(py, &self)?.into_any().unbind())
    }
}

impl ToPython for Vec<OutboxEntry> {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let entries = PyList::empty(py);
        for one in &self {
            entries.append(entry(py, one)?)?;
        }
        Ok(entries.into_any().unbind())
    }
}

fn entry<'py>(py: Python<'py>, entry: &OutboxEntry) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    fields.set_item("id", &entry.id)?;
    fields.set_item("route_id", &entry.route_id)?;
    fields.set_item("provider_id", &entry.provider_id)?;
    fields.set_item("base_url", &entry.base_url)?;
    fields.set_item("principal", &entry.principal)?;
    fields.set_item(
        "outcome",
        match &entry.outcome {
            // Texts and numbers can always be written.
            Some(outcome) => Some(json::parse(py, &serde_json::to_string(outcome).unwrap_or_default())?),
            None => None,
        },
    )?;
    fields.set_item("is_dead", entry.is_dead)?;
    fields.set_item("attempts", entry.attempts)?;
    fields.set_item("last_error", &entry.last_error)?;
    fields.set_item("created_ms", entry.created_ms)?;
    fields.set_item("not_before_ms", entry.not_before_ms)?;
    Ok(fields)
}
