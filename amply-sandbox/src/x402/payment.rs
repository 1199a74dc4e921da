//! A payment that came in a header: what it says, and what is wrong with it, in the words of the recorded servers.
//!
//! Pure. Reasons without a recording are marked.

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use serde_json::Value;

use super::{
    Version,
    accept::Network,
    authorization::{self, Address, Authorization, Domain},
    offer::Demand,
};

/// How long before `validBefore` an authorization is no longer taken: it must reach the chain in time.
const SECONDS_TO_SETTLE: u64 = 6;

/// A payment that fits an offer and was signed by whom it says.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) version: Version,
    /// As the payment names it.
    pub(crate) network: String,
    pub(crate) chain_id: u64,
    pub(crate) asset: Address,
    pub(crate) authorization: Authorization,
    /// Decimal, as it was signed.
    pub(crate) value: String,
    /// As the payment writes it.
    pub(crate) payer: String,
    pub(crate) is_upfront: bool,
}

/// Why a payment is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// Whose it would have been, once that is known.
    pub(crate) payer: Option<String>,
}

impl Refusal {
    fn early(reason: &str) -> Self {
        Refusal { reason: reason.to_owned(), payer: None }
    }
}

/// What is known beside the payment itself.
pub(crate) struct Facts<'a> {
    /// Seconds since 1970.
    pub(crate) now: u64,
    pub(crate) is_used: &'a dyn Fn(&Payment) -> bool,
    pub(crate) can_pay: &'a dyn Fn(&Payment) -> bool,
}

/// What a request is told that has no payment.
pub(crate) fn nothing_paid(version: Version) -> &'static str {
    match version {
        Version::V1 => "X-PAYMENT header is required",
        Version::V2 => "Payment required",
    }
}

/// The payment in `header`, if it is in order.
pub(crate) fn verify(header: &str, demand: &Demand, facts: &Facts<'_>) -> Result<Payment, Refusal> {
    let version = demand.version;
    let message = read(version, header)?;
    let offers = demand.offers();
    let offer = match version {
        // Only these two are compared; all else is up to the signature.
        Version::V1 => offers.iter().find(|offer| {
            offer.get("scheme") == message.get("scheme") && offer.get("network") == message.get("network")
        }),
        Version::V2 if message.get("x402Version") != Some(&Value::from(2)) => None,
        Version::V2 => offers.iter().find(|offer| Some(*offer) == message.get("accepted")),
    };
    let no_match = match version {
        Version::V1 => "Unable to find matching payment requirements",
        Version::V2 => "No matching payment requirements",
    };
    let offer = offer.ok_or_else(|| Refusal::early(no_match))?;
    let (payment, signature) = claim(version, &message, offer).map_err(Refusal::early)?;
    match complaint(&payment, signature, offer, facts) {
        None => Ok(payment),
        Some(reason) => Err(Refusal { reason: reason.to_owned(), payer: Some(payment.payer) }),
    }
}

fn read(version: Version, header: &str) -> Result<Value, Refusal> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient).decode(header.trim());
    let not_base64 = bytes.is_err();
    let message: Option<Value> = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match version {
        Version::V1 if not_base64 => Err(Refusal::early("Invalid character")),
        // [our] recorded is only what is no base64 at all.
        Version::V1 => message
            .filter(|message| message.get("x402Version") == Some(&Value::from(1)))
            .ok_or_else(|| Refusal::early("Invalid or malformed payment header")),
        // A header that cannot be read is none.
        Version::V2 => message.ok_or_else(|| Refusal::early(nothing_paid(version))),
    }
}

