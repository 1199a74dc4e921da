//! A route is asked for by one process, and its outcome reported by another: they share a ticket, and nothing else.
//!
//! `cargo run -q -p amply-examples --bin worker_ticket`

use std::process::{Command, Stdio};
use std::time::Duration;

use amply_sandbox::Sandbox;
use amply_sdk::{Client, Outcome, Store, Ticket};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1) {
        None => ask().await,
        Some(ticket) => work(&ticket.parse()?).await,
    }
}

/// Asks which provider should run the task, and hands the ticket to a worker as a queue would.
async fn ask() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().start().await?;
    let client = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    let tracked = client.route_task_tracked("store 1M vectors").await?;
    let ticket = tracked.ticket()?;
    println!("asked: use {}", tracked.recommended);

    let mut worker = Command::new(std::env::current_exe()?);
    worker
        .arg(ticket.to_string())
        // The worker has the same key: a ticket is worth nothing with another.
        .env("AMPLY_BASE_URL", sandbox.url())
        .env("AMPLY_API_KEY", sandbox.user_key())
        .stdin(Stdio::null());
    // On another thread: the sandbox answers on this one.
    let ended = tokio::task::spawn_blocking(move || worker.status()).await??;
    println!("the worker ended with {}", ended.code().unwrap_or(-1));

    let audit = client.audit(ticket.route_id()).await?;
    let success = audit.outcome.as_ref().and_then(|outcome| outcome.success);
    println!("the server knows that it went well: {}", success == Some(true));
    Ok(())
}

/// Does the task, and commits the report to a file before anything else can go wrong.
async fn work(ticket: &Ticket) -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("amply-worker-{}", std::process::id()));
    let client = amply_sdk::ClientBuilder::from_env().store(Store::open(folder.join("store.db"))?).build()?;
    let ticket = ticket.clone().started();
    println!("worker: working at {}", ticket.provider_id().unwrap_or("a provider"));
    let handed = client.report_durable(&ticket, Outcome::success()).await?;
    println!("worker: report {handed:?}");
    // Delivered now; a process that is killed here leaves it to the next one that opens the file.
    client.close(Duration::from_secs(5)).await;
    println!("worker: {} delivered", client.outbox().counters().delivered);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
