//! What a test wants to know of the sandbox that no client of the API can ask: the calls it saw.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many calls are remembered: a sandbox that serves for days must not grow.
const REMEMBERED: usize = 10_000;

/// A handle to a running sandbox. Cheap to clone; goes on working after the sandbox has stopped.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Mutex<Log>>);

/// One request that the sandbox received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path, with the query if there was one: `/api/v1/route`.
    pub path: String,
    /// Names in lower case, in no promised order; a name may occur more than once. The value of `Authorization` is kept.
    pub headers: Vec<(String, String)>,
    /// The body, at most its first mebibyte; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// Status of the answer; 0 while there is none yet.
    pub status: u16,
}

#[derive(Debug, Default)]
struct Log {
    next: u64,
    calls: VecDeque<(u64, Call)>,
}

impl Control {
    /// The calls seen so far, in the order of their arrival, those included that were refused or met no endpoint.
    /// The last 10,000 are remembered.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.log().calls.iter().map(|(_, call)| call.clone()).collect()
    }

    /// Forgets the calls seen so far. Ids and counts of the server go on.
    pub fn clear(&self) {
        self.log().calls.clear();
    }

    /// Takes down a call that has no answer yet; the number is for [`Control::answered`].
    pub(crate) fn arrived(&self, call: Call) -> u64 {
        let mut log = self.log();
        let number = log.next;
        log.next += 1;
        if log.calls.len() == REMEMBERED {
            log.calls.pop_front();
        }
        log.calls.push_back((number, call));
        number
    }

    pub(crate) fn answered(&self, number: u64, status: u16) {
        // By number and not by position: the list may have been cleared in between.
        if let Some((_, call)) = self.log().calls.iter_mut().rev().find(|(n, _)| *n == number) {
            call.status = status;
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
