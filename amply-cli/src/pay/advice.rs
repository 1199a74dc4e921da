//! What to do after a route that was not paid, in the words of this command: the very command or flag to type.

use std::path::PathBuf;

use amply_sdk::{
    Address, Error, Network, Payment, PaymentChallenge, PaymentProblem, PaymentState, Rail, Refusal, env,
};

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
    Within {
        caps: Caps,
        /// Whether somebody tops up the wallet.
        by_service: bool,
        /// Those that were named for x402.
        networks: Vec<Network>,
        /// Who pays by x402; not known of the sandbox's own key.
        payer: Option<Address>,
    },
    ByHand,
}

impl Pays {
    fn of(means: Option<&Means>) -> Self {
        let Some(means) = means else { return Self::Nobody };
        match means.caps() {
            Some(caps) => Self::Within {
                caps: *caps,
                by_service: means.has_service(),
                networks: means.networks().to_vec(),
                payer: means.payer(),
            },
            None => Self::ByHand,
        }
    }

    fn networks(&self) -> &[Network] {
        match self {
            Self::Within { networks, .. } => networks,
            _ => &[],
        }
    }

    fn by_service(&self) -> bool {
        matches!(self, Self::Within { by_service: true, .. })
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
        let by_hand = self.by_hand(challenge, base_url);
        Some(match error {
            Error::PaymentRequired(_) => self.on_unpaid(challenge, by_hand),
            Error::PaymentRefused { reasons, .. } => self.on_refused(challenge, reasons, by_hand),
            Error::SpendLimit { cap, .. } => {
                let set_by = match &self.pays {
                    Pays::Within { caps, .. } => caps.set_by(*cap),
                    _ => None,
                };
                let raise = format!("nothing was paid for this route; raise {}", set_by.unwrap_or("the cap"));
                let wait = if *cap == amply_sdk::Cap::PerDay { ", wait for the next day (UTC)" } else { "" };
                or(format!("{raise}{wait}"), by_hand)
            }
            Error::PaymentFailed(problem) => match open(problem) {
                Some(payment) => self.on_not_taken(payment)?,
                None => or(
                    format!(
                        "nothing was paid; check `--topup-url` or {} and the token in {}, then run the same command again",
                        env::TOPUP_URL,
                        env::TOPUP_TOKEN
                    ),
                    by_hand,
                ),
            },
            Error::PaymentUnknown(problem) => self.on_unknown(problem),
            Error::PaymentNotApplied(problem) => self.on_not_applied(problem, by_hand),
            _ => return None,
        })
    }

    /// What a person can do for the wallet, where the 402 is about one.
    fn by_hand(&self, challenge: &PaymentChallenge, base_url: &str) -> Option<String> {
        match self.is_sandbox {
            // Its page is nobody's, and ends with the command.
            true => Some("give the sandbox's wallet more with `--balance 1`".to_owned()),
            false => is_about_a_wallet(challenge)
                .then(|| format!("top up {} at {}", self.wallet(), page_of(challenge, base_url))),
        }
    }

    fn on_unpaid(&self, challenge: &PaymentChallenge, by_hand: Option<String>) -> String {
        let has_wallet = is_about_a_wallet(challenge) && !challenge.refusals().iter().any(has_no_wallet);
        let by_service = match self.has_service || self.is_sandbox || self.has_person {
            true => "`--pay --max-daily-usd 5`",
            false => "`--pay --max-daily-usd 5 --topup-url URL` with the URL of a top-up service",
        };
        let by_service = has_wallet.then(|| by_service.to_owned());
        let by_x402 = self.other_network(challenge).map(|network| {
            let caps = "--max-request-usd 0.10 --max-daily-usd 5";
            let key = match self.is_sandbox {
                true => String::new(),
                false => format!(" with a private key in {}", env::X402_KEY),
            };
            format!("`--pay --x402-network {network} {caps}`{key}")
        });
        let by_hand =
            by_hand.filter(|_| has_wallet || self.is_sandbox).map(|by_hand| match self.is_sandbox {
                true => by_hand,
                false => format!("{by_hand} and run the same command again"),
            });
        let add = match &self.pays {
            Pays::Nobody => match (by_service, by_x402) {
                (Some(flags), by_x402) => Some(format!("add {}", or(flags, by_x402))),
                (None, by_x402) => by_x402.map(|flags| format!("add {flags}")),
            },
            Pays::ByHand => by_x402.map(|flags| format!("add {flags}")),
            Pays::Within { by_service: false, .. } if has_wallet => Some(
                "the server offers no payment by x402; add `--topup-url URL` with the URL of a top-up service"
                    .to_owned(),
            ),
            Pays::Within { .. } => None,
        };
        match (add, by_hand) {
            (Some(add), by_hand) => or(add, by_hand),
            (None, Some(by_hand)) => by_hand,
            (None, None) => self.other_key(),
        }
    }

    fn on_refused(
        &self,
        challenge: &PaymentChallenge,
        reasons: &[Refusal],
        by_hand: Option<String>,
    ) -> String {
        let other = self.other_network(challenge);
        let says = |code: &str| reasons.iter().any(|reason| reason.code() == code);
        let wants_network = says("network_not_allowed") || reasons.iter().any(has_no_wallet);
        match other.filter(|_| wants_network) {
            Some(network) => {
                or(format!("nothing was paid; add `--x402-network {network}` if it may be paid on"), by_hand)
            }
            None if says("origin_keeps_rejecting") => {
                "nothing was signed; mend what the server says of the payments before, and wait: it is paid again after 10 min, \
                 or longer where that was not the first time"
                    .to_owned()
            }
            None if reasons.iter().any(has_no_wallet) => self.other_key(),
            None => match by_hand {
                Some(by_hand) => format!("nothing was paid; {by_hand}, or ask the server's operator"),
                None => "nothing was paid; ask the server's operator".to_owned(),
            },
        }
    }

