//! Who signs: a key in this process, or one that is kept elsewhere.
//!
//! A signature is used only after it was checked here, whoever made it: a payment with a wrong one would be refused
//! by the server after a wait, and one by another key than expected may pay out of another pocket.

use std::fmt;
use std::pin::Pin;

use k256::ecdsa::{RecoveryId, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::eip712::{Address, hex, keccak, unhex};
use crate::error::Error;
use crate::text::one_line;

/// A signature that is on its way: r, s and v, 65 bytes, s in the lower half and v 27 or 28.
pub type SignFuture<'a> = Pin<Box<dyn Future<Output = Result<[u8; 65], SignError>> + Send + 'a>>;

/// Signs payments for one address.
///
/// [`LocalSigner`] has the key itself, [`RemoteSigner`] asks a function; implement it for hardware, or for a service
/// that keeps keys. What it is asked to sign is the EIP-712 digest of a `TransferWithAuthorization`, after every rule
/// of the policy was checked. A signature by any other key than the address's is refused. It runs on a thread of its own,
/// which it may block; 16 signatures are asked for at once.
pub trait Signer: Send + Sync {
    /// The address that pays.
    fn address(&self) -> Address;

    /// Signs a digest of 32 bytes.
    fn sign_digest(&self, digest: [u8; 32]) -> SignFuture<'_>;
}

/// Why there is no signature. Nothing was paid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The signer said no, or could not be asked. The text is shown, so no secret belongs into it.
    #[error("the signer did not sign: {}", one_line(.0, 200))]
    Failed(String),
    /// What the signer answered is no signature of the form that is asked for.
    #[error(
        "the signer answered with something that is no signature; it must be r, s in the lower half, and v 27 or 28"
    )]
    Malformed,
    /// The signature is by another key, or of something else.
    #[error(
        "the signature is not by {expected} for this payment but by {found}; check which key the signer uses"
    )]
    #[non_exhaustive]
    WrongSigner {
        /// The address that the signer said it has.
        expected: Address,
        /// The address whose signature it would be.
        found: Address,
    },
}

/// Signs with a private key in this process's memory. The key is cleared when this is dropped, and is in no error,
/// log or `Debug` output.
pub struct LocalSigner {
    key: SigningKey,
    address: Address,
}

impl LocalSigner {
    /// Takes a private key as 64 hexadecimal digits, with `0x` in front or without.
    ///
    /// # Errors
    /// [`Error::Config`] when it is not a private key. The text itself is not repeated in the error.
    pub fn from_hex(key: impl Into<String>) -> Result<Self, Error> {
        let text = Zeroizing::new(key.into());
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        let mut bytes = Zeroizing::new([0; 32]);
        unhex(digits, bytes.as_mut_slice()).ok_or_else(|| {
            Error::config("the signer's private key is not 64 hexadecimal digits; pass the key alone, with or without 0x")
        })?;
        let key = SigningKey::from_slice(bytes.as_slice()).map_err(|_| {
            Error::config(
                "the signer's private key is a number that no key can be; pass the key as it was created",
            )
        })?;
        let address = address_of(key.verifying_key());
        Ok(Self { key, address })
    }
}

impl Signer for LocalSigner {
    fn address(&self) -> Address {
        self.address
    }

    fn sign_digest(&self, digest: [u8; 32]) -> SignFuture<'_> {
        let (signature, recovery) = self.key.sign_prehash_recoverable(&digest);
        let mut bytes = [0; 65];
        for (to, from) in
            bytes.iter_mut().zip(signature.to_bytes().into_iter().chain([27 + recovery.to_byte()]))
        {
            *to = from;
        }
        Box::pin(std::future::ready(Ok(bytes)))
    }
}

impl fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalSigner({}, redacted)", self.address)
    }
}

/// Signs by asking a function, which may ask a service or a device.
pub struct RemoteSigner {
    address: Address,
    ask: Box<dyn Fn([u8; 32]) -> SignFuture<'static> + Send + Sync>,
}

impl RemoteSigner {
    /// A signer for `address` that asks `ask` for the signature of each digest.
    pub fn new<A, F>(address: Address, ask: A) -> Self
    where
        A: Fn([u8; 32]) -> F + Send + Sync + 'static,
        F: Future<Output = Result<[u8; 65], SignError>> + Send + 'static,
    {
        Self { address, ask: Box::new(move |digest| Box::pin(ask(digest))) }
    }
}

impl Signer for RemoteSigner {
    fn address(&self) -> Address {
        self.address
    }

    fn sign_digest(&self, digest: [u8; 32]) -> SignFuture<'_> {
        (self.ask)(digest)
    }
}

impl fmt::Debug for RemoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteSigner({})", self.address)
    }
}

/// A signature that was checked. It is money, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Signature([u8; 65]);

