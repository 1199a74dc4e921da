//! What each kind of answer proves.

use serde_json::{Value, json};

use super::super::tests::PAYER;
use super::*;

fn sent(version: Version) -> Sent {
    Sent { version, payer: PAYER.parse().unwrap(), network: Network::BASE_SEPOLIA }
}

/// An answer to a payment of version 2, unless said otherwise.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Option<Bytes>,
}

fn answer(status: u16) -> Answer {
    Answer { status, headers: HeaderMap::new(), body: Some(Bytes::from_static(b"{}")) }
}

impl Answer {
    fn header(mut self, name: &'static str, json: &Value) -> Self {
        self.headers.append(name, header::encode(&json.to_string()).unwrap());
        self
    }

    fn receipt(self, json: Value) -> Self {
        self.header("payment-response", &json)
    }

    fn refused_v2(self, error: &str) -> Self {
        self.header(header::OFFERS, &json!({"x402Version": 2, "error": error, "accepts": []}))
    }

    fn body(self, body: Value) -> Self {
        Self { body: Some(body.to_string().into()), ..self }
    }

    fn refused_v1(self, error: &str) -> Self {
        self.body(json!({"x402Version": 1, "error": error, "accepts": []}))
    }

    fn cut(self) -> Self {
        Self { body: None, ..self }
    }

    fn verdict(&self, version: Version) -> Verdict {
        let status = StatusCode::from_u16(self.status).unwrap();
        sent(version).classify(Some(Came { status, headers: &self.headers, body: self.body.as_ref() }))
    }

    fn is(self, class: Class, row: Row) -> Verdict {
        self.paid_is(Version::Two, class, row)
    }

    fn paid_is(self, version: Version, class: Class, row: Row) -> Verdict {
        let verdict = self.verdict(version);
        assert_eq!((verdict.class, verdict.row), (class, row), "{:?}", self.body);
        verdict
    }
}

fn failed(reason: &str, transaction: &str) -> Value {
    json!({"success": false, "errorReason": reason, "transaction": transaction, "network": "eip155:84532"})
}

fn succeeded() -> Value {
    json!({"success": true, "transaction": format!("0x{}", "ab".repeat(32)), "network": "eip155:84532", "payer": PAYER})
}

#[test]
fn a_receipt_of_success_is_settled_and_delivered_only_with_a_whole_2xx() {
    let verdict = answer(200).receipt(succeeded()).is(Class::Settled, Row::Delivered);
    assert!(verdict.delivered && verdict.mismatches.is_empty());
    assert_eq!(verdict.receipt.unwrap().transaction.len(), 66);
    for other in [answer(500), answer(402), answer(302), answer(200).cut()] {
        let verdict = other.receipt(succeeded()).is(Class::Settled, Row::NotDelivered);
        assert!(!verdict.delivered);
    }
}

#[test]
fn success_goes_before_every_other_sign() {
    let receipt = json!({"success": true, "errorReason": "insufficient_funds"});
    answer(402).receipt(receipt).refused_v2("insufficient_funds").is(Class::Settled, Row::NotDelivered);
    answer(402)
        .receipt(failed("insufficient_funds", ""))
        .receipt(succeeded())
        .is(Class::Settled, Row::NotDelivered);
}

#[test]
fn a_receipt_counts_under_the_other_versions_name_too() {
    answer(200).receipt(succeeded()).paid_is(Version::One, Class::Settled, Row::Delivered);
    answer(200).header("x-payment-response", &succeeded()).is(Class::Settled, Row::Delivered);
}

#[test]
fn a_failure_with_a_transaction_is_unknown_and_keeps_it() {
    let verdict = answer(402).receipt(failed("insufficient_funds", "0xabc")).is(Class::Unknown, Row::Pending);
    assert_eq!(verdict.receipt.unwrap().transaction, "0xabc");
    answer(402).receipt(failed("settlement_pending", "")).is(Class::Unknown, Row::Pending);
}

#[test]
fn a_failure_is_rejected_only_for_a_reason_that_means_no_money_moved() {
    for reason in NOT_TAKEN {
        let verdict = answer(402).receipt(failed(reason, "")).is(Class::Rejected, Row::ReceiptRejected);
        assert_eq!(verdict.reason.as_deref(), Some(reason));
    }
    for reason in [
        "invalid_exact_evm_transaction_failed",
        "invalid_exact_evm_nonce_already_used",
        "unexpected_settle_error",
        "Insufficient_funds",
        "insufficient_funds ",
        "upstream error",
        "",
    ] {
        answer(402).receipt(failed(reason, "")).is(Class::Unknown, Row::ReceiptUnclear);
    }
    answer(402).receipt(json!({"success": false, "transaction": ""})).is(Class::Unknown, Row::ReceiptUnclear);
}

#[test]
fn a_used_nonce_proves_that_this_payment_was_settled() {
    let verdict = answer(402).refused_v2(NONCE_USED).is(Class::Settled, Row::NonceUsed);
    assert!(!verdict.delivered);
}

