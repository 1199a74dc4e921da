//! The books of the open rail: payments run side by side, one for a call, each with a nonce of its own. A signature that has
//! left the process counts, whatever the server says of it.

use super::{Begun, Books, DAY_MS, Ledger, Over, find};
use crate::error::Error;
use crate::money::Usd;
use crate::payment::policy::{Cap, SpendPolicy};
use crate::payment::record::{OpenPayment, PaidAnswer, PaidCall, Payment, PaymentState, Rail};
use crate::store::{Query, Rows, StoreError};

/// How long an answer is kept.
const KEPT_MS: i64 = DAY_MS;
/// After so many refusals in a row nothing is signed for a while.
const REFUSALS: usize = 3;
/// The first such while; each further refusal doubles it.
const FIRST_PAUSE_MS: i64 = 10 * 60_000;
const LONGEST_PAUSE_MS: i64 = 6 * 3_600_000;

/// A signed transfer that is wanted.
pub(crate) struct WantedOpen {
    pub(crate) base_url: String,
    pub(crate) key_hash: String,
    /// The key of the call that it is for.
    pub(crate) call_key: String,
    pub(crate) amount: Usd,
    pub(crate) open: OpenPayment,
}

/// What the books say before anything is chosen.
#[derive(Debug, Default)]
pub(crate) struct OpenTerms {
    /// What the cap of the day leaves; `None` without one.
    pub(crate) left_of_day: Option<Usd>,
    /// The first who was paid, by network.
    pub(crate) payees: Vec<(String, String)>,
    /// Networks on which this server has refused payment after payment, and its last reason.
    pub(crate) refusing: Vec<(String, String)>,
}

/// How a request that carried a payment ended.
pub(crate) struct EndedOpen {
    pub(crate) state: PaymentState,
    pub(crate) reason: Option<String>,
    pub(crate) transaction: Option<String>,
    pub(crate) receipt_json: Option<String>,
    pub(crate) answer: Option<PaidAnswer>,
    pub(crate) route_id: Option<String>,
}

impl Ledger {
    /// What limits a choice among the offers of a server.
    pub(crate) async fn open_terms(&self, base_url: &str, policy: &SpendPolicy) -> Result<OpenTerms, Error> {
        let (books, base_url, policy) = (self.books(), base_url.to_owned(), policy.clone());
        self.transaction(move |rows| {
            let (_, spent) = books.spent_today(rows)?;
            let payments = rows.select(Query::OpenOf(&base_url))?;
            let day = policy.allowed(spent).into_iter().find(|cap| cap.cap == Cap::PerDay);
            Ok(OpenTerms {
                left_of_day: day.map(|cap| cap.left),
                payees: first_payees(&payments),
                refusing: refusing(&payments, books.clock.now_ms()),
            })
        })
        .await
    }

    /// Writes down a transfer before it is signed, if nothing forbids it.
    pub(crate) async fn begin_open(&self, wanted: WantedOpen, policy: &SpendPolicy) -> Result<Begun, Error> {
        let (books, policy) = (self.books(), policy.clone());
        self.transaction(move |rows| books.begin_open(rows, wanted, &policy)).await
    }

    /// The payment that a call led, unless no money can have moved for it.
    pub(crate) async fn led_by(&self, call_key: &str) -> Result<Option<Payment>, Error> {
        let call_key = call_key.to_owned();
        self.transaction(move |rows| has_led(rows, &call_key)).await
    }

    /// Writes down how it ended, and the answer with it: both or neither. What is known of the money only rises.
    pub(crate) async fn end_open(&self, id: &str, ended: EndedOpen) -> Result<Payment, Error> {
        let (books, id) = (self.books(), id.to_owned());
        let found = self.transaction(move |rows| {
            use PaymentState::{Intent, Rejected, Sent, Settled, SettledNotApplied, Unknown};
            let Some(mut payment) = find(rows, &id)? else { return Ok(None) };
            let now = books.clock.now_ms();
            let rises = match (ended.state, payment.state) {
                (_, Intent | Sent) => true,
                (Settled | SettledNotApplied, Unknown | SettledNotApplied) => true,
                (Unknown, Unknown) => true,
                (Intent | Sent | Rejected | Unknown, _) | (_, Rejected | Settled) => false,
            };
            if rises {
                payment.state = ended.state;
                payment.reason = ended.reason;
                payment.ended_ms = Some(now);
                payment.lease_until_ms = 0;
            }
            if let Some(open) = &mut payment.open {
                open.transaction = ended.transaction.or(open.transaction.take());
                open.receipt_json = ended.receipt_json.or(open.receipt_json.take());
            }
            if let (Some(call), Some(route_id)) = (payment.calls.first_mut(), ended.route_id) {
                call.route_id = Some(route_id);
            }
            rows.update(&payment)?;
            if let Some(answer) = &ended.answer {
                rows.keep_answer(&payment.id, answer, now, now.saturating_sub(KEPT_MS))?;
            }
            Ok(Some(payment))
        });
        found.await?.ok_or_else(|| Error::Store("a payment is gone from the ledger".to_owned()))
    }
}

