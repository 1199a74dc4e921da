//! What anybody may ask a server: how to begin, how it is, whom it ranks, what it serves, what a wallet holds.

use pyo3::prelude::*;

use crate::answer::Plain;
use crate::core::Core;
use crate::desk::Pending;

macro_rules! verbs {
    ($($verb:ident, $verb_async:ident);+) => {$(
        #[pyfunction]
        pub(crate) fn $verb(py: Python<'_>, core: &Core) -> PyResult<Py<PyAny>> {
            core.ask(py, |client| async move { client.$verb().await.map(Plain::from) })
        }

        #[pyfunction]
        pub(crate) fn $verb_async(py: Python<'_>, core: &Core) -> PyResult<Pending> {
            core.start(py, |client| async move { client.$verb().await.map(Plain::from) })
        }
    )+};
}

verbs!(
    agent, agent_async;
    status, status_async;
    providers, providers_async;
    health, health_async;
    openapi, openapi_async;
    platform_metrics, platform_metrics_async;
    billing_status, billing_status_async
);
