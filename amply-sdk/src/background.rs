//! The one runtime of this process for work that must not end with a call: running payments and their leases.
//!
//! A foreground runtime may stand still between two calls, or end; what money depends on runs here.

use std::sync::{Mutex, PoisonError, mpsc};

use tokio::runtime::{Builder, Handle};

use crate::error::Error;

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

struct Runtime {
    /// A forked child has a copy of this and no thread behind it.
    process: u32,
    handle: Handle,
}

/// The background runtime, started at first need.
pub(crate) fn handle() -> Result<Handle, Error> {
    let process = std::process::id();
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = runtime.as_ref().filter(|running| running.process == process) {
        return Ok(running.handle.clone());
    }
    let handle = start().map_err(|error| {
        Error::config(format!("the thread for work in the background cannot be started: {error}"))
    })?;
    *runtime = Some(Runtime { process, handle: handle.clone() });
    Ok(handle)
}

fn start() -> std::io::Result<Handle> {
    let (tell, told) = mpsc::channel();
    std::thread::Builder::new().name("amply-background".to_owned()).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(8).build();
        match runtime {
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
