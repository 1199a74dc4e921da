//! What is counted by the hour and told of the last 24.
//!
//! Pure: the time is passed in.

use std::collections::BTreeMap;

use crate::clock::Timestamp;

const HOUR_MS: i64 = 3_600_000;

/// Counts of each hour. No more than a day of them: a sandbox that serves for days must not grow.
#[derive(Debug, Default)]
pub(crate) struct Hours<C>(BTreeMap<i64, C>);

impl<C: Default> Hours<C> {
    /// The counts of this hour, to add to.
    pub(crate) fn at(&mut self, now: Timestamp) -> &mut C {
        let hour = hour_of(now);
        self.0.retain(|counted, _| *counted > hour - 24);
        self.0.entry(hour).or_default()
    }

    /// Of this hour and the 23 before it.
    pub(crate) fn last_24h(&self, now: Timestamp) -> impl Iterator<Item = &C> {
        let hour = hour_of(now);
        self.0.range(hour - 23..=hour).map(|(_, counts)| counts)
    }
}

fn hour_of(now: Timestamp) -> i64 {
    now.0.div_euclid(HOUR_MS)
}
