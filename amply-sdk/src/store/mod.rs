//! Where the ledger of payments and the outbox of reports are kept: in memory, or in one file that all processes of a
//! machine share.
//!
//! This file is the handle; what is written, and by which rules, is decided in `payment::ledger` and in `outcome`.

#[cfg(feature = "durable")]
mod file;
mod memory;
mod memory_outbox;
pub(crate) mod outbox;
mod rows;
#[cfg(feature = "durable")]
mod sqlite;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use self::memory::Memory;
use self::memory_outbox::MemoryOutbox;
use self::outbox::{Asked, GONE, Job, Letters};
#[cfg(feature = "x402-evm")]
pub(crate) use self::rows::At;
pub(crate) use self::rows::{Query, Rows, StoreError};
use crate::error::Error;

/// How long a payment of a process that has died is waited for before others look after it.
const LEASE: Duration = Duration::from_secs(6);

/// Where a client keeps what it has paid, and the reports that are still to be delivered. Cloning it gives the same store
/// again.
///
/// In memory it holds as long as the process. In a file (`Store::open`, with the feature `durable`) it holds for good, and
/// all processes of this machine that open the file keep the same caps together.
#[derive(Clone)]
pub struct Store {
    place: Arc<dyn Place>,
    lease: Duration,
    /// The process that opened it: neither a lock nor a file survives a fork.
    process: u32,
}

/// A place for rows. What it does may block the thread, for seconds if another process holds the file.
trait Place: Send + Sync {
    /// Does some work as one transaction: all of it is kept, or nothing.
    fn transaction(&self, work: &mut Work<'_>) -> Result<(), StoreError>;

    /// Has some work done on the outbox, perhaps together with that of others, and does not wait for it.
    fn hand_in(&self, job: Box<dyn Job>);

    /// Where it is, if it outlives the process.
    fn path(&self) -> Option<&Path>;

    /// Whether opening it made it.
    fn is_new(&self) -> bool;
}

type Work<'a> = dyn FnMut(&mut dyn Rows) -> Result<(), StoreError> + 'a;

impl Store {
    /// A store in memory, for as long as the process lives.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::at(InMemory::default())
    }

    /// The one in memory that all clients of this process share.
    pub(crate) fn of_process() -> Self {
        static SHARED: OnceLock<Store> = OnceLock::new();
        SHARED.get_or_init(Self::in_memory).clone()
    }

    fn at(place: impl Place + 'static) -> Self {
        Self { place: Arc::new(place), lease: LEASE, process: std::process::id() }
    }

    /// How long a payment of a process that has died is waited for before others look after it; 6 s unless set. A report
    /// that such a process was delivering is waited for five times as long. All that share a file should have the same.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The file, if this store outlives the process.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.place.path().map(Path::to_owned)
    }

    pub(crate) fn lease_time(&self) -> Duration {
        self.lease
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.place.path().is_some()
    }

    pub(crate) fn is_new(&self) -> bool {
        self.place.is_new()
    }

    /// The same behind a gate, as if it were in a file that other processes hold.
    #[cfg(test)]
    pub(crate) fn behind(self, gate: Arc<Gate>) -> Self {
        Self { place: Arc::new(Gated { place: self.place, gate }), ..self }
    }

    /// As a forked child sees it.
    #[cfg(test)]
    pub(crate) fn after_a_fork(mut self) -> Self {
        self.process = self.process.wrapping_add(1);
        self
    }

    pub(crate) fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    /// Does some work as one transaction, and blocks until it is done.
    pub(crate) fn transaction<T>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut work = Some(work);
        let mut done = None;
        self.place.transaction(&mut |rows| {
            if let Some(work) = work.take() {
                done = Some(work(rows)?);
            }
            Ok(())
        })?;
        done.ok_or_else(|| "the store did nothing; this is a fault of the client".to_owned())
    }

    /// Does some work on the outbox as one transaction; it is kept when this returns. No thread is blocked.
    pub(crate) async fn letters<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Letters) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        if !self.is_of_this_process() {
            return Err(Error::config(
                "the store was opened before this process was forked; open it again here, and make a new client",
            ));
        }
        let (job, answer) = Asked::of(work);
        self.place.hand_in(job);
        answer.await.unwrap_or_else(|_| Err(GONE.to_owned())).map_err(Error::Store)
    }

    /// The same, where nobody waits for it.
    pub(crate) fn letters_unawaited(
        &self,
        work: impl FnOnce(&mut dyn Letters) -> Result<(), StoreError> + Send + 'static,
    ) {
        if self.is_of_this_process() {
            self.place.hand_in(Asked::of(work).0);
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.place.path()).finish_non_exhaustive()
    }
}

/// Lets transactions through, one after the other, as many as a test says.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Gate {
    may_pass: Mutex<usize>,
    opened: std::sync::Condvar,
}

#[cfg(test)]
impl Gate {
    pub(crate) fn open_for(&self, transactions: usize) {
        *self.may_pass.lock().unwrap() += transactions;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let (limit, may_pass) = (Duration::from_secs(20), self.may_pass.lock().unwrap());
        let (mut may_pass, waited) =
            self.opened.wait_timeout_while(may_pass, limit, |left| *left == 0).unwrap();
        assert!(!waited.timed_out(), "the gate was never opened");
        *may_pass -= 1;
    }
}

#[cfg(test)]
struct Gated {
    place: Arc<dyn Place>,
    gate: Arc<Gate>,
}

#[cfg(test)]
impl Place for Gated {
    fn transaction(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        self.gate.pass();
        self.place.transaction(work)
    }

    fn hand_in(&self, job: Box<dyn Job>) {
        self.place.hand_in(job);
    }

    fn path(&self) -> Option<&Path> {
        Some(Path::new("gated"))
    }

    fn is_new(&self) -> bool {
        self.place.is_new()
    }
}

#[derive(Default)]
struct InMemory {
    rows: Mutex<Memory>,
    letters: Mutex<MemoryOutbox>,
}

impl Place for InMemory {
    fn transaction(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        work(&mut *self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hand_in(&self, mut job: Box<dyn Job>) {
        let end = job.run(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner));
        job.ended(end);
    }

    fn path(&self) -> Option<&Path> {
        None
    }

    fn is_new(&self) -> bool {
        false
    }
}
