//! `POST /route`, and the request it takes.

use amply_sdk::{FilterComplexity, RouteRequest, Usd, WorkloadType};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use crate::answer::Routed;
use crate::core::Core;
use crate::desk::Pending;
use crate::error;

/// Asks for a route; gives a `Route`.
#[pyfunction]
pub(crate) fn route_task(py: Python<'_>, core: &Core, request: Request) -> PyResult<Py<PyAny>> {
    core.check_pays_for_nobody(py)?;
    let request = request.0;
    core.ask(py, move |client| async move { client.route_task(request).await.map(Routed::from) })
}

#[pyfunction]
pub(crate) fn route_task_async(py: Python<'_>, core: &Core, request: Request) -> PyResult<Pending> {
    core.check_pays_for_nobody(py)?;
    let request = request.0;
    core.start(py, move |client| async move { client.route_task(request).await.map(Routed::from) })
}

/// What `route_task` of the clients takes, in the order of `_base.py`.
pub(crate) struct Request(RouteRequest);

type Fields<'py> = (
    Bound<'py, PyAny>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
    Option<Bound<'py, PyAny>>,
);

impl Request {
    pub(crate) fn into_inner(self) -> RouteRequest {
        self.0
    }
}

impl<'py> FromPyObject<'_, 'py> for Request {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = given.py();
        let fields: Fields<'py> = given.extract()?;
        let (task, dimension, workload, filters, budget, latency, per_1m, slo, tag, sandbox, policy, key) =
            fields;
        let mut request = RouteRequest::new(text("task", &task)?);
        if let Some(given) = dimension {
            let whole = given.cast::<PyInt>().ok().filter(|_| !given.is_instance_of::<PyBool>());
            let Some(whole) = whole.cloned().or_else(|| index(&given)) else {
                return Err(wrong_type("dimension", "a whole number", &given));
            };
            let Ok(dimension) = whole.extract::<u32>() else {
                let message = format!("dimension is {whole}; it must be a whole number from 1 to 65536");
                return Err(error::invalid(py, &message));
            };
            request = request.dimension(dimension);
        }
        if let Some(given) = workload {
            let word = text("workload_type", &given)?;
            request = request
                .workload_type(word.parse::<WorkloadType>().map_err(|error| error::raised(py, error))?);
        }
        if let Some(given) = filters {
            let word = text("filter_complexity", &given)?;
            request = request.filter_complexity(
                word.parse::<FilterComplexity>().map_err(|error| error::raised(py, error))?,
            );
        }
        if let Some(given) = budget {
            request = request.budget_usd(hint("budget_usd", &given)?);
        }
        if let Some(given) = latency {
            request = request.latency_target_ms(number("latency_target_ms", &given)?);
        }
        if let Some(given) = per_1m {
            request = request.budget_usd_per_1m_ops(hint("budget_usd_per_1m_ops", &given)?);
        }
        if let Some(given) = slo {
            request = request.slo_p99_ms(number("slo_p99_ms", &given)?);
        }
        if let Some(given) = tag {
            request = request.referral_tag(text("referral_tag", &given)?);
        }
        if let Some(given) = sandbox {
            match given.cast::<PyBool>() {
                Ok(on) => request = request.sandbox_mode(on.is_true()),
                Err(_) => return Err(wrong_type("sandbox_mode", "True or False", &given)),
            }
        }
        if let Some(given) = policy {
            // `_base.py` has written it as JSON.
            let policy = serde_json::from_str(&text("enterprise_policy", &given)?).map_err(|why| {
                error::invalid(py, &format!("enterprise_policy cannot be sent as a JSON object: {why}"))
            })?;
            request = request.enterprise_policy(policy);
        }
        if let Some(given) = key {
            request = request.idempotency_key(text("idempotency_key", &given)?);
        }
        Ok(Self(request))
    }
}

/// A whole number of another type, such as numpy's.
fn index<'py>(given: &Bound<'py, PyAny>) -> Option<Bound<'py, PyInt>> {
    if given.is_instance_of::<PyBool>() {
        return None;
    }
    given.call_method0("__index__").ok()?.cast_into().ok()
}

pub(crate) fn text(name: &str, given: &Bound<'_, PyAny>) -> PyResult<String> {
    match given.cast::<PyString>() {
        Ok(text) => match text.to_str() {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => {
                let message =
                    format!("{name} holds half of a surrogate pair, which cannot be sent; leave it out");
                Err(error::invalid(given.py(), &message))
            }
        },
        Err(_) => Err(wrong_type(name, "a str", given)),
    }
}

fn number(name: &str, given: &Bound<'_, PyAny>) -> PyResult<f64> {
    if given.is_instance_of::<PyBool>() || given.is_instance_of::<PyString>() {
        return Err(wrong_type(name, "a number", given));
    }
    given.extract::<f64>().map_err(|_| wrong_type(name, "a number", given))
}

/// An amount that nobody pays: a float will do.
fn hint(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Usd> {
    let py = given.py();
    if given.is_instance_of::<PyBool>() {
        return Err(wrong_type(name, "an amount in USD", given));
    }
    let said = match given.cast::<PyFloat>() {
        // The shortest text that reads back as the same double.
        Ok(float) if float.value().is_finite() => Ok(format!("{:e}", float.value())),
        Ok(float) => Err(float.value().to_string()),
        // An int, a Decimal, a str.
        Err(_) => Ok(given.str()?.to_string()),
    };
    let is_amount = given.is_instance_of::<PyFloat>()
        || given.is_instance_of::<PyInt>()
        || given.is_instance_of::<PyString>()
        || given.get_type().name()? == "Decimal";
    if !is_amount {
        return Err(wrong_type(name, "an amount in USD (Decimal, str, int or float)", given));
    }
    let parsed = match &said {
        Ok(text) => text.parse::<Usd>().map_err(|_| amply_sdk::printable(text).into_owned()),
        Err(text) => Err(text.clone()),
    };
    parsed.map_err(|said| {
        error::invalid(
            py,
            &format!("{name} is `{said}`; it must be an amount in USD, 0 or more, such as 0.05"),
        )
    })
}

fn wrong_type(name: &str, expected: &str, given: &Bound<'_, PyAny>) -> PyErr {
    let class = given.get_type().name().map_or_else(|_| "this".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{name} must be {expected}, not {class}"))
}
