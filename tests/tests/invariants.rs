//! The ten promises about other people's money, one by one. What is asserted is what the caller is told, what the server saw,
//! and what is in the books.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amply_sandbox::{Challenge, Crediting, Fault, Sandbox};
use amply_sdk::{
    Client, Error, Event, Method, PaymentState, PrincipalPolicy, Receipt, RouteRequest, SpendPolicy, Store,
    TopUp, TopUpRequest, Usd, Verdict,
};
use amply_tests::Log;
use amply_tests::paying::{
    asked, broke, client_of, credited, nobody, outcome, paying, policy, refusal, service_of, started, states,
    usd,
};
use serde_json::Value;

const ROUTE: &str = "/api/v1/route";
const TOPUP: &str = "/topup";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test]
async fn invariant_1_opt_in_without_a_payer_and_a_policy_nothing_is_ever_paid() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    let unpaid = client_of(&sandbox, &store).build().unwrap();
    let error = refusal(&unpaid).await;
    assert_eq!(error.code(), "payment_required");
    let challenge = error.challenge().unwrap();
    assert_eq!((challenge.shortfall_usd, challenge.balance_usd), (Some(usd("0.01")), Some(Usd::ZERO)));
    assert_eq!(challenge.refusals(), []);
    assert_eq!(asked(&sandbox, ROUTE), 1);

    let policy_missing = Client::builder().base_url(sandbox.url()).wallet_payer(nobody).build().unwrap_err();
    assert!(policy_missing.to_string().contains("needs a spend policy"), "{policy_missing}");
    for (policy, says) in [
        (SpendPolicy::per_topup(Usd::dollars(5)), "no cap over time"),
        (SpendPolicy::per_topup(Usd::dollars(5)).per_day(Usd::dollars(5)), "needs a store that outlives"),
    ] {
        let client = Client::builder().base_url(sandbox.url()).wallet_payer(nobody).spend_policy(policy);
        let error = client.build().unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!((asked(&sandbox, TOPUP), credited(&sandbox).len()), (0, 0));
}

#[tokio::test]
async fn invariant_1_opt_in_only_a_route_is_paid_for() {
    let sandbox = broke().await;
    let client = client_of(&sandbox, &Store::in_memory()).wallet_payer(nobody).build().unwrap();
    let body = serde_json::json!({"task": "x"});
    let raw = client.request::<Value, _>(Method::POST, "/route", Some(&body)).await.unwrap_err();
    assert_eq!(raw.code(), "payment_required");
    sandbox.control().fault(Fault::on("/status").status(402));
    assert_eq!(client.status().await.unwrap_err().code(), "payment_required");
}

#[tokio::test]
async fn invariant_2_write_ahead_the_books_have_it_before_the_payer_is_asked() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    let books = store.clone();
    let payer = move |request: TopUpRequest| {
        let books = books.clone();
        async move {
            let payments = books.payments().list().await.unwrap();
            assert_eq!(payments.len(), 1);
            assert_eq!(payments[0].state, PaymentState::Sent);
            assert_eq!(payments[0].idempotency_key, request.idempotency_key);
            assert_eq!(payments[0].amount, request.amount_usd);
            TopUp::Rejected("seen".to_owned())
        }
    };
    let client = client_of(&sandbox, &store).wallet_payer(payer).build().unwrap();
    let error = refusal(&client).await;
    assert_eq!(error.code(), "payment_failed", "{error}");
    assert!(error.to_string().contains("seen"), "{error}");
    assert_eq!(states(&store).await, ["rejected"]);
}

