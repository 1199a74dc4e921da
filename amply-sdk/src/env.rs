//! Every environment variable that the client reads, once.
//!
//! The library reads the first four: nothing is read unless [`Client::from_env`](crate::Client::from_env) or
//! [`ClientBuilder::from_env`](crate::ClientBuilder::from_env) is called. The others are
//! read by the `amply` command alone. A variable that is set to nothing counts as not set. Besides these, the usual proxy variables (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) are honoured for
//! every server that is not on this machine; a SOCKS proxy is refused, it is not supported.

use std::ffi::OsString;
use std::time::Duration;

/// The API key. Without it calls are sent without a key.
pub const API_KEY: &str = "AMPLY_API_KEY";

/// The base URL, by default the public API. One without a path gets `/api/v1`.
pub const BASE_URL: &str = "AMPLY_BASE_URL";

/// The limit for one call, retries included: seconds (`30`, `0.5`) or with a unit (`30s`, `500ms`, `2m`).
pub const TIMEOUT: &str = "AMPLY_TIMEOUT";

/// A PEM file with certificates to trust besides those of the system.
pub const CA_BUNDLE: &str = "AMPLY_CA_BUNDLE";

/// The file that keeps what was paid and what is to be reported; by default in the platform's folder for state. Read by the command.
pub const STORE: &str = "AMPLY_STORE";

/// The URL of the guarded service that tops up the wallet. Read by the command.
pub const TOPUP_URL: &str = "AMPLY_TOPUP_URL";

/// The token of that service: a secret. Read by the command.
pub const TOPUP_TOKEN: &str = "AMPLY_TOPUP_TOKEN";

/// The admin secret, with which `amply wallet topup` credits a wallet: a secret. Read by the command.
pub const ADMIN_SECRET: &str = "AMPLY_ADMIN_SECRET";

/// The private key that signs payments by the open x402 protocol: a secret, as 64 hexadecimal digits. Read by the command,
/// where a network is named to pay on.
pub const X402_KEY: &str = "AMPLY_X402_KEY";

/// What one top-up may take, in USD. Read by the command; of it and the flag the smaller one holds.
pub const MAX_TOPUP_USD: &str = "AMPLY_MAX_TOPUP_USD";

/// What one request may cost, in USD. Read by the command; of it and the flag the smaller one holds.
pub const MAX_REQUEST_USD: &str = "AMPLY_MAX_REQUEST_USD";

/// What all payments of a UTC day may take, in USD. Read by the command; of it and the flag the smaller one holds.
pub const MAX_DAILY_USD: &str = "AMPLY_MAX_DAILY_USD";

/// The token that a server may ask of agents that sign up: a secret. Read by `amply signup`.
pub const SIGNUP_TOKEN: &str = "AMPLY_SIGNUP_TOKEN";

/// Reads a time limit as [`TIMEOUT`] is written.
///
/// # Errors
/// A sentence that names the text and shows how to write it.
pub fn parse_timeout(text: &str) -> Result<Duration, String> {
    let plain = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    plain.or_else(|| humantime::parse_duration(text).ok()).filter(|limit| !limit.is_zero()).ok_or_else(|| {
        format!(
            "`{}` is not a time limit; write seconds or a unit, like 30, 30s or 500ms",
            crate::text::one_line(text, 40)
        )
    })
}

/// The value of a variable, as text.
pub(crate) fn read(lookup: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Option<Result<String, String>> {
    let value = lookup(name).filter(|value| !value.is_empty())?;
    Some(value.into_string().map_err(|_| format!("{name} is not valid UTF-8; set it again")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_seconds_or_has_a_unit() {
        for (text, ms) in [("30", 30_000), ("0.5", 500), ("30s", 30_000), ("500ms", 500), ("2m", 120_000)] {
            assert_eq!(parse_timeout(text), Ok(Duration::from_millis(ms)));
        }
        for text in ["", "0", "0s", "-1", "NaN", "soon", "1e400", "30 parsecs"] {
            assert!(parse_timeout(text).unwrap_err().contains("not a time limit"), "{text}");
        }
    }
}
