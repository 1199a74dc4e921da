//! Where reports are handed over: into memory without waiting, or committed to the store.
//!
//! A report waits in the queue (memory), then in the outbox (the store), and the courier takes it from there. Nothing is
//! ever dropped in silence: a full queue or outbox is an error to whoever hands over.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::courier;
use super::intake::{Handed, take_in};
use super::shared::{Limits, Shared, closed};
use super::ticket::Bound;
use super::value::Outcome;
use crate::client::Options;
use crate::error::Error;
use crate::event::Observer;
use crate::exchange::{Exchange, later};
use crate::payment::Clock;
use crate::store::Store;
use crate::store::outbox::{Added, LetterState, Sender};

/// What became of a report that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandedOver {
    /// It is on its way.
    Accepted,
    /// The route was reported before. Nothing was done.
    AlreadyReported,
}

/// More than fits in memory.
const QUEUE_AT_MOST: usize = 1 << 30;
/// How long the courier may take to put down what it has.
const TO_STOP: Duration = Duration::from_secs(1);
/// Takes reports, for a client and all its copies.
#[derive(Clone)]
pub(crate) struct Reporter(Arc<Owner>);

/// Ends with the last client: what works in the background has `Shared` alone.
struct Owner {
    queue: OnceLock<mpsc::Sender<Handed>>,
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.is_orphaned.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }
}

/// What came of waiting for all reports to be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flushed {
    /// How many still wait; 0 when all were delivered or given up.
    pub left: u64,
}

