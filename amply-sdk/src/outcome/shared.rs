//! What the clients share with what works for them in the background.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::counters::{Counters, OutcomeCounters};
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
use crate::store::outbox::{Letter, LetterState, Sender};

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
    pub(super) handed: AtomicU64,
    pub(super) taken_in: AtomicU64,
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
    pub(super) is_over: AtomicBool,
    courier: Mutex<Option<JoinHandle<()>>>,
    /// Whether the end was waited for; one closer at a time.
    pub(super) closing: tokio::sync::Mutex<bool>,
}

impl Shared {
    pub(super) fn new(
        sender: Sender,
        store: Store,
        of_client: Exchange,
        options: Options,
        observer: Observer,
        limits: Limits,
    ) -> Self {
        Self {
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
        }
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.is_closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    /// How many were handed over and are not in the outbox yet.
    pub(super) fn in_memory(&self) -> u64 {
        self.handed.load(Ordering::Relaxed).saturating_sub(self.taken_in.load(Ordering::Relaxed))
    }

    /// Whether there are reports that would be lost with the process.
    pub(crate) fn is_at_work(&self) -> bool {
        self.in_memory() > 0 || !self.store.is_durable() && self.courier().is_some()
    }

    pub(crate) fn read_counters(&self) -> OutcomeCounters {
        let mut counters = self.counters.read();
        counters.queued += self.handed.load(Ordering::Relaxed);
        counters
    }

    pub(super) fn lose_from_memory(&self, count: u64) {
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
}

pub(super) fn closed() -> Error {
    Error::config("the client is closed; make a new one")
}