#[tokio::test]
async fn invariant_3_once_a_settled_top_up_that_does_not_show_is_asked_for_unpaid_and_never_paid_again() {
    let sandbox = broke().await;
    sandbox.control().crediting(Crediting::nothing());
    let store = Store::in_memory();
    let client =
        client_of(&sandbox, &store).wallet_payer(service_of(&sandbox)).timeout(ms(3_000)).build().unwrap();
    let error = refusal(&client).await;
    assert_eq!(error.code(), "payment_not_applied", "{error}");
    assert!(error.may_have_been_charged());
    let id = error.payment_problem().unwrap().payment_id().unwrap().to_owned();
    // At once, after 0.25 s and after 1 s more; then the call's time is over.
    assert_eq!(asked(&sandbox, ROUTE), 1 + 3);
    assert_eq!(asked(&sandbox, TOPUP), 1);
    assert_eq!(states(&store).await, ["settled_not_applied"]);

    // Nobody else pays either, until the credit shows.
    let error = refusal(&client).await;
    assert_eq!(error.code(), "payment_unknown", "{error}");
    assert_eq!(error.payment_problem().unwrap().payment_id(), Some(&*id));
    assert_eq!(asked(&sandbox, TOPUP), 1);
    sandbox.control().set_balance(sandbox.user_key(), "0.005").unwrap();
    assert_eq!(outcome(&client).await, "payment_not_applied");
    assert_eq!(asked(&sandbox, TOPUP), 2);
    assert_eq!(states(&store).await, ["settled", "settled_not_applied"]);
}

#[tokio::test]
async fn invariant_3_once_a_credit_that_is_late_is_waited_for() {
    let sandbox = broke().await;
    sandbox.control().crediting(Crediting::as_asked().late(4));
    let store = Store::in_memory();
    let client = paying(&sandbox, &store);
    assert_eq!(outcome(&client).await, "answer");
    assert_eq!(asked(&sandbox, TOPUP), 1);
    assert_eq!(states(&store).await, ["settled"]);
}

#[tokio::test]
async fn invariant_3_once_a_server_that_asks_again_is_not_paid_again() {
    let sandbox = broke().await;
    sandbox.control().challenge(Challenge::new().even_if_covered());
    let store = Store::in_memory();
    let client =
        client_of(&sandbox, &store).wallet_payer(service_of(&sandbox)).timeout(ms(2_500)).build().unwrap();
    let error = refusal(&client).await;
    assert_eq!(error.code(), "payment_not_applied", "{error}");
    assert_eq!(credited(&sandbox), ["0.01"]);

    // Whatever it asks for then: more, in the past, elsewhere.
    for worse in [
        Challenge::new().shortfall(4).balance(0),
        Challenge::new().expired(),
        Challenge::new().top_up_path("//evil.example/pay"),
        Challenge::new().shortfall("NaN"),
    ] {
        let sandbox = broke().await;
        sandbox.control().challenge(Challenge::new().even_if_covered().first(1));
        sandbox.control().challenge(worse.even_if_covered());
        let store = Store::in_memory();
        let client = client_of(&sandbox, &store)
            .wallet_payer(service_of(&sandbox))
            .timeout(ms(2_500))
            .build()
            .unwrap();
        assert_eq!(refusal(&client).await.code(), "payment_not_applied");
        assert_eq!(credited(&sandbox), ["0.01"]);
    }
}

#[tokio::test]
async fn invariant_3_once_a_callers_key_that_led_a_payment_leads_no_other() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    let client = paying(&sandbox, &store);
    let nightly = RouteRequest::new("store 1M vectors").idempotency_key("nightly-42");
    assert!(client.route_task(&nightly).await.unwrap().meta().paid_usd() == Some(usd("0.01")));
    let error = client.route_task(&nightly).await.unwrap_err();
    assert_eq!(error.code(), "payment_not_applied", "{error}");
    assert_eq!(credited(&sandbox), ["0.01"]);
    assert_eq!(outcome(&client).await, "answer");
}

#[tokio::test]
async fn invariant_4_one_at_a_time_for_a_wallet_in_any_client() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    sandbox.control().fault(Fault::on(TOPUP).delay(ms(300)));
    let at_once = Arc::new(Mutex::new((0, 0)));
    let client = || {
        let (service, at_once) = (Arc::new(service_of(&sandbox)), at_once.clone());
        let payer = move |request: TopUpRequest| {
            let (service, at_once) = (service.clone(), at_once.clone());
            async move {
                {
                    let mut at_once = at_once.lock().unwrap();
                    at_once.0 += 1;
                    at_once.1 = at_once.1.max(at_once.0);
                }
                let paid = amply_sdk::Payer::top_up(&*service, &request).await;
                at_once.lock().unwrap().0 -= 1;
                paid
            }
        };
        client_of(&sandbox, &store).wallet_payer(payer).build().unwrap()
    };
    let clients: Vec<Client> = (0..4).map(|_| client()).collect();
    let calls = clients.iter().flat_map(|client| (0..4).map(move |_| client.clone()));
    let calls: Vec<_> = calls.map(|client| tokio::spawn(async move { outcome(&client).await })).collect();
    let mut answers = 0;
    for call in calls {
        match call.await.unwrap().as_str() {
            "answer" => answers += 1,
            // Of several clients one may use what another has paid for; its call never pays again.
            end => assert_eq!(end, "payment_not_applied"),
        }
    }
    assert!(answers >= 12, "{answers} of 16 were answered");
    assert_eq!(at_once.lock().unwrap().1, 1, "two payers were asked at once");
    assert!(states(&store).await.iter().all(|state| state == "settled"));
}

