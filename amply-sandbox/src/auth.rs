//! Who may call: the `Authorization` header against the keys of the sandbox.
//!
//! Pure. Only `Bearer` is understood, in any case; `x-api-key` and Basic are not.

use axum::http::{HeaderMap, header::AUTHORIZATION};

use crate::keys::Keys;

const MISSING: &str = "Missing or invalid Authorization header";
const UNKNOWN: &str = "Invalid API key";

/// Lets a request pass, or says in the server's words why not.
pub(crate) fn check(headers: &HeaderMap, keys: &Keys, required: bool) -> Result<(), &'static str> {
    match bearer(headers).as_deref() {
        // [our] an empty token was seen refused where keys are required; an open server is taken to refuse it alike.
        Some("") => Err(MISSING),
        Some(token) if token == keys.user || token == keys.server => Ok(()),
        // Also on an open server, which serves a call without a key.
        Some(_) => Err(UNKNOWN),
        None if required => Err(MISSING),
        None => Ok(()),
    }
}

/// The token of the first `Authorization` header, if its scheme is `Bearer`.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(AUTHORIZATION)?.as_bytes());
    let (scheme, token) = value.split_once([' ', '\t']).unwrap_or((&value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_missing_or_unknown() {
        let keys = Keys::from_seed(1);
        let known = [
            format!("Bearer {}", keys.user),
            format!("bearer {}", keys.server),
            format!("BEARER   {}", keys.user),
        ];
        for header in known.iter().map(String::as_str) {
            assert_eq!(checked(header, &keys), (Ok(()), Ok(())), "{header}");
        }
        for header in ["Bearer wrong", "Bearer a b", "bearer x"] {
            assert_eq!(checked(header, &keys), (Err(UNKNOWN), Err(UNKNOWN)), "{header}");
        }
        for header in ["Bearer", "Bearer ", "bearer  "] {
            assert_eq!(checked(header, &keys), (Err(MISSING), Err(MISSING)), "{header}");
        }
        for header in ["Basic dXNlcjpwYXNz", "", "Bearerx y"] {
            assert_eq!(checked(header, &keys), (Ok(()), Err(MISSING)), "{header}");
        }
        assert_eq!(check(&HeaderMap::new(), &keys, false), Ok(()));
        assert_eq!(check(&HeaderMap::new(), &keys, true), Err(MISSING));
    }

    /// What an open sandbox says, and one that requires keys.
    fn checked(header: &str, keys: &Keys) -> (Result<(), &'static str>, Result<(), &'static str>) {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]);
        (check(&headers, keys, false), check(&headers, keys, true))
    }
}
