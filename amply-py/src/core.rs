//! A client as both of its faces see it: how it was set up, and what serves it in this process.
//!
//! A forked child has copies of connections and runtimes that nobody drives. It never touches them, nor lets go of them: all
//! is set up anew from the settings, at the first call. The lock is taken only while attached to Python, and so never at a fork.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use amply_sdk::{Client, Error};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::answer::ToPython;
use crate::aside::{self, Told};
use crate::desk::{Desk, Pending, Place};
use crate::error;
use crate::lane::{self, Lane};
use crate::log;
use crate::settings::{Changes, Settings};

/// As many lanes as are kept for later. More are made when more calls run at once.
const IDLE_LANES: usize = 64;

/// What `Client` and `AsyncClient` have inside.
#[pyclass(frozen, module = "amply_sdk._native")]
pub(crate) struct Core {
    shared: Arc<Shared>,
    changes: Changes,
}

struct Shared {
    settings: Settings,
    /// None only while it is being dropped.
    home: Mutex<Option<Home>>,
}

/// What serves the client in one process.
struct Home {
    process: u32,
    client: Client,
    lanes: Vec<Lane>,
    desk: Option<Arc<Desk>>,
    is_closed: bool,
}

impl Home {
    fn new(client: Client) -> Self {
        Self { process: std::process::id(), client, lanes: Vec::new(), desk: None, is_closed: false }
    }

    fn is_here(&self) -> bool {
        self.process == std::process::id()
    }

    fn is_at_work(&self) -> bool {
        self.client.is_reporting() || self.client.is_paying()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let home = self.home.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        match home {
            // What was the parent's would be waited for, and nobody is here to end it.
            Some(home) if !home.is_here() => std::mem::forget(home),
            Some(home) => {
                let client = (!home.is_closed && home.is_at_work()).then(|| home.client.clone());
                aside::quietly(|| drop(home));
                if let Some(client) = client {
                    keep(client);
                }
            }
            None => {}
        }
    }
}

/// All clients, for the end of the interpreter. The locks are taken only while attached to Python.
static CLIENTS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// As many clients are kept that nobody has any more: in an outage they have no end.
const LEFT_AT_MOST: usize = 64;

/// Clients that nobody has any more, which still had something to do: each with its process.
static LEFT: Mutex<Vec<(u32, Client)>> = Mutex::new(Vec::new());

fn register(shared: &Arc<Shared>) {
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if clients.len().is_power_of_two() {
        clients.retain(|client| client.strong_count() > 0);
    }
    clients.push(Arc::downgrade(shared));
}

fn keep(client: Client) {
    let process = std::process::id();
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.push((process, client));
    let (mut at_work, mut done): (Vec<_>, Vec<_>) = std::mem::take(&mut *left)
        .into_iter()
        .partition(|(of, client)| *of != process || client.is_reporting() || client.is_paying());
    if at_work.len() > LEFT_AT_MOST {
        // The oldest goes: it goes on for as long as the server takes what it has.
        done.push(at_work.remove(0));
    }
    *left = at_work;
    drop(left);
    for (of, client) in done {
        match of == process {
            true => aside::quietly(|| drop(client)),
            // The parent's, with its store.
            false => std::mem::forget(client),
        }
    }
}

/// What `close` does, for all clients of this process at once: at the end of the interpreter.
#[pyfunction]
pub(crate) fn end(py: Python<'_>, limit_s: f64) -> PyResult<()> {
    let limit = seconds(py, "limit", limit_s)?;
    let process = std::process::id();
    let known: Vec<Arc<Shared>> = {
        let clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
        clients.iter().filter_map(Weak::upgrade).collect()
    };
    let mut open: Vec<Client> = Vec::new();
    for shared in &known {
        let mut kept = shared.home.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(home) = kept.as_mut().filter(|home| home.is_here() && !home.is_closed) {
            home.is_closed = true;
            open.push(home.client.clone());
        }
    }
    {
        let left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
        open.extend(left.iter().filter(|(of, _)| *of == process).map(|(_, client)| client.clone()));
    }
    if open.is_empty() {
        return Ok(());
    }
    let told = Told::new();
    py.detach(|| {
        let ended = lane::drive_alone(async move {
            let began = Instant::now();
            // A payer may still need the others.
            let (paying, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(Client::is_paying);
            close_all(paying, limit).await;
            close_all(rest, limit.saturating_sub(began.elapsed())).await;
            told.wait().await;
        });
        ended.map_err(|why| Python::attach(|py| error::raised(py, why)))?
    })
}

async fn close_all(clients: Vec<Client>, limit: Duration) {
    let closing: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(async move { client.close(limit).await })).collect();
    for one in closing {
        let _ = one.await;
    }
}

