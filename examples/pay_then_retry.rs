//! Pay, then retry: an agent with an empty wallet has it topped up within caps, and goes on.
//!
//! `cargo run -q -p amply-examples --bin pay_then_retry`

use amply_sandbox::Sandbox;
use amply_sdk::{Client, Error, Event, SpendPolicy, TopUpService, Usd};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A local server that answers 402 to a route that the wallet does not cover. A route costs 0.01 USD.
    let sandbox = Sandbox::builder().balance("0").strict_wallet(true).x402(true).start().await?;

    // The service holds the money; this program holds the service's token, and caps that no server can raise. Here they
    // hold for this process alone. For caps that survive a restart, leave that out and set `.store(Store::open(file)?)`.
    let service = TopUpService::new(sandbox.topup_url())?.token(sandbox.topup_token())?;
    let caps = SpendPolicy::per_topup(Usd::dollars(1)).per_day("0.02".parse::<Usd>()?).per_process_only();
    let client = Client::builder()
        .base_url(sandbox.url())
        .api_key(sandbox.user_key())
        .wallet_payer(service)
        .spend_policy(caps)
        .on_event(|event| match event {
            Event::PaymentIntended { amount, .. } => println!("  topping up by {amount} USD"),
            Event::CapReached { cap, limit, .. } => println!("  the {cap} is reached: {limit} USD"),
            _ => {}
        })
        .build()?;

    for task in ["store 1M vectors", "search 250k product embeddings", "ingest 5M log lines"] {
        println!("{task}");
        match client.route_task(task).await {
            Ok(route) => {
                let paid = route.meta().paid_usd().unwrap_or_default();
                println!("  {}, paid {paid} USD for it", route.recommended);
            }
            // Nothing was paid, and the route was not charged.
            Err(error @ Error::SpendLimit { .. }) => println!("  {}: {}", error.code(), error.message()),
            Err(error) => return Err(error.into()),
        }
    }

    println!("payments");
    for payment in client.payments().list().await? {
        println!("  {} USD, {}", payment.amount, payment.state);
    }
    Ok(())
}
