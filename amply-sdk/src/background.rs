//! The runtimes of this process for work that must not end with a call. On one are running payments and their leases; on the
//! other is what payers and signers have under way, who may block it.
//!
//! A foreground runtime may stand still between two calls, or end; what money depends on runs here.

use std::sync::{Mutex, PoisonError, mpsc};

use tokio::runtime::{Builder, Handle};

use crate::error::Error;

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
static OF_PAYERS: Mutex<Option<Runtime>> = Mutex::new(None);

struct Runtime {
    /// A forked child has a copy of this and no thread behind it.
    process: u32,
    handle: Handle,
}

/// The background runtime, started at first need.
pub(crate) fn handle() -> Result<Handle, Error> {
    running(&RUNTIME, "amply-background", 8)
}

/// The runtime for those who pay and sign, started at first need. Connections and timers of theirs are on it; they themselves
/// run on threads of their own.
pub(crate) fn for_payers() -> Result<Handle, Error> {
    running(&OF_PAYERS, "amply-payers", 64)
}

fn running(runtime: &Mutex<Option<Runtime>>, name: &str, blocking_threads: usize) -> Result<Handle, Error> {
    let process = std::process::id();
    let mut runtime = runtime.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = runtime.as_ref().filter(|running| running.process == process) {
        return Ok(running.handle.clone());
    }
    let handle = start(name, blocking_threads).map_err(|error| {
        Error::config(format!("the thread for work in the background cannot be started: {error}"))
    })?;
    *runtime = Some(Runtime { process, handle: handle.clone() });
    Ok(handle)
}

fn start(name: &str, blocking_threads: usize) -> std::io::Result<Handle> {
    let (tell, told) = mpsc::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let runtime =
            Builder::new_current_thread().enable_all().max_blocking_threads(blocking_threads).build();
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
