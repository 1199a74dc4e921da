//! The client: one short method per endpoint. How a call goes is in `call.rs`.

mod bootstrap;
mod builder;
mod execution;
mod options;
mod outcomes;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use serde::Serialize;

pub use self::builder::ClientBuilder;
pub use self::options::Options;
use crate::answer::{Answer, FromAnswer};
use crate::call::encode;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::event::Observer;
use crate::exchange::Exchange;
use crate::key::KeyKind;
use crate::outcome::Reporter;
use crate::payment::{Clock, Ledger, Payers, Payments, SpendPolicy};
use crate::store::Store;
use crate::wire::{BillingStatus, Health, OpenApi, PlatformMetrics, Providers, Route, RouteRequest, Status};

/// A client of the Amply API. Cloning it is cheap; clones share connections and the retry budget.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
/// let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
/// let route = client.route_task("store 1M 1536-dim vectors").await?;
/// println!("use {}: {}", route.recommended, route.why_text().unwrap_or_default());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) exchange: Exchange,
    pub(crate) options: Options,
    /// Whether a missing principal was warned about; shared by all copies.
    pub(crate) has_warned: Arc<AtomicBool>,
    /// Shared by all copies, too.
    pub(crate) is_closed: Arc<AtomicBool>,
    pub(crate) observer: Observer,
    pub(crate) store: Store,
    /// Who pays; `None` where nobody may.
    pub(crate) payers: Option<Arc<Payers>>,
    /// What may be spent, where that was said.
    pub(crate) policy: Option<Arc<SpendPolicy>>,
    /// Where reports of outcomes go.
    pub(crate) reporter: Reporter,
}

