//! Why a call was not answered although somebody may pay for it: the errors of payments, with the payment and the 402.

use std::fmt;

use super::challenge::{PaymentChallenge, Refusal};
use super::ledger::Over;
use super::record::{Payment, PaymentState};
use super::wallet::Ending;
#[cfg(feature = "operator")]
use super::wallet::Unfilled;
use crate::error::{Error, Failure};
use crate::money::Usd;
use crate::text::one_line;

/// What is known about a call that a payment did not bring to an answer. The call itself was not charged.
#[non_exhaustive]
pub struct PaymentProblem {
    /// What the server asked for, last; without anything in it where a top-up was ordered and no 402 came.
    pub challenge: PaymentChallenge,
    /// The payment in question; `None` where none was begun.
    pub payment: Option<Box<Payment>>,
    pub(crate) message: String,
    pub(crate) hint: String,
    pub(crate) payment_id: Option<String>,
    pub(crate) answer: Option<Box<Failure>>,
}

impl PaymentProblem {
    fn new(challenge: PaymentChallenge, message: String, hint: &str) -> Self {
        Self { challenge, payment: None, payment_id: None, message, hint: hint.to_owned(), answer: None }
    }

    fn of(challenge: PaymentChallenge, payment: Box<Payment>, message: String, hint: String) -> Self {
        let payment_id = Some(payment.id.clone());
        Self { challenge, payment: Some(payment), payment_id, message, hint, answer: None }
    }

    /// The id of the payment in the ledger; `None` where none was begun.
    pub fn payment_id(&self) -> Option<&str> {
        self.payment_id.as_deref()
    }

    /// What the payment takes, in USD; `None` where none was begun.
    pub fn amount_usd(&self) -> Option<Usd> {
        self.payment.as_ref().map(|payment| payment.amount)
    }

    /// The last answer of the server: to the request that carried the payment where there was one, else the 402.
    pub fn failure(&self) -> &Failure {
        self.answer.as_deref().unwrap_or(self.challenge.failure())
    }

    /// What happened, in words.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Without the 402's headers and body.
impl fmt::Debug for PaymentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentProblem")
            .field("message", &self.message)
            .field("payment_id", &self.payment_id)
            .field("shortfall_usd", &self.challenge.shortfall_usd)
            .field("balance_usd", &self.challenge.balance_usd)
            .finish_non_exhaustive()
    }
}

/// What a 402 has in it that is not paid.
pub(super) fn refused(challenge: PaymentChallenge, reasons: Vec<Refusal>) -> Error {
    let said: Vec<String> = reasons.iter().map(Refusal::to_string).collect();
    let message = format!("what the server asks for was not paid: {}", said.join("; "));
    let problem = PaymentProblem::new(
        challenge,
        message,
        "nothing was paid; top up the wallet by hand, or ask the server's operator",
    );
    Error::PaymentRefused { reasons, problem: Box::new(problem) }
}

/// A payment was made and the call still is not served.
pub(super) fn not_applied(challenge: PaymentChallenge, payment: Box<Payment>) -> Error {
    let Payment { id, amount, .. } = &*payment;
    let (message, hint) = match payment.state {
        PaymentState::Settled => (
            format!("a top-up of {amount} USD arrived (payment {id}), and the server still asks for money"),
            "the wallet may be used by others at the same time; make the same call again".to_owned(),
        ),
        _ => (
            format!("a top-up of {amount} USD was made (payment {id}), and the wallet does not show it"),
            format!("nobody pays for this wallet until it does; see `amply payments show {id}`"),
        ),
    };
    Error::PaymentNotApplied(Box::new(PaymentProblem::of(challenge, payment, message, hint)))
}

/// A payment whose result is not known.
pub(super) fn unknown(challenge: PaymentChallenge, payment: Box<Payment>, now_ms: i64) -> Error {
    let Payment { id, amount, .. } = &*payment;
    if payment.is_running() {
        let message = format!("the time for this call ran out while a top-up was being made (payment {id})");
        let hint =
            format!("it goes on by itself; see `amply payments show {id}`, then make the same call again");
        return Error::PaymentUnknown(Box::new(PaymentProblem::of(challenge, payment, message, hint)));
    }
    let age = age(now_ms.saturating_sub(payment.created_ms));
    let message = match payment.state {
        PaymentState::SettledNotApplied => {
            format!(
                "a top-up of {amount} USD was made {age} ago (payment {id}), and the wallet does not show it"
            )
        }
        _ => {
            format!("a top-up of {amount} USD may have been made {age} ago (payment {id}), and nothing tells")
        }
    };
    let hint = format!(
        "nobody pays for this wallet until that is known; find out, then `amply payments resolve {id} settled` or `rejected`"
    );
    Error::PaymentUnknown(Box::new(PaymentProblem::of(challenge, payment, message, hint)))
}

