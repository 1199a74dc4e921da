//! The networks that are known by name, and the tokens that count as US dollars without anybody's further word.
//!
//! Both tables are part of the program: what an offer says about a token is compared with them, never believed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::Version;
use super::eip712::{Address, Domain};
use crate::error::Error;
use crate::text::one_line;

/// An EVM network.
///
/// Read from its name in version 1 of x402 (`base`) or from its CAIP-2 name (`eip155:8453`); shown by the first where
/// it has one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    chain_id: u64,
    v1_name: Option<&'static str>,
    testnet: bool,
}

impl Network {
    /// Base, chain 8453.
    pub const BASE: Self = Self::mainnet(8453, "base");

    /// Base Sepolia, Base's test network, chain 84532.
    pub const BASE_SEPOLIA: Self = Self::testnet(84532, "base-sepolia");

    /// Avalanche C-Chain, chain 43114.
    pub const AVALANCHE: Self = Self::mainnet(43114, "avalanche");

    /// Polygon PoS, chain 137.
    pub const POLYGON: Self = Self::mainnet(137, "polygon");

    /// Those whose USDC is known, so that they can be paid on without a [`SpendPolicy::asset`](crate::SpendPolicy::asset).
    pub const WITH_USDC: [Self; 4] = [Self::BASE, Self::AVALANCHE, Self::POLYGON, Self::BASE_SEPOLIA];

    const fn mainnet(chain_id: u64, name: &'static str) -> Self {
        Self { chain_id, v1_name: Some(name), testnet: false }
    }

    const fn testnet(chain_id: u64, name: &'static str) -> Self {
        Self { chain_id, v1_name: Some(name), testnet: true }
    }

    /// The number that the network has among EVM networks.
    pub fn chain_id(self) -> u64 {
        self.chain_id
    }

    /// Whether its tokens are worth nothing.
    pub fn is_testnet(self) -> bool {
        self.testnet
    }

    /// The name that version 2 of x402 uses, `eip155:` and the chain id.
    pub fn caip2(self) -> String {
        format!("eip155:{}", self.chain_id)
    }

    /// The name that version 1 of x402 uses, if it has one for this network.
    pub fn v1_name(self) -> Option<&'static str> {
        self.v1_name
    }

    /// Reads a name in the one form that a version uses.
    pub(crate) fn named(name: &str, version: Version) -> Option<Self> {
        NETWORKS.into_iter().find(|network| match version {
            Version::One => network.v1_name == Some(name),
            Version::Two => network.caip2() == name,
        })
    }

    /// Whether a name means this network, in either form and any case.
    pub(crate) fn is_named(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(&self.caip2())
            || self.v1_name.is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

/// A name that no known network has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a network this client knows; write a name such as base, or eip155: and the chain id"
)]
pub struct ParseNetworkError {
    text: String,
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        NETWORKS
            .into_iter()
            .find(|network| network.is_named(text))
            .ok_or_else(|| ParseNetworkError { text: one_line(text, 60) })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.v1_name {
            Some(name) => f.write_str(name),
            None => f.write_str(&self.caip2()),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({self}, chain {})", self.chain_id)
    }
}

/// A token that is taken at par: 10^decimals of its units count as one US dollar.
///
/// USDC on Base, Base Sepolia, Avalanche and Polygon is known. Any other has to be named, since whoever takes a token
/// at par trusts whoever issues it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    network: Network,
    address: Address,
    name: Cow<'static, str>,
    version: Cow<'static, str>,
    decimals: u8,
}

impl Asset {
    /// A token that is to count as US dollars: its contract, and the `name` and `version` of the contract's EIP-712
    /// domain.
    ///
    /// # Errors
    /// [`Error::Config`] when it has more than 27 decimals: an amount of it could not be counted in USD.
    pub fn at_par(
        network: Network,
        address: Address,
        name: impl Into<String>,
        version: impl Into<String>,
        decimals: u8,
    ) -> Result<Self, Error> {
        if decimals > 27 {
            return Err(Error::config(format!(
                "a token with {decimals} decimals cannot be used; at most 27 are"
            )));
        }
        Ok(Self { network, address, name: name.into().into(), version: version.into().into(), decimals })
    }

