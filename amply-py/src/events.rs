//! What the SDK tells while it works, handed to the `on_event` of a client.

use std::sync::Arc;

use amply_sdk::{Event, Refusal, Usd};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::aside::{self, Observed};

/// Tells an observer, a `_Teller` of `_events.py`, and waits for it; but not for one that goes on and on.
pub(crate) fn tell(observer: &Arc<Py<PyAny>>, event: &Event) {
    let (observer, event) = (Arc::clone(observer), event.clone());
    aside::tell(move || {
        let (observed, wait) = Observed::new();
        // When the interpreter ends nobody listens.
        let told = Python::try_attach(|py| {
            let told = made(py, &event).and_then(|event| observer.call1(py, (event, observed)));
            if let Err(error) = told {
                error.write_unraisable(py, Some(observer.bind(py)));
            }
        });
        if told.is_some() {
            wait();
        }
    });
}

fn made<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let fields = PyDict::new(py);
    let usd = |amount: &Usd| amount.to_string();
    let kind = match event {
        Event::PaymentIntended { payment_id, rail, amount, .. } => {
            fields.set_item("rail", rail.as_str())?;
            fields.set_item("payment_id", payment_id)?;
            fields.set_item("amount_usd", usd(amount))?;
            "payment_intended"
        }
        Event::PaymentSettled { payment_id, rail, amount, credited, .. } => {
            fields.set_item("rail", rail.as_str())?;
            fields.set_item("payment_id", payment_id)?;
            fields.set_item("amount_usd", usd(amount))?;
            fields.set_item("credited_usd", credited.as_ref().map(usd))?;
            "payment_settled"
        }
        Event::PaymentRejected { payment_id, rail, reason, .. } => {
            fields.set_item("rail", rail.as_str())?;
            fields.set_item("payment_id", payment_id)?;
            fields.set_item("reason", reason)?;
            "payment_rejected"
        }
        Event::PaymentRefused { reasons, .. } => {
            fields.set_item("reasons", reasons.iter().map(Refusal::code).collect::<Vec<_>>())?;
            "payment_refused"
        }
        Event::PaymentUnknown { payment_id, rail, reason, .. } => {
            fields.set_item("rail", rail.as_str())?;
            fields.set_item("payment_id", payment_id)?;
            fields.set_item("reason", reason)?;
            "payment_unknown"
        }
        Event::PaymentNotApplied { payment_id, rail, .. } => {
            fields.set_item("rail", rail.as_str())?;
            fields.set_item("payment_id", payment_id)?;
            "payment_not_applied"
        }
        Event::CapReached { cap, limit, .. } => {
            fields.set_item("cap", cap.as_str())?;
            fields.set_item("limit_usd", usd(limit))?;
            "cap_reached"
        }
        Event::StoreCreated { path, .. } => {
            fields.set_item("path", path)?;
            "store_created"
        }
        Event::PrincipalMissing => "principal_missing",
        Event::OutcomeUnreported { route_id, .. } => {
            fields.set_item("route_id", route_id)?;
            "outcome_unreported"
        }
        Event::OutcomeDead { route_id, reason, .. } => {
            fields.set_item("route_id", route_id)?;
            fields.set_item("reason", reason)?;
            "outcome_dead"
        }
        Event::OutcomesLost { count, .. } => {
            fields.set_item("count", count)?;
            "outcomes_lost"
        }
        Event::OutboxFailed { reason, .. } => {
            fields.set_item("reason", reason)?;
            "outbox_failed"
        }
        // One that this version of the bindings has no words for.
        other => {
            fields.set_item("reason", format!("{other:?}"))?;
            "other"
        }
    };
    MAKE.import(py, "amply_sdk._events", "_made")?.call1((kind, fields))
}
