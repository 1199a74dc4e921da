//! A top-up that somebody ordered, without a 402: the same ledger, the same caps, the same payer, one at a time. No call waits
//! for it, so that no call is sent again.

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout_at};

use super::{Coordinator, Ending, LOOKS, Shared, TICK, Waits};
use crate::event::Event;
use crate::key::{self, KeyKind};
use crate::money::Usd;
use crate::payment::challenge::Refusal;
use crate::payment::ledger::{Begun, Wanted, WantedCall};
use crate::payment::patience;
use crate::payment::record::{Payment, PaymentState, Rail, WalletId};
use crate::payment::running::{Counted, Stage};
use crate::payment::wallet::look::Looked;
use crate::payment::wallet::operator::TopUpOrder;
use crate::payment::wallet::payer::{Promise, TopUpRequest};

/// Why an order was not carried out.
pub(crate) enum Unfilled {
    /// Nobody says whose wallet it is for.
    NoPayee,
    /// Another payment of this wallet is open. Nothing was paid.
    Held(Box<Payment>),
    /// The order's key led this payment before, which is not what is ordered. Nothing was paid.
    LedElsewhere(Box<Payment>),
    Ended(Ending),
}

impl<T: Into<Ending>> From<T> for Unfilled {
    fn from(ending: T) -> Self {
        Self::Ended(ending.into())
    }
}

/// Whose wallet an order is for.
struct Payee {
    wallet: WalletId,
    principal_id: String,
    balance: Option<Usd>,
    /// When the balance was looked at, or before.
    seen_ms: i64,
}

impl Coordinator {
    /// Tops up by an order. The payment goes on when the waiting for it ends.
    pub(crate) async fn top_up(
        &self,
        order: TopUpOrder,
        key_kind: Option<KeyKind>,
        deadline: Instant,
    ) -> Result<Payment, Unfilled> {
        let waits = Waits(Arc::default());
        let (shared, stage) = (self.0.clone(), waits.0.clone());
        let task = self.0.setup.spawner.spawn(async move { shared.fill(order, key_kind, &stage).await })?;
        match timeout_at(deadline, task).await {
            Ok(Ok(done)) => done,
            // Out of time; or the background's own end, with the process.
            _ => Err(Ending::from(waits.0.give_up()).into()),
        }
    }
}

impl Shared {
    async fn fill(
        &self,
        order: TopUpOrder,
        key_kind: Option<KeyKind>,
        stage: &Stage,
    ) -> Result<Payment, Unfilled> {
        let key = order.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        loop {
            stage.wait();
            let payee = self.payee(&order, key_kind).await?;
            let asked = what(&order, &payee);
            // From here on nobody can say that nothing was paid, until it is known that nothing was begun.
            if !stage.begin() {
                return Err(Ending::Late(None).into());
            }
            // One that is open may have arrived meanwhile. It is not waited for: who ordered is told of it.
            if let Some(open) = self.setup.ledger.open_for(&payee.wallet, Some(&payee.principal_id)).await? {
                let open = self.note_balance(&open, payee.balance).await?;
                let open = self.applied_by_its_receipt(open).await;
                if open.is_open() {
                    return match open.was_led_by(&key) {
                        true => led_before(Box::new(open), &asked),
                        false => Err(Unfilled::Held(Box::new(open))),
                    };
                }
            }
            let wanted = self.ordered(&order, &key, &payee, asked.clone());
            match self.setup.ledger.begin(wanted, &self.setup.policy).await? {
                Begun::Intended(payment, _) => return Ok(self.carry_out(*payment, stage).await?),
                // Another process was quicker, or a credit may have come since.
                Begun::Held | Begun::Outdated => sleep(TICK).await,
                Begun::HasLed(payment) => return led_before(payment, &asked),
                Begun::Over(over) => {
                    self.setup.observer.tell(Event::CapReached { cap: over.cap, limit: over.limit });
                    return Err(Ending::SpendLimit(over).into());
                }
            }
        }
    }

    /// Whose wallet it is: whom the order names, else whose the client's key is.
    async fn payee(&self, order: &TopUpOrder, key_kind: Option<KeyKind>) -> Result<Payee, Unfilled> {
        let seen_ms = self.setup.ledger.now_ms();
        let own = match key_kind {
            // Only a user's key has a wallet to look at.
            Some(KeyKind::User) => self.setup.look.look().await,
            _ => Looked::Wallet { principal_id: None, balance: None },
        };
        let wallet = self.setup.wallet.clone();
        match (&order.principal_id, own) {
            (None, Looked::Failed(why)) => {
                let reasons = vec![Refusal::PayeeUnknown(why)];
                self.setup.observer.tell(Event::PaymentRefused { reasons: reasons.clone() });
                Err(Ending::Refused(reasons).into())
            }
            (None, Looked::Wallet { principal_id: Some(principal_id), balance }) => {
                Ok(Payee { wallet, principal_id, balance, seen_ms })
            }
            (None, Looked::Wallet { principal_id: None, .. }) => Err(Unfilled::NoPayee),
            (Some(named), Looked::Wallet { principal_id: Some(own), balance }) if *named == own => {
                Ok(Payee { wallet, principal_id: own, balance, seen_ms })
            }
            // The wallet of another: it is known by the principal alone, and its balance not at all.
            (Some(named), _) => {
                let key_hash = key::sha256(format!("principal {named}"));
                let wallet = WalletId { key_hash, ..wallet };
                Ok(Payee { wallet, principal_id: named.clone(), balance: None, seen_ms })
            }
        }
    }