    /// The network it is on.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The token's contract.
    pub fn address(&self) -> Address {
        self.address
    }

    /// How many decimal places a dollar has in its units.
    pub fn decimals(&self) -> u8 {
        self.decimals
    }

    /// The known token, or one of those that were named, at this address. The own table goes first: nobody can
    /// rename a token in it.
    pub(crate) fn find(network: Network, address: Address, named: &[Self]) -> Option<Self> {
        let known = USDC.iter().find(|(on, at, _)| (*on, *at) == (network, address));
        if let Some((_, _, name)) = known {
            let (name, version) = (Cow::Borrowed(*name), Cow::Borrowed("2"));
            return Some(Self { network, address, name, version, decimals: 6 });
        }
        named.iter().find(|asset| (asset.network, asset.address) == (network, address)).cloned()
    }

    pub(crate) fn domain(&self) -> Domain<'_> {
        Domain {
            name: &self.name,
            version: &self.version,
            chain_id: self.network.chain_id,
            verifying_contract: self.address,
        }
    }
}

const NETWORKS: [Network; 36] = [
    Network { chain_id: 1, v1_name: Some("ethereum"), testnet: false },
    Network { chain_id: 14, v1_name: Some("flare"), testnet: false },
    Network { chain_id: 50, v1_name: None, testnet: false },
    Network { chain_id: 51, v1_name: None, testnet: true },
    Network::POLYGON,
    Network { chain_id: 143, v1_name: Some("monad"), testnet: false },
    Network { chain_id: 988, v1_name: Some("stable"), testnet: false },
    Network { chain_id: 1328, v1_name: Some("sei-testnet"), testnet: true },
    Network { chain_id: 1329, v1_name: Some("sei"), testnet: false },
    Network { chain_id: 1514, v1_name: Some("story"), testnet: false },
    Network { chain_id: 2201, v1_name: Some("stable-testnet"), testnet: true },
    Network { chain_id: 2741, v1_name: Some("abstract"), testnet: false },
    Network { chain_id: 3338, v1_name: Some("peaq"), testnet: false },
    Network { chain_id: 4326, v1_name: Some("megaeth"), testnet: false },
    Network { chain_id: 4689, v1_name: Some("iotex"), testnet: false },
    Network::BASE,
    Network { chain_id: 11_124, v1_name: Some("abstract-testnet"), testnet: true },
    Network { chain_id: 31_611, v1_name: None, testnet: true },
    Network { chain_id: 31_612, v1_name: None, testnet: false },
    Network { chain_id: 36_900, v1_name: None, testnet: false },
    Network { chain_id: 38_833, v1_name: None, testnet: false },
    Network { chain_id: 41_923, v1_name: Some("educhain"), testnet: false },
    Network { chain_id: 42_161, v1_name: None, testnet: false },
    Network { chain_id: 42_220, v1_name: Some("celo"), testnet: false },
    Network { chain_id: 43_113, v1_name: Some("avalanche-fuji"), testnet: true },
    Network::AVALANCHE,
    Network { chain_id: 72_344, v1_name: None, testnet: true },
    Network { chain_id: 80_002, v1_name: Some("polygon-amoy"), testnet: true },
    Network::BASE_SEPOLIA,
    Network { chain_id: 181_228, v1_name: None, testnet: true },
    Network { chain_id: 190_415, v1_name: None, testnet: false },
    Network { chain_id: 421_614, v1_name: None, testnet: true },
    Network { chain_id: 723_487, v1_name: None, testnet: false },
    Network { chain_id: 11_142_220, v1_name: None, testnet: true },
    Network { chain_id: 11_155_111, v1_name: Some("sepolia"), testnet: true },
    Network { chain_id: 324_705_682, v1_name: Some("skale-base-sepolia"), testnet: true },
];

