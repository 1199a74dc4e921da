//! What is signed: the EIP-712 digest of a `TransferWithAuthorization` (EIP-3009), and the two types it is made of.
//!
//! One fixed struct and one fixed domain are twelve words of 32 bytes, so they are written out here; a library for
//! any struct would be larger than what it replaces. All of it is checked against recorded signatures.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;

use sha3::{Digest, Keccak256};

use crate::text::one_line;

const DOMAIN_TYPE: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";

const TRANSFER_TYPE: &str = "TransferWithAuthorization(address from,address to,uint256 value,\
                             uint256 validAfter,uint256 validBefore,bytes32 nonce)";

/// An account or a contract on an EVM network.
///
/// Reads `0x` and 40 hexadecimal digits. In mixed case they must carry the right checksum (EIP-55), so that a
/// mistyped address is found. Shown with the checksum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

impl Address {
    pub(crate) const ZERO: Self = Self([0; 20]);

    /// The address with these bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The bytes of the address.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Reads an address whatever its letters' case says. For comparing with a known one, never for paying to it.
    pub(crate) fn without_checksum(text: &str) -> Option<Self> {
        let mut address = Self::ZERO;
        unhex(text.strip_prefix("0x")?, &mut address.0)?;
        Some(address)
    }

    fn word(self) -> [u8; 32] {
        let mut word = [0; 32];
        for (to, from) in word.iter_mut().rev().zip(self.0.iter().rev()) {
            *to = *from;
        }
        word
    }
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an address; write 0x and 40 hexadecimal digits, in one case or with a right EIP-55 checksum"
)]
pub struct ParseAddressError {
    text: String,
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let digits = text.strip_prefix("0x").unwrap_or_default();
        let mixed = digits.contains(|c: char| c.is_ascii_lowercase())
            && digits.contains(|c: char| c.is_ascii_uppercase());
        match Self::without_checksum(text) {
            Some(address) if !mixed || address.to_string() == text => Ok(address),
            _ => Err(ParseAddressError { text: one_line(text, 60) }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex(&self.0);
        let hash = keccak(digits.as_bytes());
        let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits = digits.chars().zip(nibbles);
        let checked =
            digits.map(|(digit, nibble)| if nibble < 8 { digit } else { digit.to_ascii_uppercase() });
        write!(f, "0x{}", checked.collect::<String>())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An amount in the smallest units of a token, as the network counts it. It is larger than any machine integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct U256([u8; 32]);

impl U256 {
    pub(crate) const ZERO: Self = Self([0; 32]);

    /// Reads ASCII digits without a sign or a leading zero.
    pub(crate) fn from_decimal(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.is_empty() || (digits.len() > 1 && digits.first() == Some(&b'0')) {
            return None;
        }
        digits.iter().try_fold(Self::ZERO, |number, digit| match digit {
            b'0'..=b'9' => number.times_plus(10, u64::from(digit - b'0')),
            _ => None,
        })
    }

    /// The number as USD × 10⁻⁹, rounded up, of a token that is worth one dollar at 10^`decimals` units; `None` when
    /// it is more than an amount of ours can be.
    pub(crate) fn nano_usd(self, decimals: u8) -> Option<u64> {
        let decimals = u32::from(decimals);
        if let Some(zeros) = 9_u32.checked_sub(decimals) {
            return self.times_plus(10_u64.checked_pow(zeros)?, 0)?.to_u64();
        }
        let (whole, rest) = self.divided(NonZero::new(10_u64.checked_pow(decimals - 9)?)?);
        whole.to_u64()?.checked_add(u64::from(rest > 0))
    }

    fn to_u64(self) -> Option<u64> {
        let (high, low) = self.0.split_last_chunk()?;
        high.iter().all(|byte| *byte == 0).then_some(u64::from_be_bytes(*low))
    }

    fn times_plus(mut self, factor: u64, plus: u64) -> Option<Self> {
        let mut carry = u128::from(plus);
        for byte in self.0.iter_mut().rev() {
            carry += u128::from(*byte) * u128::from(factor);
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        (carry == 0).then_some(self)
    }

    /// Quotient and remainder.
    fn divided(mut self, divisor: NonZero<u64>) -> (Self, u64) {
        let divisor = NonZero::<u128>::from(divisor);
        let mut rest = 0_u128;
        for byte in &mut self.0 {
            rest = (rest << 8) | u128::from(*byte);
            *byte = (rest / divisor) as u8;
            rest %= divisor;
        }
        (self, rest as u64)
    }
}

impl From<u64> for U256 {
    fn from(number: u64) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().rev().zip(number.to_le_bytes()) {
            *to = from;
        }
        Self(bytes)
    }
}

impl fmt::Display for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ten = NonZero::<u64>::MIN.saturating_add(9);
        let (mut number, mut digits) = (*self, Vec::new());
        loop {
            let digit;
            (number, digit) = number.divided(ten);
            digits.push(digit);
            if number == Self::ZERO {
                break;
            }
        }
        digits.iter().rev().try_for_each(|digit| write!(f, "{digit}"))
    }
}

impl fmt::Debug for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whose signature it is: one token contract on one network, so that it is worth nothing on any other.
pub(crate) struct Domain<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) chain_id: u64,
    pub(crate) verifying_contract: Address,
}

