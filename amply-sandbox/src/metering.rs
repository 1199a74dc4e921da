//! How many routes of the last 24 hours had a principal behind them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{clock::Timestamp, js::round_to};

const HOUR_MS: i64 = 3_600_000;

/// Counts by the hour: a sandbox that serves for days must not grow.
#[derive(Debug, Default)]
pub(crate) struct Metering(Mutex<BTreeMap<i64, Counts>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) all: u64,
    pub(crate) no_principal: u64,
}

impl Counts {
    /// One decimal; `None` of nothing at all.
    pub(crate) fn no_principal_pct(self) -> Option<f64> {
        (self.all > 0).then(|| round_to(self.no_principal as f64 / self.all as f64 * 100.0, 10.0))
    }
}

impl Metering {
    pub(crate) fn count(&self, bound: bool, now: Timestamp) {
        let mut hours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = now.0.div_euclid(HOUR_MS);
        hours.retain(|counted, _| *counted > hour - 24);
        let counts = hours.entry(hour).or_default();
        counts.all += 1;
        counts.no_principal += u64::from(!bound);
    }

    /// Of this hour and the 23 before it.
    pub(crate) fn last_24h(&self, now: Timestamp) -> Counts {
        let hours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = now.0.div_euclid(HOUR_MS);
        hours.range(hour - 23..=hour).fold(Counts::default(), |sum, (_, counts)| Counts {
            all: sum.all + counts.all,
            no_principal: sum.no_principal + counts.no_principal,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_day_is_no_longer_counted() {
        let metering = Metering::default();
        assert_eq!(metering.last_24h(Timestamp(0)).no_principal_pct(), None);
        metering.count(true, Timestamp(0));
        metering.count(false, Timestamp(23 * HOUR_MS));
        metering.count(true, Timestamp(23 * HOUR_MS));
        let counts = metering.last_24h(Timestamp(23 * HOUR_MS));
        assert_eq!((counts, counts.no_principal_pct()), (Counts { all: 3, no_principal: 1 }, Some(33.3)));
        assert_eq!(metering.last_24h(Timestamp(24 * HOUR_MS)).no_principal_pct(), Some(50.0));
        assert_eq!(metering.last_24h(Timestamp(47 * HOUR_MS)).all, 0);
    }
}
