//! What a call gives to Python: plain objects, and a handle to what is known besides. the package makes one answer of the two.

use std::collections::BTreeMap;

use amply_sdk::{Answer, Execution, KeyKind, Meta, Payment, PrincipalBinding, Route};
use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyType};
use serde_json::value::RawValue;

use crate::error;
use crate::json;

/// What a call came to, on its way to Python.
pub(crate) trait ToPython: Send + 'static {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

/// Status, headers, attempts and time of a call, and of a route whose it was. Read when asked for.
#[pyclass(frozen, module = "amply_sdk._native")]
pub(crate) struct Source(Box<Known>);

struct Known {
    meta: Meta,
    /// Of a route alone.
    principal: Option<PrincipalBinding>,
}

#[pymethods]
impl Source {
    /// The fields of `Meta`, by name.
    fn meta<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        meta_fields(py, &self.0.meta)
    }

    /// The fields of `Principal`, by name; None for an answer that is no route.
    fn principal<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.0.principal.as_ref().map(|principal| principal_fields(py, principal)).transpose()
    }
}

/// An answer as its text, and what is known of the call. What the SDK has read is let go of on the thread that read it: Python
/// reads the text, and memory is given back cheapest where it was taken.
pub(crate) struct Plain {
    body: Bytes,
    known: Box<Known>,
}

impl Source {
    pub(crate) fn of(meta: Meta) -> Self {
        Self(Box::new(Known { meta, principal: None }))
    }
}

/// An answer to `route_task`: the busiest call of all gets its class here, filled from the text and not from a copy.
pub(crate) struct Routed(Plain);

impl From<Answer<Route>> for Routed {
    fn from(answer: Answer<Route>) -> Self {
        Self(Plain::of_route(answer))
    }
}

impl ToPython for Routed {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let Self(Plain { body, known }) = self;
        let route = CLASS.import(py, "amply_sdk._route", "Route")?.call0()?;
        json::parse_into(std::str::from_utf8(&body).unwrap_or_default(), route.cast()?)?;
        route.setattr(pyo3::intern!(py, "_source"), Source(known))?;
        Ok(route.unbind())
    }
}

impl Plain {
    pub(crate) fn of_route(answer: Answer<Route>) -> Self {
        let principal = Some(answer.principal());
        let (_, body, meta) = answer.into_parts();
        Self { body, known: Box::new(Known { meta, principal }) }
    }

    pub(crate) fn of_execution(answer: Answer<Execution>) -> Self {
        let principal = Some(answer.principal());
        let (_, body, meta) = answer.into_parts();
        Self { body, known: Box::new(Known { meta, principal }) }
    }
}

impl<T> From<Answer<T>> for Plain {
    fn from(answer: Answer<T>) -> Self {
        let (_, body, meta) = answer.into_parts();
        Self { body, known: Box::new(Known { meta, principal: None }) }
    }
}

impl ToPython for Plain {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        // An empty answer (204, a HEAD) reads as null. The SDK lets nothing through that is not UTF-8.
        let text = match std::str::from_utf8(&self.body).unwrap_or_default() {
            "" => "null",
            text => text,
        };
        let object = json::parse(py, text)?;
        Ok((object, Source(self.known)).into_pyobject(py)?.into_any().unbind())
    }
}

impl ToPython for () {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(py.None())
    }
}

impl ToPython for bool {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.into_pyobject(py)?.to_owned().into_any().unbind())
    }
}

impl ToPython for Option<String> {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.into_pyobject(py)?.into_any().unbind())
    }
}

impl ToPython for Payment {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(payment(py, &self)?.unbind())
    }
}

impl ToPython for Vec<Payment> {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let payments = PyList::empty(py);
        for one in &self {
            payments.append(payment(py, one)?)?;
        }
        Ok(payments.into_any().unbind())
    }
}

/// A payment as its JSON has it.
pub(crate) fn payment<'py>(py: Python<'py>, payment: &Payment) -> PyResult<Bound<'py, PyAny>> {
    // Texts, numbers and times can always be written.
    json::parse(py, &serde_json::to_string(payment).unwrap_or_default())
}

pub(crate) fn route(py: Python<'_>, answer: Answer<Route>) -> PyResult<Py<PyAny>> {
    Plain::of_route(answer).to_python(py)
}

