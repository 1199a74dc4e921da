//! A process that asks for routes and pays for them until it is killed. Several share one store and one wallet.
//!
//! `paying_worker BASE_URL KEY TOPUP_URL TOPUP_TOKEN STORE LEASE_MS CAP_USD`

#![allow(clippy::unwrap_used, clippy::panic, reason = "a process of the tests; it fails by panicking")]

use std::time::Duration;

use amply_sdk::{Client, SpendPolicy, Store, TopUpService, Usd};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base_url, key, topup_url, token, store, lease_ms, cap] = arguments.as_slice() else {
        panic!("{} arguments", arguments.len());
    };
    let cap: Usd = cap.parse().unwrap();
    let policy = SpendPolicy::default().per_day(cap).minimum_topup("0.05".parse::<Usd>().unwrap());
    let store = Store::open(store).unwrap().lease(Duration::from_millis(lease_ms.parse().unwrap()));
    let client = Client::builder()
        .base_url(base_url)
        .api_key(key)
        .store(store)
        .spend_policy(policy)
        .wallet_payer(TopUpService::new(topup_url).unwrap().token(token).unwrap())
        .build()
        .unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                // Once the cap is reached there is nothing left to be killed at.
                while !matches!(client.route_task("x").await, Err(amply_sdk::Error::SpendLimit { .. })) {}
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
