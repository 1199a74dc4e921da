//! What a client tells its owner while it works: every step of a payment, and what becomes of a report.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::money::Usd;
use crate::payment::{Cap, Rail, Refusal};

/// Something that happened, for [`ClientBuilder::on_event`](crate::ClientBuilder::on_event). No secret is in any.
///
/// Most come from a background thread, some from the thread of the call that they are about.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A payment is about to be made: it is in the ledger, and nobody was asked for money yet.
    #[non_exhaustive]
    PaymentIntended {
        /// The payment's id in the ledger.
        payment_id: String,
        /// How it is paid.
        rail: Rail,
        /// What it takes.
        amount: Usd,
    },
    /// A payment was made.
    #[non_exhaustive]
    PaymentSettled {
        /// The payment's id in the ledger.
        payment_id: String,
        /// How it is paid.
        rail: Rail,
        /// What was asked for.
        amount: Usd,
        /// What was credited, as far as the payer says; it may differ.
        credited: Option<Usd>,
    },
    /// The payer said no and no money moved, or the server did not take a signed payment.
    #[non_exhaustive]
    PaymentRejected {
        /// The payment's id in the ledger.
        payment_id: String,
        /// How it is paid.
        rail: Rail,
        /// The payer's reason, or the server's.
        reason: String,
    },
    /// What a 402 asked for was not acceptable, so that nothing was paid.
    #[non_exhaustive]
    PaymentRefused {
        /// Everything that is wrong with it.
        reasons: Vec<Refusal>,
    },
    /// A payment may have been made, and nothing tells.
    #[non_exhaustive]
    PaymentUnknown {
        /// The payment's id in the ledger.
        payment_id: String,
        /// How it is paid.
        rail: Rail,
        /// Why it is not known.
        reason: String,
    },
    /// A payment was made, and the wallet does not show it, or what was paid for did not come.
    #[non_exhaustive]
    PaymentNotApplied {
        /// The payment's id in the ledger.
        payment_id: String,
        /// How it is paid.
        rail: Rail,
    },
    /// A cap forbids a payment, or forbids it for some of the calls that wait for one.
    #[non_exhaustive]
    CapReached {
        /// Which one.
        cap: Cap,
        /// Its value.
        limit: Usd,
    },
    /// A daily cap is kept in a store file that did not exist before. In a container with a throw-away file system every
    /// start begins a new day's spending: mount a volume.
    #[non_exhaustive]
    StoreCreated {
        /// The file.
        path: String,
    },
    /// A route is bound to no principal, and the policy is to warn.
    PrincipalMissing,
    /// A tracked route was dropped, and nobody reported how it went.
    #[non_exhaustive]
    OutcomeUnreported {
        /// The route.
        route_id: String,
    },
    /// A report was given up. It is kept in the outbox, with the reason.
    #[non_exhaustive]
    OutcomeDead {
        /// The route that it is of.
        route_id: String,
        /// Why the server does not take it.
        reason: String,
    },
    /// Reports were lost from memory: the client ended before the server took them. A store in a file keeps them.
    #[non_exhaustive]
    OutcomesLost {
        /// How many.
        count: u64,
    },
    /// The store does not take reports, so that they wait in memory.
    #[non_exhaustive]
    OutboxFailed {
        /// Why not, and what to do.
        reason: String,
    },
}

/// Who is told of events.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Observe>>);

type Observe = dyn Fn(&Event) + Send + Sync;

impl Observer {
    pub(crate) fn new(observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    pub(crate) fn tell(&self, event: Event) {
        tracing::debug!("{event:?}");
        if let Some(observe) = &self.0 {
            // An observer that panics must not take a payment with it.
            let _ = catch_unwind(AssertUnwindSafe(|| observe(&event)));
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observer({})", if self.0.is_some() { "set" } else { "none" })
    }
}