#[test]
fn a_refusal_of_version_2_is_rejected_only_for_a_known_reason() {
    for reason in NOT_TAKEN.into_iter().chain(["No matching payment requirements", "Payment required"]) {
        answer(402).refused_v2(reason).is(Class::Rejected, Row::RefusedV2);
    }
    for reason in ["unexpected_settle_error", "invalid_transaction_state", "payment required", ""] {
        answer(402).refused_v2(reason).is(Class::Unknown, Row::RefusedUnclear);
    }
    let no_error = json!({"x402Version": 2, "accepts": []});
    answer(402).header(header::OFFERS, &no_error).is(Class::Unknown, Row::RefusedUnclear);
}

#[test]
fn a_refusal_of_version_1_is_rejected_only_for_a_known_reason() {
    let known = ["Unable to find matching payment requirements", "X-PAYMENT header is required"];
    for reason in NOT_TAKEN.into_iter().chain(known) {
        answer(402).refused_v1(reason).paid_is(Version::One, Class::Rejected, Row::RefusedV1);
    }
    for reason in [
        "invalid_transaction_state",
        "unexpected_settle_error",
        "Invalid character",
        NONCE_USED,
        "Unexpected token",
        "",
    ] {
        answer(402).refused_v1(reason).paid_is(Version::One, Class::Unknown, Row::RefusedUnclear);
    }
}

#[test]
fn a_402_with_no_x402_in_it_is_unknown() {
    for body in [
        json!({}),
        json!({"error": "insufficient_balance"}),
        json!({"error": "insufficient_funds"}),
        json!([]),
    ] {
        for version in [Version::One, Version::Two] {
            answer(402).body(body.clone()).paid_is(version, Class::Unknown, Row::RefusedUnclear);
        }
    }
}

#[test]
fn a_refusal_in_the_other_version_is_believed_only_when_it_saw_no_payment() {
    answer(402).refused_v2("Payment required").paid_is(Version::One, Class::Rejected, Row::RefusedV2);
    answer(402).refused_v1("X-PAYMENT header is required").is(Class::Rejected, Row::RefusedV1);
    answer(402).refused_v2("insufficient_funds").paid_is(Version::One, Class::Unknown, Row::RefusedUnclear);
    answer(402).refused_v2(NONCE_USED).paid_is(Version::One, Class::Unknown, Row::RefusedUnclear);
    answer(402).refused_v1("insufficient_funds").is(Class::Unknown, Row::RefusedUnclear);
}

#[test]
fn of_refusals_in_both_versions_the_worse_one_counts() {
    let both = |v1, v2| answer(402).refused_v1(v1).refused_v2(v2);
    let unclear = both("invalid_transaction_state", "Payment required");
    unclear.paid_is(Version::One, Class::Unknown, Row::RefusedUnclear);
    let verdict =
        both("insufficient_funds", "Payment required").paid_is(Version::One, Class::Rejected, Row::RefusedV1);
    assert_eq!(verdict.reason.as_deref(), Some("insufficient_funds"));
    both("X-PAYMENT header is required", "insufficient_funds").is(Class::Rejected, Row::RefusedV2);
}

#[test]
fn offers_that_cannot_be_read_make_a_refusal_unclear() {
    let mut garbage = answer(402).refused_v1("insufficient_funds");
    garbage.headers.insert(header::OFFERS, http::HeaderValue::from_static("garbage!"));
    garbage.paid_is(Version::One, Class::Unknown, Row::RefusedUnclear);
    for other in [json!({"x402Version": 3}), json!({}), json!([])] {
        let answer = answer(402).refused_v1("insufficient_funds").header(header::OFFERS, &other);
        answer.paid_is(Version::One, Class::Unknown, Row::RefusedUnclear);
    }
}

#[test]
fn a_2xx_without_a_receipt_is_delivered_and_unknown() {
    assert!(answer(200).is(Class::Unknown, Row::NoReceipt).delivered);
}

#[test]
fn any_other_status_without_a_receipt_is_unknown() {
    for status in [302, 400, 401, 404, 408, 409, 413, 429, 500, 502, 503, 504] {
        let verdict = answer(status).refused_v1("insufficient_funds").refused_v2("insufficient_funds");
        assert!(!verdict.is(Class::Unknown, Row::Failed).delivered);
    }
}

#[test]
fn no_answer_and_a_broken_one_are_unknown() {
    let verdict = sent(Version::Two).classify(None);
    assert_eq!((verdict.class, verdict.row), (Class::Unknown, Row::Broken));
    answer(200).cut().is(Class::Unknown, Row::Broken);
    answer(402).refused_v2("insufficient_funds").cut().is(Class::Unknown, Row::Broken);
    let verdict = answer(402).receipt(failed("insufficient_funds", "")).cut().is(Class::Unknown, Row::Broken);
    assert!(verdict.receipt.is_some());
}

