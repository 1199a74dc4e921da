//! The client's methods for how routes went.

use std::time::Duration;

use reqwest::Url;
use tokio::time::timeout;

use super::Client;
use crate::answer::Answer;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::outcome::{
    Bound, HandedOver, Outbox, Outcome, Reported, Ticket, TrackedRoute, check_id, deliver, endpoint,
};
use crate::store::outbox::LetterState;
use crate::wire::{Audit, Route, RouteRequest};

/// How long a report that is made at once waits to learn whether the route was reported before.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

impl Client {
    /// As [`route_task`](Self::route_task), together with the means to report how it went.
    ///
    /// # Errors
    /// As [`route_task`](Self::route_task).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use amply_sdk::Outcome;
    ///
    /// let tracked = client.route_task_tracked("store 1M vectors").await?;
    /// assert_eq!(tracked.recommended, "qdrant");
    /// tracked.report_outcome(Outcome::success()).await?;
    /// # Ok(()) }
    /// ```
    pub async fn route_task_tracked(&self, request: impl Into<RouteRequest>) -> Result<TrackedRoute, Error> {
        Ok(self.track(self.route(&request.into()).await?))
    }

    /// Adds the means to report to a route that this client asked for by [`route_task`](Self::route_task).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use amply_sdk::Outcome;
    ///
    /// let route = client.route_task("store 1M vectors").await?;
    /// let reported = client.track(route).report_outcome(Outcome::success()).await?;
    /// assert_eq!(reported.credits_awarded(), Some(1));
    /// # Ok(()) }
    /// ```
    pub fn track(&self, route: Answer<Route>) -> TrackedRoute {
        TrackedRoute::new(self.clone(), route)
    }

    /// Reports how a route went that another process asked for, now, and waits for the server's answer (`POST /outcome`, on an
    /// older server `POST /route/outcome`).
    ///
    /// Where the ticket's clock was started and the outcome has no latency, the time since is told.
    ///
    /// It may be sent again after any failure: the server counts a route once.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the ticket is of another server or another key, or the outcome cannot be right; else by the table
    /// of [`Error`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use amply_sdk::Outcome;
    ///
    /// let ticket = client.route_task_tracked("store 1M vectors").await?.ticket()?;
    /// let reported = client.report(&ticket.started(), Outcome::success()).await?;
    /// assert_eq!(reported.credits_awarded(), Some(1));
    /// # Ok(()) }
    /// ```
    pub async fn report(&self, ticket: &Ticket, outcome: Outcome) -> Result<Reported, Error> {
        let outcome = self.of_ticket(ticket, outcome)?;
        self.report_now(ticket.bound(), outcome).await
    }

    /// As [`report`](Self::report), handed over in memory: it never waits.
    ///
    /// # Errors
    /// [`Error::Invalid`] as there; [`Error::QueueFull`] when too many wait already.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use amply_sdk::{HandedOver, Outcome};
    ///
    /// let ticket = client.route_task_tracked("store 1M vectors").await?.ticket()?;
    /// assert_eq!(client.report_in_background(&ticket, Outcome::timeout())?, HandedOver::Accepted);
    /// # Ok(()) }
    /// ```
    pub fn report_in_background(&self, ticket: &Ticket, outcome: Outcome) -> Result<HandedOver, Error> {
        let outcome = self.of_ticket(ticket, outcome)?;
        self.reporter.hand_over(ticket.bound().clone(), outcome)
    }

