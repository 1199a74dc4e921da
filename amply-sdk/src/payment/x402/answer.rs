//! What an answer to a request with a payment proves about the money.
//!
//! The server's word that nothing was taken is believed only where its code cannot mean anything else. All that is
//! in doubt is *unknown*, since a payment that is taken for refused is paid again.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::Version;
use super::eip712::Address;
use super::header;
use super::network::Network;
use super::offer::{object, text};
use crate::wire::{Fields, FromFields, RawJson};

/// Reasons that say that no money moved, sorted. The names differ by generation of server.
const NOT_TAKEN: [&str; 24] = [
    "insufficient_funds",
    "invalid_exact_evm_authorization_value",
    "invalid_exact_evm_eip3009_not_supported",
    "invalid_exact_evm_insufficient_balance",
    "invalid_exact_evm_missing_eip712_domain",
    "invalid_exact_evm_network_mismatch",
    "invalid_exact_evm_payload_authorization_valid_after",
    "invalid_exact_evm_payload_authorization_valid_before",
    "invalid_exact_evm_payload_authorization_value",
    "invalid_exact_evm_payload_authorization_value_mismatch",
    "invalid_exact_evm_payload_recipient_mismatch",
    "invalid_exact_evm_payload_signature",
    "invalid_exact_evm_recipient_mismatch",
    "invalid_exact_evm_scheme",
    "invalid_exact_evm_signature",
    "invalid_exact_evm_token_name_mismatch",
    "invalid_exact_evm_token_version_mismatch",
    "invalid_exact_evm_transaction_simulation_failed",
    "invalid_network",
    "invalid_payload",
    "invalid_payment_requirements",
    "invalid_scheme",
    "invalid_x402_version",
    "unsupported_scheme",
];

const NONCE_USED: &str = "invalid_exact_evm_nonce_already_used";

const PENDING: &str = "settlement_pending";

/// How long before its end a payment is sent for the last time, in seconds.
const LAST_RESEND: u64 = 10;

/// What is known about the money. It only rises: what was unknown once is not cleared by a later refusal, which may
/// be one *because* the money was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// The server says it did not take it.
    Rejected,
    /// It may have.
    Unknown,
    /// It is gone.
    Settled,
}

impl Class {
    /// What is known after this answer, if that was known before it.
    pub(crate) fn after(self, earlier: Option<Self>) -> Self {
        earlier.map_or(self, |earlier| earlier.max(self))
    }
}

/// What an answer proves.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) class: Class,
    /// Whether what was paid for came with it.
    pub(crate) delivered: bool,
    pub(crate) row: Row,
    pub(crate) receipt: Option<Receipt>,
    /// The server's reason for not settling.
    pub(crate) reason: Option<String>,
    /// What in the receipt is not about this payment.
    pub(crate) mismatches: Vec<Mismatch>,
}

impl Verdict {
    /// The same, with the receipt of the answer before it where that one names a transaction and this one none: it may still
    /// go through, and tells a person where to look.
    pub(crate) fn keeping(self, earlier: Option<Receipt>) -> Self {
        let names = |receipt: &Option<Receipt>| {
            receipt.as_ref().is_some_and(|receipt| !receipt.transaction.is_empty())
        };
        let receipt =
            if names(&earlier) && !names(&self.receipt) { earlier } else { self.receipt.or(earlier) };
        Self { receipt, ..self }
    }
}

/// Which rule an answer fell under, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Row {
    /// A receipt of success, with what was paid for.
    Delivered = 1,
    /// A receipt of success, and no more.
    NotDelivered = 2,
    /// A receipt of failure with a transaction that may still go through.
    Pending = 3,
    /// A receipt of failure whose reason means that no money moved.
    ReceiptRejected = 4,
    /// A receipt of failure with any other reason.
    ReceiptUnclear = 5,
    /// The nonce was used, and nobody but this payment has it.
    NonceUsed = 6,
    /// Refused before it was handled, version 2.
    RefusedV2 = 7,
    /// Refused, version 1.
    RefusedV1 = 8,
    /// Any other 402.
    RefusedUnclear = 9,
    /// What was paid for, without a receipt.
    NoReceipt = 10,
    /// Any other status without a receipt.
    Failed = 11,
    /// No whole answer, or a receipt that cannot be read.
    Broken = 12,
}

/// The payment that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) version: Version,
    pub(crate) payer: Address,
    pub(crate) network: Network,
}

