//! The native half of the Python package `amply_sdk`: it converts, and everything that is logic is in `amply-sdk`.
//!
//! A file per verb has the call for both faces side by side, for `Client` and for `AsyncClient`. `core` is what both have
//! inside, `lane` drives the calls of the first, `desk` those of the second.

mod answer;
mod aside;
mod bootstrap;
mod core;
mod credentials;
mod desk;
mod error;
mod events;
mod execute;
mod get;
mod json;
mod lane;
mod log;
mod outcome;
mod payer;
mod payments;
mod plan;
mod request;
mod route;
mod sandbox;
mod savings;
mod settings;
mod top_up;

/// A call takes a hundred pieces of memory, some of kilobytes, and gives many of them back on another thread than the one that
/// took them; that costs the system's allocator an eighth of the call. Without huge pages, which would hold 6 MB more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What `amply_sdk` is made of. Its names are for that package alone.
#[pyo3::pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use crate::answer::{Source, read_route};
    #[pymodule_export]
    use crate::aside::{Answered, Observed, observing};
    #[pymodule_export]
    use crate::bootstrap::{read_steps, signup, signup_async};
    #[pymodule_export]
    use crate::core::{Core, end};
    #[pymodule_export]
    use crate::credentials::{
        credentials_add, credentials_add_async, credentials_list, credentials_list_async, credentials_remove,
        credentials_remove_async,
    };
    #[pymodule_export]
    use crate::desk::Pending;
    #[pymodule_export]
    use crate::execute::{execute, execute_async};
    #[pymodule_export]
    use crate::get::{
        agent, agent_async, billing_status, billing_status_async, health, health_async, openapi,
        openapi_async, platform_metrics, platform_metrics_async, providers, providers_async, status,
        status_async,
    };
    #[pymodule_export]
    use crate::outcome::{
        Tracked, audit, audit_async, outbox_counters, outbox_discard, outbox_discard_async, outbox_flush,
        outbox_flush_async, outbox_list, outbox_list_async, outbox_retry, outbox_retry_async, outbox_waiting,
        outbox_waiting_async, report, report_async, report_durable, report_durable_async,
        report_in_background, report_settled, report_settled_async, route_task_tracked,
        route_task_tracked_async, ticket,
    };
    #[pymodule_export]
    use crate::payments::{
        payments_answer, payments_answer_async, payments_blocked, payments_blocked_async, payments_list,
        payments_list_async, payments_resolve, payments_resolve_async, payments_show, payments_show_async,
        payments_unblock, payments_unblock_async,
    };
    #[pymodule_export]
    use crate::plan::{explain_route, plan, plan_async};
    #[pymodule_export]
    use crate::request::{request, request_async};
    #[pymodule_export]
    use crate::route::{route_task, route_task_async};
    #[pymodule_export]
    use crate::sandbox::Server;
    #[pymodule_export]
    use crate::savings::{savings_report, savings_report_async};
    #[pymodule_export]
    use crate::top_up::{top_up, top_up_async};

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the name that Python has for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