impl Domain<'_> {
    pub(crate) fn separator(&self) -> [u8; 32] {
        words([
            keccak(DOMAIN_TYPE.as_bytes()),
            keccak(self.name.as_bytes()),
            keccak(self.version.as_bytes()),
            U256::from(self.chain_id).0,
            self.verifying_contract.word(),
        ])
    }
}

/// The transfer that a signature allows, once, between two points in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) value: U256,
    /// Unix seconds.
    pub(crate) valid_after: u64,
    /// Unix seconds.
    pub(crate) valid_before: u64,
    pub(crate) nonce: [u8; 32],
}

impl Transfer {
    pub(crate) fn struct_hash(&self) -> [u8; 32] {
        words([
            keccak(TRANSFER_TYPE.as_bytes()),
            self.from.word(),
            self.to.word(),
            self.value.0,
            U256::from(self.valid_after).0,
            U256::from(self.valid_before).0,
            self.nonce,
        ])
    }

    /// What is signed.
    pub(crate) fn digest(&self, domain: &Domain<'_>) -> [u8; 32] {
        let hash = Keccak256::new_with_prefix([0x19, 0x01]);
        hash.chain_update(domain.separator()).chain_update(self.struct_hash()).finalize().into()
    }
}

pub(crate) fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

fn words<const N: usize>(words: [[u8; 32]; N]) -> [u8; 32] {
    keccak(words.as_flattened())
}

/// Lower-case digits, without a prefix.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fills `bytes` from exactly twice as many digits. In place, so that no copy of a secret is left on the stack.
pub(crate) fn unhex(digits: &str, bytes: &mut [u8]) -> Option<()> {
    let digits = digits.as_bytes();
    if digits.len() != bytes.len() * 2 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = 0;
        for digit in pair {
            *byte = (*byte << 4) | u8::try_from(char::from(*digit).to_digit(16)?).ok()?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: &str = "115792089237316195423570985008687907853269984665640564039457584007913129639935";

    #[test]
    fn the_type_hashes_are_those_of_the_standard() {
        assert_eq!(
            hex(&keccak(DOMAIN_TYPE.as_bytes())),
            "8b73c3c69bb8fe3d512ecc4cf759cc79239f7b179b0ffacaa9a75d522b39400f"
        );
        assert_eq!(
            hex(&keccak(TRANSFER_TYPE.as_bytes())),
            "7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267"
        );
    }

    #[test]
    fn an_address_is_shown_with_its_checksum_and_read_in_one_case_or_with_it() {
        // The examples of EIP-55.
        for shown in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0xde709f2102306220921060314715629080e2fb77",
        ] {
            let digits = shown.strip_prefix("0x").unwrap();
            for text in [
                shown.to_owned(),
                format!("0x{}", digits.to_ascii_lowercase()),
                format!("0x{}", digits.to_ascii_uppercase()),
            ] {
                assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
            }
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "0x",
            "merchant",
            "0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed0",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg",
            "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x+aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            "0xéaaeb6053f3e94c9b9a09f33669435e7ef1beae",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_reads_and_shows_up_to_the_last_one_that_fits() {
        for text in
            ["0", "1", "10", "10000", "18446744073709551616", "340282366920938463463374607431768211456", MAX]
        {
            assert_eq!(U256::from_decimal(text).unwrap().to_string(), text);
        }
        assert_eq!(U256::from(u64::MAX).to_string(), "18446744073709551615");
    }

    #[test]
    fn what_is_no_plain_number_or_fits_in_no_word_is_refused() {
        let over = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        for text in ["", "00", "01", "-1", "+1", "1.0", "1e4", "0x10", " 1", "1 ", "１", "1_000", over] {
            assert_eq!(U256::from_decimal(text), None, "{text}");
        }
        assert_eq!(U256::from_decimal(&"9".repeat(500)), None);
    }

    #[test]
    fn numbers_compare_by_value() {
        let [small, large] = ["9", "10"].map(|text| U256::from_decimal(text).unwrap());
        assert!(small < large && large < U256::from_decimal(MAX).unwrap());
    }

    #[test]
    fn an_amount_in_usd_is_exact_or_rounded_up() {
        let nano = |text: &str, decimals| U256::from_decimal(text).unwrap().nano_usd(decimals);
        assert_eq!(nano("10000", 6), Some(10_000_000));
        assert_eq!(nano("1", 9), Some(1));
        assert_eq!(nano("1", 0), Some(1_000_000_000));
        assert_eq!(nano("1000000000", 18), Some(1));
        assert_eq!(nano("1000000001", 18), Some(2));
        assert_eq!(nano("1", 18), Some(1));
        assert_eq!(nano("18446744073709551", 6), Some(18_446_744_073_709_551_000));
        assert_eq!(nano("18446744073709552", 6), None);
        assert_eq!(nano(MAX, 6), None);
        assert_eq!(nano(MAX, 0), None);
        assert_eq!(nano(MAX, 27), None);
    }
}
