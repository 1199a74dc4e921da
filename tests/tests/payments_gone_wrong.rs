//! Everything that can be wrong with a challenge, a top-up, a payer or a store. Each: a typed error, no second payment, and
//! the books as they should be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amply_sandbox::{Challenge, Crediting, Fault, NanoUsd, Sandbox};
use amply_sdk::{ClientBuilder, Error, Event, Payer, Receipt, Store, TopUp, TopUpFuture, TopUpRequest, Usd};
use amply_tests::built;
use amply_tests::paying::{
    asked, broke, client_of, credited, outcome, paying, refusal, service_of, states, usd,
};

const TOPUP: &str = "/topup";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test]
async fn a_challenge_that_must_not_be_paid_is_refused_with_its_reason_and_nobody_is_asked() {
    for (challenge, reason) in [
        (Challenge::new().without("/shortfall_usd").without("/x402/amount_usd"), "no_amount"),
        (Challenge::new().shortfall(0), "invalid_amount"),
        (Challenge::new().shortfall(-1), "invalid_amount"),
        (Challenge::new().shortfall("NaN"), "invalid_amount"),
        (Challenge::new().shortfall(1e308), "invalid_amount"),
        (Challenge::new().amount("NaN"), "invalid_amount"),
        (Challenge::new().amount(-1), "invalid_amount"),
        (Challenge::new().balance("lots"), "invalid_amount"),
        (Challenge::new().currency("EUR"), "currency_not_usd"),
        (Challenge::new().expired(), "expired"),
        (Challenge::new().set("/x402/expires_at", "soon"), "invalid_expiry"),
        (Challenge::new().amount(0.001), "amount_below_shortfall"),
        (Challenge::new().top_up_path("https://evil.example/pay"), "path_leaves_origin"),
        (Challenge::new().retry_path("/../route"), "path_leaves_origin"),
        (Challenge::new().set("/x402/spec", "amply.x402/2"), "unknown_spec"),
        (Challenge::new().unbound(), "not_bound"),
    ] {
        let sandbox = broke().await;
        sandbox.control().challenge(challenge.clone());
        let events = Arc::new(Mutex::new(Vec::new()));
        let observed = events.clone();
        let store = Store::in_memory();
        let client = client_of(&sandbox, &store)
            .wallet_payer(service_of(&sandbox))
            .on_event(move |event| observed.lock().unwrap().push(event.clone()))
            .build()
            .unwrap();
        let error = refusal(&client).await;
        let Error::PaymentRefused { reasons, .. } = &error else { panic!("{reason}: {error}") };
        let codes: Vec<_> = reasons.iter().map(amply_sdk::Refusal::code).collect();
        assert_eq!(codes, [reason], "{challenge:?}");
        assert!(error.to_string().contains("nothing was paid"), "{error}");
        assert!(!error.may_have_been_charged());
        assert_eq!(asked(&sandbox, TOPUP) + states(&store).await.len(), 0, "{challenge:?}");
        let events = events.lock().unwrap();
        assert!(matches!(&events[..], [Event::PaymentRefused { .. }]), "{events:?}");
    }
}

#[tokio::test]
async fn a_challenge_larger_than_a_cap_is_not_paid_in_part() {
    let sandbox = broke().await;
    sandbox.control().challenge(Challenge::new().shortfall(5.01).amount(5.01));
    let store = Store::in_memory();
    let error = refusal(&paying(&sandbox, &store)).await;
    assert_eq!(error.code(), "spend_limit", "{error}");
    assert_eq!((asked(&sandbox, TOPUP), states(&store).await.len()), (0, 0));
}

#[tokio::test]
async fn a_page_on_another_host_is_shown_and_never_asked() {
    let page = amply_tests::Scripted::answering("200 OK", "text/html", "pay here");
    let sandbox = broke().await;
    sandbox.control().challenge(Challenge::new().top_up_url(page.url()));
    let unpaid = client_of(&sandbox, &Store::in_memory()).build().unwrap();
    assert!(refusal(&unpaid).await.to_string().contains(page.url()));
    assert_eq!(outcome(&paying(&sandbox, &Store::in_memory())).await, "answer");
    assert_eq!(page.connections(), 0);
}

