//! A payment as the ledger keeps it: what it is for, how far it came, and what it holds back.
//!
//! This file knows no storage; `store` keeps what is here, `ledger` changes it.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::money::Usd;
use crate::text::one_line;

/// A payment that was made, or begun, by this client or by another that shares its store.
///
/// As JSON: the public fields, `created_at` and `ended_at` in RFC 3339 (UTC), amounts as text in USD.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Payment {
    /// Its id in the ledger.
    pub id: String,
    /// How it was paid.
    pub rail: Rail,
    /// How far it came.
    pub state: PaymentState,
    /// What a person said of it afterwards.
    pub verdict: Option<Verdict>,
    /// What it takes, in USD: the larger of what was asked for and what was credited.
    #[serde(rename = "amount_usd")]
    pub amount: Usd,
    /// The base URL of the server that asked for it.
    pub base_url: String,
    /// Whose wallet it is for, where the server says so.
    pub principal_id: Option<String>,
    /// The SHA-256 of the key that the wallet belongs to, in hexadecimal digits.
    pub wallet: String,
    /// The key under which the payer may be asked twice and pays once.
    pub idempotency_key: String,
    /// The calls that it served, the one that led it first.
    pub calls: Vec<PaidCall>,
    /// Why it was rejected or is unknown.
    pub reason: Option<String>,
    /// What the payer said of it.
    pub receipt: Option<Receipt>,
    /// What is known of a payment by the open x402 protocol; `None` for a top-up.
    pub open: Option<OpenPayment>,
    #[serde(rename = "created_at", serialize_with = "as_time")]
    pub(crate) created_ms: i64,
    #[serde(rename = "ended_at", serialize_with = "as_optional_time")]
    pub(crate) ended_ms: Option<i64>,
    /// The UTC day since 1970 whose cap it counts for first.
    #[serde(skip)]
    pub(crate) day: i64,
    #[serde(skip)]
    pub(crate) owner: String,
    #[serde(skip)]
    pub(crate) lease_until_ms: i64,
    /// When it was last tried to find out what became of it.
    #[serde(skip)]
    pub(crate) tried_ms: Option<i64>,
    /// What the payer was asked, as JSON.
    #[serde(skip)]
    pub(crate) request: String,
    #[serde(skip)]
    pub(crate) balance_before: Option<Usd>,
    /// Who was asked, as a hash; `None` for one that is never asked again.
    #[serde(skip)]
    pub(crate) payer: Option<String>,
    /// What was asked for under the leading call's key, as a hash: the request that carried it, or the order. `None` for a top-up
    /// that a call led, and for what an earlier version wrote down.
    #[serde(skip)]
    pub(crate) asked: Option<String>,
}

/// What is particular to a payment by the open x402 protocol. The signature itself is kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OpenPayment {
    /// The network, such as `eip155:8453`.
    pub network: String,
    /// The token's contract.
    pub asset: String,
    /// Who is paid.
    pub pay_to: String,
    /// The number that makes it the only payment of its kind: it can be taken once.
    pub nonce: String,
    /// Seconds since 1970 after which it cannot be taken any more.
    pub valid_before: i64,
    /// The transaction on the network, where the server named one.
    pub transaction: Option<String>,
    /// The server's receipt as it came, JSON.
    pub receipt_json: Option<String>,
    /// Whether the signature has left this process. From then on the payment counts, whatever the server answers.
    pub has_left: bool,
}

/// The answer to a request that carried a payment, as it is kept for a day.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PaidAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Names and values of the headers.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: bytes::Bytes,
}

/// One call that a payment served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PaidCall {
    /// The call's own idempotency key.
    pub call_key: String,
    /// Whether it was the one that led the payment. A call leads one at most.
    pub led: bool,
    /// The part of the amount that it needed, in USD.
    pub share_usd: Usd,
    /// The route that it was answered with.
    pub route_id: Option<String>,
}