/// Contract, and name in its domain; all have version 2 and six decimals.
const USDC: [(Network, Address, &str); 4] = [
    (
        Network::BASE,
        Address::from_bytes([
            0x83, 0x35, 0x89, 0xfc, 0xd6, 0xed, 0xb6, 0xe0, 0x8f, 0x4c, 0x7c, 0x32, 0xd4, 0xf7, 0x1b, 0x54,
            0xbd, 0xa0, 0x29, 0x13,
        ]),
        "USD Coin",
    ),
    (
        Network::BASE_SEPOLIA,
        Address::from_bytes([
            0x03, 0x6c, 0xbd, 0x53, 0x84, 0x2c, 0x54, 0x26, 0x63, 0x4e, 0x79, 0x29, 0x54, 0x1e, 0xc2, 0x31,
            0x8f, 0x3d, 0xcf, 0x7e,
        ]),
        "USDC",
    ),
    (
        Network::AVALANCHE,
        Address::from_bytes([
            0xb9, 0x7e, 0xf9, 0xef, 0x87, 0x34, 0xc7, 0x19, 0x04, 0xd8, 0x00, 0x2f, 0x8b, 0x6b, 0xc6, 0x6d,
            0xd9, 0xc4, 0x8a, 0x6e,
        ]),
        "USD Coin",
    ),
    (
        Network::POLYGON,
        Address::from_bytes([
            0x3c, 0x49, 0x9c, 0x54, 0x2c, 0xef, 0x5e, 0x38, 0x11, 0xe1, 0x19, 0x2c, 0xe7, 0x0d, 0x8c, 0xc0,
            0x3d, 0x5c, 0x33, 0x59,
        ]),
        "USD Coin",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_by_either_name_and_shown_by_the_shorter_one() {
        for (text, network, shown) in [
            ("base", Network::BASE, "base"),
            ("eip155:8453", Network::BASE, "base"),
            ("Base-Sepolia", Network::BASE_SEPOLIA, "base-sepolia"),
            ("avalanche", Network::AVALANCHE, "avalanche"),
            ("eip155:137", Network::POLYGON, "polygon"),
        ] {
            assert_eq!(text.parse(), Ok(network));
            assert_eq!(network.to_string(), shown);
        }
        assert_eq!("eip155:42161".parse::<Network>().unwrap().to_string(), "eip155:42161");
    }

    #[test]
    fn a_network_that_is_not_known_is_refused() {
        for text in
            ["", "solana", "base-mainnet", "eip155:", "eip155:08453", "eip155:+8453", "eip155:999999", "8453"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_networks_with_usdc_are_those_of_the_table() {
        assert_eq!(Network::WITH_USDC.len(), USDC.len());
        assert!(USDC.iter().all(|(network, ..)| Network::WITH_USDC.contains(network)));
    }

    #[test]
    fn a_version_knows_a_network_by_its_own_form_alone() {
        assert_eq!(Network::named("base", Version::One), Some(Network::BASE));
        assert_eq!(Network::named("eip155:8453", Version::Two), Some(Network::BASE));
        for (name, version) in [
            ("base", Version::Two),
            ("eip155:8453", Version::One),
            ("Base", Version::One),
            ("EIP155:8453", Version::Two),
            ("eip155:42161", Version::One),
        ] {
            assert_eq!(Network::named(name, version), None, "{name}");
        }
    }

    #[test]
    fn a_token_cannot_be_renamed_and_one_of_an_absurd_scale_is_refused() {
        let (network, address, name) = USDC[0];
        let renamed = Asset::at_par(network, address, "Other", "9", 0).unwrap();
        let found = Asset::find(network, address, &[renamed]).unwrap();
        assert_eq!((&*found.name, &*found.version, found.decimals), (name, "2", 6));
        assert!(Asset::at_par(network, address, "Other", "9", 28).is_err());
    }
}
