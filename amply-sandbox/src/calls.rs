//! Settings that are for some of the calls to come, each with the calls that it has seen.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Which calls a setting is for. Counted from 1, from when it was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Calls {
    #[default]
    Always,
    First(u64),
    Nth(u64),
}

impl Calls {
    fn has(self, number: u64) -> bool {
        match self {
            Calls::Always => true,
            Calls::First(count) => number <= count,
            Calls::Nth(nth) => number == nth,
        }
    }
}

/// What is set for calls to come, in the order in which it was added.
#[derive(Debug)]
pub(crate) struct Planned<T>(Mutex<Vec<Plan<T>>>);

#[derive(Debug)]
struct Plan<T> {
    what: T,
    calls: Calls,
    seen: u64,
}

impl<T> Default for Planned<T> {
    fn default() -> Self {
        Planned(Mutex::default())
    }
}

impl<T: Clone> Planned<T> {
    pub(crate) fn add(&self, calls: Calls, what: T) {
        self.plans().push(Plan { what, calls, seen: 0 });
    }

    pub(crate) fn clear(&self) {
        self.plans().clear();
    }

    /// What holds for a call that has come in: of several the one that was added first. All that `may_be` count the call.
    pub(crate) fn of_call(&self, may_be: impl Fn(&T) -> bool) -> Option<T> {
        let mut found = None;
        for plan in self.plans().iter_mut().filter(|plan| may_be(&plan.what)) {
            plan.seen += 1;
            if found.is_none() && plan.calls.has(plan.seen) {
                found = Some(plan.what.clone());
            }
        }
        found
    }

    fn plans(&self) -> MutexGuard<'_, Vec<Plan<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
