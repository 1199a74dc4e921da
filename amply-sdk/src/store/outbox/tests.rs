//! The outbox is the same wherever it is kept.

use super::*;
use crate::store::Store;

fn letter(id: &str, route_id: &str) -> Letter {
    Letter {
        id: id.to_owned(),
        base_url: "http://127.0.0.1:9/api/v1".to_owned(),
        principal: "p".to_owned(),
        route_id: route_id.to_owned(),
        provider_id: None,
        idempotency_key: "k".to_owned(),
        endpoint: None,
        body: "{}".to_owned(),
        created_ms: 100,
        not_before_ms: 100,
        attempts: 0,
        leased_until_ms: 0,
        last_error: None,
        state: LetterState::Pending,
    }
}

fn sender(principal: &str) -> Sender {
    Sender { base_url: "http://127.0.0.1:9/api/v1".to_owned(), principal: principal.to_owned() }
}

struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Does the same with each kind of store.
async fn in_each(name: &str, check: impl AsyncFn(&Store)) {
    check(&Store::in_memory()).await;
    let folder = Folder(std::env::temp_dir().join(format!("amply-outbox-{name}-{}", std::process::id())));
    check(&Store::open(folder.0.join("store.db")).unwrap()).await;
}

async fn add(store: &Store, letter: Letter, limit: u64) -> Added {
    store.letters(move |letters| letters.add(&letter, limit)).await.unwrap()
}

async fn lease(store: &Store, of: &str, now_ms: i64, until_ms: i64) -> Vec<String> {
    let of = sender(of);
    let leased = store.letters(move |letters| letters.lease(&of, now_ms, until_ms, 10)).await.unwrap();
    // Whoever leases is told until when.
    assert!(leased.iter().all(|letter| letter.leased_until_ms == until_ms));
    leased.into_iter().map(|letter| letter.id).collect()
}

async fn tried(store: &Store, id: &'static str, tried: Tried) {
    store.letters(move |letters| letters.tried(id, &tried, 1000)).await.unwrap();
}

#[tokio::test]
async fn a_route_is_there_once_and_a_dead_report_is_replaced() {
    in_each("once", async |store| {
        assert_eq!(add(store, letter("a", "r"), 9).await, Added::New);
        assert_eq!(add(store, letter("b", "r"), 9).await, Added::Known);
        assert_eq!(add(store, Letter { principal: "q".to_owned(), ..letter("c", "r") }, 9).await, Added::New);
        tried(store, "a", Tried::Dead { reason: "no".to_owned() }).await;
        assert_eq!(add(store, letter("d", "r"), 9).await, Added::New);
        tried(store, "d", Tried::Delivered).await;
        assert_eq!(add(store, letter("e", "r"), 9).await, Added::Known);
        let left = store.undelivered().await.unwrap();
        assert_eq!(left.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["c"]);
    })
    .await;
}

#[tokio::test]
async fn a_leased_report_is_nobody_elses_until_the_lease_ends() {
    in_each("lease", async |store| {
        add(store, letter("a", "1"), 9).await;
        add(store, letter("b", "2"), 9).await;
        add(store, Letter { not_before_ms: 500, ..letter("c", "3") }, 9).await;
        assert_eq!(lease(store, "q", 100, 200).await, Vec::<String>::new());
        assert_eq!(lease(store, "p", 100, 200).await, ["a", "b"]);
        assert_eq!(lease(store, "p", 199, 300).await, Vec::<String>::new());
        tried(store, "a", Tried::Later { not_before_ms: 400, reason: "down".to_owned() }).await;
        // The process that had it has died.
        assert_eq!(lease(store, "p", 200, 300).await, ["b"]);
        let look = store.letters(|letters| letters.waiting(&sender("p"), 250)).await.unwrap();
        assert_eq!(look, Waiting { pending: 3, idle: 2, next_due_ms: Some(300) });
        store.letters(|letters| letters.give_back(&["b".to_owned()])).await.unwrap();
        store.letters(|letters| letters.hurry(&sender("p"), 250)).await.unwrap();
        let mut due = lease(store, "p", 250, 300).await;
        due.sort();
        assert_eq!(due, ["a", "b", "c"]);
        tried(store, "b", Tried::Delivered).await;
        // A second process that had it too, after its lease: what is delivered stays so.
        tried(store, "b", Tried::Dead { reason: "late".to_owned() }).await;
        let state = store.letters(|letters| letters.state_of(&sender("p"), "2")).await.unwrap();
        assert_eq!(state, Some(LetterState::Delivered));
    })
    .await;
}

