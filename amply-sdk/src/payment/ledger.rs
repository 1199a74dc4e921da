//! The rules of the books: what may be begun, how a payment goes on, and what it holds back. Each method is one
//! transaction, so that they hold for tasks, processes and restarts alike.
//!
//! A payment only ever goes on: intent → sent → rejected, unknown or settled. Only a person's verdict lets one go back.

#[cfg(feature = "x402-evm")]
mod open;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;

#[cfg(feature = "x402-evm")]
pub(crate) use self::open::{BegunOpen, EndedOpen, OpenTerms, WantedOpen};
use super::policy::{Cap, SpendPolicy};
use super::record::{PaidAnswer, PaidCall, Payment, PaymentState, Rail, Receipt, Verdict, WalletId};
use crate::error::Error;
use crate::money::Usd;
use crate::store::{Query, Rows, Store, StoreError};
use crate::text::one_line;

const DAY_MS: i64 = 86_400_000;
/// An unknown payment is looked into at most once in this many leases: once a minute.
const LEASES_BETWEEN_TRIES: i64 = 10;

/// The payments of a store, as one client sees and changes them.
#[derive(Clone)]
pub(crate) struct Ledger {
    store: Store,
    /// Who writes: another of the same process counts as another.
    owner: Arc<str>,
    clock: Clock,
}

/// Milliseconds since 1970.
#[derive(Clone)]
pub(crate) enum Clock {
    System,
    #[cfg(test)]
    Paused {
        start: tokio::time::Instant,
        at: i64,
    },
    #[cfg(test)]
    ByHand(Arc<std::sync::atomic::AtomicI64>),
}

impl Clock {
    pub(crate) fn now_ms(&self) -> i64 {
        match self {
            Self::System => {
                let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            #[cfg(test)]
            Self::Paused { start, at } => at + i64::try_from(start.elapsed().as_millis()).unwrap(),
            #[cfg(test)]
            Self::ByHand(now) => now.load(std::sync::atomic::Ordering::SeqCst),
        }
    }
}

/// A payment that is wanted.
pub(crate) struct Wanted {
    pub(crate) wallet: WalletId,
    pub(crate) principal_id: Option<String>,
    pub(crate) balance_before: Option<Usd>,
    /// The calls in the order in which they are served; the first one leads.
    pub(crate) calls: Vec<WantedCall>,
    /// What the first calls, this many, need together. `None` is more than can be counted.
    pub(crate) amount_for: Box<dyn Fn(usize) -> Option<Usd> + Send>,
    /// The same for a payer that is asked for at least a minimum.
    pub(crate) minimum: Option<Usd>,
    /// The payer's question, made of the payment's key and its amount.
    pub(crate) request: Box<Question>,
    /// Who is asked; `None` for a payer that is never asked twice.
    pub(crate) payer: Option<String>,
    /// What is ordered under the leader's key, as a hash; `None` for a payment that a call leads.
    pub(crate) asked: Option<String>,
    /// When the balance was looked at, or before.
    pub(crate) seen_ms: i64,
}

type Question = dyn Fn(&str, Usd) -> String + Send;

#[derive(Clone, Debug)]
pub(crate) struct WantedCall {
    pub(crate) key: String,
    pub(crate) share: Usd,
}

/// What became of the wish to begin a payment.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is written down, for this many of the calls.
    Intended(Box<Payment>, usize),
    /// Another payment of this wallet is open.
    Held,
    /// A payment of this wallet has ended since the balance was looked at, which may be out of date.
    Outdated,
    /// The call that would lead has led this one before.
    HasLed(Box<Payment>),
    /// A cap forbids even the first call's share.
    Over(Over),
}

/// A cap that forbids a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) cap: Cap,
    pub(crate) limit: Usd,
    /// What is left under it.
    pub(crate) left: Usd,
    pub(crate) needed: Option<Usd>,
}

/// How the books stand before a payment.
#[derive(Debug)]
pub(crate) struct Outlook {
    pub(crate) blocked: Option<String>,
    pub(crate) spent: Usd,
    pub(crate) open: Option<Payment>,
}

