//! What a call does with a 402: have it paid within the policy, and send the same request again, unpaid. Reads as the life
//! of such a call; who pays and how is decided in `wallet`.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::challenge::PaymentChallenge;
use super::open::{OpenEnd, OpenRail, Order};
use super::patience;
use super::payers::Payers;
use super::problem::{ended, given_up, led_elsewhere, not_applied, refused, sent_and_not_served, unknown};
use super::record::{PaidAnswer, Payment, PaymentState, Rail};
use super::running::Counted;
use super::wallet::{Coordinator, Ending, Need, Paid, Verdict};
use crate::error::Error;
use crate::event::Event;
use crate::exchange::Reply;
use crate::transport::{Fault, HttpAnswer, HttpRequest};
use crate::wire::{Fields, text_of};

/// What the books get to say what they know to a call whose time is up.
const MOMENT: Duration = Duration::from_millis(50);

/// The call that was answered 402.
pub(crate) trait Ask: Send {
    /// Sends the same request again, under the same idempotency key.
    fn ask(&mut self) -> impl Future<Output = Result<Reply, Error>> + Send;

    /// Takes note of a payment that was made for this call.
    fn paid(&mut self, payment: &Payment);

    /// The request as it is sent, for a rail that sends it with a payment.
    fn request(&self) -> HttpRequest;

    /// Takes what came of that as the answer to this call.
    fn accept(&mut self, answered: Result<HttpAnswer, Fault>) -> Result<Reply, Error>;

    fn deadline(&self) -> Instant;

    fn key(&self) -> &str;
}

/// Has a 402 paid for, on one rail, once.
pub(crate) async fn pay_and_ask_again<A: Ask>(
    payers: &Payers,
    challenge: Box<PaymentChallenge>,
    call: &mut A,
) -> Result<Reply, Error> {
    payers.check_process()?;
    match (payers.rail_for(&challenge), &payers.wallet, &payers.open) {
        (Some(Rail::Wallet), Some(coordinator), _) => pay_from_wallet(coordinator, challenge, call).await,
        (Some(Rail::X402), _, Some(open)) => pay_openly(open, challenge, call).await,
        _ => Err(Error::PaymentRequired(challenge)),
    }
}

/// Has the request sent with a payment. A call that ends before does not end that.
async fn pay_openly<A: Ask>(
    open: &Arc<dyn OpenRail>,
    challenge: Box<PaymentChallenge>,
    call: &mut A,
) -> Result<Reply, Error> {
    if challenge.failure().may_have_been_charged {
        return Err(Error::PaymentRequired(challenge));
    }
    let mut running = open.clone().pay(Order::new(&challenge, call.request(), call.key()));
    let end = match timeout_at(call.deadline(), &mut running.ended).await {
        Ok(Ok(end)) => end,
        // Out of time; or the background's own end, with the process.
        _ => return Err(ended(running.stage.give_up().into(), *challenge, 0)),
    };
    match end {
        OpenEnd::Sent { payment, answered } => {
            call.paid(&payment);
            call.accept(answered)
                .map_err(|error| sent_and_not_served(*challenge, payment, error.into_failure()))
        }
        OpenEnd::HasLed(payment, Some(answer)) => match answer_again(answer) {
            Some(answer) => {
                call.paid(&payment);
                call.accept(Ok(answer))
                    .map_err(|error| sent_and_not_served(*challenge, payment, error.into_failure()))
            }
            None => Err(sent_and_not_served(*challenge, payment, None)),
        },
        OpenEnd::HasLed(payment, None) => Err(sent_and_not_served(*challenge, payment, None)),
        OpenEnd::LedElsewhere(payment) => Err(led_elsewhere(*challenge, payment)),
        OpenEnd::Failed(payment) => Err(given_up(*challenge, payment)),
        OpenEnd::Refused(reasons) => Err(refused(*challenge, reasons)),
        OpenEnd::SpendLimit(over) => Err(ended(Ending::SpendLimit(over), *challenge, 0)),
        OpenEnd::GivenUp => Err(ended(Ending::Late(None), *challenge, 0)),
        OpenEnd::Store(message) => Err(Error::Store(message)),
        OpenEnd::Config(message) => Err(Error::Config(message)),
    }
}

/// A kept answer, as it came over the wire.
fn answer_again(answer: PaidAnswer) -> Option<HttpAnswer> {
    let header = |(name, value): &(String, String)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    let headers = answer.headers.iter().filter_map(header).collect();
    Some(HttpAnswer { status: StatusCode::from_u16(answer.status).ok()?, headers, body: answer.body })
}