    /// A payment by x402 that was not made, or that the server did not take. `None` where its own advice will do.
    fn on_not_taken(&self, payment: &Payment) -> Option<String> {
        let has_left = payment.open.as_ref().is_some_and(|open| open.has_left);
        has_left.then(|| {
            format!(
                "mend what the server says of the payment by {}, then run the same command again; the signature counts for the \
                 caps until its time is over",
                self.payer()
            )
        })
    }

    fn on_unknown(&self, problem: &PaymentProblem) -> String {
        if self.is_sandbox {
            return "run the same command again; the sandbox and its ledger have ended".to_owned();
        }
        let command = self.payments_command();
        let Some(id) = problem.payment_id() else {
            return format!(
                "the payment went on by itself; see `{command} list` before you run the same command again"
            );
        };
        let state = problem.payment.as_ref().map(|payment| payment.state);
        let is_running = matches!(state, None | Some(PaymentState::Intent | PaymentState::Sent));
        match (self.is_open(problem), is_running) {
            (false, true) => format!(
                "the top-up went on by itself; see `{command} show {id}`, then run the same command again"
            ),
            (false, false) => format!(
                "nobody pays for this wallet until that is known; find out whether it was made, then \
                 `{command} resolve {id} settled` or `{command} resolve {id} rejected`"
            ),
            (true, true) => format!(
                "the payment went on by itself; see `{command} show {id}`, and what was paid for with \
                 `{command} show {id} --answer`"
            ),
            (true, false) => {
                let again = match &self.call_key {
                    Some(_) => "its idempotency key leads no other payment",
                    None => "running the command again pays anew",
                };
                format!(
                    "{again}; look for the nonce that `{command} show {id}` has on the network, then \
                     `{command} resolve {id} settled` or `{command} resolve {id} rejected`"
                )
            }
        }
    }

    fn on_not_applied(&self, problem: &PaymentProblem, by_hand: Option<String>) -> String {
        if self.is_sandbox {
            return "run the same command again; the sandbox and its ledger have ended".to_owned();
        }
        let Some(payment) = &problem.payment else {
            return match by_hand {
                Some(by_hand) => format!("{by_hand} and run the same command again"),
                None => "ask the server's operator".to_owned(),
            };
        };
        let (id, command) = (&payment.id, self.payments_command());
        let is_led = |key: &String| payment.calls.iter().any(|call| call.led && call.call_key == *key);
        let has_led = self.call_key.as_ref().is_some_and(is_led);
        match payment.state {
            _ if payment.rail == Rail::X402 => format!(
                "it is not paid again; `{command} show {id} --answer` prints what the server answered, and its operator can say \
                 why"
            ),
            PaymentState::Settled if has_led => or(
                "its idempotency key has led a payment and leads no other: take another `--idempotency-key`"
                    .to_owned(),
                by_hand,
            ),
            PaymentState::Settled => {
                "others may have used the wallet meanwhile; run the same command again".to_owned()
            }
            _ => format!(
                "nobody pays for this wallet until it shows; look at it with `{command} show {id}`, and if it never \
                 shows ask the top-up service, then `{command} resolve {id} settled` or `{command} resolve {id} rejected`"
            ),
        }
    }

    /// A network that is offered, was not named, and can be.
    fn other_network(&self, challenge: &PaymentChallenge) -> Option<Network> {
        let mut offered = challenge.offered_networks().into_iter();
        offered
            .find(|network| Network::WITH_USDC.contains(network) && !self.pays.networks().contains(network))
    }

    /// Whether a payment is one by x402. One of which the call saw only the beginning is on the rail that goes first.
    fn is_open(&self, problem: &PaymentProblem) -> bool {
        match &problem.payment {
            Some(payment) => payment.rail == Rail::X402,
            None => {
                let is_by_service = self.pays.by_service() && is_about_a_wallet(&problem.challenge);
                !self.pays.networks().is_empty() && !is_by_service
            }
        }
    }

    /// Who pays by x402, for a sentence.
    fn payer(&self) -> String {
        match &self.pays {
            Pays::Within { payer: Some(payer), .. } => {
                format!("{payer}, whose key is from `{}`", env::X402_KEY)
            }
            _ => "the sandbox's own key".to_owned(),
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

/// A way out, and another where there is one.
fn or(way: String, other: Option<String>) -> String {
    other.map_or_else(|| way.clone(), |other| format!("{way}, or {other}"))
}

/// Whether a wallet would help. A 402 that has nothing but offers says nothing of one.
pub(super) fn is_about_a_wallet(challenge: &PaymentChallenge) -> bool {
    challenge.shortfall_usd.or(challenge.amount_usd).is_some() || challenge.offered_networks().is_empty()
}

/// The payment by x402 that an error is about.
fn open(problem: &PaymentProblem) -> Option<&Payment> {
    problem.payment.as_deref().filter(|payment| payment.rail == Rail::X402)
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
