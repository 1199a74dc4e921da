//! The runtimes of this process for work that must not end with a call. On one are running payments and their leases; on the
//! other is what payers and signers have under way, who may block it.
//!
//! A foreground runtime may stand still between two calls, or end; what money depends on runs here.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use tokio::runtime::{Builder, Handle};

use crate::error::Error;

/// One for this process, and one for each that it was forked from, by way of its parents.
static PLACES: [Place; 32] = [const { Place::free() }; 32];

/// Where a process keeps its runtimes. A forked child has a copy of its parent's, with no thread behind them, and a
/// lock that another thread may have held at the fork, which is then never opened.
struct Place {
    /// Whose it is; 0 while it is nobody's.
    process: AtomicU32,
    runtime: Mutex<Option<Handle>>,
    of_payers: Mutex<Option<Handle>>,
}

impl Place {
    const fn free() -> Self {
        Self { process: AtomicU32::new(0), runtime: Mutex::new(None), of_payers: Mutex::new(None) }
    }

    /// The place of a process among these, taken at first need. No lock is touched.
    fn of(process: u32, places: &[Self]) -> Option<&Self> {
        places.iter().find(|place| {
            match place.process.compare_exchange(0, process, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => true,
                Err(taken_by) => taken_by == process,
            }
        })
    }
}

/// The background runtime, started at first need.
pub(crate) fn handle() -> Result<Handle, Error> {
    running(|place| &place.runtime, "amply-background", 8)
}

/// The runtime for those who pay and sign, started at first need. Connections and timers of theirs are on it; they themselves
/// run on threads of their own.
pub(crate) fn for_payers() -> Result<Handle, Error> {
    running(|place| &place.of_payers, "amply-payers", 64)
}

fn running(
    which: fn(&Place) -> &Mutex<Option<Handle>>,
    name: &str,
    blocking_threads: usize,
) -> Result<Handle, Error> {
    let Some(place) = Place::of(std::process::id(), &PLACES) else {
        return Err(Error::config(
            "this process comes from too many forks in a row to work in the background",
        ));
    };
    let mut runtime = which(place).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*runtime {
        return Ok(handle.clone());
    }
    let handle = start(name, blocking_threads).map_err(|error| {
        Error::config(format!("the thread for work in the background cannot be started: {error}"))
    })?;
    Ok(runtime.insert(handle).clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_waits_for_no_lock_that_its_parent_held_at_the_fork() {
        let places = [const { Place::free() }; 2];
        let (parent, child) = (1, 2);
        let of_parent = Place::of(parent, &places).unwrap();
        let _held_by_a_thread_of_the_parent = of_parent.runtime.lock().unwrap();
        let of_child = Place::of(child, &places).unwrap();
        assert!(of_child.runtime.try_lock().is_ok());
        // Each finds its own again, and there is an end to them.
        assert!(std::ptr::eq(Place::of(child, &places).unwrap(), of_child));
        assert!(std::ptr::eq(Place::of(parent, &places).unwrap(), of_parent));
        assert!(Place::of(3, &places).is_none());
    }
}