/// How asking a payer ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ended {
    Settled(Receipt),
    Rejected(String),
    Unknown(String),
}

impl Ledger {
    pub(crate) fn new(store: Store, clock: Clock) -> Self {
        let owner = format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple());
        Self { store, owner: owner.into(), clock }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Whether a payment has ended only just now, so that a balance may yet show it.
    pub(crate) fn is_fresh(&self, payment: &Payment) -> bool {
        let since = payment.ended_ms.map_or(0, |ended| self.clock.now_ms().saturating_sub(ended));
        since < LEASES_BETWEEN_TRIES.saturating_mul(ms(self.lease()))
    }

    pub(crate) fn lease(&self) -> Duration {
        self.store.lease_time()
    }

    /// Writes down a payment before anybody is asked for money, if nothing forbids it.
    pub(crate) async fn begin(&self, wanted: Wanted, policy: &SpendPolicy) -> Result<Begun, Error> {
        let (policy, books) = (policy.clone(), self.books());
        self.transaction(move |rows| books.begin(rows, &wanted, &policy)).await
    }

    /// Says that the payer is about to be asked. Fails when others have given the payment up meanwhile.
    pub(crate) async fn sent(&self, id: &str) -> Result<Payment, Error> {
        let books = self.books();
        self.change(id, move |payment| {
            if payment.state != PaymentState::Intent || !books.holds(payment) {
                return Err(format!("the payment {} was given up by others; nothing was paid", payment.id));
            }
            payment.state = PaymentState::Sent;
            payment.lease_until_ms = books.lease_end();
            if let Some(open) = &mut payment.open {
                open.has_left = true;
            }
            Ok(())
        })
        .await
    }

    /// Goes on holding a payment that runs.
    pub(crate) async fn renew(&self, id: &str) -> Result<(), Error> {
        let books = self.books();
        let renewed = self.change(id, move |payment| {
            // One that has ended meanwhile is held by nobody.
            if payment.owner == *books.owner
                && payment.lease_until_ms > 0
                && !matches!(payment.state, PaymentState::Rejected | PaymentState::Settled)
            {
                payment.lease_until_ms = books.lease_end();
            }
            Ok(())
        });
        renewed.await.map(|_| ())
    }

    /// Writes down how asking the payer ended. `first` is the first time that it was asked: only then does a no mean
    /// that no money moved.
    pub(crate) async fn end(&self, id: &str, ended: Ended, first: bool) -> Result<Payment, Error> {
        let now = self.clock.now_ms();
        self.change(id, move |payment| {
            use PaymentState::{Rejected, Sent, Settled, SettledNotApplied, Unknown};
            match (ended, payment.state) {
                (Ended::Settled(receipt), Sent | Unknown | SettledNotApplied) => {
                    // The larger of what was asked for and what was credited counts.
                    payment.amount = payment.amount.max(receipt.credited_usd);
                    payment.state = SettledNotApplied;
                    if payment.is_shown_by(receipt.balance_usd) {
                        payment.state = Settled;
                    }
                    payment.receipt = Some(receipt);
                    payment.reason = None;
                    payment.prove_settled();
                }
                (Ended::Rejected(why), Sent) if first => {
                    payment.state = Rejected;
                    payment.reason = Some(why);
                }
                (Ended::Rejected(why) | Ended::Unknown(why), Sent | Unknown) => {
                    payment.state = Unknown;
                    payment.reason = Some(why);
                }
                // Somebody else has found out more.
                _ => return Ok(()),
            }
            payment.ended_ms = Some(now);
            payment.lease_until_ms = 0;
            Ok(())
        })
        .await
    }

    /// Looks at a payment again; one whose owner has died is ended first.
    pub(crate) async fn look(&self, id: &str) -> Result<Payment, Error> {
        let books = self.books();
        self.change(id, move |payment| {
            books.bury(payment);
            Ok(())
        })
        .await
    }