/// What a guarded service may answer, what the caller is told of it, and what the books say.
#[tokio::test]
async fn every_answer_of_a_top_up_service_is_settled_rejected_or_unknown() {
    let ok = |credited: serde_json::Value| serde_json::json!({"ok": true, "credited_usd": credited});
    let cases = [
        ("401", Fault::on(TOPUP).status(401), "payment_failed", "rejected"),
        ("404 HTML", Fault::on(TOPUP).html(404), "payment_failed", "rejected"),
        ("422", Fault::on(TOPUP).status(422), "payment_failed", "rejected"),
        ("429", Fault::on(TOPUP).status(429), "payment_failed", "rejected"),
        ("402", Fault::on(TOPUP).status(402), "payment_unknown", "unknown"),
        ("409", Fault::on(TOPUP).status(409), "payment_unknown", "unknown"),
        ("500", Fault::on(TOPUP).status(500), "payment_unknown", "unknown"),
        ("a page", Fault::on(TOPUP).html(200), "payment_unknown", "unknown"),
        (
            "200 without ok",
            Fault::on(TOPUP).status(200).body(serde_json::json!({})),
            "payment_unknown",
            "unknown",
        ),
        ("nothing credited", Fault::on(TOPUP).status(200).body(ok(0.into())), "payment_unknown", "unknown"),
        ("credited NaN", Fault::on(TOPUP).status(200).body(ok("NaN".into())), "payment_unknown", "unknown"),
        ("cut off", Fault::on(TOPUP).before_effect().reset_before_headers(), "payment_unknown", "unknown"),
        (
            "a lie",
            Fault::on(TOPUP).status(200).body(ok(0.01.into())),
            "payment_not_applied",
            "settled_not_applied",
        ),
    ];
    // Side by side, since what is unknown is waited for until the call's time is over.
    let cases: Vec<_> = cases.into_iter().map(|case| tokio::spawn(answer_of_a_service(case))).collect();
    for case in cases {
        case.await.unwrap();
    }
}

async fn answer_of_a_service((what, fault, code, state): (&str, Fault, &str, &str)) {
    let sandbox = broke().await;
    sandbox.control().fault(fault);
    let store = Store::in_memory();
    let client = built(client_of(&sandbox, &store).wallet_payer(service_of(&sandbox)).timeout(ms(2_500)));
    let error = refusal(&client).await;
    assert_eq!((error.code(), states(&store).await), (code, vec![state.to_owned()]), "{what}: {error}");
    assert_eq!(error.may_have_been_charged(), code != "payment_failed", "{what}");
    assert_eq!((asked(&sandbox, TOPUP), credited(&sandbox).len()), (1, 0), "{what}");
}

#[tokio::test]
async fn a_service_that_nobody_answers_for_is_a_clear_no() {
    let sandbox = broke().await;
    let closed = amply_tests::Refusing::new();
    let store = Store::in_memory();
    let service = amply_sdk::TopUpService::new(&format!("{}/topup", closed.url())).unwrap();
    let client = client_of(&sandbox, &store).wallet_payer(service).build().unwrap();
    assert_eq!(outcome(&client).await, "payment_failed");
    assert_eq!(states(&store).await, ["rejected"]);
}

#[tokio::test]
async fn more_or_less_credited_than_asked_for_counts_as_the_larger_and_is_told() {
    for (credit, says, counted, code) in [
        ("0.05", None, "0.05", "answer"),
        ("0.004", None, "0.01", "payment_not_applied"),
        ("0.01", Some("0.03"), "0.03", "answer"),
    ] {
        let sandbox = broke().await;
        let crediting = Crediting::of(credit.parse::<NanoUsd>().unwrap());
        sandbox.control().crediting(match says {
            Some(says) => crediting.says(says),
            None => crediting,
        });
        let events = Arc::new(Mutex::new(Vec::new()));
        let observed = events.clone();
        let store = Store::in_memory();
        let client = client_of(&sandbox, &store)
            .wallet_payer(service_of(&sandbox))
            .timeout(ms(2_500))
            .on_event(move |event| observed.lock().unwrap().push(event.clone()))
            .build()
            .unwrap();
        assert_eq!(outcome(&client).await, code, "{credit}");
        let payment = store.payments().list().await.unwrap().remove(0);
        assert_eq!(payment.amount, usd(counted), "{credit}");
        let told = says.unwrap_or(credit);
        let is_told = |event: &Event| {
            matches!(event, Event::PaymentSettled { amount, credited, .. }
                if *amount == usd("0.01") && *credited == Some(usd(told)))
        };
        assert!(events.lock().unwrap().iter().any(is_told), "{:?}", events.lock().unwrap());
        assert_eq!(credited(&sandbox), [credit]);
    }
}

