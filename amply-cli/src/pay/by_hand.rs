//! The person at the terminal pays: the command says what is missing and where, watches the balance, and goes on.
//!
//! No payment of ours, so there is no ledger and no cap. The time of a call does not run meanwhile: each time that the route
//! is asked for is a call of its own, with the same request under the same idempotency key.

use std::time::Duration;

use amply_sdk::{Client, Error, PaymentChallenge, Refusal, Usd};
use tokio::time::{Instant, sleep, timeout_at};

use super::advice::{is_about_a_wallet, page_of};
use crate::exit::Failed;
use crate::session::Session;
use crate::table::cents;
use crate::term::Term;

/// How often the balance is looked at.
const POLL: Duration = Duration::from_secs(2);
/// How long the person may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// For one look at the balance.
const LOOK: Duration = Duration::from_secs(15);

/// How the waiting for a balance ended.
enum End {
    Covered,
    OutOfTime,
    CannotWatch(Error),
    Interrupted,
}

/// Asks for a route, or for an execution, and waits for a person where the wallet does not cover it.
pub(crate) async fn by_hand<T>(
    session: &Session,
    key_from: Option<&str>,
    term: &Term,
    ask: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Failed> {
    let mut until = None;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(challenge) = payable(&error) else { return Err(error.into()) };
        let is_first = until.is_none();
        let until = *until.get_or_insert_with(|| Instant::now() + PATIENCE);
        let watch = Watch { session, challenge, key_from, term };
        // Ctrl-C is listened for before the person is told of it.
        let end = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => End::Interrupted,
            end = watch.until_covered(is_first, until) => end,
        };
        match end {
            End::Covered => {}
            End::OutOfTime => {
                term.warn(&format!("the balance did not suffice within {} min", PATIENCE.as_secs() / 60));
                return Err(error.into());
            }
            End::CannotWatch(why) => {
                term.warn(&format!("the balance cannot be watched: {}", why.message()));
                return Err(error.into());
            }
            End::Interrupted => {
                return Err(Failed::Interrupted(Some(Box::new(error.into()))));
            }
        }
    }
}

/// What a person could pay: there is a wallet to top up, and no attempt of the call may have been charged already.
fn payable(error: &Error) -> Option<&PaymentChallenge> {
    let Error::PaymentRequired(challenge) = error else { return None };
    let has_wallet =
        !challenge.refusals().iter().any(|refusal| matches!(refusal, Refusal::NotBound | Refusal::NoWallet));
    (has_wallet && is_about_a_wallet(challenge) && !error.may_have_been_charged()).then_some(challenge)
}

struct Watch<'a> {
    session: &'a Session,
    challenge: &'a PaymentChallenge,
    key_from: Option<&'a str>,
    term: &'a Term,
}

impl Watch<'_> {
    async fn until_covered(&self, is_first: bool, until: Instant) -> End {
        let client = self.session.client.with_options(|options| options.timeout(LOOK));
        match is_first {
            true => match client.billing_status().await {
                Ok(status) => self.ask(status.principal_id.as_deref()),
                Err(error) if is_passing(&error) => self.ask(None),
                Err(error) => return End::CannotWatch(error),
            },
            false => self.term.note("the wallet does not cover the route yet; waiting on"),
        }
        timeout_at(until, self.poll(&client)).await.unwrap_or(End::OutOfTime)
    }

    async fn poll(&self, client: &Client) -> End {
        loop {
            sleep(POLL).await;
            let status = match client.billing_status().await {
                Ok(status) => status,
                Err(error) if is_passing(&error) => continue,
                Err(error) => return End::CannotWatch(error),
            };
            let suffices =
                status.balance_usd.zip(self.price()).is_some_and(|(balance, price)| balance >= price);
            if status.can_call == Some(true) || suffices {
                let balance = status.balance_usd.map(|balance| format!(": {} USD", cents(balance)));
                self.term.note(&format!("the balance suffices{}; going on", balance.unwrap_or_default()));
                return End::Covered;
            }
        }
    }

    /// What the route costs, as far as its 402 lets it be known.
    fn price(&self) -> Option<Usd> {
        self.challenge.shortfall_usd?.checked_add(self.challenge.balance_usd?)
    }

    /// Says what is missing, for whom, and where to pay it.
    fn ask(&self, principal_id: Option<&str>) {
        let missing = self.challenge.shortfall_usd.or(self.challenge.amount_usd);
        let amount = missing.map_or_else(|| "not said".to_owned(), |amount| format!("{} USD", cents(amount)));
        let mut pairs = vec![
            ("amount", amount),
            ("wallet", principal_id.unwrap_or("of this key").to_owned()),
            ("page", page_of(self.challenge, self.session.client.base_url())),
        ];
        if let Some(origin) = self.key_from {
            pairs.push(("key", format!("from {origin}")));
        }
        self.term.note("the wallet does not cover this route; top it up, and the command goes on");
        self.term.list(&pairs);
        self.term.note(&format!(
            "watching the balance for {} min; Ctrl-C ends the waiting",
            PATIENCE.as_secs() / 60
        ));
    }
}

/// Whether it may be otherwise the next time.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Transport(_) | Error::Timeout(_) | Error::Server(_) | Error::RateLimited { .. })
}