impl Signature {
    /// As a payment has it.
    pub(crate) fn to_hex(&self) -> String {
        format!("0x{}", hex(&self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(redacted)")
    }
}

/// Has a digest signed, and checks the signature.
pub(crate) async fn sign(signer: &dyn Signer, digest: [u8; 32]) -> Result<Signature, SignError> {
    // Asked for once: a signer that changes its mind would make the check void.
    let expected = signer.address();
    let bytes = signer.sign_digest(digest).await?;
    let found = recover(digest, &bytes).ok_or(SignError::Malformed)?;
    match found == expected {
        true => Ok(Signature(bytes)),
        false => Err(SignError::WrongSigner { expected, found }),
    }
}

/// The address that a signature is by.
fn recover(digest: [u8; 32], bytes: &[u8; 65]) -> Option<Address> {
    let (v, scalars) = bytes.split_last()?;
    let y_is_odd = match v {
        27 => false,
        28 => true,
        _ => return None,
    };
    let signature = k256::ecdsa::Signature::from_slice(scalars).ok()?;
    // The token contract refuses the upper half, where every signature has a twin.
    if signature.normalize_s() != signature {
        return None;
    }
    let key = VerifyingKey::recover_from_prehash(&digest, &signature, RecoveryId::new(y_is_odd, false));
    Some(address_of(&key.ok()?))
}

fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_sec1_point(false);
    // The first byte says that the point is not compressed, and is no part of what an address is made of.
    let hash = keccak(point.as_bytes().get(1..).unwrap_or_default());
    let mut address = [0; 20];
    for (to, from) in address.iter_mut().rev().zip(hash.iter().rev()) {
        *to = *from;
    }
    Address::from_bytes(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
    const ADDRESS: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    const DIGEST: [u8; 32] = [7; 32];

    fn local() -> LocalSigner {
        LocalSigner::from_hex(KEY).unwrap()
    }

    async fn signed() -> [u8; 65] {
        local().sign_digest(DIGEST).await.unwrap()
    }

    /// What comes of a remote signer with this address and this answer.
    async fn asked(address: &str, answer: Result<[u8; 65], SignError>) -> Result<Signature, SignError> {
        let remote = RemoteSigner::new(address.parse().unwrap(), move |_| std::future::ready(answer.clone()));
        sign(&remote, DIGEST).await
    }

    #[test]
    fn a_key_is_taken_with_0x_or_without_in_any_case() {
        for key in [KEY.to_owned(), format!("0x{KEY}"), KEY.to_ascii_uppercase()] {
            assert_eq!(LocalSigner::from_hex(key).unwrap().address().to_string(), ADDRESS);
        }
    }

    #[test]
    fn a_key_that_is_no_key_is_refused_without_being_shown() {
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        let zero = "0".repeat(64);
        for key in [
            "",
            "0x",
            "secret",
            KEY.strip_prefix('5').unwrap(),
            &format!("{KEY}0"),
            &format!("{KEY}\n"),
            &format!("0X{KEY}"),
            &KEY.replace('5', "g"),
            &"é".repeat(32),
            order,
            &zero,
        ] {
            let error = LocalSigner::from_hex(key).unwrap_err().to_string();
            assert!(error.starts_with("the signer's private key is"), "{error}");
            assert!(key.len() < 5 || !error.contains(key), "{error}");
        }
    }

    #[test]
    fn debug_output_shows_the_address_and_not_the_key() {
        let shown = format!("{:?}", local());
        assert!(shown.contains(ADDRESS) && !shown.to_lowercase().contains("59c6995e"), "{shown}");
    }

    #[tokio::test]
    async fn a_signature_is_the_same_each_time_and_is_not_shown() {
        assert_eq!(signed().await, signed().await);
        let signature = sign(&local(), DIGEST).await.unwrap();
        assert_eq!(signature.to_hex().len(), 132);
        assert_eq!(format!("{signature:?}"), "Signature(redacted)");
    }

    #[tokio::test]
    async fn a_remote_signature_by_the_right_key_is_used() {
        let bytes = signed().await;
        assert_eq!(asked(ADDRESS, Ok(bytes)).await, Ok(Signature(bytes)));
    }

    #[tokio::test]
    async fn a_remote_signature_by_another_key_or_of_another_digest_is_an_error() {
        let other = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
        let error = asked(other, Ok(signed().await)).await.unwrap_err();
        assert!(matches!(error, SignError::WrongSigner { .. }), "{error:?}");
        assert!(error.to_string().contains(other) && error.to_string().contains(ADDRESS), "{error}");

        let of_another = local().sign_digest([8; 32]).await.unwrap();
        assert!(matches!(asked(ADDRESS, Ok(of_another)).await, Err(SignError::WrongSigner { .. })));
    }

    #[tokio::test]
    async fn a_remote_answer_that_is_no_signature_is_an_error() {
        let good = signed().await;
        let mut wrong_v = good;
        wrong_v[64] -= 27;
        let mut zero_r = good;
        zero_r[..32].fill(0);
        for bytes in [wrong_v, zero_r, [0; 65], [0xff; 65]] {
            assert_eq!(asked(ADDRESS, Ok(bytes)).await, Err(SignError::Malformed));
        }
    }

    #[tokio::test]
    async fn a_signature_with_s_in_the_upper_half_is_refused_though_it_is_by_the_right_key() {
        let mut high = signed().await;
        let low = k256::ecdsa::Signature::from_slice(&high[..64]).unwrap();
        let (r, s) = low.split_scalars();
        let twin = k256::ecdsa::Signature::from_scalars(r, -s).unwrap();
        high[..64].copy_from_slice(&twin.to_bytes());
        high[64] = 55 - high[64];
        assert_eq!(asked(ADDRESS, Ok(high)).await, Err(SignError::Malformed));
    }

    #[tokio::test]
    async fn a_signer_that_fails_says_why_on_one_line() {
        let error =
            asked(ADDRESS, Err(SignError::Failed("device\n\u{1b}[31mlocked".into()))).await.unwrap_err();
        assert_eq!(error.to_string(), "the signer did not sign: device [31mlocked");
    }
}