    /// The order as a payment that is led by itself.
    fn ordered(&self, order: &TopUpOrder, key: &str, payee: &Payee, asked: String) -> Wanted {
        let amount = order.amount;
        let request = TopUpRequest {
            amount_usd: amount,
            principal_id: Some(payee.principal_id.clone()),
            idempotency_key: String::new(),
            reason: order.reason.clone().unwrap_or_else(|| "ordered by an operator".to_owned()),
            base_url: payee.wallet.base_url.clone(),
            suggested_usd: None,
        };
        let question = move |idempotency_key: &str, amount_usd: Usd| {
            let request =
                TopUpRequest { idempotency_key: idempotency_key.to_owned(), amount_usd, ..request.clone() };
            // Texts and amounts can always be written.
            serde_json::to_string(&request).unwrap_or_default()
        };
        Wanted {
            wallet: payee.wallet.clone(),
            principal_id: Some(payee.principal_id.clone()),
            balance_before: payee.balance,
            calls: vec![WantedCall { key: key.to_owned(), share: amount }],
            amount_for: Box::new(move |_| Some(amount)),
            // Exactly what was ordered.
            minimum: None,
            request: Box::new(question),
            payer: Promise::of(&*self.setup.payer).map(|promise| promise.payer),
            asked: Some(asked),
            // Each look at an open payment is a look at its end, too; and where the balance is not known none is out of date.
            seen_ms: payee.balance.map_or(i64::MAX, |_| payee.seen_ms),
        }
    }

    /// Asks the payer for a payment that is written down, and sees whether it arrives.
    async fn carry_out(&self, payment: Payment, stage: &Stage) -> Result<Payment, Ending> {
        stage.begun(&payment.id);
        // From here on the process must not end before the payer's answer is in the ledger.
        let counted = Counted::new(&self.setup.paying);
        let (payment_id, rail) = (payment.id.clone(), Rail::Wallet);
        self.setup.observer.tell(Event::PaymentIntended { payment_id, rail, amount: payment.amount });
        // Where this fails the payer was not asked. The row ends by itself when its lease does.
        let payment = self.setup.ledger.sent(&payment.id).await?;
        let mut payment = self.ask_and_note(payment, true).await;
        drop(counted);
        // A balance that nobody could look at before shows nothing afterwards.
        let looks = payment.balance_before.map_or(0, |_| LOOKS);
        for pause in patience().take(looks) {
            if !payment.is_open() {
                break;
            }
            sleep(pause).await;
            if let Looked::Wallet { balance, .. } = self.setup.look.look().await {
                // The payer was asked, whatever the store says now.
                payment = self.note_balance(&payment, balance).await.unwrap_or(payment);
            }
        }
        match payment.state {
            PaymentState::Settled => Ok(payment),
            PaymentState::SettledNotApplied => Ok(self.applied_by_its_receipt(payment).await),
            PaymentState::Rejected => Err(Ending::Failed(Box::new(payment))),
            _ => Err(Ending::Unknown(Box::new(payment))),
        }
    }

    /// The wallet of another cannot be looked at: what the server says of a top-up that was ordered for it is all that can be known.
    /// Only a balance that lacks the money speaks against it.
    async fn applied_by_its_receipt(&self, payment: Payment) -> Payment {
        let shows = payment
            .receipt
            .as_ref()
            .is_some_and(|receipt| receipt.balance_usd.is_none_or(|balance| balance >= receipt.credited_usd));
        let is_blind = payment.asked.is_some() && payment.balance_before.is_none();
        let Some(call) = payment.calls.first() else { return payment };
        if payment.state != PaymentState::SettledNotApplied || !is_blind || !shows {
            return payment;
        }
        let ledger = &self.setup.ledger;
        match ledger.served(&payment.id, &call.call_key, None).await {
            Ok(()) => ledger.look(&payment.id).await.unwrap_or(payment),
            Err(_) => payment,
        }
    }
}

/// What is ordered, as a hash: an order under the same key is the same by this.
fn what(order: &TopUpOrder, payee: &Payee) -> String {
    let (base_url, principal_id) = (&payee.wallet.base_url, &payee.principal_id);
    key::sha256(format!("top-up\n{base_url}\n{:?}\n{principal_id}", order.amount.to_nano_up()))
}

/// A payment that the order's key led before: the answer to the same order alone.
fn led_before(payment: Box<Payment>, asked: &str) -> Result<Payment, Unfilled> {
    match payment.asked.as_deref() {
        Some(before) if before == asked && payment.was_made() => Ok(*payment),
        Some(before) if before == asked => Err(Unfilled::Held(payment)),
        _ => Err(Unfilled::LedElsewhere(payment)),
    }
}
