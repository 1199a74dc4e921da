//! What runs beside the calls: where it runs, how many there are, and how a payment is held while it takes its time.

#[cfg(test)]
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::crew::{Broken, Work, on_a_thread};
use super::ledger::Ledger;
use crate::error::Error;
use crate::exchange::later;

/// Where rounds and payments run.
#[derive(Clone)]
pub(crate) enum Spawner {
    Background,
    #[cfg(test)]
    Here(Arc<Mutex<Vec<tokio::task::AbortHandle>>>),
}

impl Spawner {
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<JoinHandle<T>, Error> {
        match self {
            Self::Background => Ok(crate::background::handle()?.spawn(task)),
            #[cfg(test)]
            Self::Here(tasks) => {
                let task = tokio::spawn(task);
                tasks.lock().unwrap().push(task.abort_handle());
                Ok(task)
            }
        }
    }

    /// The same for code that may block its thread: on one of its own.
    pub(super) fn apart<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<Work<T>, Error> {
        match self {
            Self::Background => on_a_thread(place, task),
            #[cfg(test)]
            Self::Here(_) => self
                .spawn(async move {
                    let _place = place;
                    task.await
                })
                .map(Work::from),
        }
    }
}

/// Counts itself for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(watch::Sender<usize>);

impl Counted {
    pub(crate) fn new(counter: &watch::Sender<usize>) -> Self {
        counter.send_modify(|count| *count += 1);
        Self(counter.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// How far a payment has come, known to the call and to the task that pays: so that a call that gives up before it was begun
/// can say that nothing was paid, and be right.
#[derive(Debug, Default)]
pub(crate) struct Stage(Mutex<Reached>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reached {
    #[default]
    Waiting,
    /// It is about to be written down.
    Beginning,
    /// It is in the books, with this id.
    Begun(String),
    /// The call has given up, and nothing may be begun for it any more.
    GivenUp,
}

impl Stage {
    /// Whether the payment may be begun; from then on it goes on whatever becomes of the call.
    pub(crate) fn begin(&self) -> bool {
        let mut reached = self.reached();
        let may_begin = *reached == Reached::Waiting;
        if may_begin {
            *reached = Reached::Beginning;
        }
        may_begin
    }

    /// It is in the books; or the call waits for one that is.
    pub(crate) fn begun(&self, payment_id: &str) {
        let mut reached = self.reached();
        if *reached != Reached::GivenUp {
            *reached = Reached::Begun(payment_id.to_owned());
        }
    }

    /// Nothing is being begun for the call, and it waits for nothing that is in the books.
    pub(crate) fn wait(&self) {
        let mut reached = self.reached();
        if *reached != Reached::GivenUp {
            *reached = Reached::Waiting;
        }
    }

    /// The call gives up. How far the payment had come by then.
    pub(crate) fn give_up(&self) -> Reached {
        let mut reached = self.reached();
        if *reached == Reached::Waiting {
            *reached = Reached::GivenUp;
        }
        reached.clone()
    }

    fn reached(&self) -> MutexGuard<'_, Reached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for work within a limit, and goes on holding the payment that it is for. `None` when it took too long; it is then
/// broken off.
pub(crate) async fn hold<T>(
    ledger: &Ledger,
    payment_id: &str,
    mut work: Work<T>,
    within: Duration,
) -> Option<Result<T, Broken>> {
    let limit = later(Instant::now(), within);
    let turn = ledger.lease() / 3;
    loop {
        let until = limit.min(later(Instant::now(), turn));
        match timeout_at(until, &mut work).await {
            Ok(ended) => return Some(ended),
            Err(_) if Instant::now() >= limit => return None,
            // A store that keeps its word back keeps the work no longer than its limit.
            Err(_) => match timeout_at(limit, ledger.renew(payment_id)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!("the lease of the payment {payment_id} was not renewed: {error}");
                }
                Err(_) => tracing::debug!("the lease of the payment {payment_id} was not renewed in time"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::Clock;
    use crate::store::{Gate, Store};

    #[tokio::test]
    async fn a_store_that_does_not_answer_lets_no_task_take_longer_than_its_limit() {
        let gate = Arc::new(Gate::default());
        let store = Store::in_memory().lease(Duration::from_millis(30)).behind(gate.clone());
        let ledger = Ledger::new(store, Clock::System);
        let began = Instant::now();
        let task = tokio::spawn(std::future::pending::<()>());
        assert!(hold(&ledger, "any", task.into(), Duration::from_millis(100)).await.is_none());
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        gate.open_for(10);
    }
}
