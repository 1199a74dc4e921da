//! Who signed an EIP-3009 authorization: EIP-712 by hand for its one type, and the key recovered from the signature.
//!
//! Pure. Nothing of it is shared with the client, so that a wrong digest shows as a payment that is refused.

use std::fmt::Write as _;

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

const DOMAIN: &[u8] = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const TRANSFER: &[u8] = b"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)";

/// 32 bytes, the highest first: also how numbers are compared.
pub(crate) type Word = [u8; 32];

/// An account or a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address(pub(crate) [u8; 20]);

impl Address {
    /// `0x` and 40 hexadecimal digits of any case; whether the case is a correct checksum is not asked.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        hex(text).map(Address)
    }

    /// The last 20 bytes of a hash.
    pub(crate) fn of_hash(hash: &Word) -> Self {
        let mut address = [0; 20];
        address.copy_from_slice(&hash[12..]);
        Address(address)
    }

    /// As EIP-55 writes it: a digit is upper case where the hash of the text says so.
    pub(crate) fn checksummed(self) -> String {
        let plain = hex_text(&self.0);
        let digits = plain.trim_start_matches("0x");
        let hash = hex_text(&keccak(&[digits.as_bytes()]));
        let is_upper = hash.trim_start_matches("0x").bytes().map(|nibble| nibble >= b'8');
        let cased =
            digits.chars().zip(is_upper).map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c });
        "0x".chars().chain(cased).collect()
    }

    fn word(self) -> Word {
        let mut word = [0; 32];
        word[12..].copy_from_slice(&self.0);
        word
    }
}

/// A token contract as a signature names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Domain<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) chain_id: u64,
    pub(crate) contract: Address,
}

impl Domain<'_> {
    fn separator(&self) -> Word {
        keccak(&[
            &keccak(&[DOMAIN]),
            &keccak(&[self.name.as_bytes()]),
            &keccak(&[self.version.as_bytes()]),
            &word(self.chain_id),
            &self.contract.word(),
        ])
    }
}

/// Leave to move `value` once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) value: Word,
    pub(crate) valid_after: Word,
    pub(crate) valid_before: Word,
    pub(crate) nonce: Word,
}

impl Authorization {
    /// What is signed.
    pub(crate) fn digest(&self, domain: &Domain<'_>) -> Word {
        let message = keccak(&[
            &keccak(&[TRANSFER]),
            &self.from.word(),
            &self.to.word(),
            &self.value,
            &self.valid_after,
            &self.valid_before,
            &self.nonce,
        ]);
        keccak(&[&[0x19, 0x01], &domain.separator(), &message])
    }
}

/// Whose signature of `digest` this is: `0x` and r, s, v. As the token contracts have it, s is in the lower half and v 27 or 28.
pub(crate) fn signer(digest: &Word, signature: &str) -> Option<Address> {
    let bytes: [u8; 65] = hex(signature)?;
    let (v, scalars) = bytes.split_last()?;
    let scalars = Signature::from_slice(scalars).ok().filter(|s| s.normalize_s() == *s)?;
    let recovery = RecoveryId::from_byte(v.checked_sub(27).filter(|parity| *parity < 2)?)?;
    let key = VerifyingKey::recover_from_prehash(digest, &scalars, recovery).ok()?;
    let point = key.to_sec1_point(false);
    // Without the byte that says that both coordinates follow.
    let (_, coordinates) = point.as_bytes().split_first()?;
    Some(Address::of_hash(&keccak(&[coordinates])))
}

pub(crate) fn keccak(parts: &[&[u8]]) -> Word {
    let mut hash = Keccak256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

pub(crate) fn word(number: u64) -> Word {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

/// A decimal number without a sign, of up to 256 bits.
pub(crate) fn number(text: &str) -> Option<Word> {
    let digits = (1..=78).contains(&text.len()).then(|| text.bytes())?;
    digits.into_iter().try_fold([0; 32], |mut word: Word, digit| {
        let mut carry = u32::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        for byte in word.iter_mut().rev() {
            let [low, high, ..] = (u32::from(*byte) * 10 + carry).to_le_bytes();
            (*byte, carry) = (low, u32::from(high));
        }
        (carry == 0).then_some(word)
    })
}

/// `0x` and two digits for each of `N` bytes.
pub(crate) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().try_fold(0_u8, |byte, digit| {
            let nibble = char::from(*digit).to_digit(16)?;
            Some(byte << 4 | u8::try_from(nibble).ok()?)
        })?;
    }
    Some(bytes)
}

/// `0x` and two digits, in lower case, for each byte.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    let mut text = "0x".to_owned();
    for byte in bytes {
        // Never fails: a text takes all that is written.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn text<'a>(value: &'a Value, path: &str) -> &'a str {
        value.pointer(path).and_then(Value::as_str).unwrap()
    }

    #[test]
    fn digests_and_signers_are_those_of_the_reference_clients() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/x402/vectors.json")).unwrap();
        for vector in vectors["vectors"].as_array().unwrap() {
            let of = |path: &str| text(vector, path);
            let domain = Domain {
                name: of("/domain/name"),
                version: of("/domain/version"),
                chain_id: vector["domain"]["chainId"].as_u64().unwrap(),
                contract: Address::parse(of("/domain/verifyingContract")).unwrap(),
            };
            let authorization = Authorization {
                from: Address::parse(of("/message/from")).unwrap(),
                to: Address::parse(of("/message/to")).unwrap(),
                value: number(of("/message/value")).unwrap(),
                valid_after: number(of("/message/validAfter")).unwrap(),
                valid_before: number(of("/message/validBefore")).unwrap(),
                nonce: hex(of("/message/nonce")).unwrap(),
            };
            assert_eq!(hex_text(&domain.separator()), of("/domain_separator"), "{}", of("/id"));
            let digest = authorization.digest(&domain);
            assert_eq!(hex_text(&digest), of("/digest"), "{}", of("/id"));
            let signer = signer(&digest, of("/signature")).unwrap();
            assert_eq!(signer.checksummed(), text(&vectors, "/address"), "{}", of("/id"));
        }
    }

    #[test]
    fn numbers_are_decimal_and_fit_into_256_bits() {
        let largest = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        assert_eq!(number(largest), Some([0xff; 32]));
        assert_eq!(number("10000"), Some(word(10_000)));
        assert_eq!(number("007"), Some(word(7)));
        for text in ["", "-1", "+1", "1.0", " 1", "0x1", "1e3", &largest.replace("935", "936")] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_signature_that_the_token_contracts_refuse_is_nobodys() {
        let digest = keccak(&[b"x"]);
        for signature in ["", "0x", &format!("0x{}", "00".repeat(65)), &format!("0x{}1d", "11".repeat(64))] {
            assert_eq!(signer(&digest, signature), None, "{signature}");
        }
        // s in the upper half.
        assert_eq!(signer(&digest, &format!("0x{}{}1b", "11".repeat(32), "ee".repeat(32))), None);
    }
}
