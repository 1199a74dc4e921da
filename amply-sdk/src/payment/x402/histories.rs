//! Histories of the open rail at random: calls at once, processes that crash, calls that are cancelled, and a server that
//! settles and says it did not, says nothing, or asks for something else. Time is paused; every choice follows from the seed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fastrand::Rng;
use http::header::HeaderMap;
use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::network::Network;
use super::rail::{SIGNATURES, SendPaid, Setup, X402Rail};
use super::signer::LocalSigner;
use crate::base_url::BaseUrl;
use crate::error::{Error, Failure};
use crate::event::Observer;
use crate::exchange::Reply;
use crate::meta::Meta;
use crate::money::Usd;
use crate::payment::crew::Crew;
use crate::payment::open::OpenRail;
use crate::payment::running::Spawner;
use crate::payment::{
    Ask, Clock, Ledger, Payers, Payment, PaymentChallenge, PaymentProblem, PaymentState, Rail, SpendPolicy,
    pay_and_ask_again,
};
use crate::store::Store;
use crate::transport::{Fault, HttpAnswer, HttpRequest};

const PER_DAY: &str = "0.12";
/// Noon of some day, so that no history crosses midnight.
const NOON: i64 = 1_767_268_800_000;
const KEY: &str = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// The server, its facilitator, and what is true whoever believes it.
struct World {
    rng: Mutex<Rng>,
    start: Instant,
    /// How often in a hundred the server misbehaves.
    mischief: u32,
    /// Nonces that took money, each with the key of the call that brought it.
    settled: Mutex<HashMap<String, String>>,
    /// Nonces that came, by call.
    seen: Mutex<HashMap<String, HashSet<String>>>,
    served: Mutex<HashSet<String>>,
}

impl World {
    fn roll(&self, below: u32) -> u32 {
        self.rng.lock().unwrap().u32(0..below)
    }

    fn misbehaves(&self) -> bool {
        self.roll(100) < self.mischief
    }

    async fn a_while(&self, most_ms: u32) {
        let ms = self.roll(most_ms);
        sleep(Duration::from_millis(ms.into())).await;
    }

    /// The offers of a 402, and its own word.
    fn offers(&self, error: &str) -> HeaderMap {
        let odd = self.misbehaves();
        let offer = json!({
            "scheme": "exact",
            "network": if odd && self.roll(4) == 0 { "eip155:1" } else { "eip155:84532" },
            "amount": if odd && self.roll(4) == 0 { "NaN" } else if odd && self.roll(3) == 0 { "99000000" } else { "10000" },
            "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            "payTo": if odd && self.roll(4) == 0 { "0x00000000000000000000000000000000000000bb" }
                else { "0x00000000000000000000000000000000000000aa" },
            "maxTimeoutSeconds": 300,
            "extra": {"name": "USDC", "version": "2"},
        });
        header("payment-required", &json!({"x402Version": 2, "error": error, "accepts": [offer]}))
    }

