//! Routes whose outcomes are reported: by the task that was timed, at once, in the background, and by nobody.
//!
//! `cargo run -q -p amply-examples --bin tracked`

use std::time::Duration;

use amply_sandbox::Sandbox;
use amply_sdk::{Client, Event, Outcome};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().start().await?;
    let client = Client::builder()
        .base_url(sandbox.url())
        .api_key(sandbox.user_key())
        .on_event(|event| {
            if let Event::OutcomeUnreported { .. } = event {
                println!("a route was dropped without a report");
            }
        })
        .build()?;

    // The shortest way: the task is done, timed and reported, in the background.
    let tracked = client.route_task_tracked("store 1M vectors").await?;
    let stored = tracked.run(|provider| async move { store_at(&provider) }).await?;
    println!("{stored}");

    // By hand, with the server's answer.
    let tracked = client.route_task_tracked("search 250k product embeddings").await?;
    let outcome = Outcome::failure("rate_limited").latency(Duration::from_millis(120));
    let reported = tracked.report_outcome(outcome.clone()).await?;
    println!("reported a failure: {} credit", reported.credits_awarded().unwrap_or_default());
    println!("a second report does nothing: {}", tracked.report_outcome(outcome).await?.is_repeated());

    // In another task, which needs the closure and nothing else.
    let (route, report_outcome) = client.route_task_tracked("ingest 5M log lines").await?.into_parts();
    let worker = tokio::spawn(async move { report_outcome(Outcome::timeout()).await });
    println!(
        "{} timed out: {} credit",
        route.recommended,
        worker.await??.credits_awarded().unwrap_or_default()
    );

    drop(client.route_task_tracked("rank 10k images").await?);

    // What still waits in memory is delivered before the process ends.
    client.close(Duration::from_secs(5)).await;
    let counters = client.outbox().counters();
    println!(
        "{} delivered, {} unreported, {} dropped",
        counters.delivered, counters.unreported, counters.dropped
    );
    Ok(())
}

/// Stands for the call of a provider.
fn store_at(provider: &str) -> Result<String, std::io::Error> {
    Ok(format!("stored at {provider}"))
}
