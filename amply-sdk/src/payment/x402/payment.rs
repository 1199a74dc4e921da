//! The payment for a chosen offer: what is to be signed, and the header that carries it.
//!
//! The header is money: whoever holds it can spend it at that server until it ends. It is marked as a secret and is
//! kept in memory only.

use http::header::{HeaderValue, InvalidHeaderValue};
use ring::rand::{SecureRandom, SystemRandom};

use super::Version;
use super::eip712::{Address, Transfer, hex};
use super::header;
use super::offer::Chosen;
use super::signer::Signature;

/// How far back a payment of version 1 is valid, in seconds. It makes up for a clock of the network that is behind.
const V1_VALID_SINCE: u64 = 600;

/// A transfer to be signed, for the offer it pays. It has one nonce, and so can take money once.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    chosen: Chosen,
    transfer: Transfer,
}

impl Authorization {
    /// The payment of exactly what is asked, valid from now until the offer's time is over.
    ///
    /// The nonce is new for each payment, from [`new_nonce`], and never for sending the same one again.
    pub(crate) fn new(chosen: Chosen, payer: Address, now_unix: u64, nonce: [u8; 32]) -> Self {
        let transfer = Transfer {
            from: payer,
            to: chosen.pay_to,
            value: chosen.value,
            valid_after: match chosen.version {
                Version::One => now_unix.saturating_sub(V1_VALID_SINCE),
                Version::Two => 0,
            },
            valid_before: now_unix.saturating_add(chosen.timeout_seconds),
            nonce,
        };
        Self { chosen, transfer }
    }

    pub(crate) fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    pub(crate) fn transfer(&self) -> &Transfer {
        &self.transfer
    }

    /// What the signer signs.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.transfer.digest(&self.chosen.asset.domain())
    }

    /// Name and value of the header that pays.
    ///
    /// # Errors
    /// None that can happen: base64 is always a header's value.
    pub(crate) fn header(
        &self,
        signature: &Signature,
    ) -> Result<(&'static str, HeaderValue), InvalidHeaderValue> {
        let name = match self.chosen.version {
            Version::One => header::PAYMENT_V1,
            Version::Two => header::PAYMENT_V2,
        };
        Ok((name, header::encode(&self.json(signature))?))
    }

    /// In the order of keys of the reference clients, so that what is sent can be compared byte for byte.
    ///
    /// Nothing needs escaping: each part is hexadecimal, decimal, a name from a table, or JSON as the server wrote it.
    fn json(&self, signature: &Signature) -> String {
        let (signature, authorization) = (signature.to_hex(), self.authorization());
        let Chosen { offer, resource, extensions, .. } = &self.chosen;
        let mut json = String::new();
        match self.chosen.version {
            Version::One => {
                let network = self.chosen.network();
                json.push_str(&format!(
                    r#"{{"x402Version":1,"scheme":"exact","network":"{network}","payload":{{"signature":"{signature}","authorization":{authorization}}}}}"#
                ));
            }
            Version::Two => {
                json.push_str(&format!(
                    r#"{{"x402Version":2,"payload":{{"authorization":{authorization},"signature":"{signature}"}}"#
                ));
                for (name, echoed) in [
                    ("extensions", extensions.as_ref()),
                    ("resource", resource.as_ref()),
                    ("accepted", Some(offer)),
                ] {
                    if let Some(echoed) = echoed {
                        json.push_str(&format!(r#","{name}":{}"#, echoed.text()));
                    }
                }
                json.push('}');
            }
        }
        json
    }

    fn authorization(&self) -> String {
        let Transfer { from, to, value, valid_after, valid_before, nonce } = &self.transfer;
        // The reference clients differ here too: as it was offered, and with the checksum. Servers take both.
        let to = match self.chosen.version {
            Version::One => self.chosen.pay_to_text.clone(),
            Version::Two => to.to_string(),
        };
        let nonce = hex(nonce);
        format!(
            r#"{{"from":"{from}","to":"{to}","value":"{value}","validAfter":"{valid_after}","validBefore":"{valid_before}","nonce":"0x{nonce}"}}"#
        )
    }
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes, without which no payment is safe")]
pub(crate) struct NoRandomness;

/// The number that makes a payment the only one of its kind.
pub(crate) fn new_nonce() -> Result<[u8; 32], NoRandomness> {
    let mut nonce = [0; 32];
    SystemRandom::new().fill(&mut nonce).map_err(|_| NoRandomness)?;
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_nonces_are_equal() {
        assert_ne!(new_nonce().unwrap(), new_nonce().unwrap());
    }
}
