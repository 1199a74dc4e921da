//! Threads for those who pay and those who sign. Their code is not ours and may block the thread that it runs on. Nothing
//! waits for that thread: not the limit of the work, not the lease of its payment, and no other payment.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinHandle};

use super::running::Spawner;
use crate::error::Error;

/// How many may work at once for one client. Whoever does not come back keeps its place, so that threads do not pile up.
pub(crate) struct Crew {
    spawner: Spawner,
    places: Arc<Semaphore>,
}

impl Crew {
    pub(crate) fn new(spawner: Spawner, places: usize) -> Self {
        Self { spawner, places: Arc::new(Semaphore::new(places)) }
    }

    /// Begins some work now.
    ///
    /// # Errors
    /// Why it was not begun, in words.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<Work<T>, String> {
        match self.places.clone().try_acquire_owned() {
            Ok(place) => self.spawner.apart(place, task).map_err(|error| error.to_string()),
            Err(_) => {
                Err("those that were asked before have not come back, and no more are asked".to_owned())
            }
        }
    }

    /// Begins some work as soon as there is a place.
    #[cfg(feature = "x402-evm")]
    pub(crate) fn begin_in_turn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Work<T> {
        let (spawner, places) = (self.spawner.clone(), self.places.clone());
        Work::of(async move {
            let not_begun = |why: String| Broken::NotBegun(why);
            let place = places.acquire_owned().await.map_err(|error| not_begun(error.to_string()))?;
            spawner.apart(place, task).map_err(|error| not_begun(error.to_string()))?.await
        })
    }
}

/// Some work that is waited for. It is broken off when nobody waits any more; a thread that is blocked ends when it is not.
pub(crate) struct Work<T> {
    ended: Pin<Box<dyn Future<Output = Result<T, Broken>> + Send>>,
    task: Option<AbortHandle>,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Panicked,
    #[cfg(feature = "x402-evm")]
    NotBegun(String),
    /// With the process.
    Off,
}

impl<T> Work<T> {
    fn of(ended: impl Future<Output = Result<T, Broken>> + Send + 'static) -> Self {
        Self { ended: Box::pin(ended), task: None }
    }
}

impl<T: Send + 'static> From<JoinHandle<T>> for Work<T> {
    fn from(task: JoinHandle<T>) -> Self {
        let handle = task.abort_handle();
        let mut work = Self::of(async move {
            task.await.map_err(|error| if error.is_panic() { Broken::Panicked } else { Broken::Off })
        });
        work.task = Some(handle);
        work
    }
}

impl<T> Future for Work<T> {
    type Output = Result<T, Broken>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.ended.as_mut().poll(context)
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Does some work on a thread of its own, which has its place until it ends.
pub(super) fn on_a_thread<T: Send + 'static>(
    place: OwnedSemaphorePermit,
    task: impl Future<Output = T> + Send + 'static,
) -> Result<Work<T>, Error> {
    // Connections and timers belong to a runtime that outlives the thread: a client of HTTP keeps them for the next time.
    let runtime = crate::background::for_payers()?;
    let (mut tell, told) = oneshot::channel();
    let work = move || {
        let _place = place;
        let ended = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let (mut task, mut nobody_waits) = (pin!(task), pin!(tell.closed()));
                poll_fn(|context| match task.as_mut().poll(context) {
                    Poll::Ready(ended) => Poll::Ready(Some(ended)),
                    Poll::Pending => nobody_waits.as_mut().poll(context).map(|()| None),
                })
                .await
            })
        }));
        match ended {
            // Whoever waited may have gone meanwhile.
            Ok(Some(ended)) => drop(tell.send(Ok(ended))),
            Ok(None) => {}
            Err(_) => drop(tell.send(Err(Broken::Panicked))),
        }
    };
    std::thread::Builder::new().name("amply-payer".to_owned()).spawn(work).map_err(|error| {
        Error::config(format!("the thread for whoever pays or signs cannot be started: {error}"))
    })?;
    Ok(Work::of(async move { told.await.unwrap_or(Err(Broken::Off)) }))
}

#[cfg(all(test, feature = "x402-evm"))]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    fn crew(places: usize) -> Crew {
        Crew::new(Spawner::Background, places)
    }

    #[tokio::test]
    async fn work_that_blocks_its_thread_keeps_its_place_and_nobody_else_waits_for_the_thread() {
        let crew = crew(2);
        let (release, until) = channel::<()>();
        let until = Arc::new(Mutex::new(until));
        let (tell, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
        let blocks = || {
            let (tell, until) = (tell.clone(), until.clone());
            async move {
                tell.send(()).unwrap();
                let _ = until.lock().unwrap().recv();
            }
        };
        let given_up = crew.begin(blocks()).unwrap();
        has_begun.recv().await.unwrap();
        drop(given_up);
        // Others go on, with timers of the runtime.
        let other = crew.begin(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            std::thread::current().name().map(str::to_owned)
        });
        assert_eq!(other.unwrap().await, Ok(Some("amply-payer".to_owned())));
        let waits = tokio::spawn(crew.begin_in_turn(blocks()));
        has_begun.recv().await.unwrap();
        let refused = crew.begin(async {}).err().unwrap();
        assert!(refused.contains("have not come back"), "{refused}");
        drop(release);
        assert_eq!(waits.await.unwrap(), Ok(()));
        assert_eq!(crew.begin_in_turn(async { 7 }).await, Ok(7));
    }

    #[tokio::test]
    async fn work_that_is_given_up_while_it_waits_ends_and_one_that_panics_says_so() {
        let crew = crew(1);
        drop(crew.begin(std::future::pending::<()>()).unwrap());
        assert_eq!(crew.begin_in_turn(async { 7 }).await, Ok(7));
        assert_eq!(crew.begin_in_turn(async { panic!("on purpose") }).await, Err::<(), _>(Broken::Panicked));
        assert_eq!(crew.begin_in_turn(async { 8 }).await, Ok(8));
    }
}
