//! Which open payments a sandbox takes, as its builder leaves it.

use std::time::Duration;

use super::{
    Version,
    authorization::{self, Address},
};

/// Which open x402 payments a route may be paid with. Given to
/// [`SandboxBuilder::open_payments`](crate::SandboxBuilder::open_payments).
///
/// ```
/// use amply_sandbox::{Network, OpenPayments, Sandbox};
///
/// // Version 2 in its header, version 1 in the body, of 0.01 USDC on base-sepolia:
/// Sandbox::builder().balance("0").strict_wallet(true).open_payments(OpenPayments::both());
/// // Within Amply's own challenge, so that a wallet may be topped up as well, and on two networks:
/// let either = OpenPayments::in_amply_object().networks([Network::Base, Network::BaseSepolia]);
/// Sandbox::builder().balance("0").strict_wallet(true).open_payments(either);
/// // A caller without a key pays too:
/// Sandbox::builder().open_payments(OpenPayments::v2().also_without_principal());
/// ```
#[derive(Clone, Debug)]
#[must_use = "payments are taken once it is given to `SandboxBuilder::open_payments`"]
pub struct OpenPayments {
    v1: bool,
    v2: bool,
    pub(crate) place: Place,
    pub(crate) networks: Vec<Network>,
    pub(crate) pay_to: Option<String>,
    pub(crate) max_timeout: Duration,
    pub(crate) without_principal: bool,
    /// What addresses follow from.
    seed: u64,
}

/// Where the offers of a 402 are, and what else is in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// As x402 has it: those of version 1 are the body, those of version 2 the header.
    Own,
    /// The same, and the body has what Amply says of the wallet.
    BesideWallet,
    /// All are in `accepts` of the body's `amply.x402/1`.
    AmplyObject,
}

impl OpenPayments {
    /// Version 1: the body of a 402 has `x402Version` 1 and `accepts`, a payment comes in `X-PAYMENT`.
    pub fn v1() -> Self {
        OpenPayments { v1: true, v2: false, ..OpenPayments::both() }
    }

    /// Version 2: a 402 has the header `PAYMENT-REQUIRED` and the body `{}`, a payment comes in `PAYMENT-SIGNATURE`.
    pub fn v2() -> Self {
        OpenPayments { v1: false, v2: true, ..OpenPayments::both() }
    }

    /// Both at once. A request that pays with both is taken by its version 2, and the answer to a payment is that of its
    /// version alone.
    pub fn both() -> Self {
        OpenPayments {
            v1: true,
            v2: true,
            place: Place::Own,
            networks: vec![Network::BaseSepolia],
            pay_to: None,
            // [our] what the recorded servers were set up with; by themselves they say 60 s in version 1 and 300 s in 2.
            max_timeout: Duration::from_secs(60),
            without_principal: false,
            seed: 0,
        }
    }

    /// Both, as `accepts` within Amply's own object, which is there whether or not
    /// [`SandboxBuilder::x402`](crate::SandboxBuilder::x402) is on. The same as `both().within_amply_object()`.
    pub fn in_amply_object() -> Self {
        OpenPayments::both().within_amply_object()
    }

    /// The offers are `accepts` of the `amply.x402/1` object, and nowhere else. What is said of a payment is said as its
    /// version has it, in `PAYMENT-REQUIRED` or a body of version 1.
    pub fn within_amply_object(mut self) -> Self {
        self.place = Place::AmplyObject;
        self
    }

    /// The body of a 402 is Amply's own, with the wallet's balance; `accepts` of version 1 is added to it, that of version 2
    /// stays in the header.
    pub fn beside_wallet(mut self) -> Self {
        self.place = Place::BesideWallet;
        self
    }

    /// The networks to pay on, each with its USDC, in this order. Default [`Network::BaseSepolia`].
    pub fn networks(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.networks = networks.into_iter().collect();
        self
    }

    /// Who is paid: `0x` and 40 hexadecimal digits, offered as they are. Default: an address that follows from the seed.
    ///
    /// What is no address is told by [`start`](crate::SandboxBuilder::start).
    pub fn pay_to(mut self, address: &str) -> Self {
        self.pay_to = Some(address.to_owned());
        self
    }

    /// `maxTimeoutSeconds`, in whole seconds. Default 60.
    pub fn max_timeout(mut self, time: Duration) -> Self {
        self.max_timeout = time;
        self
    }

    /// Callers without a principal have to pay for a route as well: those with an operator's key, and on an open server those
    /// without a key. Without this they are served for nothing. A principal pays from its wallet as long as that suffices.
    pub fn also_without_principal(mut self) -> Self {
        self.without_principal = true;
        self
    }

    /// Those that it takes, the newer first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Version> {
        [(self.v2, Version::V2), (self.v1, Version::V1)].into_iter().filter_map(|(is, v)| is.then_some(v))
    }

    /// With an address to pay to; `Err` when it has one that is none.
    pub(crate) fn paid_to_someone(mut self, seed: u64) -> Result<Self, String> {
        self.seed = seed;
        let pay_to = self.pay_to.take().unwrap_or_else(|| self.other_address(0));
        if Address::parse(&pay_to).is_none() {
            return Err(pay_to);
        }
        self.pay_to = Some(pay_to);
        Ok(self)
    }

    /// An address whose key nobody has, another for each `number`.
    pub(crate) fn other_address(&self, number: u64) -> String {
        let (seed, number) = (self.seed.to_be_bytes(), number.to_be_bytes());
        let hash = authorization::keccak(&[b"amply-sandbox pay-to", &seed, &number]);
        Address::of_hash(&hash).checksummed()
    }
}

/// A chain that a sandbox takes USDC on. No chain is ever asked: it is a name, a number and a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// A testnet: `base-sepolia`, `eip155:84532`.
    BaseSepolia,
    /// `base`, `eip155:8453`.
    Base,
    /// `avalanche`, `eip155:43114`.
    Avalanche,
    /// `polygon`, `eip155:137`.
    Polygon,
}

impl Network {
    /// All of them.
    pub const ALL: [Network; 4] = [Network::BaseSepolia, Network::Base, Network::Avalanche, Network::Polygon];

    /// As version 1 writes it: `base-sepolia`. Version 2 writes `eip155:` and the chain's number.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Network::BaseSepolia => "base-sepolia",
            Network::Base => "base",
            Network::Avalanche => "avalanche",
            Network::Polygon => "polygon",
        }
    }

    pub(crate) fn chain_id(self) -> u64 {
        match self {
            Network::BaseSepolia => 84_532,
            Network::Base => 8_453,
            Network::Avalanche => 43_114,
            Network::Polygon => 137,
        }
    }

    /// The contract of USDC.
    pub(crate) fn asset(self) -> &'static str {
        match self {
            Network::BaseSepolia => "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            Network::Base => "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
            Network::Avalanche => "0xB97EF9Ef8734C71904D8002F8b6Bc66Dd9c48a6E",
            Network::Polygon => "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359",
        }
    }

    /// What that contract calls itself in what is signed. Its version is `2` everywhere.
    pub(crate) fn asset_name(self) -> &'static str {
        match self {
            Network::BaseSepolia => "USDC",
            Network::Base | Network::Avalanche | Network::Polygon => "USD Coin",
        }
    }

    /// The chain that a message of either version names.
    pub(crate) fn chain_named(name: &str) -> Option<u64> {
        match name.strip_prefix("eip155:") {
            Some(number) => number.parse().ok(),
            None => Network::ALL.into_iter().find(|network| network.name() == name).map(Network::chain_id),
        }
    }
}
