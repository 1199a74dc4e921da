//! The open x402 protocol, scheme `exact` on EVM networks: what is offered, what is taken, what is signed, and what
//! an answer to it proves.
//!
//! All files but `rail` decide and never do I/O: clock, random bytes, headers and bodies are handed in. `rail` has the
//! order of things: the ledger knows before anything is signed.

pub(crate) mod answer;
pub(crate) mod eip712;
pub(crate) mod header;
pub(crate) mod network;
pub(crate) mod offer;
pub(crate) mod payment;
pub(crate) mod rail;
pub(crate) mod signer;

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;

/// The generation of the protocol: each has its own headers, field names and names of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Version {
    One,
    Two,
}