/// The answer to it, as far as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// `None` when it broke off.
    pub(crate) body: Option<&'a Bytes>,
}

/// What a server says that it settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) success: bool,
    /// The transaction on the network, empty when there is none.
    pub(crate) transaction: String,
    pub(crate) network: Option<String>,
    pub(crate) payer: Option<String>,
    pub(crate) error_reason: Option<String>,
    pub(crate) error_message: Option<String>,
    /// The whole receipt, for the ledger.
    pub(crate) json: String,
}

/// What in a receipt is not about this payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mismatch {
    /// Another payer.
    Payer,
    /// Another network.
    Network,
}

impl Sent {
    /// What an answer proves; `None` when none came.
    pub(crate) fn classify(&self, came: Option<Came<'_>>) -> Verdict {
        let Some(came) = came else { return verdict(Class::Unknown, Row::Broken) };
        let delivered = came.status.is_success() && came.body.is_some();
        let receipts = header::RECEIPTS.into_iter().flat_map(|name| came.headers.get_all(name));
        // Of several receipts the worst news counts.
        let of_receipt = receipts
            .map(|value| self.classify_receipt(value.as_bytes(), delivered))
            .reduce(|worst, next| if next.class > worst.class { next } else { worst });
        let verdict = match (of_receipt, came.body) {
            (Some(verdict), Some(_)) => verdict,
            // An answer that broke off is no refusal, whatever its headers say.
            (Some(verdict), None) if verdict.class == Class::Rejected => {
                Verdict { class: Class::Unknown, row: Row::Broken, ..verdict }
            }
            (Some(verdict), None) => verdict,
            (None, None) => verdict(Class::Unknown, Row::Broken),
            (None, Some(body)) if came.status == StatusCode::PAYMENT_REQUIRED => {
                self.classify_402(came.headers, body)
            }
            (None, Some(_)) if delivered => verdict(Class::Unknown, Row::NoReceipt),
            (None, Some(_)) => verdict(Class::Unknown, Row::Failed),
        };
        Verdict { delivered, ..verdict }
    }

    fn classify_receipt(&self, value: &[u8], delivered: bool) -> Verdict {
        let Some(receipt) = Receipt::read(value) else { return verdict(Class::Unknown, Row::Broken) };
        let mismatches = self.mismatches(&receipt);
        let reason = receipt.error_reason.as_deref().unwrap_or_default();
        let (class, row) = if receipt.success {
            (Class::Settled, if delivered { Row::Delivered } else { Row::NotDelivered })
        } else if !receipt.transaction.is_empty() || reason == PENDING {
            (Class::Unknown, Row::Pending)
        } else if is_not_taken(reason) && mismatches.is_empty() {
            (Class::Rejected, Row::ReceiptRejected)
        } else {
            // A refusal of somebody else's payment says nothing about this one.
            (Class::Unknown, Row::ReceiptUnclear)
        };
        let reason = receipt.error_reason.clone();
        Verdict { reason, mismatches, receipt: Some(receipt), ..verdict(class, row) }
    }

    fn mismatches(&self, receipt: &Receipt) -> Vec<Mismatch> {
        let payer = receipt
            .payer
            .as_deref()
            .is_some_and(|payer| Address::without_checksum(payer) != Some(self.payer));
        let network = receipt.network.as_deref().is_some_and(|network| !self.network.is_named(network));
        [(payer, Mismatch::Payer), (network, Mismatch::Network)]
            .into_iter()
            .filter_map(|(differs, what)| differs.then_some(what))
            .collect()
    }

    /// A 402 without a receipt. A server that speaks both versions may refuse in both; then the worse news counts.
    fn classify_402(&self, headers: &HeaderMap, body: &Bytes) -> Verdict {
        let v2 = match header::single(headers, header::OFFERS) {
            Ok(None) => None,
            // A header that cannot be read is no refusal.
            Ok(Some(json)) => Some(Refusal::read(&json, "2").unwrap_or_default()),
            Err(header::Unreadable) => Some(Refusal::default()),
        };
        let mut refusals = [(Version::Two, v2), (Version::One, Refusal::read(body, "1"))];
        // The payment's own version first: of equal news its words are the ones to show.
        refusals.sort_by_key(|(version, _)| *version != self.version);
        let verdicts = refusals
            .into_iter()
            .filter_map(|(version, refusal)| Some(self.classify_refusal(version, refusal?)));
        verdicts
            .reduce(|worst, next| if next.class > worst.class { next } else { worst })
            .unwrap_or_else(|| verdict(Class::Unknown, Row::RefusedUnclear))
    }

