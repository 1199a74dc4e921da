//! A route together with the report of how it went.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::reporter::HandedOver;
use super::ticket::{Bound, Ticket};
use super::value::Outcome;
use super::{Reported, no_route_id};
use crate::answer::Answer;
use crate::client::Client;
use crate::error::Error;
use crate::event::Event;
use crate::wire::Route;

/// A route, and the means to report its outcome, once. From [`Client::route_task_tracked`].
///
/// It dereferences to the route. A report may be sent at once ([`report_outcome`](Self::report_outcome)), handed over in
/// memory ([`report_in_background`](Self::report_in_background)), committed to the store
/// ([`report_durable`](Self::report_durable)), made by another process with a [`ticket`](Self::ticket), or left to
/// [`run`](Self::run), which does the task and reports by itself.
///
/// A second report of the same route does nothing and says so. Dropping it unreported is no error; it is counted
/// ([`OutcomeCounters::unreported`](crate::OutcomeCounters::unreported)) and told as
/// [`Event::OutcomeUnreported`](crate::Event::OutcomeUnreported).
#[must_use = "a tracked route wants to be reported"]
pub struct TrackedRoute {
    route: Answer<Route>,
    open: Open,
}

/// The future of a report; from the closure of [`TrackedRoute::into_parts`].
pub type ReportFuture = Pin<Box<dyn Future<Output = Result<Reported, Error>> + Send>>;

impl TrackedRoute {
    pub(crate) fn new(client: Client, route: Answer<Route>) -> Self {
        let bound = client.bind(&route).map(Arc::new);
        Self { route, open: Open { client, bound, state: AtomicU8::new(OPEN) } }
    }

    /// Reports the outcome now, and waits for the server's answer.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an outcome that cannot be right, or a route without an id; else by the table of [`Error`]. The
    /// route may then be reported again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use std::time::Duration;
    ///
    /// use amply_sdk::Outcome;
    ///
    /// let tracked = client.route_task_tracked("store 1M vectors").await?;
    /// println!("asking {}", tracked.recommended);
    /// let outcome = Outcome::success().latency(Duration::from_millis(42));
    /// assert_eq!(tracked.report_outcome(outcome.clone()).await?.credits_awarded(), Some(1));
    /// assert!(tracked.report_outcome(outcome).await?.is_repeated());
    /// # Ok(()) }
    /// ```
    pub async fn report_outcome(&self, outcome: Outcome) -> Result<Reported, Error> {
        self.open.report(outcome).await
    }

    /// Hands the report over in memory and returns at once: it never waits, and a failing server or disk does not show here.
    /// With a store in a file it is written there right away by a thread in the background.
    ///
    /// # Errors
    /// [`Error::QueueFull`] when too many wait already: this one was not taken. [`Error::Invalid`] as in
    /// [`report_outcome`](Self::report_outcome).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use amply_sdk::{HandedOver, Outcome};
    ///
    /// let tracked = client.route_task_tracked("store 1M vectors").await?;
    /// assert_eq!(tracked.report_in_background(Outcome::success())?, HandedOver::Accepted);
    /// assert_eq!(tracked.report_in_background(Outcome::success())?, HandedOver::AlreadyReported);
    /// # Ok(()) }
    /// ```
    pub fn report_in_background(&self, outcome: Outcome) -> Result<HandedOver, Error> {
        let Some(turn) = self.open.turn() else { return Ok(HandedOver::AlreadyReported) };
        let bound = Arc::clone(self.open.bound()?);
        let handed = self.open.client.reporter.hand_over(bound, outcome)?;
        turn.done();
        Ok(handed)
    }

