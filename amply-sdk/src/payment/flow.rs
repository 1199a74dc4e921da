//! What a call does with a 402: have it paid within the policy, and send the same request again, unpaid. Reads as the life
//! of such a call; who pays and how is decided in `wallet`.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::challenge::PaymentChallenge;
use super::open::{OpenEnd, OpenRail, Order, Reached};
use super::patience;
use super::payers::Payers;
use super::problem::{
    being_begun, ended, given_up, led_elsewhere, not_applied, refused, sent_and_not_served, unknown,
};
use super::record::{PaidAnswer, Payment, PaymentState, Rail};
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
        _ => {
            return Err(match running.stage.give_up() {
                Reached::Begun(id) => ended(Ending::Late(Some(id)), *challenge, 0),
                Reached::Beginning => being_begun(*challenge),
                Reached::Waiting | Reached::GivenUp => ended(Ending::Late(None), *challenge, 0),
            });
        }
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
    let mut led: Option<Box<Payment>> = None;
    let mut pauses = patience();
    loop {
        // An attempt before this 402 may have been served and charged: whoever pays now may pay for the same route twice.
        if challenge.failure().may_have_been_charged {
            return Err(Error::PaymentRequired(challenge));
        }
        let Some(need) = need(&challenge, call, led.is_some()) else {
            if let Some(payment) = led {
                return Err(tell_not_applied(coordinator, challenge, payment));
            }
            let reasons = challenge.refusals().to_vec();
            coordinator.observer().tell(Event::PaymentRefused { reasons: reasons.clone() });
            return Err(refused(*challenge, reasons));
        };
        // A call that has led a payment waits for a round that another leads, and looks for itself now and then.
        let until = match led {
            Some(_) => pauses.next().and_then(|pause| Instant::now().checked_add(pause)),
            None => None,
        };
        let until = until.unwrap_or(call.deadline()).min(call.deadline());
        let paid = match coordinator.join(need, until).await {
            Verdict::Again(paid) => paid,
            Verdict::End(Ending::Late(_)) if until < call.deadline() => None,
            Verdict::End(ending) => {
                return Err(match led {
                    // Whatever ended the waiting, this call's own payment was made.
                    Some(payment) => tell_not_applied(coordinator, challenge, payment),
                    None => end_waiting(coordinator, challenge, ending).await,
                });
            }
        };
        let Some(paid) = paid else {
            // The balance suffices by itself, or the challenge had run out, or it is time to look.
            challenge = match call.ask().await {
                Err(Error::PaymentRequired(next)) => next,
                answered => return answered,
            };
            if led.is_none() && !pause(&mut pauses, call.deadline()).await {
                return Err(Error::PaymentRequired(challenge));
            }
            continue;
        };
        if paid.led {
            call.paid(&paid.payment);
            led = Some(paid.payment.clone());
        }
        challenge = match ask_until_shown(coordinator, paid, call).await? {
            Asked::Answered(reply) => return Ok(*reply),
            Asked::SpentByOthers(next) => next,
        };
    }
}

/// The error of a call that waited for a payment in vain.
async fn end_waiting(coordinator: &Coordinator, challenge: Box<PaymentChallenge>, ending: Ending) -> Error {
    let (ledger, now_ms) = (coordinator.ledger(), coordinator.ledger().now_ms());
    match ending {
        // What is known of it by now. The call's time is up; the books have a moment.
        Ending::Late(Some(id)) => match timeout(MOMENT, ledger.look(&id)).await {
            Ok(Ok(payment)) => {
                let payment = Box::new(payment);
                match payment.state {
                    PaymentState::Settled => not_applied(*challenge, payment),
                    PaymentState::Rejected => ended(Ending::Failed(payment), *challenge, now_ms),
                    _ => unknown(*challenge, payment, now_ms),
                }
            }
            _ => ended(Ending::Late(Some(id)), *challenge, now_ms),
        },
        ending => ended(ending, *challenge, now_ms),
    }
}