    /// The payment that keeps others from paying for this wallet.
    pub(crate) async fn open_for(
        &self,
        wallet: &WalletId,
        principal_id: Option<&str>,
    ) -> Result<Option<Payment>, Error> {
        let (books, wallet, principal_id) = (self.books(), wallet.clone(), principal_id.map(str::to_owned));
        self.transaction(move |rows| books.open_for(rows, &wallet, principal_id.as_deref())).await
    }

    /// Takes note of a balance that was seen: it may show that a payment's money has arrived. A person who has looked knows
    /// more than a balance does.
    pub(crate) async fn seen(&self, id: &str, balance: Option<Usd>) -> Result<Payment, Error> {
        let now = self.clock.now_ms();
        self.change(id, move |payment| {
            if payment.verdict != Some(Verdict::Rejected) && payment.is_shown_by(balance) {
                payment.state = PaymentState::Settled;
                payment.ended_ms = Some(now);
                payment.reason = None;
            }
            Ok(())
        })
        .await
    }

    /// Takes note that a call was answered after a payment had been settled for it: so the money was there.
    pub(crate) async fn served(
        &self,
        id: &str,
        call_key: &str,
        route_id: Option<String>,
    ) -> Result<(), Error> {
        let (call_key, now) = (call_key.to_owned(), self.clock.now_ms());
        let noted = self.change(id, move |payment| {
            if payment.state == PaymentState::SettledNotApplied {
                payment.state = PaymentState::Settled;
                payment.ended_ms = Some(now);
            }
            for call in payment.calls.iter_mut().filter(|call| call.call_key == call_key) {
                call.route_id.clone_from(&route_id);
            }
            Ok(())
        });
        noted.await.map(|_| ())
    }

    /// Takes an unknown payment in hand to ask its payer again: the same payer, one process at a time, once a minute, and
    /// within the time in which the payer promises to pay once. Another payer would pay a second time.
    pub(crate) async fn take_up(
        &self,
        id: &str,
        payer: &str,
        within: Duration,
    ) -> Result<Option<Payment>, Error> {
        let books = self.books();
        let (id, payer) = (id.to_owned(), payer.to_owned());
        self.transaction(move |rows| {
            let now = books.clock.now_ms();
            let Some(mut payment) = find(rows, &id)? else { return Ok(None) };
            let pause = LEASES_BETWEEN_TRIES.saturating_mul(ms(books.lease));
            let is_due = payment.tried_ms.is_none_or(|tried| now.saturating_sub(tried) >= pause);
            // A clock that was set back tells no age.
            let is_young = (0..ms(within)).contains(&now.saturating_sub(payment.created_ms));
            let is_free = payment.lease_until_ms <= now;
            if payment.state != PaymentState::Unknown
                || payment.verdict.is_some()
                || payment.payer.as_ref() != Some(&payer)
                || !(is_due && is_young && is_free)
            {
                return Ok(None);
            }
            payment.owner = (*books.owner).to_owned();
            payment.lease_until_ms = books.lease_end();
            payment.tried_ms = Some(now);
            rows.update(&payment)?;
            Ok(Some(payment))
        })
        .await
    }

    /// All payments, the oldest first. Those whose owner has died are shown as what is known of them.
    pub(crate) async fn list(&self) -> Result<Vec<Payment>, Error> {
        let books = self.books();
        self.transaction(move |rows| {
            let mut payments = rows.select(Query::All)?;
            for payment in &mut payments {
                if books.bury(payment) {
                    rows.update(payment)?;
                }
            }
            Ok(payments)
        })
        .await
    }

    /// The answer to the request that carried a payment, if one came and it is not older than a day.
    pub(crate) async fn answer(&self, id: &str) -> Result<Option<PaidAnswer>, Error> {
        let (id, oldest) = (id.to_owned(), self.clock.now_ms().saturating_sub(DAY_MS));
        self.transaction(move |rows| rows.answer(&id, oldest)).await
    }

