//! What to do after a route that was not paid, in the words of this command: the very command or flag to type.

use std::path::PathBuf;

use amply_sdk::{Error, PaymentChallenge, PaymentProblem, PaymentState, Refusal, env};

use super::{Caps, Means, Place, has_service};
use crate::table::one_line;

/// What advice depends on: what was typed, and where.
pub(crate) struct Advice {
    pays: Pays,
    is_sandbox: bool,
    has_person: bool,
    has_service: bool,
    /// `--store`, where it was typed.
    store: Option<PathBuf>,
    /// Where the key came from.
    key_from: Option<&'static str>,
    /// `--idempotency-key`, where it was typed.
    call_key: Option<String>,
}

/// Who was to pay.
enum Pays {
    Nobody,
    Within(Caps),
    ByHand,
}

impl Pays {
    fn of(means: Option<&Means>) -> Self {
        match (means, means.and_then(Means::caps)) {
            (None, _) => Self::Nobody,
            (Some(_), Some(caps)) => Self::Within(*caps),
            (Some(_), None) => Self::ByHand,
        }
    }
}

impl Advice {
    pub(crate) fn new(
        means: Option<&Means>,
        place: &Place<'_>,
        key_from: Option<&'static str>,
        call_key: Option<String>,
    ) -> Self {
        Self {
            pays: Pays::of(means),
            is_sandbox: place.is_sandbox,
            has_person: place.has_person,
            has_service: has_service(),
            store: place.store.cloned(),
            key_from,
            call_key,
        }
    }

    pub(crate) fn key_from(&self) -> Option<&'static str> {
        self.key_from
    }

    /// What to do about an error of paying; `None` for any other, whose own advice will do.
    pub(crate) fn on(&self, error: &Error, base_url: &str) -> Option<String> {
        let challenge = error.challenge()?;
        let by_hand = match self.is_sandbox {
            // Its page is nobody's, and ends with the command.
            true => "give the sandbox's wallet more with `--balance 1`".to_owned(),
            false => format!("top up {} at {}", self.wallet(), page_of(challenge, base_url)),
        };
        Some(match error {
            Error::PaymentRequired(_) => self.on_unpaid(challenge, &by_hand),
            Error::PaymentRefused { reasons, .. } => match reasons.iter().any(has_no_wallet) {
                true => self.other_key(),
                false => format!("nothing was paid; {by_hand}, or ask the server's operator"),
            },
            Error::SpendLimit { cap, .. } => {
                let set_by = match &self.pays {
                    Pays::Within(caps) => caps.set_by(*cap),
                    _ => None,
                };
                let raise = format!("nothing was paid for this route; raise {}", set_by.unwrap_or("the cap"));
                let wait = if *cap == amply_sdk::Cap::PerDay { ", wait for the next day (UTC)" } else { "" };
                format!("{raise}{wait}, or {by_hand}")
            }
            Error::PaymentFailed(_) => format!(
                "nothing was paid; check `--topup-url` or {} and the token in {}, then run the same command again, or {by_hand}",
                env::TOPUP_URL,
                env::TOPUP_TOKEN
            ),
            Error::PaymentUnknown(problem) => self.on_unknown(problem),
            Error::PaymentNotApplied(problem) => self.on_not_applied(problem, &by_hand),
            _ => return None,
        })
    }

    fn on_unpaid(&self, challenge: &PaymentChallenge, by_hand: &str) -> String {
        if challenge.refusals().iter().any(has_no_wallet) {
            return self.other_key();
        }
        let pay = match self.has_service || self.is_sandbox || self.has_person {
            true => "add `--pay --max-daily-usd 5`",
            false => "add `--pay --max-daily-usd 5 --topup-url URL` with the URL of a top-up service",
        };
        let by_hand = match self.is_sandbox {
            true => by_hand.to_owned(),
            false => format!("{by_hand} and run the same command again"),
        };
        match self.pays {
            Pays::Nobody => format!("{pay}, or {by_hand}"),
            _ => by_hand,
        }
    }

    fn on_unknown(&self, problem: &PaymentProblem) -> String {
        let Some(id) = problem.payment_id().filter(|_| !self.is_sandbox) else {
            return "run the same command again; the sandbox and its ledger have ended".to_owned();
        };
        let command = self.payments_command();
        let state = problem.payment.as_ref().map(|payment| payment.state);
        match state {
            None | Some(PaymentState::Intent | PaymentState::Sent) => format!(
                "the top-up went on by itself; see `{command} show {id}`, then run the same command again"
            ),
            Some(_) => format!(
                "nobody pays for this wallet until that is known; find out whether it was made, then \
                 `{command} resolve {id} settled` or `{command} resolve {id} rejected`"
            ),
        }
    }

    fn on_not_applied(&self, problem: &PaymentProblem, by_hand: &str) -> String {
        let Some(payment) = &problem.payment else {
            return format!("{by_hand} and run the same command again");
        };
        let is_led = |key: &String| payment.calls.iter().any(|call| call.led && call.call_key == *key);
        let has_led = self.call_key.as_ref().is_some_and(is_led);
        match payment.state {
            _ if self.is_sandbox => {
                "run the same command again; the sandbox and its ledger have ended".to_owned()
            }
            PaymentState::Settled if has_led => format!(
                "its idempotency key has led a payment and leads no other: take another `--idempotency-key`, or {by_hand}"
            ),
            PaymentState::Settled => {
                "others may have used the wallet meanwhile; run the same command again".to_owned()
            }
            _ => {
                let (id, command) = (&payment.id, self.payments_command());
                format!(
                    "nobody pays for this wallet until it shows; look at it with `{command} show {id}`, and if it never \
                     shows ask the top-up service, then `{command} resolve {id} settled` or `{command} resolve {id} rejected`"
                )
            }
        }
    }

    /// `amply payments`, with the store that was typed.
    fn payments_command(&self) -> String {
        match &self.store {
            Some(store) => format!("amply payments --store {}", quoted(&store.to_string_lossy())),
            None => "amply payments".to_owned(),
        }
    }

    fn wallet(&self) -> String {
        match self.key_from {
            Some(origin) => format!("the wallet of the key from {origin}"),
            None => "the wallet".to_owned(),
        }
    }

    fn other_key(&self) -> String {
        let why = "this call has no wallet to top up; use a key of an account (amply_sk_…)";
        match self.key_from {
            Some(origin) => format!("{why}, this one came from {origin}"),
            None => why.to_owned(),
        }
    }
}

/// Where a person tops up the wallet: the server's word for it, else the page of the API's own site. Safe for a terminal.
pub(super) fn page_of(challenge: &PaymentChallenge, base_url: &str) -> String {
    if let Some(page) = challenge.top_up_url.as_deref().map(one_line).filter(|page| !page.is_empty()) {
        return page;
    }
    let (scheme, rest) = base_url.split_once("://").unwrap_or(("https", base_url));
    let host = rest.split('/').next().unwrap_or(rest);
    format!("{scheme}://{host}/dashboard/billing")
}

fn has_no_wallet(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::NotBound | Refusal::NoWallet)
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_so_that_the_command_can_be_pasted() {
        assert_eq!(quoted("/var/lib/amply/store.db"), "/var/lib/amply/store.db");
        assert_eq!(quoted("my store's.db"), r"'my store'\''s.db'");
    }
}
