//! What runs beside the calls: where it runs, how many there are, and how a payment is held while it takes its time.

#[cfg(test)]
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::crew::{Broken, Work, on_a_thread};
use super::ledger::Ledger;
use crate::error::Error;

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

/// Waits for work within a limit, and goes on holding the payment that it is for. `None` when it took too long; it is then
/// broken off.
pub(crate) async fn hold<T>(
    ledger: &Ledger,
    payment_id: &str,
    mut work: Work<T>,
    within: Duration,
) -> Option<Result<T, Broken>> {
    let limit = Instant::now() + within;
    let turn = ledger.lease() / 3;
    loop {
        let until = limit.min(Instant::now() + turn);
        match timeout_at(until, &mut work).await {
            Ok(ended) => return Some(ended),
            Err(_) if Instant::now() >= limit => return None,
            Err(_) => {
                if let Err(error) = ledger.renew(payment_id).await {
                    tracing::debug!("the lease of the payment {payment_id} was not renewed: {error}");
                }
            }
        }
    }
}