    /// Writes a person's verdict on a payment that nothing else tells of.
    pub(crate) async fn resolve(&self, id: &str, verdict: Verdict) -> Result<Payment, Error> {
        let (books, wanted) = (self.books(), id.to_owned());
        let found = self.transaction(move |rows| {
            let Some(mut payment) = find(rows, &wanted)? else { return Ok(None) };
            let mut is_changed = books.bury(&mut payment);
            let refusal = books.why_not_resolved(&payment);
            if refusal.is_none() {
                payment.verdict = Some(verdict);
                is_changed = true;
            }
            if is_changed {
                rows.update(&payment)?;
            }
            Ok(Some((payment, refusal)))
        });
        match found.await?.ok_or_else(|| none_of(id))? {
            (payment, None) => Ok(payment),
            (_, Some(why)) => Err(Error::invalid("payment", format!("the payment {id} {why}"))),
        }
    }

    /// Why nothing is paid until a person has looked; `None` where payments may be made.
    pub(crate) async fn blocked(&self) -> Result<Option<String>, Error> {
        self.transaction(|rows| Ok(rows.block()?.map(|block| block.reason))).await
    }

    /// Lets payments go on after a store that could not be read was set aside; whether there was such a block.
    pub(crate) async fn unblock(&self) -> Result<bool, Error> {
        self.transaction(|rows| {
            let was_blocked = rows.block()?.is_some();
            rows.unblock()?;
            Ok(was_blocked)
        })
        .await
    }

    /// What is known before anything is paid: what today has cost, what keeps payments from being made, and which payment of
    /// this wallet is open.
    pub(crate) async fn outlook(&self, wallet: Option<WalletId>) -> Result<Outlook, Error> {
        let books = self.books();
        self.transaction(move |rows| {
            let blocked = rows.block()?.map(|block| block.reason);
            let open = match &wallet {
                Some(wallet) => books.open_for(rows, wallet, None)?,
                None => None,
            };
            Ok(Outlook { blocked, spent: books.spent_today(rows)?.1, open })
        })
        .await
    }

    /// The cap that leaves least once a payment was begun.
    pub(crate) async fn tightest(&self, policy: &SpendPolicy, begun: &Payment) -> Result<Over, Error> {
        let (books, policy, taken) = (self.books(), policy.clone(), begun.amount);
        self.transaction(move |rows| {
            let (_, spent) = books.spent_today(rows)?;
            // Of one top-up there is left what this one did not take.
            let mut caps = policy.allowed(spent);
            for cap in caps.iter_mut().filter(|cap| cap.cap == Cap::PerTopup) {
                cap.left = cap.limit.checked_sub(taken).unwrap_or_default().max(Usd::ZERO);
            }
            caps.into_iter().min_by_key(|cap| cap.left).ok_or_else(|| "no cap is set".to_owned())
        })
        .await
    }

    async fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut Payment) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Payment, Error> {
        let wanted = id.to_owned();
        let found = self.transaction(move |rows| {
            let Some(mut payment) = find(rows, &wanted)? else { return Ok(None) };
            let before = payment.clone();
            change(&mut payment)?;
            if payment != before {
                rows.update(&payment)?;
            }
            Ok(Some(payment))
        });
        found.await?.ok_or_else(|| none_of(id))
    }

    /// Where the store may block, its work is done off the threads that others wait on.
    async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Error> {
        if !self.store.is_of_this_process() {
            return Err(Error::forked());
        }
        if !self.store.is_durable() {
            return self.store.transaction(work).map_err(Error::Store);
        }
        let store = self.store.clone();
        let background: Handle = crate::background::handle()?;
        match background.spawn_blocking(move || store.transaction(work)).await {
            Ok(done) => done.map_err(Error::Store),
            Err(_) => Err(Error::Store("the store's work was broken off; nothing of it was kept".to_owned())),
        }
    }

    fn books(&self) -> Books {
        Books { owner: self.owner.clone(), clock: self.clock.clone(), lease: self.lease() }
    }
}

/// What a transaction needs to know besides the rows.
struct Books {
    owner: Arc<str>,
    clock: Clock,
    lease: Duration,
}

