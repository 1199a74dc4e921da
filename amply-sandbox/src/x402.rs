//! Open x402 payments: what a sandbox asks for, what it takes for a payment, and what was settled.
//!
//! No HTTP here: where an offer stands in an answer and what a refusal looks like is in `endpoint::open_payment`. Nor is there
//! a chain: what would move money there is written into a book, once for each authorization.

pub(crate) mod accept;
pub(crate) mod authorization;
pub(crate) mod misbehaviour;
pub(crate) mod offer;
pub(crate) mod payment;
pub(crate) mod settle;

use std::sync::atomic::{AtomicU64, Ordering};

use self::{
    misbehaviour::{Offering, Settling},
    settle::Settlements,
};
use crate::calls::Planned;

/// Which x402 a message is of. They differ in every name and in most reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Version {
    pub(crate) fn number(self) -> u8 {
        match self {
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }
}

/// What a sandbox knows of open payments once it runs.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) offerings: Planned<Offering>,
    pub(crate) settlings: Planned<Settling>,
    pub(crate) settlements: Settlements,
    offers_made: AtomicU64,
}

impl Books {
    /// What is wrong with the offers of the next request that has to be paid, and its number. Counts it.
    pub(crate) fn next_offering(&self) -> (Offering, u64) {
        let offering = self.offerings.of_call(|_| true).unwrap_or_default();
        (offering, self.offers_made.fetch_add(1, Ordering::Relaxed))
    }

    /// How the next payment that is in order is settled. Counts it.
    pub(crate) fn next_settling(&self) -> Settling {
        self.settlings.of_call(|_| true).unwrap_or_default()
    }
}
