//! The rules of the books, on every kind of store.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

/// 2026-01-01T12:00:00Z.
const NOON: i64 = 1_767_268_800_000;
pub(super) const HOUR: i64 = 3_600_000;

pub(super) fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// One ledger of a store, with a clock that is set by hand.
struct Books {
    ledger: Ledger,
    now: Arc<AtomicI64>,
    policy: SpendPolicy,
}

impl Books {
    fn open(store: &Store, now: &Arc<AtomicI64>) -> Self {
        let policy = SpendPolicy::per_topup(usd("5")).per_day(usd("10"));
        Self { ledger: Ledger::new(store.clone(), Clock::ByHand(now.clone())), now: now.clone(), policy }
    }

    fn pass(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    async fn begin(&self, amount: &str, key: &str) -> Result<Begun, Error> {
        self.begin_for(amount, key, "wallet", None).await
    }

    async fn begin_for(
        &self,
        amount: &str,
        key: &str,
        wallet: &str,
        principal: Option<&str>,
    ) -> Result<Begun, Error> {
        self.begin_at(amount, key, wallet, principal, i64::MAX).await
    }

    /// On a balance that was looked at then.
    async fn begin_at(
        &self,
        amount: &str,
        key: &str,
        wallet: &str,
        principal: Option<&str>,
        seen_ms: i64,
    ) -> Result<Begun, Error> {
        let amount = usd(amount);
        let wanted = Wanted {
            wallet: WalletId { base_url: "http://127.0.0.1:9".to_owned(), key_hash: wallet.to_owned() },
            principal_id: principal.map(str::to_owned),
            balance_before: Some(Usd::ZERO),
            calls: vec![WantedCall { key: key.to_owned(), share: amount }],
            amount_for: Box::new(move |_| Some(amount)),
            minimum: self.policy.minimum(),
            request: Box::new(|key, amount| format!("{key} {amount}")),
            payer: Some("payer".to_owned()),
            asked: None,
            seen_ms,
        };
        self.ledger.begin(wanted, &self.policy).await
    }

    /// A payment that has come as far as this.
    async fn payment(&self, amount: &str, key: &str, ended: Option<Ended>) -> Payment {
        let Begun::Intended(payment, _) = self.begin(amount, key).await.unwrap() else { panic!("not begun") };
        let sent = self.ledger.sent(&payment.id).await.unwrap();
        match ended {
            Some(ended) => self.ledger.end(&payment.id, ended, true).await.unwrap(),
            None => sent,
        }
    }

    async fn left(&self) -> String {
        let Begun::Over(over) = self.begin("1000", "asks").await.unwrap() else { panic!("not over") };
        over.left.to_string()
    }
}

fn settled(amount: &str) -> Option<Ended> {
    Some(Ended::Settled(Receipt::new(usd(amount)).balance(usd(amount))))
}

fn unknown() -> Option<Ended> {
    Some(Ended::Unknown("silence".to_owned()))
}

/// Runs a test on a store in memory, and on one in a file where there is that kind.
pub(super) fn on_each_store(test: impl AsyncFn(Store)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(Store::in_memory()));
    #[cfg(feature = "durable")]
    {
        let folder = std::env::temp_dir().join(format!("amply-ledger-{}", uuid::Uuid::now_v7()));
        runtime.block_on(test(Store::open(folder.join("store.db")).unwrap()));
        std::fs::remove_dir_all(folder).unwrap();
    }
}

pub(super) fn at_noon() -> Arc<AtomicI64> {
    Arc::new(AtomicI64::new(NOON))
}

#[test]
fn one_payment_at_a_time_for_a_wallet_known_by_its_key_or_its_principal() {
    on_each_store(async |store| {
        let now = at_noon();
        let (books, others) = (Books::open(&store, &now), Books::open(&store, &now));
        let begun = books.begin_for("1", "a", "key-1", Some("prn_1")).await.unwrap();
        assert!(matches!(begun, Begun::Intended(..)));
        for (wallet, principal) in [("key-1", None), ("key-1", Some("prn_2")), ("key-2", Some("prn_1"))] {
            let begun = others.begin_for("1", "b", wallet, principal).await.unwrap();
            assert!(matches!(begun, Begun::Held), "{wallet} {principal:?}");
        }
        let begun = others.begin_for("1", "b", "key-2", Some("prn_2")).await.unwrap();
        assert!(matches!(begun, Begun::Intended(..)));
        let begun = others.begin_for("1", "c", "key-3", None).await.unwrap();
        assert!(matches!(begun, Begun::Intended(..)));
    });
}

