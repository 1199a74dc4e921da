//! Every exchange recorded with the reference implementations of the open x402 protocol, with this client in the place of
//! the recorded one: the server's answers are the recorded ones, the signature is the client's own.
//!
//! A recording is in one of two tables; a new one that is in neither fails.

use std::collections::BTreeSet;

use amply_sdk::{Asset, Network, SpendPolicy};
use amply_tests::paying::open_policy;
use amply_tests::recording::{Response, recordings};
use amply_tests::x402_recording::{Case, Classified, cases, classes, ledger_state, play};

/// What a server says to the same payment when it comes once more, as it does once while nothing tells what became of it.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It does not come again: the first answer tells, or nothing was paid.
    Nothing,
    /// What is recorded as the second answer.
    Recorded,
    /// The same: nothing was taken, so the server goes through the same once more and fails alike.
    Same,
    /// The payment was taken, so its nonce is used: what is recorded of such a server in that case.
    Used(&'static str),
}
use Then::{Nothing, Recorded, Same, Used};

const V1_USED: Then = Used("v1-resend-after-unknown");
const V2_USED: Then = Used("v2-resend-after-unknown");

/// What the caller is told when these are played: by the classes of the recorded answers, or the reason for which nothing
/// is signed.
const REPLAYED: [(&str, Then, &str); 57] = [
    ("v1-above-cap", Nothing, "spend_limit"),
    ("v1-expired", Nothing, "payment_failed"),
    ("v1-fractional-amount", Nothing, "refused: bad_amount"),
    ("v1-handler-failed", Same, "payment_unknown"),
    ("v1-key-order-newer-client", Nothing, "answer"),
    ("v1-not-yet-valid", Nothing, "payment_failed"),
    ("v1-ok", Nothing, "answer"),
    ("v1-over-amount", Nothing, "answer"),
    // The replay is none of this client's: the first answer is there, so the payment is not sent again.
    ("v1-replay", Nothing, "answer"),
    ("v1-resend-after-not-settled", Recorded, "answer"),
    ("v1-resend-after-unknown", Recorded, "payment_unknown"),
    ("v1-settle-failed", Same, "payment_unknown"),
    ("v1-settle-failed-with-transaction", Same, "payment_unknown"),
    ("v1-settle-garbage-after-settling", V1_USED, "payment_unknown"),
    ("v1-settle-insufficient-funds", Nothing, "payment_failed"),
    ("v1-settle-truncated-200", V1_USED, "payment_unknown"),
    ("v1-two-offers-first", Nothing, "answer"),
    ("v1-two-offers-second", Nothing, "answer"),
    // The recorded client paid it.
    ("v1-unknown-asset", Nothing, "refused: unknown_asset"),
    ("v1-verify-insufficient-funds", Nothing, "payment_failed"),
    ("v1-wrong-amount", Nothing, "payment_failed"),
    ("v1-wrong-network", Nothing, "payment_failed"),
    ("v1-wrong-recipient", Nothing, "payment_failed"),
    ("v1-wrong-signature", Nothing, "payment_failed"),
    ("v2-above-cap", Nothing, "spend_limit"),
    ("v2-amply-both-rails", Nothing, "answer"),
    ("v2-both-versions", Nothing, "answer"),
    ("v2-expired", Nothing, "payment_failed"),
    ("v2-extensions", Nothing, "answer"),
    ("v2-extensions-not-echoed", Nothing, "answer"),
    ("v2-handler-failed", Same, "payment_unknown"),
    ("v2-lowercased-accepted", Nothing, "payment_failed"),
    ("v2-no-resource-no-extensions", Nothing, "answer"),
    ("v2-not-yet-valid", Nothing, "payment_failed"),
    ("v2-ok", Nothing, "answer"),
    ("v2-over-amount", Nothing, "payment_failed"),
    ("v2-payto-changes", Nothing, "payment_failed"),
    ("v2-permit2-offer", Nothing, "refused: unsupported_transfer_method"),
    ("v2-replay", Nothing, "answer"),
    ("v2-resend-after-not-settled", Recorded, "answer"),
    ("v2-resend-after-unknown", Recorded, "payment_not_applied"),
    ("v2-settle-failed", Same, "payment_unknown"),
    ("v2-settle-failed-with-transaction", Same, "payment_unknown"),
    ("v2-settle-garbage-after-settling", V2_USED, "payment_not_applied"),
    ("v2-settle-insufficient-funds", Nothing, "payment_failed"),
    ("v2-settle-timeout", V2_USED, "payment_not_applied"),
    ("v2-settle-truncated-200", V2_USED, "payment_not_applied"),
    ("v2-two-offers-first", Nothing, "answer"),
    ("v2-two-offers-second", Nothing, "answer"),
    ("v2-unknown-asset", Nothing, "refused: unknown_asset"),
    // The recorded clients paid these two.
    ("v2-upfront", Nothing, "refused: unsupported_payment_flow"),
    ("v2-upfront-handler-failed", Nothing, "refused: unsupported_payment_flow"),
    ("v2-verify-insufficient-funds", Nothing, "payment_failed"),
    ("v2-wrong-amount", Nothing, "payment_failed"),
    ("v2-wrong-network", Nothing, "payment_failed"),
    ("v2-wrong-recipient", Nothing, "payment_failed"),
    ("v2-wrong-signature", Nothing, "payment_failed"),
];

