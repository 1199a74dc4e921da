//! Who may pay for the calls of a client, in the order in which they were set.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::challenge::{PaymentChallenge, Refusal};
use super::ledger::Ledger;
use super::open::OpenRail;
use super::record::Rail;
use super::running::Counted;
use super::wallet::Coordinator;
use crate::error::Error;

/// The rails of a client. A call uses one of them, once.
pub(crate) struct Payers {
    pub(crate) wallet: Option<Coordinator>,
    pub(crate) open: Option<Arc<dyn OpenRail>>,
    /// The rail that goes first where a 402 offers both.
    pub(crate) first: Rail,
    pub(crate) ledger: Ledger,
    /// Payments that are being made, until what came of them is written down.
    pub(crate) paying: watch::Sender<usize>,
    /// The process that may pay. A forked child has all of this as it was at the fork: calls that nobody counts down any more,
    /// and locks that nobody opens.
    pub(crate) process: u32,
}

impl Payers {
    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    /// Refuses a forked child.
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        if self.is_of_this_process() { Ok(()) } else { Err(Error::forked()) }
    }

    /// A call is under way until what this gives is dropped. It first lets those go that a payment was made for.
    pub(crate) async fn call_under_way(&self, deadline: Instant) -> Option<Counted> {
        match &self.wallet {
            Some(coordinator) if self.is_of_this_process() => {
                Some(coordinator.call_under_way(deadline).await)
            }
            _ => None,
        }
    }

    /// The rail that a 402 is paid on; `None` where nobody may pay it.
    pub(crate) fn rail_for(&self, challenge: &PaymentChallenge) -> Option<Rail> {
        let failure = challenge.failure();
        let wallet = self.wallet.is_some() && asks_for_wallet(challenge);
        let open =
            self.open.as_ref().is_some_and(|open| open.is_asked_for(failure.meta.headers(), &failure.body));
        match (wallet, open) {
            (true, true) => Some(self.first),
            (true, false) => Some(Rail::Wallet),
            (false, true) => Some(Rail::X402),
            // Its refusal says what is wrong with it.
            (false, false) => self.wallet.as_ref().map(|_| Rail::Wallet),
        }
    }

    /// Waits until no payment is being made any more. Each has its own limit.
    pub(crate) async fn until_paid(&self) {
        if !self.is_of_this_process() {
            return;
        }
        // The sender lives as long as this.
        let _ = self.paying.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(crate) fn is_paying(&self) -> bool {
        self.is_of_this_process() && *self.paying.borrow() > 0
    }
}

/// Whether a 402 is about a wallet that this client may have. What else is wrong with it does not send the call to another
/// rail.
fn asks_for_wallet(challenge: &PaymentChallenge) -> bool {
    let is_about_a_wallet =
        challenge.spec.is_some() || challenge.shortfall_usd.is_some() || challenge.amount_usd.is_some();
    is_about_a_wallet
        && !challenge
            .refusals()
            .iter()
            .any(|refusal| matches!(refusal, Refusal::NoWallet | Refusal::NotBound))
}
