//! What a control sees and does of open payments: what was settled, what payers have, and what goes wrong.

use super::Control;
use crate::{
    money::{AmountError, NanoUsd},
    x402::{
        authorization::Address,
        misbehaviour::{Offering, Settling},
        settle::Settlement,
    },
};

/// Why it was not set what a payer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetPayerError {
    /// Not `0x` and 40 hexadecimal digits.
    #[error("not an address; write 0x and 40 hexadecimal digits")]
    NotAnAddress,

    /// What it has is no amount, or less than nothing.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl Control {
    /// The authorizations that moved money so far, the oldest first, whatever the payer was told. The last 100,000 are
    /// remembered, and as many nonces.
    ///
    /// ```
    /// # use amply_sandbox::Control;
    /// # fn count(control: &Control, key: &str) -> usize {
    /// // How often the request with this idempotency key was paid for:
    /// control.settlements().iter().filter(|one| one.idempotency_key.as_deref() == Some(key)).count()
    /// # }
    /// ```
    #[must_use]
    pub fn settlements(&self) -> Vec<Settlement> {
        self.x402().settlements.all()
    }

    /// Limits what an address can pay, on all networks together: text such as `"0.05"`, or [`NanoUsd`], rounded down to a
    /// millionth. Every payment that is settled takes from it. Without this an address can pay any amount.
    ///
    /// # Errors
    /// [`SetPayerError::NotAnAddress`], and [`SetPayerError::Amount`] when it is no amount or negative.
    pub fn set_payer_balance<A>(&self, address: &str, usd: A) -> Result<(), SetPayerError>
    where
        A: TryInto<NanoUsd>,
        AmountError: From<A::Error>,
    {
        let address = Address::parse(address).ok_or(SetPayerError::NotAnAddress)?;
        let NanoUsd(nanos) = usd.try_into().map_err(AmountError::from)?;
        let nanos = u64::try_from(nanos).map_err(|_| AmountError::Negative)?;
        self.x402().settlements.set_balance(address, nanos / 1000);
        Ok(())
    }

    /// What an address can still pay; `None` is any amount.
    #[must_use]
    pub fn payer_balance(&self, address: &str) -> Option<NanoUsd> {
        let millionths = self.x402().settlements.balance(Address::parse(address)?)?;
        Some(NanoUsd(i64::try_from(millionths).unwrap_or(i64::MAX).saturating_mul(1000)))
    }

    /// Changes the offers to come. Of several for one request the one that was added first holds; all of them count it.
    ///
    /// Over HTTP the same is `POST /__sandbox/offerings` and, say, `{"calls": {"nth": 1}, "set": {"/payTo": "0x…"}}`.
    pub fn offering(&self, offering: Offering) {
        self.x402().offerings.add(offering.calls, offering);
    }

    /// Offers are as they should be from now on.
    pub fn clear_offerings(&self) {
        self.x402().offerings.clear();
    }

    /// Makes open payments go wrong from now on. Of several for one payment the one that was added first holds; all of them count it.
    ///
    /// ```
    /// use amply_sandbox::{Control, Settling};
    ///
    /// # fn spoil(control: &Control) {
    /// // The first payment is settled and the payer is told otherwise; when it is sent again it turns out.
    /// control.settling(Settling::as_asked().says_failed("unexpected_settle_error").first(1));
    /// # }
    /// ```
    ///
    /// Over HTTP the same is `POST /__sandbox/settlings` and, say,
    /// `{"calls": {"first": 1}, "says": {"failed": "unexpected_settle_error"}}`.
    pub fn settling(&self, settling: Settling) {
        self.x402().settlings.add(settling.calls, settling);
    }

    /// Payments are settled as they should be from now on. Those that are late stay so.
    pub fn clear_settlings(&self) {
        self.x402().settlings.clear();
    }
}