    fn answer(&self, status: u16, headers: HeaderMap, body: &str) -> HttpAnswer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        HttpAnswer { status: StatusCode::from_u16(status).unwrap(), headers, body }
    }

    /// A request with a payment.
    async fn paid_route(&self, request: HttpRequest) -> Result<HttpAnswer, Fault> {
        self.a_while(40).await;
        let (_, value) = request.payment.unwrap();
        let payment: Value = serde_json::from_slice(&STANDARD.decode(value.as_bytes()).unwrap()).unwrap();
        let nonce = payment["payload"]["authorization"]["nonce"].as_str().unwrap().to_owned();
        let call = request.idempotency_key.unwrap().to_str().unwrap().to_owned();
        self.seen.lock().unwrap().entry(call.clone()).or_default().insert(nonce.clone());
        let receipt = |success: bool, reason: Option<&str>, transaction: &str| {
            let receipt = json!({"success": success, "errorReason": reason, "transaction": transaction, "network": "eip155:84532"});
            header("payment-response", &receipt)
        };
        let served = r#"{"recommended":"qdrant","request_id":"r"}"#;
        if self.settled.lock().unwrap().contains_key(&nonce) {
            // The first time may have taken the last that the payer had.
            let error =
                if self.misbehaves() { "insufficient_funds" } else { "invalid_exact_evm_nonce_already_used" };
            return Ok(self.answer(402, self.offers(error), "{}"));
        }
        let settle = || {
            self.settled.lock().unwrap().insert(nonce.clone(), call.clone());
        };
        let serve = || {
            settle();
            self.served.lock().unwrap().insert(call.clone());
        };
        if !self.misbehaves() {
            serve();
            self.a_while(60).await;
            return Ok(self.answer(200, receipt(true, None, "0x01"), served));
        }
        match self.roll(10) {
            0 => Ok(self.answer(402, self.offers("insufficient_funds"), "{}")),
            1 => Ok(self.answer(402, receipt(false, Some("invalid_exact_evm_signature"), ""), "{}")),
            2 => {
                settle();
                Ok(self.answer(402, receipt(false, Some("boom"), ""), "{}"))
            }
            3 => Ok(self.answer(402, receipt(false, Some("boom"), "0x02"), "{}")),
            4 => {
                settle();
                Err(Fault::unanswered("reset".to_owned()))
            }
            5 => Err(Fault::unanswered("reset".to_owned())),
            6 => {
                settle();
                Ok(self.answer(502, HeaderMap::new(), "bad gateway"))
            }
            7 => {
                settle();
                std::future::pending().await
            }
            8 => {
                serve();
                Ok(self.answer(200, HeaderMap::new(), served))
            }
            _ => {
                settle();
                Ok(self.answer(500, receipt(true, None, "0x03"), "the handler failed"))
            }
        }
    }

    fn challenge(&self) -> Error {
        let failure = Failure {
            meta: Meta { headers: self.offers("Payment required"), ..Meta::default() },
            request: "POST /route".to_owned(),
            detail: String::new(),
            code: None,
            hint: None,
            body: Bytes::from_static(b"{}"),
            may_have_been_charged: false,
            source: None,
        };
        Error::PaymentRequired(Box::new(PaymentChallenge::new(None, failure, NOON)))
    }
}

fn header(name: &'static str, json: &Value) -> HeaderMap {
    let value = STANDARD.encode(json.to_string());
    HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
}

struct TheServer(Arc<World>);

impl SendPaid for TheServer {
    fn send(
        &self,
        request: HttpRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<HttpAnswer, Fault>> + Send>> {
        let world = self.0.clone();
        Box::pin(async move { world.paid_route(request).await })
    }
}

struct TheCall {
    world: Arc<World>,
    deadline: Instant,
    key: String,
}

impl Ask for TheCall {
    async fn ask(&mut self) -> Result<Reply, Error> {
        Err(self.world.challenge())
    }

    fn paid(&mut self, _: &Payment) {}

    fn request(&self) -> HttpRequest {
        HttpRequest {
            method: Method::POST,
            url: "http://127.0.0.1:9/api/v1/route".parse().unwrap(),
            body: None,
            idempotency_key: self.key.parse().ok(),
            payment: None,
            concealed: Default::default(),
        }
    }

