//! The ledger as a person or a program looks at it: list, show, resolve, unblock.

use std::fmt;

use super::ledger::{Clock, Ledger};
use super::record::{PaidAnswer, Payment, Verdict};
use crate::error::Error;
use crate::store::Store;

/// The payments in a store. From [`Client::payments`](crate::Client::payments) or [`Store::payments`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), amply_sdk::Error> {
/// let store = amply_sdk::Store::in_memory();
/// assert!(store.payments().list().await?.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Payments(Ledger);

impl Payments {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self(ledger)
    }

    /// All payments, the oldest first. None is ever deleted.
    ///
    /// # Errors
    /// [`Error::Store`] when they cannot be read.
    pub async fn list(&self) -> Result<Vec<Payment>, Error> {
        self.0.list().await
    }

    /// One payment, by its id.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of this id, [`Error::Store`] when it cannot be read.
    pub async fn show(&self, id: &str) -> Result<Payment, Error> {
        self.0.look(id).await
    }

    /// The answer to the request that carried a payment of the open x402 protocol: what was paid for. It is kept for a day;
    /// `None` when none came, for a top-up, and afterwards.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be read.
    pub async fn answer(&self, id: &str) -> Result<Option<PaidAnswer>, Error> {
        self.0.answer(id).await
    }

    /// Says what became of a payment that is unknown, or settled and not applied. It then keeps nobody from paying; one that
    /// was rejected counts for no cap any more. Only for a person who has looked: nothing else may say it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none of this id, when it is still running, or when there is nothing to resolve;
    /// [`Error::Store`] when it cannot be written.
    pub async fn resolve(&self, id: &str, verdict: Verdict) -> Result<Payment, Error> {
        self.0.resolve(id, verdict).await
    }

    /// Why nothing is paid from this store until [`unblock`](Self::unblock): an earlier file could not be read and was set
    /// aside. `None` where nothing keeps payments from being made.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be read.
    pub async fn blocked(&self) -> Result<Option<String>, Error> {
        self.0.blocked().await
    }

    /// Lets payments go on after a store that could not be read was set aside; whether there was such a block.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be written.
    pub async fn unblock(&self) -> Result<bool, Error> {
        self.0.unblock().await
    }
}

impl fmt::Debug for Payments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Payments").field(self.0.store()).finish()
    }
}

impl Store {
    /// The payments in this store, without a client.
    #[must_use]
    pub fn payments(&self) -> Payments {
        Payments(Ledger::new(self.clone(), Clock::System))
    }
}
