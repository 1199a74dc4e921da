//! Every endpoint of the API, once: how it is asked, whether it may be asked again, and what is at stake when nobody knows
//! whether it was heard. The documentation of [`RetryPolicy`](crate::RetryPolicy) has the same table for readers.

use http::Method;

use crate::retry::{Repeat, Stake};

/// One endpoint, below the base URL.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) repeat: Repeat,
    pub(crate) stake: Stake,
}

const NEW_KEY: &str =
    "a key may have been made that nobody has seen, so it was not sent again; sign up again to get one";
const NEW_CREDENTIAL: &str = "the credential may have been stored, so it was not sent again; list the credentials before you add it again";

impl Endpoint {
    pub(crate) const AGENT: Self = Self::get("/agent");
    pub(crate) const AUDIT: Self = Self::get("/route/audit");
    pub(crate) const BILLING_STATUS: Self = Self::get("/billing/status");
    #[cfg_attr(not(feature = "operator"), allow(dead_code, reason = "asked by operators alone"))]
    pub(crate) const BILLING_TOPUP: Self =
        Self::post("/billing/topup", Repeat::NeverWhenUnknown, Stake::Money);
    pub(crate) const CREDENTIAL_ADD: Self =
        Self::post("/credentials", Repeat::NeverWhenUnknown, Stake::New(NEW_CREDENTIAL));
    pub(crate) const CREDENTIAL_LIST: Self = Self::get("/credentials");
    /// The id is a segment more.
    pub(crate) const CREDENTIAL_REMOVE: Self =
        Self { method: Method::DELETE, path: "/credentials", repeat: Repeat::Always, stake: Stake::Nothing };
    pub(crate) const EXECUTE: Self = Self::post("/route/execute", Repeat::NeverWhenUnknown, Stake::Money);
    pub(crate) const HEALTH: Self = Self::get("/health");
    pub(crate) const OPENAPI: Self = Self::get("/openapi");
    pub(crate) const OUTCOME: Self = Self::post("/outcome", Repeat::Always, Stake::Nothing);
    pub(crate) const PLATFORM_METRICS: Self = Self::get("/platform-metrics");
    pub(crate) const PROVIDERS: Self = Self::get("/providers");
    /// It only reads.
    pub(crate) const REPORT: Self = Self::post("/report", Repeat::Always, Stake::Nothing);
    pub(crate) const ROUTE: Self = Self::post("/route", Repeat::OptIn, Stake::Money);
    pub(crate) const ROUTE_OUTCOME: Self = Self::post("/route/outcome", Repeat::Always, Stake::Nothing);
    pub(crate) const SIGNUP: Self =
        Self::post("/signup/agent", Repeat::NeverWhenUnknown, Stake::New(NEW_KEY));
    pub(crate) const STATUS: Self = Self::get("/status");

    const fn get(path: &'static str) -> Self {
        Self { method: Method::GET, path, repeat: Repeat::Always, stake: Stake::Nothing }
    }

    const fn post(path: &'static str, repeat: Repeat, stake: Stake) -> Self {
        Self { method: Method::POST, path, repeat, stake }
    }
}

#[cfg(test)]
pub(crate) const ALL: [Endpoint; 18] = [
    Endpoint::AGENT,
    Endpoint::AUDIT,
    Endpoint::BILLING_STATUS,
    Endpoint::BILLING_TOPUP,
    Endpoint::CREDENTIAL_ADD,
    Endpoint::CREDENTIAL_LIST,
    Endpoint::CREDENTIAL_REMOVE,
    Endpoint::EXECUTE,
    Endpoint::HEALTH,
    Endpoint::OPENAPI,
    Endpoint::OUTCOME,
    Endpoint::PLATFORM_METRICS,
    Endpoint::PROVIDERS,
    Endpoint::REPORT,
    Endpoint::ROUTE,
    Endpoint::ROUTE_OUTCOME,
    Endpoint::SIGNUP,
    Endpoint::STATUS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_this_one() {
        let (_, documented) = include_str!("retry/mod.rs").split_once("/// | endpoint |").unwrap();
        for endpoint in ALL {
            let words = match endpoint.repeat {
                Repeat::Always => "again",
                Repeat::OptIn => "only by `repeat_ambiguous`",
                Repeat::NeverWhenUnknown => "–",
            };
            let name = match endpoint.method {
                Method::DELETE => format!("`{} {}/{{id}}`", endpoint.method, endpoint.path),
                _ => format!("`{} {}`", endpoint.method, endpoint.path),
            };
            // Endpoints that are alike share a row.
            let row = documented.lines().find(|line| line.starts_with("/// |") && line.contains(&name));
            let row = row.unwrap_or_else(|| panic!("no row has {name}"));
            assert_eq!(row.split(" | ").nth(2), Some(words), "{row}");
        }
    }
}