/// The error of a call that waited for a payment.
pub(super) fn ended(ending: Ending, challenge: PaymentChallenge, now_ms: i64) -> Error {
    match ending {
        Ending::SpendLimit(over) => over_limit(challenge, &over),
        Ending::Refused(reasons) => refused(challenge, reasons),
        Ending::Failed(payment) => {
            let why = payment.reason.as_deref().map_or_else(String::new, |why| one_line(why, 300));
            let message = format!("the top-up of {} USD was not made: {why}", payment.amount);
            let hint = "nothing was paid; mend what the payer says, and make the same call again".to_owned();
            Error::PaymentFailed(Box::new(PaymentProblem::of(challenge, payment, message, hint)))
        }
        Ending::Unknown(payment) => unknown(challenge, payment, now_ms),
        Ending::NotApplied(payment) => not_applied(challenge, payment),
        Ending::NoLeader | Ending::Late(None) => out_of_time(challenge),
        Ending::Late(Some(payment_id)) => {
            let message = format!(
                "the time for this call ran out while a payment was being made (payment {payment_id})"
            );
            let hint = format!(
                "it goes on by itself; see `amply payments show {payment_id}`, then make the same call again"
            );
            let problem = PaymentProblem {
                payment_id: Some(payment_id),
                ..PaymentProblem::new(challenge, message, &hint)
            };
            Error::PaymentUnknown(Box::new(problem))
        }
        Ending::BeingBegun => being_begun(challenge),
        Ending::Store(message) => Error::Store(message),
        Ending::Config(message) => Error::Config(message),
    }
}

/// The error of a top-up that was ordered, without a 402. `request` is its method and URL.
#[cfg(feature = "operator")]
pub(super) fn without_a_call(unfilled: Unfilled, request: String, now_ms: i64) -> Error {
    let challenge = PaymentChallenge::none(Failure {
        meta: crate::meta::Meta::default(),
        request,
        detail: "no 402 came; the top-up was ordered".to_owned(),
        code: None,
        hint: None,
        body: bytes::Bytes::new(),
        may_have_been_charged: false,
        source: None,
    });
    match unfilled {
        Unfilled::NoPayee => Error::invalid(
            "principal_id",
            "nobody says whose wallet is to be topped up: the key belongs to none; name its principal_id",
        ),
        Unfilled::LedElsewhere(payment) => {
            let message = format!(
                "the idempotency key of this top-up led another payment (payment {}): of another amount, for another wallet or \
                 server, or for a route; this one was not made, and nothing is paid under the key again",
                payment.id
            );
            of_another(challenge, payment, message)
        }
        Unfilled::Held(payment) => {
            let Payment { id, amount, .. } = &*payment;
            let age = age(now_ms.saturating_sub(payment.created_ms));
            let (message, hint) = match payment.state {
                PaymentState::Intent | PaymentState::Sent => (
                    format!(
                        "a top-up of {amount} USD is being made for this wallet (payment {id}); no other was begun"
                    ),
                    format!("wait until it has ended; see `amply payments show {id}`"),
                ),
                PaymentState::SettledNotApplied | PaymentState::Settled => (
                    format!(
                        "a top-up of {amount} USD was made for this wallet {age} ago (payment {id}), and the wallet does not show it; no other was begun"
                    ),
                    format!(
                        "look at the wallet; once it has the money, `amply payments resolve {id} settled`, and order it again if need be"
                    ),
                ),
                _ => (
                    format!(
                        "a top-up of {amount} USD may have been made {age} ago (payment {id}), and nothing tells; no other was begun"
                    ),
                    format!(
                        "find out, then `amply payments resolve {id} settled` or `rejected`, and order it again if need be"
                    ),
                ),
            };
            Error::PaymentUnknown(Box::new(PaymentProblem::of(challenge, payment, message, hint)))
        }
        Unfilled::Ended(Ending::Refused(reasons)) => {
            let said: Vec<String> = reasons.iter().map(Refusal::to_string).collect();
            let message = format!("the wallet was not topped up: {}", said.join("; "));
            let hint = "nothing was paid; name whose wallet it is (principal_id), or mend the call to /billing/status";
            let problem = PaymentProblem::new(challenge, message, hint);
            Error::PaymentRefused { reasons, problem: Box::new(problem) }
        }
        Unfilled::Ended(ending) => ended(ending, challenge, now_ms),
    }
}

