//! Calls without asyncio: the calling thread drives a runtime itself, so that no other thread has to be woken.
//!
//! A lane is a runtime with connections of its own. A call takes one and gives it back; as many calls as run at once have
//! one each.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use amply_sdk::{Client, Error};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

/// How long Ctrl-C may go unnoticed.
const TURN: Duration = Duration::from_millis(50);

pub(crate) struct Lane {
    client: Arc<Client>,
    /// None once it is being dropped.
    runtime: Option<Runtime>,
}

impl Lane {
    pub(crate) fn new(client: &Client) -> Result<Self, Error> {
        let runtime = runtime()?;
        Ok(Self { client: Arc::new(client.apart()?), runtime: Some(runtime) })
    }

    /// Drives a call to its end, or until a signal raises an exception: then the call is dropped.
    pub(crate) fn run<F, T>(&self, call: impl FnOnce(Arc<Client>) -> F) -> PyResult<Result<T, Error>>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let Some(runtime) = &self.runtime else {
            return Ok(Err(Error::Config("the client is closed; make a new one".to_owned())));
        };
        runtime.block_on(async { drive(pin!(call(Arc::clone(&self.client)))).await })
    }
}

/// Does some work on a runtime of its own.
pub(crate) fn drive_alone<T>(work: impl Future<Output = T>) -> Result<PyResult<T>, Error> {
    let runtime = runtime()?;
    let done = runtime.block_on(drive(pin!(work)));
    runtime.shutdown_background();
    Ok(done)
}

async fn drive<T>(mut work: Pin<&mut impl Future<Output = T>>) -> PyResult<T> {
    loop {
        match tokio::time::timeout(TURN, &mut work).await {
            Ok(outcome) => return Ok(outcome),
            Err(_) => Python::attach(|py| py.check_signals())?,
        }
    }
}

fn runtime() -> Result<Runtime, Error> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    runtime.map_err(|error| {
        Error::Config(format!("the client cannot begin its work: {error}; close files that are not needed"))
    })
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Else it would wait for a name that is still being looked up.
            runtime.shutdown_background();
        }
    }
}
