//! What the flow of a call asks of the open rail, so that it reads the same with the rail and without.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use tokio::sync::{oneshot, watch};

use super::challenge::{PaymentChallenge, Refusal};
use super::ledger::{Ledger, Over};
use super::policy::SpendPolicy;
use super::record::{PaidAnswer, Payment};
use super::running::Stage;
use crate::error::Error;
use crate::event::Observer;
use crate::transport::{Fault, HttpAnswer, HttpRequest, Transport};

/// The open rail: a payment settles in the retry itself, so that the request that carries it is sent by the rail.
pub(crate) trait OpenRail: Send + Sync {
    /// Whether a 402 asks for a payment of this kind.
    fn is_asked_for(&self, headers: &HeaderMap, body: &Bytes) -> bool;

    /// Who pays, and on which networks, the preferred one first.
    fn payer(&self) -> (String, Vec<String>);

    /// Begins to pay. It goes on whatever becomes of the call.
    fn pay(self: Arc<Self>, order: Order) -> Running;
}

/// Makes the open rail of a client, once the rest of it is known.
pub(crate) type OpenBuilder = Box<dyn FnOnce(OpenSetup) -> Result<Arc<dyn OpenRail>, Error> + Send>;

/// What a client has for its open rail.
#[cfg_attr(not(feature = "x402-evm"), expect(dead_code, reason = "for the open rail alone"))]
pub(crate) struct OpenSetup {
    /// Connections of its own.
    pub(crate) transport: Transport,
    pub(crate) key_hash: String,
    pub(crate) policy: SpendPolicy,
    pub(crate) ledger: Ledger,
    pub(crate) observer: Observer,
    pub(crate) paying: watch::Sender<usize>,
    /// For the signer.
    pub(crate) limit: Duration,
}

/// A call that is to be paid for.
#[cfg_attr(not(feature = "x402-evm"), expect(dead_code, reason = "read by the open rail alone"))]
pub(crate) struct Order {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) request: HttpRequest,
    /// The call's idempotency key.
    pub(crate) key: String,
}

impl Order {
    pub(crate) fn new(challenge: &PaymentChallenge, request: HttpRequest, key: &str) -> Self {
        let failure = challenge.failure();
        let (headers, body) = (failure.meta.headers().clone(), failure.body.clone());
        Self { headers, body, request, key: key.to_owned() }
    }
}

/// A payment on its way.
pub(crate) struct Running {
    pub(crate) ended: oneshot::Receiver<OpenEnd>,
    pub(crate) stage: Arc<Stage>,
}

/// A call that is dropped before the payment was begun gives up too.
impl Drop for Running {
    fn drop(&mut self) {
        self.stage.give_up();
    }
}

/// What became of a call that was to be paid for.
#[cfg_attr(not(feature = "x402-evm"), expect(dead_code, reason = "told by the open rail alone"))]
pub(crate) enum OpenEnd {
    /// The request was sent with a payment. The payment says what is known of the money.
    Sent {
        payment: Box<Payment>,
        answered: Result<HttpAnswer, Fault>,
    },
    /// It was not sent: the payment was given up before.
    Failed(Box<Payment>),
    Refused(Vec<Refusal>),
    SpendLimit(Over),
    /// The call gave up before anything was begun.
    GivenUp,
    /// The call led this payment before, and this was its answer.
    HasLed(Box<Payment>, Option<PaidAnswer>),
    /// The call's key led this payment before, at another server or for another key.
    LedElsewhere(Box<Payment>),
    Store(String),
    Config(String),
}