#[tokio::test]
async fn invariant_4_one_at_a_time_an_unknown_payment_holds_the_wallet_until_a_person_resolves_it() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    let times = Arc::new(Mutex::new(0));
    let counted = times.clone();
    let payer = move |_| {
        let mut times = counted.lock().unwrap();
        *times += 1;
        let answer = if *times == 1 {
            TopUp::Unknown("the line was cut".to_owned())
        } else {
            TopUp::Rejected("no".to_owned())
        };
        async move { answer }
    };
    let client = client_of(&sandbox, &store).wallet_payer(payer).timeout(ms(2_500)).build().unwrap();
    let first = refusal(&client).await;
    assert_eq!(first.code(), "payment_unknown", "{first}");
    let id = first.payment_problem().unwrap().payment_id().unwrap().to_owned();
    assert!(first.to_string().contains(&format!("amply payments resolve {id} settled")), "{first}");
    let second = refusal(&client).await;
    assert_eq!(second.payment_problem().unwrap().payment_id(), Some(&*id));
    assert_eq!(*times.lock().unwrap(), 1, "a payer that promises nothing is asked once");

    client.payments().resolve(&id, Verdict::Rejected).await.unwrap();
    assert_eq!(outcome(&client).await, "payment_failed");
    assert_eq!(states(&store).await, ["unknown, rejected", "rejected"]);
}

#[tokio::test]
async fn invariant_4_one_at_a_time_a_call_that_waits_goes_on_when_the_balance_suffices() {
    let sandbox = Arc::new(broke().await);
    let store = Store::in_memory();
    let wallet = sandbox.clone();
    // Nobody knows of the five cents; somebody else has put in one.
    let payer = move |_| {
        wallet.control().set_balance(wallet.user_key(), "0.01").unwrap();
        async { TopUp::Unknown("perhaps".to_owned()) }
    };
    let policy = policy().minimum_topup(usd("0.05"));
    let client = client_of(&sandbox, &store).spend_policy(policy).wallet_payer(payer).build().unwrap();
    assert_eq!(outcome(&client).await, "answer");
    assert_eq!(states(&store).await, ["unknown"]);
}

#[tokio::test]
async fn invariant_5_unknown_stays_unknown_and_is_asked_about_under_the_same_key_only() {
    let sandbox = broke().await;
    // The service does nothing the first time, and nobody knows.
    sandbox.control().fault(Fault::on(TOPUP).first(1).status(500));
    let store = Store::in_memory();
    let client =
        client_of(&sandbox, &store).wallet_payer(service_of(&sandbox)).timeout(ms(2_500)).build().unwrap();
    assert_eq!(outcome(&client).await, "payment_unknown");
    assert_eq!(asked(&sandbox, TOPUP), 1);
    assert_eq!(outcome(&client).await, "answer");
    let asked: Vec<_> = sandbox.control().calls().into_iter().filter(|call| call.path == TOPUP).collect();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].body, asked[1].body, "the same question to the byte");
    let key = |call: &amply_sandbox::Call| {
        call.headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, value)| value.clone())
    };
    assert!(key(&asked[0]).is_some() && key(&asked[0]) == key(&asked[1]));
    assert_eq!(states(&store).await, ["settled"]);
    assert_eq!(credited(&sandbox), ["0.01"]);
}

#[tokio::test]
async fn invariant_5_unknown_is_settled_by_a_balance_that_shows_all_of_it() {
    let sandbox = broke().await;
    // It is credited, and the answer is lost.
    sandbox.control().fault(Fault::on(TOPUP).first(1).after_effect().reset_before_headers());
    let store = Store::in_memory();
    let client = paying(&sandbox, &store);
    assert_eq!(outcome(&client).await, "answer");
    assert_eq!((asked(&sandbox, TOPUP), credited(&sandbox).len()), (1, 1));
    assert_eq!(states(&store).await, ["settled"]);
}

