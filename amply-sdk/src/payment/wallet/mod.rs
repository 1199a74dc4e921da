//! The wallet rail: a payer tops up the prepaid wallet, and the same request is sent once more, unpaid.

mod coordinator;
mod look;
#[cfg(feature = "operator")]
pub(crate) mod operator;
mod payer;
mod service;

#[cfg(feature = "operator")]
pub(crate) use self::coordinator::Unfilled;
pub(crate) use self::coordinator::{Coordinator, Ending, Limits, Need, Paid, Setup, Verdict};
pub(crate) use self::look::BillingStatusLook;
#[cfg(test)]
pub(crate) use self::look::{Look, Looked};
pub(crate) use self::payer::check as check_payer;
pub use self::payer::{Payer, TopUp, TopUpFuture, TopUpRequest};
pub use self::service::TopUpService;

#[cfg(test)]
mod tests;
