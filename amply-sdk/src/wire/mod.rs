//! What is sent and what comes back, one file per endpoint family.
//!
//! Requests are closed: a value that the server would refuse is refused here. Answers are open: every field but one
//! may be missing, new, or of another type; what a type has no field for stays in its `extra`, and the whole text
//! stays in [`Answer`](crate::Answer).

mod agent;
mod audit;
mod billing;
mod credentials;
mod error_body;
mod execute_request;
mod execution;
mod fields;
mod health;
mod json;
mod openapi;
mod outcome;
mod platform_metrics;
mod providers;
mod ranking;
mod route;
mod route_request;
mod savings;
mod shape;
mod signup;
mod status;

pub use agent::{
    AgentManifest, AgentSignup, AgentStep, AgentWorkflow, AgentX402, Commercial, MachineStep,
    PrincipalBindingPolicy,
};
pub use audit::{Audit, AuditProof, AuditedOutcome, AuditedRoute};
pub use billing::BillingStatus;
pub(crate) use credentials::CredentialBody;
pub use credentials::{AddedCredential, Credential, CredentialList, RemovalReceipt};
pub(crate) use error_body::ErrorBody;
pub use execute_request::{ExecuteRequest, Target};
pub use execution::{Execution, ExecutionStatus};
pub(crate) use fields::{Fields, FromFields, check_depth, raw_fields, text_of};
pub use health::{Health, HealthState, ProviderHealth};
#[cfg(feature = "x402-evm")]
pub(crate) use json::First;
#[cfg(test)]
pub(crate) use json::raw;
pub use json::{Extra, RawJson};
pub(crate) use json::{FromJson, exact_usd, read};
pub use openapi::{OpenApi, Operation};
pub use outcome::OutcomeReceipt;
pub(crate) use outcome::{OutcomeBody, RouteOutcomeBody};
pub use platform_metrics::{CategoryDecisions, PlatformMetrics};
pub use providers::{Provider, Providers};
pub use ranking::{Components, ProviderMetrics, Ranking, RawMetrics};
pub(crate) use route::Integration;
pub use route::{Route, RuledOut};
#[cfg(feature = "operator")]
pub(crate) use route_request::check_key;
pub use route_request::{FilterComplexity, RouteRequest, WorkloadType};
pub(crate) use savings::SavingsQuery;
pub use savings::{Period, SavingsReport, SavingsTotals};
pub(crate) use shape::Shape;
pub(crate) use signup::SignupBody;
pub use signup::{NewAccount, Quickstart, Signup};
pub use status::{AuthMode, DataMode, Diagnostics, RateLimit, Status};

fields::deserialize_by_fields!(
    AddedCredential,
    AgentManifest,
    Audit,
    BillingStatus,
    CredentialList,
    Execution,
    Health,
    OpenApi,
    OutcomeReceipt,
    PlatformMetrics,
    Providers,
    RemovalReceipt,
    Route,
    SavingsReport,
    Status
);