#[pymethods]
impl Core {
    /// Checks the settings, which are those of `Client`, and sends nothing.
    #[new]
    fn new(py: Python<'_>, settings: &Bound<'_, PyDict>) -> PyResult<Self> {
        log::start(py)?;
        let settings = Settings::read(settings)?;
        let client = py.detach(|| settings.build()).map_err(|error| error::raised(py, error))?;
        let shared = Arc::new(Shared { settings, home: Mutex::new(Some(Home::new(client))) });
        register(&shared);
        Ok(Self { shared, changes: Changes::default() })
    }

    /// A copy with other options for some calls.
    fn with_options(&self, changes: &Bound<'_, PyDict>) -> PyResult<Self> {
        let before = self.shared.settings.changes.clone().and(self.changes.clone());
        let changes = before.and(Changes::read(changes)?);
        Ok(Self { shared: Arc::clone(&self.shared), changes })
    }

    #[getter]
    fn base_url(&self, py: Python<'_>) -> PyResult<String> {
        self.at_home(py, |home| home.client.base_url().to_owned())
    }

    #[getter]
    fn key_kind(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        self.at_home(py, |home| home.client.key_kind().map(crate::answer::key_kind))
    }

    #[getter]
    fn is_paying(&self, py: Python<'_>) -> PyResult<bool> {
        let client = self.client(py)?;
        Ok(py.detach(|| client.is_paying()))
    }

    /// Whether reports can be committed to a file.
    #[getter]
    fn has_file(&self) -> bool {
        self.shared.settings.has_file()
    }

    #[getter]
    fn is_closed(&self, py: Python<'_>) -> PyResult<bool> {
        self.at_home(py, |home| home.is_closed)
    }

    /// Takes no more calls, and waits for what must not be broken off.
    fn close(&self, py: Python<'_>, limit_s: f64) -> PyResult<()> {
        let limit = seconds(py, "limit", limit_s)?;
        if self.at_home(py, |home| home.is_closed)? {
            return Ok(());
        }
        let told = Told::new();
        self.call(py, move |client| async move {
            client.close(limit).await;
            told.wait().await;
            Ok(())
        })?;
        self.let_go(py)
    }

    fn close_async(&self, py: Python<'_>, limit_s: f64) -> PyResult<Option<Pending>> {
        let limit = seconds(py, "limit", limit_s)?;
        if self.at_home(py, |home| home.is_closed)? {
            return Ok(None);
        }
        let told = Told::new();
        self.start(py, move |client| async move {
            client.close(limit).await;
            told.wait().await;
            Ok(())
        })
        .map(Some)
    }

    /// Gives back what the client holds, after it was closed. Calls that are under way come to their end all the same.
    fn let_go(&self, py: Python<'_>) -> PyResult<()> {
        let (lanes, desk) = self.at_home(py, |home| {
            home.is_closed = true;
            (std::mem::take(&mut home.lanes), home.desk.take())
        })?;
        aside::quietly(|| drop((lanes, desk)));
        Ok(())
    }

    /// Pickling would write the key down.
    fn __reduce__(&self) -> PyResult<()> {
        Err(pyo3::exceptions::PyTypeError::new_err(
            "a client cannot be pickled: it holds a key and connections; make one in each process",
        ))
    }
}

impl Core {
    /// Makes a call, and waits for it without the GIL.
    pub(crate) fn call<F, T>(&self, py: Python<'_>, call: impl FnOnce(Arc<Client>) -> F + Send) -> PyResult<T>
    where
        F: Future<Output = Result<T, Error>>,
        T: Send,
    {
        if tokio::runtime::Handle::try_current().is_ok() || aside::is_observing() {
            return Err(error::config(
                py,
                "a client cannot be called from within its own call, such as from `on_event` or a log handler; hand it to \
                 another thread",
            ));
        }
        log::refresh(py);
        let lane = self.lane(py)?;
        let changes = &self.changes;
        let outcome = py.detach(|| lane.run(|client| call(changes.apply(client))));
        let unwanted = self.at_home(py, |home| {
            if home.lanes.len() < IDLE_LANES && !home.is_closed {
                home.lanes.push(lane);
                return None;
            }
            Some(lane)
        })?;
        drop(unwanted);
        outcome?.map_err(|error| error::raised(py, error))
    }

    /// The same, with the result as Python has it.
    pub(crate) fn ask<F, T>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(Arc<Client>) -> F + Send,
    ) -> PyResult<Py<PyAny>>
    where
        F: Future<Output = Result<T, Error>>,
        T: ToPython,
    {
        self.call(py, call)?.to_python(py)
    }

