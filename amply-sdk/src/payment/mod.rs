//! What a 402 means and who pays: the challenge, the policy, the books, and the rails.

mod challenge;
mod crew;
mod flow;
mod ledger;
mod open;
mod payers;
mod payments;
mod policy;
mod problem;
mod record;
mod running;
pub(crate) mod wallet;
#[cfg(feature = "x402-evm")]
pub(crate) mod x402;

#[cfg(test)]
mod histories;

use std::time::Duration;

pub use self::challenge::{PaymentChallenge, Refusal};
pub(crate) use self::flow::{Ask, pay_and_ask_again};
pub(crate) use self::ledger::{Clock, Ledger, Outlook, Over};
pub(crate) use self::open::{OpenBuilder, OpenSetup};
pub(crate) use self::payers::Payers;
pub use self::payments::Payments;
pub use self::policy::{Cap, SpendPolicy};
pub use self::problem::PaymentProblem;
pub(crate) use self::record::WalletId;
pub use self::record::{OpenPayment, PaidAnswer, PaidCall, Payment, PaymentState, Rail, Receipt, Verdict};
pub(crate) use self::running::Spawner;
pub use self::wallet::{Payer, TopUp, TopUpFuture, TopUpRequest, TopUpService};

/// How long a credit is waited for before it is looked for again: 0.25 s, 1 s, then twice as long each time.
fn patience() -> impl Iterator<Item = Duration> {
    std::iter::once(Duration::from_millis(250))
        .chain(std::iter::successors(Some(Duration::from_secs(1)), |pause| pause.checked_mul(2)))
}

/// A payment that nothing but the store can refuse.
#[cfg(test)]
pub(crate) fn wanted_for_tests(amount: crate::money::Usd) -> ledger::Wanted {
    ledger::Wanted {
        wallet: WalletId { base_url: "http://127.0.0.1:9".to_owned(), key_hash: "key".to_owned() },
        principal_id: None,
        balance_before: None,
        calls: vec![ledger::WantedCall { key: uuid::Uuid::now_v7().to_string(), share: amount }],
        amount_for: Box::new(move |_| Some(amount)),
        minimum: None,
        request: Box::new(|_, _| "{}".to_owned()),
        payer: None,
        asked: None,
        seen_ms: i64::MAX,
    }
}
