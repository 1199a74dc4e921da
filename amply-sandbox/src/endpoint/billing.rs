//! `/billing`: what is in a wallet, and how money gets into it.

pub(super) mod order;
pub(super) mod status;
pub(super) mod topup;
