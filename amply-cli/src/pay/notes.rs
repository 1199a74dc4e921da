//! What is said on standard error while a payment is made. What ends the command is its error's to say.

use amply_sdk::{Event, Rail};

use crate::table::{cents, one_line};
use crate::term::Term;

/// `key_from` is whose key signs for x402, in words.
pub(super) fn tell(event: &Event, key_from: Option<&str>, term: &Term) {
    match event {
        Event::PaymentIntended { payment_id, rail: Rail::X402, amount, .. } => term.note(&format!(
            "paying {} USD by x402 with {} (payment {payment_id})",
            cents(*amount),
            key_from.unwrap_or("a key")
        )),
        Event::PaymentSettled { payment_id, rail: Rail::X402, amount, .. } => {
            term.note(&format!("paid {} USD by x402 (payment {payment_id})", cents(*amount)));
        }
        Event::PaymentUnknown { payment_id, rail: Rail::X402, reason, .. } => term.warn(&format!(
            "it is not known whether the payment was taken (payment {payment_id}): {}",
            one_line(reason)
        )),
        Event::PaymentIntended { payment_id, amount, .. } => {
            term.note(&format!("topping up the wallet by {} USD (payment {payment_id})", cents(*amount)));
        }
        Event::PaymentSettled { payment_id, amount, credited, .. } => match credited {
            Some(credited) if credited != amount => term.warn(&format!(
                "the wallet was to be topped up by {} USD, and the payer says that it was by {} USD (payment {payment_id})",
                cents(*amount),
                cents(*credited)
            )),
            _ => term.note(&format!("topped up by {} USD (payment {payment_id})", cents(*amount))),
        },
        Event::PaymentUnknown { payment_id, reason, .. } => term.warn(&format!(
            "it is not known whether the top-up was made (payment {payment_id}): {}",
            one_line(reason)
        )),
        Event::CapReached { cap, limit, .. } => {
            term.note(&format!("the {cap} is reached: {} USD", cents(*limit)));
        }
        Event::StoreCreated { path, .. } => term.warn(&format!(
            "the store `{}` is new: caps start from zero; in a container, mount a volume for it",
            one_line(path)
        )),
        // Each of these ends the command with an error that says more.
        Event::PaymentRejected { .. } | Event::PaymentRefused { .. } | Event::PaymentNotApplied { .. } => {}
        _ => {}
    }
}
