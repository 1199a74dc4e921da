//! A strict sandbox whose wallet is empty, and clients that pay from its guarded service.

use std::time::Duration;

use amply_sandbox::{Sandbox, SandboxBuilder};
use amply_sdk::{Client, ClientBuilder, Error, Payment, SpendPolicy, Store, TopUpService, Usd};

/// An amount.
pub fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// A sandbox that refuses a route that the wallet does not cover, and its wallet is empty. A route costs a cent.
pub async fn broke() -> Sandbox {
    started(Sandbox::builder()).await
}

/// The same, with further settings.
pub async fn started(builder: SandboxBuilder) -> Sandbox {
    builder.balance("0").strict_wallet(true).x402(true).start().await.unwrap()
}

/// 5 USD for a top-up, 10 USD a day, in this process alone.
pub fn policy() -> SpendPolicy {
    SpendPolicy::per_topup(Usd::dollars(5)).per_day(Usd::dollars(10)).per_process_only()
}

/// A client that nobody pays for yet. A payment may begin as long as any time is left.
pub fn client_of(sandbox: &Sandbox, store: &Store) -> ClientBuilder {
    Client::builder()
        .base_url(sandbox.url())
        .api_key(sandbox.user_key())
        .store(store.clone())
        .spend_policy(policy())
        .payment_headroom(Duration::from_millis(50))
}

/// The sandbox's own guarded service.
pub fn service_of(sandbox: &Sandbox) -> TopUpService {
    TopUpService::new(sandbox.topup_url()).unwrap().token(sandbox.topup_token()).unwrap()
}

/// A client that the guarded service pays for.
pub fn paying(sandbox: &Sandbox, store: &Store) -> Client {
    client_of(sandbox, store).wallet_payer(service_of(sandbox)).build().unwrap()
}

/// What a route ends in: an error's code, or `answer`.
pub async fn outcome(client: &Client) -> String {
    match client.route_task("store 1M vectors").await {
        Ok(_) => "answer".to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

/// The error of a route that must not be answered.
pub async fn refusal(client: &Client) -> Error {
    client.route_task("store 1M vectors").await.unwrap_err()
}

/// The states of all payments, and what a person said of them.
pub async fn states(store: &Store) -> Vec<String> {
    let state = |payment: &Payment| match payment.verdict {
        Some(verdict) => format!("{}, {verdict}", payment.state),
        None => payment.state.to_string(),
    };
    store.payments().list().await.unwrap().iter().map(state).collect()
}

/// How often the sandbox was asked for a path below its origin, such as `/topup`.
pub fn asked(sandbox: &Sandbox, path: &str) -> usize {
    sandbox.control().calls().iter().filter(|call| call.path == path).count()
}

/// What was credited so far, in USD, one entry for a credit.
pub fn credited(sandbox: &Sandbox) -> Vec<String> {
    sandbox.control().credits().iter().map(|credit| credit.amount.to_string()).collect()
}