/// What a payer says of a top-up that it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// What was credited to the wallet, in USD.
    pub credited_usd: Usd,
    /// What the wallet holds now, in USD.
    pub balance_usd: Option<Usd>,
    /// The id of the top-up at its service.
    pub topup_id: Option<String>,
}

impl Receipt {
    /// A receipt over an amount that was credited.
    pub fn new(credited_usd: impl Into<Usd>) -> Self {
        Self { credited_usd: credited_usd.into(), balance_usd: None, topup_id: None }
    }

    /// What the wallet holds after it.
    #[must_use]
    pub fn balance(mut self, balance_usd: impl Into<Usd>) -> Self {
        self.balance_usd = Some(balance_usd.into());
        self
    }

    /// The id of the top-up at its service.
    #[must_use]
    pub fn topup_id(mut self, id: impl Into<String>) -> Self {
        self.topup_id = Some(id.into());
        self
    }
}

/// How a payment is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rail {
    /// A top-up of the prepaid wallet.
    Wallet,
    /// A signed transfer by the open x402 protocol.
    X402,
}

/// How far a payment came. It only ever goes on; a person's [`Verdict`] stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PaymentState {
    /// Written down; the payer was not asked yet.
    Intent,
    /// The payer is being asked.
    Sent,
    /// The payer was asked and said no: no money moved.
    Rejected,
    /// Money may have moved, and nothing tells.
    Unknown,
    /// Money moved, and the wallet does not show it yet.
    SettledNotApplied,
    /// Money moved and arrived.
    Settled,
}

/// What a person found out about a payment that nothing else tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Money moved.
    Settled,
    /// No money moved, and none will.
    Rejected,
}

macro_rules! words {
    ($of:ty, $what:literal: $($word:literal = $value:path),+) => {
        impl $of {
            /// The word for it, as in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $($value => $word),+ }
            }
        }

        impl fmt::Display for $of {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $of {
            type Err = Error;

            /// Reads the word for it.
            ///
            /// # Errors
            /// [`Error::Invalid`] for any other word.
            fn from_str(word: &str) -> Result<Self, Error> {
                match word {
                    $($word => Ok($value),)+
                    _ => {
                        let known: &[&str] = &[$($word),+];
                        let (word, known) = (one_line(word, 40), known.join(", "));
                        Err(Error::invalid($what, format!("`{word}` is none of {known}")))
                    }
                }
            }
        }
    };
}

words!(Rail, "rail": "wallet" = Rail::Wallet, "x402" = Rail::X402);
words!(
    PaymentState, "state":
    "intent" = PaymentState::Intent,
    "sent" = PaymentState::Sent,
    "rejected" = PaymentState::Rejected,
    "unknown" = PaymentState::Unknown,
    "settled_not_applied" = PaymentState::SettledNotApplied,
    "settled" = PaymentState::Settled
);
words!(Verdict, "verdict": "settled" = Verdict::Settled, "rejected" = Verdict::Rejected);

impl Payment {
    /// When it was begun.
    pub fn created_at(&self) -> SystemTime {
        time(self.created_ms)
    }

    /// When its state last changed for good; `None` while it runs.
    pub fn ended_at(&self) -> Option<SystemTime> {
        self.ended_ms.map(time)
    }

    /// Whether nobody may pay for its wallet before more is known of it.
    pub fn is_open(&self) -> bool {
        use PaymentState::{Intent, Sent, SettledNotApplied, Unknown};
        self.verdict.is_none() && matches!(self.state, Intent | Sent | Unknown | SettledNotApplied)
    }

    /// Whether the payer was asked again what had become of it, because the first answer was lost.
    pub fn was_found_out(&self) -> bool {
        self.tried_ms.is_some()
    }

    /// Whether it is being made, by this process or another.
    pub(crate) fn is_running(&self) -> bool {
        self.verdict.is_none() && matches!(self.state, PaymentState::Intent | PaymentState::Sent)
    }