#[tokio::test]
async fn a_payer_that_panics_or_never_answers_leaves_the_payment_unknown() {
    let panics = |_: TopUpRequest| async { panic!("a payer that panics") };
    let hangs = |_: TopUpRequest| std::future::pending();
    for (says, client) in [
        ("panicked", {
            let sandbox = broke().await;
            (client_of(&sandbox, &Store::in_memory()).wallet_payer(panics), sandbox)
        }),
        ("did not answer within 0.2 s", {
            let sandbox = broke().await;
            (client_of(&sandbox, &Store::in_memory()).wallet_payer(hangs).payer_timeout(ms(200)), sandbox)
        }),
    ] {
        let (builder, _sandbox) = client;
        let client = builder.timeout(ms(2_500)).build().unwrap();
        let error = refusal(&client).await;
        assert_eq!(error.code(), "payment_unknown", "{error}");
        let payment = error.payment_problem().unwrap().payment.clone().unwrap();
        assert!(payment.reason.as_deref().unwrap().contains(says), "{payment:?}");
        assert!(payment.is_open());
    }
}

#[tokio::test]
async fn a_payer_that_blocks_its_thread_stops_neither_its_limit_nor_its_lease_nor_another_payment() {
    let folder = Folder::new("blocks");
    let (blocks, pays) = (broke().await, broke().await);
    let store = Store::open(folder.0.join("store.db")).unwrap().lease(ms(1_000));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let (tell, mut is_asked) = tokio::sync::mpsc::unbounded_channel();
    let payer = move |_: TopUpRequest| {
        tell.send(()).unwrap();
        let released = released.clone();
        async move {
            // Until the test lets it go, or ends.
            let _ = released.lock().unwrap().recv();
            TopUp::Rejected("too late to say so".to_owned())
        }
    };
    let client = client_of(&blocks, &store).wallet_payer(payer).payer_timeout(ms(4_000)).timeout(ms(8_000));
    let client = client.build().unwrap();
    let call = tokio::spawn({
        let client = client.clone();
        async move { refusal(&client).await }
    });
    is_asked.recv().await.unwrap();
    // Another payment, while the thread is blocked; and twice the lease.
    let other = built(client_of(&pays, &store).wallet_payer(service_of(&pays)).timeout(ms(8_000)));
    assert_eq!(outcome(&other).await, "answer");
    tokio::time::sleep(ms(2_000)).await;
    assert_eq!(states(&store).await, ["sent", "settled"]);
    let error = call.await.unwrap();
    assert_eq!(error.code(), "payment_unknown", "{error}");
    tokio::time::timeout(Duration::from_secs(30), client.close(ms(0))).await.expect("nobody waits for ever");
    let payment = store.payments().list().await.unwrap().remove(0);
    assert!(payment.reason.unwrap().contains("did not answer within 4 s"));
    // What it says later changes nothing.
    drop(release);
    assert_eq!(states(&store).await, ["unknown", "settled"]);
}

#[tokio::test]
async fn a_payer_that_is_slow_is_found_out_by_the_balance() {
    let sandbox = broke().await;
    // It is credited after our limit.
    sandbox.control().fault(Fault::on(TOPUP).delay(ms(2_500)));
    let store = Store::in_memory();
    let client = client_of(&sandbox, &store)
        .wallet_payer(service_of(&sandbox))
        .payer_timeout(ms(1_500))
        .build()
        .unwrap();
    assert_eq!(outcome(&client).await, "answer");
    assert_eq!((asked(&sandbox, TOPUP), credited(&sandbox).len()), (1, 1));
    assert_eq!(states(&store).await, ["settled"]);
}

#[tokio::test]
async fn an_observer_that_panics_takes_no_payment_with_it() {
    let sandbox = broke().await;
    let client = client_of(&sandbox, &Store::in_memory())
        .wallet_payer(service_of(&sandbox))
        .on_event(|_| panic!("an observer that panics"))
        .build()
        .unwrap();
    assert_eq!(outcome(&client).await, "answer");
}

#[tokio::test]
async fn a_settled_receipt_over_nothing_is_no_receipt() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    let payer = |_: TopUpRequest| async { TopUp::Settled(Receipt::new(Usd::ZERO)) };
    let client = client_of(&sandbox, &store).wallet_payer(payer).timeout(ms(2_500)).build().unwrap();
    assert_eq!(outcome(&client).await, "payment_unknown");
    assert_eq!(states(&store).await, ["unknown"]);
}

