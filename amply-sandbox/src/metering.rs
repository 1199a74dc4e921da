//! How many routes of the last 24 hours had a principal behind them.

use std::sync::{Mutex, PoisonError};

use crate::{clock::Timestamp, hours::Hours, js::round_to};

#[derive(Debug, Default)]
pub(crate) struct Metering(Mutex<Hours<Counts>>);

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
        let counts = hours.at(now);
        counts.all += 1;
        counts.no_principal += u64::from(!bound);
    }

    /// Of this hour and the 23 before it.
    pub(crate) fn last_24h(&self, now: Timestamp) -> Counts {
        let hours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hours.last_24h(now).fold(Counts::default(), |sum, counts| Counts {
            all: sum.all + counts.all,
            no_principal: sum.no_principal + counts.no_principal,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

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
