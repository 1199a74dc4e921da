//! Top-ups in advance, with the admin secret: `Client.top_up`.

use amply_sdk::{TopUpOrder, Usd};
use pyo3::prelude::*;

use crate::core::Core;
use crate::desk::Pending;
use crate::error;
use crate::route::text;

/// Gives the payment that was made.
#[pyfunction]
#[pyo3(signature = (core, amount_usd, principal_id, reason, idempotency_key))]
pub(crate) fn top_up(
    py: Python<'_>,
    core: &Core,
    amount_usd: &str,
    principal_id: Option<Bound<'_, PyAny>>,
    reason: Option<Bound<'_, PyAny>>,
    idempotency_key: Option<Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    core.check_pays_for_nobody(py)?;
    let order = order(py, amount_usd, principal_id, reason, idempotency_key)?;
    core.ask(py, move |client| async move { client.top_up(order).await })
}

#[pyfunction]
#[pyo3(signature = (core, amount_usd, principal_id, reason, idempotency_key))]
pub(crate) fn top_up_async(
    py: Python<'_>,
    core: &Core,
    amount_usd: &str,
    principal_id: Option<Bound<'_, PyAny>>,
    reason: Option<Bound<'_, PyAny>>,
    idempotency_key: Option<Bound<'_, PyAny>>,
) -> PyResult<Pending> {
    core.check_pays_for_nobody(py)?;
    let order = order(py, amount_usd, principal_id, reason, idempotency_key)?;
    core.start(py, move |client| async move { client.top_up(order).await })
}

fn order(
    py: Python<'_>,
    amount_usd: &str,
    principal_id: Option<Bound<'_, PyAny>>,
    reason: Option<Bound<'_, PyAny>>,
    idempotency_key: Option<Bound<'_, PyAny>>,
) -> PyResult<TopUpOrder> {
    // `_payment.py` has seen to it that it is an amount; it may still have more digits than can be kept.
    let amount: Usd = amount_usd.parse().map_err(|why| error::invalid(py, &format!("amount_usd: {why}")))?;
    let mut order = TopUpOrder::new(amount);
    if let Some(given) = principal_id {
        order = order.principal_id(text("principal_id", &given)?);
    }
    if let Some(given) = reason {
        order = order.reason(text("reason", &given)?);
    }
    if let Some(given) = idempotency_key {
        order = order.idempotency_key(text("idempotency_key", &given)?);
    }
    Ok(order)
}
