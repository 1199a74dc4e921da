//! One payment at a time for a wallet, whoever needs it: calls that cannot be paid wait here, one of them leads a payment
//! for all, and what becomes of it is every waiting call's answer.
//!
//! The rounds run on the background runtime. A call that is cancelled or runs out of time ends its waiting, never a payment.

#[cfg(feature = "operator")]
mod order;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

#[cfg(feature = "operator")]
pub(crate) use self::order::Unfilled;
use super::look::{Look, Looked};
use super::payer::{Payer, Promise, TopUp, TopUpRequest};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::exchange::later;
use crate::money::Usd;
use crate::payment::challenge::Refusal;
use crate::payment::crew::{Broken, Crew};
use crate::payment::ledger::{Begun, Ended, Ledger, Over, Wanted, WantedCall};
use crate::payment::patience;
use crate::payment::policy::SpendPolicy;
use crate::payment::record::{Payment, PaymentState, Rail, WalletId};
use crate::payment::running::{Counted, Reached, Spawner, Stage, hold};

/// How long the first call waits for others that are under way: what they need too is then paid for at once.
const GATHER: Duration = Duration::from_millis(500);
/// How often a payment of another process is looked at.
const POLL: Duration = Duration::from_millis(100);
/// What the clock of the ledger tells apart.
const TICK: Duration = Duration::from_millis(1);
/// How many times a balance is looked at for a payment that just ended without a clear answer.
const LOOKS: usize = 4;
/// How many questions to the payer may be without an answer, those that were given up included.
const QUESTIONS: usize = 4;

/// Time limits of payments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For one question to the payer.
    pub(crate) payer: Duration,
    /// What must be left of a call's time for it to lead a payment.
    pub(crate) headroom: Duration,
}

/// What the coordinator of a client works with.
pub(crate) struct Setup {
    pub(crate) wallet: WalletId,
    pub(crate) policy: SpendPolicy,
    pub(crate) payer: Arc<dyn Payer>,
    pub(crate) limits: Limits,
    pub(crate) ledger: Ledger,
    pub(crate) look: Box<dyn Look>,
    pub(crate) observer: Observer,
    pub(crate) spawner: Spawner,
    /// Payments that are being made, until what came of them is written down.
    pub(crate) paying: watch::Sender<usize>,
}

/// What a call that was answered 402 needs.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    pub(crate) shortfall: Usd,
    /// What the wallet held when this call was refused.
    pub(crate) balance: Option<Usd>,
    pub(crate) suggested: Option<Usd>,
    pub(crate) expires_ms: Option<i64>,
    /// When the request that was refused was sent, or before.
    pub(crate) asked_ms: i64,
    /// The call's idempotency key.
    pub(crate) key: String,
    /// Whether this call has led a payment before; then it leads none again.
    pub(crate) has_led: bool,
}

/// What a waiting call is told.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Send the same request again, unpaid. A payment was made for it, or may have been; or the balance suffices by itself.
    Again(Option<Paid>),
    End(Ending),
}

/// A payment for a call that was made, or may have been.
#[derive(Clone, Debug)]
pub(crate) struct Paid {
    pub(crate) payment: Box<Payment>,
    pub(crate) led: bool,
    /// New calls let those go first that were paid for: held until the first answer.
    pub(crate) turn: Arc<Counted>,
}

/// Why a call is not paid for.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    SpendLimit(Over),
    Refused(Vec<Refusal>),
    /// The payer said no.
    Failed(Box<Payment>),
    /// A payment may have been made.
    Unknown(Box<Payment>),
    /// A payment was made, and does not show.
    NotApplied(Box<Payment>),
    /// Too little time is left for anybody who waits to lead a payment.
    NoLeader,
    /// The time ran out; the payment that was running then, if any.
    Late(Option<String>),
    /// The time ran out in the moment in which a payment was written down.
    BeingBegun,
    Store(String),
    Config(String),
}

impl Ending {
    /// Whether a payment may have been made, this one or another.
    pub(crate) fn may_have_paid(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::NotApplied(_) | Self::Late(Some(_)) | Self::BeingBegun)
    }
}