/// The error of a call whose request carried a payment, by what is known of the money. `answer` is what came back.
pub(super) fn sent_and_not_served(
    challenge: PaymentChallenge,
    payment: Box<Payment>,
    answer: Option<Box<Failure>>,
) -> Error {
    let Payment { id, amount, .. } = &*payment;
    let why = payment.reason.as_deref().map_or_else(String::new, |why| format!(": {}", one_line(why, 200)));
    let (message, hint): (_, String) = match payment.state {
        PaymentState::Rejected => (
            format!("the server did not take the payment of {amount} USD (payment {id}){why}"),
            "the signature counts for the caps until its time is over; mend what the server says, and make the call again".into(),
        ),
        PaymentState::Settled | PaymentState::SettledNotApplied => (
            format!("a payment of {amount} USD was taken (payment {id}), and what it was for did not come{why}"),
            "it is not paid again; ask the server's operator for it, with the request's id".into(),
        ),
        _ => (
            format!("a payment of {amount} USD may have been taken (payment {id}), and nothing tells{why}"),
            format!("it is not paid again for this call; see `amply payments show {id}`"),
        ),
    };
    let state = payment.state;
    let problem =
        Box::new(PaymentProblem { answer, ..PaymentProblem::of(challenge, payment, message, hint) });
    match state {
        PaymentState::Rejected => Error::PaymentFailed(problem),
        PaymentState::Settled | PaymentState::SettledNotApplied => Error::PaymentNotApplied(problem),
        _ => Error::PaymentUnknown(problem),
    }
}

/// A call whose key led a payment for another server, or for another key. Its answer is not this one's.
pub(super) fn led_elsewhere(challenge: PaymentChallenge, payment: Box<Payment>) -> Error {
    let message = format!(
        "the idempotency key of this call led a payment for another request, server or key (payment {}); nothing is paid under it again",
        payment.id
    );
    of_another(challenge, payment, message)
}

fn of_another(challenge: PaymentChallenge, payment: Box<Payment>, message: String) -> Error {
    let hint = "give each job an idempotency key of its own".to_owned();
    let is_settled = payment.is_settled();
    let problem = Box::new(PaymentProblem::of(challenge, payment, message, hint));
    if is_settled { Error::PaymentNotApplied(problem) } else { Error::PaymentUnknown(problem) }
}

/// The time ran out in the moment in which a payment was written down.
fn being_begun(challenge: PaymentChallenge) -> Error {
    let message = "the time for this call ran out while a payment was being begun".to_owned();
    let hint = "it goes on by itself; see `amply payments list`, then make the same call again";
    Error::PaymentUnknown(Box::new(PaymentProblem::new(challenge, message, hint)))
}

/// A payment that was given up before anything was sent.
pub(super) fn given_up(challenge: PaymentChallenge, payment: Box<Payment>) -> Error {
    let why = payment.reason.as_deref().map_or_else(String::new, |why| one_line(why, 300));
    let message = format!("the payment of {} USD was not made: {why}", payment.amount);
    let hint = "nothing was paid; mend that, and make the same call again".to_owned();
    Error::PaymentFailed(Box::new(PaymentProblem::of(challenge, payment, message, hint)))
}

fn over_limit(challenge: PaymentChallenge, over: &Over) -> Error {
    let Over { cap, limit, left, needed } = over;
    let needed = needed.map_or_else(String::new, |needed| format!("{needed} USD are needed, and "));
    let message = match *left == *limit {
        true => format!("{needed}the {cap} is {limit} USD"),
        false => format!("{needed}{left} USD are left of the {cap}, which is {limit} USD"),
    };
    let hint =
        "nothing was paid for this call; raise the cap, wait for the next day, or top up the wallet by hand";
    let problem = PaymentProblem::new(challenge, message, hint);
    Error::SpendLimit { cap: *cap, problem: Box::new(problem) }
}

/// Too little time to begin a payment, or none left to wait for one.
fn out_of_time(challenge: PaymentChallenge) -> Error {
    let mut failure = challenge.into_failure();
    failure.detail = "too little of the call's time was left for a payment; nothing was paid".to_owned();
    failure.hint = Some("allow more time, and make the same call again".to_owned());
    Error::Timeout(Box::new(failure))
}

/// An age for a person, in its largest unit.
fn age(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