/// Has the wallet topped up and asks again, unpaid. The call leads one payment at most, whatever the server says afterwards.
async fn pay_from_wallet<A: Ask>(
    coordinator: &Coordinator,
    mut challenge: Box<PaymentChallenge>,
    call: &mut A,
) -> Result<Reply, Error> {
    let mut case = Case::new(coordinator, call, &challenge);
    let deadline = case.call.deadline();
    let mut pauses = patience();
    loop {
        // An attempt before this 402 may have been served and charged: whoever pays now may pay for the same route twice.
        if challenge.failure().may_have_been_charged {
            return Err(Error::PaymentRequired(challenge));
        }
        let Some(need) = case.need(&challenge) else {
            return Err(case.refuse(challenge).await);
        };
        // A call that has led a payment waits for a round that another leads, and looks for itself now and then.
        let look_at = match need.has_led {
            true => pauses.next().and_then(|pause| Instant::now().checked_add(pause)),
            false => None,
        };
        let until = look_at.unwrap_or(deadline).min(deadline);
        let paid = match coordinator.join(need, until).await {
            Verdict::Again(paid) => paid,
            Verdict::End(Ending::Late(_) | Ending::BeingBegun) if until < deadline => None,
            Verdict::End(ending) => return Err(case.end(challenge, ending).await),
        };
        let turn = match paid {
            Some(paid) if paid.payment.was_made() => {
                challenge = match case.ask_until_shown(paid).await? {
                    Asked::Answered(reply) => return Ok(*reply),
                    Asked::SpentByOthers(next) => next,
                };
                continue;
            }
            paid => paid.map(|paid| case.note(paid).1),
        };
        // The balance suffices by itself, or the challenge had run out, or it is time to look.
        let answered = case.ask().await;
        drop(turn);
        challenge = match answered {
            Err(Error::PaymentRequired(next)) => next,
            answered => return answered,
        };
        let goes_on = match look_at {
            Some(look_at) => wait_until(look_at, deadline).await,
            None => pause(&mut pauses, deadline).await,
        };
        if !goes_on {
            return Err(case.give_up(challenge).await);
        }
    }
}

/// A call for which the wallet is topped up, and what is known of the money.
struct Case<'a, A> {
    coordinator: &'a Coordinator,
    call: &'a mut A,
    /// When the last request was sent.
    asked_ms: i64,
    /// What was paid for this call, or may have been: what it led, else what it was served by last.
    paid: Option<PaidFor>,
}

struct PaidFor {
    payment: Box<Payment>,
    led: bool,
}

enum Asked {
    Answered(Box<Reply>),
    /// The credit arrived, and others were quicker to use it.
    SpentByOthers(Box<PaymentChallenge>),
}

impl<'a, A: Ask> Case<'a, A> {
    fn new(coordinator: &'a Coordinator, call: &'a mut A, challenge: &PaymentChallenge) -> Self {
        let since = i64::try_from(challenge.failure().meta.elapsed().as_millis()).unwrap_or(i64::MAX);
        let asked_ms = coordinator.ledger().now_ms().saturating_sub(since);
        Self { coordinator, call, asked_ms, paid: None }
    }

    /// What is needed to have the challenge paid; `None` for one that must not be.
    fn need(&self, challenge: &PaymentChallenge) -> Option<Need> {
        if !challenge.refusals().is_empty() {
            return None;
        }
        Some(Need {
            shortfall: challenge.shortfall_usd.or(challenge.amount_usd)?,
            balance: challenge.balance_usd,
            suggested: challenge.amount_usd,
            expires_ms: challenge.expires_ms(),
            asked_ms: self.asked_ms,
            key: self.call.key().to_owned(),
            has_led: self.paid.as_ref().is_some_and(|paid| paid.led),
        })
    }

    /// Takes note of what was paid for this call. Whatever comes afterwards, a call that has led a payment stays one.
    fn note(&mut self, paid: Paid) -> (Box<Payment>, Arc<Counted>) {
        let Paid { payment, led, turn } = paid;
        if led {
            self.call.paid(&payment);
        }
        if led || self.paid.as_ref().is_none_or(|before| !before.led) {
            self.paid = Some(PaidFor { payment: payment.clone(), led });
        }
        (payment, turn)
    }

    /// Sends the same request again. What fails after a payment has cost money.
    async fn ask(&mut self) -> Result<Reply, Error> {
        self.asked_ms = self.coordinator.ledger().now_ms();
        let answered = self.call.ask().await;
        match self.paid {
            Some(_) => answered.map_err(Error::after_a_payment),
            None => answered,
        }
    }

    /// Asks until the credit shows. A 402 has no effect, so that it may be asked for again and again.
    async fn ask_until_shown(&mut self, paid: Paid) -> Result<Asked, Error> {
        let (payment, turn) = self.note(paid);
        let (ledger, deadline) = (self.coordinator.ledger(), self.call.deadline());
        let mut turn = Some(turn);
        let mut pauses = patience();
        loop {
            let answered = self.ask().await;
            drop(turn.take());
            let next = match answered {
                Ok(reply) => {
                    self.note_served(&payment, &reply).await;
                    return Ok(Asked::Answered(Box::new(reply)));
                }
                Err(Error::PaymentRequired(next)) => next,
                Err(error) => return Err(error),
            };
            // The payer may have seen it, or another call, or this very 402.
            let has_arrived = match has_risen(&payment, &next) {
                true => {
                    // What cannot be written now is found out at the next look.
                    let _ = timeout_at(deadline, ledger.seen(&payment.id, next.balance_usd)).await;
                    true
                }
                false => {
                    let now = timeout_at(deadline, ledger.look(&payment.id)).await;
                    matches!(now, Ok(Ok(now)) if !now.is_open())
                }
            };
            if has_arrived {
                return Ok(Asked::SpentByOthers(next));
            }
            if !pause(&mut pauses, deadline).await {
                return Err(self.end(next, Ending::Unknown(payment)).await);
            }
        }
    }

