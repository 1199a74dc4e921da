//! The one place where a failure of the SDK becomes an exception. The exceptions themselves are Python, in `_errors.py`.

use amply_sdk::{Error, Failure, PaymentChallenge, Refusal};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::answer;
use crate::json;

/// The exception for an error.
pub(crate) fn raised(py: Python<'_>, error: Error) -> PyErr {
    exception(py, error).unwrap_or_else(|failed| failed)
}

/// A request that cannot be right, found before the SDK was asked.
pub(crate) fn invalid(py: Python<'_>, message: &str) -> PyErr {
    made(py, "invalid_request", message, &PyDict::new(py)).unwrap_or_else(|failed| failed)
}

/// A client that is not set up in a way that can work.
pub(crate) fn config(py: Python<'_>, message: &str) -> PyErr {
    made(py, "config", message, &PyDict::new(py)).unwrap_or_else(|failed| failed)
}

/// JSON that is no answer.
pub(crate) fn unreadable(why: &serde_json::Error) -> PyErr {
    pyo3::exceptions::PyValueError::new_err(format!("this is not the JSON of a route: {why}"))
}

fn exception(py: Python<'_>, error: Error) -> PyResult<PyErr> {
    let fields = PyDict::new(py);
    fields.set_item("status", error.status().map_or(0, |status| status.as_u16()))?;
    fields.set_item("request_id", error.request_id())?;
    fields.set_item("hint", error.hint())?;
    fields.set_item("attempts", error.meta().map_or(0, amply_sdk::Meta::attempts))?;
    fields.set_item("is_retryable", error.is_retryable())?;
    fields.set_item("may_have_been_charged", error.may_have_been_charged())?;
    fields.set_item("server_code", error.failure().and_then(Failure::server_code))?;
    if let Some(body) = error.body() {
        let text = String::from_utf8_lossy(body);
        let body =
            json::parse(py, &text).or_else(|_| text.as_ref().into_pyobject(py).map(Bound::into_any))?;
        fields.set_item("body", body)?;
    }
    if let Some(sealed) = error.failure().and_then(Failure::expose_sealed_body) {
        fields.set_item("sealed_body", String::from_utf8_lossy(sealed))?;
    }
    if let Some(challenge) = error.challenge() {
        fields.set_item("challenge", challenge_fields(py, challenge)?)?;
    }
    if let Some(problem) = error.payment_problem() {
        fields.set_item("payment_id", problem.payment_id())?;
        fields.set_item("amount_usd", problem.amount_usd().map(|amount| amount.to_string()))?;
    }
    match &error {
        Error::RateLimited { retry_after, .. } => {
            fields.set_item("retry_after", retry_after.map(|wait| wait.as_secs_f64()))?;
        }
        Error::SpendLimit { cap, .. } => fields.set_item("cap", cap.as_str())?,
        Error::PaymentRefused { reasons, .. } => {
            fields.set_item("reasons", reasons.iter().map(Refusal::code).collect::<Vec<_>>())?;
        }
        Error::Invalid { field, .. } => fields.set_item("field", *field)?,
        _ => {}
    }
    let (code, message) = (error.code(), error.to_string());
    if let Error::PrincipalNotBound { binding, answer: route, .. } = error {
        fields.set_item("binding", answer::binding(&binding))?;
        if let Some(route) = route {
            fields.set_item("answer", answer::route(py, *route)?)?;
        }
    }
    made(py, code, &message, &fields)
}

/// What a 402 asked for; amounts are texts.
fn challenge_fields<'py>(py: Python<'py>, challenge: &PaymentChallenge) -> PyResult<Bound<'py, PyDict>> {
    let usd = |amount: Option<amply_sdk::Usd>| amount.map(|amount| amount.to_string());
    let fields = PyDict::new(py);
    fields.set_item("shortfall_usd", usd(challenge.shortfall_usd))?;
    fields.set_item("balance_usd", usd(challenge.balance_usd))?;
    fields.set_item("amount_usd", usd(challenge.amount_usd))?;
    fields.set_item("currency", &challenge.currency)?;
    fields.set_item("expires_at", &challenge.expires_at)?;
    fields.set_item("challenge_id", &challenge.challenge_id)?;
    fields.set_item("spec", &challenge.spec)?;
    fields.set_item("top_up_url", &challenge.top_up_url)?;
    fields.set_item("refusals", challenge.refusals().iter().map(Refusal::code).collect::<Vec<_>>())?;
    Ok(fields)
}

fn made(py: Python<'_>, code: &str, message: &str, fields: &Bound<'_, PyDict>) -> PyResult<PyErr> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = MAKE.import(py, "amply_sdk._errors", "_made")?;
    Ok(PyErr::from_value(make.call1((code, message, fields))?))
}
