//! Processes that share one ledger and one wallet and are killed at random instants, and what the ledger says afterwards.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use amply_sandbox::{Fault, OpenPayments, Sandbox};
use amply_sdk::{Client, Error, Payment, PaymentState, SpendPolicy, Store, Usd};

use crate::paying::{KEY, asking_for, service_of, started, usd};

const PROCESSES: usize = 8;
const LEASE: Duration = Duration::from_millis(400);
const CAP: &str = "1.50";

/// Enough for most that eight processes can sign before they are killed.
const OPEN_CAP: &str = "0.60";

/// What happened in all rounds.
#[derive(Debug, Default)]
pub struct Counts {
    /// Processes that were killed.
    pub kills: usize,
    /// Payments for which money moved.
    pub settled: usize,
    /// Of them, those whose process was killed before it knew.
    pub found_out: usize,
    /// Payments that were given up before money could move.
    pub rejected: usize,
    /// What moved, in USD.
    pub credited: Usd,
}

/// How many rounds are played.
pub(crate) fn rounds() -> usize {
    std::env::var("AMPLY_FAULT_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap())
}

/// Plays rounds of the wallet rail. The same instants for the same seed, as far as the machine keeps time.
pub fn while_paying(worker: &str) -> (usize, Counts) {
    play(0x5eed, async |number, rng, counts| round(worker, number, rng, counts).await)
}

/// The same of the open rail.
pub fn while_signing(worker: &str) -> (usize, Counts) {
    play(0x402, async |number, rng, counts| open_round(worker, number, rng, counts).await)
}

fn play(seed: u64, mut round: impl AsyncFnMut(usize, &mut fastrand::Rng, &mut Counts)) -> (usize, Counts) {
    let rounds = rounds();
    let mut rng = fastrand::Rng::with_seed(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut counts = Counts::default();
    for number in 0..rounds {
        runtime.block_on(round(number, &mut rng, &mut counts));
    }
    (rounds, counts)
}

/// Prints what the rounds came to, also where a test's output is kept back.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

async fn round(worker: &str, number: usize, rng: &mut fastrand::Rng, counts: &mut Counts) {
    let folder = std::env::temp_dir().join(format!("amply-kill-{}-{number}", std::process::id()));
    let path = folder.join("store.db");
    let sandbox = started(Sandbox::builder()).await;
    // Long enough that many are killed while they wait for it.
    sandbox.control().fault(Fault::on("/topup").after_effect().delay(Duration::from_millis(15)));
    let store = path.to_string_lossy();
    let secrets = [sandbox.user_key(), sandbox.topup_url(), sandbox.topup_token()];
    counts.kills += kill_many(rng, || Worker::start(worker, "wallet", &sandbox, &store, CAP, &secrets)).await;
    let payments = after_all(&sandbox, &path).await;
    check(&sandbox, &payments, counts);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Starts the processes, and kills them at random instants; each that is killed is replaced, until the end.
async fn kill_many(rng: &mut fastrand::Rng, worker: impl Fn() -> Worker) -> usize {
    let mut kills = 0;
    let mut workers: Vec<Worker> = (0..PROCESSES).map(|_| worker()).collect();
    for _ in 0..2 * PROCESSES {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
        let killed = rng.usize(0..PROCESSES);
        let killed = workers.get_mut(killed).unwrap();
        kills += killed.kill();
        *killed = worker();
    }
    for worker in &mut workers {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..10))).await;
        kills += worker.kill();
    }
    kills
}

