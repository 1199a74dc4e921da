//! Many calls that cannot be paid, all at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use amply_sandbox::{Fault, Sandbox};
use amply_sdk::{Event, SpendPolicy, Store, Usd};
use amply_tests::paying::{asked, at_once, client_of, credited, service_of, started, usd};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_share_a_balance_and_are_each_short_of_a_route_are_all_answered_by_two_top_ups_at_most() {
    let sandbox = started(Sandbox::builder()).await;
    let client = client_of(&sandbox, &Store::in_memory()).wallet_payer(service_of(&sandbox)).build().unwrap();
    // The connections are open when it begins, so that no call is late for the first of them.
    sandbox.control().set_balance(sandbox.user_key(), "0.64").unwrap();
    assert_eq!(at_once(&client, 64).await, HashMap::from([("answer".to_owned(), 64)]));
    // Each sees half a cent, and needs a whole one.
    sandbox.control().set_balance(sandbox.user_key(), "0.005").unwrap();
    let ends = at_once(&client, 64).await;
    assert_eq!(ends, HashMap::from([("answer".to_owned(), 64)]));
    let topups = asked(&sandbox, "/topup");
    assert!((1..=2).contains(&topups), "{topups} top-ups: {:?}", credited(&sandbox));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_break_no_cap_and_none_is_left_waiting() {
    let sandbox = started(Sandbox::builder()).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let observed = told.clone();
    let store = Store::in_memory();
    // Enough for 300 of the 1,000.
    let caps = SpendPolicy::per_topup(usd("1")).per_day(usd("3")).per_process_only();
    let client = client_of(&sandbox, &store)
        .spend_policy(caps)
        .wallet_payer(service_of(&sandbox))
        .on_event(move |event| observed.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    let ends = at_once(&client, 1_000).await;
    let count = |end: &str| ends.get(end).copied().unwrap_or_default();
    // A call that comes in between may use what another has paid for; that one is told so.
    let ended = count("answer") + count("spend_limit") + count("payment_not_applied");
    assert_eq!(ended, 1_000, "{ends:?}");
    // However many come to the first payment, it pays for 100 of them.
    assert!(count("answer") >= 100, "{ends:?}");
    let payments = store.payments().list().await.unwrap();
    let total = payments.iter().try_fold(Usd::ZERO, |sum, payment| sum.checked_add(payment.amount)).unwrap();
    assert!(total <= usd("3"), "{total} USD");
    assert!(payments.iter().all(|payment| payment.amount <= usd("1") && !payment.is_open()), "{payments:?}");
    let credits: Usd =
        credited(&sandbox).iter().fold(Usd::ZERO, |sum, credit| sum.checked_add(usd(credit)).unwrap());
    assert_eq!(credits, total);
    // Every cent that was credited is in the wallet or has answered a call.
    let left: Usd = sandbox.control().balance(sandbox.user_key()).unwrap().to_string().parse().unwrap();
    let used: Usd = (usd("0.01").to_decimal() * amply_sdk::Decimal::from(count("answer"))).into();
    assert_eq!(left.checked_add(used), Some(credits));
    assert!(told.lock().unwrap().iter().any(|event| matches!(event, Event::CapReached { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_that_a_payer_cannot_help_all_end() {
    let sandbox = started(Sandbox::builder()).await;
    sandbox.control().fault(Fault::on("/topup").status(401));
    let client = client_of(&sandbox, &Store::in_memory())
        .spend_policy(SpendPolicy::default().per_day(Usd::dollars(100)).per_process_only())
        .wallet_payer(service_of(&sandbox))
        .build()
        .unwrap();
    let ends = at_once(&client, 1_000).await;
    assert_eq!(ends, HashMap::from([("payment_failed".to_owned(), 1_000)]));
    assert!(asked(&sandbox, "/topup") <= 5, "a payer that says no is not asked for each call");
}
