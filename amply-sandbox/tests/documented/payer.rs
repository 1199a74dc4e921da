//! A payer of open x402 payments, who signs what he is told to. Its own reading of EIP-712, as a client would have.

use base64::{Engine, engine::general_purpose::STANDARD};
use k256::ecdsa::SigningKey;
use serde_json::{Map, Value, json};
use sha3::{Digest, Keccak256};

use crate::common::{Answer, Failure};

/// Whose key is below: widely published, for development.
pub(crate) const PAYER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

/// A payment of `offer` at the time `now`, as its header. Of `changes`, `network` and `accepted` change what the message says,
/// `domain` the token's name that is signed, and any other what is signed: `to`, `value`, `validAfter`, `validBefore`, `nonce`.
pub(crate) fn pay(offer: &Value, now: u64, changes: &[(&str, &str)]) -> Result<String, Failure> {
    let change = |name: &str| changes.iter().find(|(changed, _)| *changed == name).map(|(_, to)| *to);
    let is_v1 = offer.get("maxAmountRequired").is_some();
    let amount = if is_v1 { "/maxAmountRequired" } else { "/amount" };
    let mut signed = Map::new();
    for (name, value) in [
        ("from", PAYER),
        ("to", text(offer, "/payTo")),
        ("value", text(offer, amount)),
        ("validAfter", "0"),
        ("validBefore", &(now + 60).to_string()),
        ("nonce", &format!("0x{}", "07".repeat(32))),
    ] {
        signed.insert(name.to_owned(), json!(change(name).unwrap_or(value)));
    }
    let name = change("domain").unwrap_or(text(offer, "/extra/name"));
    let digest = digest(offer, name, &signed)?;
    let (signature, parity) = SigningKey::from_slice(&bytes(KEY)?)?.sign_prehash_recoverable(&digest);
    let signature = format!("0x{}{:02x}", hex(&signature.to_bytes()), 27 + parity.to_byte());
    let payload = json!({"signature": signature, "authorization": signed});
    let message = if is_v1 {
        let network = change("network").unwrap_or(text(offer, "/network"));
        json!({"x402Version": 1, "scheme": "exact", "network": network, "payload": payload})
    } else {
        let mut accepted: Value = match change("accepted") {
            Some(accepted) => serde_json::from_str(accepted)?,
            None => offer.clone(),
        };
        if let (Some(network), Some(fields)) = (change("network"), accepted.as_object_mut()) {
            fields.insert("network".to_owned(), json!(network));
        }
        json!({"x402Version": 2, "payload": payload, "accepted": accepted})
    };
    Ok(STANDARD.encode(message.to_string()))
}

/// What a header of x402 says.
pub(crate) fn decoded(header: &str) -> Result<Value, Failure> {
    Ok(serde_json::from_slice(&STANDARD.decode(header).map_err(|error| error.to_string())?)?)
}

/// The first offer of a 402: of version 2 if it has any, else of version 1, else of Amply's object.
pub(crate) fn offer(answer: &Answer) -> Result<Value, Failure> {
    let around = match answer.header("payment-required") {
        Some(header) => decoded(header)?,
        None => serde_json::from_str(&answer.body)?,
    };
    let first = around.pointer("/accepts/0").or_else(|| around.pointer("/x402/accepts/0"));
    Ok(first.ok_or_else(|| format!("no offer in {around}"))?.clone())
}

fn digest(offer: &Value, name: &str, signed: &Map<String, Value>) -> Result<[u8; 32], Failure> {
    let chain: u64 = match text(offer, "/network") {
        "base-sepolia" => 84_532,
        "base" => 8_453,
        other => other.trim_start_matches("eip155:").parse()?,
    };
    let domain = [
        keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
        keccak(name.as_bytes()),
        keccak(text(offer, "/extra/version").as_bytes()),
        word(&chain.to_be_bytes()),
        address(text(offer, "/asset"))?,
    ];
    let field = |name: &str| signed.get(name).and_then(Value::as_str).unwrap_or_default();
    let number =
        |name: &str| -> Result<[u8; 32], Failure> { Ok(word(&field(name).parse::<u128>()?.to_be_bytes())) };
    let message = [
        keccak(b"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"),
        address(field("from"))?,
        address(field("to"))?,
        number("value")?,
        number("validAfter")?,
        number("validBefore")?,
        word(&bytes(field("nonce"))?),
    ];
    Ok(keccak(&[&[0x19, 0x01][..], &keccak(&domain.concat()), &keccak(&message.concat())].concat()))
}

fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

fn address(text: &str) -> Result<[u8; 32], Failure> {
    Ok(word(&bytes(text)?))
}

/// Zeros before it.
fn word(bytes: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    for (to, from) in word.iter_mut().rev().zip(bytes.iter().rev()) {
        *to = *from;
    }
    word
}

fn bytes(hex: &str) -> Result<Vec<u8>, Failure> {
    let digits = hex.trim_start_matches("0x");
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or_default()
}

/// What is at `path`, or null.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}
