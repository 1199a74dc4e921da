//! Histories of payments at random: many calls, several processes that crash, a server and a payer that misbehave. Time is
//! paused and every choice follows from the seed, so that a history can be played again.
//!
//! After each: nothing above a cap, no key paid twice, no call that led two payments, every payment that may have been made
//! is in the ledger, none is taken for settled whose money never came, and no call is told that nothing was paid for it
//! while the ledger says otherwise.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::Method;
use proptest::prelude::*;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::wallet::{Coordinator, Limits, Look, Looked, Setup};
use super::*;
use crate::error::{Error, Failure};
use crate::event::{Event, Observer};
use crate::exchange::Reply;
use crate::key::KeyKind;
use crate::meta::Meta;
use crate::money::Usd;
use crate::store::{Query, Store};
use crate::transport::{Fault, HttpAnswer, HttpRequest};
use crate::wire::ErrorBody;

const PER_TOPUP: &str = "0.40";
const PER_DAY: &str = "1.00";
/// Noon of some day, so that no history crosses midnight.
const NOON: i64 = 1_767_268_800_000;

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// The server, the payer and everything that is true, whoever believes it.
struct World {
    rng: Mutex<Rng>,
    store: Store,
    start: Instant,
    balance: Mutex<Usd>,
    price: Usd,
    /// How often in a hundred the server or the payer misbehaves.
    mischief: u32,
    is_idempotent: bool,
    /// What was credited under each key, in order.
    credits: Mutex<Vec<(String, Usd)>>,
    receipts: Mutex<HashMap<String, Receipt>>,
    /// The keys of which a payer said that it paid, and it did not.
    lies: Mutex<HashSet<String>>,
    served: Mutex<Vec<String>>,
    /// The keys that a payer is being asked for.
    asked_for: Mutex<Vec<String>>,
    events: Mutex<Vec<Event>>,
    /// What must not happen, and did.
    faults: Mutex<Vec<String>>,
}

impl World {
    fn new(rng: Rng, balance: Usd, price: Usd, mischief: u32, is_idempotent: bool) -> Self {
        Self {
            rng: Mutex::new(rng),
            store: Store::in_memory(),
            start: Instant::now(),
            balance: Mutex::new(balance),
            price,
            mischief,
            is_idempotent,
            credits: Mutex::default(),
            receipts: Mutex::default(),
            lies: Mutex::default(),
            served: Mutex::default(),
            asked_for: Mutex::default(),
            events: Mutex::default(),
            faults: Mutex::default(),
        }
    }

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

