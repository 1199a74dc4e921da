//! The open rail against a server that checks signatures for real: what is paid, what is refused, and what is known of the
//! money whatever the server says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amply_sandbox::{Fault, Offering, OpenPayments, Sandbox, Settling};
use amply_sdk::{
    Address, Client, Error, Event, ExecuteRequest, LocalSigner, Network, PaymentState, Rail, Refusal,
    RemoteSigner, RouteRequest, SignError, Signer, SpendPolicy, Store, Target, Usd,
};
use amply_tests::Log;
use amply_tests::paying::{
    KEY, address, asked, asking_for, client_of, credited, open_policy, outcome, paid_requests, refusal,
    service_of, signing, started, states, usd,
};
use serde_json::json;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The first reason of a refusal.
fn reason(error: &Error) -> &str {
    match error {
        Error::PaymentRefused { reasons, .. } => reasons.first().map_or("none", Refusal::code),
        error => error.code(),
    }
}

#[tokio::test]
async fn a_route_is_paid_for_in_each_form_that_an_offer_may_have() {
    for payments in
        [OpenPayments::v1(), OpenPayments::v2(), OpenPayments::both(), OpenPayments::in_amply_object()]
    {
        let sandbox = asking_for(payments.clone()).await;
        let store = Store::in_memory();
        let client = signing(&sandbox, &store).build().unwrap();
        let route = client.route_task("store 1M vectors").await.unwrap();
        assert_eq!((route.recommended.as_str(), route.meta().attempts()), ("qdrant", 2), "{payments:?}");
        assert_eq!(route.meta().paid_usd(), Some(usd("0.01")));

        let payment = store.payments().list().await.unwrap().remove(0);
        assert_eq!(
            (payment.rail, payment.state, payment.amount),
            (Rail::X402, PaymentState::Settled, usd("0.01"))
        );
        assert_eq!(payment.calls[0].route_id, route.route_id);
        let open = payment.open.unwrap();
        let settled = sandbox.control().settlements();
        assert_eq!(settled.len(), 1, "{payments:?}");
        assert_eq!(
            (&settled[0].nonce, &settled[0].pay_to, &settled[0].value),
            (&open.nonce, &open.pay_to, &"10000".to_owned())
        );
        assert_eq!(Some(&settled[0].transaction), open.transaction.as_ref());
        assert_eq!(
            (open.network.as_str(), settled[0].from.as_str()),
            ("eip155:84532", &*address().to_string())
        );
        // What was paid for is in the books too.
        let answer = store.payments().answer(&payment.id).await.unwrap().unwrap();
        assert_eq!((answer.status, &*answer.body), (200, route.text().as_bytes()));
    }
}

