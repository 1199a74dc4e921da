//! Where reports are handed over: into memory without waiting, or committed to the store.
//!
//! A report waits in the queue (memory), then in the outbox (the store), and the courier takes it from there. Nothing is
//! ever dropped in silence: a full queue or outbox is an error to whoever hands over.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::counters::{Counters, OutcomeCounters};
use super::courier;
use super::delivery::{Lacks, idempotency_key};
use super::ticket::Bound;
use super::value::Outcome;
use crate::client::Options;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::exchange::{Exchange, later};
use crate::payment::Clock;
use crate::store::Store;
use crate::store::outbox::{Added, Letter, LetterState, Sender};

/// What became of a report that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandedOver {
    /// It is on its way.
    Accepted,
    /// The route was reported before. Nothing was done.
    AlreadyReported,
}

/// How much may wait, and how it is delivered.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// What the queue in memory holds.
    pub(crate) queue: usize,
    /// What the outbox holds; `None` for the default of its kind of store.
    pub(crate) outbox: Option<u64>,
    pub(crate) in_flight: usize,
    /// Whether reports are delivered without being asked to.
    pub(crate) in_background: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 8192, outbox: None, in_flight: 4, in_background: true }
    }
}

/// Rows in a file.
const OUTBOX_ON_DISK: u64 = 1_000_000;
/// Reports in memory.
const OUTBOX_IN_MEMORY: u64 = 10_000;
/// More than fits in memory.
const QUEUE_AT_MOST: usize = 1 << 30;
/// How much of the queue is written down at once.
const BATCH: usize = 256;
/// How long reports are let gather before they are written down together.
const LINGER: Duration = Duration::from_millis(1);
/// How long the courier may take to put down what it has.
const TO_STOP: Duration = Duration::from_secs(1);
/// How long a store that fails is left alone.
const STORE_AGAIN: Duration = Duration::from_millis(100);

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

/// What the tasks in the background share with the clients.
pub(crate) struct Shared {
    pub(crate) sender: Sender,
    pub(crate) store: Store,
    pub(crate) counters: Arc<Counters>,
    pub(crate) observer: Observer,
    pub(crate) lacks: Lacks,
    pub(crate) limits: Limits,
    /// With connections of its own, made at first need.
    pub(crate) exchange: OnceLock<Exchange>,
    of_client: Exchange,
    pub(crate) options: Options,
    /// Something is to be done.
    pub(crate) wake: Notify,
    /// Whoever holds reports is to let go of them.
    pub(crate) stop: Notify,
    /// Nothing is left to do.
    pub(crate) idle: Notify,
    /// How many were handed over in memory, and how many of these are in the outbox by now, or lost.
    handed: AtomicU64,
    taken_in: AtomicU64,
    /// When what was delivered long ago was last forgotten, in ms since 1970.
    pub(crate) forgotten_ms: AtomicI64,
    /// How often the courier was called; it ends only if that has not changed since it last looked.
    pub(crate) calls: AtomicU64,
    /// Somebody waits for all of it to be delivered: an outage is no reason to pause.
    pub(crate) is_hurried: AtomicBool,
    pub(crate) is_closed: AtomicBool,
    pub(crate) is_orphaned: AtomicBool,
    /// The courier ends, whatever waits.
    pub(crate) must_stop: AtomicBool,
    /// Nothing is waited for any more.
    is_over: AtomicBool,
    courier: Mutex<Option<JoinHandle<()>>>,
    /// Whether the end was waited for; one closer at a time.
    closing: tokio::sync::Mutex<bool>,
}

enum Handed {
    Report(Arc<Bound>, Outcome),
    /// Tell when all that came before is in the outbox.
    Mark(oneshot::Sender<()>),
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
        let shared = Arc::new(Shared {
            sender,
            store,
            counters: Arc::default(),
            observer,
            lacks: Lacks::default(),
            limits,
            exchange: OnceLock::new(),
            of_client,
            options,
            wake: Notify::new(),
            stop: Notify::new(),
            idle: Notify::new(),
            handed: AtomicU64::new(0),
            taken_in: AtomicU64::new(0),
            forgotten_ms: AtomicI64::new(i64::MIN),
            calls: AtomicU64::new(0),
            is_hurried: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_orphaned: AtomicBool::new(false),
            must_stop: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            courier: Mutex::default(),
            closing: tokio::sync::Mutex::default(),
        });
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

impl Shared {
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.is_closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// How many were handed over and are not in the outbox yet.
    fn in_memory(&self) -> u64 {
        self.handed.load(Ordering::Relaxed).saturating_sub(self.taken_in.load(Ordering::Relaxed))
    }

    pub(crate) fn read_counters(&self) -> OutcomeCounters {
        let mut counters = self.counters.read();
        counters.queued += self.handed.load(Ordering::Relaxed);
        counters
    }

    fn lose_from_memory(&self, count: u64) {
        self.taken_in.fetch_add(count, Ordering::Relaxed);
        self.lose(count);
    }

    /// The exchange of the background, with connections of its own.
    pub(crate) fn exchange(&self) -> Result<&Exchange, Error> {
        if let Some(exchange) = self.exchange.get() {
            return Ok(exchange);
        }
        let apart = self.of_client.apart()?;
        Ok(self.exchange.get_or_init(|| apart))
    }