#[test]
fn a_receipt_that_cannot_be_read_is_unknown_even_beside_a_refusal() {
    for receipt in [
        json!({}),
        json!([]),
        json!({"success": "true", "transaction": "0x"}),
        json!({"success": 1}),
        json!({"success": null}),
        json!({"success": false, "errorReason": "insufficient_funds"}),
        json!({"success": false, "errorReason": "insufficient_funds", "transaction": null}),
    ] {
        answer(402).receipt(receipt).refused_v2("insufficient_funds").is(Class::Unknown, Row::Broken);
    }
    for garbage in ["", "garbage!", "eyJzdWNjZXNzIjp0cnVl"] {
        let mut answer = answer(200);
        answer.headers.insert("payment-response", http::HeaderValue::from_static(garbage));
        let verdict = answer.is(Class::Unknown, Row::Broken);
        assert!(verdict.delivered, "what came with it is kept");
    }
}

#[test]
fn a_receipt_about_another_payment_stays_settled_with_a_warning_and_clears_nothing() {
    let foreign = json!({"network": "eip155:8453", "payer": "0x90F79bf6EB2c4f870365E785982E1f101E93b906"});
    for (mut receipt, class, row) in [
        (succeeded(), Class::Settled, Row::Delivered),
        (failed("insufficient_funds", ""), Class::Unknown, Row::ReceiptUnclear),
    ] {
        receipt["network"] = foreign["network"].clone();
        assert_eq!(answer(200).receipt(receipt.clone()).is(class, row).mismatches, [Mismatch::Network]);
        receipt["payer"] = foreign["payer"].clone();
        let verdict = answer(200).receipt(receipt).is(class, row);
        assert_eq!(verdict.mismatches, [Mismatch::Payer, Mismatch::Network]);
    }
}

#[test]
fn a_receipt_names_the_payer_and_the_network_in_any_case_and_form() {
    for network in ["EIP155:84532", "base-sepolia", "Base-Sepolia"] {
        let mut receipt = succeeded();
        receipt["network"] = json!(network);
        receipt["payer"] = json!(PAYER.to_lowercase());
        assert_eq!(answer(200).receipt(receipt).is(Class::Settled, Row::Delivered).mismatches, []);
    }
}

#[test]
fn what_is_known_only_rises() {
    use Class::{Rejected, Settled, Unknown};
    assert_eq!(Rejected.after(None), Rejected);
    assert_eq!(Rejected.after(Some(Unknown)), Unknown);
    assert_eq!(Rejected.after(Some(Settled)), Settled);
    assert_eq!(Unknown.after(Some(Settled)), Settled);
    assert_eq!(Unknown.after(Some(Rejected)), Unknown);
    assert_eq!(Settled.after(Some(Unknown)), Settled);
}

#[test]
fn a_transaction_that_was_named_stays_named() {
    let receipt =
        |reason, transaction| answer(402).receipt(failed(reason, transaction)).verdict(Version::Two);
    let pending = || receipt("settlement_pending", "0xabc").receipt;
    for later in [answer(502).verdict(Version::Two), receipt("boom", "")] {
        let kept = later.keeping(pending()).receipt.unwrap();
        assert_eq!(
            (kept.transaction.as_str(), kept.error_reason.as_deref()),
            ("0xabc", Some("settlement_pending"))
        );
    }
    let newer = receipt("boom", "0xdef").keeping(pending()).receipt.unwrap();
    assert_eq!(newer.transaction, "0xdef");
    let unnamed = receipt("boom", "").keeping(receipt("earlier", "").receipt).receipt.unwrap();
    assert_eq!(unnamed.error_reason.as_deref(), Some("boom"));
    assert_eq!(answer(502).verdict(Version::Two).keeping(None).receipt, None);
}

#[test]
fn the_same_payment_is_sent_again_once_for_a_route_while_the_caller_waits_and_time_is_left() {
    let unknown = sent(Version::Two).classify(None);
    let resend =
        Resend { asked: Asked::Route, caller: Caller::Waits, sent: 1, now_unix: 1000, valid_before: 1011 };
    assert!(resend.may_follow(&unknown));
    for not in [
        Resend { asked: Asked::Execute, ..resend },
        Resend { caller: Caller::Gone, ..resend },
        Resend { sent: 2, ..resend },
        Resend { valid_before: 1010, ..resend },
        Resend { valid_before: 0, ..resend },
    ] {
        assert!(!not.may_follow(&unknown), "{not:?}");
    }
}

#[test]
fn the_same_payment_is_sent_again_only_when_nothing_is_proved() {
    let resend =
        Resend { asked: Asked::Route, caller: Caller::Waits, sent: 1, now_unix: 0, valid_before: 60 };
    for (answer, may) in [
        (answer(200).receipt(succeeded()), false),
        (answer(500).receipt(succeeded()), false),
        (answer(402).receipt(failed("settlement_pending", "0xab")), true),
        (answer(402).receipt(failed("insufficient_funds", "")), false),
        (answer(402).receipt(failed("unexpected_settle_error", "")), true),
        (answer(402).refused_v2(NONCE_USED), false),
        (answer(402).refused_v2("insufficient_funds"), false),
        (answer(402).refused_v2("unexpected_settle_error"), true),
        (answer(402), true),
        (answer(200), false),
        (answer(503), true),
        (answer(200).cut(), true),
        (answer(200).receipt(json!({})), false),
    ] {
        let verdict = answer.verdict(Version::Two);
        assert_eq!(resend.may_follow(&verdict), may, "{:?}", verdict.row);
    }
}