#[tokio::test]
async fn invariant_6_caps_hold_over_calls_clients_and_whatever_became_of_the_payments() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    let caps = SpendPolicy::per_topup(usd("0.02")).per_day(usd("0.03")).per_process_only();
    let client = |payer: TopUp| {
        let payer = move |_| {
            let payer = payer.clone();
            async move { payer }
        };
        client_of(&sandbox, &store)
            .spend_policy(caps.clone())
            .wallet_payer(payer)
            .timeout(ms(2_500))
            .build()
            .unwrap()
    };
    // What the payer denies counts for nothing; what nobody knows counts in full.
    for _ in 0..5 {
        assert_eq!(outcome(&client(TopUp::Rejected("no".to_owned()))).await, "payment_failed");
    }
    let lost = Receipt::new(usd("0.01"));
    assert_eq!(outcome(&client(TopUp::Settled(lost))).await, "payment_not_applied");
    sandbox.control().set_balance(sandbox.user_key(), "0.005").unwrap();
    sandbox.control().challenge(Challenge::new().shortfall(0.021).amount(0.021));
    let error = refusal(&client(TopUp::Rejected("no".to_owned()))).await;
    assert_eq!(error.code(), "spend_limit", "{error}");
    assert!(
        error.to_string().contains("0.03 USD are needed, and the cap of one top-up is 0.02 USD"),
        "{error}"
    );

    // A day's cap that is almost used up: two cents are left of three, and two are needed at most.
    sandbox.control().clear_challenges();
    let service = client_of(&sandbox, &store)
        .spend_policy(caps.clone())
        .wallet_payer(service_of(&sandbox))
        .build()
        .unwrap();
    for expected in ["answer", "answer", "spend_limit"] {
        assert_eq!(outcome(&service).await, expected);
        sandbox.control().set_balance(sandbox.user_key(), "0").unwrap();
    }
}

#[tokio::test]
async fn invariant_6_caps_a_request_that_costs_more_than_one_may_is_not_paid_for() {
    let sandbox = started(Sandbox::builder().charge_per_route("0.50")).await;
    let client = client_of(&sandbox, &Store::in_memory())
        .spend_policy(policy().per_request(usd("0.49")))
        .wallet_payer(nobody)
        .build()
        .unwrap();
    let error = refusal(&client).await;
    assert!(matches!(&error, Error::SpendLimit { cap: amply_sdk::Cap::PerRequest, .. }), "{error}");
    assert_eq!(asked(&sandbox, ROUTE), 1);
}

#[tokio::test]
async fn invariant_7_same_request_what_is_sent_after_a_payment_is_what_was_refused() {
    let sandbox = broke().await;
    let client = paying(&sandbox, &Store::in_memory());
    let request = RouteRequest::new("store 1M vectors").dimension(384).idempotency_key("my-own-key");
    let route = client.route_task(request).await.unwrap();
    assert_eq!(route.meta().attempts(), 2);
    let sent: Vec<_> = sandbox.control().calls().into_iter().filter(|call| call.path == ROUTE).collect();
    assert_eq!(sent.len(), 2);
    assert_eq!((sent[0].status, sent[1].status), (402, 200));
    assert_eq!(sent[0].body, sent[1].body);
    assert_eq!(sent[0].headers, sent[1].headers);
    assert!(sent[0].headers.contains(&("idempotency-key".to_owned(), "my-own-key".to_owned())));
}

#[tokio::test]
async fn invariant_8_right_payee_a_402_never_says_who_is_paid() {
    let sandbox = broke().await;
    let told = Arc::new(Mutex::new(None));
    let keep = told.clone();
    sandbox.control().challenge(
        Challenge::new()
            .top_up_url("https://evil.example/pay")
            .amount(4.5)
            .set("/principal_id", "prn_evil")
            .set("/x402/principal_id", "prn_evil")
            .set("/x402/payTo", "prn_evil"),
    );
    let payer = move |request: TopUpRequest| {
        *keep.lock().unwrap() = Some(request);
        async { TopUp::Rejected("no".to_owned()) }
    };
    let client = client_of(&sandbox, &Store::in_memory()).wallet_payer(payer).build().unwrap();
    assert_eq!(outcome(&client).await, "payment_failed");
    let told = told.lock().unwrap().clone().unwrap();
    assert_eq!(told.principal_id.as_deref(), Some(sandbox.principal_id()));
    assert_eq!(told.base_url, sandbox.url());
    // The suggestion is passed on, and raises nothing.
    assert_eq!((told.amount_usd, told.suggested_usd), (usd("0.01"), Some(usd("4.5"))));
    assert!(!format!("{told:?}").contains("evil"), "{told:?}");
}