/// How a call ends whose time ran out when its payment had come so far.
impl From<Reached> for Ending {
    fn from(reached: Reached) -> Self {
        match reached {
            Reached::Begun(payment_id) => Self::Late(Some(payment_id)),
            Reached::Beginning => Self::BeingBegun,
            Reached::Waiting | Reached::GivenUp => Self::Late(None),
        }
    }
}

impl From<Error> for Ending {
    fn from(error: Error) -> Self {
        match error {
            Error::Config(message) => Self::Config(message),
            Error::Store(message) => Self::Store(message),
            other => Self::Store(other.to_string()),
        }
    }
}

/// The payments of one client for one wallet.
#[derive(Clone)]
pub(crate) struct Coordinator(Arc<Shared>);

struct Shared {
    setup: Setup,
    payers: Crew,
    queue: Mutex<Queue>,
    /// Calls whose first answer is awaited.
    under_way: watch::Sender<usize>,
    /// Payments whose calls have not been answered yet.
    turns: watch::Sender<usize>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiter>,
    /// Those that have led a payment each, and wait for somebody else to lead the next.
    parked: Vec<Waiter>,
    runs: bool,
}

struct Waiter {
    need: Need,
    deadline: Instant,
    answer: oneshot::Sender<Verdict>,
    /// How far a payment has come that this call waits for, for when its time is up.
    stage: Arc<Stage>,
    /// Its part in the payment that is made now.
    part: Option<Part>,
}

/// A call's part in a payment that is made for it.
struct Part {
    led: bool,
    turn: Arc<Counted>,
}

