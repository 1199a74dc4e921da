//! A process that hands reports over, or delivers them, until it is killed. Several share one store.
//!
//! `reporting_worker enqueue BASE_URL STORE LEASE_MS KEY ROUTE_IDS_FILE ACCEPTED_FILE SEED`
//! `reporting_worker drain BASE_URL STORE LEASE_MS KEY`
//! `reporting_worker fill BASE_URL STORE LEASE_MS KEY ROUTE_IDS_FILE ACCEPTED_FILE`: until the store takes no more, and ends

#![allow(clippy::unwrap_used, clippy::panic, reason = "a process of the tests; it fails by panicking")]

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use amply_sdk::{Client, Error, HandedOver, Outcome, Store};
use amply_tests::killing::say;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, base_url, store, lease_ms, key, rest @ ..] = arguments.as_slice() else {
        panic!("{} arguments", arguments.len());
    };
    let store = Store::open(store).unwrap().lease(Duration::from_millis(lease_ms.parse().unwrap()));
    let builder = Client::builder().base_url(base_url).api_key(key).store(store);
    match (work.as_str(), rest) {
        ("enqueue", [route_ids, accepted, seed]) => {
            let client = builder.deliver_in_background(false).build().unwrap();
            enqueue(&client, route_ids, accepted, seed.parse().unwrap()).await.unwrap();
            std::future::pending::<()>().await;
        }
        ("fill", [route_ids, accepted]) => {
            let client = builder.deliver_in_background(false).build().unwrap();
            let error = enqueue(&client, route_ids, accepted, 0).await.unwrap_err();
            say(&format!("{}: {error}", error.code()));
            client.route_task("x").await.unwrap();
            say("a route goes on");
        }
        ("drain", []) => {
            let client = builder.build().unwrap();
            loop {
                client.outbox().flush(Duration::from_secs(60)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        _ => panic!("{work} with {} arguments", rest.len()),
    }
}

/// Hands over in an order of its own, and writes down what was accepted, once it was.
async fn enqueue(client: &Client, route_ids: &str, accepted: &str, seed: u64) -> Result<(), Error> {
    let mut route_ids: Vec<String> =
        std::fs::read_to_string(route_ids).unwrap().lines().map(str::to_owned).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut route_ids);
    let mut accepted = OpenOptions::new().append(true).open(accepted).unwrap();
    for route_id in &route_ids {
        let ticket = client.ticket(route_id, Some("qdrant")).unwrap();
        // One that another process handed over is in the store as well.
        let (HandedOver::Accepted | HandedOver::AlreadyReported) =
            client.report_durable(&ticket, Outcome::success()).await?
        else {
            panic!("neither accepted nor known");
        };
        accepted.write_all(format!("{route_id}\n").as_bytes()).unwrap();
    }
    Ok(())
}