#[tokio::test]
async fn invariant_8_right_payee_without_a_wallet_that_is_surely_ours_nothing_is_paid() {
    // The server says that the key is nobody's.
    let sandbox = broke().await;
    sandbox.control().challenge(Challenge::new().unbound());
    let client = client_of(&sandbox, &Store::in_memory()).wallet_payer(nobody).build().unwrap();
    let error = refusal(&client).await;
    let Error::PaymentRefused { reasons, .. } = &error else { panic!("{error}") };
    assert_eq!(reasons.iter().map(amply_sdk::Refusal::code).collect::<Vec<_>>(), ["not_bound"]);

    // Nothing tells whose wallet it is.
    for fault in
        [Fault::on("/billing/status").status(500), Fault::on("/billing/status").reset_before_headers()]
    {
        let sandbox = broke().await;
        sandbox.control().fault(fault);
        let client = client_of(&sandbox, &Store::in_memory()).wallet_payer(nobody).build().unwrap();
        let error = refusal(&client).await;
        let Error::PaymentRefused { reasons, .. } = &error else { panic!("{error}") };
        assert_eq!(reasons.iter().map(amply_sdk::Refusal::code).collect::<Vec<_>>(), ["payee_unknown"]);
    }

    // A server that knows no principals: the wallet is the key's.
    for status in [403, 404, 405] {
        let sandbox = broke().await;
        sandbox.control().fault(Fault::on("/billing/status").html(status));
        let store = Store::in_memory();
        assert_eq!(outcome(&paying(&sandbox, &store)).await, "answer");
        assert_eq!(store.payments().list().await.unwrap()[0].principal_id, None);
    }

    let unencrypted =
        Client::builder().base_url("http://api.example").wallet_payer(nobody).build().unwrap_err();
    assert!(unencrypted.to_string().contains("unencrypted"), "{unencrypted}");
}