impl Books {
    fn begin_open(
        &self,
        rows: &mut dyn Rows,
        wanted: WantedOpen,
        policy: &SpendPolicy,
    ) -> Result<Begun, StoreError> {
        self.check_block(rows)?;
        if let Some(led) = has_led(rows, &wanted.call_key)? {
            return Ok(Begun::HasLed(Box::new(led)));
        }
        let (today, spent) = self.spent_today(rows)?;
        let day = policy.allowed(spent).into_iter().filter(|cap| cap.cap == Cap::PerDay);
        let too_dear = policy.check_price(wanted.amount).err();
        let over = too_dear.into_iter().chain(day.filter(|cap| wanted.amount > cap.left)).next();
        if let Some(Over { cap, limit, left, .. }) = over {
            return Ok(Begun::Over(Over { cap, limit, left, needed: Some(wanted.amount) }));
        }
        let payment = Payment {
            id: uuid::Uuid::now_v7().to_string(),
            rail: Rail::X402,
            state: PaymentState::Intent,
            verdict: None,
            amount: wanted.amount,
            base_url: wanted.base_url,
            principal_id: None,
            wallet: wanted.key_hash,
            // The nonce is what makes it the only one.
            idempotency_key: wanted.open.nonce.clone(),
            calls: vec![PaidCall {
                call_key: wanted.call_key,
                led: true,
                share_usd: wanted.amount,
                route_id: None,
            }],
            reason: None,
            receipt: None,
            open: Some(wanted.open),
            created_ms: self.clock.now_ms(),
            ended_ms: None,
            day: today,
            owner: (*self.owner).to_owned(),
            lease_until_ms: self.lease_end(),
            tried_ms: None,
            request: String::new(),
            balance_before: None,
        };
        rows.insert(&payment)?;
        Ok(Begun::Intended(Box::new(payment), 1))
    }
}

/// The payment that a call led and for which money moved, or may have.
fn has_led(rows: &mut dyn Rows, call_key: &str) -> Result<Option<Payment>, StoreError> {
    let led = rows.select(Query::LedBy(call_key))?;
    Ok(led.into_iter().find(|payment| {
        payment.was_led_by(call_key)
            && payment.verdict != Some(crate::payment::Verdict::Rejected)
            && payment.state != PaymentState::Rejected
    }))
}

/// Who was paid first on each network, in the order of the payments.
fn first_payees(payments: &[Payment]) -> Vec<(String, String)> {
    let mut payees: Vec<(String, String)> = Vec::new();
    for payment in payments {
        let is_settled = matches!(payment.state, PaymentState::Settled | PaymentState::SettledNotApplied);
        let Some(open) = payment.open.as_ref().filter(|_| is_settled) else { continue };
        if !payees.iter().any(|(network, _)| *network == open.network) {
            payees.push((open.network.clone(), open.pay_to.clone()));
        }
    }
    payees
}

/// The networks on which the latest payments were refused, one after the other, and not long ago.
fn refusing(payments: &[Payment], now_ms: i64) -> Vec<(String, String)> {
    let mut networks: Vec<&str> =
        payments.iter().filter_map(|payment| Some(&*payment.open.as_ref()?.network)).collect();
    networks.sort_unstable();
    networks.dedup();
    let is_refusing = |network: &&str| {
        let of_network = payments.iter().rev().filter(|payment| {
            payment.open.as_ref().is_some_and(|open| open.network == **network && open.has_left)
        });
        let refused: Vec<&Payment> =
            of_network.take_while(|payment| payment.state == PaymentState::Rejected).collect();
        let last = refused.first()?;
        let doublings = u32::try_from(refused.len().checked_sub(REFUSALS)?).ok()?;
        let pause = FIRST_PAUSE_MS.saturating_mul(1_i64.checked_shl(doublings.min(10)).unwrap_or(i64::MAX));
        let until = last.ended_ms?.saturating_add(pause.min(LONGEST_PAUSE_MS));
        (now_ms < until).then(|| ((*network).to_owned(), last.reason.clone().unwrap_or_default()))
    };
    networks.iter().filter_map(is_refusing).collect()
}
