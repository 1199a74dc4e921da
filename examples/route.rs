//! Asks which provider should run a task, and reads the typed answer.
//!
//! `cargo run -q -p amply-examples --bin route`

use amply_sandbox::Sandbox;
use amply_sdk::{Client, RouteRequest, Usd, WorkloadType};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A local server with sample data. Against the real one: `let client = Client::from_env()?;`
    let sandbox = Sandbox::builder().start().await?;
    let client = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;

    // Words alone are enough …
    let route = client.route_task("store 1M 1536-dim vectors with metadata filters").await?;
    println!("{} (score {})", route.recommended, route.score.unwrap_or_default());

    // … and hints and limits are named methods.
    let request = RouteRequest::new("ingest 250k product embeddings")
        .dimension(384)
        .workload_type(WorkloadType::InsertHeavy)
        .budget_usd(Usd::dollars(1))
        .latency_target_ms(50);
    let route = client.route_task(request).await?;
    for place in route.rankings() {
        println!(
            "{}. {} at {} USD for 1M dimensions",
            place.rank.unwrap_or_default(),
            place.provider_id,
            place.cost_per_1m_dims_usd.unwrap_or_default(),
        );
    }
    println!("{}", route.why_text().unwrap_or_default());

    // An error is one enum; displayed, it says what to do.
    if let Err(error) = client.route_task(RouteRequest::new("store 1M vectors").dimension(0)).await {
        println!("{}: {error}", error.code());
    }
    Ok(())
}