/// A call that ends, or is dropped, before a payment was begun for it has none begun.
struct Waits(Arc<Stage>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl Coordinator {
    pub(crate) fn new(setup: Setup) -> Self {
        let (under_way, turns) = (watch::Sender::new(0), watch::Sender::new(0));
        let payers = Crew::new(setup.spawner.clone(), QUESTIONS);
        Self(Arc::new(Shared { setup, payers, queue: Mutex::default(), under_way, turns }))
    }

    /// Looks after a payment that an earlier process left open. In the background; it asks nobody where there is none.
    pub(crate) fn recover(&self) {
        let shared = self.0.clone();
        let spawned = self.0.setup.spawner.spawn(async move {
            // What fails here is told when a payment is wanted.
            if let Ok(Some(open)) = shared.setup.ledger.open_for(&shared.setup.wallet, None).await {
                let _ = shared.settle_open(open, &mut Vec::new(), Care::AfterRestart).await;
            }
        });
        if let Err(error) = spawned {
            tracing::debug!("an open payment is not looked after: {error}");
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.setup.ledger
    }

    pub(crate) fn wallet(&self) -> &WalletId {
        &self.0.setup.wallet
    }

    /// Who pays, for people.
    pub(crate) fn payer_name(&self) -> String {
        self.0.setup.payer.name()
    }

    pub(crate) fn observer(&self) -> &Observer {
        &self.0.setup.observer
    }

    /// A call is under way until this is dropped. It first lets those go that a payment was made for: their credit is not
    /// for whoever comes by.
    pub(crate) async fn call_under_way(&self, deadline: Instant) -> Counted {
        let counted = Counted::new(&self.0.under_way);
        if *self.0.turns.borrow() > 0 {
            let until = deadline.min(Instant::now() + GATHER);
            let _ = timeout_at(until, self.0.turns.subscribe().wait_for(|count| *count == 0)).await;
        }
        counted
    }

    /// Waits until the need is met, or cannot be.
    pub(crate) async fn join(&self, need: Need, deadline: Instant) -> Verdict {
        let (answer, answered) = oneshot::channel();
        let waits = Waits(Arc::default());
        let is_idle = {
            let mut queue = self.0.queue();
            queue.parked.retain(|waiter| !waiter.answer.is_closed());
            let stage = waits.0.clone();
            queue.waiting.push_back(Waiter { need, deadline, answer, stage, part: None });
            !std::mem::replace(&mut queue.runs, true)
        };
        if is_idle {
            let rounds = Rounds { shared: self.0.clone(), is_done: false };
            if let Err(error) = self.0.setup.spawner.spawn(rounds.run()) {
                return Verdict::End(error.into());
            }
        }
        match timeout_at(deadline, answered).await {
            Ok(Ok(verdict)) => verdict,
            // Out of time; or the background's own end, with the process.
            _ => Verdict::End(waits.0.give_up().into()),
        }
    }
}

/// The task that holds rounds as long as calls wait. Whatever ends it, the next call can start another.
struct Rounds {
    shared: Arc<Shared>,
    /// Ended as it should; another task may run by now.
    is_done: bool,
}

impl Drop for Rounds {
    fn drop(&mut self) {
        if !self.is_done {
            self.shared.queue().runs = false;
        }
    }
}

impl Rounds {
    async fn run(mut self) {
        let shared = self.shared.clone();
        loop {
            // Those that are under way may need the same.
            let mut under_way = shared.under_way.subscribe();
            let _ = timeout(GATHER, under_way.wait_for(|count| *count == 0)).await;
            let batch: Vec<Waiter> = {
                let mut queue = shared.queue();
                if queue.waiting.is_empty() {
                    queue.runs = false;
                    self.is_done = true;
                    return;
                }
                let mut batch = std::mem::take(&mut queue.parked);
                batch.extend(queue.waiting.drain(..));
                batch
            };
            shared.round(batch).await;
        }
    }
}

/// What became of a payment that was open.
enum Cleared {
    /// It holds nobody back any more: rejected, or settled and shown.
    Free(Box<Payment>),
    /// It may have been made, and that does not show.
    Stays(Box<Payment>),
    /// Nobody waits for it any more.
    Alone,
}

/// When an open payment is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    /// The payer has just answered, or not. It is not asked again for the same calls.
    AtOnce,
    /// At a later 402.
    Later,
    /// At the start of a client; nobody waits.
    AfterRestart,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Meets the needs of some calls, as far as may be.
    async fn round(&self, mut batch: Vec<Waiter>) {
        loop {
            batch.retain(|waiter| !waiter.answer.is_closed());
            if batch.is_empty() {
                return;
            }
            for waiter in &batch {
                waiter.stage.wait();
            }
            let looked_ms = self.setup.ledger.now_ms();
            let (principal_id, balance) = match self.setup.look.look().await {
                Looked::Wallet { principal_id, balance } => (principal_id, balance),
                Looked::Failed(why) => {
                    let reasons = vec![Refusal::PayeeUnknown(why)];
                    self.setup.observer.tell(Event::PaymentRefused { reasons: reasons.clone() });
                    return tell_all(batch, &Verdict::End(Ending::Refused(reasons)));
                }
            };
            // An open payment comes first: it may be all that is needed.
            match self.setup.ledger.open_for(&self.setup.wallet, principal_id.as_deref()).await {
                Ok(None) => {}
                Ok(Some(open)) => match self.settle_open(open, &mut batch, Care::Later).await {
                    Ok(Cleared::Free(_)) => continue,
                    Ok(Cleared::Alone) => return,
                    Ok(Cleared::Stays(payment)) => {
                        return tell_all(batch, &Verdict::End(Ending::Unknown(payment)));
                    }
                    Err(ending) => return tell_all(batch, &Verdict::End(ending)),
                },
                Err(error) => return tell_all(batch, &Verdict::End(error.into())),
            }
            batch.retain(|waiter| !waiter.answer.is_closed());
            self.refuse_too_dear(&mut batch, balance);
            if !self.put_leader_first(&mut batch) {
                return;
            }
            let prices: Vec<Usd> = batch.iter().map(|waiter| price(&waiter.need, balance)).collect();
            // Somebody else has topped it up meanwhile.
            if balance.zip(prices.first().copied()).is_some_and(|(balance, price)| balance >= price) {
                return tell_all(batch, &Verdict::Again(None));
            }
            // From here on no call can say that nothing was paid, until it is known that nothing was begun.
            let waiting = batch.len();
            batch.retain(|waiter| waiter.stage.begin());
            if batch.len() < waiting {
                continue;
            }
            // Where nothing tells the balance, what the 402s say of it counts, and they may be older.
            let seen_ms = match balance {
                Some(_) => looked_ms,
                None => batch.iter().map(|waiter| waiter.need.asked_ms).min().unwrap_or(looked_ms),
            };
            match self.begin(&batch, prices, principal_id, balance, seen_ms).await {
                Err(error) => return tell_all(batch, &Verdict::End(error.into())),
                // Another process was quicker.
                Ok(Begun::Held) => {}
                // A credit may have come since.
                Ok(Begun::Outdated) => match balance {
                    Some(_) => sleep(TICK).await,
                    None => return tell_all(batch, &Verdict::Again(None)),
                },
                Ok(Begun::HasLed(payment)) => {
                    let ending = match payment.state {
                        PaymentState::Settled | PaymentState::SettledNotApplied => {
                            Ending::NotApplied(payment)
                        }
                        _ => Ending::Unknown(payment),
                    };
                    tell(batch.remove(0), Verdict::End(ending));
                }
                Ok(Begun::Over(over)) => {
                    self.setup.observer.tell(Event::CapReached { cap: over.cap, limit: over.limit });
                    return tell_all(batch, &Verdict::End(Ending::SpendLimit(over)));
                }
                Ok(Begun::Intended(payment, served)) => {
                    let rest = batch.split_off(served.min(batch.len()));
                    self.turn_away(rest, &payment).await;
                    return self.lead(*payment, batch).await;
                }
            }
        }
    }

    /// Tells those whose request costs more than one may.
    fn refuse_too_dear(&self, batch: &mut Vec<Waiter>, balance: Option<Usd>) {
        for waiter in std::mem::take(batch) {
            match self.setup.policy.check_price(price(&waiter.need, balance)) {
                Ok(()) => batch.push(waiter),
                Err(over) => {
                    self.setup.observer.tell(Event::CapReached { cap: over.cap, limit: over.limit });
                    tell(waiter, Verdict::End(Ending::SpendLimit(over)));
                }
            }
        }
    }

    /// The oldest that may lead goes first, the others follow by age. Where nobody may, all are told so. One whose challenge
    /// has ended meanwhile asks for a new one.
    fn put_leader_first(&self, batch: &mut Vec<Waiter>) -> bool {
        let now_ms = self.setup.ledger.now_ms();
        for waiter in std::mem::take(batch) {
            match waiter.need.expires_ms.is_some_and(|end| end <= now_ms) {
                true => tell(waiter, Verdict::Again(None)),
                false => batch.push(waiter),
            }
        }
        let enough_time = later(Instant::now(), self.setup.limits.headroom);
        let leader = batch.iter().position(|waiter| !waiter.need.has_led && waiter.deadline >= enough_time);
        match leader {
            Some(leader) => {
                let leader = batch.remove(leader);
                batch.insert(0, leader);
                true
            }
            None if batch.is_empty() => false,
            None => {
                let (led, late) = std::mem::take(batch).into_iter().partition(|waiter| waiter.need.has_led);
                tell_all(late, &Verdict::End(Ending::NoLeader));
                self.queue().parked.append(&mut { led });
                false
            }
        }
    }

    async fn begin(
        &self,
        batch: &[Waiter],
        prices: Vec<Usd>,
        principal_id: Option<String>,
        balance: Option<Usd>,
        seen_ms: i64,
    ) -> Result<Begun, Error> {
        let setup = &self.setup;
        let seen: Vec<Option<Usd>> = batch.iter().map(|waiter| waiter.need.balance).collect();
        let calls = batch.iter().zip(&prices);
        let calls =
            calls.map(|(waiter, price)| WantedCall { key: waiter.need.key.clone(), share: *price }).collect();
        let suggested = batch.first().and_then(|leader| leader.need.suggested);
        let (base_url, payee) = (setup.wallet.base_url.clone(), principal_id.clone());
        let request = move |idempotency_key: &str, amount_usd: Usd| {
            let request = TopUpRequest {
                amount_usd,
                principal_id: payee.clone(),
                idempotency_key: idempotency_key.to_owned(),
                reason: "a route that the wallet does not cover".to_owned(),
                base_url: base_url.clone(),
                suggested_usd: suggested,
            };
            // Texts and amounts can always be written.
            serde_json::to_string(&request).unwrap_or_default()
        };
        let wanted = Wanted {
            wallet: setup.wallet.clone(),
            principal_id,
            balance_before: balance.or_else(|| lowest(&seen)),
            calls,
            amount_for: Box::new(move |count| amount_for(count, &prices, &seen, balance)),
            minimum: setup.policy.minimum(),
            request: Box::new(request),
            payer: Promise::of(&*setup.payer).map(|promise| promise.payer),
            asked: None,
            seen_ms,
        };
        setup.ledger.begin(wanted, &setup.policy).await
    }

    /// Those for whom the caps leave too little.
    async fn turn_away(&self, rest: Vec<Waiter>, payment: &Payment) {
        if rest.is_empty() {
            return;
        }
        let over = self.setup.ledger.tightest(&self.setup.policy, payment).await;
        match over {
            Ok(over) => {
                self.setup.observer.tell(Event::CapReached { cap: over.cap, limit: over.limit });
                tell_all(rest, &Verdict::End(Ending::SpendLimit(over)));
            }
            Err(error) => tell_all(rest, &Verdict::End(error.into())),
        }
    }

    /// Asks the payer for a payment that is written down, and tells all that it was for.
    async fn lead(&self, payment: Payment, mut served: Vec<Waiter>) {
        let observer = &self.setup.observer;
        let turn = Arc::new(Counted::new(&self.turns));
        // From here on the process must not end before the payer's answer is in the ledger.
        let counted = Counted::new(&self.setup.paying);
        for (number, waiter) in served.iter_mut().enumerate() {
            waiter.stage.begun(&payment.id);
            waiter.part = Some(Part { led: number == 0, turn: turn.clone() });
        }
        drop(turn);
        let (payment_id, rail) = (payment.id.clone(), Rail::Wallet);
        observer.tell(Event::PaymentIntended { payment_id, rail, amount: payment.amount });
        let payment = match self.setup.ledger.sent(&payment.id).await {
            Ok(sent) => sent,
            // The payer was not asked. The row ends by itself when its lease does.
            Err(error) => return tell_all(served, &Verdict::End(error.into())),
        };
        let payment = self.ask_and_note(payment, true).await;
        drop(counted);
        match payment.state {
            PaymentState::Settled | PaymentState::SettledNotApplied => tell_paid(served, &payment),
            PaymentState::Rejected => tell_all(served, &Verdict::End(Ending::Failed(Box::new(payment)))),
            _ => match self.settle_open(payment.clone(), &mut served, Care::AtOnce).await {
                Ok(Cleared::Free(payment)) => tell_paid(served, &payment),
                Ok(Cleared::Stays(payment)) => tell_all(served, &Verdict::End(Ending::Unknown(payment))),
                Ok(Cleared::Alone) => {}
                // The payer was asked, whatever the store says now.
                Err(_) => tell_all(served, &Verdict::End(Ending::Unknown(Box::new(payment)))),
            },
        }
    }

    /// Waits until an open payment holds nobody back any more, or stays what it is. One that nobody knows the end of is looked
    /// into: by the balance, and by asking a payer again that promises to pay once.
    async fn settle_open(
        &self,
        mut payment: Payment,
        batch: &mut Vec<Waiter>,
        care: Care,
    ) -> Result<Cleared, Ending> {
        let mut pauses = patience().take(if care == Care::AfterRestart { 0 } else { LOOKS });
        loop {
            for waiter in batch.iter() {
                waiter.stage.begun(&payment.id);
            }
            if !payment.is_open() {
                return Ok(Cleared::Free(Box::new(payment)));
            }
            if payment.is_running() {
                sleep(POLL.min(self.setup.ledger.lease())).await;
                payment = self.setup.ledger.look(&payment.id).await?;
            } else {
                if let Looked::Wallet { balance, .. } = self.setup.look.look().await {
                    payment = self.note_balance(&payment, balance).await?;
                    if payment.is_open() {
                        send_on_covered(batch, balance, &payment);
                    }
                }
                if payment.state == PaymentState::Unknown
                    && care != Care::AtOnce
                    && let Some(Promise { payer, within }) = Promise::of(&*self.setup.payer)
                    && let Some(again) = self.setup.ledger.take_up(&payment.id, &payer, within).await?
                {
                    payment = self.ask_and_note(again, false).await;
                    continue;
                }
                if !payment.is_open() {
                    return Ok(Cleared::Free(Box::new(payment)));
                }
                // What has just ended may show in a moment; what is old will not.
                let Some(pause) = pauses.next().filter(|_| self.setup.ledger.is_fresh(&payment)) else {
                    return Ok(Cleared::Stays(Box::new(payment)));
                };
                sleep(pause).await;
                payment = self.setup.ledger.look(&payment.id).await?;
            }
            batch.retain(|waiter| !waiter.answer.is_closed());
            if batch.is_empty() && care != Care::AfterRestart {
                return Ok(Cleared::Alone);
            }
        }
    }

    /// Asks the payer and writes down what came of it. A store that fails now changes nothing about the money: the row stays
    /// `sent`, and becomes unknown when its lease ends.
    async fn ask_and_note(&self, payment: Payment, first: bool) -> Payment {
        let _counted = Counted::new(&self.setup.paying);
        let ended = self.ask(&payment).await;
        let noted = match self.setup.ledger.end(&payment.id, ended.clone(), first).await {
            Ok(noted) => noted,
            Err(error) => {
                tracing::warn!("the end of the payment {} could not be written: {error}", payment.id);
                let state = match &ended {
                    Ended::Settled(_) => PaymentState::SettledNotApplied,
                    Ended::Rejected(_) if first => PaymentState::Rejected,
                    _ => PaymentState::Unknown,
                };
                Payment { state, reason: Some(error.to_string()), ..payment }
            }
        };
        self.announce(&noted, &ended);
        if noted.state != PaymentState::SettledNotApplied {
            return noted;
        }
        // Before anybody spends of it again, so that the wallet is not held longer than need be.
        match self.setup.look.look().await {
            Looked::Wallet { balance, .. } => self.note_balance(&noted, balance).await.unwrap_or(noted),
            Looked::Failed(_) => noted,
        }
    }

    fn announce(&self, payment: &Payment, ended: &Ended) {
        let (payment_id, rail) = (payment.id.clone(), Rail::Wallet);
        let reason = payment.reason.clone().unwrap_or_default();
        let credited = payment.receipt.as_ref().map(|receipt| receipt.credited_usd);
        self.setup.observer.tell(match (payment.state, ended) {
            (PaymentState::Settled | PaymentState::SettledNotApplied, _) => {
                let amount = asked_for(payment).unwrap_or(payment.amount);
                Event::PaymentSettled { payment_id, rail, amount, credited }
            }
            (PaymentState::Rejected, _) => Event::PaymentRejected { payment_id, rail, reason },
            _ => Event::PaymentUnknown { payment_id, rail, reason },
        });
    }

    async fn note_balance(&self, payment: &Payment, balance: Option<Usd>) -> Result<Payment, Ending> {
        if !payment.is_shown_by(balance) {
            return Ok(payment.clone());
        }
        let was_unknown = payment.state == PaymentState::Unknown;
        let noted = self.setup.ledger.seen(&payment.id, balance).await?;
        if was_unknown && noted.state == PaymentState::Settled {
            self.setup.observer.tell(Event::PaymentSettled {
                payment_id: noted.id.clone(),
                rail: Rail::Wallet,
                amount: noted.amount,
                credited: None,
            });
        }
        Ok(noted)
    }

    /// Asks the payer once, within its limit, and holds the payment meanwhile.
    async fn ask(&self, payment: &Payment) -> Ended {
        let request: TopUpRequest = match serde_json::from_str(&payment.request) {
            Ok(request) => request,
            Err(error) => {
                return Ended::Unknown(format!("the request of the payment cannot be read ({error})"));
            }
        };
        let payer = self.setup.payer.clone();
        let asking = match self.payers.begin(async move { payer.top_up(&request).await }) {
            Ok(asking) => asking,
            // Nobody was asked.
            Err(why) => return Ended::Rejected(why),
        };
        let answered = hold(&self.setup.ledger, &payment.id, asking, self.setup.limits.payer).await;
        match answered {
            Some(Ok(TopUp::Settled(receipt))) => match receipt.credited_usd.to_nano_up() {
                Some(1..) => Ended::Settled(receipt),
                _ => {
                    let credited = receipt.credited_usd;
                    Ended::Unknown(format!(
                        "the payer says that {credited} USD were credited, which is no top-up"
                    ))
                }
            },
            Some(Ok(TopUp::Rejected(why))) => Ended::Rejected(why),
            Some(Ok(TopUp::Unknown(why))) => Ended::Unknown(why),
            Some(Err(Broken::Panicked)) => Ended::Unknown("the payer panicked".to_owned()),
            Some(Err(_)) => Ended::Unknown("the payer was broken off".to_owned()),
            None => {
                let seconds = self.setup.limits.payer.as_secs_f64();
                Ended::Unknown(format!("the payer did not answer within {seconds} s"))
            }
        }
    }
}

/// What a payer was asked for.
fn asked_for(payment: &Payment) -> Option<Usd> {
    serde_json::from_str::<TopUpRequest>(&payment.request).ok().map(|request| request.amount_usd)
}

/// What a call costs, as far as its 402 lets it be known: what was missing and what was there.
fn price(need: &Need, balance: Option<Usd>) -> Usd {
    let there = need.balance.or(balance).unwrap_or_default();
    // What cannot be added up is more than any cap allows.
    need.shortfall.checked_add(there).unwrap_or(need.shortfall)
}

fn lowest(seen: &[Option<Usd>]) -> Option<Usd> {
    seen.iter().flatten().min().copied()
}

/// What the first calls, this many, need together beyond what was there: never less for more calls.
fn amount_for(count: usize, prices: &[Usd], seen: &[Option<Usd>], balance: Option<Usd>) -> Option<Usd> {
    let all = prices.iter().take(count).try_fold(Usd::ZERO, |sum, price| sum.checked_add(*price))?;
    let there = seen.iter().flatten().copied().chain(balance).min().unwrap_or_default();
    let amount = all.checked_sub(there)?.up_to_a_cent();
    amount.is_positive().then_some(amount)
}

fn tell(waiter: Waiter, verdict: Verdict) {
    // A call that has gone needs no answer.
    let _ = waiter.answer.send(verdict);
}

/// Sends a call on, with the payment that was made for it, or may have been.
fn send_on(mut waiter: Waiter, payment: &Payment) {
    let part = waiter.part.take().filter(|_| payment.counts());
    let paid = part.map(|Part { led, turn }| Paid { payment: Box::new(payment.clone()), led, turn });
    tell(waiter, Verdict::Again(paid));
}

fn tell_paid(waiters: Vec<Waiter>, payment: &Payment) {
    for waiter in waiters {
        send_on(waiter, payment);
    }
}

/// An open payment holds the wallet. Those whom the balance covers all the same are sent on.
fn send_on_covered(waiters: &mut Vec<Waiter>, balance: Option<Usd>, payment: &Payment) {
    for waiter in std::mem::take(waiters) {
        match balance.is_some_and(|there| there >= price(&waiter.need, balance)) {
            true => send_on(waiter, payment),
            false => waiters.push(waiter),
        }
    }
}

fn tell_all(waiters: Vec<Waiter>, verdict: &Verdict) {
    for waiter in waiters {
        tell(waiter, verdict.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn the_leader_pays_what_all_need_beyond_what_was_there_up_to_a_cent() {
        let amount = |prices: &[&str], seen: &[Option<&str>], balance: Option<&str>| {
            let prices: Vec<Usd> = prices.iter().map(|price| usd(price)).collect();
            let seen: Vec<Option<Usd>> = seen.iter().map(|seen| seen.map(usd)).collect();
            amount_for(prices.len(), &prices, &seen, balance.map(usd)).map(|amount| amount.to_string())
        };
        let is = |amount: &str| Some(amount.to_owned());
        assert_eq!(amount(&["0.01"], &[Some("0")], Some("0")), is("0.01"));
        // 64 calls that share one balance.
        assert_eq!(amount(&["0.01"; 64], &[Some("0.005"); 64], Some("0.005")), is("0.64"));
        // The lowest balance that anybody saw is all that is there.
        assert_eq!(amount(&["0.05", "0.05"], &[Some("0.04"), Some("0.02")], Some("0.03")), is("0.08"));
        // A tenth of a cent is a cent; what was below zero is made up for.
        assert_eq!(amount(&["0.001"], &[None], None), is("0.01"));
        assert_eq!(amount(&["0.01"], &[Some("-0.5")], None), is("0.51"));
    }
}