pub(crate) fn meta_fields<'py>(py: Python<'py>, meta: &Meta) -> PyResult<Bound<'py, PyDict>> {
    // A header that comes twice is one with a comma, as HTTP has it.
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in meta.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str())
            .and_modify(|known| *known = format!("{known}, {value}"))
            .or_insert_with(|| value.into_owned());
    }
    let fields = PyDict::new(py);
    fields.set_item("status", meta.status().map_or(0, |status| status.as_u16()))?;
    fields.set_item("headers", headers)?;
    fields.set_item("attempts", meta.attempts())?;
    fields.set_item("elapsed_s", meta.elapsed().as_secs_f64())?;
    fields.set_item("request_id", meta.request_id())?;
    fields.set_item("compute_ms", meta.compute_ms())?;
    fields.set_item("key_kind", meta.key_kind().map(key_kind))?;
    fields.set_item("paid_usd", meta.paid_usd().map(|paid| paid.to_string()))?;
    fields.set_item("payment_id", meta.payment_id())?;
    Ok(fields)
}

pub(crate) fn key_kind(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::User => "user",
        _ => "server",
    }
}

fn principal_fields<'py>(py: Python<'py>, principal: &PrincipalBinding) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    fields.set_item("binding", binding(principal))?;
    fields.set_item("header", principal.header)?;
    fields.set_item("body", principal.body)?;
    fields.set_item("economics", &principal.economics)?;
    fields.set_item("auth_source", &principal.auth_source)?;
    fields.set_item("key_kind", principal.key_kind.map(key_kind))?;
    fields.set_item("is_contradictory", principal.is_contradictory)?;
    Ok(fields)
}

pub(crate) fn binding(principal: &PrincipalBinding) -> &'static str {
    match principal.binding {
        amply_sdk::Binding::Bound => "bound",
        amply_sdk::Binding::NotBound => "not_bound",
        _ => "unknown",
    }
}

/// What the ranking of a route says, from its JSON: the SDK's reading of every server release.
///
/// Returns `(rankings, explanation, ruled_out)`; the first and the last are lists of dicts.
#[pyfunction]
pub(crate) fn read_route<'py>(py: Python<'py>, text: &str) -> PyResult<Reading<'py>> {
    let route: Route = serde_json::from_str(text).map_err(|why| error::unreadable(&why))?;
    let rankings = PyList::empty(py);
    for ranking in route.rankings() {
        let fields = PyDict::new(py);
        fields.set_item("provider_id", &ranking.provider_id)?;
        fields.set_item("rank", ranking.rank)?;
        fields.set_item("score", ranking.score)?;
        fields.set_item("p99_latency_ms", ranking.p99_latency_ms)?;
        fields.set_item("cost_per_1m_dims_usd", ranking.cost_per_1m_dims_usd.map(|cost| cost.to_string()))?;
        fields.set_item("success_rate_last_24h", ranking.success_rate_last_24h)?;
        fields.set_item("success_rate_last_7d", ranking.success_rate_last_7d)?;
        fields.set_item("win_rate", ranking.win_rate)?;
        fields.set_item("confidence_sources", ranking.confidence_sources)?;
        if let Some(parts) = ranking.components {
            let components = PyDict::new(py);
            components.set_item("success", parts.success)?;
            components.set_item("latency", parts.latency)?;
            components.set_item("cost", parts.cost)?;
            components.set_item("reliability", parts.reliability)?;
            for (name, value) in &parts.extra {
                components.set_item(name, json::parse(py, value.text())?)?;
            }
            fields.set_item("components", components)?;
        }
        for (name, value) in &ranking.extra {
            fields.set_item(name, json::parse(py, value.text())?)?;
        }
        rankings.append(fields)?;
    }
    let ruled_out = PyList::empty(py);
    for provider in route.ruled_out() {
        let fields = PyDict::new(py);
        fields.set_item("provider_id", provider.provider_id)?;
        fields.set_item("reasons", provider.reasons)?;
        ruled_out.append(fields)?;
    }
    Ok((rankings, route.why_text(), ruled_out))
}

type Reading<'py> = (Bound<'py, PyList>, Option<String>, Bound<'py, PyList>);

/// Any JSON of an answer.
pub(crate) type AnyJson = Answer<Box<RawValue>>;
