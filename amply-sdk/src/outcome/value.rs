//! How a task went, as its caller tells it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::text::one_line;

/// The longest error code, in characters.
const CODE_AT_MOST: usize = 64;
/// A year: what took longer was no call.
const LATENCY_AT_MOST_MS: u64 = 31_536_000_000;

/// How the provider did that a route recommended.
///
/// It is checked when it is handed over: a wrong one is [`Error::Invalid`] then, and nothing was reported.
///
/// ```
/// use std::time::Duration;
///
/// use amply_sdk::Outcome;
///
/// let well = Outcome::success().latency(Duration::from_millis(42));
/// let badly = Outcome::failure("rate_limited");
/// assert_eq!((well.latency_ms(), badly.error_code()), (Some(42), Some("rate_limited")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Outcome {
    success: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actual_latency_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    timeout: bool,
}

impl Outcome {
    /// The task was done.
    pub fn success() -> Self {
        Self { success: true, actual_latency_ms: None, error_code: None, timeout: false }
    }

    /// The task failed. The code is 1 to 64 of `a–z`, digits, `_`, `.`, `:` and `-`: a kind of error, never its message, which
    /// may hold what is nobody else's business.
    pub fn failure(code: impl Into<String>) -> Self {
        Self { success: false, error_code: Some(code.into()), ..Self::success() }
    }

    /// The provider did not answer in time.
    pub fn timeout() -> Self {
        Self { timeout: true, ..Self::failure("timeout") }
    }

    /// How long the task took at the provider, in whole milliseconds on the wire; at most a year.
    pub fn latency(mut self, latency: Duration) -> Self {
        let ms = latency.saturating_add(Duration::from_micros(500)).as_millis();
        self.actual_latency_ms = Some(u64::try_from(ms).unwrap_or(u64::MAX));
        self
    }

    /// Whether the task was done.
    pub fn is_success(&self) -> bool {
        self.success
    }

    /// The kind of error; `None` for a success.
    pub fn error_code(&self) -> Option<&str> {
        self.error_code.as_deref()
    }

    /// How long the task took, in ms, if that was told.
    pub fn latency_ms(&self) -> Option<u64> {
        self.actual_latency_ms
    }

    /// The word for it at the older endpoint, `POST /route/outcome`.
    pub(super) fn word(&self) -> &'static str {
        match (self.success, self.timeout) {
            (true, _) => "success",
            (false, true) => "timeout",
            (false, false) => "failure",
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(code) = &self.error_code {
            let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_.:-".contains(&c);
            if code.is_empty() || code.len() > CODE_AT_MOST || !code.bytes().all(is_allowed) {
                return Err(Error::invalid(
                    "error_code",
                    format!(
                        "error_code is `{}`; it must be 1 to {CODE_AT_MOST} of a–z, 0–9, `_`, `.`, `:` and `-`, for example `timeout`",
                        one_line(code, 80)
                    ),
                ));
            }
        }
        match self.actual_latency_ms {
            Some(ms) if ms > LATENCY_AT_MOST_MS => Err(Error::invalid(
                "actual_latency_ms",
                format!("actual_latency_ms is {ms}; it must be at most {LATENCY_AT_MOST_MS} (a year)"),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_no_code_is_refused_with_what_would_be_one() {
        for code in ["", "Timeout", "a b", "naïve", "x/y", &"a".repeat(65)] {
            let error = Outcome::failure(code).check().unwrap_err().to_string();
            assert!(error.contains("1 to 64 of a–z"), "{code}: {error}");
        }
        for code in ["timeout", "http.503", "a:b-c_d", &"a".repeat(64)] {
            assert!(Outcome::failure(code).check().is_ok(), "{code}");
        }
    }

    #[test]
    fn latency_is_told_in_whole_milliseconds_and_bounded() {
        let told = |latency| Outcome::success().latency(latency).latency_ms();
        assert_eq!(told(Duration::from_micros(41_499)), Some(41));
        assert_eq!(told(Duration::from_micros(41_500)), Some(42));
        assert!(Outcome::success().latency(Duration::from_millis(LATENCY_AT_MOST_MS)).check().is_ok());
        assert!(Outcome::success().latency(Duration::MAX).check().is_err());
    }
}