#[test]
fn an_order_has_the_same_key_in_every_store_and_another_one_after_a_rejected_try() {
    on_each_store(async |store| {
        let rejected = async |store: &Store, amount: &str| {
            let ledger = Ledger::new(store.clone(), Clock::System);
            let mut wanted = crate::payment::wanted_for_tests(usd(amount));
            wanted.calls = vec![WantedCall { key: "job-7".to_owned(), share: usd(amount) }];
            wanted.asked = Some(amount.to_owned());
            let policy = SpendPolicy::default().per_day(usd("10"));
            let begun = ledger.begin(wanted, &policy).await.unwrap();
            let Begun::Intended(payment, _) = begun else { panic!("{begun:?}") };
            ledger.sent(&payment.id).await.unwrap();
            ledger.end(&payment.id, Ended::Rejected("no".to_owned()), true).await.unwrap();
            payment.idempotency_key
        };
        let keys = async |store: &Store| {
            [rejected(store, "1").await, rejected(store, "1").await, rejected(store, "2").await]
        };
        let here = keys(&store).await;
        assert!(here[0] != here[1] && here[0] != here[2] && here[1] != here[2], "{here:?}");
        assert_eq!(keys(&Store::in_memory()).await, here);
    });
}

#[test]
fn what_is_open_holds_the_wallet_and_what_is_over_does_not() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        let rejected = books.payment("1", "a", Some(Ended::Rejected("no".to_owned()))).await;
        assert_eq!((rejected.state, rejected.reason.as_deref()), (PaymentState::Rejected, Some("no")));
        let shown = books.payment("1", "b", settled("1")).await;
        assert_eq!(shown.state, PaymentState::Settled);
        let hidden = books.payment("1", "c", Some(Ended::Settled(Receipt::new(usd("1"))))).await;
        assert_eq!(hidden.state, PaymentState::SettledNotApplied);
        assert!(matches!(books.begin("1", "d").await.unwrap(), Begun::Held));
        // A balance that has not risen shows nothing; one that has, does.
        assert!(books.ledger.seen(&hidden.id, Some(Usd::ZERO)).await.unwrap().is_open());
        assert!(!books.ledger.seen(&hidden.id, Some(usd("0.01"))).await.unwrap().is_open());
        let unknown = books.payment("1", "e", unknown()).await;
        assert!(matches!(books.begin("1", "f").await.unwrap(), Begun::Held));
        // Of an unknown one less than the whole amount may be anybody's.
        assert!(books.ledger.seen(&unknown.id, Some(usd("0.99"))).await.unwrap().is_open());
        assert!(!books.ledger.seen(&unknown.id, Some(usd("1"))).await.unwrap().is_open());
        assert_eq!(books.ledger.list().await.unwrap().len(), 4);
    });
}

#[test]
fn an_answer_shows_that_the_money_was_there_and_is_noted_for_its_call() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        let hidden = books.payment("1", "a", Some(Ended::Settled(Receipt::new(usd("1"))))).await;
        books.ledger.served(&hidden.id, "a", Some("route-1".to_owned())).await.unwrap();
        let noted = books.ledger.look(&hidden.id).await.unwrap();
        assert_eq!(noted.state, PaymentState::Settled);
        assert_eq!(noted.calls[0].route_id.as_deref(), Some("route-1"));
        assert!(noted.calls[0].led);
    });
}

#[test]
fn settled_and_unknown_and_running_count_and_rejected_does_not() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        assert_eq!(books.left().await, "5");
        books.payment("4", "a", Some(Ended::Rejected("no".to_owned()))).await;
        books.payment("4", "b", settled("4")).await;
        books.payment("3", "c", settled("3")).await;
        assert_eq!(books.left().await, "3");
        // More was credited than asked for: the larger counts.
        let generous = books.payment("1", "d", settled("2.5")).await;
        assert_eq!(generous.amount, usd("2.5"));
        assert_eq!(books.left().await, "0.5");
        assert!(matches!(
            books.begin("0.51", "e").await.unwrap(),
            Begun::Over(Over { cap: Cap::PerDay, .. })
        ));
        assert!(matches!(books.begin("0.5", "e").await.unwrap(), Begun::Intended(..)));
    });
}