async fn open_round(worker: &str, number: usize, rng: &mut fastrand::Rng, counts: &mut Counts) {
    let folder = std::env::temp_dir().join(format!("amply-kill-x402-{}-{number}", std::process::id()));
    let path = folder.join("store.db");
    let sandbox = asking_for(OpenPayments::v2()).await;
    sandbox.control().fault(Fault::on("/route").after_effect().delay(Duration::from_millis(10)));
    let store = path.to_string_lossy();
    counts.kills +=
        kill_many(rng, || Worker::start(worker, "x402", &sandbox, &store, OPEN_CAP, &[KEY])).await;
    // What nobody holds any more is unknown, or was given up.
    let store = Store::open(&path).unwrap().lease(LEASE);
    let ended = async {
        loop {
            let payments = store.payments().list().await.unwrap();
            if !payments
                .iter()
                .any(|payment| matches!(payment.state, PaymentState::Intent | PaymentState::Sent))
            {
                return payments;
            }
        }
    };
    let payments = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("every lease ends");
    let sum = |sum: Usd, amount: Usd| sum.checked_add(amount).unwrap();
    let settled = sandbox.control().settlements();
    let mut calls: Vec<_> =
        settled.iter().map(|settlement| settlement.idempotency_key.clone().unwrap()).collect();
    calls.sort();
    calls.dedup();
    assert_eq!(calls.len(), settled.len(), "a call was settled twice");
    for settlement in &settled {
        let payment = payments.iter().find(|payment| payment.idempotency_key == settlement.nonce);
        let payment = payment.unwrap_or_else(|| panic!("not in the ledger: {settlement:?}"));
        assert!(matches!(payment.state, PaymentState::Settled | PaymentState::Unknown), "{payment:?}");
        counts.found_out += usize::from(payment.state == PaymentState::Unknown);
    }
    let has_left = |payment: &&Payment| payment.open.as_ref().is_some_and(|open| open.has_left);
    let total = payments.iter().filter(has_left).map(|payment| payment.amount).fold(Usd::ZERO, sum);
    assert!(total <= usd(OPEN_CAP), "{total} USD are above the cap");
    counts.settled += settled.len();
    counts.rejected += payments.iter().filter(|payment| payment.state == PaymentState::Rejected).count();
    for _ in &settled {
        counts.credited = sum(counts.credited, usd("0.01"));
    }
    drop(store);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A client that starts after all others have died, and finds out what became of their payments.
async fn after_all(sandbox: &Sandbox, path: &Path) -> Vec<Payment> {
    sandbox.control().clear_faults();
    let store = Store::open(path).unwrap().lease(LEASE);
    let settled = async {
        loop {
            let client = Client::builder()
                .base_url(sandbox.url())
                .api_key(sandbox.user_key())
                .store(store.clone())
                .spend_policy(SpendPolicy::default().per_day(usd(CAP)))
                .wallet_payer(service_of(sandbox))
                .build()
                .unwrap();
            // A 402 makes it look; an answer spends a cent that is there.
            match client.route_task("x").await {
                Ok(_) | Err(Error::SpendLimit { .. } | Error::PaymentUnknown(_)) => {}
                Err(error) => panic!("{error}"),
            }
            let payments = store.payments().list().await.unwrap();
            if payments.iter().all(|payment| !payment.is_open()) {
                return payments;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("nothing stays open")
}

fn check(sandbox: &Sandbox, payments: &[Payment], counts: &mut Counts) {
    let sum = |sum: Usd, amount: Usd| sum.checked_add(amount).unwrap();
    let credits = sandbox.control().credits();
    let settled: Vec<_> = payments.iter().filter(|payment| payment.state == PaymentState::Settled).collect();
    let in_books = settled.iter().map(|payment| payment.amount).fold(Usd::ZERO, sum);
    let credited = credits.iter().map(|credit| usd(&credit.amount.to_string())).fold(Usd::ZERO, sum);
    assert_eq!(credited, in_books, "{payments:#?}");
    assert!(in_books <= usd(CAP), "{in_books} USD are above the cap");
    assert_eq!(credits.len(), settled.len());
    for credit in &credits {
        let payment = settled.iter().find(|payment| payment.idempotency_key == credit.idempotency_key);
        assert_eq!(payment.unwrap().amount, usd(&credit.amount.to_string()));
    }
    let mut leaders: Vec<_> = settled
        .iter()
        .flat_map(|payment| payment.calls.iter().filter(|call| call.led).map(|call| call.call_key.clone()))
        .collect();
    leaders.sort();
    leaders.dedup();
    assert_eq!(leaders.len(), settled.len(), "a call led two payments");
    counts.settled += settled.len();
    counts.found_out += settled.iter().filter(|payment| payment.was_found_out()).count();
    counts.rejected += payments.len() - settled.len();
    counts.credited = sum(counts.credited, credited);
}

struct Worker(Child);

impl Worker {
    fn start(program: &str, rail: &str, sandbox: &Sandbox, store: &str, cap: &str, secrets: &[&str]) -> Self {
        let lease = LEASE.as_millis().to_string();
        let arguments = [rail, sandbox.url(), store, &lease, cap];
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(secrets)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// With SIGKILL; 1 if it was still alive.
    fn kill(&mut self) -> usize {
        let was_alive = self.0.try_wait().unwrap().is_none();
        // It may end by itself in between.
        let _ = self.0.kill();
        self.0.wait().unwrap();
        usize::from(was_alive)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