    /// As [`report`](Self::report), committed to the store: it is delivered at least once, whatever becomes of this process.
    ///
    /// # Errors
    /// [`Error::Invalid`] as there; [`Error::Config`] without a store in a file, [`Error::Store`] when it cannot be written,
    /// [`Error::QueueFull`] when it holds as many as it may.
    ///
    /// ```
    /// # #[cfg(feature = "durable")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let folder = std::env::temp_dir().join(format!("amply-doc-client-{}", std::process::id()));
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key())
    /// #     .store(amply_sdk::Store::open(folder.join("store.db"))?).build()?;
    /// use amply_sdk::{HandedOver, Outcome};
    ///
    /// let ticket = client.route_task_tracked("store 1M vectors").await?.ticket()?;
    /// assert_eq!(client.report_durable(&ticket, Outcome::success()).await?, HandedOver::Accepted);
    /// # drop(client);
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok(()) }
    /// # #[cfg(not(feature = "durable"))]
    /// # fn main() {}
    /// ```
    pub async fn report_durable(&self, ticket: &Ticket, outcome: Outcome) -> Result<HandedOver, Error> {
        let outcome = self.of_ticket(ticket, outcome)?;
        self.reporter.commit(ticket.bound(), &outcome, self.options.timeout).await
    }

    /// A ticket for a route whose id is known and nothing else. A server of an older release wants to know the provider too.
    ///
    /// # Errors
    /// [`Error::Invalid`] when one of them cannot be an id.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use amply_sdk::Outcome;
    ///
    /// let route = client.route_task("store 1M vectors").await?;
    /// let ticket = client.ticket(route.route_id.as_deref().unwrap_or_default(), Some(&route.recommended))?;
    /// client.report(&ticket, Outcome::success()).await?;
    /// assert!(client.ticket("not an id", None).is_err());
    /// # Ok(()) }
    /// ```
    pub fn ticket(&self, route_id: &str, provider_id: Option<&str>) -> Result<Ticket, Error> {
        check_id("route_id", route_id)?;
        if let Some(provider_id) = provider_id {
            check_id("provider_id", provider_id)?;
        }
        Ok(Ticket::new(std::sync::Arc::new(Bound {
            route_id: route_id.to_owned(),
            provider_id: provider_id.map(str::to_owned),
            endpoint: None,
            base_url: self.reporter.shared().sender.base_url.clone(),
            principal: self.reporter.shared().sender.principal.clone(),
        })))
    }

    /// The reports that wait to be delivered, and what became of the others.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// let outbox = client.outbox();
    /// assert!(outbox.list().await?.is_empty());
    /// assert_eq!(outbox.counters().delivered, 0);
    /// # Ok(()) }
    /// ```
    pub fn outbox(&self) -> Outbox {
        Outbox(self.reporter.clone())
    }

    /// What the server knows of a route of this key's principal, with a proof (`GET /route/audit`). It needs a key that is bound
    /// to a user.
    ///
    /// It only reads: it may be sent again after any failure.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such route, or it is another's; else by the table of [`Error`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// let route = client.route_task("store 1M vectors").await?;
    /// let audit = client.audit(route.route_id.as_deref().unwrap_or_default()).await?;
    /// assert!(audit.proof.as_ref().is_some_and(|proof| proof.hash.is_some()));
    /// # Ok(()) }
    /// ```
    pub async fn audit(&self, route_id: &str) -> Result<Answer<Audit>, Error> {
        check_id("route_id", route_id)?;
        // Encoded by what encodes URLs, so that an id with an `&` in it asks for nothing else.
        let query = Url::parse_with_params("http://localhost/", [("request_id", route_id)])
            .map_err(|error| Error::invalid("route_id", format!("route_id cannot be sent ({error})")))?;
        self.ask(&Endpoint::AUDIT, &format!("?{}", query.query().unwrap_or_default()), None).await
    }

    /// What a report of a route is bound to; `None` where the server gave it no id.
    pub(crate) fn bind(&self, route: &Answer<Route>) -> Option<Bound> {
        let base = self.exchange.transport().base();
        let route_id = route.route_id.as_deref().or(route.meta().request_id())?;
        check_id("route_id", route_id).ok()?;
        let said = route.report_endpoint();
        let provider = Some(route.recommended.as_str()).filter(|id| check_id("provider_id", id).is_ok());
        Some(Bound {
            route_id: route_id.to_owned(),
            provider_id: provider.map(str::to_owned),
            endpoint: said.and_then(|said| endpoint(base, &said)).map(|url| url.path().to_owned()),
            base_url: self.reporter.shared().sender.base_url.clone(),
            principal: self.reporter.shared().sender.principal.clone(),
        })
    }

    fn of_ticket(&self, ticket: &Ticket, outcome: Outcome) -> Result<Outcome, Error> {
        ticket.bound().check(self.exchange.transport().base(), &self.reporter.shared().sender.principal)?;
        Ok(match ticket.elapsed() {
            Some(elapsed) if outcome.latency_ms().is_none() => outcome.latency(elapsed),
            _ => outcome,
        })
    }

    pub(crate) fn reported_before(&self) -> Reported {
        Reported { receipt: None }
    }

    /// Reports on this call's own time.
    pub(crate) async fn report_now(&self, bound: &Bound, outcome: Outcome) -> Result<Reported, Error> {
        outcome.check()?;
        let shared = self.reporter.shared();
        shared.check_open()?;
        let (sender, route_id) = (shared.sender.clone(), bound.route_id.clone());
        // A store that cannot be read, or not soon, keeps nobody from reporting: the server counts a route once.
        let known = self.store.letters(move |letters| letters.state_of(&sender, &route_id));
        let patience = STORE_PATIENCE.min(self.options.timeout / 4);
        if let Ok(Ok(Some(LetterState::Pending | LetterState::Delivered))) = timeout(patience, known).await {
            shared.counters.repeated.add(1);
            return Ok(self.reported_before());
        }
        let receipt = deliver(&self.exchange, &self.options, &shared.lacks, bound, &outcome).await?;
        shared.counters.delivered.add(1);
        shared.counters.credits_awarded.add(receipt.credits_awarded.unwrap_or(0));
        let letter = shared.letter(bound, &outcome, LetterState::Delivered);
        let limit = shared.outbox_limit();
        // That it is remembered saves a request, and is not worth waiting for.
        self.store.letters_unawaited(move |letters| letters.add(&letter, limit).map(|_| ()));
        Ok(Reported { receipt: Some(receipt) })
    }
}