impl Client {
    /// Starts to set up a client. The environment is not read unless asked for.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client set up by the environment; see [`env`](crate::env) for the variables.
    ///
    /// # Errors
    /// [`Error::Config`] with the variable that is wrong.
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env().build()
    }

    /// A copy with other settings for some calls. It shares connections and the retry budget.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let client = amply_sdk::Client::builder().base_url("http://127.0.0.1:9").build()?;
    /// let quick = client.with_options(|options| options.timeout(Duration::from_secs(2)));
    /// # Ok::<(), amply_sdk::Error>(())
    /// ```
    #[must_use]
    pub fn with_options(&self, change: impl FnOnce(Options) -> Options) -> Self {
        Self { options: change(self.options.clone()), ..self.clone() }
    }

    /// A copy with connections of its own, for use on another runtime: a connection is served by the runtime that opened it,
    /// and stands still when that one does. All else is shared, the retry budget and the payments too.
    ///
    /// Only a program with more than one runtime needs it, such as one that drives a runtime on each of its threads.
    ///
    /// ```
    /// # let client = amply_sdk::Client::builder().base_url("http://127.0.0.1:9").build()?;
    /// let for_another_runtime = client.apart()?;
    /// # Ok::<(), amply_sdk::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] when the connections cannot be set up, as in [`ClientBuilder::build`].
    pub fn apart(&self) -> Result<Self, Error> {
        Ok(Self { exchange: self.exchange.beside()?, ..self.clone() })
    }

    /// The base URL in use, without a trailing slash.
    pub fn base_url(&self) -> &str {
        self.exchange.transport().base().as_str()
    }

    /// What the form of the key says about it; `None` without a key.
    pub fn key_kind(&self) -> Option<KeyKind> {
        self.exchange.key_kind()
    }

    /// Asks which provider should run a task and returns the ranked answer (`POST /route`).
    ///
    /// One call may debit the wallet once. It is sent again only after a failure that cannot have had an effect; see
    /// [`RetryPolicy`](crate::RetryPolicy). With a [`Payer`](crate::Payer), a 402 is paid within the
    /// [`SpendPolicy`](crate::SpendPolicy), once, and the same request is sent again.
    ///
    /// # Errors
    /// [`Error::Invalid`] before anything is sent; [`Error::PaymentRequired`] when the wallet does not cover the
    /// call and nobody may pay; the errors of payments when somebody may; [`Error::PrincipalNotBound`] under [`PrincipalPolicy::Require`](crate::PrincipalPolicy::Require), with the
    /// answer inside it; else by the table of [`Error`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use amply_sdk::RouteRequest;
    ///
    /// let route = client.route_task(RouteRequest::new("store 5M embeddings").dimension(768)).await?;
    /// for place in route.rankings() {
    ///     println!("{}: {}", place.provider_id, place.score.unwrap_or_default());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn route_task(&self, request: impl Into<RouteRequest>) -> Result<Answer<Route>, Error> {
        self.route(&request.into()).await
    }

    /// How the providers are, by the server's probes (`GET /health`). It needs a key.
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// By the table of [`Error`]; [`Error::Unsupported`] on a server before release 3.1.13.
    pub async fn health(&self) -> Result<Answer<Health>, Error> {
        self.get(&Endpoint::HEALTH).await
    }

    /// How the server is set up and how it is (`GET /status`).
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// By the table of [`Error`].
    pub async fn status(&self) -> Result<Answer<Status>, Error> {
        self.get(&Endpoint::STATUS).await
    }

    /// The providers that the server ranks (`GET /providers`).
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// By the table of [`Error`].
    pub async fn providers(&self) -> Result<Answer<Providers>, Error> {
        self.get(&Endpoint::PROVIDERS).await
    }

    /// The server's own description of what it serves (`GET /openapi`).
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// By the table of [`Error`].
    pub async fn openapi(&self) -> Result<Answer<OpenApi>, Error> {
        self.get(&Endpoint::OPENAPI).await
    }

    /// Public totals of the whole platform (`GET /platform-metrics`).
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// By the table of [`Error`].
    pub async fn platform_metrics(&self) -> Result<Answer<PlatformMetrics>, Error> {
        self.get(&Endpoint::PLATFORM_METRICS).await
    }

    /// What the wallet of this key's principal holds (`GET /billing/status`). It needs a key that is bound to a user.
    ///
    /// Billing is not a guaranteed v1 contract of the API.
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// By the table of [`Error`]; [`Error::Unsupported`] on a server before release 3.1.13.
    pub async fn billing_status(&self) -> Result<Answer<BillingStatus>, Error> {
        self.get(&Endpoint::BILLING_STATUS).await
    }

    /// The payments in this client's store: what was paid, and what may have been.
    pub fn payments(&self) -> Payments {
        let ledger = self.payers.as_ref().map(|payers| payers.ledger.clone());
        Payments::new(ledger.unwrap_or_else(|| Ledger::new(self.store.clone(), Clock::System)))
    }

    /// Whether a payment is being made right now, for any call of this client or its copies: from when it is in the ledger
    /// until what came of it is.
    pub fn is_paying(&self) -> bool {
        self.payers.as_ref().is_some_and(|payers| payers.is_paying())
    }

    /// Whether reports of this client or its copies would be lost if the process ended now: those that are in no file, and
    /// not delivered yet. [`close`](Self::close) waits for them.
    ///
    /// ```
    /// # let client = amply_sdk::Client::builder().base_url("http://127.0.0.1:9").build()?;
    /// assert!(!client.is_reporting());
    /// # Ok::<(), amply_sdk::Error>(())
    /// ```
    pub fn is_reporting(&self) -> bool {
        self.reporter.shared().is_at_work()
    }

    /// Takes no more calls, delivers the reports that wait until `limit`, and waits for what must not be broken off: a payment
    /// that runs is waited for until its own limit, however short `limit` is. Copies of this client are closed with it.
    ///
    /// What is not delivered by then stays in a store that is a file; from memory it is lost, which is counted
    /// ([`OutcomeCounters::dropped`](crate::OutcomeCounters::dropped)) and told.
    pub async fn close(&self, limit: Duration) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.reporter.close(limit).await;
        if let Some(payers) = &self.payers {
            payers.until_paid().await;
        }
    }

    /// Any other call, authenticated: a path below the base URL, an optional JSON body, and any type to read the
    /// answer as. An empty answer reads as JSON `null`.
    ///
    /// Take an [`Answer`] of the type where the status and the headers matter. A method other than `GET`, `HEAD` and
    /// `OPTIONS` is never sent again once the server can have seen it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path that leads elsewhere; else by the table of [`Error`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).build()?;
    /// use amply_sdk::{Answer, Method};
    /// use serde_json::Value;
    ///
    /// let status: Value = client.request(Method::GET, "/status", None::<&Value>).await?;
    /// let whole: Answer<Value> = client.request(Method::GET, "/status", None::<&Value>).await?;
    /// assert_eq!(whole["ok"], status["ok"]);
    /// assert_eq!(whole.meta().attempts(), 1);
    /// # Ok(()) }
    /// ```
    pub async fn request<T, B>(&self, method: Method, path: &str, body: Option<&B>) -> Result<T, Error>
    where
        T: FromAnswer,
        B: Serialize + ?Sized,
    {
        let body = body.map(encode).transpose()?;
        self.raw(method, path, body).await.map(T::from_answer)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url())
            .field("key_kind", &self.key_kind())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