    fn now_ms(&self) -> i64 {
        NOON + i64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    /// One `POST /route`.
    fn route(&self, key: &str) -> Result<Reply, Error> {
        let mut balance = self.balance.lock().unwrap();
        let is_stubborn = self.misbehaves() && self.roll(3) == 0;
        if *balance >= self.price && !is_stubborn {
            *balance = balance.checked_sub(self.price).unwrap();
            self.served.lock().unwrap().push(key.to_owned());
            return Ok(self.reply());
        }
        let short = self.price.checked_sub(*balance).unwrap().max(self.price);
        let body = match self.misbehaves().then(|| self.roll(10)) {
            Some(0) => r#"{"shortfall_usd":"NaN"}"#.to_owned(),
            Some(1) => {
                format!(r#"{{"shortfall_usd":{short},"x402":{{"spec":"amply.x402/1","amount_usd":-1}}}}"#)
            }
            Some(2) => format!(
                r#"{{"shortfall_usd":{short},"x402":{{"spec":"amply.x402/1","top_up":{{"path":"//evil.example/"}}}}}}"#
            ),
            Some(3) => format!(
                r#"{{"shortfall_usd":{short},"x402":{{"spec":"amply.x402/1","expires_at":"2020-01-01T00:00:00Z"}}}}"#
            ),
            // Asks for much more than a cap allows, or suggests it.
            Some(4) => format!(r#"{{"shortfall_usd":1000,"balance_usd":{balance}}}"#),
            Some(5) => format!(
                r#"{{"shortfall_usd":{short},"balance_usd":{balance},"x402":{{"spec":"amply.x402/1","amount_usd":1000}}}}"#
            ),
            Some(6) => format!(r#"{{"shortfall_usd":{short}}}"#),
            Some(7) => return Err(Error::Server(Box::new(self.failure("{}", true)))),
            Some(8) => {
                let failure = Box::new(self.failure("{}", false));
                return Err(Error::RateLimited { retry_after: None, failure });
            }
            Some(_) => "{}".to_owned(),
            None => format!(r#"{{"shortfall_usd":{short},"balance_usd":{balance}}}"#),
        };
        let failure = self.failure(&body, false);
        let words = ErrorBody::parse(&failure.body);
        Err(Error::PaymentRequired(Box::new(PaymentChallenge::new(words, failure, self.now_ms()))))
    }

    fn reply(&self) -> Reply {
        Reply {
            body: Bytes::from_static(br#"{"recommended":"qdrant","request_id":"r"}"#),
            meta: Meta::default(),
            request: (Method::POST, "http://127.0.0.1:9".parse().unwrap()),
            may_have_been_charged: true,
            concealed: Default::default(),
        }
    }

    fn failure(&self, body: &str, may_have_been_charged: bool) -> Failure {
        Failure {
            // A request takes no longer, there and back.
            meta: Meta {
                key_kind: Some(KeyKind::User),
                elapsed: Duration::from_millis(80),
                ..Meta::default()
            },
            request: "POST /route".to_owned(),
            detail: String::new(),
            code: None,
            hint: None,
            body: Bytes::copy_from_slice(body.as_bytes()),
            may_have_been_charged,
            source: None,
        }
    }

    /// Money moves.
    fn credit(&self, key: &str, amount: Usd) -> Receipt {
        if self.is_idempotent
            && let Some(receipt) = self.receipts.lock().unwrap().get(key)
        {
            return receipt.clone();
        }
        let mut balance = self.balance.lock().unwrap();
        *balance = balance.checked_add(amount).unwrap();
        self.credits.lock().unwrap().push((key.to_owned(), amount));
        let mut receipt = Receipt::new(amount);
        if self.roll(2) == 0 {
            receipt = receipt.balance(*balance);
        }
        self.receipts.lock().unwrap().insert(key.to_owned(), receipt.clone());
        receipt
    }

    /// One payment at a time: nobody is asked for another while money has not moved for the one before.
    fn enter(&self, key: &str) -> Leaves<'_> {
        let mut asked_for = self.asked_for.lock().unwrap();
        let receipts = self.receipts.lock().unwrap();
        let others: Vec<_> = asked_for.iter().filter(|other| !receipts.contains_key(*other)).collect();
        if !others.is_empty() {
            self.faults.lock().unwrap().push(format!("{key} was asked for besides {others:?}"));
        }
        asked_for.push(key.to_owned());
        Leaves(self, key.to_owned())
    }

    /// A payment is begun on a balance that has every credit before it. Only routes may have lessened it since.
    fn check_balance_before(&self, key: &str) {
        let payments = self.store.transaction(|rows| rows.select(Query::All)).unwrap();
        let payment = payments.iter().find(|payment| payment.idempotency_key == key).unwrap();
        let balance = *self.balance.lock().unwrap();
        if payment.tried_ms.is_none() && payment.balance_before.is_some_and(|before| before < balance) {
            let before = payment.balance_before;
            self.faults
                .lock()
                .unwrap()
                .push(format!("{key} was begun at {before:?}, and there was {balance}"));
        }
    }

    async fn top_up(&self, request: TopUpRequest) -> TopUp {
        let TopUpRequest { idempotency_key: key, amount_usd: amount, .. } = request;
        let _leaves = self.enter(&key);
        self.check_balance_before(&key);
        self.a_while(400).await;
        if !self.misbehaves() {
            return TopUp::Settled(self.credit(&key, amount));
        }
        match self.roll(8) {
            0 => TopUp::Rejected("no".to_owned()),
            1 => TopUp::Unknown("perhaps".to_owned()),
            2 => {
                self.credit(&key, amount);
                TopUp::Unknown("perhaps".to_owned())
            }
            // Too late, before or after the money moved.
            3 => std::future::pending().await,
            4 => {
                self.credit(&key, amount);
                std::future::pending().await
            }
            5 => {
                self.credit(&key, amount);
                panic!("a payer that panics")
            }
            // It says so, and the money is gone.
            6 => {
                self.lies.lock().unwrap().insert(key);
                TopUp::Settled(Receipt::new(amount))
            }
            _ => {
                self.a_while(30_000).await;
                TopUp::Settled(self.credit(&key, amount))
            }
        }
    }
}

struct Leaves<'a>(&'a World, String);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut asked_for = self.0.asked_for.lock().unwrap();
        let at = asked_for.iter().position(|key| *key == self.1).unwrap();
        asked_for.remove(at);
    }
}

struct TheLook(Arc<World>);

impl Look for TheLook {
    fn look(&self) -> std::pin::Pin<Box<dyn Future<Output = Looked> + Send + '_>> {
        Box::pin(async {
            self.0.a_while(30).await;
            let looked = match self.0.misbehaves().then(|| self.0.roll(3)) {
                Some(0) => Looked::Failed("503".to_owned()),
                Some(1) => Looked::Wallet { principal_id: None, balance: None },
                _ => {
                    let balance = *self.0.balance.lock().unwrap();
                    Looked::Wallet { principal_id: Some("prn_1".to_owned()), balance: Some(balance) }
                }
            };
            // What was true at the server need not be any more when its answer arrives.
            self.0.a_while(30).await;
            looked
        })
    }
}

struct ThePayer(Arc<World>);

impl Payer for ThePayer {
    fn top_up<'a>(&'a self, request: &'a TopUpRequest) -> TopUpFuture<'a> {
        Box::pin(self.0.top_up(request.clone()))
    }