#[tokio::test]
async fn a_full_outbox_makes_room_of_what_was_delivered_then_of_dead_ones_and_never_of_one_that_waits() {
    in_each("full", async |store| {
        assert_eq!(add(store, letter("a", "1"), 2).await, Added::New);
        assert_eq!(add(store, letter("b", "2"), 2).await, Added::New);
        assert_eq!(add(store, letter("c", "3"), 2).await, Added::Full);
        assert_eq!(add(store, letter("c", "1"), 2).await, Added::Known);
        tried(store, "a", Tried::Delivered).await;
        tried(store, "b", Tried::Dead { reason: "no".to_owned() }).await;
        assert_eq!(add(store, letter("c", "3"), 2).await, Added::New);
        assert_eq!(ids(store).await, ["b", "c"]);
        // A dead one is replaced also where no other has room.
        tried(store, "c", Tried::Dead { reason: "no".to_owned() }).await;
        assert_eq!(add(store, letter("d", "3"), 1).await, Added::New);
        assert_eq!(add(store, letter("e", "5"), 1).await, Added::Full);
        assert_eq!(ids(store).await, ["d"]);
    })
    .await;
}

async fn ids(store: &Store) -> Vec<String> {
    store.undelivered().await.unwrap().into_iter().map(|entry| entry.id).collect()
}

#[tokio::test]
async fn what_was_put_off_before_the_clock_was_set_back_is_due() {
    in_each("clock", async |store| {
        const AHEAD: i64 = 10_000_000;
        add(store, Letter { not_before_ms: AHEAD, ..letter("a", "1") }, 9).await;
        add(store, letter("b", "2"), 9).await;
        assert_eq!(lease(store, "p", AHEAD - 1, AHEAD + 30_000).await, ["b"]);
        let mut due = lease(store, "p", 200, 30_200).await;
        due.sort();
        assert_eq!(due, ["a", "b"]);
        assert_eq!(lease(store, "p", 201, 30_201).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn what_was_delivered_is_forgotten_a_day_after_it_was() {
    in_each("forget", async |store| {
        add(store, letter("a", "1"), 9).await;
        tried(store, "a", Tried::Delivered).await;
        // It is counted from when it was delivered, not from when it was handed over. In memory a number is the bound.
        let forgotten = store.letters(|letters| letters.forget(1000)).await.unwrap();
        assert_eq!(forgotten, 0);
        let forgotten = store.letters(|letters| letters.forget(1001)).await.unwrap();
        assert_eq!(forgotten, usize::from(store.path().is_some()));
    })
    .await;
}

#[tokio::test]
async fn a_person_can_have_a_report_tried_again_or_removed() {
    in_each("person", async |store| {
        add(store, letter("a", "1"), 9).await;
        add(store, letter("b", "2"), 9).await;
        tried(store, "a", Tried::Dead { reason: "no such route".to_owned() }).await;
        let left = store.undelivered().await.unwrap();
        assert!(left[0].is_dead && !left[1].is_dead);
        assert_eq!((left[0].last_error.as_deref(), left[0].attempts), (Some("no such route"), 1));
        assert!(!store.retry_report("a").await.unwrap().is_dead);
        assert_eq!(lease(store, "p", i64::MAX - 1, i64::MAX).await.len(), 2);
        assert_eq!(store.discard_report("b").await.unwrap().route_id, "2");
        tried(store, "a", Tried::Delivered).await;
        for id in ["a", "b", "x\u{1b}"] {
            for error in
                [store.retry_report(id).await.unwrap_err(), store.discard_report(id).await.unwrap_err()]
            {
                assert!(error.to_string().contains("no report that waits has the id"), "{error}");
            }
        }
        assert!(store.undelivered().await.unwrap().is_empty());

        for (id, principal) in [("c", "p"), ("d", "q"), ("e", "p")] {
            add(store, Letter { principal: principal.to_owned(), ..letter(id, id) }, 9).await;
        }
        tried(store, "c", Tried::Dead { reason: "no".to_owned() }).await;
        tried(store, "d", Tried::Dead { reason: "no".to_owned() }).await;
        assert_eq!(store.retry_dead_reports().await.unwrap(), 2);
        assert_eq!(store.retry_dead_reports().await.unwrap(), 0);
        assert!(store.undelivered().await.unwrap().iter().all(|entry| !entry.is_dead));
        assert_eq!(lease(store, "q", i64::MAX - 1, i64::MAX).await, ["d"]);
    })
    .await;
}
