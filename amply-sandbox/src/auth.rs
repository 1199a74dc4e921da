//! Who may call: the `Authorization` header against the keys of the sandbox.
//!
//! Pure. Only `Bearer` is understood, in any case; `x-api-key` and Basic are not.

use axum::http::{HeaderMap, header::AUTHORIZATION};

use crate::keys::Keys;

const MISSING: &str = "Missing or invalid Authorization header";
const UNKNOWN: &str = "Invalid API key";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Nobody in particular: an open server, and no key.
    Anonymous,
    /// Who runs the server: let in, bound to no principal.
    Operator,
    User {
        principal: String,
    },
}

impl Caller {
    pub(crate) fn principal(&self) -> Option<&str> {
        match self {
            Caller::User { principal } => Some(principal),
            Caller::Anonymous | Caller::Operator => None,
        }
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.principal().is_some()
    }

    /// As `X-Amply-Auth-Source` has it.
    pub(crate) fn source(&self) -> &'static str {
        match self {
            // [our] the documentation names the other two.
            Caller::Anonymous => "none",
            Caller::Operator => "server_key",
            Caller::User { .. } => "user_key",
        }
    }
}

/// Lets a request pass, or says in the server's words why not.
pub(crate) fn check(headers: &HeaderMap, keys: &Keys, required: bool) -> Result<Caller, &'static str> {
    match bearer(headers).as_deref() {
        // [our] an empty token was seen refused where keys are required; an open server is taken to refuse it alike.
        Some("") => Err(MISSING),
        // A key that is not known is refused by an open server too, which serves a call without one.
        Some(token) => keys.caller(token).ok_or(UNKNOWN),
        None if required => Err(MISSING),
        None => Ok(Caller::Anonymous),
    }
}

/// Whether a request has the admin secret, which is no API key.
pub(crate) fn is_admin(headers: &HeaderMap, keys: &Keys) -> bool {
    bearer(headers).is_some_and(|token| token == keys.admin)
}

/// Whether a request has the token of the guarded top-up service.
pub(crate) fn may_top_up(headers: &HeaderMap, keys: &Keys) -> bool {
    bearer(headers).is_some_and(|token| token == keys.topup)
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
        let user = Caller::User { principal: keys.principal.clone() };
        let known = [
            (format!("Bearer {}", keys.user), &user),
            (format!("bearer {}", keys.server), &Caller::Operator),
            (format!("BEARER   {}", keys.user), &user),
        ];
        for (header, caller) in &known {
            assert_eq!(checked(header, &keys), (Ok((*caller).clone()), Ok((*caller).clone())), "{header}");
        }
        for header in ["Bearer wrong", "Bearer a b", "bearer x"] {
            assert_eq!(checked(header, &keys), (Err(UNKNOWN), Err(UNKNOWN)), "{header}");
        }
        for header in ["Bearer", "Bearer ", "bearer  "] {
            assert_eq!(checked(header, &keys), (Err(MISSING), Err(MISSING)), "{header}");
        }
        for header in ["Basic dXNlcjpwYXNz", "", "Bearerx y"] {
            assert_eq!(checked(header, &keys), (Ok(Caller::Anonymous), Err(MISSING)), "{header}");
        }
        assert_eq!(check(&HeaderMap::new(), &keys, false), Ok(Caller::Anonymous));
        assert_eq!(check(&HeaderMap::new(), &keys, true), Err(MISSING));
    }

    /// What an open sandbox says, and one that requires keys.
    fn checked(header: &str, keys: &Keys) -> (Result<Caller, &'static str>, Result<Caller, &'static str>) {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]);
        (check(&headers, keys, false), check(&headers, keys, true))
    }
}