    fn idempotent_for(&self) -> Option<Duration> {
        self.0.is_idempotent.then_some(Duration::from_secs(12 * 3600))
    }
}

struct TheCall {
    world: Arc<World>,
    deadline: Instant,
    key: String,
    led: Vec<String>,
}

impl Ask for TheCall {
    async fn ask(&mut self) -> Result<Reply, Error> {
        self.world.a_while(60).await;
        let answered = self.world.route(&self.key);
        self.world.a_while(20).await;
        answered
    }

    fn paid(&mut self, payment: &Payment) {
        self.led.push(payment.id.clone());
    }

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
            Ok(answer) if answer.status.is_success() => Ok(self.world.reply()),
            _ => Err(Error::Server(Box::new(self.world.failure("{}", true)))),
        }
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn key(&self) -> &str {
        &self.key
    }
}

/// A process: its tasks end with it.
struct Process {
    payers: Arc<Payers>,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Process {
    fn start(world: &Arc<World>) -> Self {
        let tasks = Arc::new(Mutex::new(Vec::new()));
        let observed = world.clone();
        let coordinator = Coordinator::new(Setup {
            wallet: WalletId { base_url: "http://127.0.0.1:9/api/v1".to_owned(), key_hash: "k".to_owned() },
            policy: SpendPolicy::per_topup(usd(PER_TOPUP)).per_day(usd(PER_DAY)),
            payer: Arc::new(ThePayer(world.clone())),
            limits: Limits { payer: Duration::from_secs(30), headroom: Duration::from_secs(5) },
            ledger: Ledger::new(world.store.clone(), Clock::Paused { start: world.start, at: NOON }),
            look: Box::new(TheLook(world.clone())),
            observer: Observer::new(move |event| observed.events.lock().unwrap().push(event.clone())),
            spawner: Spawner::Here(tasks.clone()),
            paying: watch::Sender::new(0),
        });
        coordinator.recover();
        let payers = Payers {
            ledger: coordinator.ledger().clone(),
            wallet: Some(coordinator),
            open: None,
            first: Rail::Wallet,
            paying: watch::Sender::new(0),
            process: std::process::id(),
        };
        Self { payers: Arc::new(payers), tasks }
    }

    fn crash(&self) {
        for task in self.tasks.lock().unwrap().drain(..) {
            task.abort();
        }
    }
}

/// A call, the payments that it led, and how it ended.
type EndedCall = (String, Vec<String>, Result<(), Error>);

async fn call(
    world: Arc<World>,
    payers: Arc<Payers>,
    key: String,
    within_ms: u32,
    limit: Duration,
) -> EndedCall {
    world.a_while(within_ms).await;
    let mut call = TheCall { deadline: Instant::now() + limit, world, key, led: Vec::new() };
    let under_way = payers.call_under_way(call.deadline).await;
    let first = call.ask().await;
    drop(under_way);
    let answered = match first {
        Err(Error::PaymentRequired(challenge)) => pay_and_ask_again(&payers, challenge, &mut call).await,
        answered => answered,
    };
    (call.key, call.led, answered.map(|_| ()))
}

async fn history(seed: u64, calls: usize, processes: usize, mischief: u32, is_idempotent: bool) {
    let mut rng = Rng::with_seed(seed);
    let balance = usd(["0", "0.005", "0.03"][rng.usize(0..3)]);
    let price = usd(["0.01", "0.015", "0.001"][rng.usize(0..3)]);
    let world = Arc::new(World::new(rng.fork(), balance, price, mischief, is_idempotent));
    let mut running: Vec<Process> = (0..processes).map(|_| Process::start(&world)).collect();
    let mut tasks = Vec::new();
    for number in 0..calls {
        let process = &running[rng.usize(0..running.len())];
        // Some have hardly the time to begin a payment.
        let limit =
            Duration::from_millis([rng.u64(5_000..9_000), rng.u64(9_000..40_000), 60_000][rng.usize(0..3)]);
        let key = format!("call-{number}");
        let task = tokio::spawn(call(world.clone(), process.payers.clone(), key, 2_000, limit));
        // A process that ends takes its calls with it.
        process.tasks.lock().unwrap().push(task.abort_handle());
        tasks.push(task);
    }
    // Some calls are cancelled and some processes crash, at any moment.
    let disturbances = rng.usize(0..6);
    for _ in 0..disturbances {
        sleep(Duration::from_millis(rng.u64(0..4_000))).await;
        match rng.bool() {
            true => tasks[rng.usize(0..tasks.len())].abort(),
            false => {
                let crashed = rng.usize(0..running.len());
                running[crashed].crash();
                running[crashed] = Process::start(&world);
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
    // Payments go on without their calls.
    sleep(Duration::from_secs(600)).await;
    check(&world, &world.store.payments().list().await.unwrap(), &ended);
}

fn check(world: &World, payments: &[Payment], ended: &[EndedCall]) {
    fn sum(mut amounts: impl Iterator<Item = Usd>) -> Usd {
        amounts.try_fold(Usd::ZERO, |sum, amount| sum.checked_add(amount)).unwrap()
    }
    let counted = sum(payments.iter().filter(|payment| payment.counts()).map(|payment| payment.amount));
    assert!(counted <= usd(PER_DAY), "{counted} USD are in the books of a day");
    assert!(payments.iter().all(|payment| payment.amount <= usd(PER_TOPUP)), "a payment is above its cap");

    let credits = world.credits.lock().unwrap();
    assert!(sum(credits.iter().map(|(_, amount)| *amount)) <= usd(PER_DAY), "more was credited than allowed");
    let keys: HashSet<&str> = credits.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys.len(), credits.len(), "a key was paid twice: {credits:?}");
    for (key, amount) in credits.iter() {
        let payment = payments.iter().find(|payment| payment.idempotency_key == *key).unwrap();
        assert!(
            payment.counts() && payment.amount >= *amount,
            "money moved, and the ledger says no: {payment:?}"
        );
    }

    let lies = world.lies.lock().unwrap();
    for payment in payments.iter().filter(|payment| payment.state == PaymentState::Settled) {
        // Where a payer lies, an answer to its call is taken as proof.
        let is_answered_lie = lies.contains(&payment.idempotency_key)
            && payment.calls.iter().any(|call| call.route_id.is_some());
        assert!(
            keys.contains(&*payment.idempotency_key) || is_answered_lie,
            "no money came, and the ledger says settled: {payment:?}"
        );
    }

    let leaders: Vec<&str> = payments
        .iter()
        .filter(|payment| payment.counts())
        .flat_map(|payment| payment.calls.iter().filter(|call| call.led).map(|call| call.call_key.as_str()))
        .collect();
    assert_eq!(leaders.iter().collect::<HashSet<_>>().len(), leaders.len(), "a call led two payments");
    assert_eq!(*world.faults.lock().unwrap(), [""; 0]);
    assert!(
        payments.iter().filter(|payment| payment.is_open()).count() <= 1,
        "two payments of a wallet are open"
    );
    assert!(payments.iter().all(|payment| !payment.is_running()), "a payment never ended");

    let events = world.events.lock().unwrap();
    for payment in payments.iter().filter(|payment| payment.state == PaymentState::Settled) {
        let is_told = events.iter().any(
            |event| matches!(event, Event::PaymentIntended { payment_id, .. } if *payment_id == payment.id),
        );
        assert!(is_told, "nobody was told of {payment:?}");
    }
    let served = world.served.lock().unwrap();
    assert_eq!(served.iter().collect::<HashSet<_>>().len(), served.len(), "a call was served twice");
    for (key, led, outcome) in ended {
        assert!(led.len() <= 1, "{key} led {led:?}");
        let paid: Vec<&Payment> = payments
            .iter()
            .filter(|payment| payment.counts() && payment.calls.iter().any(|call| call.call_key == *key))
            .collect();
        match outcome {
            Ok(()) => {
                assert!(served.contains(key), "{key} has an answer that nobody gave");
                let of_it = paid.iter().filter(|payment| payment.was_led_by(key)).map(|payment| &payment.id);
                assert!(of_it.eq(led), "{key} is told of {led:?}, and led {paid:?}");
            }
            Err(error) => {
                assert!(!served.contains(key), "the answer of {key} was lost to {error}");
                if !error.may_have_been_charged() || error.to_string().contains("nothing was paid") {
                    assert!(paid.is_empty(), "{key} ends in `{error}`, and the ledger has {paid:?}");
                }
                if let Some(id) = error.payment_problem().and_then(PaymentProblem::payment_id) {
                    assert!(payments.iter().any(|payment| payment.id == id), "{error} names no payment");
                }
                // What the caller is told about money is what the books say.
                if let Error::PaymentFailed(problem) = error {
                    let told =
                        payments.iter().find(|payment| Some(&*payment.id) == problem.payment_id()).unwrap();
                    assert!(!told.counts(), "{error}, and it counts: {told:?}");
                }
            }
        }
    }
}

fn play(seed: u64, calls: usize, processes: usize, mischief: u32, is_idempotent: bool) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(history(seed, calls, processes, mischief, is_idempotent));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_every_history_no_cap_is_broken_and_nothing_was_paid_twice(
        seed: u64,
        calls in 1_usize..=64,
        processes in 1_usize..=3,
        mischief in prop::sample::select(vec![0_u32, 5, 20, 60]),
        is_idempotent: bool,
    ) {
        play(seed, calls, processes, mischief, is_idempotent);
    }
}

#[test]
fn where_nobody_misbehaves_calls_that_come_at_once_are_answered_by_two_top_ups_at_most() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for seed in 0..50 {
            let world = Arc::new(World::new(Rng::with_seed(seed), usd("0.005"), usd("0.001"), 0, true));
            let process = Process::start(&world);
            let limit = Duration::from_secs(60);
            let call = |number| {
                tokio::spawn(call(world.clone(), process.payers.clone(), format!("call-{number}"), 1, limit))
            };
            let calls: Vec<_> = (0..64).map(call).collect();
            for call in calls {
                call.await.unwrap().2.unwrap();
            }
            let payments = world.store.payments().list().await.unwrap();
            assert!(payments.len() <= 2, "seed {seed}: {payments:?}");
            assert!(payments.iter().all(|payment| payment.state == PaymentState::Settled), "{payments:?}");
        }
    });
}