impl Reporter {
    pub(crate) fn new(
        sender: Sender,
        store: Store,
        of_client: Exchange,
        options: Options,
        observer: Observer,
        limits: Limits,
    ) -> Self {
        let shared = Arc::new(Shared::new(sender, store, of_client, options, observer, limits));
        Self(Arc::new(Owner { queue: OnceLock::new(), shared }))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Delivers what an earlier process left, if it is in a file.
    pub(crate) fn recover(&self) {
        let shared = &self.0.shared;
        if shared.store.is_durable()
            && shared.limits.in_background
            && let Err(error) = courier::call(shared)
        {
            tracing::warn!("what an earlier process left to report is not delivered: {error}");
        }
    }

    /// Takes no report, from the start.
    pub(crate) fn shut(&self) {
        self.0.shared.is_closed.store(true, Ordering::Release);
    }

    /// Hands a report over into memory: it never waits, and needs neither the store nor the network.
    pub(crate) fn hand_over(&self, bound: Arc<Bound>, outcome: Outcome) -> Result<HandedOver, Error> {
        outcome.check()?;
        let shared = &self.0.shared;
        shared.check_open()?;
        let queue = match self.0.queue.get() {
            Some(queue) => queue,
            None => self.start()?,
        };
        match queue.try_send(Handed::Report(bound, outcome)) {
            Ok(()) => {
                shared.handed.fetch_add(1, Ordering::Relaxed);
                Ok(HandedOver::Accepted)
            }
            Err(TrySendError::Full(_)) => {
                Err(queue_full(format!("{} reports wait in memory already", shared.limits.queue)))
            }
            Err(TrySendError::Closed(_)) => Err(closed()),
        }
    }

    /// Commits a report to the store within a limit.
    pub(crate) async fn commit(
        &self,
        bound: &Bound,
        outcome: &Outcome,
        limit: Duration,
    ) -> Result<HandedOver, Error> {
        outcome.check()?;
        let shared = &self.0.shared;
        shared.check_open()?;
        if !shared.store.is_durable() {
            return Err(Error::config(
                "a durable report needs a store that outlives the process; set one with `store`",
            ));
        }
        let (letter, most) = (shared.letter(bound, outcome, LetterState::Pending), shared.outbox_limit());
        // Also where the caller goes before the end: it is committed all the same.
        let _call = CallCourier(shared);
        let added = shared.store.letters(move |letters| letters.add(&letter, most));
        let Ok(added) = tokio::time::timeout(limit, added).await else {
            return Err(Error::Store(format!(
                "the store has not taken the report within {} ms, and may still take it; report it again, which is safe",
                limit.as_millis()
            )));
        };
        match added? {
            Added::New => {
                shared.counters.queued.add(1);
                Ok(HandedOver::Accepted)
            }
            Added::Known => {
                shared.counters.repeated.add(1);
                Ok(HandedOver::AlreadyReported)
            }
            Added::Full => Err(queue_full(format!("{most} reports wait in the store already"))),
        }
    }

    #[cold]
    fn start(&self) -> Result<&mpsc::Sender<Handed>, Error> {
        let background = crate::background::handle()?;
        Ok(self.0.queue.get_or_init(|| {
            let (queue, handed) = mpsc::channel(self.0.shared.limits.queue.clamp(1, QUEUE_AT_MOST));
            background.spawn(take_in(handed, Arc::clone(&self.0.shared)));
            queue
        }))
    }

    /// Waits until all that was handed over is delivered or given up.
    pub(crate) async fn flush(&self, limit: Duration) -> Result<Flushed, Error> {
        self.0.shared.check_open()?;
        let flushed = self.deliver_all(limit).await;
        if !self.0.shared.limits.in_background {
            self.stop_courier().await;
        }
        flushed
    }

    async fn deliver_all(&self, limit: Duration) -> Result<Flushed, Error> {
        let shared = &self.0.shared;
        let until = later(Instant::now(), limit);
        self.until_taken_in(until).await;
        let (sender, now_ms) = (shared.sender.clone(), Clock::System.now_ms());
        within(until, shared.store.letters(move |letters| letters.hurry(&sender, now_ms))).await?;
        shared.is_hurried.store(true, Ordering::Release);
        loop {
            let mut idle = std::pin::pin!(shared.idle.notified());
            // From now on its end is not missed.
            idle.as_mut().enable();
            let of = shared.sender.clone();
            let has_pending = shared.store.letters(move |letters| letters.has_pending(&of));
            if !within(until, has_pending).await? {
                return Ok(Flushed { left: shared.in_memory() });
            }
            if Instant::now() >= until {
                return Ok(Flushed { left: shared.pending().await? + shared.in_memory() });
            }
            // Each time: the last one may have ended a moment before another process handed something over.
            courier::call(shared)?;
            let look_again = Instant::now() + Duration::from_millis(500);
            let _ = timeout_at(until.min(look_again), idle).await;
        }
    }

    /// Waits until what is in the queue is in the outbox.
    async fn until_taken_in(&self, until: Instant) {
        let Some(queue) = self.0.queue.get() else { return };
        let (mark, reached) = oneshot::channel();
        let _ = timeout_at(until, async {
            if queue.send(Handed::Mark(mark)).await.is_ok() {
                let _ = reached.await;
            }
        })
        .await;
    }

    /// Has the courier put down what it has.
    async fn stop_courier(&self) {
        let shared = &self.0.shared;
        shared.must_stop.store(true, Ordering::Release);
        shared.wake.notify_one();
        let courier = shared.courier().take();
        if let Some(mut courier) = courier
            && tokio::time::timeout(TO_STOP, &mut courier).await.is_err()
        {
            courier.abort();
        }
        shared.must_stop.store(false, Ordering::Release);
    }

    /// Takes no more reports, delivers what waits until the limit, and then stops. What is in a file stays there.
    pub(crate) async fn close(&self, limit: Duration) {
        let shared = &self.0.shared;
        shared.is_closed.store(true, Ordering::Release);
        if !shared.store.is_of_this_process() {
            return;
        }
        let mut is_over = shared.closing.lock().await;
        if *is_over {
            return;
        }
        let until = later(Instant::now(), limit);
        if self.0.queue.get().is_some() || shared.courier().is_some() {
            match shared.limits.in_background {
                true => {
                    if let Err(error) = self.deliver_all(limit).await {
                        tracing::warn!("reports could not be delivered at the end: {error}");
                    }
                }
                false => self.until_taken_in(until).await,
            }
        }
        // From here on nobody begins to deliver.
        shared.is_over.store(true, Ordering::Release);
        self.stop_courier().await;
        // What the store does not take is counted as lost by whoever holds it.
        shared.stop.notify_waiters();
        self.until_taken_in(Instant::now() + TO_STOP).await;
        let in_outbox = match shared.store.is_durable() {
            true => 0,
            false => shared.pending().await.unwrap_or(0),
        };
        shared.lose(in_outbox);
        shared.lose_from_memory(shared.in_memory());
        *is_over = true;
    }
}

/// The store's answer, if it comes in time.
async fn within<T>(until: Instant, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // Time for one look is always given: a flush without any says what is left.
    let until = until.max(Instant::now() + TO_STOP);
    timeout_at(until, work).await.unwrap_or_else(|_| {
        Err(Error::Store(
            "the store's outbox did not answer in time; see which process holds the file".to_owned(),
        ))
    })
}

/// Calls the courier when it goes.
struct CallCourier<'a>(&'a Arc<Shared>);

impl Drop for CallCourier<'_> {
    fn drop(&mut self) {
        self.0.call_courier();
    }
}

fn queue_full(what: String) -> Error {
    Error::QueueFull(format!("{what}; report less at once, allow more, or see why they are not delivered"))
}