    fn accept(&mut self, answered: Result<HttpAnswer, Fault>) -> Result<Reply, Error> {
        match answered {
            Ok(answer) if answer.status.is_success() => Ok(Reply {
                body: answer.body,
                meta: Meta::default(),
                request: (Method::POST, "http://127.0.0.1:9".parse().unwrap()),
                may_have_been_charged: true,
                concealed: Default::default(),
            }),
            _ => Err(self.world.challenge()),
        }
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn key(&self) -> &str {
        &self.key
    }
}

struct Process {
    payers: Arc<Payers>,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Process {
    fn start(world: &Arc<World>, store: &Store) -> Self {
        let tasks = Arc::new(Mutex::new(Vec::new()));
        let ledger = Ledger::new(store.clone(), Clock::Paused { start: world.start, at: NOON });
        let paying = watch::Sender::new(0);
        let rail: Arc<dyn OpenRail> = Arc::new(X402Rail(Setup {
            base: BaseUrl::parse("http://127.0.0.1:9").unwrap(),
            key_hash: String::new(),
            signer: Arc::new(LocalSigner::from_hex(KEY).unwrap()),
            networks: vec![Network::BASE_SEPOLIA],
            policy: SpendPolicy::default().per_request(usd("0.05")).per_day(usd(PER_DAY)),
            ledger: ledger.clone(),
            observer: Observer::default(),
            spawner: Spawner::Here(tasks.clone()),
            send: Box::new(TheServer(world.clone())),
            paying: paying.clone(),
            signers: Crew::new(Spawner::Here(tasks.clone()), SIGNATURES),
            limit: Duration::from_secs(30),
        }));
        let process = std::process::id();
        let payers = Payers { wallet: None, open: Some(rail), first: Rail::X402, ledger, paying, process };
        Self { payers: Arc::new(payers), tasks }
    }

    fn crash(&self) {
        for task in self.tasks.lock().unwrap().drain(..) {
            task.abort();
        }
    }
}

async fn call(world: Arc<World>, payers: Arc<Payers>, key: String) -> (String, Result<(), Error>) {
    world.a_while(1_000).await;
    let mut call = TheCall { deadline: Instant::now() + Duration::from_secs(60), world, key };
    let answered = match call.ask().await {
        Err(Error::PaymentRequired(challenge)) => pay_and_ask_again(&payers, challenge, &mut call).await,
        answered => answered,
    };
    (call.key, answered.map(|_| ()))
}

async fn history(seed: u64, calls: usize, processes: usize, mischief: u32) {
    let mut rng = Rng::with_seed(seed);
    let world = Arc::new(World {
        rng: Mutex::new(rng.fork()),
        start: Instant::now(),
        mischief,
        settled: Mutex::default(),
        seen: Mutex::default(),
        served: Mutex::default(),
    });
    let store = Store::in_memory();
    let mut running: Vec<Process> = (0..processes).map(|_| Process::start(&world, &store)).collect();
    let mut tasks = Vec::new();
    for number in 0..calls {
        let process = &running[rng.usize(0..running.len())];
        // Some bring the key of another: a job that is run twice.
        let key = format!("call-{}", if rng.u8(0..8) == 0 { number / 2 } else { number });
        let task = tokio::spawn(call(world.clone(), process.payers.clone(), key));
        process.tasks.lock().unwrap().push(task.abort_handle());
        tasks.push(task);
    }
    for _ in 0..rng.usize(0..5) {
        sleep(Duration::from_millis(rng.u64(0..1_500))).await;
        match rng.bool() {
            true => tasks[rng.usize(0..tasks.len())].abort(),
            false => {
                let crashed = rng.usize(0..running.len());
                running[crashed].crash();
                running[crashed] = Process::start(&world, &store);
            }
        }
    }
    let mut ended = Vec::new();
    for task in tasks {
        match task.await {
            Ok(call) => ended.push(call),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
    }
    sleep(Duration::from_secs(600)).await;
    let ledger = Ledger::new(store.clone(), Clock::Paused { start: world.start, at: NOON });
    check(&world, &ledger.list().await.unwrap(), &ended);
}

fn check(world: &World, payments: &[Payment], ended: &[(String, Result<(), Error>)]) {
    let settled = world.settled.lock().unwrap();
    let counted = payments.iter().filter(|payment| payment.counts());
    let total =
        counted.map(|payment| payment.amount).try_fold(Usd::ZERO, |sum, amount| sum.checked_add(amount));
    assert!(total.unwrap() <= usd(PER_DAY), "{total:?} USD are in the books of a day");
    let mut by_call: HashMap<&str, usize> = HashMap::new();
    for (nonce, call) in settled.iter() {
        *by_call.entry(call).or_default() += 1;
        let payment = payments.iter().find(|payment| payment.idempotency_key == *nonce).unwrap();
        let is_known = matches!(
            payment.state,
            PaymentState::Settled | PaymentState::SettledNotApplied | PaymentState::Unknown
        );
        assert!(is_known, "money moved, and the ledger says no: {payment:?}");
    }
    assert!(by_call.values().all(|count| *count == 1), "a call was settled twice: {by_call:?}");
    for (call, nonces) in world.seen.lock().unwrap().iter() {
        // Only what was surely refused frees a key for another signature.
        let open: Vec<&Payment> = payments
            .iter()
            .filter(|payment| {
                nonces.contains(&payment.idempotency_key) && payment.state != PaymentState::Rejected
            })
            .collect();
        assert!(open.len() <= 1, "{call} has more than one payment that may have been taken: {open:?}");
    }
    assert!(payments.iter().all(|payment| !payment.is_running()), "a payment never ended");
    let served = world.served.lock().unwrap();
    for (key, outcome) in ended {
        match outcome {
            Ok(()) => assert!(served.contains(key), "{key} has an answer that nobody gave"),
            Err(error) => {
                if let Some(id) = error.payment_problem().and_then(PaymentProblem::payment_id) {
                    assert!(payments.iter().any(|payment| payment.id == id), "{error} names no payment");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_every_history_a_call_was_paid_for_once_at_most_and_the_books_know_it(
        seed: u64,
        calls in 1_usize..=24,
        processes in 1_usize..=3,
        mischief in prop::sample::select(vec![0_u32, 10, 40, 80]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(history(seed, calls, processes, mischief));
    }
}
