//! What a control sees and does of money: balances, what was credited, and what goes wrong with either.

use super::Control;
use crate::{
    challenge::Challenge,
    crediting::Crediting,
    money::{AmountError, NanoUsd},
    wallet::Credit,
};

/// Why a balance was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetBalanceError {
    /// Neither a user key of this sandbox nor a principal's id.
    #[error("no wallet: neither a user key of this sandbox nor the id of a principal")]
    NoWallet,

    /// The balance is no amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl Control {
    /// The balance of a wallet, named by a user key or by its principal's id; `None` when it is neither. It is what the next
    /// `GET /billing/status` would show but for credits that are [late](Crediting::late), and no look at it.
    #[must_use]
    pub fn balance(&self, key_or_principal: &str) -> Option<NanoUsd> {
        self.0.keys.principal_of(key_or_principal).map(|principal| self.0.wallets.balance(&principal))
    }

    /// Sets the balance of a wallet, as text such as `"0.05"` or as [`NanoUsd`], below zero too. It is no credit, and credits
    /// that are late are still to come.
    ///
    /// # Errors
    /// [`SetBalanceError::NoWallet`] when there is no such key or principal, [`SetBalanceError::Amount`] when the balance is no amount.
    pub fn set_balance<A>(&self, key_or_principal: &str, usd: A) -> Result<(), SetBalanceError>
    where
        A: TryInto<NanoUsd>,
        AmountError: From<A::Error>,
    {
        let balance = usd.try_into().map_err(AmountError::from)?;
        let principal = self.0.keys.principal_of(key_or_principal).ok_or(SetBalanceError::NoWallet)?;
        self.0.wallets.set_balance(&principal, balance);
        Ok(())
    }

    /// What was credited to whom so far, the oldest first; a credit that shows late is among them. The last 100,000 are
    /// remembered, and as many idempotency keys.
    #[must_use]
    pub fn credits(&self) -> Vec<Credit> {
        self.0.wallets.credits()
    }

    /// Makes top-ups go wrong from now on. Of several for one top-up the one that was added first holds; all of them count it.
    ///
    /// ```
    /// use amply_sandbox::{Crediting, Fault, Sandbox};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sandbox = Sandbox::builder().balance("0").strict_wallet(true).start().await?;
    /// // The first top-up is credited and the payer never learns of it; the second is late.
    /// sandbox.control().fault(Fault::on("/topup").first(1).after_effect().reset_before_headers());
    /// sandbox.control().crediting(Crediting::as_asked().late(3).nth(2));
    /// # Ok(()) }
    /// ```
    ///
    /// Over HTTP the same is `POST /__sandbox/creditings` and, say, `{"calls": {"nth": 2}, "late": 3}`.
    pub fn crediting(&self, crediting: Crediting) {
        self.0.creditings.add(crediting.calls, crediting);
    }

    /// Top-ups are credited as asked from now on.
    pub fn clear_creditings(&self) {
        self.0.creditings.clear();
    }

    /// Changes the 402s to come. Of several for one route the one that was added first holds, and before all others those that
    /// refuse a route [even if it is covered](Challenge::even_if_covered).
    ///
    /// ```
    /// use amply_sandbox::{Challenge, Sandbox};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sandbox = Sandbox::builder().balance("0").strict_wallet(true).x402(true).start().await?;
    /// sandbox.control().challenge(Challenge::new().amount(0.001).first(1));
    /// # Ok(()) }
    /// ```
    ///
    /// Over HTTP the same is `POST /__sandbox/challenges` and, say,
    /// `{"calls": {"first": 1}, "set": {"/x402/amount_usd": 0.001}}`.
    pub fn challenge(&self, challenge: Challenge) {
        self.0.challenges.add(challenge);
    }

    /// 402s are as they should be from now on.
    pub fn clear_challenges(&self) {
        self.0.challenges.clear();
    }
}
