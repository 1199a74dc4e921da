//! What became of reports, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of the reports of a client and its copies since it was made. From
/// [`Outbox::counters`](crate::Outbox::counters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutcomeCounters {
    /// Taken to be delivered in the background.
    pub queued: u64,
    /// Delivered, in the background or at once.
    pub delivered: u64,
    /// Given up, each with its reason in the outbox.
    pub dead: u64,
    /// Lost from memory: the client was closed, or ended, before they could be delivered.
    pub dropped: u64,
    /// Of routes that had been reported before, so that nothing was sent.
    pub repeated: u64,
    /// Tracked routes that were dropped without a report.
    pub unreported: u64,
    /// What the server awarded for reports.
    pub credits_awarded: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) queued: Counter,
    pub(crate) delivered: Counter,
    pub(crate) dead: Counter,
    pub(crate) dropped: Counter,
    pub(crate) repeated: Counter,
    pub(crate) unreported: Counter,
    pub(crate) credits_awarded: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn read(&self) -> OutcomeCounters {
        OutcomeCounters {
            queued: self.queued.get(),
            delivered: self.delivered.get(),
            dead: self.dead.get(),
            dropped: self.dropped.get(),
            repeated: self.repeated.get(),
            unreported: self.unreported.get(),
            credits_awarded: self.credits_awarded.get(),
        }
    }
}
