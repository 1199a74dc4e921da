//! How a server that wants to be paid says so, and when: which routes it refuses with 402, and what is wrong with the 402.
//!
//! What a 402 says by itself is in `endpoint::payment_required`.

mod document;

use std::time::Duration;

use serde::Serialize;

use crate::calls::{Calls, Planned};

pub(crate) use document::Document;

/// How long a challenge is good for. [our] the documentation says only that it may expire.
const GOOD_FOR_MS: i64 = 300_000;

/// What is done to the 402 of a route whose wallet is too low, and to which. Given to
/// [`Control::challenge`](crate::Control::challenge).
///
/// Fields are named by their path within the body: `/balance_usd`, `/x402/amount_usd`, `/x402/top_up/path`. Those of `x402`
/// are there when [`SandboxBuilder::x402`](crate::SandboxBuilder::x402) is on.
///
/// ```
/// use amply_sandbox::Challenge;
///
/// // The first 402 wants euros, the second has expired, and every other asks for a payment somewhere else:
/// Challenge::new().currency("EUR").nth(1);
/// Challenge::new().expired().nth(2);
/// Challenge::new().top_up_path("https://example.com/pay");
/// // The next two routes are refused, even if the balance suffices:
/// Challenge::new().even_if_covered().first(2);
/// // A body with neither a balance nor an amount that is one:
/// Challenge::new().without("/balance_usd").amount("NaN").shortfall(-1);
/// ```
#[derive(Clone, Debug)]
#[must_use = "402s are changed once it is given to `Control::challenge`"]
pub struct Challenge {
    pub(crate) calls: Calls,
    even_if_covered: bool,
    unbound: bool,
    expires_in_ms: i64,
    edits: Vec<Edit>,
}

#[derive(Clone, Debug)]
enum Edit {
    /// The second is JSON text.
    Set(String, String),
    Without(String),
}

impl Challenge {
    /// A 402 as it should be, until something is changed.
    pub fn new() -> Self {
        Challenge {
            calls: Calls::Always,
            even_if_covered: false,
            unbound: false,
            expires_in_ms: GOOD_FOR_MS,
            edits: Vec::new(),
        }
    }

    /// The first `count` 402s after it was set; with [`even_if_covered`](Challenge::even_if_covered), the first `count` routes.
    pub fn first(mut self, count: u64) -> Self {
        self.calls = Calls::First(count);
        self
    }

    /// Only one 402, counted from 1 since it was set; with [`even_if_covered`](Challenge::even_if_covered), only one route.
    pub fn nth(mut self, number: u64) -> Self {
        self.calls = Calls::Nth(number);
        self
    }

    /// Every 402. The default.
    pub fn always(mut self) -> Self {
        self.calls = Calls::Always;
        self
    }

    /// Routes that a principal has to pay for are refused whatever is in its wallet, on a server that is not strict too.
    /// Where the balance suffices, the shortfall is the price of a route.
    pub fn even_if_covered(mut self) -> Self {
        self.even_if_covered = true;
        self
    }

    /// `X-Amply-Principal-Bound: 0`, though the key is a principal's.
    pub fn unbound(mut self) -> Self {
        self.unbound = true;
        self
    }

    /// `expires_at` is an hour ago by the sandbox's clock.
    pub fn expired(mut self) -> Self {
        self.expires_in_ms = -3_600_000;
        self
    }

    /// `expires_at` is this much ahead of the sandbox's clock. By itself it is five minutes.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in_ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self
    }

    /// `/x402/amount_usd`: too little, too much, `"NaN"`, `-1`, `1e308`. The shortfall stays.
    pub fn amount(self, json: impl Serialize) -> Self {
        self.set("/x402/amount_usd", json)
    }

    /// `/shortfall_usd`. The amount stays.
    pub fn shortfall(self, json: impl Serialize) -> Self {
        self.set("/shortfall_usd", json)
    }

    /// `/balance_usd`.
    pub fn balance(self, json: impl Serialize) -> Self {
        self.set("/balance_usd", json)
    }

    /// `/x402/currency`.
    pub fn currency(self, currency: &str) -> Self {
        self.set("/x402/currency", currency)
    }

    /// `/x402/top_up/path`, which should be a path of this server.
    pub fn top_up_path(self, path: &str) -> Self {
        self.set("/x402/top_up/path", path)
    }

    /// `/x402/retry/path`, which should be a path of this server.
    pub fn retry_path(self, path: &str) -> Self {
        self.set("/x402/retry/path", path)
    }

    /// `/top_up_url`, a page for people.
    pub fn top_up_url(self, url: &str) -> Self {
        self.set("/top_up_url", url)
    }

    /// Sets any field of the body, one that it does not have included.
    pub fn set(mut self, path: &str, json: impl Serialize) -> Self {
        // What cannot be written as JSON leaves the field as it is.
        if let Ok(json) = serde_json::to_string(&json) {
            self.edits.push(Edit::Set(path.to_owned(), json));
        }
        self
    }

    /// Leaves a field out. Without `/x402` the headers that tell of it are not sent either.
    pub fn without(mut self, path: &str) -> Self {
        self.edits.push(Edit::Without(path.to_owned()));
        self
    }

    pub(crate) fn says_unbound(&self) -> bool {
        self.unbound
    }

    /// From when the challenge is made; negative when it has expired by then.
    pub(crate) fn expires_in_ms(&self) -> i64 {
        self.expires_in_ms
    }

    pub(crate) fn edit(&self, body: &mut Document) {
        for edit in &self.edits {
            match edit {
                Edit::Set(path, json) => body.set(path, json.clone()),
                Edit::Without(path) => body.remove(path),
            }
        }
    }
}

impl Default for Challenge {
    fn default() -> Self {
        Challenge::new()
    }
}

/// The challenges that were set.
#[derive(Debug, Default)]
pub(crate) struct Challenges(Planned<Challenge>);

impl Challenges {
    pub(crate) fn add(&self, challenge: Challenge) {
        self.0.add(challenge.calls, challenge);
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }

    /// The challenge of a route that is refused whatever is in the wallet.
    pub(crate) fn of_route(&self) -> Option<Challenge> {
        self.0.of_call(|challenge| challenge.even_if_covered)
    }

    /// The challenge of a route whose wallet is too low.
    pub(crate) fn of_shortfall(&self) -> Challenge {
        self.0.of_call(|challenge| !challenge.even_if_covered).unwrap_or_default()
    }
}
