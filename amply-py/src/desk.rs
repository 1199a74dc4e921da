//! Calls with asyncio: one thread drives them all, and what is done lies on a desk until the loop comes for it.
//!
//! Waking a loop for each result costs more than the request. So the first result on an empty desk rings a bell, a byte on a
//! descriptor that the loop watches, and one callback hands out all that has come.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};

use amply_sdk::{Client, Error};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

use self::bell::Bell;
use crate::answer::ToPython;
use crate::aside;
use crate::error;

/// The place where one event loop gets the results of one client.
pub(crate) struct Desk {
    client: Arc<Client>,
    event_loop: Py<PyAny>,
    create_future: Py<PyAny>,
    /// To the thread of this process.
    jobs: UnboundedSender<Job>,
    done: Arc<Done>,
}

/// What the loop and the thread that drives the calls share.
struct Done {
    waiting: Mutex<Waiting>,
    bell: Bell,
}

struct Waiting {
    /// Each with the future that it is for.
    results: Vec<(Py<PyAny>, Outcome)>,
    /// How many calls will have one.
    under_way: usize,
    /// Whether more calls may begin.
    is_open: bool,
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.under_way == 0 && self.results.is_empty()
    }
}

type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

impl Desk {
    /// A desk for the loop that runs now.
    pub(crate) fn new(py: Python<'_>, client: &Client) -> PyResult<Self> {
        let event_loop = running_loop(py)?;
        let client = py.detach(|| client.apart()).map_err(|error| error::raised(py, error))?;
        let bell = Bell::new(py, &event_loop)?;
        let waiting = Mutex::new(Waiting { results: Vec::new(), under_way: 0, is_open: true });
        let done = Arc::new(Done { waiting, bell });
        let hand_out = HandOut { done: Arc::clone(&done), event_loop: event_loop.clone().unbind() };
        let hand_out = hand_out.into_pyobject(py)?;
        done.bell.listen(py, &event_loop, hand_out.as_any())?;
        let create_future = event_loop.getattr("create_future")?.unbind();
        let jobs = thread(py)?;
        Ok(Self { client: Arc::new(client), event_loop: event_loop.unbind(), create_future, jobs, done })
    }

    /// Whether this is the desk of the loop that runs now. A desk whose loop is closed is nobody's, and so is one whose loop
    /// stands still with no call under way.
    pub(crate) fn is_here(&self, py: Python<'_>) -> PyResult<Place> {
        let running = running_loop(py)?;
        if self.event_loop.is(&running) {
            return Ok(Place::Here);
        }
        let event_loop = self.event_loop.bind(py);
        // One that stands still may run again; nobody waits there until then.
        let is_gone = event_loop.call_method0("is_closed")?.is_truthy()?
            || self.done.waiting().is_idle() && !event_loop.call_method0("is_running")?.is_truthy()?;
        Ok(if is_gone { Place::Gone } else { Place::Elsewhere })
    }

    pub(crate) fn event_loop(&self) -> &Py<PyAny> {
        &self.event_loop
    }

    /// Begins a call.
    pub(crate) fn start<F, T>(&self, py: Python<'_>, call: impl FnOnce(Arc<Client>) -> F) -> PyResult<Pending>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
        T: ToPython,
    {
        let future = self.create_future.call0(py)?;
        let (done, kept) = (Caller::new(&self.done), future.clone_ref(py));
        // It is some kilobytes large, and moved no more from here on.
        let call = Box::pin(call(Arc::clone(&self.client)));
        let work = Box::pin(async move {
            let outcome: Outcome = match call.await {
                Ok(value) => Box::new(move |py| value.to_python(py)),
                Err(error) => Box::new(move |py| Err(error::raised(py, error))),
            };
            done.put(kept, outcome);
        });
        let stop = Arc::new(Stop::default());
        // The other side lives as long as the process.
        let _ = self.jobs.send(Job { work, stop: Arc::clone(&stop) });
        Ok(Pending { future, stop })
    }
}

/// The loop goes on listening for the calls that are under way, and no longer: the handler looks when the bell has rung.
impl Drop for Desk {
    fn drop(&mut self) {
        self.done.waiting().is_open = false;
        self.done.bell.ring();
    }
}

/// A call that is under way.
struct Caller(Option<Arc<Done>>);

impl Caller {
    fn new(done: &Arc<Done>) -> Self {
        done.waiting().under_way += 1;
        Self(Some(Arc::clone(done)))
    }

