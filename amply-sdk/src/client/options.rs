//! What may differ from call to call.

use std::time::Duration;

use crate::principal::PrincipalPolicy;
use crate::retry::RetryPolicy;

/// Settings of a client that [`Client::with_options`](crate::Client::with_options) can change for some calls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Options {
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) principal: PrincipalPolicy,
}

impl Options {
    /// The limit for one call, retries and waits included; 30 s unless set, 60 s with a payer.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The limit for one HTTP request of a call; 20 s unless set.
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = limit;
        self
    }

    /// How often, and after which failures, a call is sent again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// What to do when a route is not bound to a principal; [`PrincipalPolicy::Warn`] unless set.
    pub fn principal_policy(mut self, policy: PrincipalPolicy) -> Self {
        self.principal = policy;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(20),
            retry: RetryPolicy::default(),
            principal: PrincipalPolicy::default(),
        }
    }
}