impl Books {
    fn begin(&self, rows: &mut dyn Rows, wanted: &Wanted, policy: &SpendPolicy) -> Result<Begun, StoreError> {
        self.check_block(rows)?;
        if self.open_for(rows, &wanted.wallet, wanted.principal_id.as_deref())?.is_some() {
            return Ok(Begun::Held);
        }
        if self.has_ended_since(rows, wanted)? {
            return Ok(Begun::Outdated);
        }
        let Some(leader) = wanted.calls.first() else {
            return Err("a payment was wanted for no call; this is a fault of the client".to_owned());
        };
        let mut led = rows.select(Query::LedBy(&leader.key))?;
        led.retain(|payment| payment.was_led_by(&leader.key));
        if let Some(made) = led.iter().find(|payment| payment.counts()) {
            return Ok(Begun::HasLed(Box::new(made.clone())));
        }
        let (today, spent) = self.spent_today(rows)?;
        let allowed = policy.allowed(spent);
        let fits =
            |amount: Option<Usd>| amount.filter(|amount| allowed.iter().all(|cap| *amount <= cap.left));
        // The most calls whose needs fit together; more calls never need less.
        let fit =
            (1..=wanted.calls.len()).take_while(|count| fits((wanted.amount_for)(*count)).is_some()).last();
        let Some((served, needed)) = fit.and_then(|count| Some((count, (wanted.amount_for)(count)?))) else {
            let needed = (wanted.amount_for)(1);
            let cap = allowed.into_iter().min_by_key(|cap| cap.left);
            return match cap {
                Some(Over { cap, limit, left, .. }) => Ok(Begun::Over(Over { cap, limit, left, needed })),
                None => Err("the amount of a payment is larger than can be written down".to_owned()),
            };
        };
        // A minimum rounds up, and never breaks a cap.
        let amount = wanted
            .minimum
            .filter(|minimum| *minimum > needed)
            .map_or(needed, |minimum| fits(Some(minimum)).unwrap_or(needed));
        let now = self.clock.now_ms();
        let idempotency_key = match &wanted.asked {
            Some(asked) => {
                let tries = led.iter().filter(|payment| payment.asked.as_ref() == Some(asked)).count();
                key_of_order(asked, &leader.key, tries)
            }
            None => uuid::Uuid::now_v7().to_string(),
        };
        let calls = wanted.calls.iter().take(served).enumerate();
        let payment = Payment {
            id: uuid::Uuid::now_v7().to_string(),
            rail: Rail::Wallet,
            state: PaymentState::Intent,
            verdict: None,
            amount,
            base_url: wanted.wallet.base_url.clone(),
            principal_id: wanted.principal_id.clone(),
            wallet: wanted.wallet.key_hash.clone(),
            request: (wanted.request)(&idempotency_key, amount),
            idempotency_key,
            calls: calls
                .map(|(number, call)| PaidCall {
                    call_key: call.key.clone(),
                    led: number == 0,
                    share_usd: call.share,
                    route_id: None,
                })
                .collect(),
            reason: None,
            receipt: None,
            open: None,
            created_ms: now,
            ended_ms: None,
            day: today,
            owner: (*self.owner).to_owned(),
            lease_until_ms: self.lease_end(),
            tried_ms: None,
            balance_before: wanted.balance_before,
            payer: wanted.payer.clone(),
            asked: wanted.asked.clone(),
        };
        rows.insert(&payment)?;
        Ok(Begun::Intended(Box::new(payment), served))
    }

    fn check_block(&self, rows: &mut dyn Rows) -> Result<(), StoreError> {
        match rows.block()? {
            Some(block) => Err(format!("{}; then `amply payments unblock`", block.reason)),
            None => Ok(()),
        }
    }

    /// The day that counts, and what it has cost so far. A clock that jumps back frees nothing.
    fn spent_today(&self, rows: &mut dyn Rows) -> Result<(i64, Usd), StoreError> {
        let clock = self.clock.now_ms().div_euclid(DAY_MS);
        let today = rows.newest_day()?.map_or(clock, |newest| newest.max(clock));
        let mut spent = Usd::ZERO;
        for mut payment in rows.select(Query::Day(today))? {
            // An intent that nobody carries on takes nothing. That is written down, so that nobody does.
            if self.bury(&mut payment)
                && let Some(mut whole) = find(rows, &payment.id)?
                && self.bury(&mut whole)
            {
                rows.update(&whole)?;
            }
            if payment.counts_on(today) {
                spent = spent
                    .checked_add(payment.amount)
                    .ok_or("the payments of today add up to more than can be counted")?;
            }
        }
        Ok((today, spent))
    }

