//! The official client of the Amply API, which answers one question for agents: *which provider should run this
//! task?*
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
//! # let (url, key) = (sandbox.url(), sandbox.user_key());
//! // `Client::from_env()` reads AMPLY_API_KEY and AMPLY_BASE_URL instead.
//! let client = amply_sdk::Client::builder().base_url(url).api_key(key).build()?;
//!
//! let route = client.route_task("store 1M 1536-dim vectors with metadata filters").await?;
//! assert_eq!(route.recommended, "qdrant");
//! println!("{:?} USD, request {:?}", route.estimated_cost_usd, route.meta().request_id());
//! # Ok(()) }
//! ```
//!
//! A call that may cost money is sent again only when the server cannot have seen it ([`RetryPolicy`]); an answer
//! keeps every field that came, known or not ([`Answer`]); an error is one enum with stable codes ([`Error`]).
//!
//! # Pay, then retry
//!
//! A route that the prepaid wallet does not cover is answered 402. With a [`Payer`] and a [`SpendPolicy`] the client has the
//! wallet topped up and sends the same request again; without both it never pays anything.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = amply_sandbox::Sandbox::builder().balance("0").strict_wallet(true).start().await?;
//! # let (url, key) = (sandbox.url(), sandbox.user_key());
//! # let (service_url, token) = (sandbox.topup_url(), sandbox.topup_token());
//! use amply_sdk::{Client, SpendPolicy, TopUpService, Usd};
//!
//! let client = Client::builder()
//!     .base_url(url)
//!     .api_key(key)
//!     .wallet_payer(TopUpService::new(service_url)?.token(token)?)
//!     // Or a `store` in a file, for caps that outlive the process.
//!     .spend_policy(SpendPolicy::per_topup(Usd::dollars(1)).per_day(Usd::dollars(5)).per_process_only())
//!     .build()?;
//!
//! let route = client.route_task("store 1M 1536-dim vectors with metadata filters").await?;
//! assert_eq!(route.meta().paid_usd(), Some("0.01".parse()?));
//! assert_eq!(client.payments().list().await?.len(), 1);
//! # Ok(()) }
//! ```
//!
//! A payment is in the ledger ([`Store`], [`Payments`]) before anybody is asked for money. A call leads one at most, a wallet
//! has one open at a time, and one whose result is not known is never made anew.
//!
//! A 402 of the open x402 protocol is paid with the feature `x402-evm`: [`ClientBuilder`]'s `x402` takes a signer and the
//! networks to pay on, and the policy a cap for a request. A signature is made for one request, in USDC, after every rule was
//! checked; a call has one signature, ever, and the answer that it paid for is kept in the ledger for a day.
//!
//! # Report how it went
//!
//! Rankings get better when real results flow back. A tracked route has the report bound to it:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
//! # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
//! use std::time::Duration;
//!
//! let tracked = client.route_task_tracked("store 1M vectors").await?;
//! let stored = tracked.run(|provider| async move { Ok::<_, std::io::Error>(format!("stored at {provider}")) }).await?;
//! client.close(Duration::from_secs(5)).await;
//! assert_eq!((stored.as_str(), client.outbox().counters().delivered), ("stored at qdrant", 1));
//! # Ok(()) }
//! ```
//!
//! [`TrackedRoute`] has every other way: at once, in memory without waiting, committed to the store so that it survives a kill, or
//! by another process with a [`Ticket`]. A route is reported once; a server that is down is waited for; what is refused is
//! kept in the [`Outbox`] with the reason, and what is lost is counted.
//!
//! # Look before you pay
//!
//! [`Client::plan`] says what a route would send, with which kind of key, who would pay and what the caps leave; it sends
//! nothing. [`Route::explain`] says how the scores were made, and what each provider that lost would need to win.
//!
//! # From nothing to a key
//!
//! An agent that has no key yet reads the manifest, accepts the terms, and signs up; the key is shown by one method alone.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let sandbox = amply_sandbox::Sandbox::builder().agent_signup(true).start().await?;
//! # let url = sandbox.url();
//! use amply_sdk::{Binding, Client, Signup};
//!
//! let nobody = Client::builder().base_url(url).build()?;
//! let manifest = nobody.agent().await?;
//! assert_eq!(manifest.next_step(["discover", "health", "schema"]).map(|step| &*step.id), Some("credential"));
//!
//! let account = nobody.signup(Signup::accepting("2026-11-01")).await?;
//! let client = Client::builder().base_url(url).api_key(account.api_key.expose()).build()?;
//! assert_eq!(client.route_task("store 1M vectors").await?.principal().binding, Binding::Bound);
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `durable` | `Store::open`: a store in a file, which all processes of a machine share: the ledger, and reports that survive |
//! | `operator` | `AdminTopUp` and `Client::top_up`: tops up wallets with the admin secret, within the caps and by the ledger. For operators; agents ask a [`TopUpService`] |
//! | `x402-evm` | `ClientBuilder::x402`: pays a 402 of the open x402 protocol, versions 1 and 2, in USDC on Base, Avalanche or Polygon; `LocalSigner`, `RemoteSigner`, `Network` |