    /// Commits the report to the store: when this returns, it survives the death of the process, and it is delivered at least
    /// once, by this process or a later one with the same key.
    ///
    /// # Errors
    /// [`Error::Config`] without a store in a file, [`Error::Store`] when it cannot be written, [`Error::QueueFull`] when it
    /// holds as many as it may: the report was not taken. [`Error::Invalid`] as in
    /// [`report_outcome`](Self::report_outcome).
    ///
    /// ```
    /// # #[cfg(feature = "durable")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let folder = std::env::temp_dir().join(format!("amply-doc-tracked-{}", std::process::id()));
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key())
    /// #     .store(amply_sdk::Store::open(folder.join("store.db"))?).build()?;
    /// use amply_sdk::{HandedOver, Outcome};
    ///
    /// let tracked = client.route_task_tracked("store 1M vectors").await?;
    /// assert_eq!(tracked.report_durable(Outcome::success()).await?, HandedOver::Accepted);
    /// # drop(client);
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok(()) }
    /// # #[cfg(not(feature = "durable"))]
    /// # fn main() {}
    /// ```
    pub async fn report_durable(&self, outcome: Outcome) -> Result<HandedOver, Error> {
        let Some(turn) = self.open.turn() else { return Ok(HandedOver::AlreadyReported) };
        let limit = self.open.client.options.timeout;
        let handed = self.open.client.reporter.commit(self.open.bound()?, &outcome, limit).await?;
        turn.done();
        Ok(handed)
    }

    /// A token with which another process reports. Whoever takes it takes over the report: this one may be dropped.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the server gave the route no id.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// let tracked = client.route_task_tracked("store 1M vectors").await?;
    /// let ticket = tracked.ticket()?;
    /// assert_eq!(Some(ticket.route_id()), tracked.route_id.as_deref());
    /// # Ok(()) }
    /// ```
    pub fn ticket(&self) -> Result<Ticket, Error> {
        let ticket = Ticket::new(Arc::clone(self.open.bound()?));
        let _ = self.open.state.compare_exchange(OPEN, ELSEWHERE, Ordering::AcqRel, Ordering::Acquire);
        Ok(ticket)
    }

    /// The route and a closure that reports its outcome, to move into a worker.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// use amply_sdk::Outcome;
    ///
    /// let (route, report_outcome) = client.route_task_tracked("store 1M vectors").await?.into_parts();
    /// assert_eq!(route.recommended, "qdrant");
    /// let worker = tokio::spawn(async move { report_outcome(Outcome::failure("rate_limited")).await });
    /// assert_eq!(worker.await??.credits_awarded(), Some(1));
    /// # Ok(()) }
    /// ```
    pub fn into_parts(self) -> (Answer<Route>, impl FnOnce(Outcome) -> ReportFuture + Send + 'static) {
        let Self { route, open } = self;
        (route, move |outcome| Box::pin(async move { open.report(outcome).await }) as ReportFuture)
    }

    /// Does the task, times it, and reports a success or a failure with the code `error` by itself. What the task returned is
    /// returned as it is.
    ///
    /// The report is committed where the store is a file that takes it within a second, else handed over in memory; one that
    /// cannot be is counted as dropped and logged. A task that is cancelled or panics is not reported.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// # use std::time::Duration;
    /// let tracked = client.route_task_tracked("store 1M vectors").await?;
    /// let stored = tracked.run(|provider| async move { Ok::<_, std::io::Error>(format!("stored at {provider}")) }).await?;
    /// assert_eq!(stored, "stored at qdrant");
    /// client.close(Duration::from_secs(5)).await;
    /// assert_eq!(client.outbox().counters().delivered, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The task's own.
    pub async fn run<F, T, E>(self, task: impl FnOnce(String) -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let start = Instant::now();
        let done = task(self.route.recommended.clone()).await;
        let outcome = match &done {
            Ok(_) => Outcome::success(),
            Err(_) => Outcome::failure("error"),
        };
        let outcome = outcome.latency(start.elapsed());
        let handed = self.open.hand_over(outcome).await;
        if let Err(error) = handed {
            // The caller's result is worth more than ours; the loss is counted and said.
            tracing::warn!("how the task went is not reported: {error}");
            self.open.client.reporter.shared().lose(1);
            self.open.state.store(DONE, Ordering::Release);
        }
        done
    }
}

impl Deref for TrackedRoute {
    type Target = Answer<Route>;

    fn deref(&self) -> &Answer<Route> {
        &self.route
    }
}

impl fmt::Debug for TrackedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackedRoute").field("route", &self.route).finish_non_exhaustive()
    }
}

/// How long the result of a task is held back for its report.
const COMMIT_SOON: Duration = Duration::from_secs(1);

const OPEN: u8 = 0;
/// A report is being made.
const REPORTING: u8 = 1;
const DONE: u8 = 2;
/// A ticket was taken: whoever has it reports.
const ELSEWHERE: u8 = 3;

/// The report that is still to be made.
struct Open {
    client: Client,
    /// `None` where the server gave the route no id.
    bound: Option<Arc<Bound>>,
    state: AtomicU8,
}

impl Open {
    fn bound(&self) -> Result<&Arc<Bound>, Error> {
        self.bound.as_ref().ok_or_else(no_route_id)
    }

    async fn report(&self, outcome: Outcome) -> Result<Reported, Error> {
        let Some(turn) = self.turn() else { return Ok(self.client.reported_before()) };
        let reported = self.client.report_now(self.bound()?, outcome).await?;
        turn.done();
        Ok(reported)
    }

    /// Commits the report where the store is a file and takes it soon, and else hands it over in memory.
    async fn hand_over(&self, outcome: Outcome) -> Result<(), Error> {
        let Some(turn) = self.turn() else { return Ok(()) };
        let (bound, reporter) = (self.bound()?, &self.client.reporter);
        let is_committed =
            self.client.store.is_durable() && reporter.commit(bound, &outcome, COMMIT_SOON).await.is_ok();
        if !is_committed {
            reporter.hand_over(Arc::clone(bound), outcome)?;
        }
        turn.done();
        Ok(())
    }

    /// The right to report; nobody has it twice. It comes back where it ends in an error, or is cancelled.
    fn turn(&self) -> Option<Turn<'_>> {
        for was in [OPEN, ELSEWHERE] {
            if self.state.compare_exchange(was, REPORTING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Some(Turn { state: &self.state, after: was });
            }
        }
        self.client.reporter.shared().counters.repeated.add(1);
        None
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if *self.state.get_mut() != OPEN {
            return;
        }
        if let Some(bound) = &self.bound {
            let shared = self.client.reporter.shared();
            shared.counters.unreported.add(1);
            shared.observer.tell(Event::OutcomeUnreported { route_id: bound.route_id.clone() });
        }
    }
}

struct Turn<'a> {
    state: &'a AtomicU8,
    after: u8,
}

impl Turn<'_> {
    fn done(mut self) {
        self.after = DONE;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.state.store(self.after, Ordering::Release);
    }
}
