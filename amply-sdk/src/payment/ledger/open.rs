//! The books of the open rail: payments run side by side, one for a call, each with a nonce of its own. A signature that has
//! left the process counts, whatever the server says of it.

use super::{Books, DAY_MS, Ledger, Over, find};
use crate::error::Error;
use crate::money::Usd;
use crate::payment::policy::{Cap, SpendPolicy};
use crate::payment::record::{OpenPayment, PaidAnswer, PaidCall, Payment, PaymentState, Rail, Verdict};
use crate::store::{At, Query, Rows, StoreError};

/// How long an answer is kept.
const KEPT_MS: i64 = DAY_MS;
/// After so many refusals in a row nothing is signed for a while.
const REFUSALS: usize = 3;
/// The first such while; each further refusal doubles it.
const FIRST_PAUSE_MS: i64 = 10 * 60_000;
const LONGEST_PAUSE_MS: i64 = 6 * 3_600_000;
/// So many refusals in a row make the longest such while.
const LOOKED_AT: u32 = 9;

/// A signed transfer that is wanted.
pub(crate) struct WantedOpen {
    pub(crate) base_url: String,
    /// The server, whatever path it is asked at.
    pub(crate) origin: String,
    pub(crate) key_hash: String,
    /// The key of the call that it is for.
    pub(crate) call_key: String,
    /// The call's request, as a hash.
    pub(crate) asked: String,
    pub(crate) amount: Usd,
    pub(crate) open: OpenPayment,
}

/// What became of the wish to begin one.
#[derive(Debug)]
pub(crate) enum BegunOpen {
    /// It is written down.
    Intended(Box<Payment>),
    /// The call has led this one before.
    HasLed(Box<Payment>),
    /// A cap forbids it.
    Over(Over),
    /// Somebody else has been paid there meanwhile.
    ForeignPayee,
    /// The server has kept refusing meanwhile; its last reason.
    Refusing(String),
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
    /// What limits a choice among the offers of a server, on each of these networks.
    pub(crate) async fn open_terms(
        &self,
        origin: String,
        networks: Vec<String>,
        policy: &SpendPolicy,
    ) -> Result<OpenTerms, Error> {
        let (books, policy) = (self.books(), policy.clone());
        self.transaction(move |rows| {
            let (_, spent) = books.spent_today(rows)?;
            let day = policy.allowed(spent).into_iter().find(|cap| cap.cap == Cap::PerDay);
            let mut terms = OpenTerms { left_of_day: day.map(|cap| cap.left), ..OpenTerms::default() };
            for network in networks {
                let at = At { origin: &origin, network: &network };
                let (payee, reason) = (first_payee(rows, at)?, books.refusing(rows, at)?);
                terms.payees.extend(payee.map(|payee| (network.clone(), payee)));
                terms.refusing.extend(reason.map(|reason| (network.clone(), reason)));
            }
            Ok(terms)
        })
        .await
    }

    /// Writes down a transfer before it is signed, if nothing forbids it.
    pub(crate) async fn begin_open(
        &self,
        wanted: WantedOpen,
        policy: &SpendPolicy,
    ) -> Result<BegunOpen, Error> {
        let (books, policy) = (self.books(), policy.clone());
        self.transaction(move |rows| books.begin_open(rows, wanted, &policy)).await
    }

    /// The payment that a call led, unless no money can have moved for it.
    pub(crate) async fn led_by(&self, call_key: &str) -> Result<Option<Payment>, Error> {
        let (books, call_key) = (self.books(), call_key.to_owned());
        self.transaction(move |rows| books.has_led(rows, &call_key)).await
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
                if payment.is_settled() {
                    payment.prove_settled();
                }
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
    ) -> Result<BegunOpen, StoreError> {
        self.check_block(rows)?;
        if let Some(led) = self.has_led(rows, &wanted.call_key)? {
            return Ok(BegunOpen::HasLed(Box::new(led)));
        }
        // Chosen by what the books said before; they may say something else by now.
        let at = At { origin: &wanted.origin, network: &wanted.open.network };
        if let Some(reason) = self.refusing(rows, at)? {
            return Ok(BegunOpen::Refusing(reason));
        }
        if !policy.open_rules().may_pay(&wanted.open, first_payee(rows, at)?) {
            return Ok(BegunOpen::ForeignPayee);
        }
        let (today, spent) = self.spent_today(rows)?;
        let day = policy.allowed(spent).into_iter().filter(|cap| cap.cap == Cap::PerDay);
        let too_dear = policy.check_price(wanted.amount).err();
        let over = too_dear.into_iter().chain(day.filter(|cap| wanted.amount > cap.left)).next();
        if let Some(Over { cap, limit, left, .. }) = over {
            return Ok(BegunOpen::Over(Over { cap, limit, left, needed: Some(wanted.amount) }));
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
            payer: None,
            asked: Some(wanted.asked),
        };
        rows.insert(&payment)?;
        Ok(BegunOpen::Intended(Box::new(payment)))
    }

    /// The payment that a call led and for which money moved, or may have.
    fn has_led(&self, rows: &mut dyn Rows, call_key: &str) -> Result<Option<Payment>, StoreError> {
        for mut payment in rows.select(Query::LedBy(call_key))? {
            if self.bury(&mut payment) {
                rows.update(&payment)?;
            }
            if payment.was_led_by(call_key)
                && payment.verdict != Some(Verdict::Rejected)
                && payment.state != PaymentState::Rejected
            {
                return Ok(Some(payment));
            }
        }
        Ok(None)
    }

    /// Why nothing is signed there: the latest payments were refused, one after the other, and not long ago.
    fn refusing(&self, rows: &mut dyn Rows, at: At<'_>) -> Result<Option<String>, StoreError> {
        let latest = rows.select(Query::LatestEnded(at, LOOKED_AT))?;
        let latest = latest.iter().filter(|payment| at.has(payment) && payment.has_left_and_ended());
        let refused: Vec<&Payment> =
            latest.take_while(|payment| payment.state == PaymentState::Rejected).collect();
        let pause = |last: &Payment| {
            let doublings = u32::try_from(refused.len().checked_sub(REFUSALS)?).ok()?;
            let pause = FIRST_PAUSE_MS.saturating_mul(1_i64.checked_shl(doublings.min(10))?);
            let until = last.ended_ms?.saturating_add(pause.min(LONGEST_PAUSE_MS));
            (self.clock.now_ms() < until).then(|| last.reason.clone().unwrap_or_default())
        };
        Ok(refused.first().and_then(|last| pause(last)))
    }
}

/// Who was paid first there.
fn first_payee(rows: &mut dyn Rows, at: At<'_>) -> Result<Option<String>, StoreError> {
    let settled = rows.select(Query::FirstSettled(at))?;
    let first = settled.into_iter().find(|payment| at.has(payment) && payment.is_settled());
    Ok(first.and_then(|payment| payment.open).map(|open| open.pay_to))
}

#[cfg(test)]
mod tests;