/// What a server may do with a signature, and what is said of the money. Each row: what the caller is told, what the books
/// say, how often the money moved, and how often the request with the payment was sent.
#[tokio::test]
async fn whatever_the_server_does_with_a_signature_there_is_one_and_the_books_know_what_is_known() {
    let v2 = OpenPayments::v2;
    let as_asked = Settling::as_asked;
    let nothing = Settling::nothing;
    for (what, payments, settling, told, state, moved, sent) in [
        ("v2, as it should be", v2(), as_asked(), "answer", "settled", 1, 1),
        ("v1, as it should be", OpenPayments::v1(), as_asked(), "answer", "settled", 1, 1),
        (
            "refused before the handler",
            v2(),
            Settling::refused("invalid_exact_evm_signature"),
            "payment_failed",
            "rejected",
            0,
            1,
        ),
        (
            "v1, refused",
            OpenPayments::v1(),
            Settling::refused("insufficient_funds"),
            "payment_failed",
            "rejected",
            0,
            1,
        ),
        (
            "a failure that is none",
            v2(),
            nothing().says_failed("insufficient_funds"),
            "payment_failed",
            "rejected",
            0,
            1,
        ),
        // The second time it says that the nonce was used: so the first was taken, and the answer is lost.
        (
            "settled, and says failed",
            v2(),
            as_asked().says_failed("boom").first(1),
            "payment_not_applied",
            "settled_not_applied",
            1,
            2,
        ),
        (
            "v1, settled, and says failed",
            OpenPayments::v1(),
            as_asked().says_failed("boom"),
            "payment_unknown",
            "unknown",
            1,
            2,
        ),
        (
            "failed with a transaction",
            v2(),
            nothing().says_failed_with_transaction("boom"),
            "payment_unknown",
            "unknown",
            0,
            2,
        ),
        (
            "settled, and answers 502",
            v2(),
            as_asked().answers(502).first(1),
            "payment_not_applied",
            "settled_not_applied",
            1,
            2,
        ),
        ("not settled, answers 502", v2(), nothing().answers(502).first(1), "answer", "settled", 1, 2),
        ("settled without a receipt", v2(), as_asked().without_receipt(), "answer", "unknown", 1, 1),
        ("a garbage receipt", v2(), as_asked().garbage_receipt(), "answer", "unknown", 1, 1),
        ("the handler fails", v2(), as_asked().handler_fails(), "payment_unknown", "unknown", 0, 2),
        // It says that it did, which is all that anybody here can know.
        ("says so, and no money moved", v2(), nothing(), "answer", "settled", 0, 1),
    ] {
        let sandbox = asking_for(payments).await;
        sandbox.control().settling(settling);
        let store = Store::in_memory();
        let client = signing(&sandbox, &store).build().unwrap();
        let told_now = match client.route_task("store 1M vectors").await {
            Ok(_) => "answer".to_owned(),
            Err(error) => {
                let moved = error.code() != "payment_failed";
                assert_eq!(error.may_have_been_charged(), moved, "{what}: {error}");
                assert!(error.payment_problem().unwrap().payment_id().is_some(), "{what}: {error}");
                error.code().to_owned()
            }
        };
        assert_eq!((told_now.as_str(), states(&store).await), (told, vec![state.to_owned()]), "{what}");
        assert_eq!(sandbox.control().settlements().len(), moved, "{what}");
        assert_eq!(paid_requests(&sandbox), sent, "{what}");
        let nonces: std::collections::HashSet<String> = sandbox
            .control()
            .calls()
            .into_iter()
            .flat_map(|call| call.headers)
            .filter(|(name, _)| name == "payment-signature" || name == "x-payment")
            .map(|(_, value)| value)
            .collect();
        assert_eq!(nonces.len(), 1, "{what}: one signature for a call, ever");
        // A signature that has left the process counts, whatever the server said.
        let tight = signing(&sandbox, &store)
            .spend_policy(
                SpendPolicy::default().per_request(usd("0.10")).per_day(usd("0.015")).per_process_only(),
            )
            .build()
            .unwrap();
        sandbox.control().clear_settlings();
        assert_eq!(outcome(&tight).await, "spend_limit", "{what}");
    }
}

#[tokio::test]
async fn what_must_not_be_signed_is_refused_with_its_reason_and_no_payment_is_sent() {
    const MAINNET_USDC: &str = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
    for (offering, expected) in [
        (Offering::new().amount("1000999.9999999999"), "bad_amount"),
        (Offering::new().amount("-1"), "bad_amount"),
        (Offering::new().amount("0"), "bad_amount"),
        (Offering::new().amount(10_000), "bad_amount"),
        (Offering::new().asset(MAINNET_USDC), "unknown_asset"),
        (Offering::new().set("/network", "eip155:1"), "network_not_allowed"),
        (Offering::new().set("/network", "solana:mainnet"), "unknown_network"),
        (Offering::new().set("/scheme", "upto"), "unknown_scheme"),
        (Offering::new().set("/extra/assetTransferMethod", "permit2"), "unsupported_transfer_method"),
        (Offering::new().upfront(), "unsupported_payment_flow"),
        (Offering::new().set("/extra/paymentFlow", "escrow"), "unsupported_payment_flow"),
        (Offering::new().set("/extra/name", "Tether"), "domain_mismatch"),
        (Offering::new().pay_to("0x0000000000000000000000000000000000000000"), "bad_pay_to"),
        (Offering::new().pay_to("nobody"), "bad_pay_to"),
        (Offering::new().pay_to(&address().to_string()), "bad_pay_to"),
        (Offering::new().set("/maxTimeoutSeconds", 9), "bad_timeout"),
        (Offering::new().set("/maxTimeoutSeconds", 601), "bad_timeout"),
        (Offering::new().resource("https://evil.example/route"), "foreign_resource"),
        (Offering::new().set_around("/accepts", json!({"not": "a list"})), "malformed_offers"),
        (Offering::new().set_around("/x402Version", 3), "unknown_version"),
        (Offering::new().amount("100001"), "spend_limit"),
    ] {
        let sandbox = asking_for(OpenPayments::v2()).await;
        sandbox.control().offering(offering.clone());
        let store = Store::in_memory();
        let client = signing(&sandbox, &store).build().unwrap();
        let error = refusal(&client).await;
        let said = reason(&error);
        assert!(
            said == expected || (said == "offer" && expected == "offer"),
            "{offering:?}: {said}, {error}"
        );
        assert!(!error.may_have_been_charged());
        assert_eq!((paid_requests(&sandbox), states(&store).await.len()), (0, 0), "{offering:?}");
    }
    // A header that is no header of offers.
    for header in ["%%%", "eyJhIjoi_-A_In0=", &"A".repeat(64 * 1024 + 4)] {
        let sandbox = asking_for(OpenPayments::v2()).await;
        sandbox.control().fault(Fault::on("/route").status(402).header("PAYMENT-REQUIRED", header));
        let client = signing(&sandbox, &Store::in_memory()).build().unwrap();
        assert_eq!(reason(&refusal(&client).await), "malformed_header");
        assert_eq!(paid_requests(&sandbox), 0);
    }
}

