//! One wallet, and everything around it as a test says: the server, the payer, the balance, the books.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::error::{Error, Failure};
use crate::event::Observer;
use crate::exchange::Reply;
use crate::key::KeyKind;
use crate::meta::Meta;
use crate::money::Usd;
use crate::payment::{
    Ask, Clock, Ledger, Payers, Payment, PaymentChallenge, PaymentState, Rail, Receipt, Spawner, SpendPolicy,
    WalletId, pay_and_ask_again,
};
use crate::store::{Gate, Store};
use crate::transport::{Fault, HttpAnswer, HttpRequest};
use crate::wire::ErrorBody;

/// Noon of some day.
const NOON: i64 = 1_767_268_800_000;

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What the server says.
#[derive(Clone, Copy, Debug)]
enum Says {
    Served,
    TooMany,
    /// A 402 with this body.
    Pay(&'static str),
}

const SHORT: Says = Says::Pay(r#"{"shortfall_usd":0.01,"balance_usd":0}"#);

impl Says {
    fn answer(self, now_ms: i64) -> Result<Reply, Error> {
        match self {
            Self::Served => Ok(Reply {
                body: Bytes::from_static(br#"{"recommended":"qdrant","request_id":"r"}"#),
                meta: Meta::default(),
                request: (Method::POST, "http://127.0.0.1:9".parse().unwrap()),
                may_have_been_charged: true,
                concealed: Default::default(),
            }),
            Self::TooMany => Err(Error::RateLimited { retry_after: None, failure: Box::new(failure("{}")) }),
            Self::Pay(body) => {
                let failure = failure(body);
                let words = ErrorBody::parse(&failure.body);
                Err(Error::PaymentRequired(Box::new(PaymentChallenge::new(words, failure, now_ms))))
            }
        }
    }
}

fn failure(body: &'static str) -> Failure {
    Failure {
        meta: Meta { key_kind: Some(KeyKind::User), ..Meta::default() },
        request: "POST /route".to_owned(),
        detail: String::new(),
        code: None,
        hint: None,
        body: Bytes::from_static(body.as_bytes()),
        may_have_been_charged: false,
        source: None,
    }
}

/// What looks find, one after the other; the last stays. Each says how long its answer takes to arrive.
#[derive(Clone)]
struct Looks(Arc<Mutex<VecDeque<(Looked, Duration)>>>);

fn holds(balance: &str) -> Looked {
    Looked::Wallet { principal_id: None, balance: Some(usd(balance)) }
}

impl Looks {
    fn of(looks: impl IntoIterator<Item = Looked>) -> Self {
        Self(Arc::new(Mutex::new(looks.into_iter().map(|looked| (looked, Duration::ZERO)).collect())))
    }
}

impl Look for Looks {
    fn look(&self) -> std::pin::Pin<Box<dyn Future<Output = Looked> + Send + '_>> {
        Box::pin(async {
            let (looked, after) = {
                let mut looks = self.0.lock().unwrap();
                if looks.len() > 1 { looks.pop_front() } else { looks.front().cloned() }
            }
            .expect("nobody was to look");
            sleep(after).await;
            looked
        })
    }
}

/// A client with one wallet.
struct Scene {
    store: Store,
    policy: SpendPolicy,
    limits: Limits,
    clock: Clock,
    looks: Looks,
    spawner: Spawner,
}

impl Scene {
    /// On a clock that a test may pause.
    fn new(looks: Looks) -> Self {
        Self {
            store: Store::in_memory(),
            policy: SpendPolicy::per_topup(usd("5")).per_day(usd("10")),
            limits: Limits { payer: ms(1_000), headroom: ms(5_000) },
            clock: Clock::Paused { start: Instant::now(), at: NOON },
            looks,
            spawner: Spawner::Here(Arc::default()),
        }
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(self.store.clone(), self.clock.clone())
    }

    fn client(&self, payer: impl Payer) -> Payers {
        let paying = watch::Sender::new(0);
        let ledger = self.ledger();
        let coordinator = Coordinator::new(Setup {
            wallet: WalletId { base_url: "http://127.0.0.1:9/api/v1".to_owned(), key_hash: "k".to_owned() },
            policy: self.policy.clone(),
            payer: Arc::new(payer),
            limits: self.limits,
            ledger: ledger.clone(),
            look: Box::new(self.looks.clone()),
            observer: Observer::default(),
            spawner: self.spawner.clone(),
            paying: paying.clone(),
        });
        let process = std::process::id();
        Payers { wallet: Some(coordinator), open: None, first: Rail::Wallet, ledger, paying, process }
    }

    async fn payments(&self) -> Vec<Payment> {
        self.store.payments().list().await.unwrap()
    }
}

/// A call that was answered 402, and what it is answered when it is sent again; the last answer stays.
struct Call {
    key: &'static str,
    deadline: Instant,
    first: Says,
    answers: VecDeque<Says>,
    asked: usize,
    takes: Duration,
    paid: Vec<String>,
    now_ms: i64,
}

impl Call {
    fn new(key: &'static str, limit: Duration, answers: impl IntoIterator<Item = Says>) -> Self {
        let answers = answers.into_iter().collect();
        let deadline = Instant::now() + limit;
        Self { key, deadline, first: SHORT, answers, asked: 0, takes: ms(1), paid: Vec::new(), now_ms: NOON }
    }

    /// The call's end, after a first 402.
    async fn end(&mut self, payers: &Payers) -> Result<Reply, Error> {
        let Err(Error::PaymentRequired(challenge)) = self.first.answer(self.now_ms) else { panic!("no 402") };
        pay_and_ask_again(payers, challenge, self).await
    }

    async fn error(&mut self, payers: &Payers) -> Error {
        match self.end(payers).await {
            Ok(_) => panic!("it was answered"),
            Err(error) => error,
        }
    }
}

impl Ask for Call {
    async fn ask(&mut self) -> Result<Reply, Error> {
        self.asked += 1;
        sleep(self.takes).await;
        let says =
            if self.answers.len() > 1 { self.answers.pop_front() } else { self.answers.front().copied() };
        says.expect("the call was not to be sent again").answer(self.now_ms)
    }

    fn paid(&mut self, payment: &Payment) {
        self.paid.push(payment.id.clone());
    }

    fn request(&self) -> HttpRequest {
        panic!("the wallet's rail sends no request by itself")
    }

    fn accept(&mut self, _: Result<HttpAnswer, Fault>) -> Result<Reply, Error> {
        panic!("the wallet's rail sends no request by itself")
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn key(&self) -> &str {
        self.key
    }
}

async fn pays(request: TopUpRequest) -> TopUp {
    TopUp::Settled(Receipt::new(request.amount_usd))
}

async fn never_answers(_: TopUpRequest) -> TopUp {
    std::future::pending().await
}

async fn nobody(request: TopUpRequest) -> TopUp {
    panic!("asked for {request:?}")
}

#[tokio::test(start_paused = true)]
async fn a_call_that_led_a_payment_is_never_told_that_nothing_was_paid_whatever_ends_it() {
    let (malformed, dear) =
        (Says::Pay(r#"{"shortfall_usd":"NaN"}"#), Says::Pay(r#"{"shortfall_usd":4,"balance_usd":0}"#));
    let fails = || Looked::Failed("503".to_owned());
    // The payer paid and never answered; the balance shows it, and others spend it.
    for (what, answers, then, within, code) in [
        ("too little time for another", vec![SHORT], holds("0"), 5_900, "payment_not_applied"),
        ("time for another", vec![SHORT], holds("0"), 60_000, "payment_not_applied"),
        ("the next look fails", vec![SHORT], fails(), 60_000, "payment_not_applied"),
        ("the next 402 must not be paid", vec![malformed], holds("0"), 60_000, "payment_not_applied"),
        ("the next 402 is above a cap", vec![dear], holds("0"), 60_000, "payment_not_applied"),
        ("too many requests", vec![Says::TooMany], holds("0"), 60_000, "rate_limited"),
    ] {
        let scene = Scene {
            policy: SpendPolicy::per_topup(usd("5")).per_day(usd("10")).per_request(usd("3")),
            ..Scene::new(Looks::of([holds("0"), holds("0.01"), then]))
        };
        let mut call = Call::new("a", ms(within), answers);
        let error = call.error(&scene.client(never_answers)).await;
        assert_eq!(error.code(), code, "{what}: {error}");
        assert!(error.may_have_been_charged() && !error.is_retryable(), "{what}: {error}");
        assert!(!error.to_string().contains("nothing was paid"), "{what}: {error}");
        let payments = scene.payments().await;
        let [payment] = &payments[..] else { panic!("{what}: {payments:?}") };
        assert_eq!((payment.state, &call.paid), (PaymentState::Settled, &vec![payment.id.clone()]), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_balance_covers_while_its_payment_is_unknown_goes_on_knowing_of_it() {
    // Somebody else has topped it up a little: enough for the call, and no proof.
    for (what, answer, then, code) in [
        ("others spend that", SHORT, holds("0"), "payment_unknown"),
        ("the next look fails", SHORT, Looked::Failed("503".to_owned()), "payment_unknown"),
        ("too many requests", Says::TooMany, holds("0"), "rate_limited"),
        ("it is answered", Says::Served, holds("0"), "answer"),
    ] {
        let scene = Scene::new(Looks::of([holds("0.0001"), holds("0.01"), then]));
        let mut call = Call::new("a", ms(60_000), [answer]);
        let ended = call.end(&scene.client(never_answers)).await.map(|_| ());
        let payment = scene.payments().await.remove(0);
        let told = ended.as_ref().err().map_or("answer", Error::code);
        assert_eq!((told, payment.state), (code, PaymentState::Unknown), "{what}: {ended:?}");
        assert_eq!(call.paid, [&*payment.id], "{what}");
        let Err(error) = ended else { continue };
        assert!(error.may_have_been_charged(), "{what}: {error}");
        if let Some(problem) = error.payment_problem() {
            assert_eq!(problem.payment_id(), Some(&*payment.id), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_paid_for_along_with_another_is_not_told_that_nothing_was_paid_either() {
    let scene = Scene::new(Looks::of([holds("0"), holds("0.02"), holds("0")]));
    let client = scene.client(|request: TopUpRequest| async move {
        sleep(ms(500)).await;
        pays(request).await
    });
    let (mut leads, mut follows) =
        (Call::new("a", ms(60_000), [Says::Served]), Call::new("b", ms(5_200), [SHORT]));
    let (led, followed) = tokio::join!(leads.end(&client), follows.error(&client));
    assert!(led.is_ok());
    assert_eq!(followed.code(), "payment_not_applied", "{followed}");
    assert_eq!((leads.paid.len(), follows.paid.len(), scene.payments().await.len()), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_fails_after_a_settled_top_up_may_have_been_charged_and_is_not_retryable() {
    for answers in [vec![Says::TooMany], vec![SHORT, Says::TooMany]] {
        let scene = Scene::new(Looks::of([holds("0"), holds("0.01")]));
        let mut call = Call::new("a", ms(60_000), answers);
        let error = call.error(&scene.client(pays)).await;
        assert_eq!(error.code(), "rate_limited");
        assert!(error.may_have_been_charged() && !error.is_retryable());
    }
    // Where nothing was paid for the call, nothing of the kind is said.
    let scene = Scene::new(Looks::of([holds("0.01")]));
    let error = Call::new("a", ms(60_000), [Says::TooMany]).error(&scene.client(nobody)).await;
    assert!(!error.may_have_been_charged() && error.is_retryable(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_led_a_payment_and_seems_covered_asks_again_only_now_and_then() {
    // The server asks again, whatever the wallet holds; and another's payment is unknown, so that no round begins.
    let scene = Scene::new(Looks::of([holds("0"), holds("1")]));
    let client = scene.client(pays);
    let looks = Looks::of([holds("0")]);
    let other =
        Scene { looks, store: scene.store.clone(), clock: scene.clock.clone(), ..Scene::new(Looks::of([])) };
    let other = other.client(never_answers);
    let first = Says::Pay(r#"{"shortfall_usd":2,"balance_usd":0}"#);
    let mut calls =
        (Call::new("a", ms(60_000), [SHORT]), Call { first, ..Call::new("b", ms(60_000), [SHORT]) });
    let (led, _) = tokio::join!(calls.0.error(&client), async {
        sleep(ms(2_000)).await;
        calls.1.error(&other).await
    });
    assert_eq!(led.code(), "payment_not_applied", "{led}");
    let states: Vec<_> = scene.payments().await.iter().map(|payment| payment.state).collect();
    assert_eq!(states, [PaymentState::Settled, PaymentState::Unknown]);
    assert!((3..=20).contains(&calls.0.asked), "asked {} times", calls.0.asked);
}

#[tokio::test(start_paused = true)]
async fn a_balance_from_before_another_process_was_paid_begins_no_payment() {
    let tells_no_balance = || Looked::Wallet { principal_id: None, balance: None };
    for (what, early, late) in [
        // It was read before the credit, and its answer comes when the other payment has ended.
        ("a look", (holds("0"), ms(400)), holds("0.01")),
        // Where no look tells the balance, what counts is the 402, which is older than the other payment's end.
        ("a 402", (tells_no_balance(), ms(1)), tells_no_balance()),
    ] {
        let scene = Scene::new(Looks::of([holds("0"), holds("0.01")]));
        let other = scene.client(|request: TopUpRequest| async move {
            sleep(ms(200)).await;
            pays(request).await
        });
        let looks = Looks(Arc::new(Mutex::new(VecDeque::from([early, (late, ms(1))]))));
        let this = Scene {
            looks,
            store: scene.store.clone(),
            clock: scene.clock.clone(),
            ..Scene::new(Looks::of([]))
        };
        let this = this.client(nobody);
        let mut calls =
            (Call::new("other", ms(60_000), [Says::Served]), Call::new("this", ms(60_000), [Says::Served]));
        let (theirs, ours) = tokio::join!(calls.0.end(&other), calls.1.end(&this));
        assert!(theirs.is_ok() && ours.is_ok(), "{what}");
        assert_eq!(scene.payments().await.len(), 1, "{what}");
    }
}

/// A store whose first transactions are let through, and then none until the test says so; by the clock of the machine, since
/// a thread waits.
fn behind_a_gate(first: usize) -> (Scene, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    gate.open_for(first);
    let scene = Scene::new(Looks::of([holds("0")]));
    let limits = Limits { payer: ms(300), headroom: Duration::ZERO };
    (Scene { store: scene.store.behind(gate.clone()), clock: Clock::System, limits, ..scene }, gate)
}

#[tokio::test]
async fn a_call_whose_time_ends_while_its_payment_is_written_down_is_not_told_that_nothing_was_paid() {
    // The look for an open payment passes; the payment is not written before the call has ended.
    let (scene, gate) = behind_a_gate(1);
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = asked.clone();
    let client = scene.client(move |request| {
        counts.fetch_add(1, Ordering::SeqCst);
        pays(request)
    });
    let mut calls = (Call::new("a", ms(300), []), Call::new("b", ms(250), []));
    let (leads, follows) = tokio::join!(calls.0.error(&client), calls.1.error(&client));
    for error in [leads, follows] {
        assert_eq!(error.code(), "payment_unknown", "{error}");
        assert!(error.may_have_been_charged() && !error.to_string().contains("nothing was paid"), "{error}");
    }
    gate.open_for(1_000);
    // What was begun goes on.
    let is_paid = async {
        while scene.payments().await.iter().all(|payment| payment.state != PaymentState::SettledNotApplied) {
            sleep(ms(10)).await;
        }
    };
    timeout(ms(10_000), is_paid).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_that_ended_before_its_payment_was_begun_has_none_begun() {
    let (scene, gate) = behind_a_gate(0);
    let client = scene.client(nobody);
    let error = Call::new("a", ms(300), []).error(&client).await;
    assert_eq!((error.code(), error.may_have_been_charged()), ("timeout", false), "{error}");
    gate.open_for(1_000);
    // The round that would have paid for it ends first.
    let mut later = Call::new("b", ms(300), []);
    let later = timeout(ms(10_000), later.error(&scene.client(never_answers))).await.unwrap();
    assert_eq!(later.code(), "payment_unknown", "{later}");
    let led: Vec<_> =
        scene.payments().await.iter().map(|payment| payment.calls[0].call_key.clone()).collect();
    assert_eq!(led, ["b"]);
}

#[tokio::test]
async fn a_store_that_does_not_answer_keeps_no_call_beyond_its_time() {
    // Written down, sent, ended; then it answers no more.
    let (scene, gate) = behind_a_gate(4);
    let client = scene.client(pays);
    let began = Instant::now();
    let error = Call::new("a", ms(500), [SHORT]).error(&client).await;
    let took = began.elapsed();
    gate.open_for(1_000);
    assert_eq!(error.code(), "payment_not_applied", "{error}");
    assert!(took < ms(5_000), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn limits_that_cannot_be_told_are_ones_that_never_end() {
    let scene = Scene::new(Looks::of([holds("0"), holds("0.01")]));
    let limits = Limits { payer: Duration::MAX, headroom: ms(5_000) };
    let scene = Scene { limits, store: scene.store.clone().lease(Duration::MAX), ..scene };
    let mut call = Call::new("a", ms(60_000), [Says::Served]);
    assert!(call.end(&scene.client(pays)).await.is_ok());
    let limits = Limits { payer: ms(1_000), headroom: Duration::MAX };
    let scene = Scene { limits, ..Scene::new(Looks::of([holds("0")])) };
    let error = Call::new("a", ms(60_000), []).error(&scene.client(nobody)).await;
    assert_eq!(error.code(), "timeout", "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_new_call_waits_no_longer_for_others_than_its_time() {
    let scene = Scene::new(Looks::of([holds("0"), holds("0.01")]));
    let client = Arc::new(scene.client(pays));
    let mut slow = Call { takes: ms(10_000), ..Call::new("a", ms(60_000), [Says::Served]) };
    let others = client.clone();
    let served = tokio::spawn(async move { slow.end(&others).await.map(|_| ()) });
    // By now it is being answered.
    sleep(ms(1_000)).await;
    for (limit, waits) in [(ms(60_000), ms(500)), (ms(40), ms(40)), (ms(0), ms(0))] {
        let began = Instant::now();
        drop(client.call_under_way(began + limit).await);
        // The clock's own grain.
        assert!((waits..=waits + ms(2)).contains(&began.elapsed()), "{limit:?}: {:?}", began.elapsed());
    }
    served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_forked_child_waits_for_nothing_of_its_parent_and_does_not_pay() {
    let scene = Scene::new(Looks::of([holds("0"), holds("0.01")]));
    let parent = Arc::new(scene.client(never_answers));
    let of_parent = parent.clone();
    let call = tokio::spawn(async move { Call::new("a", ms(60_000), []).error(&of_parent).await.code() });
    sleep(ms(500)).await;
    assert!(parent.is_paying());
    let child = Payers {
        wallet: parent.wallet.clone(),
        ledger: parent.ledger.clone(),
        paying: parent.paying.clone(),
        process: parent.process.wrapping_add(1),
        ..scene.client(nobody)
    };
    let began = Instant::now();
    assert!(!child.is_paying());
    child.until_paid().await;
    assert!(child.call_under_way(began + ms(60_000)).await.is_none());
    let error = Call::new("b", ms(60_000), []).error(&child).await;
    assert!(error.to_string().contains("make the client after the fork"), "{error}");
    assert_eq!(began.elapsed(), Duration::ZERO);
    call.abort();
}