#[test]
fn a_new_day_frees_what_is_over_and_not_what_is_open() {
    on_each_store(async |store| {
        let now = at_noon();
        let books = Books::open(&store, &now);
        books.payment("4", "a", settled("4")).await;
        let open = books.payment("3", "b", unknown()).await;
        books.pass(24 * HOUR);
        let elsewhere = books.begin_for("1000", "x", "other", None).await.unwrap();
        assert!(matches!(&elsewhere, Begun::Over(over) if over.left == usd("5")), "{elsewhere:?}");
        let policy = SpendPolicy::default().per_day(usd("10"));
        let books = Books { policy, ..books };
        let elsewhere = books.begin_for("1000", "x", "other", None).await.unwrap();
        assert!(matches!(&elsewhere, Begun::Over(over) if over.left == usd("7")), "{elsewhere:?}");
        books.ledger.resolve(&open.id, Verdict::Rejected).await.unwrap();
        assert_eq!(books.left().await, "10");
    });
}

#[test]
fn a_clock_that_jumps_back_frees_nothing() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        books.payment("5", "a", settled("5")).await;
        books.payment("4", "b", settled("4")).await;
        books.pass(-72 * HOUR);
        assert_eq!(books.left().await, "1");
        let Begun::Intended(payment, _) = books.begin("1", "c").await.unwrap() else { panic!("not begun") };
        assert_eq!(payment.day, NOON / DAY_MS);
    });
}

#[test]
fn a_key_that_led_a_payment_leads_no_other_unless_it_was_rejected() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        books.payment("1", "again", Some(Ended::Rejected("no".to_owned()))).await;
        let led = books.payment("1", "again", settled("1")).await;
        let begun = books.begin("1", "again").await.unwrap();
        assert!(matches!(&begun, Begun::HasLed(payment) if payment.id == led.id), "{begun:?}");
    });
}

#[test]
fn a_dead_process_leaves_an_intent_that_is_rejected_and_a_question_that_is_unknown() {
    on_each_store(async |store| {
        let now = at_noon();
        let (dead, alive) = (Books::open(&store, &now), Books::open(&store, &now));
        let Begun::Intended(intent, _) = dead.begin("1", "a").await.unwrap() else { panic!("not begun") };
        assert!(matches!(alive.begin("1", "b").await.unwrap(), Begun::Held));
        alive.pass(6_000);
        assert_eq!(alive.ledger.look(&intent.id).await.unwrap().state, PaymentState::Rejected);
        // It comes back to life, and may not ask the payer any more.
        let error = dead.ledger.sent(&intent.id).await.unwrap_err().to_string();
        assert!(error.contains("given up"), "{error}");

        let sent = dead.payment("1", "c", None).await;
        dead.pass(4_000);
        dead.ledger.renew(&sent.id).await.unwrap();
        alive.pass(4_000);
        assert_eq!(alive.ledger.look(&sent.id).await.unwrap().state, PaymentState::Sent);
        alive.pass(6_000);
        assert_eq!(alive.ledger.look(&sent.id).await.unwrap().state, PaymentState::Unknown);
        // A late no proves nothing any more, a late yes does.
        let late = dead.ledger.end(&sent.id, Ended::Rejected("no".to_owned()), true).await.unwrap();
        assert_eq!(late.state, PaymentState::Unknown);
        let late = dead.ledger.end(&sent.id, settled("1").unwrap(), true).await.unwrap();
        assert_eq!(late.state, PaymentState::Settled);
    });
}

