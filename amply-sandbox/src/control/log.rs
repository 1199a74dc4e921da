//! The calls that a sandbox saw.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

/// How many calls are remembered: a sandbox that serves for days must not grow.
const REMEMBERED: usize = 10_000;

/// One request that the sandbox received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Call {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path, with the query if there was one: `/api/v1/route`.
    pub path: String,
    /// Names in lower case, in no promised order; a name may occur more than once. The value of `Authorization` is kept.
    pub headers: Vec<(String, String)>,
    /// The body, at most its first mebibyte; bytes that are not UTF-8 are replaced. What is sent to `/credentials` is shown
    /// without the secret: `(redacted)` stands for it, and for a body that cannot be read.
    pub body: String,
    /// Status of the answer; 0 while there is none yet. Of an answer that a fault lost or cut: what it would have been.
    pub status: u16,
}

#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    calls: VecDeque<(u64, Call)>,
}

impl Log {
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.entries().calls.iter().map(|(_, call)| call.clone()).collect()
    }

    pub(crate) fn clear(&self) {
        self.entries().calls.clear();
    }

    /// Takes down a call that has no answer yet; the number is for [`Log::answered`].
    pub(crate) fn arrived(&self, call: Call) -> u64 {
        let mut entries = self.entries();
        let number = entries.next;
        entries.next += 1;
        if entries.calls.len() == REMEMBERED {
            entries.calls.pop_front();
        }
        entries.calls.push_back((number, call));
        number
    }

    pub(crate) fn answered(&self, number: u64, status: u16) {
        // By number and not by position: the list may have been cleared in between.
        if let Some((_, call)) = self.entries().calls.iter_mut().rev().find(|(n, _)| *n == number) {
            call.status = status;
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
