//! A small, faithful Amply server in memory, for tests and for trying the client without an account.
//!
//! As [`Release::V3_1_12`] it answers as the real server was seen to answer: the same bodies with their keys in the same order,
//! the same numbers to the last digit, the same errors. As [`Release::V3_1_13`], the default, it adds what that release is
//! documented to add: who stands behind a key, rankings, hard limits, economics, a manifest for agents, provider health,
//! wallets that routes are paid from, reports of how routes went and their audit, the report of what was saved, credentials,
//! and executions. `GET /openapi` describes every one of its endpoints, with every answer that it gives.
//! [`SandboxBuilder`] has the switches of the real server. It listens on `127.0.0.1` only, keeps nothing on disk, and its ids
//! and keys follow from a seed. It shares nothing with the client library but JSON.
//!
//! [`Control`] is for tests: it lists the calls that came, moves the clock, and makes calls go wrong with a [`Fault`].
//! `/__sandbox` is the same over HTTP, with [`Sandbox::admin_secret`] as Bearer:
//!
//! | request | |
//! | --- | --- |
//! | `GET /__sandbox/calls`, `DELETE` | lists the calls, forgets them |
//! | `POST /__sandbox/faults`, `DELETE` | adds a fault, clears all |
//! | `POST /__sandbox/clock` | `{"advance_ms": 60000}` |
//! | `POST /__sandbox/probes` | `{"provider_id": "qdrant", "state": "down"}`; `healthy`, `degraded`, or null for never probed |
//! | `POST /__sandbox/balance` | `{"of": "amply_sk_…", "set_usd": "0.05"}`: tells the balance of a user key or principal (the built-in one's without `of`), and sets it first with `set_usd` |
//! | `GET /__sandbox/credentials` | lists the credentials that are stored: [`StoredCredential`] |
//! | `GET /__sandbox/credits` | lists what was credited to whom |
//! | `GET /__sandbox/outcomes` | lists the reports of how routes went: [`ReportedOutcome`] |
//! | `POST /__sandbox/challenges`, `DELETE` | changes the 402s to come, clears all: a [`Challenge`] |
//! | `POST /__sandbox/creditings`, `DELETE` | makes top-ups go wrong, clears all: a [`Crediting`] |
//! | `GET /__sandbox/settlements` | lists the open payments that were settled: [`Settlement`] |
//! | `POST /__sandbox/offerings`, `DELETE` | changes the offers to come, clears all: an [`Offering`] |
//! | `POST /__sandbox/settlings`, `DELETE` | makes open payments go wrong, clears all: a [`Settling`] |
//! | `POST /__sandbox/payers` | `{"address": "0x…", "set_usd": "0.05"}`: tells what an address can pay, null for any amount, and limits it first with `set_usd` |
//!
//! A fault is `{"path": "/route", "calls": {"first": 2}, "effect": "after", "kind": …}`: without `path` it is for any, `calls`
//! may be `"always"` (the default) or `{"nth": 3}`, `effect` `"before"` or `"after"`. Its `kind` is one of
//! `{"status": {"status": 503, "body": …, "headers": {…}, "code": …}}`, `{"html": {"status": 502}}`, `{"delay": {"ms": 500}}`,
//! `"reset_before_headers"`, `"reset_after_headers"`, `{"truncate": {"after_bytes": 20}}`, `{"wrong_length": {"more": 5}}`,
//! `{"drip": {"bytes_per_tick": 1, "every_ms": 100}}`.
//!
//! A challenge is `{"calls": …, "even_if_covered": true, "unbound": true, "expired": true, "set": {"/x402/currency": "EUR"},
//! "without": ["/balance_usd"]}`, a crediting `{"calls": …, "credit_usd": "0.04", "says": 0.05, "late": 3}`; each part may be
//! left out. An offering is `{"calls": …, "changing_pay_to": true, "upfront": true, "amount": "1000999.9999999999",
//! "set": {"/payTo": "0x…"}, "without": ["/extra"], "set_around": {"/x402Version": 3}}`. A settling is `{"calls": …,
//! "money": "now", "says": …, "handler_fails": true}`; `money` may be `"never"` or `{"late": 2}`, and `says` is `"settled"`,
//! `{"failed": "insufficient_funds"}`, `{"failed_with_transaction": "settlement_pending"}`, `{"refused": "…"}`,
//! `{"status": 502}`, `"nothing"`, `"no_receipt"`, `"garbage_receipt"` or `{"receipt": …}`.
//!
//! # Wallets
//!
//! A user key has a principal, and a principal has a wallet. Each served route of a principal takes
//! [`charge_per_route`](SandboxBuilder::charge_per_route) from it once, and its `estimated_charge_usd` says so; a route that
//! fails, that is refused, or that is in `sandbox_mode` takes nothing. With [`strict_wallet`](SandboxBuilder::strict_wallet) a
//! route that the wallet cannot pay is refused with 402, in the form of `amply.x402/1` with [`x402`](SandboxBuilder::x402).
//! `GET /billing/status` shows a wallet; `POST /billing/topup`, with the admin secret, and the guarded service at
//! [`Sandbox::topup_url`] credit it, once for an idempotency key. All amounts are exact: [`NanoUsd`].
//!
//! # Open payments
//!
//! With [`open_payments`](SandboxBuilder::open_payments) a 402 has offers of x402, scheme `exact`, in USDC: of version 1, of
//! version 2, or of both. A request that comes with `X-PAYMENT` or `PAYMENT-SIGNATURE` is answered as the reference servers
//! were seen to answer, reason codes included. The signature is checked for real, and what it authorizes is settled once for
//! its nonce, in the sandbox's books: no chain is asked and no money moves. [`Control::settlements`] lists it.
//!
//! # Outcomes
//!
//! `POST /outcome` takes `{"route_id", "success", "actual_latency_ms", "error_code"}`, the last two if there is something to
//! say, and answers `{"received": true, "credits_awarded": 1}`. The documentation says no more than that; the rest is the
//! sandbox's own reading, `[our]`:
//!
//! - A route counts once. Reported again, to whichever endpoint, it is `{"received": true, "credits_awarded": 0,
//!   "duplicate": true}`, and what was said first stays. `Idempotency-Key` is noted and changes nothing.
//! - The key is read as that of a route is. Who reports must be the principal of the route; a route without a principal is
//!   reported by a caller without one, and earns no credit. Any other id is 404 with `"error": "route_not_found"`.
//! - `actual_latency_ms` is a number from 0 to that of a year, `error_code` 1 to 64 of `a–z 0–9 _ . : -`; what is wrong is
//!   told with 400.
//!
//! The older `POST /route/outcome` takes `{"request_id", "provider_id", "outcome"}`; `[our]` the provider is one of the
//! catalog, the outcome `success`, `failure`, `timeout` or `error`, and the answer always `{"received": true}`. With
//! [`outcome_endpoint`](SandboxBuilder::outcome_endpoint) and [`route_outcome_endpoint`](SandboxBuilder::route_outcome_endpoint)
//! a sandbox has only one of the two, or neither. [`Control::outcomes`] lists the reports, `outcome_telemetry` of `/status`
//! counts those of the last 24 hours.
//!
//! `GET /route/audit?request_id=…` tells the principal of a route what the server knows of it, as `{"ok", "request_id",
//! "route", "outcome", "proof"}`; `[our]` all of it. To a server key it is 403, and 404 of another's route. The proof is a
//! SHA3-256 hash over the rest in a canonical form, and says so itself; it stays the same until there is an outcome, and from
//! then on.
//!
//! # Savings
//!
//! `POST /report` takes `{"period": "30d"}` or `90d` and tells a principal what its routes of these days came to, as
//! `{"ok", "period", "from", "to", "totals", "summary", "request_id", "compute_ms"}`. `[our]` all but the periods, and that
//! there are totals and a sentence: `estimated_cost_usd` is the sum of what the routes said, `baseline_cost_usd` what the same
//! quotes would have been at the provider of the catalog that costs most, `saved_usd` the difference, `success_rate` null until
//! an outcome is reported. Routes count as they are remembered, the last 200,000. To a server key it is 403.
//!
//! # Credentials and executions
//!
//! `GET /credentials`, `POST /credentials` with `{"provider_id", "label", "secret"}`, the label if there is one, and
//! `DELETE /credentials/{id}`: what a principal has stored for executions, seen and removed by that principal alone. `[our]`
//! all names and limits: a label has 1 to 100 characters, a secret 1 to 8192 bytes, an id is `cred_` and 24 letters and digits,
//! one segment of a path, which may be percent-encoded. The secret is hashed and forgotten: no answer and no list of calls has
//! it, and [`Control::credentials`] has its hash, by which a test can tell that it arrived whole.
//!
//! `POST /route/execute` is `POST /route` with an `execution` in it: `{"mode": "vault_ref", "credential_ref": "cred_…"}` or
//! `{"mode": "byo_runtime", "target": {"url": "https://…", "headers": {…}}}`, each with any `input`. It goes the same way, rate
//! limit, key, quota, wallet and open payment included, and costs what a route costs; a 402 says to ask the same again. Its answer is
//! that of the route with an `execution` at the end: `{"mode", "status", "provider_id", "execution_id", "credential_ref" or
//! "target_url", "latency_ms", "output", "error_code"}`. `[our]` all of it but the modes. Nothing is run and no target is
//! connected to: the provider is the recommended one, the output is the input, the latency that of the provider; with
//! [`execution_fails`](SandboxBuilder::execution_fails) every execution fails. An order that is wrong is 400, and a credential
//! that there is not, or that is another's, 404 with `"error": "credential_not_found"`, both before anything is spent.
//!
//! ```
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = amply_sandbox::Sandbox::builder().seed(7).start().await?;
//!
//! // Any HTTP client will do; `sandbox.url()` is the base URL to give it. Here, by hand:
//! let address = sandbox.url().trim_start_matches("http://").trim_end_matches("/api/v1");
//! let mut connection = tokio::net::TcpStream::connect(address).await?;
//! connection.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! connection.read_to_string(&mut answer).await?;
//!
//! assert!(answer.starts_with("HTTP/1.1 200 OK"));
//! assert_eq!(sandbox.control().calls()[0].path, "/api/v1/status");
//! sandbox.stop().await;
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod auth;
mod builder;
mod calls;
mod catalog;
mod challenge;
mod clock;
mod control;
mod credentials;
mod crediting;
mod endpoint;
mod fault;
mod hours;
mod ids;
mod js;
mod json;
mod keys;
mod limits;
mod metering;
mod money;
mod outcomes;
mod probe;
mod proof;
mod release;
mod sandbox;
mod scoring;
mod settings;
mod state;
mod validate;
mod wallet;
mod wire;
mod x402;

pub use builder::SandboxBuilder;
pub use catalog::{Catalog, CatalogError};
pub use challenge::Challenge;
pub use control::{Control, log::Call, payments::SetBalanceError, x402::SetPayerError};
pub use credentials::StoredCredential;
pub use crediting::Crediting;
pub use fault::Fault;
pub use money::{AmountError, NanoUsd};
pub use outcomes::{ReportedOutcome, ReportedVia};
pub use probe::ProviderState;
pub use release::Release;
pub use sandbox::{Sandbox, StartError};
pub use wallet::{Credit, Via};
pub use x402::{
    accept::{Network, OpenPayments},
    misbehaviour::{Offering, Settling},
    settle::Settlement,
};
