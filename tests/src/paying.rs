//! A strict sandbox whose wallet is empty, and clients that pay from its guarded service.

use std::collections::HashMap;
use std::time::Duration;

use amply_sandbox::{Sandbox, SandboxBuilder};
use amply_sdk::{AdminTopUp, Client, ClientBuilder, Error, Payment, SpendPolicy, Store, TopUpService, Usd};

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

/// A client that tops up wallets with the admin secret.
pub fn ordering(base_url: &str, key: &str, secret: &str, store: &Store) -> Client {
    Client::builder()
        .base_url(base_url)
        .api_key(key)
        .store(store.clone())
        .spend_policy(policy())
        .wallet_payer(AdminTopUp::new(secret).unwrap())
        .build()
        .unwrap()
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

/// A private key that has never held anything: the numbers from 1 to 32.
pub const KEY: &str = "0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";

/// A sandbox that asks for open payments, of callers without a principal too. A route costs a cent.
pub async fn asking_for(payments: amply_sandbox::OpenPayments) -> Sandbox {
    started(Sandbox::builder().open_payments(payments.also_without_principal())).await
}

/// 10 cents for a request, 50 cents a day, in this process alone.
pub fn open_policy() -> SpendPolicy {
    SpendPolicy::default().per_request(usd("0.10")).per_day(usd("0.50")).per_process_only()
}

/// The address of [`KEY`].
pub fn address() -> amply_sdk::Address {
    amply_sdk::Signer::address(&amply_sdk::LocalSigner::from_hex(KEY).unwrap())
}

/// A client without a key that signs for what it is asked, on a network for tests.
pub fn signing(sandbox: &Sandbox, store: &Store) -> ClientBuilder {
    signing_at(sandbox.url(), store)
}

/// The same, of any server.
pub fn signing_at(base_url: &str, store: &Store) -> ClientBuilder {
    let signer = amply_sdk::LocalSigner::from_hex(KEY).unwrap();
    Client::builder()
        .base_url(base_url)
        .store(store.clone())
        .spend_policy(open_policy())
        .x402(signer, [amply_sdk::Network::BASE_SEPOLIA])
}

/// How many requests came with a payment.
pub fn paid_requests(sandbox: &Sandbox) -> usize {
    let pays = |(name, _): &(String, String)| name == "x-payment" || name == "payment-signature";
    sandbox.control().calls().iter().filter(|call| call.headers.iter().any(pays)).count()
}

/// Makes a number of calls at once, and counts what they ended in.
pub async fn at_once(client: &amply_sdk::Client, calls: usize) -> HashMap<String, usize> {
    let calls: Vec<_> = (0..calls)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { outcome(&client).await })
        })
        .collect();
    let mut ends = HashMap::new();
    for call in calls {
        *ends.entry(call.await.unwrap()).or_default() += 1;
    }
    ends
}

/// A payer that is never to be asked.
pub async fn nobody(request: amply_sdk::TopUpRequest) -> amply_sdk::TopUp {
    panic!("asked for {request:?}")
}