/// A store in a folder of its own.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("amply-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_store_that_is_blocked_pays_nothing_and_routes_that_need_no_payment_go_on() {
    let folder = Folder::new("blocked");
    let path = folder.0.join("store.db");
    std::fs::create_dir_all(&folder.0).unwrap();
    std::fs::write(&path, "no database".repeat(400)).unwrap();
    let store = Store::open(&path).unwrap();
    let sandbox = broke().await;
    let client = paying(&sandbox, &store);
    let error = refusal(&client).await;
    assert_eq!(error.code(), "store", "{error}");
    assert!(error.to_string().contains("amply payments unblock"), "{error}");
    assert_eq!(asked(&sandbox, TOPUP), 0);
    sandbox.control().set_balance(sandbox.user_key(), "0.01").unwrap();
    assert_eq!(outcome(&client).await, "answer");
    store.payments().unblock().await.unwrap();
    assert_eq!(outcome(&client).await, "answer");
    assert_eq!(asked(&sandbox, TOPUP), 1);
}

#[tokio::test]
async fn caps_in_a_file_outlive_the_client_and_a_new_file_is_told() {
    let folder = Folder::new("caps");
    let path = folder.0.join("store.db");
    let sandbox = broke().await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let client = || {
        let observed = events.clone();
        client_of(&sandbox, &Store::open(&path).unwrap())
            .spend_policy(amply_sdk::SpendPolicy::default().per_day(usd("0.02")))
            .wallet_payer(service_of(&sandbox))
            .on_event(move |event| observed.lock().unwrap().push(event.clone()))
            .build()
            .unwrap()
    };
    assert_eq!(outcome(&client()).await, "answer");
    assert_eq!(outcome(&client()).await, "answer");
    let error = refusal(&client()).await;
    assert_eq!(error.code(), "spend_limit");
    assert!(
        error.to_string().contains("0 USD are left of the cap of a day (UTC), which is 0.02 USD"),
        "{error}"
    );
    let events = events.lock().unwrap();
    let created = events.iter().filter(|event| matches!(event, Event::StoreCreated { .. })).count();
    assert_eq!(created, 1, "{events:?}");
    assert!(matches!(events.last(), Some(Event::CapReached { .. })), "{events:?}");
}

#[tokio::test]
async fn a_client_that_starts_looks_after_what_an_earlier_one_left_open() {
    let folder = Folder::new("left");
    let sandbox = broke().await;
    // The service has failed, and did nothing; nobody knows.
    sandbox.control().fault(Fault::on(TOPUP).first(1).status(500));
    let store = Store::open(folder.0.join("store.db")).unwrap();
    let client =
        client_of(&sandbox, &store).wallet_payer(service_of(&sandbox)).timeout(ms(2_500)).build().unwrap();
    assert_eq!(outcome(&client).await, "payment_unknown");
    drop(client);
    let client = paying(&sandbox, &store);
    let settled = async {
        while store.payments().list().await.unwrap()[0].is_open() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), settled).await.expect("it is looked after");
    assert_eq!(credited(&sandbox).len(), 1);
    drop(client);
}

/// A payer that pays once for one key, and counts how often it is asked.
#[derive(Clone)]
struct Counts {
    who: &'static str,
    says: TopUp,
    asked: Arc<AtomicUsize>,
}

