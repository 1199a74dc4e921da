//! The rules of the open rail's books, on every kind of store.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::super::tests::{HOUR, at_noon, on_each_store, usd};
use super::*;
use crate::payment::Clock;
use crate::store::Store;

const ORIGIN: &str = "http://127.0.0.1:9";
const BASE: &str = "eip155:8453";
const SEPOLIA: &str = "eip155:84532";
const A: &str = "0x00000000000000000000000000000000000000AA";
const B: &str = "0x00000000000000000000000000000000000000bb";
const MINUTE: i64 = 60_000;

struct Books {
    ledger: Ledger,
    now: Arc<AtomicI64>,
    policy: SpendPolicy,
}

impl Books {
    fn open(store: &Store, now: &Arc<AtomicI64>) -> Self {
        let policy = SpendPolicy::default().per_request(usd("1")).per_day(usd("20"));
        Self { ledger: Ledger::new(store.clone(), Clock::ByHand(now.clone())), now: now.clone(), policy }
    }

    fn pass(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    async fn begin(&self, key: &str) -> BegunOpen {
        self.begin_at(ORIGIN, "/api/v1", SEPOLIA, A, key).await
    }

    async fn begin_at(&self, origin: &str, path: &str, network: &str, pay_to: &str, key: &str) -> BegunOpen {
        let open = OpenPayment {
            network: network.to_owned(),
            asset: "0x036CbD53842c5426634e7929541eC2318f3dCF7e".to_owned(),
            // As an address is written.
            pay_to: pay_to.parse::<crate::Address>().unwrap().to_string(),
            nonce: uuid::Uuid::now_v7().to_string(),
            valid_before: self.now.load(Ordering::SeqCst) / 1000 + 300,
            transaction: None,
            receipt_json: None,
            has_left: false,
        };
        let wanted = WantedOpen {
            base_url: format!("{origin}{path}"),
            origin: origin.to_owned(),
            key_hash: "key".to_owned(),
            call_key: key.to_owned(),
            asked: "route".to_owned(),
            amount: usd("1"),
            open,
        };
        self.ledger.begin_open(wanted, &self.policy).await.unwrap()
    }

    async fn begun(&self, key: &str) -> Payment {
        let BegunOpen::Intended(payment) = self.begin(key).await else { panic!("{key} is not begun") };
        *payment
    }

    /// One whose signature has left the process, and what came of it.
    async fn ended(&self, key: &str, state: PaymentState) -> Payment {
        let payment = self.begun(key).await;
        self.ledger.sent(&payment.id).await.unwrap();
        self.ledger.end_open(&payment.id, ended(state)).await.unwrap()
    }

    async fn terms(&self) -> OpenTerms {
        let networks = vec![BASE.to_owned(), SEPOLIA.to_owned()];
        self.ledger.open_terms(ORIGIN.to_owned(), networks, &self.policy).await.unwrap()
    }
}

fn ended(state: PaymentState) -> EndedOpen {
    EndedOpen {
        state,
        reason: Some(format!("it is {state}")),
        transaction: None,
        receipt_json: None,
        answer: None,
        route_id: None,
    }
}

#[test]
fn another_payee_than_the_first_that_was_settled_at_an_origin_is_not_begun_whoever_chose_it_before() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        // What was refused, and what nobody knows, makes no payee.
        books.ended("1", PaymentState::Rejected).await;
        books.ended("2", PaymentState::Unknown).await;
        assert_eq!(books.terms().await.payees, []);
        let second = books.begin_at(ORIGIN, "/api/v1", SEPOLIA, B, "b-1").await;
        assert!(matches!(second, BegunOpen::Intended(_)), "{second:?}");
        books.ended("3", PaymentState::SettledNotApplied).await;
        assert_eq!(
            books.terms().await.payees,
            [(SEPOLIA.to_owned(), A.parse::<crate::Address>().unwrap().to_string())]
        );
        for (origin, path, network, is_refused) in [
            (ORIGIN, "/api/v1", SEPOLIA, true),
            (ORIGIN, "/other", SEPOLIA, true),
            (ORIGIN, "/api/v1", BASE, false),
            ("http://127.0.0.1:90", "/api/v1", SEPOLIA, false),
            ("https://127.0.0.1:9", "/api/v1", SEPOLIA, false),
        ] {
            let key = format!("{origin} {path} {network}");
            let begun = books.begin_at(origin, path, network, B, &key).await;
            assert_eq!(matches!(begun, BegunOpen::ForeignPayee), is_refused, "{key}: {begun:?}");
            assert_eq!(matches!(begun, BegunOpen::Intended(_)), !is_refused, "{key}: {begun:?}");
        }
        assert!(matches!(books.begin("4").await, BegunOpen::Intended(_)));
        let books = Books { policy: books.policy.clone().any_pay_to(), ..books };
        let begun = books.begin_at(ORIGIN, "/api/v1", SEPOLIA, B, "b-2").await;
        assert!(matches!(begun, BegunOpen::Intended(_)), "{begun:?}");
    });
}