#![forbid(unsafe_code)]

mod answer;
mod background;
mod base_url;
mod call;
mod client;
mod contract;
mod credentials;
mod drift;
mod endpoint;
pub mod env;
mod error;
mod event;
mod exchange;
mod explain;
mod key;
mod meta;
mod money;
mod outcome;
mod payment;
mod plan;
mod principal;
mod retry;
mod secret;
mod store;
mod text;
mod tls;
mod transport;
mod wire;

pub use answer::{Answer, FromAnswer};
pub use client::{Client, ClientBuilder, Options};
pub use credentials::{Credentials, NewCredential, RemovedCredential};
pub use drift::{Drift, DriftKind, DriftPlace};
pub use error::{Error, Failure};
pub use event::Event;
pub use explain::{Change, Contribution, Explained, Explanation, ToWin};
pub use http::{HeaderMap, Method, StatusCode};
pub use key::{KeyKind, NewKey};
pub use meta::Meta;
pub use money::{ParseUsdError, Usd};
pub use outcome::{
    Flushed, HandedOver, Outbox, OutboxEntry, Outcome, OutcomeCounters, ReportFuture, Reported, Ticket,
    TrackedRoute,
};
#[cfg(feature = "operator")]
pub use payment::wallet::operator::{AdminTopUp, TopUpOrder};
#[cfg(feature = "x402-evm")]
pub use payment::x402::{
    eip712::{Address, ParseAddressError},
    network::{Asset, Network, ParseNetworkError},
    signer::{LocalSigner, RemoteSigner, SignError, SignFuture, Signer},
};
pub use payment::{
    Cap, OpenPayment, PaidAnswer, PaidCall, Payer, Payment, PaymentChallenge, PaymentProblem, PaymentState,
    Payments, Rail, Receipt, Refusal, SpendPolicy, TopUp, TopUpFuture, TopUpRequest, TopUpService, Verdict,
};
pub use plan::{Plan, PlannedCap, PlannedPayment, PlannedPrincipal, PlannedRail, PlannedRetry};
pub use principal::{Binding, PrincipalBinding, PrincipalPolicy};
pub use retry::RetryPolicy;
pub use rust_decimal::Decimal;
pub use store::Store;
pub use text::printable;
pub use wire::{
    AddedCredential, AgentManifest, AgentSignup, AgentStep, AgentWorkflow, AgentX402, Audit, AuditProof,
    AuditedOutcome, AuditedRoute, AuthMode, BillingStatus, CategoryDecisions, Commercial, Components,
    Credential, CredentialList, DataMode, Diagnostics, ExecuteRequest, Execution, ExecutionStatus, Extra,
    FilterComplexity, Health, HealthState, MachineStep, NewAccount, OpenApi, Operation, OutcomeReceipt,
    Period, PlatformMetrics, PrincipalBindingPolicy, Provider, ProviderHealth, ProviderMetrics, Providers,
    Quickstart, Ranking, RateLimit, RawJson, RawMetrics, RemovalReceipt, Route, RouteRequest, RuledOut,
    SavingsReport, SavingsTotals, Signup, Status, Target, WorkloadType,
};