/// Recordings that this client cannot take part in.
const NOT_REPLAYED: [(&str, Why); 5] = [
    ("v1-malformed-header", Why::PaidUnasked),
    ("v1-ok-get", Why::Get),
    ("v2-malformed-header", Why::PaidUnasked),
    ("v2-ok-get", Why::Get),
    ("v2-x-payment-header", Why::PaidUnasked),
];

enum Why {
    /// It is about a GET; what this client pays for is asked for by POST.
    Get,
    /// The first request carries a payment already, so there is no 402 to answer.
    PaidUnasked,
}

/// What is refused as it is, and what the recorded answers come to where the policy allows it.
const ALLOWED: [(&str, &str); 3] = [
    ("v1-unknown-asset", "answer"),
    ("v2-upfront", "answer"),
    ("v2-upfront-handler-failed", "payment_not_applied"),
];

/// What the caller is told after answers of these classes; the last one came last.
fn told_of(classes: &[&Classified]) -> &'static str {
    let is_any = |class: &str| classes.iter().any(|classified| classified.class == class);
    match classes.last() {
        Some(last) if last.class == "settled" => "answer",
        _ if is_any("settled") || is_any("settled_not_delivered") => "payment_not_applied",
        _ if is_any("unknown") => "payment_unknown",
        _ => "payment_failed",
    }
}

/// The networks of the recorded client, the preferred one first.
fn networks(case: &str) -> &'static [Network] {
    match case {
        "v1-two-offers-first" | "v2-two-offers-first" => &[Network::BASE, Network::BASE_SEPOLIA],
        _ => &[Network::BASE_SEPOLIA],
    }
}

/// What a script answers, one after the other.
fn script(case: &Case, second: Option<&Response>, route: Option<&str>) -> Vec<Vec<u8>> {
    let first = case.paid().first().copied();
    let answers = case.challenge().into_iter().chain(first).chain(second);
    let body = |answer: &Response| if answer.status == 200 { route } else { None };
    answers.map(|answer| answer.bytes(body(answer))).collect()
}

#[test]
fn every_recording_is_replayed_or_named_with_the_reason_why_not() {
    let cases = cases();
    assert_eq!(cases.len(), 62);
    let named = REPLAYED.iter().map(|(name, ..)| *name).chain(NOT_REPLAYED.iter().map(|(name, _)| *name));
    let named: Vec<&str> = named.collect();
    let unique: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(unique, cases.keys().map(String::as_str).collect());
    assert_eq!(named.len(), unique.len(), "a recording is in both tables");

    for (name, ..) in REPLAYED {
        let first = &cases[name].exchange[0];
        let challenge = cases[name].challenge().unwrap();
        assert_eq!((first.request.method.as_str(), challenge.status), ("POST", 402), "{name}");
    }
    for (name, why) in NOT_REPLAYED {
        let case = &cases[name];
        match why {
            Why::Get => assert_eq!(case.exchange[0].request.method, "GET", "{name}"),
            Why::PaidUnasked => assert!(case.challenge().is_none(), "{name}"),
        }
    }
}

