//! Pay by x402: an agent without an account pays for each route with a signed transfer, within caps, and goes on.
//!
//! `cargo run -q -p amply-examples --bin x402`

use amply_sandbox::{Offering, OpenPayments, Sandbox};
use amply_sdk::{Client, Error, Event, LocalSigner, Network, SpendPolicy, Usd};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A local server that asks callers without a key for 0.01 USDC a route, and checks every signature. No money is real.
    let open = OpenPayments::v2().also_without_principal();
    let sandbox = Sandbox::builder().open_payments(open).start().await?;
    // The second route is to be paid to somebody else: its 402 is the third answer, as the first route takes two.
    let stranger = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
    sandbox.control().offering(Offering::new().pay_to(stranger).nth(3));

    // The key of the sandbox. A key of yours comes from where you keep secrets; a `RemoteSigner` never has it at all.
    let signer = LocalSigner::from_hex(sandbox.x402_key())?;
    // No server can raise these. Here they hold for this process alone: for caps that survive a restart, leave that out and
    // set `.store(Store::open(file)?)`.
    let caps = SpendPolicy::default()
        .per_request("0.05".parse::<Usd>()?)
        .per_day("0.02".parse::<Usd>()?)
        .per_process_only();
    let client = Client::builder()
        .base_url(sandbox.url())
        .spend_policy(caps)
        .x402(signer, [Network::BASE_SEPOLIA])
        .on_event(|event| match event {
            Event::PaymentIntended { amount, rail, .. } => println!("  paying {amount} USD by {rail}"),
            Event::CapReached { cap, limit, .. } => println!("  the {cap} is reached: {limit} USD"),
            _ => {}
        })
        .build()?;

    let tasks =
        ["store 1M vectors", "search 250k product embeddings", "ingest 5M log lines", "rank 10k images"];
    for task in tasks {
        println!("{task}");
        match client.route_task(task).await {
            Ok(route) => {
                let paid = route.meta().paid_usd().unwrap_or_default();
                println!("  {}, paid {paid} USD for it", route.recommended);
            }
            // Nothing was signed: each offer has its reason.
            Err(Error::PaymentRefused { reasons, .. }) => {
                for reason in reasons {
                    println!("  {}: {reason}", reason.code());
                }
            }
            Err(error @ Error::SpendLimit { .. }) => println!("  {}: {}", error.code(), error.message()),
            Err(error) => return Err(error.into()),
        }
    }

    println!("payments");
    for payment in client.payments().list().await? {
        let network = payment.open.map(|open| open.network).unwrap_or_default();
        println!("  {} USD on {network}, {}", payment.amount, payment.state);
    }
    Ok(())
}
