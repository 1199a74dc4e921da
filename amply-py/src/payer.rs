//! Payers and signers that are Python: asked on a thread of their own, since nobody knows how long they take.
//!
//! What a callable does is read in `_payment.py`. Here only this is decided: what is not clearly a yes or a no is unknown.

use std::sync::{Arc, PoisonError};

use amply_sdk::{Receipt, SignError, TopUp, TopUpRequest, Usd};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::aside;
use crate::settings::EventLoop;

/// A callable, and the loop on which its coroutine runs if it gives one.
#[derive(Clone)]
pub(crate) struct Asked {
    callable: Arc<Py<PyAny>>,
    event_loop: EventLoop,
}

impl Asked {
    pub(crate) fn new(callable: Arc<Py<PyAny>>, event_loop: EventLoop) -> Self {
        Self { callable, event_loop }
    }

    fn event_loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let kept = self.event_loop.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map(|event_loop| event_loop.clone_ref(py))
    }
}

/// Asks a payer.
pub(crate) async fn top_up(asked: Asked, request: TopUpRequest) -> TopUp {
    let arguments = move |py: Python<'_>| {
        let fields = PyDict::new(py);
        fields.set_item("amount_usd", request.amount_usd.to_string())?;
        fields.set_item("principal_id", &request.principal_id)?;
        fields.set_item("idempotency_key", &request.idempotency_key)?;
        fields.set_item("reason", &request.reason)?;
        fields.set_item("base_url", &request.base_url)?;
        fields.set_item("suggested_usd", request.suggested_usd.map(|amount| amount.to_string()))?;
        let arguments = (&*asked.callable, fields, asked.event_loop(py)).into_pyobject(py)?;
        Ok(arguments.into_any().unbind())
    };
    let read = |said: &Bound<'_, PyAny>| Ok(read(said.extract()?));
    match aside::ask("amply-payer", "_ask_payer", arguments, read).await {
        Some(Ok(said)) => said,
        Some(Err(error)) => TopUp::Unknown(error),
        None => TopUp::Unknown("the payer ended without an answer".to_owned()),
    }
}

/// Asks a signer.
pub(crate) async fn sign(asked: Asked, digest: [u8; 32]) -> Result<[u8; 65], SignError> {
    let arguments = move |py: Python<'_>| {
        let digest = PyBytes::new(py, &digest);
        let arguments = (&*asked.callable, digest, asked.event_loop(py)).into_pyobject(py)?;
        Ok(arguments.into_any().unbind())
    };
    let read = |said: &Bound<'_, PyAny>| said.extract::<Vec<u8>>();
    match aside::ask("amply-signer", "_ask_signer", arguments, read).await {
        Some(Ok(signature)) => signature.try_into().map_err(|_| SignError::Malformed),
        Some(Err(error)) => Err(SignError::Failed(error)),
        None => Err(SignError::Failed("it ended without an answer".to_owned())),
    }
}

fn read(said: Said) -> TopUp {
    match said {
        Said::Settled { credited_usd, balance_usd, topup_id } => match credited_usd.parse::<Usd>() {
            Ok(credited) if credited.is_positive() => {
                let mut receipt = Receipt::new(credited);
                receipt.balance_usd = balance_usd.and_then(|balance| balance.parse().ok());
                receipt.topup_id = topup_id;
                TopUp::Settled(receipt)
            }
            _ => TopUp::Unknown("the payer's receipt has no amount above 0".to_owned()),
        },
        Said::Rejected { rejected } => TopUp::Rejected(rejected),
        Said::Unknown { unknown } => TopUp::Unknown(unknown),
    }
}

/// What `_ask_payer` gives back.
#[derive(FromPyObject)]
enum Said {
    Settled {
        #[pyo3(item)]
        credited_usd: String,
        #[pyo3(item)]
        balance_usd: Option<String>,
        #[pyo3(item)]
        topup_id: Option<String>,
    },
    Rejected {
        #[pyo3(item)]
        rejected: String,
    },
    Unknown {
        #[pyo3(item)]
        unknown: String,
    },
}