#[tokio::test]
async fn what_a_caller_is_told_and_the_ledger_says_is_what_the_recorded_answers_prove() {
    let (cases, classes, routes) = (cases(), classes(), recordings());
    let route = routes["apikey-route-ok"].response.body();
    for (name, then, told) in REPLAYED {
        let case = &cases[name];
        let paid = case.paid();
        let second = match then {
            Nothing => None,
            Recorded => Some((paid[1], &classes[name][1])),
            Same => Some((paid[0], &classes[name][0])),
            Used(other) => Some((cases[other].paid()[1], &classes[other][1])),
        };
        let answers: Vec<&Classified> =
            classes[name].first().into_iter().chain(second.map(|(_, class)| class)).collect();
        let (second, is_paid) = (second.map(|(answer, _)| answer), ledger_state(told).is_some());
        if is_paid {
            assert_eq!(told, told_of(&answers), "{name}: the table is not that of the classes");
        }

        // The recorded handler answered with no route; in its place stands one recorded from an Amply server.
        let played = play(script(case, second, Some(&route)), open_policy(), networks(name)).await;
        played.check(name, told, second.or(paid.first().copied()));
        let sent = if is_paid { answers.len() } else { 0 };
        assert_eq!(played.payments.len(), sent, "{name}");
        if told == "answer" {
            assert_eq!(played.body, route, "{name}");
        }
        if case.settled_authorizations > 0 {
            assert_ne!(played.told, "payment_failed", "{name}: money moved");
        } else {
            assert!(!["answer", "payment_not_applied"].contains(&told), "{name}: no money moved");
        }
        if let [(payment, _)] = played.ledger.as_slice() {
            let open = payment.open.as_ref().unwrap();
            let network = if name.ends_with("two-offers-first") { "eip155:8453" } else { "eip155:84532" };
            assert_eq!(
                (open.network.as_str(), payment.amount.to_string().as_str()),
                (network, "0.01"),
                "{name}"
            );
            assert_eq!(open.transaction, case.transaction(sent), "{name}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_was_paid_for_and_is_no_route_arrives_whole() {
    let cases = cases();
    for (name, then, _) in REPLAYED.into_iter().filter(|(.., told)| *told == "answer") {
        let case = &cases[name];
        let second = matches!(then, Recorded).then(|| case.paid()[1]);
        let played = play(script(case, second, None), open_policy(), networks(name)).await;
        let whole = second.unwrap_or(case.paid()[0]).body();
        assert_eq!((played.told.as_str(), played.may_have_been_charged), ("protocol", Some(true)), "{name}");
        let (payment, kept) = &played.ledger[0];
        assert_eq!((payment.state.as_str(), played.body.as_str()), ("settled", whole.as_str()), "{name}");
        assert_eq!(kept.as_ref().unwrap().body, whole.as_bytes(), "{name}");
    }
}

/// A server that took the money may refuse the same payment when it comes again, because there is nothing left to take.
#[tokio::test]
async fn a_refusal_of_the_second_sending_makes_nothing_rejected() {
    let cases = cases();
    let sent_again = REPLAYED.into_iter().filter(|(_, then, _)| !matches!(then, Nothing));
    for (name, ..) in sent_again {
        let refusal = if name.starts_with("v1") {
            "v1-verify-insufficient-funds"
        } else {
            "v2-verify-insufficient-funds"
        };
        let refused = cases[refusal].paid()[0];
        let played = play(script(&cases[name], Some(refused), None), open_policy(), networks(name)).await;
        played.check(name, "payment_unknown", Some(refused));
        assert_eq!(played.payments.len(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_transaction_that_was_named_is_kept_when_the_next_answer_names_none() {
    let cases = cases();
    let pending = &cases["v2-settle-failed-with-transaction"];
    for (second, told) in [
        (cases["v2-resend-after-unknown"].paid()[1], "payment_not_applied"),
        (cases["v2-settle-timeout"].paid()[0], "payment_unknown"),
    ] {
        let played = play(script(pending, Some(second), None), open_policy(), &[Network::BASE_SEPOLIA]).await;
        played.check("pending", told, Some(second));
        let (payment, _) = &played.ledger[0];
        assert_eq!(payment.open.as_ref().unwrap().transaction, pending.transaction(1));
        assert!(pending.transaction(1).is_some());
    }
}

#[tokio::test]
async fn what_the_policy_allows_is_paid_as_it_was_by_the_recorded_client() {
    let (cases, classes, routes) = (cases(), classes(), recordings());
    let route = routes["apikey-route-ok"].response.body();
    let token = "0x1111111111111111111111111111111111111111".parse().unwrap();
    let token = Asset::at_par(Network::BASE_SEPOLIA, token, "USDC", "2", 6).unwrap();
    let policy: SpendPolicy = open_policy().allow_upfront().asset(token);
    for (name, told) in ALLOWED {
        let case = &cases[name];
        assert_eq!(told, told_of(&classes[name].iter().collect::<Vec<_>>()), "{name}");
        let played = play(script(case, None, Some(&route)), policy.clone(), networks(name)).await;
        played.check(name, told, case.paid().first().copied());
        assert_eq!(played.payments.len(), 1, "{name}");
        let (payment, _) = &played.ledger[0];
        assert_eq!(payment.open.as_ref().unwrap().transaction, case.transaction(1), "{name}");
    }
}
