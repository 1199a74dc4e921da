//! The ledger of payments: list, show, answer, resolve, blocked, unblock.

use amply_sdk::{Error, PaidAnswer, Verdict};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::answer::ToPython;
use crate::core::Core;
use crate::desk::Pending;
use crate::error;

macro_rules! verbs {
    ($($verb:ident, $verb_async:ident, ($($argument:ident: $of:ty),*), |$payments:ident| $work:expr);+) => {$(
        #[pyfunction]
        pub(crate) fn $verb(py: Python<'_>, core: &Core, $($argument: $of),*) -> PyResult<Py<PyAny>> {
            $(let $argument = checked(py, $argument)?;)*
            core.ask(py, move |client| async move { let $payments = client.payments(); $work })
        }

        #[pyfunction]
        pub(crate) fn $verb_async(py: Python<'_>, core: &Core, $($argument: $of),*) -> PyResult<Pending> {
            $(let $argument = checked(py, $argument)?;)*
            core.start(py, move |client| async move { let $payments = client.payments(); $work })
        }
    )+};
}

verbs!(
    payments_list, payments_list_async, (), |payments| payments.list().await;
    payments_show, payments_show_async, (id: String), |payments| payments.show(&id).await;
    payments_answer, payments_answer_async, (id: String), |payments| payments.answer(&id).await;
    payments_resolve, payments_resolve_async, (id: String, verdict: Said), |payments| payments.resolve(&id, verdict).await;
    payments_blocked, payments_blocked_async, (), |payments| payments.blocked().await;
    payments_unblock, payments_unblock_async, (), |payments| payments.unblock().await
);

/// An argument of Python as the SDK takes it.
trait Checked {
    type To;
    fn check(self) -> Result<Self::To, Error>;
}

impl Checked for String {
    type To = String;
    fn check(self) -> Result<String, Error> {
        Ok(self)
    }
}

/// A verdict in words.
#[derive(FromPyObject)]
pub(crate) struct Said(String);

impl Checked for Said {
    type To = Verdict;
    fn check(self) -> Result<Verdict, Error> {
        self.0.parse()
    }
}

fn checked<T: Checked>(py: Python<'_>, argument: T) -> PyResult<T::To> {
    argument.check().map_err(|error| error::raised(py, error))
}

/// The status, the headers and the body of an answer that was paid for.
impl ToPython for Option<PaidAnswer> {
    fn to_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Some(answer) = self else { return Ok(py.None()) };
        let body = PyBytes::new(py, &answer.body);
        Ok((answer.status, answer.headers, body).into_pyobject(py)?.into_any().unbind())
    }
}