#[test]
fn an_unknown_payment_is_taken_up_by_one_process_once_a_minute_within_its_window() {
    const WINDOW: Duration = Duration::from_secs(12 * 3600);
    on_each_store(async |store| {
        let now = at_noon();
        let (one, other) = (Books::open(&store, &now), Books::open(&store, &now));
        let open = one.payment("1", "a", unknown()).await;
        assert!(one.ledger.take_up(&open.id, "payer", WINDOW).await.unwrap().is_some());
        assert!(other.ledger.take_up(&open.id, "payer", WINDOW).await.unwrap().is_none());
        // A no to a question that was asked before ends nothing.
        let again = one.ledger.end(&open.id, Ended::Rejected("no".to_owned()), false).await.unwrap();
        assert_eq!(again.state, PaymentState::Unknown);
        other.pass(59_000);
        assert!(other.ledger.take_up(&open.id, "payer", WINDOW).await.unwrap().is_none());
        other.pass(1_000);
        assert!(other.ledger.take_up(&open.id, "payer", WINDOW).await.unwrap().is_some());
        other.pass(12 * HOUR);
        assert!(one.ledger.take_up(&open.id, "payer", WINDOW).await.unwrap().is_none());
    });
}

#[test]
fn an_unknown_payment_is_taken_up_for_the_payer_that_was_asked_for_it_and_for_nobody_else() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        let open = books.payment("1", "a", unknown()).await;
        let hour = Duration::from_secs(3600);
        assert!(books.ledger.take_up(&open.id, "another", hour).await.unwrap().is_none());
        let taken = books.ledger.take_up(&open.id, "payer", hour).await.unwrap().unwrap();
        assert_eq!(taken.payer.as_deref(), Some("payer"));
        // Of one that says nothing of the kind, nobody is.
        books.ledger.end(&open.id, settled("1").unwrap(), false).await.unwrap();
        let nobodys = books.payment("1", "b", unknown()).await;
        store
            .transaction(|rows| {
                let mut payment = find(rows, &nobodys.id)?.unwrap();
                payment.payer = None;
                rows.update(&payment)
            })
            .unwrap();
        assert!(books.ledger.take_up(&nobodys.id, "payer", hour).await.unwrap().is_none());
    });
}

#[test]
fn a_clock_that_was_set_back_stretches_no_payers_promise() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        let open = books.payment("1", "a", unknown()).await;
        books.pass(-1);
        let hour = Duration::from_secs(3600);
        assert!(books.ledger.take_up(&open.id, "payer", hour).await.unwrap().is_none());
        books.pass(1);
        assert!(books.ledger.take_up(&open.id, "payer", hour).await.unwrap().is_some());
    });
}

#[test]
fn a_payment_that_ended_since_the_balance_was_looked_at_makes_it_out_of_date() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        let is_outdated = async |wallet: &str, principal, seen_ms| {
            let begun = books.begin_at("1000", "b", wallet, principal, seen_ms).await.unwrap();
            matches!(begun, Begun::Outdated)
        };
        assert!(!is_outdated("wallet", None, NOON).await);
        books.payment("1", "a", Some(Ended::Rejected("no".to_owned()))).await;
        assert!(!is_outdated("wallet", None, NOON).await, "no money moved");
        books.pass(1_000);
        books.payment("1", "a", settled("1")).await;
        assert!(is_outdated("wallet", None, NOON).await);
        assert!(is_outdated("wallet", None, NOON + 1_000).await);
        assert!(!is_outdated("wallet", None, NOON + 1_001).await);
        assert!(!is_outdated("another", None, NOON).await);
        // It seems to end in an hour from now, and would for as long.
        books.pass(-HOUR);
        assert!(!is_outdated("wallet", None, NOON - HOUR).await);
    });
}

#[test]
fn a_person_has_the_last_word_on_what_is_unknown_and_none_on_what_is_known() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        let running = books.payment("1", "a", None).await;
        let error = books.ledger.resolve(&running.id, Verdict::Rejected).await.unwrap_err().to_string();
        assert!(error.contains("still running"), "{error}");
        books.ledger.end(&running.id, unknown().unwrap(), true).await.unwrap();
        let resolved = books.ledger.resolve(&running.id, Verdict::Rejected).await.unwrap();
        assert_eq!((resolved.state, resolved.verdict), (PaymentState::Unknown, Some(Verdict::Rejected)));
        assert_eq!(books.left().await, "5");
        let error = books.ledger.resolve(&running.id, Verdict::Settled).await.unwrap_err().to_string();
        assert!(error.contains("rejected already"), "{error}");
        let error = books.ledger.resolve("nonsense", Verdict::Settled).await.unwrap_err().to_string();
        assert!(error.contains("has no payment `nonsense`"), "{error}");
    });
}

