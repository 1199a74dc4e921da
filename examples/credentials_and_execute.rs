//! A secret is stored, a task executed with it and at a target of one's own, and what was saved is told.
//!
//! `cargo run -q -p amply-examples --bin credentials_and_execute`

use amply_sandbox::Sandbox;
use amply_sdk::{Client, Error, ExecuteRequest, NewCredential, Period, RouteRequest, Target};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The sandbox executes nothing: what comes out is what went in.
    let sandbox = Sandbox::builder().start().await?;
    let client = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;

    // In a program of yours the secret comes from where you keep it, and is not written down.
    let credential = NewCredential::new("qdrant", "s3cret").label("staging");
    println!("{credential:?}");
    let added = client.credentials().add(credential).await?;
    let id = added.id().ok_or("the server gave it no id")?;

    let stored = ExecuteRequest::with_credential("store 1M vectors", id).input("with a credential");
    let execution = client.execute(stored).await?;
    println!(
        "{} answered {:?}",
        execution.route.recommended,
        execution.output.as_ref().map(|out| out.text())
    );

    let target = Target::new("https://worker.example/run")?.header("authorization", "Bearer token")?;
    println!("{target:?}");
    let own = ExecuteRequest::at_target(RouteRequest::new("store 1M vectors").dimension(768), target);
    let execution = client.execute(own.input("at a target")).await?;
    println!(
        "{} answered {:?}",
        execution.route.recommended,
        execution.output.as_ref().map(|out| out.text())
    );

    client.credentials().remove(id).await?;
    match client.execute(ExecuteRequest::with_credential("store 1M vectors", id)).await {
        Err(error @ Error::NotFound(_)) => println!("{}: {}", error.code(), error.hint().unwrap_or_default()),
        other => println!("{other:?}"),
    }

    let report = client.savings_report(Period::Days30).await?;
    let totals = report.totals.as_ref().ok_or("the report has no totals")?;
    println!(
        "{} routes, charged {} USD",
        totals.routes.unwrap_or_default(),
        totals.charged_usd.unwrap_or_default()
    );
    println!("{}", report.summary.as_deref().unwrap_or_default());
    Ok(())
}