    pub(crate) fn outbox_limit(&self) -> u64 {
        let default = if self.store.is_durable() { OUTBOX_ON_DISK } else { OUTBOX_IN_MEMORY };
        self.limits.outbox.unwrap_or(default)
    }

    pub(crate) fn letter(&self, bound: &Bound, outcome: &Outcome, state: LetterState) -> Letter {
        let now_ms = Clock::System.now_ms();
        Letter {
            id: uuid::Uuid::now_v7().to_string(),
            base_url: self.sender.base_url.clone(),
            principal: self.sender.principal.clone(),
            route_id: bound.route_id.clone(),
            provider_id: bound.provider_id.clone(),
            idempotency_key: idempotency_key(&bound.route_id),
            endpoint: bound.endpoint.clone(),
            // An outcome is made of words and numbers: it can be written.
            body: serde_json::to_string(outcome).unwrap_or_default(),
            created_ms: now_ms,
            not_before_ms: now_ms,
            attempts: 0,
            leased_until_ms: 0,
            last_error: None,
            state,
        }
    }

    pub(crate) async fn pending(&self) -> Result<u64, Error> {
        let (sender, now_ms) = (self.sender.clone(), Clock::System.now_ms());
        Ok(self.store.letters(move |letters| letters.waiting(&sender, now_ms)).await?.pending)
    }

    /// Has what waits delivered, unless the owner wants to be asked first.
    pub(crate) fn call_courier(self: &Arc<Self>) {
        // What comes into the outbox while the client closes is counted as lost, or stays in the file.
        let is_over = self.is_over.load(Ordering::Acquire);
        if self.limits.in_background
            && !is_over
            && let Err(error) = courier::call(self)
        {
            tracing::warn!("reports are not delivered: {error}");
        }
    }

    pub(crate) fn courier(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.courier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is lost is counted and said.
    pub(crate) fn lose(&self, count: u64) {
        if count > 0 {
            self.counters.dropped.add(count);
            tracing::warn!("{count} outcome reports were lost from memory; a store in a file keeps them");
            self.observer.tell(Event::OutcomesLost { count });
        }
    }

    /// Writes down what came from the queue; what does not fit stays for the next time.
    async fn write_down(self: &Arc<Self>, handed: &mut Vec<Letter>) -> Result<(), Error> {
        let (letters, limit) = (handed.clone(), self.outbox_limit());
        let added = self.store.letters(move |rows| {
            let mut added = Vec::with_capacity(letters.len());
            for letter in &letters {
                added.push(rows.add(letter, limit)?);
                // Those behind it find no room either.
                if added.last() == Some(&Added::Full) {
                    break;
                }
            }
            Ok(added)
        });
        let added = added.await?;
        let repeated = added.iter().filter(|added| **added == Added::Known).count();
        let done = added.iter().filter(|added| **added != Added::Full).count();
        self.counters.repeated.add(repeated as u64);
        self.taken_in.fetch_add(done as u64, Ordering::Relaxed);
        handed.drain(..done.min(handed.len()));
        Ok(())
    }
}

/// Moves reports from the queue to the outbox until the last client is gone.
async fn take_in(mut queue: mpsc::Receiver<Handed>, shared: Arc<Shared>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut has_warned = false;
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut marks = Vec::new();
        let mut letters = Vec::with_capacity(batch.len());
        for handed in batch.drain(..) {
            match handed {
                Handed::Report(bound, outcome) => {
                    letters.push(shared.letter(&bound, &outcome, LetterState::Pending));
                }
                Handed::Mark(mark) => marks.push(mark),
            }
        }
        while !letters.is_empty() {
            let stop = shared.stop.notified();
            let trouble = shared.write_down(&mut letters).await.err();
            shared.call_courier();
            if letters.is_empty() {
                has_warned = false;
                break;
            }
            // Meanwhile the queue fills, and whoever hands over is told.
            if !has_warned {
                has_warned = true;
                let reason = match trouble {
                    Some(error) => error.to_string(),
                    None => format!("{} reports wait in the outbox already", shared.outbox_limit()),
                };
                tracing::warn!("reports wait in memory, since the store does not take them: {reason}");
                shared.observer.tell(Event::OutboxFailed { reason });
            }
            if shared.is_orphaned.load(Ordering::Acquire) || shared.is_over.load(Ordering::Acquire) {
                shared.lose_from_memory(letters.len() as u64);
                break;
            }
            let _ = tokio::time::timeout(STORE_AGAIN, stop).await;
        }
        for mark in marks {
            let _ = mark.send(());
        }
        // While it sleeps nobody who hands over has to wake it, which is what costs most of a hand-over.
        tokio::time::sleep(LINGER).await;
    }
    // The last client is gone. Where a courier works it sees to the rest.
    if !shared.store.is_durable() && !shared.limits.in_background && !shared.is_closed.load(Ordering::Acquire)
    {
        shared.lose(shared.pending().await.unwrap_or(0));
    }
}

fn closed() -> Error {
    Error::config("the client is closed; make a new one")
}

fn queue_full(what: String) -> Error {
    Error::QueueFull(format!("{what}; report less at once, allow more, or see why they are not delivered"))
}