    /// The error for a 402 that must not be paid.
    async fn refuse(&self, challenge: Box<PaymentChallenge>) -> Error {
        let reasons = challenge.refusals().to_vec();
        if self.paid.is_none() {
            self.coordinator.observer().tell(Event::PaymentRefused { reasons: reasons.clone() });
        }
        self.end(challenge, Ending::Refused(reasons)).await
    }

    /// The error of a call that has no time left for another look.
    async fn give_up(&self, challenge: Box<PaymentChallenge>) -> Error {
        match &self.paid {
            Some(_) => self.end(challenge, Ending::Late(None)).await,
            None => Error::PaymentRequired(challenge),
        }
    }

    /// The error of a call that waited for a payment in vain. Nothing is said to have been left unpaid where something was paid
    /// for this call before, or may have been.
    async fn end(&self, challenge: Box<PaymentChallenge>, ending: Ending) -> Error {
        let ending = match ending {
            // What is known of it by now.
            Ending::Late(Some(id)) => match self.look(&id).await {
                Some(payment) => match payment.state {
                    PaymentState::Settled => Ending::NotApplied(payment),
                    PaymentState::Rejected => Ending::Failed(payment),
                    _ => Ending::Unknown(payment),
                },
                None => Ending::Late(Some(id)),
            },
            ending => ending,
        };
        let now_ms = self.coordinator.ledger().now_ms();
        match self.paid.as_ref().filter(|paid| paid.led || !ending.may_have_paid()) {
            Some(paid) => match self.by_now(paid).await {
                Some(payment) => self.after(challenge, payment, paid.led),
                None => ended(ending, *challenge, now_ms),
            },
            None => ended(ending, *challenge, now_ms),
        }
    }

    /// What was paid for this call, as the books have it by now; `None` when it turned out that nothing was.
    async fn by_now(&self, paid: &PaidFor) -> Option<Box<Payment>> {
        let known = || paid.payment.clone();
        let now = self.look(&paid.payment.id).await.unwrap_or_else(known);
        if !now.counts() {
            return None;
        }
        // What the payer said stands, though it could not be written down.
        Some(if paid.payment.was_made() && !now.was_made() { known() } else { now })
    }

    fn after(&self, challenge: Box<PaymentChallenge>, payment: Box<Payment>, led: bool) -> Error {
        // One that the wallet shows, or that this call led itself, is known to have been made.
        let is_known = payment.was_made() && (led || !payment.is_open());
        if !is_known {
            return unknown(*challenge, payment, self.coordinator.ledger().now_ms());
        }
        if led {
            let (payment_id, rail) = (payment.id.clone(), Rail::Wallet);
            self.coordinator.observer().tell(Event::PaymentNotApplied { payment_id, rail });
        }
        not_applied(*challenge, payment)
    }

    /// A payment as the books have it. Where the call's time is up they have a moment.
    async fn look(&self, id: &str) -> Option<Box<Payment>> {
        let until = self.call.deadline().max(Instant::now() + MOMENT);
        let looked = timeout_at(until, self.coordinator.ledger().look(id)).await;
        looked.ok()?.ok().map(Box::new)
    }

    /// The answer shows that the money was there. It reaches the caller whether or not that can be written down.
    async fn note_served(&self, payment: &Payment, reply: &Reply) {
        let fields = text_of(&reply.body).ok().and_then(|text| Fields::parse(&reply.body, text).ok());
        let route_id = fields.and_then(|mut fields| fields.take("request_id"));
        let noted = self.coordinator.ledger().served(&payment.id, self.call.key(), route_id);
        // What was begun goes on in the background when the call's time is up.
        match timeout_at(self.call.deadline(), noted).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!("the payment {} could not be noted as applied: {error}", payment.id);
            }
            Err(_) => tracing::debug!("the payment {} was not yet noted as applied", payment.id),
        }
    }
}

fn has_risen(payment: &Payment, challenge: &PaymentChallenge) -> bool {
    let as_settled = Payment { state: PaymentState::SettledNotApplied, ..payment.clone() };
    as_settled.is_shown_by(challenge.balance_usd)
}

/// Waits a little, unless the call's time would be over then.
async fn pause(pauses: &mut impl Iterator<Item = Duration>, deadline: Instant) -> bool {
    match pauses.next().and_then(|pause| Instant::now().checked_add(pause)) {
        Some(until) => wait_until(until, deadline).await,
        None => false,
    }
}

async fn wait_until(until: Instant, deadline: Instant) -> bool {
    let is_in_time = until < deadline;
    if is_in_time {
        sleep_until(until).await;
    }
    is_in_time
}
