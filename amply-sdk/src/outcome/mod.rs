//! How routes went: reported at once, in the background, durably, or by another process.
//!
//! A report goes from whoever hands it over (`reporter`) to the outbox (`intake`, `store`), and from there to the server (`courier`,
//! `delivery`). A route counts once, however often it is reported.

mod counters;
mod courier;
mod delivery;
mod intake;
mod outbox;
mod reporter;
mod shared;
mod ticket;
mod tracked;
mod value;

use std::fmt;

pub use self::counters::OutcomeCounters;
pub(crate) use self::delivery::deliver;
pub use self::outbox::{Outbox, OutboxEntry};
pub(crate) use self::reporter::Reporter;
pub use self::reporter::{Flushed, HandedOver};
pub(crate) use self::shared::Limits;
pub use self::ticket::Ticket;
pub(crate) use self::ticket::{Bound, check_id, endpoint};
pub use self::tracked::{ReportFuture, TrackedRoute};
pub use self::value::Outcome;
use crate::answer::Answer;
use crate::error::Error;
use crate::wire::OutcomeReceipt;

/// What came of a report.
#[derive(Clone)]
#[non_exhaustive]
pub struct Reported {
    /// The server's answer; `None` where the route had been reported by this client, so that nothing was sent.
    pub receipt: Option<Answer<OutcomeReceipt>>,
}

impl Reported {
    /// How many credits the report brought, as far as the server says; none where nothing was sent.
    pub fn credits_awarded(&self) -> Option<u64> {
        match &self.receipt {
            Some(receipt) => receipt.credits_awarded,
            None => Some(0),
        }
    }

    /// Whether the route had been reported before, so that this report did nothing.
    pub fn is_repeated(&self) -> bool {
        self.receipt.as_ref().is_none_or(|receipt| receipt.duplicate == Some(true))
    }
}

impl fmt::Debug for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reported")
            .field("credits_awarded", &self.credits_awarded())
            .field("is_repeated", &self.is_repeated())
            .finish_non_exhaustive()
    }
}

pub(crate) fn no_route_id() -> Error {
    Error::invalid("route_id", "the server gave this route no id, so that its outcome cannot be reported")
}

/// Names whose reports they are: half of the key's SHA-256 tells keys apart and is no key.
pub(crate) fn principal_of(key_hash: &str) -> String {
    key_hash.chars().take(32).collect()
}