#[tokio::test]
async fn an_offer_that_cannot_be_read_does_not_spoil_the_one_beside_it() {
    let sandbox = started(
        Sandbox::builder().open_payments(
            OpenPayments::v2()
                .networks([amply_sandbox::Network::Base, amply_sandbox::Network::BaseSepolia])
                .also_without_principal(),
        ),
    )
    .await;
    let store = Store::in_memory();
    // The first is on a network that is not listed, the second is.
    assert_eq!(outcome(&signing(&sandbox, &store).build().unwrap()).await, "answer");
    assert_eq!(store.payments().list().await.unwrap()[0].open.as_ref().unwrap().network, "eip155:84532");
}

#[tokio::test]
async fn nobody_signs_without_a_policy_a_cap_for_a_request_and_a_network() {
    let sandbox = asking_for(OpenPayments::v2()).await;
    let signer = || LocalSigner::from_hex(KEY).unwrap();
    let build = |policy: Option<SpendPolicy>, networks: Vec<Network>| {
        let builder = Client::builder().base_url(sandbox.url()).x402(signer(), networks);
        match policy {
            Some(policy) => builder.spend_policy(policy).build(),
            None => builder.build(),
        }
    };
    let base = || vec![Network::BASE_SEPOLIA];
    let capless = SpendPolicy::default().per_day(Usd::dollars(1)).per_process_only();
    for (client, says) in [
        (build(None, base()), "needs a spend policy"),
        (build(Some(capless), base()), "needs a cap for one request"),
        (build(Some(open_policy()), vec![]), "on no network"),
    ] {
        let error = client.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let unpaid = Client::builder().base_url(sandbox.url()).build().unwrap();
    assert_eq!(outcome(&unpaid).await, "payment_required");
    let error = LocalSigner::from_hex("0xno-key-at-all-but-secret").unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test]
async fn the_first_payee_of_a_server_is_kept_unless_the_policy_says_otherwise() {
    let other: Address = "0x00000000000000000000000000000000000000aa".parse().unwrap();
    for (policy, second) in [
        (open_policy(), "foreign_pay_to"),
        (open_policy().any_pay_to(), "answer"),
        (open_policy().pay_to(Network::BASE_SEPOLIA, other), "answer"),
    ] {
        let sandbox = asking_for(OpenPayments::v2()).await;
        let store = Store::in_memory();
        let client = signing(&sandbox, &store).spend_policy(policy.clone()).build().unwrap();
        // A list is a list: the first payee is then not on it.
        let first = client.route_task("x").await;
        let listed = policy != open_policy() && policy != open_policy().any_pay_to();
        assert_eq!(first.is_ok(), !listed, "{first:?}");
        sandbox.control().offering(Offering::new().pay_to(&other.to_string()));
        let told = match client.route_task("x").await {
            Ok(_) => "answer".to_owned(),
            Err(error) => reason(&error).to_owned(),
        };
        assert_eq!(told, second, "{policy:?}");
    }
}

#[tokio::test]
async fn another_payee_in_the_second_402_is_not_paid_too() {
    let sandbox = asking_for(OpenPayments::v2()).await;
    sandbox.control().offering(Offering::new().changing_pay_to());
    let store = Store::in_memory();
    let client = signing(&sandbox, &store).build().unwrap();
    let told = outcome(&client).await;
    assert_ne!(told, "answer");
    assert_eq!(sandbox.control().settlements().len(), 0);
    assert_eq!(store.payments().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_keeps_refusing_gets_no_more_signatures_for_a_while() {
    let sandbox = asking_for(OpenPayments::v2()).await;
    sandbox.control().settling(Settling::refused("invalid_exact_evm_signature"));
    let store = Store::in_memory();
    let client = signing(&sandbox, &store).build().unwrap();
    for _ in 0..3 {
        assert_eq!(outcome(&client).await, "payment_failed");
    }
    let error = refusal(&client).await;
    assert_eq!(reason(&error), "origin_keeps_rejecting");
    assert!(error.to_string().contains("invalid_exact_evm_signature"), "{error}");
    assert_eq!(paid_requests(&sandbox), 3);
}

#[tokio::test]
async fn where_both_rails_are_offered_the_first_that_was_set_is_used_and_never_the_other_after_it() {
    let both = || Sandbox::builder().open_payments(OpenPayments::in_amply_object());
    for (wallet_first, fails) in [(true, false), (false, false), (true, true), (false, true)] {
        let sandbox = started(both()).await;
        let store = Store::in_memory();
        let signer = LocalSigner::from_hex(KEY).unwrap();
        let policy =
            SpendPolicy::per_topup(usd("5")).per_request(usd("0.10")).per_day(usd("5")).per_process_only();
        let builder = client_of(&sandbox, &store).spend_policy(policy);
        let client = match wallet_first {
            true => builder.wallet_payer(service_of(&sandbox)).x402(signer, [Network::BASE_SEPOLIA]),
            false => builder.x402(signer, [Network::BASE_SEPOLIA]).wallet_payer(service_of(&sandbox)),
        };
        let client = client.build().unwrap();
        if fails {
            sandbox.control().fault(Fault::on("/topup").status(401));
            sandbox.control().settling(Settling::refused("insufficient_funds"));
        }
        let expected = if fails { "payment_failed" } else { "answer" };
        assert_eq!(outcome(&client).await, expected, "wallet first: {wallet_first}, fails: {fails}");
        let (topups, signatures) = (asked(&sandbox, "/topup"), paid_requests(&sandbox));
        assert_eq!((topups, signatures), if wallet_first { (1, 0) } else { (0, 1) });
        assert_eq!(credited(&sandbox).len(), usize::from(wallet_first && !fails));
        let rail = store.payments().list().await.unwrap()[0].rail;
        assert_eq!(rail, if wallet_first { Rail::Wallet } else { Rail::X402 });
    }
}

#[tokio::test]
async fn an_answer_that_was_paid_for_is_kept_when_its_caller_has_gone_and_given_to_the_next() {
    let sandbox = asking_for(OpenPayments::v2()).await;
    sandbox.control().fault(Fault::on("/route").nth(2).after_effect().delay(ms(4_000)));
    let store = Store::in_memory();
    let client = signing(&sandbox, &store).timeout(ms(2_000)).build().unwrap();
    let request = || RouteRequest::new("store 1M vectors").idempotency_key("nightly-7");
    let error = client.route_task(request()).await.unwrap_err();
    assert_eq!(error.code(), "payment_unknown", "{error}");
    client.close(Duration::ZERO).await;
    assert_eq!(states(&store).await, ["settled"]);

    // The same job again: the answer that was paid for, and nothing is paid.
    let again = signing(&sandbox, &store).build().unwrap();
    let route = again.route_task(request()).await.unwrap();
    assert_eq!(route.recommended, "qdrant");
    assert_eq!((sandbox.control().settlements().len(), paid_requests(&sandbox)), (1, 1));
    let kept = store.payments().answer(&store.payments().list().await.unwrap()[0].id).await.unwrap().unwrap();
    assert_eq!(route.text().as_bytes(), &*kept.body);
}

#[tokio::test]
async fn a_signer_that_cannot_or_signs_wrongly_pays_nothing() {
    let wrong = |signer: RemoteSigner, says: &'static str| (signer, says);
    let other =
        LocalSigner::from_hex("0x2222222222222222222222222222222222222222222222222222222222222222").unwrap();
    let other = Arc::new(other);
    for (signer, says) in [
        wrong(
            RemoteSigner::new(address(), |_| async { Err(SignError::Failed("the vault is sealed".into())) }),
            "sealed",
        ),
        wrong(RemoteSigner::new(address(), |_| async { Ok([7; 65]) }), "no signature"),
        wrong(
            RemoteSigner::new(address(), move |digest| {
                let other = other.clone();
                async move { other.sign_digest(digest).await }
            }),
            "is not by",
        ),
        wrong(RemoteSigner::new(address(), |_| async { panic!("a signer that panics") }), "panicked"),
        wrong(RemoteSigner::new(address(), |_| std::future::pending()), "did not answer within 0.2 s"),
    ] {
        let sandbox = asking_for(OpenPayments::v2()).await;
        let store = Store::in_memory();
        let client = Client::builder()
            .base_url(sandbox.url())
            .store(store.clone())
            .spend_policy(open_policy())
            // Where the limit is not what it is about, there is time to say where a panic was.
            .payer_timeout(if says.starts_with("did not answer") { ms(200) } else { ms(10_000) })
            .x402(signer, [Network::BASE_SEPOLIA])
            .build()
            .unwrap();
        let error = refusal(&client).await;
        assert_eq!(error.code(), "payment_failed");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!((paid_requests(&sandbox), states(&store).await), (0, vec!["rejected".to_owned()]));
        // Nothing left the process, so nothing counts.
        let tight = SpendPolicy::default().per_request(usd("0.01")).per_day(usd("0.01")).per_process_only();
        let next = signing(&sandbox, &store).spend_policy(tight).build().unwrap();
        assert_eq!(outcome(&next).await, "answer");
    }
}

#[tokio::test]
async fn a_signer_that_blocks_its_thread_stops_neither_its_limit_nor_another_signature() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let signer = RemoteSigner::new(address(), move |_| {
        // Until the test lets it go, or ends.
        let _ = released.lock().unwrap().recv();
        async { Err(SignError::Failed("too late".into())) }
    });
    let sandbox = asking_for(OpenPayments::v2()).await;
    let store = Store::in_memory();
    let blocked = signing(&sandbox, &store)
        .x402(signer, [Network::BASE_SEPOLIA])
        .payer_timeout(ms(1_000))
        .timeout(ms(8_000))
        .build()
        .unwrap();
    let waiting = tokio::spawn(async move { refusal(&blocked).await });
    let other = signing(&sandbox, &store).timeout(ms(8_000)).build().unwrap();
    assert_eq!(outcome(&other).await, "answer");
    let error = waiting.await.unwrap();
    assert_eq!(error.code(), "payment_failed", "{error}");
    assert!(error.to_string().contains("the signer did not answer within 1 s"), "{error}");
    let mut ended = states(&store).await;
    ended.sort();
    assert_eq!((ended, paid_requests(&sandbox)), (vec!["rejected".to_owned(), "settled".to_owned()], 1));
    drop(release);
}

#[tokio::test]
async fn an_answer_that_was_paid_for_is_given_again_for_its_own_server_and_key_alone() {
    let (first, second) = (asking_for(OpenPayments::v2()).await, asking_for(OpenPayments::v2()).await);
    let store = Store::in_memory();
    let request = || RouteRequest::new("store 1M vectors").idempotency_key("nightly-7");
    signing(&first, &store).build().unwrap().route_task(request()).await.unwrap();
    let id = store.payments().list().await.unwrap().remove(0).id;
    for builder in [signing(&second, &store), signing(&first, &store).api_key(first.user_key())] {
        let error = builder.build().unwrap().route_task(request()).await.unwrap_err();
        assert_eq!(error.code(), "payment_not_applied", "{error}");
        assert!(error.to_string().contains("for another request, server or key"), "{error}");
        assert_eq!(error.payment_problem().unwrap().payment_id(), Some(&*id));
    }
    assert_eq!((paid_requests(&first), paid_requests(&second)), (1, 0));
    // The job's own server gives it again.
    signing(&first, &store).build().unwrap().route_task(request()).await.unwrap();
    assert_eq!(paid_requests(&first), 1);
}

#[tokio::test]
async fn an_answer_that_was_paid_for_is_given_again_to_the_same_request_alone() {
    let sandbox = asking_for(OpenPayments::v2()).await;
    let store = Store::in_memory();
    let client = signing(&sandbox, &store).build().unwrap();
    let route = |task: &str| RouteRequest::new(task).idempotency_key("nightly-7");
    let execution = || {
        ExecuteRequest::at_target(
            route("store 1M vectors"),
            Target::new("https://runtime.example/run").unwrap(),
        )
    };
    client.route_task(route("store 1M vectors")).await.unwrap();
    let id = store.payments().list().await.unwrap().remove(0).id;
    let other = client.route_task(route("store 2M vectors")).await.unwrap_err();
    let executed = client.execute(execution()).await.unwrap_err();
    for error in [other, executed] {
        assert_eq!(error.code(), "payment_not_applied", "{error}");
        assert!(error.to_string().contains("for another request, server or key"), "{error}");
        assert_eq!(error.payment_problem().unwrap().payment_id(), Some(&*id));
    }
    client.route_task(route("store 1M vectors")).await.unwrap();
    assert_eq!((paid_requests(&sandbox), sandbox.control().settlements().len()), (1, 1));
    // An execution is given again as one.
    let store = Store::in_memory();
    let client = signing(&sandbox, &store).build().unwrap();
    let first = client.execute(execution()).await.unwrap();
    let again = client.execute(execution()).await.unwrap();
    assert!(first.succeeded() && again.execution_id == first.execution_id, "{again:?}");
    assert_eq!(client.route_task(route("store 1M vectors")).await.unwrap_err().code(), "payment_not_applied");
    assert_eq!((paid_requests(&sandbox), sandbox.control().settlements().len()), (2, 2));
}

#[tokio::test]
async fn a_payment_follows_no_redirect() {
    let elsewhere = amply_tests::Scripted::answering("200 OK", "application/json", "{}");
    let sandbox = asking_for(OpenPayments::v2()).await;
    for to in [format!("{}/route", elsewhere.url()), format!("{}/status", sandbox.url())] {
        sandbox.control().clear_faults();
        sandbox.control().clear();
        sandbox.control().fault(Fault::on("/route").nth(2).status(308).header("Location", &to));
        sandbox.control().fault(Fault::on("/route").nth(3).status(308).header("Location", &to));
        let client = signing(&sandbox, &Store::in_memory()).build().unwrap();
        assert_eq!(outcome(&client).await, "payment_unknown");
        assert_eq!((elsewhere.connections(), asked(&sandbox, "/api/v1/status")), (0, 0));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn neither_the_key_nor_a_signature_is_in_a_log_an_error_an_event_or_a_file() {
    let folder = std::env::temp_dir().join(format!("amply-x402-leaks-{}", std::process::id()));
    let sandbox = asking_for(OpenPayments::v2()).await;
    sandbox.control().settling(Settling::nothing().says_failed("free text").nth(1));
    let store = Store::open(folder.join("store.db")).unwrap();
    let said = Arc::new(Mutex::new(String::new()));
    let observed = said.clone();
    let client = signing(&sandbox, &store)
        .on_event(move |event: &Event| observed.lock().unwrap().push_str(&format!("{event:?}")))
        .build()
        .unwrap();
    let log = Log::default();
    let mut text = {
        let _guard = log.start();
        format!("{:?} {:?} {client:?}", client.route_task("x").await, client.route_task("x").await)
    };
    text.push_str(&said.lock().unwrap());
    text.push_str(&log.text());
    text.push_str(&format!("{:?}", store.payments().list().await.unwrap()));
    drop(client);
    for entry in std::fs::read_dir(&folder).unwrap() {
        text.push_str(&String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let headers: Vec<String> = sandbox
        .control()
        .calls()
        .into_iter()
        .flat_map(|call| call.headers)
        .filter(|(name, _)| name == "payment-signature")
        .map(|(_, value)| value)
        .collect();
    assert!(headers.len() >= 2, "{headers:?}");
    for header in headers {
        assert!(!text.contains(&header), "a signed header came out");
    }
    assert!(!text.contains(KEY.trim_start_matches("0x")), "the key came out");
}