enum Asked {
    Answered(Box<Reply>),
    /// The credit arrived, and others were quicker to use it.
    SpentByOthers(Box<PaymentChallenge>),
}

/// Asks until the credit shows. A 402 has no effect, so that it may be asked for again and again.
async fn ask_until_shown<A: Ask>(
    coordinator: &Coordinator,
    paid: Paid,
    call: &mut A,
) -> Result<Asked, Error> {
    let Paid { payment, led, turn } = paid;
    let mut turn = Some(turn);
    let mut pauses = patience();
    loop {
        let answered = call.ask().await;
        drop(turn.take());
        let next = match answered {
            Ok(reply) => {
                note_served(coordinator, &payment, call, &reply).await;
                return Ok(Asked::Answered(Box::new(reply)));
            }
            Err(Error::PaymentRequired(next)) => next,
            Err(error) => return Err(error),
        };
        // The payer may have seen it, or another call, or this very 402.
        let has_arrived = match has_risen(&payment, &next) {
            true => {
                // What cannot be written now is found out at the next look.
                let _ = coordinator.ledger().seen(&payment.id, next.balance_usd).await;
                true
            }
            false => {
                let now = coordinator.ledger().look(&payment.id).await;
                now.is_ok_and(|now| now.state == PaymentState::Settled)
            }
        };
        if has_arrived {
            return Ok(Asked::SpentByOthers(next));
        }
        if !pause(&mut pauses, call.deadline()).await {
            return Err(match led {
                true => tell_not_applied(coordinator, next, payment.clone()),
                false => unknown(*next, payment.clone(), coordinator.ledger().now_ms()),
            });
        }
    }
}

/// What is needed to have the challenge paid; `None` for one that must not be.
fn need(challenge: &PaymentChallenge, call: &impl Ask, has_led: bool) -> Option<Need> {
    if !challenge.refusals().is_empty() {
        return None;
    }
    Some(Need {
        shortfall: challenge.shortfall_usd.or(challenge.amount_usd)?,
        balance: challenge.balance_usd,
        suggested: challenge.amount_usd,
        expires_ms: challenge.expires_ms(),
        key: call.key().to_owned(),
        has_led,
    })
}

fn has_risen(payment: &Payment, challenge: &PaymentChallenge) -> bool {
    let as_settled = Payment { state: PaymentState::SettledNotApplied, ..payment.clone() };
    as_settled.is_shown_by(challenge.balance_usd)
}

/// Waits a little, unless the call's time would be over then.
async fn pause(pauses: &mut impl Iterator<Item = Duration>, deadline: Instant) -> bool {
    let until = pauses.next().and_then(|pause| Instant::now().checked_add(pause));
    match until.filter(|until| *until < deadline) {
        Some(until) => {
            sleep_until(until).await;
            true
        }
        None => false,
    }
}

/// The answer shows that the money was there. It reaches the caller whether or not that can be written down.
async fn note_served(coordinator: &Coordinator, payment: &Payment, call: &impl Ask, reply: &Reply) {
    let fields = text_of(&reply.body).ok().and_then(|text| Fields::parse(&reply.body, text).ok());
    let route_id = fields.and_then(|mut fields| fields.take("request_id"));
    let noted = coordinator.ledger().served(&payment.id, call.key(), route_id);
    // What was begun goes on in the background when the call's time is up.
    match timeout_at(call.deadline(), noted).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the payment {} could not be noted as applied: {error}", payment.id),
        Err(_) => tracing::debug!("the payment {} was not yet noted as applied", payment.id),
    }
}

fn tell_not_applied(
    coordinator: &Coordinator,
    challenge: Box<PaymentChallenge>,
    payment: Box<Payment>,
) -> Error {
    let (payment_id, rail) = (payment.id.clone(), Rail::Wallet);
    coordinator.observer().tell(Event::PaymentNotApplied { payment_id, rail });
    not_applied(*challenge, payment)
}