    /// Takes note of a proof that money moved, which a person who said otherwise did not have. That one stays resolved, as
    /// others may have been begun since.
    pub(crate) fn prove_settled(&mut self) {
        if self.verdict == Some(Verdict::Rejected) {
            self.verdict = Some(Verdict::Settled);
        }
    }

    /// Whether money moved, as far as is known without a person.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, PaymentState::Settled | PaymentState::SettledNotApplied)
    }

    /// Whether it is a signature that has left the process, and is awaited no more.
    pub(crate) fn has_left_and_ended(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.has_left)
            && !matches!(self.state, PaymentState::Intent | PaymentState::Sent)
    }

    /// Whether it uses up a cap at all. A signature that has left the process does, whatever the server said of it: it may be
    /// used until its time is over.
    pub(crate) fn counts(&self) -> bool {
        match (self.verdict, &self.open) {
            (Some(verdict), _) => verdict == Verdict::Settled,
            (None, Some(open)) => open.has_left || self.state != PaymentState::Rejected,
            (None, None) => self.state != PaymentState::Rejected,
        }
    }

    /// Whether it uses up the cap of a day. A top-up: its own day, and each later one while it is open. A signed transfer:
    /// its own day, and each until an hour after its end.
    pub(crate) fn counts_on(&self, day: i64) -> bool {
        let is_later = |last: i64| self.day < day && day <= last;
        self.counts()
            && (self.day == day
                || match &self.open {
                    Some(open) => is_later(open.valid_before.saturating_add(3_600).div_euclid(86_400)),
                    None => is_later(i64::MAX) && self.is_open(),
                })
    }

    /// Whether it is a top-up of this wallet.
    pub(crate) fn is_of(&self, wallet: &WalletId, principal_id: Option<&str>) -> bool {
        self.rail == Rail::Wallet
            && self.base_url == wallet.base_url
            && (self.wallet == wallet.key_hash
                || (principal_id.is_some() && self.principal_id.as_deref() == principal_id))
    }

    /// Whether money moved for it, as far as the payer or a person says.
    pub(crate) fn was_made(&self) -> bool {
        match self.verdict {
            Some(verdict) => verdict == Verdict::Settled,
            None => matches!(self.state, PaymentState::Settled | PaymentState::SettledNotApplied),
        }
    }

    /// Whether this call led it.
    pub(crate) fn was_led_by(&self, call_key: &str) -> bool {
        self.calls.iter().any(|call| call.led && call.call_key == call_key)
    }

    /// Whether a balance shows that its money arrived.
    ///
    /// Of an unknown payment only the whole amount proves anything: less may be another's. Where the payer says that it
    /// paid, any rise is that, as others may have spent of it since.
    pub(crate) fn is_shown_by(&self, balance: Option<Usd>) -> bool {
        let (Some(balance), Some(before)) = (balance, self.balance_before) else { return false };
        let (balance, before) = (balance.to_decimal(), before.to_decimal());
        match self.state {
            PaymentState::SettledNotApplied => balance > before,
            PaymentState::Unknown => {
                before.checked_add(self.amount.to_decimal()).is_some_and(|whole| balance >= whole)
            }
            _ => false,
        }
    }
}

/// A wallet as far as this client can tell: the server, and the key by its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WalletId {
    pub(crate) base_url: String,
    pub(crate) key_hash: String,
}

fn time(ms: i64) -> SystemTime {
    let by = Duration::from_millis(ms.unsigned_abs());
    let moved =
        if ms < 0 { SystemTime::UNIX_EPOCH.checked_sub(by) } else { SystemTime::UNIX_EPOCH.checked_add(by) };
    moved.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn as_time<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    match jiff::Timestamp::from_millisecond(*ms) {
        Ok(time) => serializer.collect_str(&time),
        Err(_) => serializer.serialize_none(),
    }
}

fn as_optional_time<S: Serializer>(ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match ms {
        Some(ms) => as_time(ms, serializer),
        None => serializer.serialize_none(),
    }
}
