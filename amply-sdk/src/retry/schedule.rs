//! How long to wait before the next attempt.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBuilder};
use http::header::{HeaderMap, RETRY_AFTER};

/// Waits between attempts: from 100 ms, doubling, at most 5 s, with jitter.
pub(crate) fn delays() -> impl Iterator<Item = Duration> {
    delays_within(Duration::from_millis(100), Duration::from_secs(5))
}

/// Waits that double, with jitter.
pub(crate) fn delays_within(first: Duration, longest: Duration) -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

/// How long the server asks to wait: seconds or a date. Anything else is as if it had said nothing.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // A date that has passed means now.
    httpdate::parse_http_date(value).ok().map(|at| at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        // Sun, 06 Nov 1994 08:49:37 GMT, the date of the HTTP specification.
        retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        assert_eq!(read("59"), Some(Duration::from_secs(59)));
        assert_eq!(read("315360000"), Some(Duration::from_secs(315_360_000)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:07 GMT"), Some(Duration::ZERO));
        for garbage in ["soon", "-1", "1.5", "", "99999999999999999999"] {
            assert_eq!(read(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        for wait in delays().take(40) {
            assert!(wait >= Duration::from_millis(100) && wait <= Duration::from_secs(10), "{wait:?}");
        }
    }
}