    fn put(mut self, future: Py<PyAny>, outcome: Outcome) {
        if let Some(done) = self.0.take() {
            done.put(Some((future, outcome)));
        }
    }
}

/// It was cancelled.
impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done.put(None);
        }
    }
}

pub(crate) enum Place {
    Here,
    Elsewhere,
    Gone,
}

/// What nobody came for.
impl Drop for Done {
    fn drop(&mut self) {
        let waiting = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
        let results = std::mem::take(&mut waiting.results);
        aside::quietly(|| drop(results));
    }
}

impl Done {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of a call.
    fn put(&self, result: Option<(Py<PyAny>, Outcome)>) {
        let mut waiting = self.waiting();
        waiting.under_way = waiting.under_way.saturating_sub(1);
        let must_ring = match result {
            Some(_) => waiting.results.is_empty(),
            None => !waiting.is_open,
        };
        waiting.results.extend(result);
        drop(waiting);
        if must_ring {
            self.bell.ring();
        }
    }
}

/// What the loop calls when the bell has rung.
#[pyclass(frozen, module = "amply_sdk._native")]
struct HandOut {
    done: Arc<Done>,
    event_loop: Py<PyAny>,
}

#[pymethods]
impl HandOut {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.done.bell.hear();
        let results = std::mem::take(&mut self.done.waiting().results);
        for (future, outcome) in results {
            let future = future.bind(py);
            // It was cancelled, and its task comes to an end.
            if future.call_method0(pyo3::intern!(py, "done"))?.is_truthy()? {
                aside::quietly(|| drop(outcome));
                continue;
            }
            match outcome(py) {
                Ok(value) => future.call_method1(pyo3::intern!(py, "set_result"), (value,))?,
                Err(error) => {
                    future.call_method1(pyo3::intern!(py, "set_exception"), (error.into_value(py),))?
                }
            };
        }
        // Neither the client nor a call of it is left.
        let is_left = {
            let waiting = self.done.waiting();
            !waiting.is_open && waiting.is_idle()
        };
        if is_left {
            self.done.bell.ignore(py, self.event_loop.bind(py));
        }
        Ok(())
    }
}

/// A call that runs.
#[pyclass(frozen, module = "amply_sdk._native")]
pub(crate) struct Pending {
    #[pyo3(get)]
    future: Py<PyAny>,
    stop: Arc<Stop>,
}

#[pymethods]
impl Pending {
    /// Ends the call. A payment that runs goes on.
    fn cancel(&self) {
        self.stop.stop();
    }
}

/// A call on its way to the thread that drives it. Handed over in a queue: a thread that is at work is not woken for each.
struct Job {
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    stop: Arc<Stop>,
}

#[derive(Default)]
struct Stop {
    is_wanted: AtomicBool,
    task: OnceLock<AbortHandle>,
}