#[test]
fn after_three_refusals_in_a_row_nothing_is_begun_for_ten_minutes_then_twice_as_long_up_to_six_hours() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        let books =
            Books { policy: SpendPolicy::default().per_request(usd("1")).per_day(usd("1000")), ..books };
        // Ended in between, so that the row begins again.
        books.ended("0", PaymentState::Rejected).await;
        books.ended("1", PaymentState::Unknown).await;
        // Others that are under way, and one that never left, change nothing.
        let under_way = books.begun("under way").await;
        books.ledger.sent(&under_way.id).await.unwrap();
        books.ended("2", PaymentState::Rejected).await;
        books.ended("3", PaymentState::Rejected).await;
        assert_eq!(books.terms().await.refusing, []);
        for (refusals, minutes) in (3..).zip([10, 20, 40, 80, 160, 320, 360, 360]) {
            books.ended(&format!("refusal {refusals}"), PaymentState::Rejected).await;
            books.pass(minutes * MINUTE - 1);
            assert_eq!(
                books.terms().await.refusing,
                [(SEPOLIA.to_owned(), "it is rejected".to_owned())],
                "{minutes}"
            );
            let begun = books.begin("chosen before").await;
            assert!(
                matches!(&begun, BegunOpen::Refusing(why) if why == "it is rejected"),
                "{minutes}: {begun:?}"
            );
            books.pass(1);
            assert_eq!(books.terms().await.refusing, [], "{minutes}");
        }
        books.ended("settled", PaymentState::Settled).await;
        books.ended("once more", PaymentState::Rejected).await;
        assert!(matches!(books.begin("after a yes").await, BegunOpen::Intended(_)));
    });
}

#[test]
fn a_key_whose_intent_died_before_it_was_sent_is_free_and_takes_nothing_from_the_day() {
    on_each_store(async |store| {
        let now = at_noon();
        let (dead, alive) = (Books::open(&store, &now), Books::open(&store, &now));
        let intent = dead.begun("nightly-7").await;
        assert!(matches!(alive.begin("nightly-7").await, BegunOpen::HasLed(_)));
        assert_eq!(alive.terms().await.left_of_day, Some(usd("19")));
        alive.pass(6_000);
        assert_eq!(alive.terms().await.left_of_day, Some(usd("20")));
        assert_eq!(alive.ledger.led_by("nightly-7").await.unwrap(), None);
        assert!(matches!(alive.begin("nightly-7").await, BegunOpen::Intended(_)));
        assert!(dead.ledger.sent(&intent.id).await.unwrap_err().to_string().contains("given up"));
    });
}

#[test]
fn a_receipt_that_comes_late_goes_before_a_persons_no() {
    on_each_store(async |store| {
        let now = at_noon();
        let (stands_still, person) = (Books::open(&store, &now), Books::open(&store, &now));
        let payment = stands_still.begun("a").await;
        stands_still.ledger.sent(&payment.id).await.unwrap();
        person.pass(6_000);
        let resolved = person.ledger.resolve(&payment.id, Verdict::Rejected).await.unwrap();
        assert_eq!((resolved.state, resolved.verdict), (PaymentState::Unknown, Some(Verdict::Rejected)));
        assert_eq!(person.terms().await.left_of_day, Some(usd("20")));
        let late = stands_still.ledger.end_open(&payment.id, ended(PaymentState::Settled)).await.unwrap();
        assert_eq!((late.state, late.verdict), (PaymentState::Settled, Some(Verdict::Settled)));
        assert_eq!(person.terms().await.left_of_day, Some(usd("19")));
        assert!(matches!(person.begin("a").await, BegunOpen::HasLed(_)));
    });
}

#[test]
fn a_transfer_counts_on_its_day_and_until_an_hour_after_its_end() {
    on_each_store(async |store| {
        let books = Books::open(&store, &at_noon());
        // Half an hour before midnight.
        books.pass(11 * HOUR + 30 * MINUTE);
        books.ended("a", PaymentState::Unknown).await;
        books.pass(HOUR);
        assert_eq!(books.terms().await.left_of_day, Some(usd("19")));
        books.pass(24 * HOUR);
        assert_eq!(books.terms().await.left_of_day, Some(usd("20")));
    });
}
