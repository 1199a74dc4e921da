//! A process that asks for routes and pays for them until it is killed. Several share one store and one wallet.
//!
//! `paying_worker wallet BASE_URL STORE LEASE_MS CAP_USD KEY TOPUP_URL TOPUP_TOKEN`
//! `paying_worker x402 BASE_URL STORE LEASE_MS CAP_USD SIGNING_KEY`

#![allow(clippy::unwrap_used, clippy::panic, reason = "a process of the tests; it fails by panicking")]

use std::time::Duration;

use amply_sdk::{Client, LocalSigner, Network, SpendPolicy, Store, TopUpService, Usd};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rail, base_url, store, lease_ms, cap, secrets @ ..] = arguments.as_slice() else {
        panic!("{} arguments", arguments.len());
    };
    let cap: Usd = cap.parse().unwrap();
    let cent: Usd = "0.05".parse().unwrap();
    let store = Store::open(store).unwrap().lease(Duration::from_millis(lease_ms.parse().unwrap()));
    let policy = SpendPolicy::default().per_day(cap).minimum_topup(cent).per_request(cent);
    let builder = Client::builder().base_url(base_url).store(store).spend_policy(policy);
    let builder = match (rail.as_str(), secrets) {
        ("wallet", [key, topup_url, token]) => {
            let service = TopUpService::new(topup_url).unwrap().token(token).unwrap();
            builder.api_key(key).wallet_payer(service)
        }
        ("x402", [key]) => builder.x402(LocalSigner::from_hex(key).unwrap(), [Network::BASE_SEPOLIA]),
        _ => panic!("{rail} with {} secrets", secrets.len()),
    };
    let client = builder.build().unwrap();
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