impl Stop {
    fn stop(&self) {
        self.is_wanted.store(true, Ordering::SeqCst);
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

async fn drive(mut jobs: UnboundedReceiver<Job>) {
    while let Some(Job { work, stop }) = jobs.recv().await {
        if stop.is_wanted.load(Ordering::SeqCst) {
            continue;
        }
        let _ = stop.task.set(tokio::spawn(work).abort_handle());
        // It may have been wanted in between.
        if stop.is_wanted.load(Ordering::SeqCst) {
            stop.stop();
        }
    }
}

pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GET.import(py, "asyncio", "get_running_loop")?.call0()
}

/// The thread that drives the calls of all event loops of this process. Only looked at while attached to Python, so that no
/// fork meets the lock taken.
fn thread(py: Python<'_>) -> PyResult<UnboundedSender<Job>> {
    static THREAD: Mutex<Option<(u32, UnboundedSender<Job>)>> = Mutex::new(None);
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    match &*thread {
        Some((of, jobs)) if *of == process => Ok(jobs.clone()),
        _ => {
            let runtime = start("amply-asyncio").map_err(|why| {
                error::config(py, &format!("the thread for calls of asyncio cannot be started: {why}"))
            })?;
            let (jobs, queue) = unbounded_channel();
            runtime.spawn(drive(queue));
            *thread = Some((process, jobs.clone()));
            Ok(jobs)
        }
    }
}

/// Starts a thread with a runtime that runs as long as the process.
pub(crate) fn start(name: &str) -> std::io::Result<Handle> {
    let (tell, told) = mpsc::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        match Builder::new_current_thread().enable_all().max_blocking_threads(4).build() {
            Ok(runtime) => {
                // Whoever asked may have gone; the next one finds the runtime all the same.
                let _ = tell.send(Ok(runtime.handle().clone()));
                runtime.block_on(std::future::pending::<()>());
            }
            Err(error) => {
                let _ = tell.send(Err(error));
            }
        }
    })?;
    told.recv().unwrap_or_else(|_| Err(std::io::Error::other("it ended at once")))
}

#[cfg(unix)]
mod bell {
    //! A pair of sockets: one byte is written, the loop watches the other end.

    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use pyo3::prelude::*;

    pub(super) struct Bell {
        ringing: UnixStream,
        hearing: UnixStream,
    }

    impl Bell {
        pub(super) fn new(_py: Python<'_>, _event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
            let (ringing, hearing) = UnixStream::pair()?;
            ringing.set_nonblocking(true)?;
            hearing.set_nonblocking(true)?;
            Ok(Self { ringing, hearing })
        }

        pub(super) fn listen(
            &self,
            _py: Python<'_>,
            event_loop: &Bound<'_, PyAny>,
            hand_out: &Bound<'_, PyAny>,
        ) -> PyResult<()> {
            event_loop.call_method1("add_reader", (self.hearing.as_raw_fd(), hand_out))?;
            Ok(())
        }

        pub(super) fn ring(&self) {
            // A full socket has bytes enough to wake the loop; a closed one has nobody to wake.
            let _ = (&self.ringing).write(&[1]);
        }

        pub(super) fn hear(&self) {
            let mut bytes = [0; 64];
            while (&self.hearing).read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
        }

        pub(super) fn ignore(&self, _py: Python<'_>, event_loop: &Bound<'_, PyAny>) {
            // A loop that is closed listens to nothing.
            let _ = event_loop.call_method1("remove_reader", (self.hearing.as_raw_fd(),));
        }
    }
}

#[cfg(not(unix))]
mod bell {
    //! Where a loop watches no descriptors it is called from the other thread.

    use pyo3::prelude::*;
    use pyo3::sync::PyOnceLock;

    pub(super) struct Bell {
        call_soon: Py<PyAny>,
        hand_out: PyOnceLock<Py<PyAny>>,
    }

    impl Bell {
        pub(super) fn new(_py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
            let call_soon = event_loop.getattr("call_soon_threadsafe")?.unbind();
            Ok(Self { call_soon, hand_out: PyOnceLock::new() })
        }

        pub(super) fn listen(
            &self,
            py: Python<'_>,
            _event_loop: &Bound<'_, PyAny>,
            hand_out: &Bound<'_, PyAny>,
        ) -> PyResult<()> {
            let _ = self.hand_out.set(py, hand_out.clone().unbind());
            Ok(())
        }

        pub(super) fn ring(&self) {
            Python::try_attach(|py| {
                if let Some(hand_out) = self.hand_out.get(py) {
                    // A loop that is closed has nobody who waits.
                    let _ = self.call_soon.call1(py, (hand_out,));
                }
            });
        }

        pub(super) fn hear(&self) {}

        pub(super) fn ignore(&self, _py: Python<'_>, _event_loop: &Bound<'_, PyAny>) {}
    }
}