#[test]
fn nobody_resolves_a_payment_while_its_payer_is_asked_again() {
    const WINDOW: Duration = Duration::from_secs(12 * 3600);
    on_each_store(async |store| {
        let now = at_noon();
        let (books, person) = (Books::open(&store, &now), Books::open(&store, &now));
        let open = books.payment("1", "a", unknown()).await;
        assert!(books.ledger.take_up(&open.id, "payer", WINDOW).await.unwrap().is_some());
        let error = person.ledger.resolve(&open.id, Verdict::Rejected).await.unwrap_err().to_string();
        assert!(error.contains("what became of it; wait until that has ended"), "{error}");
        // Whoever asked has died, or stands still.
        person.pass(6_000);
        person.ledger.resolve(&open.id, Verdict::Rejected).await.unwrap();
    });
}

#[test]
fn a_late_yes_of_the_payer_goes_before_a_persons_no_and_counts_again() {
    on_each_store(async |store| {
        let now = at_noon();
        let (books, person) = (Books::open(&store, &now), Books::open(&store, &now));
        // A process that stands still while its payer is asked, and comes back to life.
        let asked = books.payment("3", "a", None).await;
        person.pass(6_000);
        person.ledger.resolve(&asked.id, Verdict::Rejected).await.unwrap();
        assert_eq!(person.left().await, "5");
        let next = person.payment("1", "b", None).await;
        let late = books.ledger.end(&asked.id, settled("3").unwrap(), true).await.unwrap();
        assert_eq!((late.state, late.verdict), (PaymentState::Settled, Some(Verdict::Settled)));
        person.ledger.end(&next.id, settled("1").unwrap(), true).await.unwrap();
        // A day of 10 USD: 3 and 1 are gone, and one top-up may take 5.
        books.payment("3", "c", settled("3")).await;
        assert_eq!(person.left().await, "3");
        // A balance says less than a person.
        let open = books.payment("1", "d", unknown()).await;
        person.ledger.resolve(&open.id, Verdict::Rejected).await.unwrap();
        let seen = books.ledger.seen(&open.id, Some(usd("100"))).await.unwrap();
        assert_eq!((seen.state, seen.verdict), (PaymentState::Unknown, Some(Verdict::Rejected)));
    });
}

#[test]
fn an_intent_whose_process_has_died_takes_nothing_from_the_day_and_is_not_carried_on() {
    on_each_store(async |store| {
        let now = at_noon();
        let (dead, alive) = (Books::open(&store, &now), Books::open(&store, &now));
        let Begun::Intended(intent, _) = dead.begin_for("4", "a", "other", None).await.unwrap() else {
            panic!("not begun")
        };
        alive.payment("4", "b", settled("4")).await;
        assert_eq!(alive.left().await, "2");
        alive.pass(6_000);
        assert_eq!(alive.left().await, "5");
        // Whatever the clock says then.
        alive.pass(-5_000);
        let error = dead.ledger.sent(&intent.id).await.unwrap_err().to_string();
        assert!(error.contains("given up"), "{error}");
    });
}

#[test]
fn a_minimum_rounds_up_and_never_breaks_a_cap() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        let policy = SpendPolicy::per_topup(usd("5")).per_day(usd("8")).minimum_topup(usd("5"));
        let books = Books { policy, ..books };
        assert_eq!(books.payment("0.01", "a", settled("5")).await.amount, usd("5"));
        assert_eq!(books.payment("0.01", "b", settled("0.01")).await.amount, usd("0.01"));
    });
}

#[test]
fn a_forked_child_may_not_pay_from_its_parents_store() {
    on_each_store(async |store| {
        let books = Books::open(&store.after_a_fork(), &at_noon());
        let error = books.begin("1", "a").await.unwrap_err();
        assert_eq!(error.code(), "config");
        assert!(error.to_string().contains("make the client after the fork"), "{error}");
    });
}
