//! What principals have paid in and what is left of it: one wallet each, in US dollars.
//!
//! Pure but for its own books. Whether a top-up is credited as it should be is up to a [`Crediting`].

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use indexmap::IndexMap;
use serde::Serialize;

use crate::{crediting::Crediting, money::NanoUsd};

/// How many top-ups are remembered: a sandbox that serves for days must not grow.
const REMEMBERED: usize = 100_000;

/// The wallets of all principals. One that nobody has opened is empty.
#[derive(Debug, Default)]
pub(crate) struct Wallets(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    wallets: HashMap<String, Wallet>,
    /// By idempotency key.
    top_ups: IndexMap<String, Done>,
    credits: VecDeque<Credit>,
}

#[derive(Debug, Default)]
struct Wallet {
    balance: NanoUsd,
    late: Vec<Late>,
}

/// A credit that counts only once the wallet was looked at a number of times more.
#[derive(Debug)]
struct Late {
    amount: NanoUsd,
    looks_left: u32,
}

/// A top-up that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopUp {
    pub(crate) principal_id: String,
    /// More than 0.
    pub(crate) amount: NanoUsd,
    pub(crate) idempotency_key: String,
    pub(crate) via: Via,
}

#[derive(Debug)]
struct Done {
    principal_id: String,
    amount: NanoUsd,
    receipt: Receipt,
}

/// What the one who tops up is told.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) topup_id: String,
    pub(crate) balance: NanoUsd,
    /// JSON text.
    pub(crate) credited: String,
}

/// Why a top-up was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopUpRefusal {
    /// Its idempotency key was that of another amount or principal.
    KeyTaken,
    /// The wallet cannot hold as much.
    TooMuch,
}

/// Money that was credited to a wallet. From [`Control::credits`](crate::Control::credits).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Credit {
    /// Whose wallet it is.
    pub principal_id: String,
    /// What was credited, whatever was asked for or said. As JSON `amount_usd`, a number in dollars.
    #[serde(rename = "amount_usd")]
    pub amount: NanoUsd,
    /// The key that the top-up came with.
    pub idempotency_key: String,
    /// Which way it came.
    pub via: Via,
    /// The id that the answer had.
    pub topup_id: String,
}

/// Which way a top-up came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Via {
    /// `POST /billing/topup`, with the admin secret.
    Billing,
    /// The guarded service at [`Sandbox::topup_url`](crate::Sandbox::topup_url).
    Service,
}

impl Wallets {
    /// What the server counts on now.
    pub(crate) fn balance(&self, principal: &str) -> NanoUsd {
        self.books().wallets.get(principal).map_or_else(NanoUsd::default, |wallet| wallet.balance)
    }

    pub(crate) fn set_balance(&self, principal: &str, balance: NanoUsd) {
        self.books().wallet(principal).balance = balance;
    }

    /// The balance; brings credits that are late one look closer.
    pub(crate) fn look(&self, principal: &str) -> NanoUsd {
        self.books().wallet(principal).look()
    }

    /// Takes `price` from the wallet; else the balance that is too low for it. A look like any other.
    ///
    /// [our] a debit that is not strict takes the balance below zero.
    pub(crate) fn debit(&self, principal: &str, price: NanoUsd, strict: bool) -> Result<(), NanoUsd> {
        let mut books = self.books();
        let wallet = books.wallet(principal);
        let balance = wallet.look();
        if strict && balance < price {
            return Err(balance);
        }
        wallet.balance = NanoUsd(balance.0.saturating_sub(price.0));
        Ok(())
    }

    /// Credits a wallet once for an idempotency key. `crediting` and `id` are asked for only when it is the first time.
    pub(crate) fn top_up(
        &self,
        top_up: TopUp,
        crediting: impl FnOnce() -> Crediting,
        id: impl FnOnce() -> String,
    ) -> Result<Receipt, TopUpRefusal> {
        let mut books = self.books();
        if let Some(done) = books.top_ups.get(&top_up.idempotency_key) {
            let is_same = done.principal_id == top_up.principal_id && done.amount == top_up.amount;
            return if is_same { Ok(done.receipt.clone()) } else { Err(TopUpRefusal::KeyTaken) };
        }
        let crediting = crediting();
        let amount = crediting.amount_for(top_up.amount);
        let balance = books.wallet(&top_up.principal_id).credit(amount, crediting.late_by())?;
        let topup_id = format!("tup_{}", id());
        let receipt =
            Receipt { topup_id: topup_id.clone(), balance, credited: crediting.said_for(top_up.amount) };
        books.remember(&top_up, amount, receipt.clone());
        Ok(receipt)
    }

    pub(crate) fn credits(&self) -> Vec<Credit> {
        self.books().credits.iter().cloned().collect()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn wallet(&mut self, principal: &str) -> &mut Wallet {
        self.wallets.entry(principal.to_owned()).or_default()
    }

    fn remember(&mut self, top_up: &TopUp, amount: NanoUsd, receipt: Receipt) {
        if amount != NanoUsd::default() {
            if self.credits.len() == REMEMBERED {
                self.credits.pop_front();
            }
            self.credits.push_back(Credit {
                principal_id: top_up.principal_id.clone(),
                amount,
                idempotency_key: top_up.idempotency_key.clone(),
                via: top_up.via,
                topup_id: receipt.topup_id.clone(),
            });
        }
        if self.top_ups.len() == REMEMBERED {
            self.top_ups.shift_remove_index(0);
        }
        let done = Done { principal_id: top_up.principal_id.clone(), amount: top_up.amount, receipt };
        self.top_ups.insert(top_up.idempotency_key.clone(), done);
    }
}

impl Wallet {
    fn look(&mut self) -> NanoUsd {
        // Those whose looks are used up count now; the others have one less to wait for.
        for due in self.late.extract_if(.., |late| late.looks_left == 0) {
            self.balance = NanoUsd(self.balance.0.saturating_add(due.amount.0));
        }
        for late in &mut self.late {
            late.looks_left -= 1;
        }
        self.balance
    }

    fn credit(&mut self, amount: NanoUsd, late_by: u32) -> Result<NanoUsd, TopUpRefusal> {
        let balance = self.balance.0.checked_add(amount.0).map(NanoUsd).ok_or(TopUpRefusal::TooMuch)?;
        if late_by > 0 {
            self.late.push(Late { amount, looks_left: late_by });
        } else {
            self.balance = balance;
        }
        Ok(self.balance)
    }
}

#[cfg(test)]
mod tests;
