//! Where Python runs that is not the caller's: observers, payers, signers, and what is told while an object goes.
//!
//! What is the user's runs on threads that Python made, as daemons. One that is still at work when the interpreter ends is
//! taken off by Python itself; on a thread of ours that would be the end of the process.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::sync::oneshot;

/// How long is waited for what is told meanwhile.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    static IS_OBSERVING: Cell<bool> = const { Cell::new(false) };
}

/// Lets go of something while attached to Python: perhaps in the middle of a garbage collection, or while an exception is on
/// its way, so that nothing of Python may be called. What is told meanwhile is told on another thread.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            // A thread that ends has nothing more to tell.
            let _ = IS_QUIET.try_with(|is_quiet| is_quiet.set(self.0));
        }
    }
    let before = Before(IS_QUIET.try_with(|is_quiet| is_quiet.replace(true)).unwrap_or(true));
    let done = work();
    drop(before);
    done
}

/// Calls Python here, or where it may be called.
pub(crate) fn tell(work: impl FnOnce() + Send + 'static) {
    if !IS_QUIET.try_with(Cell::get).unwrap_or(true) {
        return work();
    }
    if let Some(teller) = teller() {
        // The other side lives as long as the process.
        let _ = teller.send(Box::new(work));
    }
}

type Work = Box<dyn FnOnce() + Send>;

static TELLER: Mutex<Option<(u32, mpsc::Sender<Work>)>> = Mutex::new(None);

/// The thread that tells what was to be told quietly. Only looked at while attached to Python, so that no fork meets the lock
/// taken.
fn teller() -> Option<mpsc::Sender<Work>> {
    let mut kept = TELLER.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    match &*kept {
        Some((of, teller)) if *of == process => Some(teller.clone()),
        _ => {
            let (teller, told) = mpsc::channel::<Work>();
            let work = move || told.into_iter().for_each(|work| work());
            std::thread::Builder::new().name("amply-teller".to_owned()).spawn(work).ok()?;
            *kept = Some((process, teller.clone()));
            Some(teller)
        }
    }
}

/// A means to wait until all is told that was to be told quietly by then. For whoever is attached to Python.
pub(crate) struct Told(Option<mpsc::Sender<Work>>);

impl Told {
    pub(crate) fn new() -> Self {
        let kept = TELLER.lock().unwrap_or_else(PoisonError::into_inner);
        Self(kept.as_ref().filter(|(of, _)| *of == std::process::id()).map(|(_, teller)| teller.clone()))
    }

    pub(crate) async fn wait(self) {
        let Some(teller) = self.0 else { return };
        let (tell, told) = oneshot::channel();
        let mark = move || {
            let _ = tell.send(());
        };
        if teller.send(Box::new(mark)).is_ok() {
            let _ = tokio::time::timeout(TOLD_WITHIN, told).await;
        }
    }
}

/// Whether this thread is one that tells an observer.
pub(crate) fn is_observing() -> bool {
    IS_OBSERVING.get()
}

/// Marks a thread as one that tells an observer.
#[pyfunction]
pub(crate) fn observing() {
    IS_OBSERVING.set(true);
}

/// What `_events.py` calls when an observer has been told; the one who waits goes on when it is gone, too.
#[pyclass(frozen, module = "amply_sdk._native")]
pub(crate) struct Observed {
    done: Mutex<Option<mpsc::Sender<()>>>,
}

#[pymethods]
impl Observed {
    /// With what the observer raised, which is shown as Python shows what nobody can catch.
    fn __call__(&self, py: Python<'_>, observer: &Bound<'_, PyAny>, error: Option<Bound<'_, PyAny>>) {
        drop(self.done.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(error) = error {
            PyErr::from_value(error).write_unraisable(py, Some(observer));
        }
    }
}

impl Observed {
    pub(crate) fn new() -> (Self, impl FnOnce()) {
        let (done, is_done) = mpsc::channel();
        let wait = move || {
            let _ = is_done.recv_timeout(TOLD_WITHIN);
        };
        (Self { done: Mutex::new(Some(done)) }, wait)
    }
}

/// What `_payment.py` calls with what a payer or a signer came to.
#[pyclass(frozen, module = "amply_sdk._native")]
pub(crate) struct Answered {
    tell: Mutex<Option<Tell>>,
}

type Tell = Box<dyn FnOnce(Python<'_>, PyResult<Bound<'_, PyAny>>) + Send>;

#[pymethods]
impl Answered {
    fn __call__(&self, py: Python<'_>, said: Bound<'_, PyAny>, error: Option<Bound<'_, PyAny>>) {
        let tell = self.tell.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(tell) = tell {
            tell(
                py,
                match error {
                    Some(error) => Err(PyErr::from_value(error)),
                    None => Ok(said),
                },
            );
        }
    }
}

/// Asks a callable by a function of `_payment.py`, on a thread of its own. None when it had no end.
pub(crate) async fn ask<T: Send + 'static>(
    thread: &str,
    by: &str,
    arguments: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>>,
    read: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
) -> Option<Result<T, String>> {
    static ASIDE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let (tell, told) = oneshot::channel();
    let begun = Python::try_attach(|py| {
        let tell: Tell = Box::new(move |py, said| {
            let said = said.and_then(|said| read(&said)).map_err(|error| words(py, &error));
            // The payment may have come to its limit.
            let _ = tell.send(said);
        });
        let answered = Answered { tell: Mutex::new(Some(tell)) };
        let begun = arguments(py).and_then(|arguments| {
            ASIDE.import(py, "amply_sdk._payment", "_aside")?.call1((thread, by, arguments, answered))
        });
        begun.map(drop).map_err(|error| words(py, &error))
    });
    match begun? {
        Ok(()) => told.await.ok(),
        Err(error) => Some(Err(error)),
    }
}

/// An exception by its class. Its message may hold a secret, and what is written here is kept and shown.
fn words(py: Python<'_>, error: &PyErr) -> String {
    let class = error.get_type(py).name().map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
    format!("it raised {class}")
}
