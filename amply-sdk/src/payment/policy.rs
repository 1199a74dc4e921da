//! What may be spent. This file decides, and does no I/O: what was spent is handed in.

use std::fmt;

use serde::Serialize;

use super::ledger::Over;
use crate::error::Error;
use crate::money::Usd;

/// What a client may spend without asking anybody. Without one, nothing is ever paid.
///
/// A cap over time ([`per_day`](Self::per_day)) is required, and a store that outlives the process with it: else a program
/// that starts again could spend it again. All payments of a store count, whatever key and server they were for: those that
/// were made, those that may have been made, and those that are being made.
///
/// ```
/// use amply_sdk::{SpendPolicy, Usd};
///
/// let policy = SpendPolicy::per_topup(Usd::dollars(10)).per_day(Usd::dollars(20));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct SpendPolicy {
    per_topup: Option<Usd>,
    per_request: Option<Usd>,
    per_day: Option<Usd>,
    minimum_topup: Option<Usd>,
    per_process_only: bool,
    #[cfg(feature = "x402-evm")]
    open: super::x402::rail::OpenRules,
}

/// A limit of a [`SpendPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cap {
    /// What one top-up may take.
    PerTopup,
    /// What one request may cost.
    PerRequest,
    /// What a UTC day may take.
    PerDay,
}

impl Cap {
    /// The word for it: `per_topup`, `per_request`, `per_day`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerTopup => "per_topup",
            Self::PerRequest => "per_request",
            Self::PerDay => "per_day",
        }
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerTopup => "cap of one top-up",
            Self::PerRequest => "cap of one request",
            Self::PerDay => "cap of a day (UTC)",
        })
    }
}

impl SpendPolicy {
    /// A policy under which one top-up takes at most this much.
    pub fn per_topup(most: impl Into<Usd>) -> Self {
        Self { per_topup: Some(most.into()), ..Self::default() }
    }

    /// What one request may cost at most: one whose price is higher is not paid for.
    pub fn per_request(mut self, most: impl Into<Usd>) -> Self {
        self.per_request = Some(most.into());
        self
    }

    /// What all payments of a UTC day may take at most.
    pub fn per_day(mut self, most: impl Into<Usd>) -> Self {
        self.per_day = Some(most.into());
        self
    }

    /// Rounds a top-up up to this much, so that there are fewer of them. It never breaks a cap: where it would, just what
    /// is needed is paid.
    pub fn minimum_topup(mut self, least: impl Into<Usd>) -> Self {
        self.minimum_topup = Some(least.into());
        self
    }

    /// Lets the caps hold for this process alone, in one ledger in memory that all its clients share, so that no store is
    /// needed, and none is given. A program that starts again may spend them again.
    pub fn per_process_only(mut self) -> Self {
        self.per_process_only = true;
        self
    }

    #[cfg(feature = "x402-evm")]
    pub(super) fn open_rules(&self) -> &super::x402::rail::OpenRules {
        &self.open
    }

    #[cfg(feature = "x402-evm")]
    pub(super) fn open_rules_mut(&mut self) -> &mut super::x402::rail::OpenRules {
        &mut self.open
    }

    #[cfg(feature = "x402-evm")]
    pub(super) fn per_request_cap(&self) -> Option<Usd> {
        self.per_request
    }

    #[cfg(feature = "x402-evm")]
    pub(super) fn per_day_cap(&self) -> Option<Usd> {
        self.per_day
    }

    pub(crate) fn is_per_process_only(&self) -> bool {
        self.per_process_only
    }

    pub(crate) fn minimum(&self) -> Option<Usd> {
        self.minimum_topup
    }

    /// Refuses a policy that cannot be meant.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let caps = [
            ("per_topup", self.per_topup),
            ("per_request", self.per_request),
            ("per_day", self.per_day),
            ("minimum_topup", self.minimum_topup),
        ];
        for (name, cap) in caps {
            if let Some(cap) = cap.filter(|cap| !cap.is_positive()) {
                return Err(Error::config(format!(
                    "the spend policy's {name} is {cap} USD; it must be above 0"
                )));
            }
        }
        if self.per_day.is_none() {
            return Err(Error::config("the spend policy has no cap over time; add one with `per_day`"));
        }
        for (name, cap) in [("per_topup", self.per_topup), ("per_day", self.per_day)] {
            if let (Some(least), Some(cap)) = (self.minimum_topup, cap)
                && least > cap
            {
                return Err(Error::config(format!(
                    "the spend policy's minimum_topup of {least} USD is above its {name} of {cap} USD"
                )));
            }
        }
        Ok(())
    }

    /// Refuses a request that costs more than one may.
    pub(crate) fn check_price(&self, price: Usd) -> Result<(), Over> {
        match self.per_request {
            Some(limit) if price > limit => {
                Err(Over { cap: Cap::PerRequest, limit, left: limit, needed: Some(price) })
            }
            _ => Ok(()),
        }
    }

    /// Each cap that is set, and what it leaves after so much was spent today. Of one request and one top-up nothing is used yet.
    pub(crate) fn outlook(&self, spent: Usd) -> Vec<Over> {
        let request =
            self.per_request.map(|limit| Over { cap: Cap::PerRequest, limit, left: limit, needed: None });
        request.into_iter().chain(self.allowed(spent)).collect()
    }

    /// What each cap leaves for one top-up, after so much was spent today.
    pub(crate) fn allowed(&self, spent: Usd) -> Vec<Over> {
        let topup = self.per_topup.map(|limit| (Cap::PerTopup, limit, Some(limit)));
        let day = self.per_day.map(|limit| (Cap::PerDay, limit, limit.checked_sub(spent)));
        let left = |(cap, limit, left): (Cap, Usd, Option<Usd>)| Over {
            cap,
            limit,
            left: left.unwrap_or_default().max(Usd::ZERO),
            needed: None,
        };
        topup.into_iter().chain(day).map(left).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn a_policy_that_cannot_be_meant_is_refused_with_what_to_do() {
        for (policy, says) in [
            (SpendPolicy::per_topup(usd("1")), "no cap over time; add one with `per_day`"),
            (SpendPolicy::default(), "no cap over time"),
            (SpendPolicy::per_topup(usd("0")).per_day(usd("1")), "per_topup is 0 USD; it must be above 0"),
            (SpendPolicy::default().per_day(usd("-1")), "per_day is -1 USD; it must be above 0"),
            (
                SpendPolicy::per_topup(usd("5")).per_day(usd("20")).minimum_topup(usd("10")),
                "minimum_topup of 10 USD is above its per_topup of 5 USD",
            ),
        ] {
            let error = policy.check().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(SpendPolicy::default().per_day(usd("1")).check().is_ok());
    }

    #[test]
    fn what_was_spent_is_taken_from_the_day_and_never_gives_anything_back() {
        let policy = SpendPolicy::per_topup(usd("3")).per_day(usd("10"));
        let left = |spent: &str| {
            policy.allowed(usd(spent)).iter().map(|cap| cap.left.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(left("0"), ["3", "10"]);
        assert_eq!(left("9.99"), ["3", "0.01"]);
        assert_eq!(left("25"), ["3", "0"]);
    }
}