    /// Why a person may not say what became of a payment; `None` where one may.
    fn why_not_resolved(&self, payment: &Payment) -> Option<String> {
        if payment.is_running() {
            return Some("is still running; wait until it has ended".to_owned());
        }
        if !payment.is_open() {
            let word = payment.verdict.map_or(payment.state.as_str(), Verdict::as_str);
            return Some(format!("is {word} already; there is nothing to resolve"));
        }
        // Its payer may say yes yet.
        (payment.lease_until_ms > self.clock.now_ms())
            .then(|| "is being asked again what became of it; wait until that has ended".to_owned())
    }

    fn open_for(
        &self,
        rows: &mut dyn Rows,
        wallet: &WalletId,
        principal_id: Option<&str>,
    ) -> Result<Option<Payment>, StoreError> {
        for mut payment in rows.select(Query::Open)? {
            if !payment.is_open() || !payment.is_of(wallet, principal_id) {
                continue;
            }
            if self.bury(&mut payment) {
                rows.update(&payment)?;
            }
            if payment.is_open() {
                return Ok(Some(payment));
            }
        }
        Ok(None)
    }

    /// Whether the balance may lack a credit: a payment has ended since it was looked at. An end that is yet to come, by a
    /// clock that was set back, says nothing.
    fn has_ended_since(&self, rows: &mut dyn Rows, wanted: &Wanted) -> Result<bool, StoreError> {
        let now = self.clock.now_ms();
        let ended = rows.select(Query::EndedSince(wanted.seen_ms))?;
        Ok(ended.iter().any(|payment| {
            payment.is_of(&wanted.wallet, wanted.principal_id.as_deref())
                && payment.counts()
                && payment.ended_ms.is_some_and(|ended| (wanted.seen_ms..=now).contains(&ended))
        }))
    }

    /// Ends a payment that runs no more: nobody was asked before it was `sent`, and nobody knows afterwards.
    fn bury(&self, payment: &mut Payment) -> bool {
        let now = self.clock.now_ms();
        if !payment.is_running() || payment.lease_until_ms > now {
            return false;
        }
        let (state, why) = match payment.state {
            PaymentState::Intent => (PaymentState::Rejected, "its process ended before the payer was asked"),
            _ => (PaymentState::Unknown, "its process ended while the payer was asked"),
        };
        payment.state = state;
        payment.reason = Some(why.to_owned());
        payment.ended_ms = Some(now);
        true
    }

    fn holds(&self, payment: &Payment) -> bool {
        payment.owner == *self.owner && payment.lease_until_ms > self.clock.now_ms()
    }

    fn lease_end(&self) -> i64 {
        self.clock.now_ms().saturating_add(ms(self.lease))
    }
}

/// The key of a payment that is ordered: the same from every store, so that a payer that heeds it pays once for all of them. After a
/// rejected try it is another one, as the first may have been refused for good.
fn key_of_order(asked: &str, key: &str, rejected_tries: usize) -> String {
    let digest = crate::key::digest(format!("{asked}\n{key}\n{rejected_tries}"));
    let mut bytes = [0; 16];
    for (byte, of_digest) in bytes.iter_mut().zip(digest.as_ref()) {
        *byte = *of_digest;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn none_of(id: &str) -> Error {
    let id = one_line(id, 80);
    Error::invalid(
        "payment",
        format!("the ledger has no payment `{id}`; `amply payments list` shows those it has"),
    )
}

fn find(rows: &mut dyn Rows, id: &str) -> Result<Option<Payment>, StoreError> {
    Ok(rows.select(Query::Id(id))?.into_iter().next())
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