    /// For calls that may pay: one that a payer makes with a client that has a payer would wait for itself.
    pub(crate) fn check_pays_for_nobody(&self, py: Python<'_>) -> PyResult<()> {
        static IS_ASKED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        if !self.shared.settings.has_payer() {
            return Ok(());
        }
        let is_asked = IS_ASKED.import(py, "amply_sdk._payment", "_is_asked")?;
        if is_asked.call_method0("get")?.is_truthy()? {
            return Err(error::config(
                py,
                "a payer cannot make a call that may have to be paid for: it would wait for itself; ask with a client that has \
                 no payer",
            ));
        }
        Ok(())
    }

    /// Begins a call for the event loop that runs now.
    pub(crate) fn start<F, T>(&self, py: Python<'_>, call: impl FnOnce(Arc<Client>) -> F) -> PyResult<Pending>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
        T: ToPython,
    {
        log::refresh(py);
        loop {
            let Some(desk) = self.at_open_home(py, |home| home.desk.clone())? else {
                let client = self.client(py)?;
                let desk = Arc::new(Desk::new(py, &client)?);
                self.shared.settings.on_loop(py, desk.event_loop());
                self.at_home(py, |home| home.desk = Some(desk))?;
                continue;
            };
            match desk.is_here(py)? {
                Place::Here => return desk.start(py, |client| call(self.changes.apply(client))),
                Place::Gone => drop(self.at_home(py, |home| home.desk.take())?),
                Place::Elsewhere => {
                    return Err(error::config(
                        py,
                        "this AsyncClient is used in another event loop that still runs; make a client for each loop",
                    ));
                }
            }
        }
    }

    fn lane(&self, py: Python<'_>) -> PyResult<Lane> {
        let lane = self.at_open_home(py, |home| home.lanes.pop())?;
        let client = match lane {
            Some(lane) => return Ok(lane),
            None => self.client(py)?,
        };
        py.detach(|| Lane::new(&client)).map_err(|error| error::raised(py, error))
    }

    /// The client for what neither waits nor sends. Its connections are nobody's.
    pub(crate) fn client(&self, py: Python<'_>) -> PyResult<Client> {
        self.at_home(py, |home| home.client.clone())
    }

    /// Looks at what serves the client in this process. Nothing of Python may run meanwhile: it may turn to another thread,
    /// which may want the same.
    fn at_home<T>(&self, py: Python<'_>, look: impl FnOnce(&mut Home) -> T) -> PyResult<T> {
        let mut kept = self.shared.home.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(home) = kept.as_mut().filter(|home| home.is_here()) {
            return Ok(look(home));
        }
        let was_closed = kept.as_ref().is_some_and(|home| home.is_closed);
        drop(kept);
        let settings = &self.shared.settings;
        let client = py.detach(|| settings.build()).map_err(|error| error::raised(py, error))?;
        static BEGIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        BEGIN.import(py, "amply_sdk._base", "_begin_here")?.call0()?;
        let mut kept = self.shared.home.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.as_ref().is_some_and(Home::is_here) {
            // Never let go of what was the parent's: it would wait for threads that are not here.
            std::mem::forget(kept.take());
        }
        let home = kept.get_or_insert_with(|| Home { is_closed: was_closed, ..Home::new(client) });
        Ok(look(home))
    }

    /// The same, for a call.
    fn at_open_home<T>(&self, py: Python<'_>, look: impl FnOnce(&mut Home) -> T) -> PyResult<T> {
        let looked = self.at_home(py, |home| (!home.is_closed).then(|| look(home)))?;
        looked.ok_or_else(|| error::config(py, "the client is closed; make a new one"))
    }
}

pub(crate) fn seconds(py: Python<'_>, name: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        error::invalid(py, &format!("{name} is {seconds} s; it must be a number of seconds, 0 or more"))
    })
}
