//! How often one client may call: per minute or hour and address, per day and principal.
//!
//! Pure but for their own counts: the time is passed in.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::clock::Timestamp;

const MINUTE_MS: i64 = 60_000;
/// Beyond this many clients those whose time is over are forgotten, so that a sandbox does not grow with every address.
const REMEMBERED: usize = 1_000;

/// Counts within windows of time, one for each client.
#[derive(Debug, Default)]
pub(crate) struct Windows(Mutex<HashMap<String, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: Timestamp,
    used: u32,
}

impl Windows {
    /// Takes one of `limit` requests in the minute that the client's first request began; else the whole seconds left of it.
    ///
    /// [our] a fixed window: the recordings show `Retry-After` counting down from the first request on, refused ones
    /// included, which a window that slides would show alike.
    pub(crate) fn take_of_minute(&self, client: &str, limit: u32, now: Timestamp) -> Result<(), u64> {
        self.take(client, limit, now, Timestamp(now.0.saturating_add(MINUTE_MS)))
    }

    /// The same of an hour.
    pub(crate) fn take_of_hour(&self, client: &str, limit: u32, now: Timestamp) -> Result<(), u64> {
        self.take(client, limit, now, Timestamp(now.0.saturating_add(60 * MINUTE_MS)))
    }

    /// Takes one of `limit` routes of the UTC day; else the whole seconds left of it.
    pub(crate) fn take_of_day(&self, principal: &str, limit: u32, now: Timestamp) -> Result<(), u64> {
        self.take(principal, limit, now, now.next_day())
    }

    /// Undoes one [`take_of_day`](Windows::take_of_day), if its day is not over.
    pub(crate) fn give_back(&self, client: &str, now: Timestamp) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get_mut(client).filter(|window| now < window.ends) {
            window.used = window.used.saturating_sub(1);
        }
    }

    fn take(&self, client: &str, limit: u32, now: Timestamp, ends: Timestamp) -> Result<(), u64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= REMEMBERED {
            windows.retain(|_, window| now < window.ends);
        }
        let window = windows.entry(client.to_owned()).or_insert(Window { ends, used: 0 });
        if now >= window.ends {
            *window = Window { ends, used: 0 };
        }
        if window.used < limit {
            window.used += 1;
            return Ok(());
        }
        let left_ms = u64::try_from(window.ends.0.saturating_sub(now.0)).unwrap_or(0);
        Err(left_ms.div_ceil(1000).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seconds_to_wait_count_down_to_the_end_of_the_minute() {
        let windows = Windows::default();
        let take = |at| windows.take_of_minute("a", 2, Timestamp(at));
        assert_eq!([take(1000), take(1000), take(1000)], [Ok(()), Ok(()), Err(60)]);
        assert_eq!([take(1001), take(2000), take(60_999)], [Err(60), Err(59), Err(1)]);
        assert_eq!(windows.take_of_minute("b", 2, Timestamp(60_999)), Ok(()));
        assert_eq!([take(61_000), take(61_000), take(61_000)], [Ok(()), Ok(()), Err(60)]);
    }

    #[test]
    fn a_quota_begins_anew_at_midnight() {
        let windows = Windows::default();
        let take = |at: &str| windows.take_of_day("p", 1, Timestamp::parse(at).unwrap());
        assert_eq!(take("2026-11-23T23:59:58Z"), Ok(()));
        assert_eq!(take("2026-11-23T23:59:58.500Z"), Err(2));
        assert_eq!(take("2026-11-24T00:00:00Z"), Ok(()));
        assert_eq!(take("2026-11-24T00:00:00Z"), Err(86_400));
    }

    #[test]
    fn clients_of_the_past_are_forgotten_once_there_are_many() {
        let windows = Windows::default();
        for client in 0..5000 {
            assert_eq!(windows.take_of_minute(&client.to_string(), 1, Timestamp(client * MINUTE_MS)), Ok(()));
        }
        assert!(windows.0.lock().unwrap().len() <= REMEMBERED);
    }
}
