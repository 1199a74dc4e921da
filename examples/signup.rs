//! From nothing to a route that counts: the manifest, the terms, a key of one's own.
//!
//! `cargo run -q -p amply-examples --bin signup`

use amply_sandbox::Sandbox;
use amply_sdk::{AgentManifest, Binding, Client, Signup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().agent_signup(true).start().await?;
    let nobody = Client::builder().base_url(sandbox.url()).build()?;

    let manifest = nobody.agent().await?;
    let mut done = vec!["discover", "health", "schema"];
    show_next(&manifest, &done);

    // A person, or whoever the agent acts for, reads them before they are accepted.
    let terms = nobody.signup_terms().await?.tos_version.ok_or("the server names no terms")?;
    println!("terms of version {terms}");

    let account = nobody.signup(Signup::accepting(terms)).await?;
    // Shown, it hides itself; `expose` is the one way to it.
    println!(
        "signed up as {}, with the key {}",
        account.principal_id.as_deref().unwrap_or("?"),
        account.api_key
    );
    let client = Client::builder().base_url(sandbox.url()).api_key(account.api_key.expose()).build()?;
    done.extend(["credential", "catalog"]);
    show_next(&manifest, &done);

    let route = client.route_task("store 1M vectors").await?;
    println!("{}, bound: {}", route.recommended, route.principal().binding == Binding::Bound);
    Ok(())
}

fn show_next(manifest: &AgentManifest, done: &[&str]) {
    if let Some(step) = manifest.next_step(done) {
        println!("next: {}, {}", step.id, step.purpose.as_deref().unwrap_or("no purpose given"));
    }
}
