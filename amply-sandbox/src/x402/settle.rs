//! What was settled: each authorization once, however often it is sent.
//!
//! Pure but for its own book; the time is passed in.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use indexmap::IndexSet;
use serde::Serialize;

use super::{
    authorization::{self, Address, Word, hex_text},
    payment::{self, Payment},
};

/// How many settlements are remembered, and as many nonces: a sandbox that serves for days must not grow.
const REMEMBERED: usize = 100_000;

/// An authorization that moved money. From [`Control::settlements`](crate::Control::settlements).
///
/// Addresses are written with their checksums, whatever the payment wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Settlement {
    /// As the payment named it: `base-sepolia` in version 1, `eip155:84532` in version 2.
    pub network: String,
    /// The token.
    pub asset: String,
    /// Who paid.
    pub from: String,
    /// Who was paid.
    pub pay_to: String,
    /// How much, in the token's smallest units.
    pub value: String,
    /// `0x` and 64 hexadecimal digits.
    pub nonce: String,
    /// The same form. It follows from the authorization.
    pub transaction: String,
    /// The `Idempotency-Key` of the request that the payment came with, if it had one.
    pub idempotency_key: Option<String>,
}

impl Settlement {
    pub(crate) fn of(payment: &Payment, idempotency_key: Option<String>) -> Self {
        let signed = &payment.authorization;
        Settlement {
            network: payment.network.clone(),
            asset: payment.asset.checksummed(),
            from: signed.from.checksummed(),
            pay_to: signed.to.checksummed(),
            value: payment.value.clone(),
            nonce: hex_text(&signed.nonce),
            transaction: transaction(payment),
            idempotency_key,
        }
    }
}

/// The hash of the transaction that settles `payment`, or would.
fn transaction(payment: &Payment) -> String {
    let (chain, signed) = (payment.chain_id.to_be_bytes(), &payment.authorization);
    hex_text(&authorization::keccak(&[
        b"transaction",
        &chain,
        &payment.asset.0,
        &signed.from.0,
        &signed.nonce,
    ]))
}

/// The book of all chains.
#[derive(Debug, Default)]
pub(crate) struct Settlements(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    settled: VecDeque<Settlement>,
    used: IndexSet<Nonce>,
    /// Of those payers that have a limit, in millionths of a dollar, on all chains together.
    balances: HashMap<Address, u64>,
    late: Vec<Late>,
}

/// What may be used once. Version 1 and 2 write the same chain differently, so it is its number that counts.
type Nonce = (u64, Address, Address, Word);

#[derive(Debug)]
struct Late {
    payment: Payment,
    settlement: Settlement,
    looks_left: u32,
}

impl Settlements {
    pub(crate) fn all(&self) -> Vec<Settlement> {
        self.book().settled.iter().cloned().collect()
    }

    /// A request came that has to be paid: brings payments that are late closer, and settles those whose time it is.
    pub(crate) fn look(&self, now: u64) {
        let mut book = self.book();
        for late in &mut book.late {
            late.looks_left = late.looks_left.saturating_sub(1);
        }
        let due: Vec<Late> = book.late.extract_if(.., |late| late.looks_left == 0).collect();
        for Late { payment, settlement, .. } in due {
            // After `validBefore` the contract refuses it: then it never comes.
            if payment.authorization.valid_before > authorization::word(now) {
                // One that was settled in the meantime, or whose payer has become too poor, does not come either.
                let _ = book.settle(&payment, settlement);
            }
        }
    }

    pub(crate) fn is_used(&self, payment: &Payment) -> bool {
        self.book().used.contains(&nonce(payment))
    }

    pub(crate) fn can_pay(&self, payment: &Payment) -> bool {
        self.book().can_pay(payment)
    }

    /// Moves the money, or says why it cannot be moved.
    pub(crate) fn settle(&self, payment: &Payment, settlement: Settlement) -> Result<(), &'static str> {
        self.book().settle(payment, settlement)
    }

    /// Moves it after so many looks, at least one.
    pub(crate) fn settle_late(&self, payment: &Payment, settlement: Settlement, looks: u32) {
        let late = Late { payment: payment.clone(), settlement, looks_left: looks };
        let mut book = self.book();
        if book.late.len() < REMEMBERED {
            book.late.push(late);
        }
    }

    /// `None` is no limit.
    pub(crate) fn balance(&self, payer: Address) -> Option<u64> {
        self.book().balances.get(&payer).copied()
    }

    pub(crate) fn set_balance(&self, payer: Address, millionths: u64) {
        self.book().balances.insert(payer, millionths);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn can_pay(&self, payment: &Payment) -> bool {
        let balance = self.balances.get(&payment.authorization.from);
        balance.is_none_or(|balance| payment.authorization.value <= authorization::word(*balance))
    }

    fn settle(&mut self, payment: &Payment, settlement: Settlement) -> Result<(), &'static str> {
        if self.used.contains(&nonce(payment)) {
            return Err(payment::used(payment.version));
        }
        if !self.can_pay(payment) {
            return Err(payment::too_poor(payment.version));
        }
        if let Some(balance) = self.balances.get_mut(&payment.authorization.from) {
            // Not more than the balance, as was seen above, and so a number of 64 bits.
            *balance = balance.saturating_sub(payment.value.parse().unwrap_or(*balance));
        }
        if self.used.len() == REMEMBERED {
            self.used.shift_remove_index(0);
            self.settled.pop_front();
        }
        self.used.insert(nonce(payment));
        self.settled.push_back(settlement);
        Ok(())
    }
}

fn nonce(payment: &Payment) -> Nonce {
    (payment.chain_id, payment.asset, payment.authorization.from, payment.authorization.nonce)
}
