//! Who tops up a wallet: what is asked of them, and what they may answer.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::key;
use crate::money::Usd;
use crate::payment::Receipt;

/// The answer of a payer that is still at work.
pub type TopUpFuture<'a> = Pin<Box<dyn Future<Output = TopUp> + Send + 'a>>;

/// Tops up the wallet when a route cannot be paid from it. Given to
/// [`ClientBuilder::wallet_payer`](crate::ClientBuilder::wallet_payer), with a [`SpendPolicy`](crate::SpendPolicy).
///
/// It is asked once for a payment, after the payment was written down, and never for more than the policy allows. It runs on
/// a thread of its own, which it may block; when it takes longer than its limit, panics or is not sure, the payment is unknown:
/// nobody pays for this wallet before that is cleared up. What it spawns shares one more thread with all payers. So say [`TopUp::Rejected`] only when no money has moved and none will.
///
/// Any closure of the right form is a payer:
///
/// ```
/// use amply_sdk::{Receipt, TopUp, TopUpRequest};
///
/// async fn pay(request: TopUpRequest) -> TopUp {
///     // … ask whoever holds the money, under `request.idempotency_key`
///     TopUp::Settled(Receipt::new(request.amount_usd))
/// }
/// # let builder =
/// amply_sdk::Client::builder().wallet_payer(pay);
/// ```
pub trait Payer: Send + Sync + 'static {
    /// Tops up the wallet by exactly what is asked for.
    fn top_up<'a>(&'a self, request: &'a TopUpRequest) -> TopUpFuture<'a>;

    /// Who it is, for people: shown in a [`Plan`](crate::Plan). No secret must be in it.
    fn name(&self) -> String {
        "a payer of this program".to_owned()
    }

    /// How long after a first request the same request, under the same idempotency key, is certain to pay no second time.
    /// Within it the client may ask again what became of a payment. `None`, the default: never. It needs an
    /// [`identity`](Self::identity).
    fn idempotent_for(&self) -> Option<Duration> {
        None
    }

    /// Who remembers those keys: the same text in every process and after every restart, and another for whoever would not
    /// know a key that was first given to this one, such as a service at another address. Only the payer that was asked
    /// for a payment is asked again what became of it. The ledger keeps a hash of it.
    fn identity(&self) -> Option<String> {
        None
    }
}

/// What a payer promises that may be asked twice for one payment.
pub(super) struct Promise {
    /// The hash of its identity.
    pub(super) payer: String,
    pub(super) within: Duration,
}

impl Promise {
    pub(super) fn of(payer: &dyn Payer) -> Option<Self> {
        let (within, identity) = (payer.idempotent_for()?, payer.identity()?);
        Some(Self { payer: key::sha256(&identity), within })
    }
}

/// Refuses a payer whose promise is nobody's.
pub(crate) fn check(payer: &dyn Payer) -> Result<(), Error> {
    let is_somebody = payer.identity().is_some_and(|identity| !identity.is_empty());
    match payer.idempotent_for() {
        Some(_) if !is_somebody => Err(Error::config(
            "the payer says that it pays once for one key (`idempotent_for`), and not who it is; add `identity`",
        )),
        _ => Ok(()),
    }
}

impl<F, Paid> Payer for F
where
    F: Fn(TopUpRequest) -> Paid + Send + Sync + 'static,
    Paid: Future<Output = TopUp> + Send + 'static,
{
    fn top_up<'a>(&'a self, request: &'a TopUpRequest) -> TopUpFuture<'a> {
        Box::pin(self(request.clone()))
    }
}

/// What a payer is asked for. Nothing in it is a secret, and nothing comes from the 402 but the suggestion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopUpRequest {
    /// How much to credit, in USD, in whole cents; within every cap.
    pub amount_usd: Usd,
    /// Whose wallet it is, by the server's billing status; `None` where the server does not say.
    pub principal_id: Option<String>,
    /// The same for every time that this payment is asked for.
    pub idempotency_key: String,
    /// What it is for, in words.
    pub reason: String,
    /// The base URL of the server whose wallet it is.
    pub base_url: String,
    /// What the server suggested to top up, in USD; it did not raise the amount.
    pub suggested_usd: Option<Usd>,
}

/// What a payer says of a top-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopUp {
    /// It was made.
    Settled(Receipt),
    /// It was not made and will not be; why. No money has moved.
    Rejected(String),
    /// It may have been made; why that is not known.
    Unknown(String),
}

impl fmt::Debug for dyn Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payer")
    }
}
