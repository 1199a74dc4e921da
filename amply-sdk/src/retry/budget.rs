//! A token bucket that keeps retries from making an outage worse.

use std::sync::atomic::{AtomicI64, Ordering};

/// What the bucket holds at first, and at most.
const CAPACITY: i64 = 100;
/// What a repeat takes.
const COST: i64 = 5;
/// What a repeat after a timeout takes: a server that is too slow needs fewer requests most of all.
const COST_AFTER_TIMEOUT: i64 = 10;
/// What a call that succeeds at first brings.
const GAIN: i64 = 1;

/// Shared by all calls of a client. It knows nothing of HTTP.
#[derive(Debug)]
pub(crate) struct Budget(AtomicI64);

/// What a repeat took; given back when the repeat succeeds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken(i64);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicI64::new(CAPACITY))
    }
}

impl Budget {
    /// Pays for one repeat, or refuses it.
    pub(crate) fn take(&self, after_timeout: bool) -> Option<Taken> {
        let cost = if after_timeout { COST_AFTER_TIMEOUT } else { COST };
        let pay = |held: i64| (held >= cost).then_some(held - cost);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).ok().map(|_| Taken(cost))
    }

    /// A call succeeded: its last repeat gives back what it took, a call without repeats brings a little.
    pub(crate) fn succeeded(&self, last: Option<Taken>) {
        let gain = last.map_or(GAIN, |Taken(cost)| cost);
        let fill = |held: i64| (held < CAPACITY).then_some((held + gain).min(CAPACITY));
        // A full bucket stays as it is.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bucket_refuses_and_fills_by_one_for_a_success() {
        let budget = Budget::default();
        let taken = std::iter::from_fn(|| budget.take(false)).count();
        assert_eq!(taken, 20);
        (0..4).for_each(|_| budget.succeeded(None));
        assert!(budget.take(false).is_none());
        budget.succeeded(None);
        assert!(budget.take(false).is_some());
    }

    #[test]
    fn a_repeat_that_succeeds_costs_nothing_and_one_after_a_timeout_costs_double() {
        let budget = Budget::default();
        for _ in 0..1000 {
            let taken = budget.take(true);
            assert!(taken.is_some());
            budget.succeeded(taken);
        }
        assert_eq!(std::iter::from_fn(|| budget.take(true)).count(), 10);
    }
}