/// What is claimed, and the signature for it. [our] the reasons.
fn claim<'a>(
    version: Version,
    message: &'a Value,
    offer: &Value,
) -> Result<(Payment, &'a str), &'static str> {
    let signed = |field: &str| message.pointer(&format!("/payload/authorization/{field}"))?.as_str();
    let address = |field: &str| signed(field).and_then(Address::parse);
    let number = |field: &str| signed(field).and_then(authorization::number);
    let read = || {
        let authorization = Authorization {
            from: address("from")?,
            to: address("to")?,
            value: number("value")?,
            valid_after: number("validAfter")?,
            valid_before: number("validBefore")?,
            nonce: signed("nonce").and_then(authorization::hex)?,
        };
        let signature = message.pointer("/payload/signature")?.as_str()?;
        Some((authorization, signed("value")?, signed("from")?, signature))
    };
    let malformed = match version {
        Version::V1 => "Invalid or malformed payment header",
        Version::V2 => "invalid_payload",
    };
    let (authorization, value, payer, signature) = read().ok_or(malformed)?;
    if version == Version::V1 && value.len() > 18 {
        return Err(malformed);
    }
    let network = text(offer, "/network");
    let payment = Payment {
        version,
        network: network.to_owned(),
        chain_id: Network::chain_named(network).ok_or("invalid_network")?,
        asset: Address::parse(text(offer, "/asset")).ok_or("invalid_payment_requirements")?,
        authorization,
        value: value.to_owned(),
        payer: payer.to_owned(),
        is_upfront: text(offer, "/extra/paymentFlow") == "upfront",
    };
    Ok((payment, signature))
}

/// What is wrong with a payment. [our] the order, where several things are.
fn complaint(payment: &Payment, signature: &str, offer: &Value, facts: &Facts<'_>) -> Option<&'static str> {
    let Payment { authorization: signed, version, .. } = payment;
    let either = |v1: &'static str, v2: &'static str| match version {
        Version::V1 => v1,
        Version::V2 => v2,
    };
    if !matches!(offer.pointer("/extra/assetTransferMethod"), None | Some(Value::Null))
        && text(offer, "/extra/assetTransferMethod") != "eip3009"
    {
        // [our] nothing else is understood here.
        return Some(either("unsupported_scheme", "invalid_exact_evm_eip3009_not_supported"));
    }
    let domain = Domain {
        name: text(offer, "/extra/name"),
        version: text(offer, "/extra/version"),
        chain_id: payment.chain_id,
        contract: payment.asset,
    };
    let amount = authorization::number(text(offer, either("/maxAmountRequired", "/amount")));
    // [our] an amount such as 1000999.9999999999 cannot be paid at all.
    let Some(amount) = amount else { return Some("invalid_payment_requirements") };
    let is_enough = match version {
        // More is taken, all of it.
        Version::V1 => signed.value >= amount,
        Version::V2 => signed.value == amount,
    };
    if authorization::signer(&signed.digest(&domain), signature) != Some(signed.from) {
        return Some(either("invalid_exact_evm_payload_signature", "invalid_exact_evm_signature"));
    }
    if Address::parse(text(offer, "/payTo")) != Some(signed.to) {
        return Some(either(
            "invalid_exact_evm_payload_recipient_mismatch",
            "invalid_exact_evm_recipient_mismatch",
        ));
    }
    if signed.valid_before < authorization::word(facts.now.saturating_add(SECONDS_TO_SETTLE)) {
        return Some("invalid_exact_evm_payload_authorization_valid_before");
    }
    if signed.valid_after > authorization::word(facts.now) {
        return Some("invalid_exact_evm_payload_authorization_valid_after");
    }
    if !is_enough {
        return Some(either(
            "invalid_exact_evm_payload_authorization_value",
            "invalid_exact_evm_payload_authorization_value_mismatch",
        ));
    }
    // Version 1 does not ask the chain before the handler has run: a payment that is sent again runs it again.
    if *version == Version::V2 && (facts.is_used)(payment) {
        return Some(used(*version));
    }
    (!(facts.can_pay)(payment)).then(|| too_poor(*version))
}

/// The authorization was settled before.
pub(crate) fn used(version: Version) -> &'static str {
    match version {
        Version::V1 => "invalid_transaction_state",
        Version::V2 => "invalid_exact_evm_nonce_already_used",
    }
}

/// The payer has too little.
pub(crate) fn too_poor(version: Version) -> &'static str {
    match version {
        Version::V1 => "insufficient_funds",
        Version::V2 => "invalid_exact_evm_insufficient_balance",
    }
}

/// As headers carry JSON.
pub(crate) fn encode(json: &[u8]) -> String {
    STANDARD.encode(json)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}