impl Counts {
    fn new(who: &'static str, says: TopUp) -> Self {
        Self { who, says, asked: Arc::default() }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Payer for Counts {
    fn top_up<'a>(&'a self, _: &'a TopUpRequest) -> TopUpFuture<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(self.says.clone()))
    }

    fn idempotent_for(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }

    fn identity(&self) -> Option<String> {
        Some(self.who.to_owned())
    }
}

#[tokio::test]
async fn what_one_payer_left_unknown_is_never_asked_for_of_another_that_has_not_heard_of_it() {
    let cut = || TopUp::Unknown("the line was cut".to_owned());
    let settled = || TopUp::Settled(Receipt::new(usd("0.01")).balance(usd("0.01")));
    type Set = fn(&Sandbox, ClientBuilder) -> ClientBuilder;
    let firsts: [(&str, Set); 3] = [
        ("a service", |sandbox, client| client.wallet_payer(service_of(sandbox))),
        ("a closure", |_, client| {
            client.wallet_payer(|_: TopUpRequest| async { TopUp::Unknown("the line was cut".to_owned()) })
        }),
        ("any payer", |_, client| {
            client.wallet_payer(Counts::new("mine", TopUp::Unknown("the line was cut".to_owned())))
        }),
    ];
    for (what, set) in firsts {
        let (sandbox, elsewhere) = (broke().await, broke().await);
        sandbox.control().fault(Fault::on(TOPUP).status(500));
        let store = Store::in_memory();
        let client = || client_of(&sandbox, &store).timeout(ms(1_000));
        assert_eq!(outcome(&set(&sandbox, client()).build().unwrap()).await, "payment_unknown", "{what}");
        let other = Counts::new("another", settled());
        let by_others: [ClientBuilder; 3] = [
            client().wallet_payer(service_of(&elsewhere)),
            client().wallet_payer(other.clone()),
            client().wallet_payer(move |_| std::future::ready(cut())),
        ];
        for client in by_others {
            assert_eq!(outcome(&client.build().unwrap()).await, "payment_unknown", "{what}");
        }
        assert_eq!((asked(&elsewhere, TOPUP), other.asked(), credited(&sandbox).len()), (0, 0, 0), "{what}");
        assert_eq!(states(&store).await, ["unknown"], "{what}");
    }
}

#[tokio::test]
async fn a_client_that_cannot_be_built_looks_after_nothing() {
    let sandbox = broke().await;
    let store = Store::in_memory();
    let settled = || TopUp::Settled(Receipt::new(usd("0.01")).balance(usd("0.01")));
    let first = Counts::new("mine", TopUp::Unknown("the line was cut".to_owned()));
    let client = client_of(&sandbox, &store).wallet_payer(first).timeout(ms(1_000)).build().unwrap();
    assert_eq!(outcome(&client).await, "payment_unknown");
    let (refused, built) = (Counts::new("mine", settled()), Counts::new("mine", settled()));
    let signer = amply_sdk::LocalSigner::from_hex(amply_tests::paying::KEY).unwrap();
    let without_a_cap = client_of(&sandbox, &store).wallet_payer(refused.clone()).x402(signer, []).build();
    assert_eq!(without_a_cap.unwrap_err().code(), "config");
    let client = client_of(&sandbox, &store).wallet_payer(built.clone()).build().unwrap();
    let settled = async {
        while store.payments().list().await.unwrap()[0].is_open() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), settled).await.expect("it is looked after");
    assert_eq!((refused.asked(), built.asked()), (0, 1));
    drop(client);
}

#[tokio::test]
async fn a_store_that_fails_after_the_payer_was_asked_leaves_the_payment_unknown() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    const HOLDS: &str = "import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute('BEGIN IMMEDIATE')
print('held', flush=True)
sys.stdin.read()";

    let folder = Folder::new("held");
    let path = folder.0.join("store.db");
    let sandbox = broke().await;
    let store = Store::open(&path).unwrap();
    let holder = Arc::new(Mutex::new(None));
    let kept = holder.clone();
    let payer = move |_: TopUpRequest| {
        let mut other = Command::new("python3")
            .args(["-c", HOLDS, &path.to_string_lossy()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        *kept.lock().unwrap() = Some(other);
        // Money may have moved, and nobody can write that down.
        async { TopUp::Unknown("the line was cut".to_owned()) }
    };
    let client = client_of(&sandbox, &store).wallet_payer(payer).build().unwrap();
    let error = refusal(&client).await;
    assert_eq!((error.code(), error.may_have_been_charged()), ("payment_unknown", true), "{error}");
    let mut other = holder.lock().unwrap().take().unwrap();
    drop(other.stdin.take());
    other.wait().unwrap();
    let payment = error.payment_problem().unwrap().payment_id().unwrap();
    assert!(store.payments().show(payment).await.unwrap().is_open());
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_that_is_opened_twice_loses_no_payment_when_another_process_closes_it() {
    const COUNT: &str = "import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
print(store.execute('SELECT count(*) FROM payment').fetchone()[0])
store.close()";

    let folder = Folder::new("twice");
    let path = folder.0.join("store.db");
    // What another process sees: it is the last to close the file, as far as the locks tell it.
    let count = || {
        let counted = std::process::Command::new("python3")
            .args(["-c", COUNT, &path.to_string_lossy()])
            .output()
            .unwrap();
        assert!(counted.status.success(), "{counted:?}");
        String::from_utf8(counted.stdout).unwrap().trim().to_owned()
    };
    let (store, _again) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
    assert_eq!(count(), "0");
    let sandbox = broke().await;
    assert_eq!(outcome(&paying(&sandbox, &store)).await, "answer");
    assert_eq!(count(), "1");
}