    fn classify_refusal(&self, version: Version, Refusal { error }: Refusal) -> Verdict {
        let reason = error.as_deref().unwrap_or_default();
        let ours = version == self.version;
        let (class, row) = match (version, reason) {
            (Version::Two, NONCE_USED) if ours => (Class::Settled, Row::NonceUsed),
            // The other version's middleware saw no payment at all, whatever this one did with it.
            (Version::Two, "Payment required") => (Class::Rejected, Row::RefusedV2),
            (Version::One, "X-PAYMENT header is required") => (Class::Rejected, Row::RefusedV1),
            (Version::Two, "No matching payment requirements") if ours => (Class::Rejected, Row::RefusedV2),
            (Version::One, "Unable to find matching payment requirements") if ours => {
                (Class::Rejected, Row::RefusedV1)
            }
            (Version::Two, reason) if ours && is_not_taken(reason) => (Class::Rejected, Row::RefusedV2),
            (Version::One, reason) if ours && is_not_taken(reason) => (Class::Rejected, Row::RefusedV1),
            _ => (Class::Unknown, Row::RefusedUnclear),
        };
        Verdict { reason: error, ..verdict(class, row) }
    }
}

impl Receipt {
    /// Reads a receipt's header; `None` when it is none.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let json = header::decode(value).ok()?;
        let mut receipt = Self::from_fields(object(&json)?).ok()?;
        receipt.json = std::str::from_utf8(&json).ok()?.to_owned();
        Some(receipt)
    }
}

impl FromFields for Receipt {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, String> {
        let mut take = |name: &str| fields.take::<RawJson>(name);
        let success = match take("success").as_ref().map(RawJson::text) {
            Some("true") => true,
            Some("false") => false,
            _ => return Err("success".to_owned()),
        };
        let transaction = match (text(take("transaction").as_ref()), success) {
            (Some(transaction), _) => transaction,
            // The money is gone, whatever the server calls it.
            (None, true) => String::new(),
            // An empty transaction is what says that there is none; a missing one says nothing.
            (None, false) => return Err("transaction".to_owned()),
        };
        Ok(Self {
            success,
            transaction,
            network: text(take("network").as_ref()),
            payer: text(take("payer").as_ref()),
            error_reason: text(take("errorReason").as_ref()),
            error_message: text(take("errorMessage").as_ref()),
            json: String::new(),
        })
    }
}

/// What a caller asks for with a payment. Only a route may be asked for twice: an operation would run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Route,
    Execute,
}

/// Whether the caller is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Waits,
    Gone,
}

/// What decides whether the same payment is sent once more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resend {
    pub(crate) asked: Asked,
    pub(crate) caller: Caller,
    /// How often it was sent.
    pub(crate) sent: u32,
    pub(crate) now_unix: u64,
    pub(crate) valid_before: u64,
}

impl Resend {
    /// Whether the same payment, with the same nonce, may be sent once more after this answer. It cannot take the
    /// money twice, and may tell what became of it.
    pub(crate) fn may_follow(&self, verdict: &Verdict) -> bool {
        self.asked == Asked::Route
            && self.caller == Caller::Waits
            && self.sent <= 1
            && self.valid_before.saturating_sub(self.now_unix) > LAST_RESEND
            && matches!(
                verdict.row,
                Row::Pending | Row::ReceiptUnclear | Row::RefusedUnclear | Row::Failed | Row::Broken
            )
            // What was paid for may be there already, beside a receipt that cannot be read.
            && !verdict.delivered
    }
}

/// A 402's own words.
#[derive(Default)]
struct Refusal {
    error: Option<String>,
}

impl Refusal {
    fn read(json: &Bytes, version: &str) -> Option<Self> {
        let mut fields = object(json)?;
        if fields.take::<RawJson>("x402Version")?.text() != version {
            return None;
        }
        Some(Self { error: text(fields.take::<RawJson>("error").as_ref()) })
    }
}

fn is_not_taken(reason: &str) -> bool {
    NOT_TAKEN.binary_search(&reason).is_ok()
}

fn verdict(class: Class, row: Row) -> Verdict {
    Verdict { class, delivered: false, row, receipt: None, reason: None, mismatches: Vec::new() }
}

/// For the tests that compare it with the published list.
#[cfg(test)]
pub(super) fn not_taken() -> &'static [&'static str] {
    &NOT_TAKEN
}

#[cfg(test)]
mod tests;