#[tokio::test(flavor = "current_thread")]
async fn invariant_9_no_leaks_no_secret_is_in_a_log_an_error_an_event_or_a_file() {
    let folder = std::env::temp_dir().join(format!("amply-leaks-{}", std::process::id()));
    let sandbox = broke().await;
    sandbox.control().fault(Fault::on(TOPUP).first(1).status(500));
    let store = Store::open(folder.join("store.db")).unwrap();
    let events = Arc::new(Mutex::new(Vec::<String>::new()));
    let observed = events.clone();
    let client = client_of(&sandbox, &store)
        .wallet_payer(service_of(&sandbox))
        .timeout(ms(2_500))
        .on_event(move |event: &Event| observed.lock().unwrap().push(format!("{event:?}")))
        .build()
        .unwrap();
    let log = Log::default();
    let mut said = String::new();
    {
        let _guard = log.start();
        let error = refusal(&client).await;
        said.push_str(&format!("{error} {error:?} {:?}", error.payment_problem()));
        said.push_str(&format!("{:?}", client.route_task("x").await.unwrap()));
    }
    let rows = store.payments().list().await.unwrap();
    said.push_str(&format!(
        "{client:?} {:?} {rows:?} {}",
        service_of(&sandbox),
        serde_json::to_string(&rows).unwrap()
    ));
    said.push_str(&events.lock().unwrap().join("\n"));
    said.push_str(&log.text());
    drop(client);
    for entry in std::fs::read_dir(&folder).unwrap() {
        said.push_str(&String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(said.contains("PaymentUnknown") && said.contains("settled"), "{said}");
    for secret in [sandbox.user_key(), sandbox.topup_token(), sandbox.admin_secret()] {
        assert!(!said.contains(secret), "a secret came out");
    }
}

#[tokio::test]
async fn invariant_9_no_leaks_the_services_token_follows_no_redirect() {
    let sandbox = broke().await;
    let elsewhere = amply_tests::Scripted::answering("200 OK", "application/json", "{}");
    let to = format!("{}/topup", elsewhere.url());
    sandbox.control().fault(Fault::on(TOPUP).status(308).header("Location", &to));
    let store = Store::in_memory();
    let client =
        client_of(&sandbox, &store).wallet_payer(service_of(&sandbox)).timeout(ms(2_500)).build().unwrap();
    // What is on no list is unknown: perhaps the service has paid and then sent us on.
    assert_eq!(outcome(&client).await, "payment_unknown");
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn invariant_10_what_was_paid_for_arrives_whatever_is_wrong_with_it() {
    // Not bound, and the policy requires it: the answer is inside the error.
    let sandbox = broke().await;
    let client = client_of(&sandbox, &Store::in_memory())
        .wallet_payer(service_of(&sandbox))
        .principal_policy(PrincipalPolicy::Require)
        .build()
        .unwrap();
    let unbound = serde_json::json!({"recommended": "qdrant", "integration": {"principal_attached": false}});
    sandbox.control().fault(Fault::on("/route").nth(2).after_effect().status(200).body(&unbound));
    let error = refusal(&client).await;
    let Error::PrincipalNotBound { answer: Some(answer), .. } = &error else { panic!("{error}") };
    assert_eq!((answer.recommended.as_str(), answer.meta().paid_usd()), ("qdrant", Some(usd("0.01"))));
    assert!(error.may_have_been_charged());

    // Not to be read: all of it is inside the error.
    let sandbox = broke().await;
    let client = paying(&sandbox, &Store::in_memory());
    sandbox.control().fault(Fault::on("/route").nth(2).after_effect().status(200).body([1, 2, 3]));
    let error = refusal(&client).await;
    assert_eq!((error.code(), error.body()), ("protocol", Some(&b"[1,2,3]"[..])));
    assert!(error.may_have_been_charged());
    assert_eq!(error.meta().unwrap().paid_usd(), Some(usd("0.01")));
}

#[tokio::test]
async fn a_call_that_ends_does_not_end_the_payment_that_it_leads() {
    let sandbox = broke().await;
    sandbox.control().fault(Fault::on(TOPUP).delay(ms(4_000)));
    let store = Store::in_memory();
    let client =
        client_of(&sandbox, &store).wallet_payer(service_of(&sandbox)).timeout(ms(2_000)).build().unwrap();
    let error = refusal(&client).await;
    assert_eq!(error.code(), "payment_unknown", "{error}");
    let id = error.payment_problem().unwrap().payment_id().unwrap().to_owned();
    // Closing waits for it, however little time it is given.
    assert!(client.is_paying());
    client.close(Duration::ZERO).await;
    assert!(!client.is_paying());
    assert_eq!(credited(&sandbox), ["0.01"]);
    assert_eq!(refusal(&client).await.code(), "config");
    let next = paying(&sandbox, &store);
    assert_eq!(outcome(&next).await, "answer");
    assert_eq!(next.payments().show(&id).await.unwrap().state, PaymentState::Settled);
}

#[tokio::test]
async fn a_call_with_too_little_time_left_begins_no_payment() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    let client = client_of(&sandbox, &store)
        .wallet_payer(nobody)
        .payment_headroom(Duration::from_secs(5))
        .timeout(Duration::from_secs(4))
        .build()
        .unwrap();
    let error = refusal(&client).await;
    assert_eq!(error.code(), "timeout");
    assert!(error.to_string().contains("nothing was paid"), "{error}");
    assert!(!error.may_have_been_charged());
    assert_eq!(states(&store).await, [""; 0]);
}

#[tokio::test]
async fn a_402_to_a_repeat_of_what_may_have_been_charged_is_not_paid() {
    let sandbox = broke().await;
    sandbox.control().fault(Fault::on("/route").first(1).status(503));
    let client = client_of(&sandbox, &Store::in_memory())
        .wallet_payer(nobody)
        .retry(amply_sdk::RetryPolicy::default().repeat_ambiguous(true))
        .build()
        .unwrap();
    let error = refusal(&client).await;
    assert_eq!(error.code(), "payment_required");
    assert!(error.may_have_been_charged());
}
