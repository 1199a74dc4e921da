//! Where reports are handed over: into memory without waiting, or committed to the store.
//!
//! A report waits in the queue (memory), then in the outbox (the store), and the courier takes it from there. Nothing is
//! ever dropped in silence: a full queue or outbox is an error to whoever hands over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::counters::Counters;
use super::courier;
use super::delivery::{Lacks, idempotency_key};
use super::ticket::Bound;
use super::value::Outcome;
use crate::client::Options;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::exchange::Exchange;
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
/// How much of the queue is written down at once.
const BATCH: usize = 256;
/// How long reports are let gather before they are written down together.
const LINGER: Duration = Duration::from_millis(1);
/// How long the courier may take to put down what it has.
const TO_STOP: Duration = Duration::from_secs(1);
/// How long a store that fails is left alone.
const STORE_AGAIN: Duration = Duration::from_millis(500);

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
    /// Something was done.
    pub(crate) progress: Notify,
    /// Nothing is left to do.
    pub(crate) idle: Notify,
    /// How often the courier was called; it ends only if that has not changed since it last looked.
    pub(crate) calls: AtomicU64,
    /// Somebody waits for all of it to be delivered: an outage is no reason to pause.
    pub(crate) is_hurried: AtomicBool,
    pub(crate) is_closed: AtomicBool,
    pub(crate) is_orphaned: AtomicBool,
    /// The courier ends, whatever waits.
    pub(crate) must_stop: AtomicBool,
    courier: Mutex<Option<JoinHandle<()>>>,
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
            progress: Notify::new(),
            idle: Notify::new(),
            calls: AtomicU64::new(0),
            is_hurried: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_orphaned: AtomicBool::new(false),
            must_stop: AtomicBool::new(false),
            courier: Mutex::default(),
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
                shared.counters.queued.add(1);
                Ok(HandedOver::Accepted)
            }
            Err(TrySendError::Full(_)) => {
                Err(queue_full(format!("{} reports wait in memory already", shared.limits.queue)))
            }
            Err(TrySendError::Closed(_)) => Err(closed()),
        }
    }

    /// Commits a report to the store.
    pub(crate) async fn commit(&self, bound: &Bound, outcome: &Outcome) -> Result<HandedOver, Error> {
        outcome.check()?;
        let shared = &self.0.shared;
        shared.check_open()?;
        if !shared.store.is_durable() {
            return Err(Error::config(
                "a durable report needs a store that outlives the process; set one with `store`",
            ));
        }
        let (letter, limit) = (shared.letter(bound, outcome, LetterState::Pending), shared.outbox_limit());
        match shared.store.letters(move |letters| letters.add(&letter, limit)).await? {
            Added::New => {
                shared.counters.queued.add(1);
                shared.call_courier();
                Ok(HandedOver::Accepted)
            }
            Added::Known => {
                shared.counters.repeated.add(1);
                Ok(HandedOver::AlreadyReported)
            }
            Added::Full => Err(queue_full(format!("{limit} reports wait in the store already"))),
        }
    }

    #[cold]
    fn start(&self) -> Result<&mpsc::Sender<Handed>, Error> {
        let background = crate::background::handle()?;
        Ok(self.0.queue.get_or_init(|| {
            let (queue, handed) = mpsc::channel(self.0.shared.limits.queue.max(1));
            background.spawn(take_in(handed, Arc::clone(&self.0.shared)));
            queue
        }))
    }

    /// Waits until all that was handed over is delivered or given up.
    pub(crate) async fn flush(&self, limit: Duration) -> Result<Flushed, Error> {
        let shared = &self.0.shared;
        let until = crate::exchange::later(Instant::now(), limit);
        self.until_taken_in(until).await;
        let (sender, now_ms) = (shared.sender.clone(), Clock::System.now_ms());
        shared.store.letters(move |letters| letters.hurry(&sender, now_ms)).await?;
        shared.is_hurried.store(true, Ordering::Release);
        courier::call(shared)?;
        loop {
            let mut idle = std::pin::pin!(shared.idle.notified());
            // From now on its end is not missed.
            idle.as_mut().enable();
            let of = shared.sender.clone();
            if !shared.store.letters(move |letters| letters.has_pending(&of)).await? {
                return Ok(Flushed { left: self.queued_in_memory() });
            }
            if Instant::now() >= until {
                return Ok(Flushed { left: shared.pending().await? + self.queued_in_memory() });
            }
            // Another process may deliver some of it, and tells nobody here.
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

    fn queued_in_memory(&self) -> u64 {
        self.0.queue.get().map_or(0, |queue| (queue.max_capacity() - queue.capacity()) as u64)
    }

    /// Takes no more reports, delivers what waits until the limit, and then stops. What is in a file stays there.
    pub(crate) async fn close(&self, limit: Duration) {
        let shared = &self.0.shared;
        if shared.is_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let until = crate::exchange::later(Instant::now(), limit);
        let has_delivered = shared.courier().is_some();
        if self.0.queue.get().is_some() || has_delivered {
            let end = match shared.limits.in_background {
                true => self.flush(limit).await.map(|_| ()),
                false => {
                    self.until_taken_in(until).await;
                    Ok(())
                }
            };
            if let Err(error) = end {
                tracing::warn!("reports could not be delivered at the end: {error}");
            }
        }
        shared.must_stop.store(true, Ordering::Release);
        shared.wake.notify_one();
        shared.progress.notify_waiters();
        // What the store does not take is counted as lost by whoever holds it.
        self.until_taken_in(Instant::now() + TO_STOP).await;
        let courier = shared.courier().take();
        if let Some(mut courier) = courier
            && tokio::time::timeout(TO_STOP, &mut courier).await.is_err()
        {
            courier.abort();
        }
        let in_outbox = match shared.store.is_durable() {
            true => 0,
            false => shared.pending().await.unwrap_or(0),
        };
        shared.lose(in_outbox + self.queued_in_memory());
    }
}

impl Shared {
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.is_closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
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
    fn call_courier(self: &Arc<Self>) {
        if self.limits.in_background
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
        let (letters, limit) = (std::mem::take(handed), self.outbox_limit());
        let kept = letters.clone();
        let added = self.store.letters(move |rows| {
            letters.iter().map(|letter| rows.add(letter, limit)).collect::<Result<Vec<_>, _>>()
        });
        let added = match added.await {
            Ok(added) => added,
            Err(error) => {
                *handed = kept;
                return Err(error);
            }
        };
        for (letter, added) in kept.into_iter().zip(added) {
            match added {
                Added::New => {}
                Added::Known => self.counters.repeated.add(1),
                Added::Full => handed.push(letter),
            }
        }
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
            let trouble = shared.write_down(&mut letters).await.err();
            shared.call_courier();
            if letters.is_empty() {
                has_warned = false;
                break;
            }
            // Meanwhile the queue fills, and whoever hands over is told.
            if let Some(error) = trouble.filter(|_| !has_warned) {
                has_warned = true;
                tracing::warn!("reports wait in memory, since the store does not take them: {error}");
                shared.observer.tell(Event::OutboxFailed { reason: error.to_string() });
            }
            if shared.is_orphaned.load(Ordering::Acquire) || shared.must_stop.load(Ordering::Acquire) {
                shared.lose(letters.len() as u64);
                break;
            }
            let progress = shared.progress.notified();
            let _ = tokio::time::timeout(STORE_AGAIN, progress).await;
        }
        for mark in marks {
            let _ = mark.send(());
        }
        // While it sleeps nobody who hands over has to wake it, which is what costs most of a hand-over.
        tokio::time::sleep(LINGER).await;
    }
}

fn closed() -> Error {
    Error::config("the client is closed; make a new one")
}

fn queue_full(what: String) -> Error {
    Error::QueueFull(format!("{what}; report less at once, allow more, or see why they are not delivered"))
}
